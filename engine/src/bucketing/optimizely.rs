//! Optimizely Feature Experimentation.
//!
//! `bucket = floor(mm3(bucketing_id + parent_id, seed 1) / 2^32 * 10_000)`; the first allocation
//! with `bucket < end_of_range` wins. An experiment of a random group is hashed twice: with the
//! group's id to find the group's experiment, and, if that is this one, with the experiment's id.
//!
//! Traps: the parent id comes after the unit; hash and experiment ids are numeric *text*; an
//! allocation without a variant is traffic held back, not a mistake; ends may repeat (a variant at
//! 0 %). The empty unit is hashed like any other.
//!
//! Buckets are 0..10,000; a unit turned away by the group reports the group's bucket.

use super::{BUCKETS, ParameterError, Pick, murmur3_32, shares};

const SEED: u32 = 1;

/// An experiment as in an Optimizely datafile.
#[derive(Debug, Clone, Copy)]
pub struct OptimizelyParameters<'a> {
    /// The experiment's numeric id, as text.
    pub experiment_id: &'a str,
    /// How many variants the experiment has.
    pub variants: usize,
    /// Variant (`None`: nobody) and exclusive end of its range, in ten-thousandths, ascending.
    pub traffic_allocation: &'a [(Option<usize>, u32)],
    /// The random group the experiment is in.
    pub group: Option<OptimizelyGroup<'a>>,
}

/// A mutually exclusive group with the policy `random`.
#[derive(Debug, Clone, Copy)]
pub struct OptimizelyGroup<'a> {
    /// The group's numeric id, as text.
    pub id: &'a str,
    /// Experiment id (empty: nobody) and exclusive end of its range, in ten-thousandths, ascending.
    pub traffic_allocation: &'a [(&'a str, u32)],
}

/// A ready experiment.
#[derive(Debug, Clone)]
pub struct Optimizely {
    experiment_id: Box<str>,
    allocations: Box<[(Option<usize>, u32)]>,
    group: Option<Group>,
}

#[derive(Debug, Clone)]
struct Group {
    id: Box<str>,
    /// Whether the slot is this experiment's, and its end.
    allocations: Box<[(bool, u32)]>,
}

impl Optimizely {
    /// Errors: no allocation, ends above 10,000 or descending, variants that do not exist, a group
    /// that never names the experiment.
    pub fn new(parameters: &OptimizelyParameters<'_>) -> Result<Self, ParameterError> {
        let field = "traffic_allocation";
        check_ends(field, parameters.traffic_allocation.iter().map(|&(_, end)| end))?;
        for (index, &(variant, _)) in parameters.traffic_allocation.iter().enumerate() {
            if let Some(found) = variant.filter(|&variant| variant >= parameters.variants) {
                return Err(ParameterError::Variant { field, index, expected: parameters.variants, found });
            }
        }
        Ok(Self {
            experiment_id: parameters.experiment_id.into(),
            allocations: parameters.traffic_allocation.into(),
            group: parameters.group.map(|group| Group::new(&group, parameters.experiment_id)).transpose()?,
        })
    }

    /// The variant of `unit`, Optimizely's bucketing id.
    pub fn pick(&self, unit: &str) -> Pick {
        if let Some(group) = &self.group {
            let bucket = bucket(unit, &group.id);
            if first_below(&group.allocations, bucket) != Some(true) {
                return Pick::Out { bucket };
            }
        }
        let bucket = bucket(unit, &self.experiment_id);
        Pick::from_index(first_below(&self.allocations, bucket).flatten(), bucket)
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let claims = shares::cumulative(self.allocations.iter().copied());
        // A group of the experiment's own id hashes as the experiment does.
        let gate = self.group.as_ref().filter(|group| group.id == self.experiment_id).map(|group| {
            let slots = group.allocations.iter().map(|(ours, end)| (ours.then_some(0), *end));
            let ours = shares::cumulative(slots).into_iter().filter(|(_, _, ours)| ours.is_some());
            ours.map(|(start, end, _)| (start, end)).collect()
        });
        shares::first_wins(variants, &claims, gate.as_slice(), &shares::scaled(BUCKETS))
    }
}

impl Group {
    fn new(group: &OptimizelyGroup<'_>, experiment_id: &str) -> Result<Self, ParameterError> {
        let field = "group.traffic_allocation";
        check_ends(field, group.traffic_allocation.iter().map(|&(_, end)| end))?;
        let allocations: Box<[_]> =
            group.traffic_allocation.iter().map(|&(id, end)| (id == experiment_id, end)).collect();
        if !allocations.iter().any(|&(ours, _)| ours) {
            return Err(ParameterError::Empty {
                field,
                expected: "an entry for this experiment's experiment_id",
            });
        }
        Ok(Self { id: group.id.into(), allocations })
    }
}

fn bucket(unit: &str, parent_id: &str) -> u32 {
    let hash = murmur3_32(&[unit.as_bytes(), parent_id.as_bytes()], SEED);
    // The SDK's f64 product is exact (32 + 14 bits), so multiply-shift is the same floor.
    (u64::from(hash).wrapping_mul(u64::from(BUCKETS)) >> 32) as u32
}

fn first_below<T: Copy>(allocations: &[(T, u32)], bucket: u32) -> Option<T> {
    allocations.iter().find(|&&(_, end)| bucket < end).map(|&(entity, _)| entity)
}

fn check_ends(field: &'static str, ends: impl Iterator<Item = u32>) -> Result<(), ParameterError> {
    let mut last = None;
    for (index, end) in ends.enumerate() {
        if end > BUCKETS || last.is_some_and(|last| end < last) {
            let expected = "ascending ends of at most 10000";
            return Err(ParameterError::Number {
                field,
                index: Some(index),
                expected,
                found: f64::from(end),
            });
        }
        last = Some(end);
    }
    last.map(drop).ok_or(ParameterError::Empty { field, expected: "at least one allocation" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPERIMENT: &str = "1886780721";

    fn experiment<'a>(allocation: &'a [(Option<usize>, u32)]) -> OptimizelyParameters<'a> {
        OptimizelyParameters {
            experiment_id: EXPERIMENT,
            variants: 2,
            traffic_allocation: allocation,
            group: None,
        }
    }

    /// The values of the SDKs' own test suites.
    #[test]
    fn known_values() {
        assert_eq!(bucket("ppid1", EXPERIMENT), 5_254);
        assert_eq!(bucket("ppid2", EXPERIMENT), 4_299);
        assert_eq!(bucket("ppid2", "1886780722"), 2_434);
        assert_eq!(bucket("ppid3", EXPERIMENT), 5_439);
    }

    #[test]
    fn ends_are_exclusive() {
        for (ends, index) in [([5_254, 10_000], 1), ([5_255, 10_000], 0)] {
            let allocation = [(Some(0), ends[0]), (Some(1), ends[1])];
            let pick = Optimizely::new(&experiment(&allocation)).unwrap().pick("ppid1");
            assert_eq!(pick, Pick::Variant { index, bucket: 5_254 });
        }
    }

    #[test]
    fn traffic_without_a_variant_is_out() {
        let pick = Optimizely::new(&experiment(&[(None, 10_000)])).unwrap().pick("ppid1");
        assert_eq!(pick, Pick::Out { bucket: 5_254 });
        let pick = Optimizely::new(&experiment(&[(Some(0), 5_254)])).unwrap().pick("ppid1");
        assert_eq!(pick, Pick::Out { bucket: 5_254 });
    }

    #[test]
    fn a_group_hashes_first() {
        let in_group = bucket("ppid1", "19228");
        for (allocation, enters) in [
            ([("other", in_group), (EXPERIMENT, 10_000)], true),
            ([("other", in_group.wrapping_add(1)), (EXPERIMENT, 10_000)], false),
        ] {
            let group = Some(OptimizelyGroup { id: "19228", traffic_allocation: &allocation });
            let parameters = OptimizelyParameters { group, ..experiment(&[(Some(1), 10_000)]) };
            let pick = Optimizely::new(&parameters).unwrap().pick("ppid1");
            let expected = if enters {
                Pick::Variant { index: 1, bucket: 5_254 }
            } else {
                Pick::Out { bucket: in_group }
            };
            assert_eq!(pick, expected);
        }
    }

    #[test]
    fn refuses_wrong_parameters() {
        let error =
            |allocation: &[(Option<usize>, u32)]| Optimizely::new(&experiment(allocation)).unwrap_err();
        assert!(matches!(error(&[]), ParameterError::Empty { .. }));
        assert!(matches!(error(&[(Some(0), 10_001)]), ParameterError::Number { index: Some(0), .. }));
        assert!(matches!(
            error(&[(Some(0), 50), (Some(1), 49)]),
            ParameterError::Number { index: Some(1), .. }
        ));
        assert!(matches!(error(&[(Some(2), 50)]), ParameterError::Variant { found: 2, .. }));
        let group = Some(OptimizelyGroup { id: "1", traffic_allocation: &[("other", 10_000)] });
        let parameters = OptimizelyParameters { group, ..experiment(&[(Some(0), 10_000)]) };
        assert_eq!(Optimizely::new(&parameters).unwrap_err().field(), "group.traffic_allocation");
    }
}
