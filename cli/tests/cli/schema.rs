//! `splitway schema`, and what it says of documents.

use std::path::{Path, PathBuf};

use splitway_engine::{Document, compile};

use crate::support::{Bench, SHOP, root};

#[test]
fn the_committed_schema_is_fresh() {
    let committed = std::fs::read_to_string(root().join("spec/config.schema.json")).unwrap();
    assert!(
        Bench::new(&[]).run("schema").out == committed,
        "renew it: cargo run -p splitway -- schema > spec/config.schema.json"
    );
}

fn is_valid(yaml: &str) -> bool {
    let json = Document::from_yaml(yaml).unwrap().to_json();
    let validator = jsonschema::draft202012::new(&splitway_engine::schema()).unwrap();
    validator.is_valid(&serde_json::from_str(&json).unwrap())
}

fn configs(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            configs(&path, found);
        } else if path.file_name().is_some_and(|name| name == "splitway.yaml") {
            found.push(path);
        }
    }
}

#[test]
fn examples_are_valid_and_accepted() {
    let mut found = Vec::new();
    configs(&root().join("examples"), &mut found);
    assert!(!found.is_empty());
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(is_valid(&text), "{}", path.display());
        assert!(compile(&Document::from_yaml(&text).unwrap()).is_ok(), "{}", path.display());
    }
    assert!(is_valid(SHOP));
}

/// Documents that differ from a good one in one place.
#[test]
fn schema_and_compiler_agree_on_shape() {
    let with = |experiment: &str| {
        format!(
            "version: 1\nunit: [{{ cookie: uid }}]\nexperiments:\n  - id: x\n    variants: [{{ id: a }}, {{ id: b }}]\n{experiment}"
        )
    };
    for (line, is_good) in [
        ("", true),
        ("    traffic: 12.5%\n", true),
        ("    traffic: 50\n", false),
        ("    traffic: 101%\n", false),
        ("    wieght: 1\n", false),
        ("    status: paused\n", true),
        ("    status: stopped\n", false),
        ("    buckets: [[0, 10], [20, 30]]\n", true),
        ("    buckets: [[0, 10, 20]]\n", false),
        ("    targeting: { path: { prefix: /a } }\n", true),
        (
            "    targeting: { all: [{ method: { equals: GET } }, { not: { cookie: { name: c, exists: true } } }] }\n",
            true,
        ),
        ("    targeting: { pfad: { prefix: /a } }\n", false),
        ("    bucketing: { dialect: eppo, salt: s, ranges: [[[0, 5000]], [[5000, 10000]]] }\n", true),
        ("    bucketing: { dialect: nobody }\n", false),
        ("    metrics: { primary: m, guardrails: [g] }\n", true),
        ("    analysis: { alpha: 0.05, min_units_per_arm: 100 }\n", true),
        ("    analysis: { alpha: high }\n", false),
        ("    overrides: { a: [u1] }\n", true),
        ("    overrides: [u1]\n", false),
        ("    schedule: { start: 2026-11-20T00:00:00Z }\n", true),
    ] {
        let text = with(line);
        assert_eq!(is_valid(&text), is_good, "schema: {line}");
        assert_eq!(compile(&Document::from_yaml(&text).unwrap()).is_ok(), is_good, "compile: {line}");
    }
}
