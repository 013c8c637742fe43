//! Common mistakes and what is said about each.

use std::fmt::Write as _;

use crate::support::Bench;

const HEAD: &str = "version: 1\nunit: [{ cookie: uid }]\n";

const MISTAKES: [(&str, &str, &str); 16] = [
    ("a field misspelt", HEAD, "experiments:\n  - { id: x, varaints: [{ id: a }] }\n"),
    ("an upper-case id", HEAD, "experiments:\n  - { id: New Button, variants: [{ id: a }] }\n"),
    ("a share without %", HEAD, "experiments:\n  - { id: x, traffic: 50, variants: [{ id: a }] }\n"),
    ("a share above 100%", HEAD, "experiments:\n  - { id: x, traffic: 150%, variants: [{ id: a }] }\n"),
    ("a weight in quotes", HEAD, "experiments:\n  - { id: x, variants: [{ id: a, weight: '50' }] }\n"),
    (
        "one weight missing",
        HEAD,
        "experiments:\n  - { id: x, variants: [{ id: a, weight: 5 }, { id: b }] }\n",
    ),
    ("no variants", HEAD, "experiments:\n  - { id: x }\n"),
    (
        "a date without a time",
        HEAD,
        "experiments:\n  - { id: x, schedule: { end: 2026-12-01 }, variants: [{ id: a }] }\n",
    ),
    (
        "end before start",
        HEAD,
        "experiments:\n  - id: x\n    schedule: { start: 2026-12-01T00:00:00Z, end: 2026-11-01T00:00:00Z }\n    variants: [{ id: a }]\n",
    ),
    (
        "a layer nobody declared",
        HEAD,
        "experiments:\n  - { id: x, layer: chekout, variants: [{ id: a }] }\nlayers: [{ id: checkout }]\n",
    ),
    (
        "two in a layer without buckets",
        HEAD,
        "layers: [{ id: l }]\nexperiments:\n  - { id: x, layer: l, variants: [{ id: a }] }\n  - { id: y, layer: l, variants: [{ id: a }] }\n",
    ),
    (
        "buckets that overlap",
        HEAD,
        "layers: [{ id: l }]\nexperiments:\n  - { id: x, layer: l, buckets: [[0, 5000]], variants: [{ id: a }] }\n  - { id: y, layer: l, buckets: [[5000, 9999]], variants: [{ id: a }] }\n",
    ),
    ("no unit", "version: 1\n", "experiments:\n  - { id: x, variants: [{ id: a }] }\n"),
    ("a tab", HEAD, "experiments:\n\t- { id: x }\n"),
    (
        "a header that is the proxy's",
        HEAD,
        "experiments:\n  - id: x\n    variants: [{ id: a, request_headers: { set: { content-length: '1' } } }]\n",
    ),
    ("an unknown status", HEAD, "experiments:\n  - { id: x, status: runing, variants: [{ id: a }] }\n"),
];

#[test]
fn each_says_what_to_do() {
    let mut all = String::new();
    for (name, head, rest) in MISTAKES {
        let ran = Bench::new(&[("splitway.yaml", &format!("{head}{rest}"))]).run("validate splitway.yaml");
        assert_eq!(ran.code, 1, "{name}: {}", ran.all());
        write!(all, "## {name}\n{}\n", ran.out).unwrap();
    }
    insta::assert_snapshot!(all);
}
