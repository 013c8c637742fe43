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

/// A ramp step and an end that are yet to come move units, and `--max-moved` sees them.
#[test]
fn later_boundaries_are_shown_and_gated() {
    let ramp = |last: &str| {
        SHOP.replace(
            "    traffic: 50%\n",
            &format!(
                "    ramp: [{{ at: 2026-11-01T00:00:00Z, traffic: 10% }}, {{ at: 2026-12-05T00:00:00Z, traffic: {last} }}]\n"
            ),
        )
    };
    let (old, new) = (ramp("50%"), ramp("100%"));
    let ran = diff(&old, &new, "--max-moved 5%");
    assert_eq!(ran.code, 1, "{}", ran.all());
    // 4,000 of 10,000 buckets, less those held out: a half more of them.
    for said in [
        "button: nobody moves now; 3.92% are in it",
        "from 2026-12-05T00:00:00.000Z on: 19.6% of all units come in; 39.2% are in it, 19.6% in the old config",
        "19.6% will move in one experiment, at most 5% may",
        "wording: nobody moves; 49% are in it",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.all());
    }
    let json = diff(&old, &new, "--json").json();
    let later = &json["experiments"][0]["later"];
    assert_eq!(later.as_array().unwrap().len(), 1);
    assert_eq!(later[0]["at"], "2026-12-05T00:00:00.000Z");
    assert!((later[0]["enters"].as_f64().unwrap() - 0.98 * 0.2).abs() < 1e-12, "{later}");
    assert_eq!(json["experiments"][0]["moved"], 0.0);
    assert!((json["largest_moved"].as_f64().unwrap() - 0.98 * 0.2).abs() < 1e-12);
    // What comes in both configs at the same time is no difference, and is in the JSON.
    let ran = diff(&old, &old, "--max-moved 0%");
    assert!(ran.code == 0 && !ran.out.contains("from 2026"), "{}", ran.all());
    assert_eq!(diff(&old, &old, "--json").json()["experiments"][0]["later"][0]["moved"], 0.0);
    // A longer run: from the old end on, its units are in.
    let longer = SHOP.replace("end: 2026-12-01T00:00:00Z", "end: 2026-12-15T00:00:00Z");
    let ran = diff(SHOP, &longer, "--max-moved 5%");
    for said in [
        "search: nobody moves now; 98% are in it",
        "from 2026-12-01T00:00:00.000Z on: 98% of all units come in; 98% are in it, 0% in the old config",
        "from 2026-12-15T00:00:00.000Z on: nobody moves; 0% are in it",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.all());
    }
    assert_eq!(ran.code, 1);
}

/// Units that keep a variant which does something else do not stay where they were.
#[test]
fn a_variant_that_does_something_else_moves_its_units() {
    let new = SHOP.replace("{ cluster: big-button }", "{ cluster: bigger, host: new.example.org }").replace(
        "      - { id: control, weight: 50 }",
        "      - { id: control, weight: 50, response_headers: { set: { x-a: '1' } } }",
    );
    let ran = diff(SHOP, &new, "--max-moved 5%");
    assert_eq!(ran.code, 1, "{}", ran.all());
    for said in [
        "button: 19.6% of all units get something else by the same variant; 19.6% are in it, as before",
        "  big: route.cluster is bigger, was big-button",
        "  big: route.host is new.example.org, was none",
        "  control: response_headers.set.x-a is 1, was none",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.all());
    }
    let big = SHOP.replace("cluster: big-button", "cluster: bigger");
    let json = diff(SHOP, &big, "--json").json();
    let button = &json["experiments"][0];
    assert!((button["changes_effect"].as_f64().unwrap() - 0.98 * 0.1).abs() < 1e-12, "{button}");
    assert_eq!(button["moved"], button["changes_effect"]);
    let effect = serde_json::json!([{ "variant": "big", "field": "route.cluster", "before": "big-button", "after": "bigger" }]);
    assert_eq!(button["effects"], effect);
    // Nobody is in it yet; it is said all the same.
    let later =
        |text: &str| text.replace("    traffic: 50%\n", "    schedule: { start: 2026-12-05T00:00:00Z }\n");
    let ran = diff(&later(SHOP), &later(&big), "--max-moved 5%");
    assert!(ran.code == 1 && ran.out.contains("button: nobody moves now; 0% are in it"), "{}", ran.all());
    assert!(
        ran.out.contains("from 2026-12-05T00:00:00.000Z on: 19.6% of all units get something else"),
        "{}",
        ran.all()
    );
    // An order of fields, or one that says the default, is no other effect.
    let same = SHOP.replace("{ id: b }", "{ id: b, request_headers: {} }");
    assert_eq!(diff(SHOP, &same, "--max-moved 0%").code, 0);
    let control = SHOP.replace("{ id: b }", "{ id: b, control: true }");
    assert!(diff(SHOP, &control, "").out.contains("another variant is the control"));
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
