//! What the variants of an experiment had in the last while: a few slots, the oldest of which drops out.

use super::evidence::Count;
use crate::time::Timestamp;

/// Slots of a window.
pub const SLOTS: usize = 6;

/// A sliding window over the variants of one experiment, and which of them have tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Bit n: variant n has tripped.
    tripped: u64,
    variants: usize,
    /// By slot number modulo [`SLOTS`].
    slots: [(i64, Vec<Count>); SLOTS],
}

impl Window {
    /// A window of which nothing is known, over so many variants.
    #[must_use]
    pub fn new(variants: usize) -> Self {
        Self { tripped: 0, variants, slots: std::array::from_fn(|_| (i64::MIN, Vec::new())) }
    }

    /// Reads what [`Self::to_bytes`] wrote. Anything else is an empty window.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], variants: usize) -> Self {
        Self::read(bytes, variants).unwrap_or_else(|| Self::new(variants))
    }

    fn read(bytes: &[u8], variants: usize) -> Option<Self> {
        let mut window = Self::new(variants);
        let (tripped, mut rest) = bytes.split_first_chunk::<8>()?;
        window.tripped = u64::from_le_bytes(*tripped);
        for (number, counts) in &mut window.slots {
            let (slot, tail) = rest.split_first_chunk::<8>()?;
            *number = i64::from_le_bytes(*slot);
            rest = tail;
            for _ in 0..variants {
                let (requests, tail) = rest.split_first_chunk::<4>()?;
                let (bad, tail) = tail.split_first_chunk::<4>()?;
                rest = tail;
                counts.push(Count { requests: u32::from_le_bytes(*requests), bad: u32::from_le_bytes(*bad) });
            }
        }
        rest.is_empty().then_some(window)
    }

    /// For storage: little-endian, the tripped variants (64 bits), then per slot its number (64 bits)
    /// and per variant requests and bad ones (32 bits each).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.tripped.to_le_bytes().to_vec();
        for (number, counts) in &self.slots {
            bytes.extend(number.to_le_bytes());
            for variant in 0..self.variants {
                let count = counts.get(variant).copied().unwrap_or_default();
                bytes.extend(count.requests.to_le_bytes());
                bytes.extend(count.bad.to_le_bytes());
            }
        }
        bytes
    }

    /// Adds what the variants have had since the last time.
    pub(super) fn add(&mut self, counts: &[Count], now: Timestamp, slot_ms: i64) {
        let number = slot_number(now, slot_ms);
        let Some((known, slot)) = self.slots.get_mut(position(number)) else { return };
        if *known != number {
            *known = number;
            slot.clear();
        }
        slot.resize(self.variants, Count::default());
        for (sum, count) in slot.iter_mut().zip(counts) {
            sum.add(*count);
        }
    }

    /// The slots that are not too old, with the counts of each variant. A clock that was set back
    /// hides those of its future.
    pub(super) fn newest_first(&self, now: Timestamp, slot_ms: i64) -> impl Iterator<Item = &[Count]> {
        let newest = slot_number(now, slot_ms);
        (0_i64..).take(SLOTS).filter_map(move |age| {
            let number = newest.saturating_sub(age);
            let (known, counts) = self.slots.get(position(number))?;
            (*known == number).then_some(counts.as_slice())
        })
    }

    /// Whether a variant has tripped.
    #[must_use]
    pub fn has_tripped(&self, variant: usize) -> bool {
        self.tripped & bit(variant) != 0
    }

    pub(super) fn trip(&mut self, variant: usize) {
        self.tripped |= bit(variant);
    }

    /// Bit n: variant n has tripped.
    #[must_use]
    pub fn tripped(&self) -> u64 {
        self.tripped
    }
}

fn bit(variant: usize) -> u64 {
    u32::try_from(variant).ok().and_then(|variant| 1_u64.checked_shl(variant)).unwrap_or(0)
}

fn slot_number(now: Timestamp, slot_ms: i64) -> i64 {
    now.0.checked_div_euclid(slot_ms).unwrap_or(0)
}

fn position(number: i64) -> usize {
    usize::try_from(number.rem_euclid(SLOTS as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: i64 = 10_000;

    fn one(bad: u32, requests: u32) -> [Count; 1] {
        [Count { requests, bad }]
    }

    fn total(window: &Window, now: i64) -> Count {
        let mut sum = Count::default();
        for slot in window.newest_first(Timestamp(now), SLOT) {
            sum.add(slot[0]);
        }
        sum
    }

    #[test]
    fn the_window_slides() {
        let mut window = Window::new(1);
        for second in 0..120 {
            let now = second * 1000;
            window.add(&one(1, 2), Timestamp(now), SLOT);
            // The slot that has begun, and the five before.
            let expected = (second % 10 + 1 + 10 * (second / 10).min(5)) as u32;
            assert_eq!(total(&window, now), Count { requests: 2 * expected, bad: expected }, "{second}");
        }
        assert_eq!(total(&window, 200_000).requests, 0);
    }

    #[test]
    fn a_clock_that_jumps_shows_nothing_twice() {
        let mut window = Window::new(1);
        window.add(&one(0, 100), Timestamp(1_000_000), SLOT);
        assert_eq!(total(&window, 1_000_000 - 86_400_000).requests, 0);
        window.add(&one(0, 7), Timestamp(1_000_000 - 86_400_000), SLOT);
        assert_eq!(total(&window, 1_000_000 - 86_400_000).requests, 7);
        assert_eq!(total(&window, 1_000_000 + 86_400_000).requests, 0);
        window.add(&one(0, 1), Timestamp(-5), SLOT);
        assert_eq!(total(&window, -5).requests, 1);
    }

    #[test]
    fn stored_and_read_again() {
        let mut window = Window::new(3);
        window.add(&[Count { requests: 9, bad: 1 }; 3], Timestamp(123_456_789), SLOT);
        window.trip(2);
        let bytes = window.to_bytes();
        assert_eq!(bytes.len(), 8 + SLOTS * (8 + 3 * 8));
        let again = Window::from_bytes(&bytes, 3);
        assert_eq!(again.to_bytes(), bytes);
        assert!(again.has_tripped(2) && !again.has_tripped(0) && !again.has_tripped(64));
        for end in 0..bytes.len() {
            assert_eq!(Window::from_bytes(&bytes[..end], 3), Window::new(3), "{end}");
        }
        assert_eq!(Window::from_bytes(&bytes, 2), Window::new(2));
    }
}
