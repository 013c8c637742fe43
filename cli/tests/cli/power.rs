//! `splitway power`.

use crate::support::{Bench, SHOP};

#[test]
fn the_published_size_and_its_inverse() {
    let bench = Bench::new(&[]);
    let ran = bench.run("power --baseline 10% --effect 0.02 --daily 1000 --fixed --json");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.json()["method"], "fixed");
    let row = &ran.json()["rows"][3];
    assert_eq!((row["control"].as_f64(), row["days"].as_f64()), (Some(3841.0), Some(8.0)));
    let ran = bench.run("power --baseline 10% --units 3841 --fixed --json");
    let effect = ran.json()["rows"][0]["effect"].as_f64().unwrap();
    assert!((effect - 0.02).abs() < 1e-5, "{effect}");
    let ran = bench.run("power --deviation 2 --effect 1 --fixed --json");
    // By t, as `--fixed` decides: statsmodels' TTestIndPower for .5, .8 and 1.6 deviations.
    assert_eq!(ran.json()["rows"][3]["control"], 64.0);
    for (effect, units) in [("1.6", 26.0), ("3.2", 8.0)] {
        let ran = bench.run(&format!("power --deviation 2 --effect {effect} --fixed --json"));
        assert_eq!(ran.json()["rows"][3]["control"], units, "{effect}");
    }
    let ran = bench.run("power --deviation 2 --units 64 --fixed --json");
    let effect = ran.json()["rows"][0]["effect"].as_f64().unwrap();
    assert!((effect - 0.998).abs() < 1e-3, "{effect}");
}

/// The numbers are those of stats/tests/vectors: 7,366.28 an arm at every look.
#[test]
fn the_plan_is_for_the_intervals_that_analyze_makes() {
    let bench = Bench::new(&[]);
    let ran = bench.run("power --baseline 10% --effect 0.02 --json");
    assert_eq!(ran.code, 0, "{}", ran.all());
    let json = ran.json();
    assert_eq!((&json["method"], &json["min_units_per_arm"]), (&"sequential".into(), &10_000.into()));
    assert_eq!(json["rows"][3]["control"], 7367.0);
    let ran = bench.run("power --baseline 10% --units 7366.281197415053 --json");
    let effect = ran.json()["rows"][0]["effect"].as_f64().unwrap();
    assert!((effect - 0.02).abs() < 1e-9, "{effect}");
    let tuned = bench.run("power --baseline 10% --effect 0.02 --min-units 500 --json").json();
    assert!(
        tuned["rows"][3]["control"].as_f64().unwrap() > 7367.0,
        "far from where it is narrowest: {tuned}"
    );

    let looks = bench.run("power --baseline 10% --effect 0.02 --looks 0.2,0.4,0.6,0.8,1 --json").json();
    let control = looks["rows"][3]["control"].as_f64().unwrap();
    assert!((3842.0..4000.0).contains(&control), "a few looks cost little: {control}");
    let pocock = "power --baseline 10% --effect 0.02 --looks 0.2,0.4,0.6,0.8,1 --spending pocock --json";
    let pocock = bench.run(pocock).json()["rows"][3]["control"].as_f64().unwrap();
    assert!((4500.0..4900.0).contains(&pocock), "{pocock}");
    for (command, says) in [
        ("", "sequential: intervals that hold at every look"),
        (" --fixed", "fixed: one look at the end"),
        (" --looks 0.5,1", "planned: looks at 0.5, 1 of these units, O'Brien-Fleming bounds"),
    ] {
        let ran = bench.run(&format!("power --deviation 2 --effect 1{command}"));
        assert!(ran.out.starts_with(says), "{}", ran.all());
    }
}

/// What `reweight z=0` leaves of a treatment.
#[test]
fn a_variant_of_weight_nothing_takes_no_part_of_the_level() {
    let three = "version: 1\nnamespace: shop\nunit: [{ header: u }]\nexperiments:\n  - id: button\n    variants: \
                 [{ id: control, weight: 1 }, { id: a, weight: 1 }, { id: z, weight: 0 }]\n";
    let bench = Bench::new(&[("three.yaml", three)]);
    let ran = bench
        .run("power --config three.yaml --experiment button --baseline 10% --effect 0.02 --fixed --json");
    assert_eq!((&ran.json()["alpha"], &ran.json()["treatments"]), (&0.05.into(), &1.into()), "{}", ran.all());
    assert_eq!(ran.json()["rows"][3]["control"], 3841.0);
}

/// Three arms share the level: .025 for each of two treatments.
#[test]
fn treatments_share_the_level() {
    let three = "version: 1\nnamespace: shop\nunit: [{ header: u }]\nexperiments:\n  - id: button\n    variants: \
                 [{ id: control, weight: 1 }, { id: a, weight: 1 }, { id: b, weight: 1 }]\n";
    let bench = Bench::new(&[("three.yaml", three)]);
    let rest = "--baseline 10% --effect 0.02 --fixed --daily 3000 --json";
    let two = bench.run(&format!("power {rest} --alpha 0.025")).json();
    for arms in ["--arms 3", "--config three.yaml --experiment button"] {
        let ran = bench.run(&format!("power {rest} {arms}"));
        assert_eq!(ran.code, 0, "{}", ran.all());
        let json = ran.json();
        assert_eq!((&json["alpha"], &json["overall_alpha"]), (&0.025.into(), &0.05.into()), "{arms}");
        assert_eq!(json["rows"][3]["control"], two["rows"][3]["control"], "{arms}");
        // A third of 3,000 a day is the control's.
        let control = json["rows"][3]["control"].as_f64().unwrap();
        assert_eq!(json["rows"][3]["days"].as_f64(), Some((control / 1000.0).ceil()), "{arms}");
        let text = bench.run(&format!("power {} {arms}", rest.replace("--json", "")));
        assert!(text.out.contains("alpha 0.05 over 2 treatments: 0.025 each"), "{}", text.all());
    }
}

#[test]
fn shares_and_effects_in_percent_or_not() {
    let bench = Bench::new(&[]);
    let one = bench.run("power --baseline 10% --effect 0.02");
    for same in ["--baseline 0.1 --effect 2%", "--baseline 0.1 --effect 0.02", "--baseline 10% --effect 2%"] {
        let ran = bench.run(&format!("power {same}"));
        assert_eq!((ran.code, &ran.out), (0, &one.out), "{same}: {}", ran.all());
    }
    assert_eq!(bench.run("power --baseline 10% --effect -0.02").code, 0);
    for (wrong, says) in [
        ("--baseline 10 --effect 0.02", "expected a share above 0 and below 1 such as 0.1, or 10%"),
        ("--baseline ten --effect 0.02", "expected a share such as 10% or 0.1"),
        (
            "--baseline 10% --effect two",
            "expected an absolute difference such as 0.02, or 2% for two points of a share",
        ),
        ("--baseline 10% --effect 20", "takes the share beyond 0 or 100 %"),
        ("--deviation 3 --effect 2%", "expected an absolute difference in the metric's own unit"),
    ] {
        let ran = bench.run(&format!("power {wrong}"));
        assert!(ran.code == 2 && ran.err.contains(says), "{wrong}: {}", ran.all());
    }
}

#[test]
fn a_config_states_the_arms() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench.run("power --config shop.yaml --experiment wording --baseline 10% --effect 0.02 --at 2026-11-20T00:00:00Z --daily 1000 --json");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(
        ran.json()["rows"][3]["days"].as_f64().unwrap() > 8.0,
        "only part of the traffic enters: {}",
        ran.out
    );
    assert_eq!(bench.run("power --config shop.yaml --experiment none --baseline 10%").code, 2);
}

#[test]
fn mistakes() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench.run("power --config shop.yaml --experiment wording --baseline 10%");
    assert!(ran.code == 2 && ran.err.contains("`analysis.minimum_detectable_effect`"), "{}", ran.all());
    for looks in ["0.5", "1,0.5", "2"] {
        let ran = bench.run(&format!("power --baseline 10% --effect 0.02 --looks {looks}"));
        assert!(ran.code == 2 && ran.err.contains("--looks: "), "{}", ran.all());
    }
    for wrong in
        ["power", "power --baseline 10%", "power --baseline 10% --effect 0", "power --deviation 0 --effect 1"]
    {
        assert_eq!(bench.run(wrong).code, 2, "{wrong}");
    }
}
