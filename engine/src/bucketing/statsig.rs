//! Statsig.
//!
//! `H` = the first 8 bytes of SHA-256, big-endian. Pass: `H(config_salt.rule_salt.id) % 10_000 <
//! percentage * 100`, where 0 and 100 are decided without hashing. Group: `H(salt.id) % 1_000`, the
//! first group whose end is above it.
//!
//! Traps: the percentage is an f64 and so is its product (0.07 % lets bucket 7 in, because 0.07 *
//! 100 is 7.000000000000001); the group hash has no rule salt. A user without an id is refused by
//! the SDK, so an empty unit is out.
//!
//! Buckets are of the group hash (0..1,000); a unit that did not pass reports the pass hash
//! (0..10,000), or 0 when nobody passes.

use sha2::{Digest, Sha256};

use super::{ParameterError, Pick, shares};

const PASS_BUCKETS: u64 = 10_000;
const GROUP_BUCKETS: u64 = 1_000;

/// An experiment as in a Statsig config spec.
#[derive(Debug, Clone, Copy)]
pub struct StatsigParameters<'a> {
    /// The config's salt.
    pub config_salt: &'a str,
    /// The rule's salt (Statsig's default is the rule's id).
    pub rule_salt: &'a str,
    /// Percentage of units that pass, 0 to 100.
    pub pass_percentage: f64,
    /// The salt of the `user_bucket` conditions; in an experiment that Statsig made it is the
    /// config's.
    pub group_salt: &'a str,
    /// How many variants the experiment has.
    pub variants: usize,
    /// Variant (`None`: nobody) and exclusive end of its group, in thousandths, ascending.
    pub groups: &'a [(Option<usize>, u32)],
}

/// A ready experiment.
#[derive(Debug, Clone)]
pub struct Statsig {
    pass: Pass,
    group: Sha256,
    /// The group's salt makes the hash of the pass.
    is_one_hash: bool,
    groups: Box<[(Option<usize>, u32)]>,
}

#[derive(Debug, Clone)]
enum Pass {
    All,
    None,
    /// The absorbed salts and `percentage * 100`.
    Below(Sha256, f64),
}

impl Statsig {
    /// Errors: a percentage outside 0 to 100, no groups, ends above 1,000 or descending, variants
    /// that do not exist.
    pub fn new(parameters: &StatsigParameters<'_>) -> Result<Self, ParameterError> {
        let percentage = parameters.pass_percentage;
        if !(0.0..=100.0).contains(&percentage) {
            let expected = "a percentage from 0 to 100";
            return Err(ParameterError::Number {
                field: "pass_percentage",
                index: None,
                expected,
                found: percentage,
            });
        }
        check_groups(parameters)?;
        let salted = |salt: &str| Sha256::new_with_prefix(salt).chain_update(".");
        Ok(Self {
            pass: if percentage == 0.0 {
                Pass::None
            } else if percentage == 100.0 {
                Pass::All
            } else {
                let salts = salted(parameters.config_salt).chain_update(parameters.rule_salt);
                Pass::Below(salts.chain_update("."), percentage * 100.0)
            },
            group: salted(parameters.group_salt),
            is_one_hash: parameters.group_salt
                == format!("{}.{}", parameters.config_salt, parameters.rule_salt),
            groups: parameters.groups.into(),
        })
    }

    /// The variant of `unit`; an empty one is out.
    pub fn pick(&self, unit: &str) -> Pick {
        if unit.is_empty() {
            return Pick::Out { bucket: 0 };
        }
        match &self.pass {
            Pass::All => {}
            Pass::None => return Pick::Out { bucket: 0 },
            Pass::Below(salts, threshold) => {
                let bucket = (hash(salts, unit) % PASS_BUCKETS) as u32;
                if f64::from(bucket) >= *threshold {
                    return Pick::Out { bucket };
                }
            }
        }
        let bucket = (hash(&self.group, unit) % GROUP_BUCKETS) as u32;
        let group = self.groups.iter().find(|&&(_, end)| bucket < end);
        Pick::from_index(group.and_then(|&(variant, _)| variant), bucket)
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let groups = shares::cumulative(self.groups.iter().copied());
        match &self.pass {
            Pass::None => vec![0.0; variants],
            Pass::Below(_, threshold) if self.is_one_hash => {
                // The group's bucket is the pass bucket's remainder.
                let turns = (0..PASS_BUCKETS).step_by(GROUP_BUCKETS as usize);
                let claims: Vec<shares::Claim> = turns
                    .flat_map(|turn| {
                        groups.iter().map(move |(start, end, variant)| {
                            (turn.saturating_add(*start), turn.saturating_add(*end), *variant)
                        })
                    })
                    .collect();
                let gate = vec![(0, threshold.ceil() as u64)];
                shares::first_wins(variants, &claims, &[gate], &shares::even())
            }
            _ => shares::first_wins(variants, &groups, &[], &shares::even()),
        }
    }
}

/// The first eight bytes of the digest, big-endian.
fn hash(salted: &Sha256, unit: &str) -> u64 {
    let digest = salted.clone().chain_update(unit).finalize();
    digest.iter().take(8).fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
}

fn check_groups(parameters: &StatsigParameters<'_>) -> Result<(), ParameterError> {
    let field = "groups";
    if parameters.groups.is_empty() {
        return Err(ParameterError::Empty { field, expected: "at least one group" });
    }
    let mut last = 0;
    for (index, &(variant, end)) in parameters.groups.iter().enumerate() {
        if u64::from(end) > GROUP_BUCKETS || end < last {
            let (expected, found) = ("ascending ends of at most 1000", f64::from(end));
            return Err(ParameterError::Number { field, index: Some(index), expected, found });
        }
        if let Some(found) = variant.filter(|&variant| variant >= parameters.variants) {
            return Err(ParameterError::Variant { field, index, expected: parameters.variants, found });
        }
        last = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters<'a>(pass_percentage: f64, groups: &'a [(Option<usize>, u32)]) -> StatsigParameters<'a> {
        StatsigParameters {
            config_salt: "cfgsalt",
            rule_salt: "rulesalt",
            pass_percentage,
            group_salt: "cfgsalt",
            variants: 2,
            groups,
        }
    }

    fn pick(pass_percentage: f64, groups: &[(Option<usize>, u32)]) -> Pick {
        Statsig::new(&parameters(pass_percentage, groups)).unwrap().pick("user-1")
    }

    #[test]
    fn known_value() {
        let salts = Sha256::new_with_prefix("cfgsalt.rulesalt.");
        assert_eq!(hash(&salts, "user-1") % PASS_BUCKETS, 5_334);
    }

    #[test]
    fn the_pass_percentage_is_exclusive() {
        let all = [(Some(0), 1_000)];
        assert_eq!(pick(53.34, &all), Pick::Out { bucket: 5_334 });
        assert_eq!(pick(53.35, &all).index(), Some(0));
        assert_eq!(pick(100.0, &all).index(), Some(0));
        assert_eq!(pick(0.0, &all), Pick::Out { bucket: 0 });
    }

    #[test]
    fn group_ends_are_exclusive() {
        let bucket = pick(100.0, &[(Some(0), 1_000)]).bucket();
        let after = bucket.wrapping_add(1);
        assert_eq!(pick(100.0, &[(Some(0), bucket), (Some(1), 1_000)]), Pick::Variant { index: 1, bucket });
        assert_eq!(pick(100.0, &[(Some(0), after), (Some(1), 1_000)]), Pick::Variant { index: 0, bucket });
        assert_eq!(pick(100.0, &[(Some(0), bucket)]), Pick::Out { bucket });
        assert_eq!(pick(100.0, &[(None, after), (Some(1), 1_000)]), Pick::Out { bucket });
    }

    #[test]
    fn an_empty_unit_is_out() {
        let all = Statsig::new(&parameters(100.0, &[(Some(0), 1_000)])).unwrap();
        assert_eq!(all.pick(""), Pick::Out { bucket: 0 });
    }

    #[test]
    fn refuses_wrong_parameters() {
        let field = |percentage, groups: &[(Option<usize>, u32)]| {
            Statsig::new(&parameters(percentage, groups)).unwrap_err().field()
        };
        assert_eq!(field(f64::NAN, &[(Some(0), 1_000)]), "pass_percentage");
        assert_eq!(field(100.1, &[(Some(0), 1_000)]), "pass_percentage");
        assert_eq!(field(50.0, &[]), "groups");
        assert_eq!(field(50.0, &[(Some(0), 1_001)]), "groups");
        assert_eq!(field(50.0, &[(Some(0), 600), (Some(1), 500)]), "groups");
        assert_eq!(field(50.0, &[(Some(2), 600)]), "groups");
    }
}
