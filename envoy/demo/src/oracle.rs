//! What the engine, run here and not in the proxy, says about each unit.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use splitway_engine::{Document, NoTrace, Plan, RequestView, Timestamp};

use crate::traffic::Unit;
use crate::working_copy::DEFAULT_CLUSTER;

/// A compiled config.
pub(crate) struct Oracle {
    document: String,
    plan: Plan,
    experiments: Vec<Experiment>,
}

/// An experiment and its planned shares.
pub(crate) struct Experiment {
    pub(crate) id: String,
    pub(crate) variants: Vec<Variant>,
}

/// A variant and its planned share of all units, from 0 to 1.
pub(crate) struct Variant {
    pub(crate) id: String,
    pub(crate) planned: f64,
}

/// The decision for a unit.
pub(crate) struct Assigned {
    /// Variant by experiment, for the experiments that the unit is in.
    pub(crate) variants: BTreeMap<String, String>,
    /// The cluster that should answer.
    pub(crate) cluster: String,
}

/// A variant that sends its requests to a cluster.
pub(crate) struct Routed {
    pub(crate) experiment: String,
    pub(crate) variant: String,
    pub(crate) cluster: String,
}

impl Oracle {
    /// Compiles `yaml`; the error lists every problem with its line.
    pub(crate) fn new(yaml: &str) -> Result<Self> {
        let document = Document::from_yaml(yaml).map_err(|problems| anyhow!("{problems}"))?;
        let plan = splitway_engine::compile(&document).map_err(|problems| anyhow!("{problems}"))?;
        let now = now()?;
        let experiments = plan
            .experiments()
            .map(|(_, experiment)| {
                let buckets = f64::from(splitway_engine::bucketing::BUCKETS);
                let active = f64::from(experiment.active_buckets(now)) / buckets;
                let variants = experiment.variants().iter().zip(experiment.shares());
                let variants = variants
                    .map(|(variant, share)| Variant { id: variant.id().to_owned(), planned: active * share });
                Experiment { id: experiment.id().to_owned(), variants: variants.collect() }
            })
            .collect();
        Ok(Self { document: document.to_json(), plan, experiments })
    }

    /// The document as the filter gets it.
    pub(crate) fn document(&self) -> &str {
        &self.document
    }

    /// The experiments, ordered by id.
    pub(crate) fn experiments(&self) -> &[Experiment] {
        &self.experiments
    }

    /// What the proxy should do with a unit's request.
    pub(crate) fn decide(&self, unit: Unit) -> Result<Assigned> {
        let (name, value) = unit.header();
        let headers = [
            (&b":method"[..], &b"GET"[..]),
            (b":path", b"/checkout/cart"),
            (name.as_bytes(), value.as_bytes()),
        ];
        let view = RequestView::new(&headers);
        let decision = self.plan.decide(&view, now()?, &mut NoTrace);
        let variants = decision.assignments.iter().filter_map(|assignment| {
            let experiment = self.plan.experiment(assignment.experiment)?;
            let variant = experiment.variant(assignment.variant)?;
            Some((experiment.id().to_owned(), variant.id().to_owned()))
        });
        Ok(Assigned {
            variants: variants.collect(),
            cluster: self.plan.cluster(&decision).unwrap_or(DEFAULT_CLUSTER).to_owned(),
        })
    }

    /// The first variant with a cluster of its own.
    pub(crate) fn routed(&self) -> Option<Routed> {
        self.plan.experiments().find_map(|(_, experiment)| {
            experiment.variants().iter().find_map(|variant| {
                Some(Routed {
                    experiment: experiment.id().to_owned(),
                    variant: variant.id().to_owned(),
                    cluster: variant.cluster()?.to_owned(),
                })
            })
        })
    }

    /// The units of the demo that are in a variant.
    pub(crate) fn units_of(&self, experiment: &str, variant: &str) -> Result<Vec<Unit>> {
        let mut units = Vec::new();
        for unit in Unit::all() {
            let assigned = self.decide(unit)?;
            if assigned.variants.get(experiment).is_some_and(|id| id == variant) {
                units.push(unit);
            }
        }
        Ok(units)
    }
}

fn now() -> Result<Timestamp> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Timestamp::from_nanoseconds(u64::try_from(since.as_nanos())?))
}
