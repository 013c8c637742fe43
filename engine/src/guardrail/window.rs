//! Which units of an experiment's variants were seen in the last while, and which of them had a bad exchange.
//!
//! Memory is fixed: each variant keeps the units with the lowest hashes, up to a capacity. The hash is keyed, so that
//! nobody can choose it, and the same in every worker, so that merging is a union and no unit counts once per worker.
//! A window has slots, the oldest of which drops out; a unit has a bit for each slot in which it was seen, and one for
//! each slot in which it was bad, so the tests that begin with the slots all read the same list.

use super::evidence::Count;
use crate::time::Timestamp;

/// Slots of a window.
pub const SLOTS: usize = 6;

/// A unit of a variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unit {
    hash: u32,
    /// Bit n: it was seen in the slot whose number modulo [`SLOTS`] is n.
    seen: u8,
    /// Bit n: one of its exchanges in that slot was bad.
    bad: u8,
}

/// What one worker has counted of a variant since it last shared its counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    requests: u32,
    /// In order of their hashes; `seen` and `bad` are 0 or 1.
    units: Vec<Unit>,
    /// Hashes from here on were left out, for want of room.
    cut: Option<u32>,
}

impl Tally {
    /// Counts an exchange of the unit with this hash. It keeps the `capacity` lowest hashes.
    pub fn add(&mut self, hash: u32, is_bad: bool, capacity: usize) {
        self.requests = self.requests.saturating_add(1);
        if self.cut.is_some_and(|cut| hash >= cut) {
            return;
        }
        match self.units.binary_search_by_key(&hash, |unit| unit.hash) {
            Ok(index) => {
                if let Some(unit) = self.units.get_mut(index) {
                    unit.bad |= u8::from(is_bad);
                }
            }
            Err(index) => self.units.insert(index, Unit { hash, seen: 1, bad: is_bad.into() }),
        }
        if self.units.len() > capacity {
            self.cut = self.units.pop().map(|unit| unit.hash);
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// Forgets what was counted; the memory is kept.
    pub fn clear(&mut self) {
        (self.requests, self.cut) = (0, None);
        self.units.clear();
    }
}

/// A variant in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arm {
    /// By slot number modulo [`SLOTS`].
    requests: [u32; SLOTS],
    /// Hashes from here on were left out, in the slot's time or later; by slot number modulo [`SLOTS`].
    cuts: [u32; SLOTS],
    /// In order of their hashes.
    units: Vec<Unit>,
}

impl Arm {
    const fn new() -> Self {
        Self { requests: [0; SLOTS], cuts: [u32::MAX; SLOTS], units: Vec::new() }
    }

    /// Adds what was counted in the slot at `position`.
    #[inline(never)]
    fn absorb(&mut self, tally: &Tally, position: usize, capacity: usize) {
        if let Some(requests) = self.requests.get_mut(position) {
            *requests = requests.saturating_add(tally.requests);
        }
        if let (Some(cut), Some(new)) = (self.cuts.get_mut(position), tally.cut) {
            *cut = new.min(*cut);
        }
        let bit = bit(position);
        let mut merged = Vec::with_capacity(self.units.len().saturating_add(tally.units.len()));
        let mut known = self.units.iter().copied().peekable();
        for unit in &tally.units {
            while let Some(before) = known.next_if(|other| other.hash < unit.hash) {
                merged.push(before);
            }
            let same = known.next_if(|other| other.hash == unit.hash).unwrap_or_default();
            let bad = if unit.bad == 0 { same.bad } else { same.bad | bit };
            merged.push(Unit { hash: unit.hash, seen: same.seen | bit, bad });
        }
        merged.extend(known);
        if let Some(first) = merged.get(capacity).map(|unit| unit.hash) {
            merged.truncate(capacity);
            // It may have been seen in any slot.
            self.cuts = self.cuts.map(|cut| cut.min(first));
        }
        self.units = merged;
    }

    /// Forgets the slot at `position`.
    fn forget(&mut self, position: usize) {
        if let (Some(requests), Some(cut)) = (self.requests.get_mut(position), self.cuts.get_mut(position)) {
            (*requests, *cut) = (0, u32::MAX);
        }
        let bit = bit(position);
        for unit in &mut self.units {
            unit.seen &= !bit;
            unit.bad &= !bit;
        }
        self.units.retain(|unit| unit.seen != 0);
    }

    /// Units that were seen in the slots of `mask`: all whose hash is below `cut`.
    fn count(&self, mask: u8, cut: u32) -> Count {
        let mut count = Count::default();
        for unit in self.units.iter().take_while(|unit| unit.hash < cut) {
            count.units = count.units.saturating_add(u32::from(unit.seen & mask != 0));
            count.bad = count.bad.saturating_add(u32::from(unit.bad & mask != 0));
        }
        count
    }
}

/// What a variant had in a part of the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    /// Its requests.
    pub(super) requests: u32,
    /// Its units, of those that are looked at.
    pub(super) count: Count,
    /// The share of its units that are looked at, above 0 and up to 1: that of the hashes below the cut.
    pub(super) sampled: f64,
}

/// A sliding window over the variants of one experiment, and which of them have tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What it counts of what: counts under another one mean something else.
    digest: u64,
    /// Bit n: variant n has tripped.
    tripped: u64,
    /// The number of the newest slot.
    newest: i64,
    arms: Vec<Arm>,
}

impl Window {
    /// A window over `variants` variants of which nothing is known. `digest` identifies what it counts.
    #[must_use]
    pub fn new(digest: u64, variants: usize) -> Self {
        Self { digest, tripped: 0, newest: i64::MIN, arms: vec![Arm::new(); variants] }
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for anything else, and for a window of another digest.
    #[must_use]
    #[inline(never)]
    pub fn from_bytes(bytes: &[u8], digest: u64, variants: usize) -> Option<Self> {
        let (tripped, mut rest) = header(bytes, digest)?;
        let newest = i64::from_le_bytes(take(&mut rest)?);
        let mut window = Self { tripped, newest, ..Self::new(digest, variants) };
        for arm in &mut window.arms {
            for number in arm.requests.iter_mut().chain(&mut arm.cuts) {
                *number = u32::from_le_bytes(take(&mut rest)?);
            }
            let length = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
            arm.units = Vec::with_capacity(length.min(rest.len() / UNIT));
            for _ in 0..length {
                let [a, b, c, d, seen, bad] = take::<UNIT>(&mut rest)?;
                arm.units.push(Unit { hash: u32::from_le_bytes([a, b, c, d]), seen, bad });
            }
        }
        rest.is_empty().then_some(window)
    }

    /// For storage, all numbers little-endian: digest, tripped variants, number of the newest slot (64 bits each); per
    /// variant requests and cuts by slot, how many units (32 bits each), and per unit its hash (32 bits), and in which
    /// slots it was seen and bad (8 bits each).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.digest.to_le_bytes().to_vec();
        bytes.extend(self.tripped.to_le_bytes());
        bytes.extend(self.newest.to_le_bytes());
        for arm in &self.arms {
            bytes.reserve(arm.units.len().saturating_mul(UNIT).saturating_add(64));
            for number in arm.requests.iter().chain(&arm.cuts) {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(u32::try_from(arm.units.len()).unwrap_or(0).to_le_bytes());
            for unit in &arm.units {
                bytes.extend(unit.hash.to_le_bytes());
                bytes.extend([unit.seen, unit.bad]);
            }
        }
        bytes
    }

    /// The variants that have tripped (see [`Self::tripped`]) in what [`Self::to_bytes`] wrote, without reading the
    /// rest; `None` as in [`Self::from_bytes`].
    #[must_use]
    pub fn tripped_in(bytes: &[u8], digest: u64) -> Option<u64> {
        header(bytes, digest).map(|(tripped, _)| tripped)
    }

    /// Adds what the variants have had since the last time; each keeps the `capacity` units with the lowest hashes.
    pub(super) fn add(&mut self, tallies: &[Tally], now: Timestamp, slot_ms: i64, capacity: usize) {
        let number = now.0.checked_div_euclid(slot_ms).unwrap_or(0);
        let ahead = number.saturating_sub(self.newest);
        // Workers' clocks differ by a tick; one that was set back by more than the window begins anew.
        if ahead > 0 || ahead.saturating_add(SLOTS as i64) <= 0 {
            let passed = if ahead > 0 { ahead.min(SLOTS as i64) } else { SLOTS as i64 };
            for age in 0..passed {
                let position = position(number.saturating_sub(age));
                self.arms.iter_mut().for_each(|arm| arm.forget(position));
            }
            self.newest = number;
        }
        for (arm, tally) in self.arms.iter_mut().zip(tallies) {
            arm.absorb(tally, position(number), capacity);
        }
    }

    /// The bits of the newest slots, at most [`SLOTS`].
    pub(super) fn newest(&self, slots: i64) -> u8 {
        (0..slots).fold(0, |mask, age| mask | bit(position(self.newest.saturating_sub(age))))
    }

    /// What a variant had in the slots of `mask`.
    #[inline(never)]
    pub(super) fn part(&self, variant: usize, mask: u8) -> Option<Part> {
        let arm = self.arms.get(variant)?;
        let (mut requests, mut cut) = (0_u32, u32::MAX);
        for (position, (more, lower)) in arm.requests.iter().zip(&arm.cuts).enumerate() {
            if mask & bit(position) != 0 {
                requests = requests.saturating_add(*more);
                cut = cut.min(*lower);
            }
        }
        let sampled = f64::from(cut) / f64::from(u32::MAX);
        Some(Part { requests, count: arm.count(mask, cut), sampled })
    }

    /// Whether a variant has tripped.
    #[must_use]
    pub fn has_tripped(&self, variant: usize) -> bool {
        self.tripped & variant_bit(variant) != 0
    }

    pub(super) fn trip(&mut self, variant: usize) {
        self.tripped |= variant_bit(variant);
    }

    /// Bit n: variant n has tripped.
    #[must_use]
    pub fn tripped(&self) -> u64 {
        self.tripped
    }
}

/// Bytes of a unit in storage.
const UNIT: usize = 6;

/// The variants that have tripped, and what follows.
fn header(bytes: &[u8], digest: u64) -> Option<(u64, &[u8])> {
    let mut rest = bytes;
    let is_own = u64::from_le_bytes(take(&mut rest)?) == digest;
    let tripped = u64::from_le_bytes(take(&mut rest)?);
    is_own.then_some((tripped, rest))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn variant_bit(variant: usize) -> u64 {
    u32::try_from(variant).ok().and_then(|variant| 1_u64.checked_shl(variant)).unwrap_or(0)
}

fn bit(position: usize) -> u8 {
    u32::try_from(position).ok().and_then(|position| 1_u8.checked_shl(position)).unwrap_or(0)
}

fn position(number: i64) -> usize {
    usize::try_from(number.rem_euclid(SLOTS as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: i64 = 10_000;
    const ROOM: usize = 1_000;

    fn tally(units: impl IntoIterator<Item = (u32, bool)>) -> Tally {
        let mut tally = Tally::default();
        units.into_iter().for_each(|(hash, is_bad)| tally.add(hash, is_bad, ROOM));
        tally
    }

    /// Requests, units and bad units of the first variant in the newest `slots` slots.
    fn seen(window: &Window, slots: i64) -> (u32, u32, u32) {
        let part = window.part(0, window.newest(slots)).unwrap();
        (part.requests, part.count.units, part.count.bad)
    }

    #[test]
    fn a_unit_counts_once_whoever_saw_it_and_however_often() {
        let mut window = Window::new(0, 1);
        // Two workers, in the same slot and in another one.
        for (now, worker) in
            [(0, [(7, false), (9, false)]), (100, [(7, true), (7, true)]), (SLOT, [(7, false), (8, false)])]
        {
            window.add(&[tally(worker)], Timestamp(now), SLOT, ROOM);
        }
        assert_eq!(seen(&window, 1), (2, 2, 0), "7 is good in the slot that has begun, 8 is new");
        assert_eq!(seen(&window, 2), (6, 3, 1));
        assert_eq!(seen(&window, 6), (6, 3, 1));
    }

    #[test]
    fn the_window_slides() {
        let mut window = Window::new(0, 1);
        for second in 0..120_u32 {
            let now = i64::from(second) * 1000;
            window.add(&[tally([(second, second % 2 == 0), (1_000, false)])], Timestamp(now), SLOT, ROOM);
            // The slot that has begun, and the five before.
            let seconds = second % 10 + 1 + 10 * (second / 10).min(5);
            let (requests, units, _) = seen(&window, 6);
            assert_eq!((requests, units), (2 * seconds, seconds + 1), "{second}");
        }
        window.add(&[tally([(1, true)])], Timestamp(1_000_000), SLOT, ROOM);
        assert_eq!(seen(&window, 6), (1, 1, 1));
    }

    #[test]
    fn a_full_variant_keeps_the_lowest_hashes_and_says_so() {
        let sampled = |window: &Window| {
            (1..=6).map(|slots| window.part(0, window.newest(slots)).unwrap().sampled).collect::<Vec<_>>()
        };
        let mut window = Window::new(0, 1);
        window.add(&[tally((0..80).map(|n| (n << 24, n % 2 == 0)))], Timestamp(0), SLOT, 100);
        assert_eq!((seen(&window, 1), sampled(&window)[0]), ((80, 80, 40), 1.0));
        // Hashes of the other half of the room, of which 20 fit.
        window.add(&[tally((80..160).map(|n| (n << 24, true)))], Timestamp(SLOT), SLOT, 100);
        assert_eq!(seen(&window, 1), (80, 20, 20));
        assert_eq!(seen(&window, 2), (160, 100, 60));
        assert!(
            sampled(&window).iter().all(|share| (share - 100.0 / 256.0).abs() < 1e-6),
            "{:?}",
            sampled(&window)
        );
        // Once both slots are out, all units are looked at again.
        window.add(&[tally([(u32::MAX - 1, false)])], Timestamp(7 * SLOT), SLOT, 100);
        assert_eq!((seen(&window, 6), sampled(&window)[5]), ((1, 1, 0), 1.0));
    }

    /// A worker that has no room for all its units between two ticks must not claim to have seen all.
    #[test]
    fn a_full_tally_is_a_sample_too() {
        let mut tally = Tally::default();
        (0..200_u32).rev().for_each(|n| tally.add(n << 24, true, 50));
        let mut window = Window::new(0, 1);
        window.add(&[tally.clone()], Timestamp(0), SLOT, 1_000);
        assert_eq!(seen(&window, 1), (200, 50, 50));
        let part = window.part(0, window.newest(1)).unwrap();
        assert!((part.sampled - 50.0 / 256.0).abs() < 1e-6);
        tally.clear();
        assert!(tally.is_empty());
        tally.add(u32::MAX - 1, false, 50);
        assert_eq!((tally.units.len(), tally.cut), (1, None));
    }

    #[test]
    fn a_clock_that_jumps_shows_nothing_twice() {
        const DAY: i64 = 86_400_000;
        let hundred = || tally((0..100).map(|n| (n, true)));
        let mut window = Window::new(0, 1);
        window.add(&[hundred()], Timestamp(1_000_000), SLOT, ROOM);
        window.add(&[tally([(1, false)])], Timestamp(1_000_000 - DAY), SLOT, ROOM);
        assert_eq!(seen(&window, 6), (1, 1, 0));
        window.add(&[hundred()], Timestamp(1_000_000 + DAY), SLOT, ROOM);
        assert_eq!(seen(&window, 6), (100, 100, 100));
        // By less than the window: another worker's tick may be a moment old.
        window.add(&[tally([(1, false)])], Timestamp(1_000_000 + DAY - SLOT), SLOT, ROOM);
        assert_eq!((seen(&window, 1), seen(&window, 2)), ((100, 100, 100), (101, 100, 100)));
        window.add(&[tally([(1, true)])], Timestamp(-5), SLOT, ROOM);
        assert_eq!(seen(&window, 6), (1, 1, 1));
    }

    #[test]
    fn stored_and_read_again() {
        let mut window = Window::new(5, 3);
        let tallies = [tally([(1, true), (2, false)]), tally([]), tally([(3, true)])];
        window.add(&tallies, Timestamp(123_456_789), SLOT, ROOM);
        window.trip(2);
        let bytes = window.to_bytes();
        assert_eq!(bytes.len(), 24 + 3 * (12 * 4 + 4) + 3 * UNIT);
        let again = Window::from_bytes(&bytes, 5, 3).unwrap();
        assert_eq!(again, window);
        assert!(again.has_tripped(2) && !again.has_tripped(0) && !again.has_tripped(64));
        assert_eq!(Window::tripped_in(&bytes, 5), Some(4));
        for end in 0..bytes.len() {
            assert_eq!(Window::from_bytes(&bytes[..end], 5, 3), None, "{end}");
        }
        assert_eq!(Window::from_bytes(&bytes, 5, 2), None);
        assert_eq!((Window::from_bytes(&bytes, 6, 3), Window::tripped_in(&bytes, 6)), (None, None));
        // A length that lies asks for no memory.
        let mut lying = bytes;
        lying[24 + 48..24 + 52].fill(0xff);
        assert_eq!(Window::from_bytes(&lying, 5, 3), None);
    }
}
