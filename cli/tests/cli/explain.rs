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

/// Two variants with a guardrail, and one that is alone.
const GUARDED: &str = "\
version: 1
unit: [{ cookie: uid }]
experiments:
  - id: button
    variants: [{ id: control, weight: 0 }, { id: big, weight: 100, route: { cluster: big-button } }]
    guardrails: [{ metric: http_5xx_rate }]
  - id: rollout
    variants: [{ id: \"on\" }]
    guardrails: [{ metric: http_5xx_rate, max: 5% }]
  - id: watched
    variants: [{ id: a, weight: 0 }, { id: b, weight: 100 }]
    guardrails: [{ metric: http_5xx_rate, action: observe }]
";

#[test]
fn a_tripped_variant_is_left() {
    let bench = Bench::new(&[("guarded.yaml", GUARDED)]);
    let asked = "explain --config guarded.yaml --at 2026-11-20T00:00:00Z --cookie uid=user-1";
    let stamp = |more: &str| {
        let ran = bench.run(&format!("{asked} {more} --json"));
        (ran.json()["stamp"].as_str().unwrap_or_default().to_owned(), ran.err)
    };
    let all = "button=big, rollout=on, watched=b";
    assert_eq!(stamp(""), (all.to_owned(), String::new()));
    assert_eq!(
        stamp("--tripped button/big"),
        ("button=control, rollout=on, watched=b".into(), String::new())
    );
    // The control is what units get when something trips.
    assert_eq!(stamp("--tripped rollout/on"), ("button=big, watched=b".into(), String::new()));
    assert_eq!(stamp("--tripped button/big --tripped rollout/on").0, "button=control, watched=b");
    let (watched, said) = stamp("--tripped watched/b");
    assert!(
        watched.ends_with("watched=a") && said.contains("has no guardrail that switches"),
        "{watched}: {said}"
    );
    let shown = bench.run(&format!("{asked} --tripped button/big"));
    assert!(shown.out.contains("=> button: control (guardrail"), "{}", shown.all());
    for (wrong, advice) in [
        ("buton/big", "did you mean `button`?"),
        ("button/bigg", "did you mean `big`?"),
        ("button", "expected a `/`"),
    ] {
        let ran = bench.run(&format!("{asked} --tripped {wrong}"));
        assert!(ran.code == 2 && ran.err.contains(advice), "{}", ran.all());
    }
}
