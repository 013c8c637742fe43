//! `splitway schema`, and what it says of documents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use splitway_engine::{Document, Secrets, compile, compile_with};

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

/// Every config of the documentation, the examples, the scenarios and the fuzzers, that the engine accepts.
fn known() -> Vec<(String, Value)> {
    let mut files = Vec::new();
    for folder in [
        "docs",
        "examples",
        "spec/scenarios",
        "engine/tests/corpus/config_json",
        "engine/tests/corpus/config_yaml",
    ] {
        all_files(&root().join(folder), &mut files);
    }
    files.extend(["README.md", "cli/README.md", "spec/scenarios/README.md"].map(|name| root().join(name)));
    let mut found = Vec::new();
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let texts: Vec<&str> = if path.extension().is_some_and(|extension| extension == "md") {
            text.split("\n```yaml")
                .skip(1)
                .filter_map(|rest| rest.split_once('\n')?.1.split("\n```").next())
                .collect()
        } else {
            vec![&text]
        };
        for text in texts {
            if let Ok(value) = serde_saphyr::from_str::<Value>(text) {
                inside(&value, &mut |config| found.push((path.display().to_string(), config.clone())));
            }
        }
    }
    found.retain(|(_, config)| is_accepted(config));
    found
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { all_files(&path, found) } else { found.push(path) }
    }
}

/// Documents of ours within others, such as a scenario.
fn inside(value: &Value, take: &mut dyn FnMut(&Value)) {
    match value {
        Value::Object(fields)
            if fields.get("version") == Some(&1.into()) && !fields.contains_key("config") =>
        {
            take(value)
        }
        Value::Object(fields) => fields.values().for_each(|value| inside(value, take)),
        Value::Array(values) => values.iter().for_each(|value| inside(value, take)),
        _ => {}
    }
}

fn is_accepted(config: &Value) -> bool {
    let document = Document::from_json(config.to_string().as_bytes());
    document.is_ok_and(|document| compile_with(&document, Secrets::Optional(&|_| None)).is_ok())
}

#[test]
fn an_independent_validator_accepts_what_the_engine_accepts() {
    let known = known();
    let validator = jsonschema::draft202012::new(&splitway_engine::schema()).unwrap();
    for folder in ["docs", "examples", "scenarios", "corpus"] {
        assert!(known.iter().filter(|(path, _)| path.contains(folder)).count() > 0, "{folder}");
    }
    let check = |name: &str, config: &Value| {
        if let Err(error) = validator.validate(config) {
            panic!("{name}: {error} at {}\n{config}", error.instance_path());
        }
    };
    for (name, config) in &known {
        check(name, config);
    }
    // Random documents: fields of one in the place of another's, or gone. Of a fixed seed.
    let mut by_name: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (_, config) in &known {
        fields(config, &mut |name, value| by_name.entry(name.to_owned()).or_default().push(value.clone()));
    }
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let mut accepted = 0;
    for _ in 0..6_000 {
        let (name, config) = &known[random(known.len())];
        let mut config = config.clone();
        for _ in 0..=random(3) {
            let mut count = 0;
            fields(&config, &mut |_, _| count += 1);
            let at = random(count);
            change(&mut config, &mut at.clone(), &mut |fields, name| {
                let others = &by_name[name];
                if random(3) == 0 {
                    fields.remove(name);
                } else {
                    fields.insert(name.to_owned(), others[random(others.len())].clone());
                }
            });
        }
        if is_accepted(&config) {
            accepted += 1;
            check(name, &config);
        }
    }
    assert!(accepted > 1_000, "{accepted}");
}

fn fields(value: &Value, take: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                take(name, value);
                fields(value, take);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, take)),
        _ => {}
    }
}

/// Hands over the mapping that has the field of this number, in the order of [`fields`].
fn change(value: &mut Value, at: &mut usize, edit: &mut dyn FnMut(&mut Map<String, Value>, &str)) -> bool {
    match value {
        Value::Object(map) => {
            let names: Vec<String> = map.keys().cloned().collect();
            for name in names {
                if *at == 0 {
                    edit(map, &name);
                    return true;
                }
                *at -= 1;
                if map.get_mut(&name).is_some_and(|value| change(value, at, edit)) {
                    return true;
                }
            }
            false
        }
        Value::Array(values) => values.iter_mut().any(|value| change(value, at, edit)),
        _ => false,
    }
}
