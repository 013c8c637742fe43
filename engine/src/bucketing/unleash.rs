//! Unleash (`flexibleRollout` with strategy variants).
//!
//! `N = mm3(group_id + ":" + id, seed) % m + 1`. Rollout: seed 0, `m` = 100, in when `N <=
//! percent`. Variant: seed 86,028,157, `m` = the sum of the weights, the first cumulative weight
//! `>= N`.
//!
//! Traps: `N` starts at 1 and both comparisons include it; the modulus is the real sum of the
//! weights, so re-weighting to another total moves units; the hash is over UTF-8. The empty unit is
//! hashed like any other. Unleash's own stickiness falls back to a random draw when there is no
//! unit: a decision without a unit never gets here.
//!
//! Unleash's Node SDK hashes UTF-16 code units cut to bytes, so that it gives ids that are not ASCII other variants than
//! Unleash's other SDKs and this do.
//!
//! Buckets are `N` of the variant hash (1..=sum), or `N` of the rollout hash (1..=100) for a unit
//! that is out.

use super::{ParameterError, Pick, cumulative, murmur3_32, shares};

const ROLLOUT_SEED: u32 = 0;
const VARIANT_SEED: u32 = 86_028_157;

/// A strategy as Unleash holds it.
#[derive(Debug, Clone, Copy)]
pub struct UnleashParameters<'a> {
    /// The strategy's group id.
    pub group_id: &'a str,
    /// Whole percent, 0 to 100.
    pub rollout: u32,
    /// One weight per variant, usually of 1,000.
    pub variant_weights: &'a [u32],
}

/// A ready strategy.
#[derive(Debug, Clone)]
pub struct Unleash {
    /// `group_id + ":"`.
    prefix: Box<str>,
    rollout: u32,
    sums: Box<[u32]>,
    total: u32,
}

impl Unleash {
    /// Errors: a rollout above 100, no weights, weights that sum to 0 or more than 32 bits hold.
    pub fn new(parameters: &UnleashParameters<'_>) -> Result<Self, ParameterError> {
        if parameters.rollout > 100 {
            let (expected, found) = ("a whole percentage from 0 to 100", f64::from(parameters.rollout));
            return Err(ParameterError::Number { field: "rollout", index: None, expected, found });
        }
        let (sums, total) =
            cumulative("variant_weights", parameters.variant_weights, u32::MAX, "1 to 4294967295")?;
        Ok(Self {
            prefix: format!("{}:", parameters.group_id).into(),
            rollout: parameters.rollout,
            sums,
            total,
        })
    }

    /// The variant of `unit`.
    pub fn pick(&self, unit: &str) -> Pick {
        let rollout = self.normalized(unit, ROLLOUT_SEED, 100);
        if rollout > self.rollout {
            return Pick::Out { bucket: rollout };
        }
        let target = self.normalized(unit, VARIANT_SEED, self.total);
        Pick::from_index(self.sums.iter().position(|&sum| sum >= target), target)
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let claims = shares::cumulative(self.sums.iter().enumerate().map(|(index, sum)| (Some(index), *sum)));
        shares::first_wins(variants, &claims, &[], &shares::remainders(self.total))
    }

    fn normalized(&self, unit: &str, seed: u32, modulus: u32) -> u32 {
        let hash = murmur3_32(&[self.prefix.as_bytes(), unit.as_bytes()], seed);
        // The modulus is 100 or a checked sum: never 0, so the remainder exists and is below
        // u32::MAX.
        hash.checked_rem(modulus).unwrap_or_default().saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(group_id: &str, rollout: u32, weights: &[u32]) -> Unleash {
        Unleash::new(&UnleashParameters { group_id, rollout, variant_weights: weights }).unwrap()
    }

    #[test]
    fn known_values() {
        let gr1 = strategy("gr1", 100, &[1]);
        assert_eq!(gr1.normalized("123", ROLLOUT_SEED, 100), 73);
        assert_eq!(gr1.normalized("é", ROLLOUT_SEED, 100), 66);
        // From the Unleash client specification.
        assert_eq!(strategy("groupX", 100, &[1]).normalized("999", ROLLOUT_SEED, 100), 25);
        assert_eq!(gr1.normalized("123", VARIANT_SEED, 100), 96);
        assert_eq!(strategy("groupX", 100, &[1]).normalized("999", VARIANT_SEED, 100), 60);
    }

    #[test]
    fn the_rollout_includes_its_percentage() {
        assert_eq!(strategy("gr1", 72, &[1]).pick("123"), Pick::Out { bucket: 73 });
        assert_eq!(strategy("gr1", 73, &[1]).pick("123"), Pick::Variant { index: 0, bucket: 1 });
        assert_eq!(strategy("gr1", 0, &[1]).pick("123"), Pick::Out { bucket: 73 });
    }

    #[test]
    fn a_cumulative_weight_includes_its_end() {
        assert_eq!(strategy("gr1", 100, &[96, 4]).pick("123"), Pick::Variant { index: 0, bucket: 96 });
        assert_eq!(strategy("gr1", 100, &[95, 5]).pick("123"), Pick::Variant { index: 1, bucket: 96 });
        assert_eq!(strategy("gr1", 100, &[0, 95, 0, 5]).pick("123"), Pick::Variant { index: 3, bucket: 96 });
    }

    #[test]
    fn refuses_wrong_parameters() {
        let error = |rollout, variant_weights: &[u32]| {
            Unleash::new(&UnleashParameters { group_id: "g", rollout, variant_weights }).unwrap_err().field()
        };
        assert_eq!(error(101, &[1]), "rollout");
        assert_eq!(error(100, &[]), "variant_weights");
        assert_eq!(error(100, &[0, 0]), "variant_weights");
        assert_eq!(error(100, &[u32::MAX, 1]), "variant_weights");
    }
}
