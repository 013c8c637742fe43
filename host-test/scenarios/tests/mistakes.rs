//! The first mistakes that one makes, and what is said about each.

use std::fmt::Write as _;
use std::path::Path;

use splitway_scenarios::hosts::in_process::InProcess;
use splitway_scenarios::{find, parse, run};

const CONFIG: &str = "config:
  version: 1
  unit: [{ cookie: uid }]
  experiments:
    - id: button
      variants:
        - { id: control, weight: 0 }
        - { id: big, weight: 1, route: { cluster: big-shop } }
";

/// A scenario's text after [`CONFIG`], or instead of it when it brings a config.
const MISTAKES: [(&str, &str); 23] = [
    ("a field misspelt", "requests:\n  - path: /\n    expct: { variants: { button: big } }\n"),
    (
        "a field of the upstream misspelt",
        "requests:\n  - headers: { cookie: uid=u }\n    expect:\n      upstream: { clutser: big-shop }\n",
    ),
    ("bad indentation", "requests:\n  - path: /\n   expect: { variants: { button: big } }\n"),
    ("a tab", "requests:\n\t- path: /\n"),
    ("no config", "requests:\n  - path: /\n"),
    ("a config that is not there", "config: splitway.yml\nrequests:\n  - path: /\n"),
    (
        "a mistake in the config",
        "config:\n  version: 1\n  unit: [{ cookie: uid }]\n  experiments:\n    - { id: button, varaints: [{ id: a }] }\nrequests:\n  - path: /\n",
    ),
    ("no requests", ""),
    ("requests that are no list", "requests:\n  path: /\n"),
    (
        "an unknown cluster",
        "requests:\n  - headers: { cookie: uid=u }\n    expect: { upstream: { cluster: bigshop } }\n",
    ),
    (
        "an unknown experiment",
        "requests:\n  - headers: { cookie: uid=u }\n    expect: { variants: { buton: big } }\n",
    ),
    (
        "an unknown variant",
        "requests:\n  - headers: { cookie: uid=u }\n    expect: { variants: { button: large } }\n",
    ),
    (
        "several at once",
        "workers: 9\nrequests:\n  - { method: [GET], expct: {} }\n  - expect: { reasons: { button: spilt } }\n  - { at: soon }\n",
    ),
    ("a wrong host name", "hosts: { only: [wasmtine], reason: it is quick }\nrequests:\n  - path: /\n"),
    ("hosts without a reason", "hosts: { only: [envoy] }\nrequests:\n  - path: /\n"),
    ("a time that is none", "now: 2026-11-20\nrequests:\n  - path: /\n"),
    ("the host among the headers", "requests:\n  - headers: { Host: shop.example }\n"),
    ("an unknown operator", "requests:\n  - expect: { response: { headers: { x-a: { contain: b } } } }\n"),
    ("braces without quotes", "requests:\n  - headers:\n      cookie: {{uid}}\n"),
    (
        "a header that is wrong",
        "requests:\n  - headers: { cookie: uid=u }\n    expect:\n      response: { headers: { x-splitway: button=control } }\n",
    ),
    (
        "a wrong variant and cluster",
        "requests:\n  - path: /checkout\n    headers: { cookie: uid=u }\n    expect:\n      variants: { button: control }\n      upstream: { cluster: default }\n",
    ),
    (
        "an exposure that is missing",
        "requests:\n  - path: /checkout\n    expect: { exposures: [{ feature_flag.key: button }] }\n",
    ),
    ("a value that nothing captured", "requests:\n  - headers: { cookie: \"uid={{uid}}\" }\n"),
];

#[test]
fn each_says_what_to_do() {
    let mut all = String::new();
    for (name, rest) in MISTAKES {
        let brings_config = rest.starts_with("config:") || name == "no config";
        let text = if brings_config { rest.to_owned() } else { format!("{CONFIG}{rest}") };
        let said = match parse(Path::new("button.yaml"), &text) {
            Err(invalid) => invalid.to_string(),
            Ok(scenario) => match run(&scenario, &mut InProcess) {
                Ok(differences) => {
                    assert!(!differences.is_empty(), "{name} goes unnoticed");
                    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
                }
                Err(error) => format!("{error:#}"),
            },
        };
        write!(all, "## {name}\n{said}\n\n").unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_folder_without_scenarios_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let said = find(&[folder.path().to_owned()]).unwrap_err();
    assert!(said.contains("no scenario in this folder") && said.contains("README"), "{said}");
    let said = find(&[folder.path().join("nothing")]).unwrap_err();
    assert!(said.contains("no such file or folder"), "{said}");
}
