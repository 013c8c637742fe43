//! What an experiment is judged by.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use splitway_engine::{Plan, wire};
use splitway_stats::group_sequential::Spending;

use crate::metric::{Metric, Role};

/// Fewest units an arm, where the config does not say.
const MIN_UNITS: u64 = 10_000;
/// Probability of finding an effect, where the config does not say.
const POWER: f64 = 0.8;

/// Metrics of which the command line says which way is better.
#[derive(Clone, Debug, Default)]
pub struct Directions {
    /// Less is.
    pub lower: BTreeSet<String>,
    /// More is.
    pub higher: BTreeSet<String>,
}

/// Which intervals decide.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Those that hold at every look.
    Sequential,
    /// Those of a single look, planned beforehand.
    Fixed,
    /// Those of a few looks, planned beforehand (group-sequential bounds).
    Planned {
        /// How alpha is spent over the looks.
        #[serde(skip)]
        spending: Spending,
        /// Shares of the planned units at the looks so far, ascending within (0, 1]; the last one is this look.
        looks: Vec<f64>,
    },
}

impl Method {
    /// When its intervals hold, for people.
    #[must_use]
    pub fn holds(&self) -> String {
        match self {
            Self::Sequential => "at every look".to_owned(),
            Self::Fixed => "for this one look".to_owned(),
            Self::Planned { spending, looks } => {
                let name = match spending {
                    Spending::ObrienFleming => "O'Brien-Fleming",
                    Spending::Pocock => "Pocock",
                };
                let now = looks.last().copied().unwrap_or_default() * 100.0;
                format!("at all planned looks ({name} bounds, look {} at {now} % of the units)", looks.len())
            }
        }
    }
}

/// What an experiment is judged by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The experiment.
    pub experiment: String,
    /// The variants in the config's order, with planned shares of the experiment's units.
    pub shares: Vec<(String, f64)>,
    /// The variant that the others are compared with.
    pub control: String,
    /// Its metrics.
    pub metrics: Vec<(Metric, Role)>,
    /// How much worse a guardrail may get, absolute, by its name.
    pub margins: BTreeMap<String, f64>,
    /// Significance level, two-sided.
    pub alpha: f64,
    /// Probability with which an effect of `effect` is to be found.
    pub power: f64,
    /// Smallest absolute effect on the primary metric that is worth having.
    pub effect: Option<f64>,
    /// Fewest units in each arm.
    pub min_units: u64,
    /// Units an arm around which the intervals of every look are narrowest: the fewest that the experiment asked for when it
    /// began. Chosen afterwards, they would make any result as certain as one likes.
    pub tuned_for: u64,
    /// Which intervals decide.
    pub method: Method,
}

impl Rules {
    /// Returns the rules of every experiment of a plan. `metrics` define names that the config uses; `directions` go before the config's.
    #[must_use]
    pub fn for_plan(
        plan: &Plan,
        config: &wire::Config,
        metrics: &[Metric],
        directions: &Directions,
        method: &Method,
    ) -> Vec<Self> {
        let rules = plan.experiments().map(|(_, experiment)| {
            let stated = config.experiments.iter().find(|stated| stated.id == experiment.id());
            let roles = stated.and_then(|stated| stated.metrics.clone()).unwrap_or_default();
            let analysis = stated.and_then(|stated| stated.analysis.clone()).unwrap_or_default();
            let define = |name: &str| {
                let known = metrics.iter().find(|metric| metric.name == name);
                let mut metric = known.cloned().unwrap_or_else(|| Metric::named(name));
                let is_in = |set: &BTreeSet<String>, list: &[String]| {
                    (set.contains(name), list.iter().any(|other| other == name))
                };
                let (lower, stated_lower) = is_in(&directions.lower, &roles.lower_is_better);
                let (higher, stated_higher) = is_in(&directions.higher, &roles.higher_is_better);
                metric.is_lower_better = match (lower, higher, stated_lower, stated_higher) {
                    (true, ..) => Some(true),
                    (_, true, ..) => Some(false),
                    (_, _, true, _) => Some(true),
                    (_, _, _, true) => Some(false),
                    _ => metric.is_lower_better,
                };
                metric
            };
            let mut all: Vec<(Metric, Role)> = Vec::new();
            // A metric that decides must not get worse either.
            let named = roles.primary.iter().map(|name| (name, Role::Primary));
            let named = named.chain(roles.guardrails.iter().map(|name| (name, Role::Guardrail)));
            let named = named.chain(roles.secondary.iter().map(|name| (name, Role::Secondary)));
            let others = metrics.iter().map(|metric| (&metric.name, Role::Secondary));
            for (name, role) in named.chain(others) {
                if !all.iter().any(|(known, _)| known.name == *name) {
                    all.push((define(name), role));
                }
            }
            if all.is_empty() {
                // What every log has is better than nothing.
                all = ["http_5xx_rate", "latency_mean"].map(|name| (define(name), Role::Secondary)).to_vec();
            }
            let margins = analysis.non_inferiority_margins.iter().filter(|(_, margin)| **margin > 0.0);
            let margins = margins.map(|(name, margin)| (name.to_owned(), *margin));
            let control = experiment.variant(experiment.control()).map_or("", |variant| variant.id());
            Self {
                experiment: experiment.id().to_owned(),
                shares: experiment
                    .variants()
                    .iter()
                    .map(|v| v.id().to_owned())
                    .zip(experiment.shares())
                    .collect(),
                control: control.to_owned(),
                metrics: all,
                margins: margins.collect(),
                alpha: analysis.alpha.filter(|alpha| *alpha > 0.0 && *alpha < 1.0).unwrap_or(0.05),
                power: analysis.power.filter(|power| *power > 0.0 && *power < 1.0).unwrap_or(POWER),
                effect: analysis.minimum_detectable_effect,
                min_units: analysis.min_units_per_arm.unwrap_or(MIN_UNITS),
                tuned_for: analysis.min_units_per_arm.unwrap_or(MIN_UNITS),
                method: method.clone(),
            }
        });
        rules.collect()
    }
}
