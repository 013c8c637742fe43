//! `splitway diff`.

use splitway_engine::{Document, NoTrace, RequestView, Timestamp, compile};

use crate::support::{Bench, SHOP};

const AT: &str = "2026-11-20T00:00:00Z";

fn diff(old: &str, new: &str, more: &str) -> crate::support::Ran {
    let bench = Bench::new(&[("old.yaml", old), ("new.yaml", new)]);
    bench.run(&format!("diff old.yaml new.yaml --at {AT} {more}"))
}

#[test]
fn what_changed_is_told_per_experiment() {
    let new = SHOP
        .replace("traffic: 50%", "traffic: 75%")
        .replace("- [5000, 9999]", "- [6000, 9999]")
        .replace("weight: 3", "weight: 1")
        .replace("  - id: wording\n", "  - id: phrasing\n");
    insta::assert_snapshot!(diff(SHOP, &new, "").all());
    assert_eq!(diff(SHOP, SHOP, "--max-moved 0%").code, 0);
}

#[test]
fn shares_are_products_of_ranges() {
    let new = SHOP.replace("traffic: 50%", "traffic: 25%").replace("weight: 50 }", "weight: 150 }");
    let json = diff(SHOP, &new, "--json").json();
    let button = &json["experiments"][0];
    // 2 % are held out; 2,000 of 10,000 buckets were active and 1,000 are; a quarter changes.
    for (field, expected) in [
        ("in_before", 0.98 * 0.2),
        ("in_after", 0.98 * 0.1),
        ("leaves", 0.98 * 0.1),
        ("enters", 0.0),
        ("changes_variant", 0.98 * 0.1 * 0.25),
    ] {
        let found = button[field].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{field}: {found}");
    }
    assert_eq!(button["exact"], true);
}

#[test]
fn new_salts_and_dialects_are_estimates() {
    let salted = SHOP.replace("  - id: checkout\n", "  - id: checkout\n    salt: other\n");
    let json = diff(SHOP, &salted, "--json").json();
    assert_eq!(json["experiments"][0]["exact"], false);
    assert_eq!(json["experiments"][1]["exact"], true, "another layer");
    let foreign = SHOP.replace(
        "    schedule:",
        "    bucketing: { dialect: growthbook_v2, seed: s, coverage: 0.5 }\n    schedule:",
    );
    let json = diff(SHOP, &foreign, "--json --units 20000").json();
    let search = &json["experiments"][1];
    assert_eq!(search["exact"], false);
    assert!((search["in_after"].as_f64().unwrap() - 0.49).abs() < 0.02, "{search}");
}

#[test]
fn too_much_movement_is_exit_1() {
    let new = SHOP.replace("weight: 3", "weight: 2");
    let ran = diff(SHOP, &new, "--max-moved 5%");
    assert!(ran.code == 1 && ran.out.contains("at most 5% may"), "{}", ran.all());
    assert_eq!(diff(SHOP, &new, "--max-moved 10%").code, 0);
}

/// What `diff` computes is what `decide` does.
#[test]
fn shares_agree_with_decisions() {
    let new = SHOP
        .replace("traffic: 50%", "traffic: 80%")
        .replace("weight: 50 }", "weight: 20 }")
        .replace("share: 2%", "share: 5%");
    let json = diff(SHOP, &new, "--json").json();
    let button = &json["experiments"][0];
    let plans = [SHOP, &new].map(|text| compile(&Document::from_yaml(text).unwrap()).unwrap());
    let at = Timestamp::parse(AT).unwrap();
    let units = 100_000;
    let (mut changes, mut enters, mut leaves) = (0, 0, 0);
    for n in 0..units {
        let cookie = format!("uid=user-{n}");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"cookie", cookie.as_bytes())];
        let [before, after] = plans.each_ref().map(|plan| {
            let (handle, _) = plan.find("button").unwrap();
            let decision = plan.decide(&RequestView::new(&headers), at, &mut NoTrace);
            decision.assignments.iter().find(|a| a.experiment == handle).map(|a| a.variant)
        });
        match (before, after) {
            (Some(a), Some(b)) if a != b => changes += 1,
            (None, Some(_)) => enters += 1,
            (Some(_), None) => leaves += 1,
            _ => {}
        }
    }
    for (field, count) in [("changes_variant", changes), ("enters", enters), ("leaves", leaves)] {
        let share = button[field].as_f64().unwrap();
        let observed = f64::from(count) / f64::from(units);
        // Five standard errors.
        let tolerance = 5.0 * (share * (1.0 - share) / f64::from(units)).sqrt();
        assert!((share - observed).abs() <= tolerance, "{field}: {share} {observed}");
    }
}
