//! Which (unit, experiment, variant) have been recorded already: a set of fixed size that forgets
//! the oldest.

/// Keys that one generation holds, at most three quarters of its slots.
const SLOTS: usize = 1 << 15;
const FULL: usize = SLOTS / 4 * 3;
/// Bits of a key that say where it belongs.
const MASK: u64 = SLOTS as u64 - 1;

/// A set of 64-bit keys in two generations of 256 KiB each, made at the first use.
///
/// When one is full, the one before it is dropped, so at least the last 24,576 and at most the last
/// 49,152 different keys are known. A key that is met again is kept as if it were new.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    current: Box<[u64]>,
    previous: Box<[u64]>,
    count: usize,
}

impl Seen {
    /// Keys that are surely remembered.
    pub const REMEMBERED: usize = FULL;

    /// Whether `key` is new; it is known from now on.
    pub fn is_new(&mut self, key: u64) -> bool {
        // 0 marks a free slot.
        let key = key.max(1);
        if self.current.is_empty() {
            self.current = vec![0; SLOTS].into();
            self.previous = vec![0; SLOTS].into();
        }
        if self.count >= FULL {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.fill(0);
            self.count = 0;
        }
        match place(&mut self.current, key) {
            Some(slot) if *slot == 0 => *slot = key,
            _ => return false,
        }
        self.count = self.count.saturating_add(1);
        place(&mut self.previous, key).is_none_or(|slot| *slot != key)
    }
}

/// The slot of `key`, or the free one where it belongs.
fn place(slots: &mut [u64], key: u64) -> Option<&mut u64> {
    let mut index = usize::try_from(key & MASK).unwrap_or(0);
    for _ in 0..SLOTS {
        match slots.get(index) {
            Some(known) if *known != 0 && *known != key => index = index.wrapping_add(1) % SLOTS,
            _ => return slots.get_mut(index),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any 64-bit mixer: keys are hashes.
    fn key(n: u64) -> u64 {
        let mixed = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
    }

    #[test]
    fn a_key_is_new_once() {
        let mut seen = Seen::default();
        for n in 1..20_001 {
            assert!(seen.is_new(key(n)), "{n}");
        }
        for n in 1..20_001 {
            assert!(!seen.is_new(key(n)), "{n}");
        }
        assert!(seen.is_new(0) && !seen.is_new(0));
    }

    #[test]
    fn a_million_keys_take_no_more_room_and_the_last_are_known() {
        let mut seen = Seen::default();
        for n in 0..1_000_000 {
            assert!(seen.is_new(key(n)), "{n}");
        }
        assert_eq!((seen.current.len(), seen.previous.len()), (SLOTS, SLOTS));
        let last = 1_000_000 - Seen::REMEMBERED as u64;
        // Backwards: what is met again is kept, and must not push out what is still to be asked.
        assert!((last..1_000_000).rev().all(|n| !seen.is_new(key(n))));
        assert!(seen.is_new(key(0)), "the first is forgotten");
    }
}
