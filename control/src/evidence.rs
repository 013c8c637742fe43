//! What was seen: counters of all proxies, and whether a variant does harm.
//!
//! Counters are cumulative, by proxy, its boot and the config version, and merged by their maximum: one that is lost,
//! late or sent twice changes nothing, and a restarted proxy is a new boot. Nothing here is in the log but what follows
//! from it; after a crash the proxies' counters tell it again.
//!
//! The comparison is that of the proxies' own guardrails ([`splitway_engine::guardrail`]): if the arms are treated
//! alike, every unit that turns bad is the variant's with the probability of its share. Its evidence is a test martingale
//! in each stratum, strata are independent, and so the product over them is one too, at whatever times it is looked
//! at. So is that of all counts together, because the share is the same everywhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use splitway_engine::guardrail::{Count, stratum_above_share};

use crate::event::Tally;

/// What is counted of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Units with a failed exchange.
    Errors,
    /// Units with a slow exchange.
    Latency,
}

impl Measure {
    const ALL: [Self; 2] = [Self::Errors, Self::Latency];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
        }
    }
}

/// What a proxy counted since its boot, under one config version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The proxy.
    pub proxy: String,
    /// What distinguishes its starts.
    pub boot: String,
    /// The config version that it had in force.
    pub version: String,
    /// The experiment.
    pub experiment: String,
    /// The variant.
    pub variant: String,
    /// What is counted.
    pub measure: Measure,
    /// The counts.
    pub tally: Tally,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stratum {
    proxy: String,
    boot: String,
    version: String,
}

type Arms = BTreeMap<String, Tally>;

/// Everything that was seen of the running experiments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    counts: BTreeMap<String, BTreeMap<(Measure, Stratum), Arms>>,
    /// By experiment and variant: the proxies whose own guardrail took it out.
    tripped: BTreeMap<(String, String), BTreeSet<String>>,
}

/// A variant that does harm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Harm {
    pub(crate) variant: String,
    pub(crate) measure: &'static str,
    pub(crate) evidence: Option<f64>,
    pub(crate) control: Tally,
    pub(crate) arm: Tally,
    pub(crate) proxies: Vec<String>,
}

impl Evidence {
    /// Takes in what a proxy counted.
    pub fn observe(&mut self, sample: Sample) {
        let Sample { proxy, boot, version, experiment, variant, measure, tally } = sample;
        let stratum = Stratum { proxy, boot, version };
        let arms = self.counts.entry(experiment).or_default().entry((measure, stratum)).or_default();
        let known = arms.entry(variant).or_default();
        known.units = known.units.max(tally.units);
        known.bad = known.bad.max(tally.bad);
    }

    /// Takes in whether a proxy's own guardrail has taken a variant out.
    pub fn observe_trip(&mut self, proxy: &str, experiment: &str, variant: &str, is_out: bool) {
        let key = (experiment.to_owned(), variant.to_owned());
        let proxies = self.tripped.entry(key.clone()).or_default();
        if is_out {
            proxies.insert(proxy.to_owned());
        } else {
            proxies.remove(proxy);
        }
        if proxies.is_empty() {
            self.tripped.remove(&key);
        }
    }

    /// Forgets the experiments that `is_kept` does not want.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&str) -> bool) {
        self.counts.retain(|experiment, _| is_kept(experiment));
        self.tripped.retain(|(experiment, _), _| is_kept(experiment));
    }

    /// Units of a variant, over all strata; those of the measure that counted most.
    #[must_use]
    pub fn units(&self, experiment: &str, variant: &str) -> u64 {
        let units = |measure| self.total(experiment, measure, variant).units;
        Measure::ALL.into_iter().map(units).max().unwrap_or_default()
    }

    /// A variant's counts over all strata.
    #[must_use]
    pub fn total(&self, experiment: &str, measure: Measure, variant: &str) -> Tally {
        let strata = self.counts.get(experiment).into_iter().flatten();
        let arms = strata.filter(|((of, _), _)| *of == measure).filter_map(|(_, arms)| arms.get(variant));
        arms.fold(Tally::default(), |sum, tally| Tally {
            units: sum.units.saturating_add(tally.units),
            bad: sum.bad.saturating_add(tally.bad),
        })
    }

    /// The logarithm of the evidence that bad units fall to `variant` more often than `share`, its part of the units
    /// of both arms, from 0 to 1.
    ///
    /// It is the mean of two: the product over the strata, which finds harm on some proxies, and that of all counts
    /// taken together, which finds harm that no proxy sees enough of. Both are valid, so their mean is.
    #[must_use]
    pub fn against(
        &self,
        experiment: &str,
        measure: Measure,
        variant: &str,
        control: &str,
        share: f64,
    ) -> f64 {
        let strata = self.counts.get(experiment).into_iter().flatten().filter(|((of, _), _)| *of == measure);
        let count = |tally: Option<&Tally>| {
            let tally = tally.copied().unwrap_or_default();
            let low = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            Count { units: low(tally.units), bad: low(tally.bad) }
        };
        let product: f64 = strata
            .map(|(_, arms)| stratum_above_share(count(arms.get(control)), count(arms.get(variant)), share))
            .sum();
        let total = |variant| count(Some(&self.total(experiment, measure, variant)));
        let pooled = stratum_above_share(total(control), total(variant), share);
        let larger = product.max(pooled);
        if larger.is_infinite() {
            return larger;
        }
        larger + (((product - larger).exp() + (pooled - larger).exp()) / 2.0).ln()
    }

    /// The first variant that does harm. `shares`: variants with their planned shares, the control first; `limit`: the
    /// logarithm that the evidence must exceed.
    pub(crate) fn harm(
        &self,
        experiment: &str,
        shares: &[(String, f64)],
        limit: f64,
        min_bad: u64,
    ) -> Option<Harm> {
        let ((control, of_control), variants) = shares.split_first()?;
        for (variant, share) in variants {
            if let Some(proxies) = self.tripped.get(&(experiment.to_owned(), variant.clone())) {
                return Some(Harm {
                    variant: variant.clone(),
                    measure: "guardrail",
                    evidence: None,
                    control: self.total(experiment, Measure::Errors, control),
                    arm: self.total(experiment, Measure::Errors, variant),
                    proxies: proxies.iter().cloned().collect(),
                });
            }
            let both = share + of_control;
            if both <= 0.0 || *share <= 0.0 {
                continue;
            }
            for measure in Measure::ALL {
                let arm = self.total(experiment, measure, variant);
                if arm.bad < min_bad {
                    continue;
                }
                let evidence = self.against(experiment, measure, variant, control, share / both);
                if evidence > limit {
                    return Some(Harm {
                        variant: variant.clone(),
                        measure: measure.as_str(),
                        evidence: Some((evidence * 1e3).round() / 1e3),
                        control: self.total(experiment, measure, control),
                        arm,
                        proxies: self.proxies(experiment),
                    });
                }
            }
        }
        None
    }

    fn proxies(&self, experiment: &str) -> Vec<String> {
        let strata = self.counts.get(experiment).into_iter().flatten();
        let names: BTreeSet<&String> = strata.map(|((_, stratum), _)| &stratum.proxy).collect();
        names.into_iter().cloned().collect()
    }
}
