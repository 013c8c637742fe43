//! Rules and dashboards: they mean what they say, and ask for metrics that there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use splitway_envoy::standalone::Standalone;
use splitway_envoy::{Call, skip, tools};

use crate::support::{Bench, root};

const CHECKOUT: &str = include_str!("../../../examples/checkout/splitway.yaml");

fn rules() -> Bench {
    let bench = Bench::new(&[("splitway.yaml", CHECKOUT)]);
    let ran = bench.run("render prometheus --config splitway.yaml --at 2026-11-20T00:00:00Z");
    assert_eq!(ran.code, 0, "{}", ran.all());
    std::fs::write(bench.path("splitway.rules.yaml"), ran.out).unwrap();
    bench
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let bench = rules();
    let tests = root().join("cli/tests/prometheus/splitway.test.yaml");
    let rules = bench.read("splitway.rules.yaml");
    let (_, version) = rules.split_once("record: splitway:rendered_version\n        expr: vector(").unwrap();
    let (version, _) = version.split_once(')').unwrap();
    let text = std::fs::read_to_string(tests).unwrap().replace("VERSION", version);
    std::fs::write(bench.path("splitway.test.yaml"), &text).unwrap();
    let parsed: Value = serde_saphyr::from_str(&text).unwrap();
    let tests = parsed["tests"].as_array().unwrap().iter();
    let tried: Vec<&Value> = tests.filter_map(|test| test["alert_rule_test"].as_array()).flatten().collect();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = |fires: bool| {
            let of_it = tried.iter().filter(|test| test["alertname"] == alert);
            of_it.filter(|test| test["exp_alerts"].as_array().unwrap().is_empty() != fires).count()
        };
        assert!(fires(true) > 0, "{alert} is nowhere expected to fire");
        assert!(fires(false) > 0, "{alert} is nowhere expected to stay quiet");
    }
    let promtool = |args: &[&str]| Command::new("promtool").args(args).current_dir(bench.path(".")).output();
    let Ok(checked) = promtool(&["check", "rules", "splitway.rules.yaml"]) else {
        let test = "every_alert_fires_when_it_should_and_only_then";
        return skip::skip(test, "promtool is not on PATH: apt-get install prometheus");
    };
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let tested = promtool(&["test", "rules", "splitway.test.yaml"]).unwrap();
    assert!(
        tested.status.success(),
        "{}{}",
        String::from_utf8_lossy(&tested.stdout),
        String::from_utf8_lossy(&tested.stderr)
    );
}

#[test]
fn nothing_is_planned_of_what_does_not_run() {
    let bench = Bench::new(&[("splitway.yaml", &CHECKOUT.replace("status: running", "status: paused"))]);
    let text = bench.run("render prometheus --config splitway.yaml").out;
    assert!(
        !text.contains("experiment: \"checkout-button\"") && text.contains("experiment: \"free-shipping\""),
        "{text}"
    );
    std::fs::write(bench.path("killed.yaml"), format!("{CHECKOUT}kill_switch: true\n")).unwrap();
    let text = bench.run("render prometheus --config killed.yaml").out;
    assert!(!text.contains("experiment: \"") && text.contains("splitway:rendered_version"), "{text}");
}

/// A label, though it begins like a metric.
const LABEL: &str = "splitway_namespace";

/// The metrics that an expression names.
fn metrics(expression: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c: char| !is_name(c));
    let ours = |word: &&str| ["splitway_", "splitway:", "envoy_"].iter().any(|start| word.starts_with(start));
    words.filter(ours).filter(|word| *word != LABEL).map(str::to_owned).collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "expr" || name == "query" => found.push(text.to_owned()),
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// What a real Envoy with the filter shows.
async fn shown() -> BTreeSet<String> {
    // With everything on that has metrics of its own.
    let all = format!("{CHECKOUT}service_metrics: true\n")
        .replace(
            "  key: not-a-secret-change-me\n",
            "  key: not-a-secret-change-me\n  otlp: { cluster: checkout-v1 }\n",
        )
        .replace(
            "    traffic: 50%\n",
            "    traffic: 50%\n    guardrails: [{ metric: http_5xx_rate, max_increase: 1% }, { metric: latency, slower_than: 1s, max: 10%, action: observe }]\n",
        );
    let bench = Bench::new(&[("splitway.yaml", &all)]);
    let ran = bench.run(
        "render envoy --config splitway.yaml --cluster checkout-v1=127.0.0.1:1 --cluster checkout-v2=127.0.0.1:1 \
         --listen 127.0.0.1:0 --admin 127.0.0.1:0 --out proxy",
    );
    assert_eq!(ran.code, 0, "{}", ran.all());
    let envoy = Standalone::start(&bench.path("proxy"), &bench.read("proxy/envoy.yaml")).await.unwrap();
    envoy.http1().send(&Call::get("/").header("x-user-id", "u1")).await.unwrap();
    // A metric of refusals exists once there was one.
    let good = bench.read("proxy/experiments/ecds.yaml");
    std::fs::write(bench.path("proxy/new.yaml"), good.replace("\\\"version\\\":1", "\\\"version\\\":99"))
        .unwrap();
    std::fs::rename(bench.path("proxy/new.yaml"), bench.path("proxy/experiments/ecds.yaml")).unwrap();
    splitway_envoy::eventually("the filter to refuse", async || {
        Ok(envoy.prometheus().await?.contains("splitway_config_refused").then_some(()))
    })
    .await
    .unwrap();
    let shown = envoy.prometheus().await.unwrap();
    let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    shown.lines().filter(|line| !line.starts_with('#')).map(name).collect()
}

#[tokio::test]
async fn the_metrics_page_has_every_metric_and_no_other() {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let (_, table) = page.split_once("\n## Always\n").unwrap();
    let (table, _) = table.split_once("\n## Envoy's own\n").unwrap();
    let firsts = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let told: BTreeSet<String> = firsts.flat_map(metrics).collect();
    let base = |name: String| {
        let parts = ["_bucket", "_sum", "_count"];
        let whole = parts.iter().find_map(|part| name.strip_suffix(part)).filter(|name| told.contains(*name));
        whole.map_or(name.clone(), str::to_owned)
    };
    let ours = shown().await.into_iter().filter(|name| name.starts_with("splitway_"));
    let found: BTreeSet<String> = ours.map(base).collect();
    assert_eq!(found, told);
}

#[tokio::test]
async fn rules_and_dashboards_ask_for_metrics_that_there_are() {
    let rules = rules().read("splitway.rules.yaml");
    let recorded = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ").map(str::to_owned));
    let known: BTreeSet<String> = shown().await.into_iter().chain(recorded).collect();
    let mut asked = Vec::new();
    expressions(&serde_saphyr::from_str(&rules).unwrap(), &mut asked);
    let mut boards = 0;
    for entry in std::fs::read_dir(root().join("deploy/grafana")).unwrap() {
        let path = entry.unwrap().path();
        let board: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        check_shape(&board);
        expressions(&board, &mut asked);
        boards += 1;
    }
    assert_eq!(boards, 3);
    assert!(asked.len() > 40, "{asked:?}");
    for expression in &asked {
        for metric in metrics(expression) {
            assert!(known.contains(&metric), "{metric} is in no proxy and no rule: {expression}");
        }
    }
}

/// What Grafana needs to import a dashboard and draw each panel.
fn check_shape(board: &Value) {
    for field in ["uid", "title", "schemaVersion", "panels", "templating", "time"] {
        assert!(!board[field].is_null(), "{field}");
    }
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: the id is taken");
        assert!(
            ["stat", "timeseries", "bargauge", "table"].contains(&panel["type"].as_str().unwrap()),
            "{title}"
        );
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title} is too wide");
        for (x, y) in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert((x, y)), "{title} lies on another panel");
        }
        let targets = panel["targets"].as_array().unwrap();
        let refs: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert_eq!(refs.len(), targets.len(), "{title}");
    }
}

/// A Python with Grafana's types, under `target/tools`.
fn grafana() -> Option<PathBuf> {
    let environment = tools::target_dir().unwrap().join("tools/grafana");
    let python = environment.join("bin/python");
    let requirements = root().join("cli/tests/grafana/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).unwrap();
    let installed = environment.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Some(python);
    }
    let runs = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    let made = runs(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"];
    let has = made && runs(Command::new(&python).args(pip).arg(&requirements));
    has.then(|| std::fs::write(installed, wanted).unwrap())?;
    Some(python)
}

/// What Grafana's types say of files.
fn unknown_to_grafana(python: &Path, files: &[PathBuf]) -> String {
    let script = root().join("cli/tests/grafana/lost.py");
    let ran = Command::new(python).arg(script).args(files).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn grafana_knows_every_field_of_the_dashboards() {
    let Some(python) = grafana() else {
        let why = "no Python with grafana-foundation-sdk: apt-get install python3-venv";
        return skip::skip("grafana_knows_every_field_of_the_dashboards", why);
    };
    let folder = std::fs::read_dir(root().join("deploy/grafana")).unwrap();
    let boards: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(unknown_to_grafana(&python, &boards), "");
    let wrong = std::fs::read_to_string(&boards[0]).unwrap().replace("\"unit\"", "\"unti\"");
    let bench = Bench::new(&[("wrong.json", &wrong)]);
    let said = unknown_to_grafana(&python, &[bench.path("wrong.json")]);
    assert!(said.contains("/unti"), "{said}");
}
