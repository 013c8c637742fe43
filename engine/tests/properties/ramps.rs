//! Traffic, ramps and schedules.

use proptest::prelude::*;
use serde_json::{Value, json};
use splitway_engine::Timestamp;

use crate::configs::{NOON, apart, fixed, now, plan, simple, time, variants};
use crate::requests::{Request, requests};

/// The config with the experiment at `index` at `share`, in parts of 10,000.
fn at_share(config: &Value, index: usize, share: u32) -> Value {
    let mut config = config.clone();
    let experiment = &mut config["experiments"][index];
    experiment.as_object_mut().unwrap().remove("ramp");
    experiment["traffic"] = json!(format!("{}.{:02}%", share / 100, share % 100));
    config
}

proptest! {
    #![proptest_config(fixed(3))]

    #[test]
    fn more_traffic_adds_units_and_flips_nobody(
        config in apart(), requests in requests(), now in now(),
        index in any::<prop::sample::Index>(), one in 0_u32..=10_000, other in 0_u32..=10_000,
    ) {
        let count = config["experiments"].as_array().unwrap().len();
        prop_assume!(count > 0);
        let index = index.index(count);
        let id = config["experiments"][index]["id"].as_str().unwrap().to_owned();
        let less = plan(&at_share(&config, index, one.min(other)));
        let more = plan(&at_share(&config, index, one.max(other)));
        for request in &requests {
            let (before, mut after) = (request.entered(&less, now), request.entered(&more, now));
            for (experiment, entered) in &before {
                let kept = after.remove(experiment);
                prop_assert_eq!(kept.as_ref(), Some(entered));
            }
            // Whoever is new is new in the one that grew.
            prop_assert!(after.keys().all(|experiment| *experiment == id), "{:?}", after);
        }
    }

    #[test]
    fn what_is_active_is_exactly_the_share_of_what_is_owned(
        share in 0_u32..=10_000, variants in variants(),
    ) {
        let mut config = simple(1);
        config["experiments"][0]["variants"] = variants;
        let plan = plan(&at_share(&config, 0, share));
        let (_, experiment) = plan.find("e0").unwrap();
        prop_assert_eq!(experiment.active_buckets(Timestamp(NOON)), share);
        prop_assert_eq!(experiment.owned_buckets(), 10_000);
    }

    #[test]
    fn steps_begin_at_their_millisecond(shares in prop::collection::btree_set(1_u32..=100, 2..6), gap in 1_i64..5) {
        let mut config = simple(1);
        let at = |step: usize| NOON + step as i64 * gap;
        let steps = shares.iter().enumerate();
        config["experiments"][0]["ramp"] =
            steps.map(|(step, share)| json!({ "at": time(at(step)), "traffic": format!("{share}%") })).collect();
        let plan = plan(&config);
        let (_, experiment) = plan.find("e0").unwrap();
        let mut before = 0;
        for (step, share) in shares.iter().enumerate() {
            prop_assert_eq!(experiment.active_buckets(Timestamp(at(step) - 1)), before);
            prop_assert_eq!(experiment.active_buckets(Timestamp(at(step))), share * 100);
            before = share * 100;
        }
        prop_assert_eq!(experiment.active_buckets(Timestamp(i64::MAX)), before);
        prop_assert_eq!(experiment.active_buckets(Timestamp(i64::MIN)), 0);
    }
}

#[test]
fn a_schedule_begins_and_ends_at_its_millisecond() {
    let (start, end) = (NOON, NOON + 1_500);
    let mut config = simple(1);
    config["experiments"][0]["schedule"] = json!({ "start": time(start), "end": time(end) });
    let plan = plan(&config);
    let is_in = |ms: i64| !Request::of("u").decide(&plan, Timestamp(ms)).assignments.is_empty();
    let found = [start - 1, start, end - 1, end].map(is_in);
    assert_eq!(found, [false, true, true, false]);
    assert!(!is_in(i64::MIN) && !is_in(i64::MAX));
}

#[test]
fn exposures_near_a_boundary_are_marked() {
    let (start, step, end) = (NOON, NOON + 100_000, NOON + 200_000);
    let mut config = simple(1);
    config["clock_skew"] = json!("2s");
    config["experiments"][0]["schedule"] = json!({ "start": time(start), "end": time(end) });
    config["experiments"][0]["ramp"] = json!([
        { "at": time(start - 50_000), "traffic": "100%" }, { "at": time(step), "traffic": "100%" }
    ]);
    let near = |config: &Value, ms: i64| {
        let decision = Request::of("u").decide(&plan(config), Timestamp(ms));
        decision.assignments.iter().map(|assignment| assignment.clock_edge).collect::<Vec<bool>>()
    };
    for (ms, expected) in [
        (start, true),
        (start + 2_000, true),
        (start + 2_001, false),
        (step - 2_001, false),
        (step - 2_000, true),
        (step + 2_000, true),
        (step + 2_001, false),
        (end - 2_001, false),
        (end - 2_000, true),
    ] {
        assert_eq!(near(&config, ms), [expected], "{}", ms - NOON);
    }
    config["clock_skew"] = json!("0s");
    assert_eq!(near(&config, start), [false]);
}
