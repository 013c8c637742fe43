//! The configs that are measured.

use serde_json::{Value, json};
use splitway_engine::{Document, Plan, compile};

/// The unit.
pub(crate) const UUID: &str = "1c9f3a1e-5d1c-4a77-9b8e-0a6f1f3d2c11";

/// The plan of a config.
pub(crate) fn plan(config: &Value) -> Plan {
    compile(&Document::from_json(config.to_string().as_bytes()).unwrap()).unwrap()
}

/// Every dialect, for two variants of half each.
pub(crate) fn dialects() -> Vec<(&'static str, Value)> {
    let ends = |name: &str, total: u32| json!([{ "variant": "a", name: total / 2 }, { "variant": "b", name: total }]);
    let parameters = [
        ("splitway", json!({})),
        ("growthbook_v1", json!({})),
        ("growthbook_v2", json!({})),
        ("optimizely", json!({ "experiment_id": "1", "traffic_allocation": ends("end_of_range", 10_000) })),
        ("unleash", json!({ "variant_weights": [500, 500] })),
        ("launchdarkly", json!({ "flag_key": "f", "salt": "s" })),
        ("statsig", json!({ "config_salt": "c", "rule_salt": "r", "groups": ends("end", 1_000) })),
        ("split", json!({ "seed": 1, "sizes": [50, 50] })),
        ("planout", json!({ "parameter_salt": "p" })),
        ("eppo", json!({ "salt": "s", "ranges": [[[0, 5_000]], [[5_000, 10_000]]] })),
        ("flagd", json!({ "flag_key": "f", "weights": [1, 1] })),
    ];
    parameters
        .into_iter()
        .map(|(name, mut bucketing)| {
            bucketing["dialect"] = json!(name);
            (name, bucketing)
        })
        .collect()
}

/// A rule of every kind; all hold for the request.
pub(crate) fn targeting() -> Vec<(&'static str, Value)> {
    vec![
        ("path prefix", json!({ "path": { "prefix": "/checkout" } })),
        ("path glob", json!({ "path": { "glob": "/checkout/*" } })),
        ("path regex", json!({ "path": { "regex": "^/checkout/[a-z]+$" } })),
        ("header contains", json!({ "header": { "name": "user-agent", "contains": "Firefox" } })),
        (
            "not a bot",
            json!({ "not": { "header": {
            "name": "user-agent", "contains": "bot", "ignore_case": true } } }),
        ),
        ("cookie equals", json!({ "cookie": { "name": "theme", "equals": "dark" } })),
        ("query number", json!({ "query": { "name": "step", "number": { "gte": 2 } } })),
        ("client address", json!({ "client_address": { "one_of": ["192.0.2.0/24"] } })),
        ("sample", json!({ "sample": { "salt": "s", "share": "100%" } })),
        (
            "all of three",
            json!({ "all": [
            { "method": { "one_of": ["GET", "HEAD"] } },
            { "host": { "equals": "shop.example" } },
            { "any": [{ "path": { "prefix": "/cart" } }, { "path": { "prefix": "/checkout" } }] },
        ] }),
        ),
    ]
}
