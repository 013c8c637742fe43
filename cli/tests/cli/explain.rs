//! `splitway explain`.

use crate::support::{Bench, SHOP};

const REQUEST: &str =
    "explain --config shop.yaml --at 2026-11-20T00:00:00Z --path /checkout/pay --host shop.example";

#[test]
fn every_step_is_shown() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    insta::assert_snapshot!("user", bench.run(&format!("{REQUEST} --cookie uid=user-1")).all());
    insta::assert_snapshot!("tester", bench.run(&format!("{REQUEST} --header X-User:tester-1")).all());
    insta::assert_snapshot!("nobody", bench.run(&format!("{REQUEST} --header X-Splitway:button=big")).all());
}

#[test]
fn json_has_the_same_steps() {
    let ran = Bench::new(&[("shop.yaml", SHOP)]).run(&format!("{REQUEST} --cookie uid=user-1 --json"));
    let json = ran.json();
    let steps = json["steps"].as_array().unwrap();
    assert_eq!(steps[0]["step"], "unit");
    assert_eq!(steps[0]["found_in"], "cookie:uid");
    let outcomes: Vec<&str> =
        steps.iter().filter(|s| s["step"] == "outcome").map(|s| s["experiment"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["button", "wording", "search"]);
    assert!(json["stamp"].as_str().unwrap().contains("search="));
}
