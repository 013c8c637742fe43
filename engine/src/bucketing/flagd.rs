//! flagd's `fractional` operation (the shorthand that buckets by flag key and targeting key).
//!
//! `bucket = (u64(mm3(flag_key + targeting_key, 0)) * sum(weights)) >> 32`; the first cumulative
//! weight above it wins. This is the second revision of the operation; flagd before it scaled to
//! 100 whole percent, and the third, which hashes a CBOR array of both keys, is not released in
//! every provider and is another dialect.
//!
//! Traps: flag key and targeting key are joined with nothing between them; the resolution is the
//! sum of the weights; UTF-8 (the JavaScript provider's hash is right for ASCII only). flagd needs
//! a targeting key, so an empty unit is out.
//!
//! Buckets are `0..sum(weights)`.

use super::{ParameterError, Pick, cumulative, murmur3_32, shares};

/// A `fractional` rule.
#[derive(Debug, Clone, Copy)]
pub struct FlagdParameters<'a> {
    /// The flag's key.
    pub flag_key: &'a str,
    /// One weight per variant; together at most 2^31 - 1.
    pub weights: &'a [u32],
}

/// A ready rule.
#[derive(Debug, Clone)]
pub struct Flagd {
    flag_key: Box<str>,
    sums: Box<[u32]>,
    total: u32,
}

impl Flagd {
    /// Errors: no weights, weights that sum to 0 or more than 2^31 - 1 (flagd's own limit).
    pub fn new(parameters: &FlagdParameters<'_>) -> Result<Self, ParameterError> {
        let limit = i32::MAX.unsigned_abs();
        let (sums, total) = cumulative("weights", parameters.weights, limit, "1 to 2147483647")?;
        Ok(Self { flag_key: parameters.flag_key.into(), sums, total })
    }

    /// The variant of `unit`, flagd's targeting key; an empty one is out.
    pub fn pick(&self, unit: &str) -> Pick {
        if unit.is_empty() {
            return Pick::Out { bucket: 0 };
        }
        let hash = murmur3_32(&[self.flag_key.as_bytes(), unit.as_bytes()], 0);
        // Two factors of 32 bits fit 64; after the shift the value is below the total.
        let bucket = (u64::from(hash).wrapping_mul(u64::from(self.total)) >> 32) as u32;
        Pick::from_index(self.sums.iter().position(|&sum| bucket < sum), bucket)
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let claims = shares::cumulative(self.sums.iter().enumerate().map(|(index, sum)| (Some(index), *sum)));
        shares::first_wins(variants, &claims, &[], &shares::scaled(self.total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(weights: &[u32]) -> Pick {
        Flagd::new(&FlagdParameters { flag_key: "my-flag", weights }).unwrap().pick("user-1")
    }

    #[test]
    fn a_cumulative_weight_excludes_its_end() {
        let bucket = pick(&[1_000_000]).bucket();
        let rest = 1_000_000_u32.wrapping_sub(bucket);
        assert_eq!(pick(&[bucket, rest]), Pick::Variant { index: 1, bucket });
        let after = bucket.wrapping_add(1);
        assert_eq!(pick(&[after, rest.wrapping_sub(1)]), Pick::Variant { index: 0, bucket });
        assert_eq!(pick(&[0, 1_000_000, 0]), Pick::Variant { index: 1, bucket });
    }

    #[test]
    fn the_largest_total_does_not_overflow() {
        let half = i32::MAX.unsigned_abs() / 2;
        assert!(pick(&[half, half]).index().is_some());
    }

    #[test]
    fn an_empty_unit_is_out() {
        let rule = Flagd::new(&FlagdParameters { flag_key: "f", weights: &[1] }).unwrap();
        assert_eq!(rule.pick(""), Pick::Out { bucket: 0 });
    }

    #[test]
    fn refuses_wrong_parameters() {
        for weights in [&[][..], &[0], &[i32::MAX.unsigned_abs(), 1]] {
            let parameters = FlagdParameters { flag_key: "f", weights };
            assert_eq!(Flagd::new(&parameters).unwrap_err().field(), "weights");
        }
    }
}
