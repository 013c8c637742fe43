//! An experiment's bucketing: the default arithmetic, or another system's with
//! its own parameters.

use splitway_document::{ADVICE, Code, MESSAGES, Place, Problem, describe_text, prose};

use super::compiler::Compiler;
use crate::bucketing::{
    BUCKETS, Dialect, Eppo, EppoParameters, Flagd, FlagdParameters, GrowthBook, GrowthBookFilter,
    GrowthBookParameters, HashVersion, LaunchDarkly, LaunchDarklyParameters, Optimizely, OptimizelyGroup,
    OptimizelyParameters, ParameterError, PlanOut, PlanOutParameters, Split as SplitDialect, SplitParameters,
    Statsig, StatsigParameters, Unleash, UnleashParameters,
};
use crate::ids::VariantId;
use crate::plan::{Partition, Split};
use crate::wire;

/// LaunchDarkly's weights are of this.
const LAUNCHDARKLY_TOTAL: f64 = 100_000.0;

/// Smaller differences of shares are the grain of the system's buckets.
const NOTICEABLE: f64 = 0.001;

/// A dialect, the parameter that divides the units, and what it writes down for
/// each variant, in any unit; or what is wrong with its parameters (`None`: it
/// is told already).
type Made = Result<(Dialect, &'static str, Vec<f64>), Option<ParameterError>>;

impl<'c> Compiler<'c> {
    /// How units of `experiment` get their variant.
    pub(super) fn split(&mut self, at: Place<'_>, experiment: &'c wire::Experiment) -> Split {
        let bucketing_at = at.key("bucketing");
        let made = match &experiment.bucketing {
            None => return self.own_split(at.key("id"), experiment, None),
            Some(wire::Bucketing::Splitway(own)) => {
                return self.own_split(bucketing_at.key("salt"), experiment, own.salt.as_deref());
            }
            Some(foreign) => {
                for (index, variant) in experiment.variants.iter().enumerate() {
                    if !variant.buckets.is_empty() {
                        let list = at.key("variants");
                        let expected = "no buckets, because another dialect divides the units";
                        self.error(list.index(index).key("buckets"), Code::Conflict, expected, "some");
                    }
                }
                self.dialect(bucketing_at, experiment, foreign)
            }
        };
        match made {
            Ok((dialect, field, stated)) => {
                if ADVICE {
                    self.advise(bucketing_at, field, experiment, &stated, &dialect);
                }
                return Split::Dialect(Box::new(dialect));
            }
            Err(Some(error)) => self.parameter(at, &error),
            Err(None) => {}
        }
        self.inert()
    }

    /// Warns where the ranges that decide are not what the parameters write down.
    fn advise(
        &mut self,
        at: Place<'_>,
        field: &str,
        experiment: &wire::Experiment,
        stated: &[f64],
        dialect: &Dialect,
    ) {
        let names = || experiment.variants.iter().map(|variant| variant.id.as_str());
        let list = |shares: &[f64]| -> String {
            let each = names().zip(shares).map(|(id, share)| format!("{id} {}%", percent(*share)));
            each.collect::<Vec<_>>().join(", ")
        };
        let deciding = dialect.shares(experiment.variants.len());
        let total: f64 = stated.iter().sum();
        let stated: Vec<f64> =
            stated.iter().map(|share| if total > 0.0 { share / total } else { 0.0 }).collect();
        let mut warn = |at: Place<'_>, expected: &str, found: &str, advice: &'static str| {
            let problem = Problem::error(at.path(), Code::Conflict, expected, found).warning();
            self.problems.push(problem.suggest(|| advice.to_owned()));
        };
        if deciding.iter().all(|share| *share == 0.0) {
            let expected = "parameters that give some unit a variant";
            warn(at.key(field), expected, "no unit gets a variant", "the experiment is empty as it is");
        } else if stated.iter().zip(&deciding).any(|(one, other)| (one - other).abs() > NOTICEABLE) {
            let expected = format!("the shares that the system gives, {}", list(&deciding));
            let advice =
                "plans and analyses expect what the system gives; write that down, or mend the parameters";
            warn(at.key(field), &expected, &list(&stated), advice);
        }
        let scale = match &experiment.bucketing {
            Some(wire::Bucketing::GrowthbookV1(own) | wire::Bucketing::GrowthbookV2(own)) => {
                own.coverage.filter(|share| !(0.0..=1.0).contains(share)).map(|found| {
                    let advice = "GrowthBook takes less for 0 and more for 1: 2 % is 0.02";
                    ("coverage", "a fraction from 0 to 1", found, advice)
                })
            }
            Some(wire::Bucketing::Statsig(own)) => {
                own.pass_percentage.filter(|share| *share > 0.0 && *share < 1.0).map(|found| {
                    let advice = "this is less than one percent of the units: half of them is 50";
                    ("pass_percentage", "a percentage from 0 to 100", found, advice)
                })
            }
            _ => None,
        };
        if let Some((name, expected, found, advice)) = scale {
            warn(at.key(name), expected, &splitway_document::describe_number(found), advice);
        }
    }

    /// Stands in where there is a problem.
    fn inert(&self) -> Split {
        Split::Splitway {
            hash: crate::bucketing::SaltedHash::new(""),
            variants: Partition::whole(VariantId(0)),
        }
    }

    fn parameter(&mut self, at: Place<'_>, error: &ParameterError) {
        let field = error.field();
        let (expected, found) = if MESSAGES { (error.expected(), error.found()) } else { Default::default() };
        if field == "variants" {
            self.error_in(&at, "variants", Code::InvalidValue, &expected, &found);
            return;
        }
        let bucketing_at = at.key("bucketing");
        let field_at = bucketing_at.key(field);
        let place = match error.index() {
            Some(index) => field_at.index(index),
            None => field_at,
        };
        self.error(place, Code::InvalidValue, &expected, &found);
    }

    fn dialect(
        &mut self,
        at: Place<'_>,
        experiment: &'c wire::Experiment,
        foreign: &wire::Bucketing,
    ) -> Made {
        match foreign {
            wire::Bucketing::Splitway(_) => Err(None),
            wire::Bucketing::GrowthbookV1(own) => growthbook(experiment, own, HashVersion::V1),
            wire::Bucketing::GrowthbookV2(own) => growthbook(experiment, own, HashVersion::V2),
            wire::Bucketing::Optimizely(own) => self.optimizely(at, experiment, own),
            wire::Bucketing::Unleash(own) => self.unleash(at, experiment, own),
            wire::Bucketing::Launchdarkly(own) => self.launchdarkly(at, experiment, own),
            wire::Bucketing::Statsig(own) => self.statsig(at, experiment, own),
            wire::Bucketing::Split(own) => self.split_io(at, experiment, own),
            wire::Bucketing::Planout(own) => planout(experiment, own),
            wire::Bucketing::Eppo(own) => self.eppo(at, experiment, own),
            wire::Bucketing::Flagd(own) => self.flagd(at, experiment, own),
        }
    }

    fn optimizely(
        &mut self,
        at: Place<'_>,
        experiment: &wire::Experiment,
        own: &wire::OptimizelyBucketing,
    ) -> Made {
        let list = at.key("traffic_allocation");
        let mut allocation = Vec::with_capacity(own.traffic_allocation.len());
        for (index, piece) in own.traffic_allocation.iter().enumerate() {
            let entry = list.index(index);
            let variant = self.variant_of(entry.key("variant"), experiment, piece.variant.as_deref())?;
            allocation.push((variant, piece.end_of_range));
        }
        let pieces: Vec<(&str, u32)> = own
            .group
            .iter()
            .flat_map(|group| &group.traffic_allocation)
            .map(|piece| (piece.experiment_id.as_str(), piece.end_of_range))
            .collect();
        let dialect = Optimizely::new(&OptimizelyParameters {
            experiment_id: &own.experiment_id,
            variants: experiment.variants.len(),
            traffic_allocation: &allocation,
            group: own
                .group
                .as_ref()
                .map(|group| OptimizelyGroup { id: &group.id, traffic_allocation: &pieces }),
        })?;
        Ok((Dialect::Optimizely(dialect), "traffic_allocation", shares_of_ends(experiment, &allocation)))
    }

    fn unleash(
        &mut self,
        at: Place<'_>,
        experiment: &wire::Experiment,
        own: &wire::UnleashBucketing,
    ) -> Made {
        let weights = self.whole_weights(at.key("variant_weights"), experiment, &own.variant_weights)?;
        let dialect = Unleash::new(&UnleashParameters {
            group_id: own.group_id.as_deref().unwrap_or(&experiment.id),
            rollout: own.rollout.unwrap_or(100),
            variant_weights: &weights,
        })?;
        Ok((Dialect::Unleash(dialect), "variant_weights", shares(&weights)))
    }

    fn launchdarkly(
        &mut self,
        at: Place<'_>,
        experiment: &wire::Experiment,
        own: &wire::LaunchdarklyBucketing,
    ) -> Made {
        let weights = if own.weights.is_empty() {
            scaled_weights(experiment, LAUNCHDARKLY_TOTAL)
        } else {
            self.whole_weights(at.key("weights"), experiment, &own.weights)?
        };
        let dialect = LaunchDarkly::new(&LaunchDarklyParameters {
            flag_key: &own.flag_key,
            salt: &own.salt,
            seed: own.seed,
            weights: &weights,
        })?;
        Ok((Dialect::LaunchDarkly(dialect), "weights", shares(&weights)))
    }

    fn statsig(
        &mut self,
        at: Place<'_>,
        experiment: &wire::Experiment,
        own: &wire::StatsigBucketing,
    ) -> Made {
        let list = at.key("groups");
        let mut groups = Vec::with_capacity(own.groups.len());
        for (index, group) in own.groups.iter().enumerate() {
            let entry = list.index(index);
            let variant = self.variant_of(entry.key("variant"), experiment, group.variant.as_deref())?;
            groups.push((variant, group.end));
        }
        let dialect = Statsig::new(&StatsigParameters {
            config_salt: &own.config_salt,
            rule_salt: &own.rule_salt,
            pass_percentage: own.pass_percentage.unwrap_or(100.0),
            group_salt: own.group_salt.as_deref().unwrap_or(&own.config_salt),
            variants: experiment.variants.len(),
            groups: &groups,
        })?;
        Ok((Dialect::Statsig(dialect), "groups", shares_of_ends(experiment, &groups)))
    }

    fn split_io(&mut self, at: Place<'_>, experiment: &wire::Experiment, own: &wire::SplitBucketing) -> Made {
        let sizes = self.whole_weights(at.key("sizes"), experiment, &own.sizes)?;
        let dialect = SplitDialect::new(&SplitParameters {
            seed: own.seed,
            sizes: &sizes,
            traffic_allocation: own.traffic_allocation.unwrap_or(100),
            traffic_allocation_seed: own.traffic_allocation_seed.unwrap_or(0),
        })?;
        Ok((Dialect::Split(dialect), "sizes", shares(&sizes)))
    }

    fn eppo(&mut self, at: Place<'_>, experiment: &wire::Experiment, own: &wire::EppoBucketing) -> Made {
        self.count(at.key("ranges"), own.ranges.len(), experiment.variants.len())?;
        let pairs = |ranges: &Vec<[u32; 2]>| -> Vec<(u32, u32)> {
            ranges.iter().map(|[start, end]| (*start, *end)).collect()
        };
        let ranges: Vec<Vec<(u32, u32)>> = own.ranges.iter().map(pairs).collect();
        let traffic = own.traffic.as_ref().map(|traffic| pairs(&traffic.ranges)).unwrap_or_default();
        let dialect = Eppo::new(&EppoParameters {
            salt: &own.salt,
            total_shards: own.total_shards.unwrap_or(BUCKETS),
            ranges: &ranges,
            traffic: own.traffic.as_ref().map(|shard| (shard.salt.as_str(), traffic.as_slice())),
        })?;
        let width = |ranges: &Vec<(u32, u32)>| -> f64 {
            ranges.iter().map(|(start, end)| f64::from(end.saturating_sub(*start))).sum()
        };
        Ok((Dialect::Eppo(dialect), "ranges", ranges.iter().map(width).collect()))
    }

    fn flagd(&mut self, at: Place<'_>, experiment: &wire::Experiment, own: &wire::FlagdBucketing) -> Made {
        let weights = self.whole_weights(at.key("weights"), experiment, &own.weights)?;
        let dialect = Flagd::new(&FlagdParameters {
            flag_key: &own.flag_key,
            weights: &weights,
            revision: own.revision.unwrap_or(2),
        })?;
        Ok((Dialect::Flagd(dialect), "weights", shares(&weights)))
    }

    /// The position of a variant that a parameter names.
    fn variant_of(
        &mut self,
        at: Place<'_>,
        experiment: &wire::Experiment,
        name: Option<&str>,
    ) -> Result<Option<usize>, Option<ParameterError>> {
        let Some(name) = name else { return Ok(None) };
        let ids = || experiment.variants.iter().map(|variant| variant.id.as_str());
        if let Some(position) = ids().position(|id| id == name) {
            return Ok(Some(position));
        }
        let expected = "a variant of this experiment";
        let problem = Problem::error(at.path(), Code::UnknownReference, expected, &describe_text(name));
        self.problems.push(problem.suggest_near(name, ids()));
        Err(None)
    }

    /// The dialect's own weights, or the variants' if those are whole numbers.
    fn whole_weights(
        &mut self,
        at: Place<'_>,
        experiment: &wire::Experiment,
        own: &[u32],
    ) -> Result<Vec<u32>, Option<ParameterError>> {
        if !own.is_empty() {
            self.count(at, own.len(), experiment.variants.len())?;
            return Ok(own.to_vec());
        }
        let weights = experiment.variants.iter().map(|variant| variant.weight.unwrap_or(1.0));
        let whole: Option<Vec<u32>> = weights
            .map(|weight| {
                let fits = weight.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&weight);
                fits.then_some(weight as u32)
            })
            .collect();
        whole.ok_or_else(|| {
            let expected = "whole weights here, because the variants' are not whole numbers";
            self.error(at, Code::MissingField, expected, "none");
            None
        })
    }

    fn count(&mut self, at: Place<'_>, found: usize, expected: usize) -> Result<(), Option<ParameterError>> {
        if found == expected {
            return Ok(());
        }
        let expected = prose!("{expected} entries, one per variant");
        self.error(at, Code::InvalidValue, &expected, &prose!("{found}"));
        Err(None)
    }
}

fn growthbook(experiment: &wire::Experiment, own: &wire::GrowthbookBucketing, version: HashVersion) -> Made {
    // GrowthBook takes fractions and silently splits equally what does not sum
    // to 1; the variants' weights may be in any unit.
    let fractions = fractions(experiment);
    let weights = if own.weights.is_empty() { &fractions } else { &own.weights };
    let pairs = |ranges: &[[f64; 2]]| -> Vec<(f64, f64)> { ranges.iter().map(|[a, b]| (*a, *b)).collect() };
    let ranges = pairs(&own.ranges);
    let filter_ranges: Vec<Vec<(f64, f64)>> =
        own.filters.iter().flatten().map(|filter| pairs(&filter.ranges)).collect();
    let mut filters = Vec::with_capacity(filter_ranges.len());
    for (index, (filter, ranges)) in own.filters.iter().flatten().zip(&filter_ranges).enumerate() {
        let version = match filter.hash_version {
            Some(1) => HashVersion::V1,
            None | Some(2) => HashVersion::V2,
            Some(other) => {
                return Err(Some(ParameterError::Number {
                    field: "filters",
                    index: Some(index),
                    expected: "hash_version 1 or 2",
                    found: f64::from(other),
                }));
            }
        };
        filters.push(GrowthBookFilter { seed: &filter.seed, version, ranges });
    }
    let dialect = GrowthBook::new(&GrowthBookParameters {
        version,
        seed: own.seed.as_deref().unwrap_or(&experiment.id),
        variants: experiment.variants.len(),
        coverage: own.coverage.unwrap_or(1.0),
        weights: Some(weights.as_slice()),
        ranges: (!ranges.is_empty()).then_some(ranges.as_slice()),
        namespace: own.namespace.as_ref().map(|(id, start, end)| (id.as_str(), *start, *end)),
        filters: own.filters.is_some().then_some(filters.as_slice()),
    })?;
    let (field, shares) = if ranges.is_empty() {
        ("weights", weights.clone())
    } else {
        ("ranges", ranges.iter().map(|(start, end)| end - start).collect())
    };
    Ok((Dialect::GrowthBook(dialect), field, shares))
}

fn planout(experiment: &wire::Experiment, own: &wire::PlanoutBucketing) -> Made {
    let given: Vec<f64> = if own.weights.is_empty() {
        experiment.variants.iter().filter_map(|variant| variant.weight).collect()
    } else {
        own.weights.clone()
    };
    let dialect = PlanOut::new(&PlanOutParameters {
        experiment_salt: own.experiment_salt.as_deref().unwrap_or(&experiment.id),
        parameter_salt: &own.parameter_salt,
        variants: experiment.variants.len(),
        weights: (!given.is_empty()).then_some(given.as_slice()),
    })?;
    let shares = if given.is_empty() { vec![1.0; experiment.variants.len()] } else { given };
    Ok((Dialect::PlanOut(dialect), "weights", shares))
}

/// A share in percent, with at most two decimals.
fn percent(share: f64) -> f64 {
    (share * 10_000.0).round() / 100.0
}

fn fractions(experiment: &wire::Experiment) -> Vec<f64> {
    let weights = || experiment.variants.iter().map(|variant| variant.weight.unwrap_or(1.0));
    let total: f64 = weights().sum();
    weights().map(|weight| if total > 0.0 { weight / total } else { 0.0 }).collect()
}

/// The variants' weights as whole parts of `total`; rounding is cumulative, so
/// that they sum to it.
fn scaled_weights(experiment: &wire::Experiment, total: f64) -> Vec<u32> {
    let mut cumulative = 0.0;
    let mut before = 0_u32;
    let parts = fractions(experiment).into_iter().map(|fraction| {
        cumulative += fraction;
        let end = (cumulative * total).round() as u32;
        let part = end.saturating_sub(before);
        before = end;
        part
    });
    parts.collect()
}

fn shares(weights: &[u32]) -> Vec<f64> {
    weights.iter().map(|weight| f64::from(*weight)).collect()
}

fn shares_of_ends(experiment: &wire::Experiment, ends: &[(Option<usize>, u32)]) -> Vec<f64> {
    let mut shares = vec![0.0; experiment.variants.len()];
    let mut start = 0_u32;
    for (variant, end) in ends {
        if let Some(share) = variant.and_then(|variant| shares.get_mut(variant)) {
            *share += f64::from(end.saturating_sub(start));
        }
        start = *end;
    }
    shares
}
