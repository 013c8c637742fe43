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

const LATER: &str = "
version: 1
unit: [{ cookie: uid }]
experiments:
  - id: e
    schedule: { end: 2026-12-20T00:00:00Z }
    ramp:
      - { at: 2026-11-01T00:00:00Z, traffic: 10% }
      - { at: 2026-12-10T00:00:00Z, traffic: 50% }
    variants:
      - { id: a, weight: 50 }
      - { id: b, weight: 50, route: { cluster: two } }
";

/// A gate that looks at today alone passes what moves units tomorrow.
#[test]
fn later_steps_of_a_ramp_count() {
    let raised = LATER.replace("traffic: 50%", "traffic: 100%");
    let ran = diff(LATER, &raised, "--max-moved 1%");
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.out.contains("e: nobody moves now; 10% are in it"), "{}", ran.all());
    assert!(
        ran.out.contains("from 2026-12-10T00:00:00.000Z: 50% of all units come in; 100% are in it, 50% were"),
        "{}",
        ran.all()
    );
    let json = diff(LATER, &raised, "--json").json();
    let later = &json["experiments"][0]["later"];
    assert_eq!((later[0]["enters"].as_f64(), later[1]["moved"].as_f64()), (Some(0.5), Some(0.0)), "{json}");
    assert_eq!(later.as_array().map(Vec::len), Some(2), "{json}");
    let ended = LATER.replace("2026-12-20", "2026-12-15");
    let ran = diff(LATER, &ended, "--max-moved 1%");
    assert!(
        ran.code == 1 && ran.out.contains("from 2026-12-15T00:00:00.000Z: 50% of all units leave"),
        "{}",
        ran.all()
    );
    assert_eq!(diff(LATER, LATER, "--max-moved 0%").code, 0);
}

#[test]
fn what_a_variant_does_counts() {
    let routed = LATER.replace("cluster: two", "cluster: three");
    let ran = diff(LATER, &routed, "--max-moved 1%");
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.out.contains("5% of all units are served otherwise by the same variant"), "{}", ran.all());
    assert!(ran.out.contains("b: what it does changed: route.cluster is three, was two\n"), "{}", ran.all());
    // Each part that differs, and no share of units.
    let more = LATER
        .replace(
            "weight: 50, route: { cluster: two }",
            "weight: 60, route: { cluster: two, host: a.example.org }",
        )
        .replace("{ id: a, weight: 50 }", "{ id: a, weight: 40, response_headers: { set: { x-a: '1' } } }");
    let ran = diff(LATER, &more, "");
    for said in [
        "b: what it does changed: route.host is a.example.org, was none\n",
        "a: what it does changed: response_headers.set.x-a is 1, was none\n",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.all());
    }
    // Where nobody is in it yet, it is said all the same.
    let draft = |text: &str| text.replace("  - id: e\n", "  - id: e\n    status: draft\n");
    let ran = diff(&draft(LATER), &draft(&routed), "--max-moved 1%");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.out.contains("e: nobody moves now; 0% are in it"), "{}", ran.all());
    assert!(ran.out.contains("b: what it does changed: route.cluster is three, was two\n"), "{}", ran.all());
    // The control's units are as they were.
    let json = diff(LATER, &routed, "--json").json();
    assert!((json["experiments"][0]["served_otherwise"].as_f64().unwrap() - 0.05).abs() < 1e-9, "{json}");
}
