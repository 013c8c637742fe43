//! `splitway schema`, and what it says of documents.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::{Value, json};
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

/// Why the schema refuses a document, by a validator that knows nothing of the engine.
fn refusal(json: &Value) -> Option<String> {
    static VALIDATOR: LazyLock<jsonschema::Validator> =
        LazyLock::new(|| jsonschema::draft202012::new(&splitway_engine::schema()).unwrap());
    VALIDATOR.iter_errors(json).next().map(|error| format!("{}: {error}", error.instance_path()))
}

fn is_valid(yaml: &str) -> bool {
    let json = Document::from_yaml(yaml).unwrap().to_json();
    refusal(&serde_json::from_str(&json).unwrap()).is_none()
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

/// The texts of a Markdown page that are marked as YAML or JSON.
fn blocks(page: &str) -> Vec<String> {
    let (mut blocks, mut block) = (Vec::new(), None::<String>);
    for line in page.lines() {
        match (&mut block, line.trim().strip_prefix("```")) {
            (None, Some(kind)) => {
                let is_config = kind.starts_with("yaml") || kind.starts_with("json");
                block = Some(if is_config { String::new() } else { "\0".to_owned() });
            }
            (Some(_), Some(_)) => blocks.extend(block.take().filter(|text| !text.starts_with('\0'))),
            (Some(text), None) => text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    blocks
}

/// Every file below a folder with one of these endings; not what is built or installed there.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules"].contains(&&*name) {
                files(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// The configs in a text: itself, or the `config` of a scenario. Only those that the compiler takes: pages show mistakes, too.
fn accepted(text: &str) -> Vec<Value> {
    let Ok(document) = Document::from_yaml(text) else { return Vec::new() };
    let Ok(json) = serde_json::from_str::<Value>(&document.to_json()) else { return Vec::new() };
    let both = [json["config"].clone(), json];
    let is_accepted = |json: &Value| {
        json.is_object()
            && Document::from_json(json.to_string().as_bytes())
                .is_ok_and(|document| compile_with(&document, Secrets::WITHHELD).is_ok())
    };
    both.into_iter().filter(is_accepted).collect()
}

#[test]
fn every_config_that_we_show_is_valid() {
    // In each place there are some, or the search is broken.
    for (folder, least) in [("docs", 10), ("examples", 1), ("spec/scenarios", 40), ("cli", 1), ("", 60)] {
        let mut paths = Vec::new();
        files(&root().join(folder), &[".yaml", ".yml", ".json", ".md"], &mut paths);
        let mut count = 0;
        for path in paths {
            let text = std::fs::read_to_string(&path).unwrap();
            let is_page = path.extension().is_some_and(|ending| ending == "md");
            let texts = if is_page { blocks(&text) } else { vec![text] };
            for config in texts.iter().flat_map(|text| accepted(text)) {
                assert_eq!(refusal(&config), None, "{}: {config}", path.display());
                count += 1;
            }
        }
        assert!(count >= least, "{folder}: only {count} configs");
    }
}

/// Each word and each form that the compiler takes, put together at random.
fn any_config() -> impl Strategy<Value = Value> {
    let pick = |values: Vec<Value>| prop::sample::select(values);
    let variant = (
        pick(vec![json!(null), json!(1), json!(2.5), json!(40)]),
        pick(vec![
            json!({}),
            json!({ "route": { "cluster": "v2", "host": "b.example.org" } }),
            json!({ "route": { "path": { "prefix": "/a", "replace_prefix": "/b" }, "shadow": "copy" } }),
            json!({ "route": { "redirect": { "path": { "regex": "^/a$", "replacement": "/b" }, "status": 307 } } }),
            json!({ "request_headers": { "set": { "x-a": "1" }, "remove": ["x-b"] } }),
            json!({ "response_headers": { "add": { "x-a": "1" } } }),
        ]),
    );
    let rule = pick(vec![
        json!(null),
        json!({ "path": { "prefix": "/shop" } }),
        json!({ "header": { "name": "x-country", "one_of": ["nl", "be"] } }),
        json!({ "all": [{ "method": { "equals": "GET" } }, { "not": { "cookie": { "name": "c", "exists": true } } }] }),
        json!({ "any": [{ "query": { "name": "q", "exists": true } }, { "host": { "suffix": ".example.org" } }] }),
    ]);
    let bucketing = pick(vec![
        json!(null),
        json!({ "dialect": "splitway", "salt": "s" }),
        json!({ "dialect": "growthbook_v1", "seed": "s" }),
        json!({ "dialect": "growthbook_v2", "coverage": 0.5 }),
        json!({ "dialect": "unleash", "rollout": 50, "variant_weights": [1, 2] }),
        json!({ "dialect": "launchdarkly", "flag_key": "f", "salt": "s", "weights": [50000, 50000] }),
        json!({ "dialect": "split", "seed": 7, "sizes": [50, 50] }),
        json!({ "dialect": "planout", "experiment_salt": "e", "parameter_salt": "p" }),
        json!({ "dialect": "eppo", "salt": "s", "ranges": [[[0, 5000]], [[5000, 10000]]] }),
        json!({ "dialect": "flagd", "flag_key": "f", "weights": [1, 2] }),
        json!({ "dialect": "flagd", "flag_key": "f", "weights": [1, 2], "revision": 3 }),
    ]);
    let status = pick(
        ["draft", "scheduled", "running", "paused", "completed", "rolled_back"].map(Value::from).to_vec(),
    );
    let guardrail = pick(vec![
        json!({ "metric": "http_5xx_rate" }),
        json!({ "metric": "http_5xx_rate", "max": "5%", "action": "observe", "window": "60s", "alpha": 0.01 }),
        json!({ "metric": "latency", "slower_than": "300ms", "max_increase": "1%", "action": "kill" }),
    ]);
    let time = pick(vec![
        json!({}),
        json!({ "traffic": "12.5%" }),
        json!({ "schedule": { "start": "2026-11-20T00:00:00Z", "end": "2026-12-20T00:00:00Z" } }),
        json!({ "ramp": [{ "at": "2026-11-20T00:00:00Z", "traffic": "1%" }, { "at": "2026-11-21T00:00:00Z", "traffic": "100%" }] }),
    ]);
    let facts = pick(vec![
        json!({}),
        json!({ "name": "n", "owner": "o", "hypothesis": "h" }),
        json!({ "metrics": { "primary": "m", "secondary": ["s"], "guardrails": ["http_5xx_rate"], "lower_is_better": ["m"] } }),
        json!({ "analysis": { "alpha": 0.05, "power": 0.8, "min_units_per_arm": 100, "non_inferiority_margins": { "g": 0.01 } } }),
    ]);
    let experiment = (
        prop::collection::vec(variant, 2),
        rule,
        bucketing,
        status,
        prop::collection::vec(guardrail, 0..2),
        time,
        facts,
    );
    let experiment = experiment.prop_map(|(variants, rule, bucketing, status, guardrails, time, facts)| {
        let mut experiment = json!({ "status": status, "guardrails": guardrails });
        let is_whole = bucketing.is_null();
        experiment["variants"] = variants
            .into_iter()
            .zip(["a", "b"])
            .map(|((weight, effect), id)| {
                let mut variant = effect;
                variant["id"] = id.into();
                if is_whole && !weight.is_null() {
                    variant["weight"] = weight;
                }
                variant
            })
            .collect();
        for (name, value) in [("targeting", rule), ("bucketing", bucketing)] {
            if !value.is_null() {
                experiment[name] = value;
            }
        }
        for (name, value) in [time, facts].iter().flat_map(|fields| fields.as_object().unwrap()) {
            experiment[name] = value.clone();
        }
        experiment
    });
    let sources =
        pick(vec![json!([{ "header": "x-user-id" }]), json!([{ "cookie": "uid" }, { "query": "ref" }])]);
    let exposure = pick(vec![
        json!(null),
        json!({ "unit": "raw" }),
        json!({ "key": { "env": "KEY" }, "log": false, "filter_state": true }),
        json!({ "unit": "none", "otlp": { "cluster": "collector", "timeout": "2s" } }),
    ]);
    (prop::collection::vec(experiment, 0..4), sources, exposure).prop_map(|(experiments, unit, exposure)| {
        let mut config = json!({ "version": 1, "namespace": "shop", "unit": unit });
        let named = experiments.into_iter().enumerate().map(|(at, mut experiment)| {
            experiment["id"] = format!("e-{at}").into();
            experiment
        });
        config["experiments"] = named.collect();
        if !exposure.is_null() {
            config["exposure"] = exposure;
        }
        config
    })
}

/// What the compiler takes, editors must take; and most of what is made here is taken, or nothing would be shown.
#[test]
fn random_documents_that_compile_are_valid() {
    let config = ProptestConfig {
        cases: 400,
        rng_seed: RngSeed::Fixed(18),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (mut taken, mut problems) = (0, Vec::new());
    let mut runner = TestRunner::new(config);
    for _ in 0..400 {
        let config = any_config().new_tree(&mut runner).unwrap().current();
        let document = Document::from_json(config.to_string().as_bytes()).unwrap();
        match compile_with(&document, Secrets::WITHHELD) {
            Ok(_) => {
                taken += 1;
                assert_eq!(refusal(&config), None, "{config}");
            }
            Err(found) => problems.push(format!("{found}\n{config}")),
        }
    }
    assert!(taken >= 200, "only {taken} are taken, such as\n{}", problems.first().unwrap());
}

/// Each word of the wire types is in the schema as it is written in a config.
#[test]
fn words_are_spelt_as_the_engine_reads_them() {
    let with = |metric: &str| {
        format!(
            "version: 1\nunit: [{{ cookie: uid }}]\nexperiments:\n  - id: x\n    variants: [{{ id: a }}, {{ id: b }}]\n    guardrails: [{{ metric: {metric} }}]\n"
        )
    };
    for (metric, is_good) in [("http_5xx_rate", true), ("http5xx_rate", false)] {
        assert_eq!(is_valid(&with(metric)), is_good, "schema: {metric}");
        assert_eq!(
            compile(&Document::from_yaml(&with(metric)).unwrap()).is_ok(),
            is_good,
            "compile: {metric}"
        );
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
        ("    bucketing: { dialect: flagd, flag_key: f }\n", true),
        ("    bucketing: { dialect: flagd, flag_key: f, revision: 2 }\n", true),
        ("    bucketing: { dialect: flagd, flag_key: f, revision: 3 }\n", true),
        ("    bucketing: { dialect: flagd, flag_key: f, revision: 1 }\n", false),
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
