//! Rules of Prometheus, with the plan's shares as constants.

use std::fmt::Write as _;

use serde_json::{Value, json};
use splitway_engine::{DEFAULT_NAMESPACE, Plan, Timestamp};

use crate::kubernetes::yaml;
use crate::refusal::Refusal;

const RULES: &str = include_str!("rules.yaml");

/// Renders a file for Prometheus' `rule_files`: alerts, and the shares of `plan` at the time `now`.
#[must_use]
pub fn rules(plan: &Plan, now: Timestamp) -> String {
    let mut text = RULES.to_owned();
    let _ = write!(
        text,
        "\n  # The plan of config {}.\n  - name: splitway-plan\n    rules:",
        plan.content_hash()
    );
    // The default namespace is no label.
    let namespace = match plan.namespace() {
        DEFAULT_NAMESPACE => String::new(),
        named => format!("splitway_namespace: {}, ", quoted(named)),
    };
    if let Some(version) = shown_version(plan.content_hash()) {
        let _ = write!(
            text,
            "\n      - record: splitway:rendered_version\n        expr: vector({version})\n        labels: {{ {} }}",
            namespace.trim_end_matches(", ")
        );
    }
    for (_, experiment) in plan.experiments() {
        if plan.is_killed() || !experiment.is_live(now) || experiment.active_buckets(now) == 0 {
            continue;
        }
        for (variant, share) in experiment.variants().iter().zip(experiment.shares()) {
            let _ = write!(
                text,
                "\n      - record: splitway:planned_share\n        expr: vector({})\n        labels: {{ {namespace}experiment: {}, variant: {} }}",
                share,
                quoted(experiment.id()),
                quoted(variant.id()),
            );
        }
    }
    text
}

/// Renders the same rules as a PrometheusRule of the Prometheus operator, as YAML.
///
/// # Errors
/// If the rules are not YAML, which a test would notice.
pub fn object(plan: &Plan, now: Timestamp, name: &str, namespace: Option<&str>) -> Result<String, Refusal> {
    let groups: Value = serde_saphyr::from_str(&rules(plan, now)).map_err(Refusal::broken)?;
    let mut object = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": { "name": name, "labels": { "app.kubernetes.io/name": "splitway" } },
        "spec": groups,
    });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    yaml(&object)
}

/// Returns a config's version as the gauge `splitway_config_version` shows it: its first 48 bits.
fn shown_version(content_hash: &str) -> Option<u64> {
    u64::from_str_radix(content_hash.get(..12)?, 16).ok()
}

/// An id may look like a number or a truth value.
fn quoted(id: &str) -> String {
    format!("\"{id}\"")
}
