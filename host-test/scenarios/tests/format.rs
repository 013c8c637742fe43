//! The format's schema, pages and modules are in step with what is read.

use std::path::{Path, PathBuf};

use splitway_engine::Document;
use splitway_scenarios::hosts::in_process::InProcess;
use splitway_scenarios::{find, parse, run};

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec")
}

fn as_json(yaml: &str) -> serde_json::Value {
    serde_json::from_str(&Document::from_yaml(yaml).unwrap().to_json()).unwrap()
}

#[test]
fn the_committed_schema_is_fresh() {
    let committed = std::fs::read_to_string(spec().join("scenario.schema.json")).unwrap();
    let fresh = serde_json::to_string_pretty(&splitway_scenarios::schema()).unwrap();
    assert!(
        committed.trim_end() == fresh,
        "renew it: cargo run -p splitway -- schema --scenario > spec/scenario.schema.json"
    );
}

#[test]
fn the_corpus_is_valid_by_the_schema_and_mistakes_are_not() {
    let schema = jsonschema::draft202012::new(&splitway_scenarios::schema()).unwrap();
    let files = find(&[spec().join("scenarios")]).unwrap();
    assert!(files.len() >= 40, "{}", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let errors: Vec<String> =
            schema.iter_errors(&as_json(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
    }
    for wrong in [
        "config: {}\n",
        "config: {}\nrequests: [{ pth: / }]\n",
        "config: {}\nrequests: [{ expect: { upstream: nobody } }]\n",
        "config: {}\nrequests: [{ expect: { response: { headers: { a: { contain: b } } } } }]\n",
        "config: {}\nhosts: { only: [envoy] }\nrequests: [{}]\n",
    ] {
        assert!(!schema.is_valid(&as_json(wrong)), "{wrong}");
        assert!(parse(Path::new("x.yaml"), wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_readmes_first_scenario_passes() {
    let readme = std::fs::read_to_string(spec().join("scenarios/README.md")).unwrap();
    let yaml = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let scenario = parse(Path::new("button.yaml"), yaml).unwrap_or_else(|error| panic!("{error}"));
    let differences = run(&scenario, &mut InProcess).unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn the_module_is_its_text() {
    let folder = spec().join("scenarios/modules");
    let text = std::fs::read_to_string(folder.join("greeter.wat")).unwrap();
    let fresh = wat::parse_str(&text).unwrap();
    let committed = std::fs::read(folder.join("greeter.wasm")).unwrap_or_default();
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(folder.join("greeter.wasm"), &fresh).unwrap();
    }
    assert!(fresh == committed, "renew it: RENEW=1 cargo test -p splitway-scenarios the_module_is_its_text");
}
