//! Secrets outside of the config, and secrets that are none.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::dev::Dev;
use crate::support::{Bench, root};

const CONFIG: &str = "\
version: 1
unit: [{ header: x-user-id }]
exposure: { key: { env: EXPOSURE_KEY } }
qa_tokens: { header: x-qa, keys: [{ id: k1, secret: { env: QA_KEY } }] }
experiments:
  - id: button
    owner: shop
    hypothesis: It sells more
    metrics: { primary: orders, guardrails: [errors] }
    schedule: { start: 2026-11-20T00:00:00Z, end: 2026-12-20T00:00:00Z }
    variants: [{ id: old }, { id: new }]
";
const GOOD: &str = "1f0c7e2b9a4d5863c0e1f7a2b8d49635";

fn bench() -> Bench {
    Bench::new(&[("splitway.yaml", CONFIG)])
}

/// What the launch rules say of a config, as path and what was found.
fn launch(bench: &Bench, variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let ran = bench.run_in("validate --launch --json splitway.yaml", b"", variables);
    let problems = ran.json()["files"][0]["problems"].as_array().unwrap().clone();
    let text = |problem: &Value, name: &str| problem[name].as_str().unwrap().to_owned();
    problems
        .iter()
        .filter(|problem| problem["severity"] == "error")
        .map(|problem| (text(problem, "path"), text(problem, "found")))
        .collect()
}

#[test]
fn tools_that_decide_nothing_need_no_secret() {
    let bench = bench();
    for args in [
        "validate splitway.yaml",
        "validate --launch splitway.yaml",
        "simulate --config splitway.yaml --units 2000",
        "diff splitway.yaml splitway.yaml",
        "render configmap --config splitway.yaml",
        "render prometheus --config splitway.yaml",
    ] {
        let ran = bench.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args}: {}", ran.all());
    }
}

#[test]
fn commands_read_their_environment_and_say_what_is_missing() {
    let bench = bench();
    let both = [("EXPOSURE_KEY", GOOD), ("QA_KEY", GOOD)];
    let token = "token --config splitway.yaml --experiment button --variant new --at 2026-11-21T00:00:00Z";
    let missing = bench.run_in(token, b"", &both[..1]);
    assert_eq!(missing.code, 2, "{}", missing.all());
    assert!(missing.err.contains("QA_KEY, which is not set"), "{}", missing.all());
    let signed = bench.run_in(token, b"", &both[1..]);
    assert_eq!(signed.code, 0, "{}", signed.all());
    let explain = format!(
        "explain --config splitway.yaml --header x-qa:{} --at 2026-11-21T00:01:00Z",
        signed.out.trim()
    );
    let known = bench.run_in(&explain, b"", &both);
    assert!(known.out.contains("=> button: new (qa_token"), "{}", known.all());
    assert_eq!(known.err, "");
    let unknown = bench.run_in(&explain, b"", &[]);
    assert_eq!(unknown.code, 0, "{}", unknown.all());
    assert!(!unknown.out.contains("button: new"), "{}", unknown.all());
    for name in ["EXPOSURE_KEY", "QA_KEY"] {
        let said = unknown
            .err
            .lines()
            .filter(|line| line.starts_with(&format!("the environment variable {name} is not set")))
            .count();
        assert_eq!(said, 1, "{}", unknown.all());
    }
    let assign = bench.run_in("assign --config splitway.yaml --at 2026-11-21T00:00:00Z", b"u1\n", &[]);
    assert_eq!(
        (assign.code, assign.out.lines().count(), assign.err.lines().count()),
        (0, 1, 2),
        "{}",
        assign.all()
    );
    let short = bench.run_in(token, b"", &[("QA_KEY", "short")]);
    assert!(
        short.code == 1 && short.err.contains("qa_tokens") && !short.err.contains("`short`"),
        "{}",
        short.all()
    );
}

#[tokio::test]
async fn dev_serves_with_secrets_and_refuses_without() {
    let bench = bench();
    let args = "dev --config splitway.yaml --listen 127.0.0.1:0";
    let refused = bench.run_in(args, b"", &[("QA_KEY", GOOD)]);
    assert_eq!(refused.code, 1, "{}", refused.all());
    for piece in ["error[missing_secret]", "variable EXPOSURE_KEY", "export EXPOSURE_KEY="] {
        assert!(refused.err.contains(piece), "{piece}: {}", refused.all());
    }
    let dev = Dev::start_in(&bench, &["--verbose"], &[("EXPOSURE_KEY", GOOD), ("QA_KEY", GOOD)]);
    let answer = dev.get("/", &[("x-user-id", "u1")]).await;
    assert!(answer.status == 200, "{}", answer.text());
    assert_eq!(dev.event()["event"], "request");
    dev.has_error("\"feature_flag.context.id\":\"").await;
}

#[test]
fn launch_refuses_secrets_that_are_none() {
    let bench = bench();
    assert_eq!(launch(&bench, &[]), [], "what is not here cannot be judged");
    assert_eq!(launch(&bench, &[("EXPOSURE_KEY", GOOD), ("QA_KEY", GOOD)]), []);
    let found = launch(&bench, &[("EXPOSURE_KEY", "not-a-secret-change-me"), ("QA_KEY", &"ab".repeat(20))]);
    assert_eq!(
        found,
        [
            (
                "exposure.key".to_owned(),
                "one that is published: a sample in Splitway's documentation in EXPOSURE_KEY".to_owned()
            ),
            ("qa_tokens.keys[0].secret".to_owned(), "one that is easily guessed in QA_KEY".to_owned()),
        ]
    );
    for (exposure, expected) in [
        ("", vec![("exposure.key".to_owned(), "none".to_owned())]),
        ("exposure: { once_per: unit }\n", vec![("exposure.key".to_owned(), "none".to_owned())]),
        ("exposure: { unit: none }\n", vec![]),
        ("exposure: { unit: raw }\n", vec![]),
        (
            "exposure: { key: my-company-password }\n",
            vec![("exposure.key".to_owned(), "a placeholder".to_owned())],
        ),
        (&*format!("exposure: {{ key: {GOOD} }}\n"), vec![]),
    ] {
        let config = CONFIG.replace("exposure: { key: { env: EXPOSURE_KEY } }\n", exposure);
        let bench = Bench::new(&[("splitway.yaml", &config)]);
        assert_eq!(launch(&bench, &[]), expected, "{exposure}");
    }
    let said = bench.run_in("validate --launch splitway.yaml", b"", &[("QA_KEY", &"z".repeat(32))]);
    assert!(said.code == 1 && !said.all().contains("zzzz"), "{}", said.all());
    let made = Bench::new(&[]);
    made.run("init --yes");
    let text = made.read("splitway.yaml");
    assert!(text.contains("key: \""), "{text}");
    assert!(launch(&made, &[]).iter().all(|(path, _)| path != "exposure.key"), "what init makes is a secret");
}

/// Files that show configs.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", ".git", "vectors", "crds", "runs"].contains(&&*name) {
                pages(&path, found);
            }
        } else if [".md", ".yaml", ".json", ".rs", ".snap"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

/// The values of `field: VALUE` that are long enough for a secret.
fn values<'t>(text: &'t str, field: &str) -> Vec<&'t str> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices(field) {
        let before = text[..at].chars().next_back();
        let rest = text[at + field.len()..].trim_start_matches(['"', '\\']);
        let Some(rest) = rest.strip_prefix(':') else { continue };
        let rest = rest.trim_start_matches([' ', '"', '\\']);
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_!+/=".contains(c))).unwrap_or(rest.len());
        let value = &rest[..end];
        let is_variable = value.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let is_whole_field = !before.is_some_and(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        if is_whole_field && !is_variable && value.len() >= 16 {
            all.push(value);
        }
    }
    all
}

/// Whoever copies a sample from here does not launch with it.
#[test]
fn every_published_sample_is_refused() {
    let mut files = Vec::new();
    for folder in ["docs", "examples", "spec", "deploy", "edge", "cli", "envoy/tests", "host-test"] {
        pages(&root().join(folder), &mut files);
    }
    files.push(root().join("README.md"));
    let mut samples: Vec<String> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        for value in ["key", "secret"].into_iter().flat_map(|field| values(&text, field)) {
            if !samples.iter().any(|known| known == value) {
                samples.push(value.to_owned());
            }
        }
    }
    assert!(samples.len() >= 5, "{samples:?}");
    assert!(samples.iter().any(|sample| sample == "not-a-secret-change-me"), "{samples:?}");
    let keys: Vec<Value> =
        samples.iter().map(|sample| json!({ "exposure": { "key": sample }, "version": 1 })).collect();
    let files: Vec<(String, String)> =
        keys.iter().enumerate().map(|(at, config)| (format!("{at}.json"), config.to_string())).collect();
    let named: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let bench = Bench::new(&named);
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let ran = bench.run(&format!("validate --launch --json {}", names.join(" ")));
    for (sample, report) in samples.iter().zip(ran.json()["files"].as_array().unwrap()) {
        let is_refused = report["problems"]
            .as_array()
            .unwrap()
            .iter()
            .any(|problem| problem["path"] == "exposure.key" && problem["code"] == "launch");
        assert!(
            is_refused,
            "`{sample}` is in this repository, and launch takes it: engine/src/tools/strength.rs"
        );
    }
}
