//! `splitway render prometheus`: rules, with the plan's shares as constants.

use std::fmt::Write as _;

use serde_json::{Value, json};
use splitway_engine::DEFAULT_NAMESPACE;

use super::args::{Prometheus, RuleFormat};
use super::kubernetes::yaml;
use crate::input::{self, Input};
use crate::outcome::{Failure, Outcome, print};

const RULES: &str = include_str!("rules.yaml");

pub(super) fn run(args: &Prometheus) -> Outcome {
    let (_, plan) = Input::read_all(&args.config)?.plan()?;
    let now = input::at(args.at);
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
    match args.format {
        RuleFormat::File => print(&text),
        RuleFormat::Object => {
            let groups: Value =
                serde_saphyr::from_str(&text).map_err(|error| Failure::Usage(error.to_string()))?;
            let mut object = json!({
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": { "name": args.name, "labels": { "app.kubernetes.io/name": "splitway" } },
                "spec": groups,
            });
            if let Some(namespace) = &args.namespace {
                object["metadata"]["namespace"] = namespace.as_str().into();
            }
            print(yaml(&object)?.trim_end())
        }
    }
}

/// A config's version as the gauge `splitway_config_version` shows it: the first 48 of its bits.
fn shown_version(content_hash: &str) -> Option<u64> {
    u64::from_str_radix(content_hash.get(..12)?, 16).ok()
}

/// An id may look like a number or a truth value.
fn quoted(id: &str) -> String {
    format!("\"{id}\"")
}
