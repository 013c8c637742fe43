//! The default dialect.
//!
//! `bucket = (mm3(unit, mm3(salt, 0)) * 10_000) >> 32`: murmur3_x86_32 over UTF-8, seeded with the hash of the salt, scaled by multiply-shift so that no bucket is favoured by a modulus.

use super::{BUCKETS, murmur3_32};

/// A salt, hashed and ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SaltedHash {
    seed: u32,
}

impl SaltedHash {
    /// Hashes the salt once.
    pub fn new(salt: &str) -> Self {
        Self {
            seed: murmur3_32(&[salt.as_bytes()], 0),
        }
    }

    /// The bucket of `unit`, in `0..10_000`.
    pub fn bucket(self, unit: &str) -> u32 {
        let hash = murmur3_32(&[unit.as_bytes()], self.seed);
        // Below 2^46, and below 10,000 after the shift.
        (u64::from(hash).wrapping_mul(u64::from(BUCKETS)) >> 32) as u32
    }
}
