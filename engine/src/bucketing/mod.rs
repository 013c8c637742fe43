//! Bucketing arithmetic: one file per dialect (`spec` names the systems).

/// Buckets a unit can fall into.
pub const BUCKETS: u32 = 10_000;

/// A salted hash of units into [`BUCKETS`] buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaltedHash {
    seed: u32,
}

impl SaltedHash {
    /// Hashes under `salt`.
    #[must_use]
    pub fn new(salt: &str) -> Self {
        Self { seed: murmur3::murmur3_32(&mut salt.as_bytes(), 0).unwrap_or_default() }
    }
    /// The bucket of `unit`, in `0..10_000`.
    #[must_use]
    pub fn bucket(&self, unit: &str) -> u32 {
        let hash = murmur3::murmur3_32(&mut unit.as_bytes(), self.seed).unwrap_or_default();
        (u64::from(hash).wrapping_mul(u64::from(BUCKETS)) >> 32) as u32
    }
}
