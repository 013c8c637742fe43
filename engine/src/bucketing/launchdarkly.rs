//! LaunchDarkly percentage rollouts and experiments.
//!
//! `n = int(sha1hex(prefix + "." + key)[:15], 16) / 0xFFFFFFFFFFFFFFF` in f64, prefix =
//! `flag_key.salt`, or the decimal seed when there is one. Walking the variants, `sum += weight /
//! 100000`; the first with `n < sum` wins, else the last.
//!
//! Traps: the scale is an f64 and so 2^60; the sum is of rounded quotients, not a quotient of sums;
//! weights below 100,000 in total give the rest to the last variant, also if its own weight is 0; a
//! seed replaces both flag key and salt. A context with an empty key is invalid, so an empty unit
//! is out.
//!
//! Buckets are `floor(n * 10_000)`.

use super::sha1_60::PrefixedSha1;
use super::{ParameterError, Pick, float_bucket};

const TOTAL: u32 = 100_000;

/// A rollout as LaunchDarkly holds it.
#[derive(Debug, Clone, Copy)]
pub struct LaunchDarklyParameters<'a> {
    /// The flag's key.
    pub flag_key: &'a str,
    /// The flag's salt.
    pub salt: &'a str,
    /// The rollout's seed, which replaces key and salt.
    pub seed: Option<i64>,
    /// One weight per variant, of 100,000.
    pub weights: &'a [u32],
}

/// A ready rollout.
#[derive(Debug, Clone)]
pub struct LaunchDarkly {
    hash: PrefixedSha1,
    /// Running sums of `weight / 100000`.
    sums: Box<[f64]>,
}

impl LaunchDarkly {
    /// Errors: no weights, weights that sum to 0 or more than 100,000.
    pub fn new(parameters: &LaunchDarklyParameters<'_>) -> Result<Self, ParameterError> {
        super::cumulative("weights", parameters.weights, TOTAL, "1 to 100000")?;
        let prefix = match parameters.seed {
            Some(seed) => format!("{seed}."),
            None => format!("{}.{}.", parameters.flag_key, parameters.salt),
        };
        let mut sum = 0.0;
        let sums = parameters.weights.iter().map(|&weight| {
            sum += f64::from(weight) / f64::from(TOTAL);
            sum
        });
        Ok(Self { sums: sums.collect(), hash: PrefixedSha1::new(&prefix) })
    }

    /// The variant of `unit`, LaunchDarkly's context key; an empty one is out.
    pub fn pick(&self, unit: &str) -> Pick {
        if unit.is_empty() {
            return Pick::Out { bucket: 0 };
        }
        let n = self.hash.fraction(unit);
        let last = self.sums.len().saturating_sub(1);
        let index = self.sums.iter().position(|&sum| n < sum).unwrap_or(last);
        Pick::Variant { index, bucket: float_bucket(n) }
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let last = self.sums.len().saturating_sub(1);
        let mut before = 0.0;
        let mut shares: Vec<f64> = Vec::with_capacity(variants);
        for (index, &sum) in self.sums.iter().enumerate() {
            let end = if index == last { 1.0 } else { sum.min(1.0) };
            shares.push(end - before);
            before = end;
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(seed: Option<i64>, weights: &[u32]) -> LaunchDarkly {
        LaunchDarkly::new(&LaunchDarklyParameters { flag_key: "my-exp", salt: "salt", seed, weights })
            .unwrap()
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 5e-9
    }

    #[test]
    fn known_values() {
        assert!(close(rollout(None, &[1]).hash.fraction("user-1"), 0.713_980_70));
        // From LaunchDarkly's SDK test suites.
        let keyed = |flag_key, salt, seed, unit: &str| {
            let parameters = LaunchDarklyParameters { flag_key, salt, seed, weights: &[1] };
            LaunchDarkly::new(&parameters).unwrap().hash.fraction(unit)
        };
        assert!((keyed("hashKey", "saltyA", None, "userKeyA") - 0.421_575_87).abs() < 1e-7);
        assert!((keyed("hashKey", "saltyA", Some(61), "userKeyA") - 0.098_012_07).abs() < 1e-7);
    }

    #[test]
    fn ends_are_exclusive_and_the_last_takes_the_rest() {
        assert_eq!(
            rollout(None, &[71_398, 28_602]).pick("user-1"),
            Pick::Variant { index: 1, bucket: 7_139 }
        );
        assert_eq!(
            rollout(None, &[71_399, 28_601]).pick("user-1"),
            Pick::Variant { index: 0, bucket: 7_139 }
        );
        assert_eq!(rollout(None, &[10, 10, 0]).pick("user-1").index(), Some(2));
    }

    #[test]
    fn a_seed_replaces_key_and_salt() {
        let other =
            LaunchDarklyParameters { flag_key: "other", salt: "else", seed: Some(-61), weights: &[1] };
        let other = LaunchDarkly::new(&other).unwrap();
        assert_eq!(rollout(Some(-61), &[1]).pick("user-1"), other.pick("user-1"));
    }

    #[test]
    fn an_empty_unit_is_out() {
        assert_eq!(rollout(None, &[100_000]).pick(""), Pick::Out { bucket: 0 });
    }

    #[test]
    fn refuses_wrong_parameters() {
        for weights in [&[][..], &[0, 0], &[100_000, 1]] {
            let parameters = LaunchDarklyParameters { flag_key: "f", salt: "s", seed: None, weights };
            assert_eq!(LaunchDarkly::new(&parameters).unwrap_err().field(), "weights");
        }
    }
}
