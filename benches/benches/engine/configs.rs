//! The configs and the request that are measured.

use serde_json::{Value, json};
use splitway_engine::{Document, Plan, Timestamp, compile};

/// The unit.
pub(crate) const UUID: &str = "1c9f3a1e-5d1c-4a77-9b8e-0a6f1f3d2c11";

/// The time of every request.
pub(crate) const NOW: Timestamp = Timestamp(1_795_262_400_000);

/// The value of a browser's cookie header.
pub(crate) fn cookie() -> Vec<u8> {
    format!("theme=dark; consent=yes; uid={UUID}").into_bytes()
}

/// A browser's headers, the unit in a cookie.
pub(crate) fn browser(cookie: &[u8]) -> Vec<(&[u8], &[u8])> {
    vec![
        (b":authority", b"shop.example"),
        (b":path", b"/checkout/cart?step=2"),
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"accept-language", b"en-GB,en;q=0.7,de;q=0.3"),
        (b"accept-encoding", b"gzip, deflate, br, zstd"),
        (b"referer", b"https://shop.example/"),
        (b"cookie", cookie),
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"x-request-id", b"6f1c0a52-2c8f-4a57-9a3e-4d4b1e1f5b8f"),
    ]
}

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
