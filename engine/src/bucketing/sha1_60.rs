//! The 60-bit SHA-1 prefix that LaunchDarkly and PlanOut share: the first 15 hex digits as an
//! integer.

use sha1::{Digest, Sha1};

/// 0xFFFFFFFFFFFFFFF as the SDKs hold it: an f64, so it rounds up to 2^60.
const SCALE: f64 = 1_152_921_504_606_846_976.0;

/// SHA-1 with a prefix already absorbed; cloning it costs a hundred bytes of stack and no heap.
#[derive(Debug, Clone)]
pub(super) struct PrefixedSha1(Sha1);

impl PrefixedSha1 {
    pub(super) fn new(prefix: &str) -> Self {
        Self(Sha1::new_with_prefix(prefix))
    }

    /// `int(sha1hex(prefix + unit)[:15], 16)`.
    pub(super) fn integer(&self, unit: &str) -> u64 {
        let digest = self.0.clone().chain_update(unit).finalize();
        // 15 hex digits are the first eight bytes without the last four bits.
        digest.iter().take(8).fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte)) >> 4
    }

    /// [`Self::integer`] as a fraction of 1.
    pub(super) fn fraction(&self, unit: &str) -> f64 {
        Self::scaled(self.integer(unit))
    }

    /// The integer over its scale, in [0, 1]. The conversion rounds to the nearest f64, as Python's
    /// and JavaScript's do.
    pub(super) fn scaled(integer: u64) -> f64 {
        integer as f64 / SCALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_fifteen_hex_digits_big_endian() {
        // sha1("abc") = a9993e364706816aba3e...
        assert_eq!(PrefixedSha1::new("a").integer("bc"), 0xa99_93e3_6470_6816);
    }

    #[test]
    fn scale_is_the_float_of_sixty_ones() {
        assert_eq!(SCALE, 0xFFF_FFFF_FFFF_FFFF_u64 as f64);
    }
}
