//! A config in several files.

use crate::support::Bench;

const BASE: &str = "version: 1\nunit: [{ header: x-user-id }]\n";
const BUTTON: &str = "version: 1\nexperiments:\n  - id: button\n    variants: [{ id: a }, { id: b }]\n";
const SEARCH: &str = "version: 1\nexperiments:\n  - id: search\n    variants: [{ id: a }, { id: b }]\n";

fn bench(more: &[(&str, &str)]) -> Bench {
    let files =
        [("config/base.yaml", BASE), ("config/button.yaml", BUTTON), ("config/team/search.json", "{}")];
    let bench = Bench::new(&[&files, more].concat());
    std::fs::write(bench.path("config/team/search.yaml"), SEARCH).unwrap();
    bench
}

#[test]
fn a_folder_is_one_config() {
    let bench = bench(&[]);
    let ran = bench.run_with("assign --config config", b"u1\n");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.out.matches("\"reason\":\"split\"").count(), 2, "{}", ran.all());
    let named = "assign --config config/base.yaml --config config/button.yaml --config config/team";
    assert_eq!(bench.run_with(named, b"u1\n").out, ran.out);
    assert_eq!(bench.run("validate config").code, 0);
}

/// What one file alone gets, the files together get: a merged config moves nobody.
#[test]
fn files_together_decide_as_one_file() {
    let one = format!("{BASE}{}{}", &BUTTON[11..], SEARCH.split_once("experiments:\n").unwrap().1);
    let bench = bench(&[("one.yaml", &one)]);
    let ids: String = (0..200).map(|unit| format!("u{unit}\n")).collect();
    let together = bench.run_with("assign --config config", ids.as_bytes());
    assert_eq!(bench.run_with("assign --config one.yaml", ids.as_bytes()).out, together.out);
    assert_eq!(together.out.lines().count(), 400);
}

#[test]
fn problems_name_the_file() {
    let bench = bench(&[
        (
            "config/z-clash.yaml",
            "version: 1\nnamespace: shop\nexperiments:\n  - id: button\n    variants: [{ id: a }]\n",
        ),
        (
            "config/z-typo.yaml",
            "version: 1\nexperiments:\n  - id: typo\n    variants: [{ id: a, wieght: 3 }]\n",
        ),
        ("config/z-zone.yaml", "namespace: zone\n"),
    ]);
    let ran = bench.run("validate config");
    assert_eq!(ran.code, 1, "{}", ran.all());
    insta::assert_snapshot!(ran.out);
    let json = bench.run("validate config --json").json();
    let files: Vec<_> =
        json["files"][0]["problems"].as_array().unwrap().iter().map(|p| p["file"].clone()).collect();
    assert!(files.contains(&"config/z-typo.yaml".into()), "{files:?}");
}

#[test]
fn a_syntax_error_is_told_where_it_is() {
    let bench = bench(&[("config/z.yaml", "version: 1\nexperiments:\n\t- id: x\n")]);
    let ran = bench.run("validate config");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("--> config/z.yaml:3:2"), "{}", ran.all());
}

#[test]
fn a_folder_cannot_be_edited_and_must_hold_configs() {
    let bench = bench(&[("empty/readme.txt", "nothing")]);
    for (command, why) in [
        ("allocate config button --share 10%", "expected the one file to edit"),
        ("validate empty", "no .yaml, .yml or .json"),
    ] {
        let ran = bench.run(command);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.err.contains(why), "{}", ran.all());
    }
}

/// A folder as `init`, a scenario and a tool's settings leave it.
#[test]
fn what_is_no_config_is_left_out_and_named() {
    let bench = bench(&[]);
    let init = bench.run("init --yes --out config/new/splitway.yaml --experiment new-button");
    assert!(init.code == 0 && bench.path("config/new/splitway.schema.json").exists(), "{}", init.all());
    std::fs::remove_file(bench.path("config/new/splitway.yaml")).unwrap();
    std::fs::write(bench.path("config/scenario.yaml"), "name: a day\nsteps: [{ request: {} }]\n").unwrap();
    std::fs::write(bench.path("config/settings.json"), r#"{"tabWidth": 2}"#).unwrap();
    for command in ["validate config", "fmt --check config", "explain --config config --header x-user-id:u1"]
    {
        let ran = bench.run(command);
        assert!(ran.err.contains("left out: "), "{command}: {}", ran.all());
        assert_eq!(ran.err.matches("config/new/splitway.schema.json").count(), 1, "{command}: {}", ran.all());
        for name in ["config/scenario.yaml", "config/settings.json"] {
            assert!(ran.err.contains(name), "{command}: {}", ran.all());
        }
        assert!(!ran.all().contains("error"), "{command}: {}", ran.all());
    }
    // A misspelled field is a config's.
    std::fs::write(bench.path("config/typo.yaml"), "experimets: []\n").unwrap();
    let ran = bench.run("validate config");
    assert!(ran.code == 1 && ran.out.contains("experimets"), "{}", ran.all());
}

#[test]
fn a_list_in_a_folder_is_reported_at_its_place() {
    let bench = bench(&[("config/list.yaml", "# a comment\n- id: button\n")]);
    let ran = bench.run("validate config");
    assert!(ran.code == 1 && ran.out.contains("config/list.yaml:2:1"), "{}", ran.all());
    assert!(
        ran.out.contains("expected a mapping of fields, such as `experiments`, found a list of 1"),
        "{}",
        ran.all()
    );
}
