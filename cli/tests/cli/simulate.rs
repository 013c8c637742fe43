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
