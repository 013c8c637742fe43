//! Names of metrics, and counting by name.

use splitway_engine::{DEFAULT_NAMESPACE, Plan};

use crate::host::Metrics;

/// Returns the name that Envoy's `stats_tags` turn into labels.
pub(crate) fn series(plan: &Plan, name: &str, experiment: &str, variant: &str) -> String {
    named(plan.namespace(), &format!("{name}.experiment.{experiment}.variant.{variant}"))
}

/// Returns the name of the metric `name` in a namespace. The default namespace is left out, so that a proxy
/// with one config has short names.
pub(crate) fn named(namespace: &str, name: &str) -> String {
    if namespace == DEFAULT_NAMESPACE {
        format!("splitway.{name}")
    } else {
        format!("splitway.{name}.namespace.{namespace}")
    }
}

pub(crate) fn define(host: &impl Metrics, name: &str) -> Option<u32> {
    host.counter(name).ok()
}

pub(crate) fn increment(host: &impl Metrics, counter: Option<u32>, by: u32) {
    if let Some(counter) = counter
        && by > 0
    {
        host.increment(counter, by);
    }
}
