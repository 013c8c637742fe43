//! `splitway simulate`.

use crate::support::{Bench, SHOP};

const RUN: &str = "simulate --config shop.yaml --units 20000 --at 2026-11-20T00:00:00Z";

#[test]
fn shares_are_as_planned() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench.run(&format!("{RUN} --json"));
    assert_eq!(ran.code, 0, "{}", ran.all());
    let json = ran.json();
    let wording =
        json["experiments"].as_array().unwrap().iter().find(|e| e["experiment"] == "wording").unwrap();
    let (planned, observed) = (wording["planned"].as_f64().unwrap(), wording["observed"].as_f64().unwrap());
    assert!((planned - 0.98 * 0.5).abs() < 1e-12, "targeted, and every request counts as eligible");
    assert!((planned - observed).abs() < 0.02);
    assert_eq!(wording["variants"].as_array().unwrap().len(), 3);
    assert!(wording["p_shares"].as_f64().unwrap() > 0.001);
    assert!(wording["p_uniform"].as_f64().unwrap() > 0.001);
    assert_eq!(wording["min_units_per_arm"], 10_000);
    // button and wording share a layer; each is paired with search.
    assert_eq!(json["independence"].as_array().unwrap().len(), 2);
    assert_eq!(json["failed"], 0);
}

#[test]
fn the_report_for_people() {
    insta::assert_snapshot!(Bench::new(&[("shop.yaml", SHOP)]).run(RUN).all());
}

#[test]
fn dependence_fails() {
    let config = "version: 1
unit: [{ cookie: uid }]
experiments:
  - { id: a, bucketing: { dialect: splitway, salt: same }, variants: [{ id: x }, { id: y }] }
  - { id: b, bucketing: { dialect: splitway, salt: same }, variants: [{ id: x }, { id: y }] }
";
    let ran = Bench::new(&[("c.yaml", config)]).run("simulate --config c.yaml --units 2000 --json");
    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["failed"], 1);
}

#[test]
fn a_picture_has_every_variant_and_pair() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench.run(&format!("{RUN} --svg shares.svg"));
    assert_eq!(ran.code, 0, "{}", ran.all());
    let svg = bench.read("shares.svg");
    let count = |what: &str| svg.matches(what).count();
    let json = bench.run(&format!("{RUN} --json")).json();
    let experiments = json["experiments"].as_array().unwrap();
    let variants: usize = experiments.iter().map(|e| e["variants"].as_array().unwrap().len()).sum();
    assert_eq!(count("height=\"14\" fill=\"#4a7fb5\""), variants, "a bar each");
    assert_eq!(count("width=\"20\" height=\"20\""), experiments.len() * experiments.len(), "a cell each");
    assert_eq!(count("<text"), count("</text>"));
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
}

#[test]
fn answers_have_the_version_of_their_shape() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    for command in [
        "validate shop.yaml --json",
        "explain --config shop.yaml --json",
        "diff shop.yaml shop.yaml --json",
        "simulate --config shop.yaml --units 100 --json",
        "power --baseline 10% --effect 0.02 --json",
    ] {
        assert_eq!(bench.run(command).json()["shape"], 1, "{command}");
    }
}
