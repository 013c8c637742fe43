//! Experiments with another system's arithmetic inside a plan: layers, traffic
//! and targeting hold for them as for ours. (That the arithmetic itself is
//! right is what `tests/vectors.rs` checks.)

use std::collections::BTreeMap;

use serde_json::{Value, json};
use splitway_engine::{Reason, Timestamp};

use crate::configs::{NOON, plan, simple};
use crate::requests::{Entered, Request};

/// Every dialect, with parameters for the variants `a` and `b`, half each.
pub(crate) fn dialects() -> Vec<Value> {
    let halves =
        |end: &str, total: u32| json!([{ "variant": "a", end: total / 2 }, { "variant": "b", end: total }]);
    vec![
        json!({ "dialect": "splitway" }),
        json!({ "dialect": "growthbook_v1", "seed": "s" }),
        json!({ "dialect": "growthbook_v2", "seed": "s", "coverage": 0.5 }),
        json!({ "dialect": "optimizely", "experiment_id": "1", "traffic_allocation": halves("end_of_range", 10_000) }),
        json!({ "dialect": "unleash", "variant_weights": [500, 500], "rollout": 50 }),
        json!({ "dialect": "launchdarkly", "flag_key": "f", "salt": "s" }),
        json!({ "dialect": "statsig", "config_salt": "c", "rule_salt": "r", "groups": halves("end", 1_000) }),
        json!({ "dialect": "split", "seed": -7, "sizes": [50, 50] }),
        json!({ "dialect": "planout", "parameter_salt": "p" }),
        json!({ "dialect": "eppo", "salt": "s", "ranges": [[[0, 5_000]], [[5_000, 10_000]]] }),
        json!({ "dialect": "flagd", "flag_key": "f", "weights": [1, 1] }),
    ]
}

fn config(bucketing: &Value, field: &str, value: Value) -> Value {
    let mut config = simple(1);
    config["experiments"][0]["bucketing"] = bucketing.clone();
    config["experiments"][0][field] = value;
    config
}

fn outcomes(config: &Value) -> BTreeMap<u32, Entered> {
    let plan = plan(config);
    let one = |n| {
        let entered = Request::of(&format!("unit-{n}")).entered(&plan, Timestamp(NOON)).remove("e0");
        entered.map(|entered| (n, entered))
    };
    (0..2_000).filter_map(one).collect()
}

#[test]
fn traffic_and_targeting_only_remove_units() {
    for bucketing in dialects() {
        let all = outcomes(&config(&bucketing, "status", json!("running")));
        assert!(all.len() > 800, "{bucketing}: {}", all.len());
        let of_a = all.values().filter(|entered| entered.variant == "a").count() as f64 / all.len() as f64;
        assert!((0.42..0.58).contains(&of_a), "{bucketing}: {of_a}");
        let mut before = 0;
        for share in ["0%", "10%", "55.5%", "100%"] {
            let some = outcomes(&config(&bucketing, "traffic", json!(share)));
            assert!(some.iter().all(|(n, entered)| all.get(n) == Some(entered)), "{bucketing} {share}");
            assert!(some.len() >= before, "{bucketing} {share}");
            before = some.len();
        }
        assert_eq!(before, all.len());
        let even = json!({ "unit": { "suffix": "2" } });
        let some = outcomes(&config(&bucketing, "targeting", even));
        assert!(some.iter().all(|(n, entered)| n % 10 == 2 && all.get(n) == Some(entered)), "{bucketing}");
    }
}

#[test]
fn an_allow_list_overrules_the_dialect() {
    for bucketing in dialects() {
        let listed = outcomes(&config(&bucketing, "overrides", json!({ "b": ["unit-3", "unit-4"] })));
        for n in [3, 4] {
            assert_eq!(
                (listed[&n].variant.as_str(), listed[&n].reason),
                ("b", Reason::Override),
                "{bucketing}"
            );
        }
        let all = outcomes(&config(&bucketing, "status", json!("running")));
        let others = |units: BTreeMap<u32, Entered>| -> BTreeMap<u32, Entered> {
            units.into_iter().filter(|(n, _)| ![3, 4].contains(n)).collect()
        };
        assert_eq!(others(listed), others(all), "{bucketing}");
    }
}
