//! `splitway validate`.

use crate::support::{Bench, SHOP};

const BAD: &str = "version: 1
unit: [{ coookie: uid }]
experiments:
  - id: Button
    traffic: 50
    variants: [{ id: a }, { id: a }]
";

#[test]
fn a_good_config_is_ok() {
    let ran = Bench::new(&[("shop.yaml", SHOP)]).run("validate shop.yaml");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("shop.yaml: ok, version "), "{}", ran.out);
}

#[test]
fn problems_are_underlined() {
    insta::assert_snapshot!(Bench::new(&[("bad.yaml", BAD)]).run("validate bad.yaml").all());
}

#[test]
fn launch_rules_name_what_is_missing() {
    let config = "version: 1
unit: [{ cookie: uid }]
experiments:
  - id: ready
    owner: payments@shop.example
    hypothesis: It sells more
    metrics: { primary: orders, guardrails: [errors] }
    schedule: { start: 2026-11-20T00:00:00Z, end: 2026-12-04T00:00:00Z }
    variants: [{ id: a }, { id: b }]
  - id: hasty
    owner: ''
    metrics: { secondary: [clicks], lower_is_better: [clicks], higher_is_better: [clicks] }
    schedule: { start: 2026-11-20T00:00:00Z, end: 2026-11-22T00:00:00Z }
    analysis: { minimum_detectable_effect: 0, alpha: 5, non_inferiority_margins: { clicks: 0 } }
    variants: [{ id: a }]
  - id: over
    status: completed
    variants: [{ id: a }]
";
    let bench = Bench::new(&[("launch.yaml", config)]);
    assert_eq!(bench.run("validate launch.yaml").code, 0);
    insta::assert_snapshot!(bench.run("validate --launch launch.yaml").all());
}

#[test]
fn json_has_every_field() {
    let bench = Bench::new(&[("bad.yaml", BAD), ("shop.yaml", SHOP)]);
    let ran = bench.run("validate --json bad.yaml shop.yaml");
    assert_eq!(ran.code, 1);
    let files = &ran.json()["files"];
    assert_eq!(files[0]["valid"], false);
    assert_eq!(files[0]["version"], serde_json::Value::Null);
    let first = &files[0]["problems"][0];
    assert_eq!(first["code"], "unknown_field");
    assert_eq!(first["severity"], "error");
    assert_eq!(first["path"], "unit[0]");
    assert_eq!(first["suggestion"], "did you mean `cookie`?");
    assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(2), Some(10)));
    assert_eq!(files[1]["valid"], true);
    assert_eq!(files[1]["problems"], serde_json::json!([]));
}

#[test]
fn json_and_stdin_are_read_by_content() {
    let json = br#"{ "version": 1,
	"unit": [{ "cookie": "uid" }],
	"experiments": [{ "id": "x", "variants": [{ "id": "a", "wieght": 1 }] }] }"#;
    let ran = Bench::new(&[]).run_with("validate -", json);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.out.contains("did you mean `weight`?"), "{}", ran.out);
    let ran = Bench::new(&[]).run_with("validate -", b"{ \"version\": 1,,");
    assert!(ran.code == 1 && ran.out.contains("error[syntax]: expected JSON"), "{}", ran.all());
    let ran = Bench::new(&[]).run_with("validate -", b"\xff");
    assert!(ran.code == 1 && ran.err.contains("not UTF-8"), "{}", ran.all());
}

#[test]
fn warnings_can_be_denied() {
    let warned = SHOP.replacen("experiments:", "experiments:\n  - id: warned\n    traffic: 100%\n    variants: [{ id: a, weight: 0 }, { id: b, weight: 1, route: { cluster: other } }]\n  - id: warned-too\n    variants: [{ id: a, route: { cluster: another } }]", 1);
    let bench = Bench::new(&[("shop.yaml", SHOP), ("warned.yaml", &warned)]);
    let lenient = bench.run("validate warned.yaml");
    assert!(lenient.code == 0 && lenient.out.contains("warning["), "{}", lenient.all());
    let strict = bench.run("validate --deny-warnings warned.yaml");
    assert_eq!((strict.code, strict.err.as_str()), (1, ""), "{}", strict.all());
    let last = strict.out.lines().last().unwrap();
    assert!(last.starts_with("warned.yaml: refused, ") && last.contains("warning"), "{last}");
    assert_eq!(bench.run("validate --deny-warnings shop.yaml").code, 0);
    let json = bench.run("validate --deny-warnings --json shop.yaml warned.yaml");
    assert_eq!(json.code, 1);
    assert_eq!(json.json()["files"][1]["valid"], true, "a warning is no error");
}

#[test]
fn usage_is_2() {
    let bench = Bench::new(&[]);
    for args in ["validate", "validate absent.yaml", "frobnicate", "assign --config absent.yaml"] {
        assert_eq!(bench.run(args).code, 2, "{args}");
    }
    for command in ["validate", "schema", "explain", "simulate", "diff", "allocate", "reweight"] {
        let ran = bench.run(&format!("{command} --help"));
        assert!(ran.code == 0 && ran.out.contains("Example: splitway"), "{}", ran.all());
    }
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let pad = "x".repeat(300);
    let config = format!(
        "{{\"version\":1,\"unit\":[{{\"cookie\":\"{pad}\"}}],\"experiments\":[{{\"id\":\"A\",\"variants\":[{{\"id\":\"a\"}}],\"name\":\"{pad}\"}}]}}"
    );
    insta::assert_snapshot!(Bench::new(&[("long.json", &config)]).run("validate long.json").all());
}

/// A share that rounds to no bucket is no mistake of the config's form, and nobody would get the variant.
#[test]
fn weights_that_get_no_bucket_are_warned_of() {
    let config = "version: 1\nunit: [{ cookie: uid }]\nexperiments:\n  - id: button\n    variants:\n      - { id: a, weight: 100000 }\n      - { id: b, weight: 1 }\n      - { id: c, weight: 0 }\n";
    let bench = Bench::new(&[("a.yaml", config), ("b.yaml", &config.replace("100000", "1000"))]);
    let ran = bench.run("validate a.yaml");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.out.matches("warning[").count(), 1, "{}", ran.all());
    assert!(ran.out.contains("`b` gets nobody: its share rounds to no bucket"), "{}", ran.all());
    assert!(ran.out.contains(" --> a.yaml:7:26"), "{}", ran.all());
    assert_eq!(bench.run("validate --deny-warnings a.yaml").code, 1);
    assert!(!bench.run("validate b.yaml").out.contains("warning"));
}

#[test]
fn tags_that_state_what_a_value_is_change_nothing() {
    let plain = "version: 1\nunit: [{ cookie: uid }]\nexperiments:\n  - id: button\n    variants: [{ id: a }, { id: b }]\n";
    let tagged = plain
        .replace("1\n", "!!int 1\n")
        .replace("[{ cookie", "!!seq [!!map { cookie")
        .replace("button", "!!str button");
    let bench = Bench::new(&[("a.yaml", plain), ("b.yaml", &tagged)]);
    let version =
        |file: &str| bench.run(&format!("validate {file}")).out.split(' ').next_back().unwrap().to_owned();
    assert_eq!(version("a.yaml"), version("b.yaml"));
    assert!(version("a.yaml").trim().len() == 16, "{}", version("a.yaml"));
}
