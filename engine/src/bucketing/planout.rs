//! PlanOut (the reference Python implementation; the JavaScript one agrees in its "core compatible"
//! build).
//!
//! `h = int(sha1hex(experiment_salt.parameter_salt.unit)[:15], 16)`. `UniformChoice`: `h % n`.
//! `WeightedChoice`: `h / 0xFFFFFFFFFFFFFFF * sum(weights)` in f64, the first cumulative weight
//! `>=` it.
//!
//! Traps: equal weights are not the uniform choice, they give other variants; the weighted
//! comparison includes the end; sums are f64, added left to right; the default JavaScript build
//! hashes 13 digits, not 15. The empty unit is hashed like any other. The Python implementation
//! refuses non-ASCII text; UTF-8 is what every other one does.
//!
//! Buckets are `floor(h / 0xFFFFFFFFFFFFFFF * 10_000)`, for both choices.

use super::sha1_60::PrefixedSha1;
use super::{ParameterError, Pick, float_bucket};

/// One random assignment of a PlanOut script.
#[derive(Debug, Clone, Copy)]
pub struct PlanOutParameters<'a> {
    /// The experiment's salt (PlanOut's default is its name).
    pub experiment_salt: &'a str,
    /// The parameter's salt (PlanOut's default is its name).
    pub parameter_salt: &'a str,
    /// How many variants, in the order of `choices`.
    pub variants: usize,
    /// One weight per variant for `WeightedChoice`; `None` for `UniformChoice`.
    pub weights: Option<&'a [f64]>,
}

/// A ready assignment.
#[derive(Debug, Clone)]
pub struct PlanOut {
    hash: PrefixedSha1,
    choice: Choice,
}

#[derive(Debug, Clone)]
enum Choice {
    Uniform(usize),
    /// Running sums, and the last of them.
    Weighted(Box<[f64]>, f64),
}

impl PlanOut {
    /// Errors: no variants, weights of another count, not finite, negative or all 0.
    pub fn new(parameters: &PlanOutParameters<'_>) -> Result<Self, ParameterError> {
        if parameters.variants == 0 {
            return Err(ParameterError::Empty { field: "variants", expected: "at least one variant" });
        }
        let choice = match parameters.weights {
            None => Choice::Uniform(parameters.variants),
            Some(weights) => weighted(weights, parameters.variants)?,
        };
        let prefix = format!("{}.{}.", parameters.experiment_salt, parameters.parameter_salt);
        Ok(Self { hash: PrefixedSha1::new(&prefix), choice })
    }

    /// The variant of `unit`.
    pub fn pick(&self, unit: &str) -> Pick {
        let hash = self.hash.integer(unit);
        let fraction = PrefixedSha1::scaled(hash);
        let index = match &self.choice {
            Choice::Uniform(count) => u64::try_from(*count)
                .ok()
                .and_then(|count| hash.checked_rem(count))
                .and_then(|i| i.try_into().ok()),
            Choice::Weighted(sums, total) => {
                let stop = fraction * total;
                sums.iter().position(|&sum| stop <= sum)
            }
        };
        Pick::from_index(index, float_bucket(fraction))
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        match &self.choice {
            Choice::Uniform(_) => vec![1.0; variants],
            Choice::Weighted(sums, _) => {
                let mut before = 0.0;
                sums.iter().map(|sum| sum - std::mem::replace(&mut before, *sum)).collect()
            }
        }
    }
}

fn weighted(weights: &[f64], variants: usize) -> Result<Choice, ParameterError> {
    let field = "weights";
    if weights.len() != variants {
        return Err(ParameterError::Count { field, expected: variants, found: weights.len() });
    }
    let mut total = 0.0;
    let mut sums = Vec::with_capacity(weights.len());
    for (index, &found) in weights.iter().enumerate() {
        if !found.is_finite() || found < 0.0 {
            let expected = "a finite number of at least 0";
            return Err(ParameterError::Number { field, index: Some(index), expected, found });
        }
        total += found;
        sums.push(total);
    }
    if total > 0.0 && total.is_finite() {
        Ok(Choice::Weighted(sums.into(), total))
    } else {
        Err(ParameterError::Total { field, expected: "more than 0", found: total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(variants: usize, weights: Option<&[f64]>) -> PlanOut {
        let parameters =
            PlanOutParameters { experiment_salt: "exp", parameter_salt: "param", variants, weights };
        PlanOut::new(&parameters).unwrap()
    }

    #[test]
    fn uniform_is_the_remainder_of_the_whole_integer() {
        let hash = choice(1, None).hash.integer("user-1");
        for variants in 1..10 {
            let expected = usize::try_from(hash % variants as u64).unwrap();
            assert_eq!(choice(variants, None).pick("user-1").index(), Some(expected));
        }
    }

    #[test]
    fn a_cumulative_weight_includes_its_end() {
        let fraction = choice(1, None).hash.fraction("user-1");
        assert_eq!(choice(2, Some(&[fraction, 1.0 - fraction])).pick("user-1").index(), Some(0));
        let below = fraction.next_down();
        assert_eq!(choice(2, Some(&[below, 1.0 - below])).pick("user-1").index(), Some(1));
    }

    #[test]
    fn zero_weights_get_nobody() {
        assert_eq!(choice(3, Some(&[0.0, 5.0, 0.0])).pick("user-1").index(), Some(1));
    }

    #[test]
    fn refuses_wrong_parameters() {
        let field = |variants, weights: Option<&[f64]>| {
            let parameters =
                PlanOutParameters { experiment_salt: "e", parameter_salt: "p", variants, weights };
            PlanOut::new(&parameters).unwrap_err().field()
        };
        assert_eq!(field(0, None), "variants");
        assert_eq!(field(2, Some(&[1.0])), "weights");
        assert_eq!(field(2, Some(&[1.0, f64::NAN])), "weights");
        assert_eq!(field(2, Some(&[1.0, -1.0])), "weights");
        assert_eq!(field(2, Some(&[0.0, 0.0])), "weights");
        assert_eq!(field(2, Some(&[f64::MAX, f64::MAX])), "weights");
    }
}
