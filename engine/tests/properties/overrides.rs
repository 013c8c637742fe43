//! Allow-lists: they choose for one unit and change nothing for another.

use proptest::prelude::*;
use serde_json::{Value, json};
use splitway_engine::{Reason, Timestamp};

use crate::configs::{NOON, apart, fixed, now, plan};
use crate::requests::{Request, requests};

const TESTER: &str = "tester-é";

/// The config with `TESTER` on the allow-list of the last variant of the
/// experiment at `index`, whose id and last variant are given back.
fn listing(config: &Value, index: usize, status: &str) -> (Value, String, String) {
    let mut config = config.clone();
    let experiment = &mut config["experiments"][index];
    let id = experiment["id"].as_str().unwrap().to_owned();
    let last = experiment["variants"].as_array().unwrap().last().unwrap();
    let variant = last["id"].as_str().unwrap().to_owned();
    experiment["status"] = json!(status);
    if status == "scheduled" {
        experiment["schedule"] = json!({ "start": "2036-01-01T00:00:00Z" });
    }
    (config, id, variant)
}

fn tester() -> Request {
    Request::of(TESTER).with("cookie", format!("uid={TESTER}; device={TESTER}")).with(":path", "/?ref=x")
}

proptest! {
    #![proptest_config(fixed(5))]

    #[test]
    fn an_allow_list_takes_its_unit_the_whole_layer_and_nobody_else(
        config in apart(), requests in requests(), now in now(), index in any::<prop::sample::Index>(),
        status in prop::sample::select(&["draft", "running", "scheduled", "paused", "completed", "rolled_back"]),
    ) {
        let count = config["experiments"].as_array().unwrap().len();
        prop_assume!(count > 0);
        let (without, id, variant) = listing(&config, index.index(count), status);
        let mut with = without.clone();
        let overrides = &mut with["experiments"][index.index(count)]["overrides"];
        if overrides.is_null() {
            *overrides = json!({});
        }
        overrides[&variant] = json!([TESTER]);
        let listed_config = with.clone();
        let (without, with) = (plan(&without), plan(&with));

        // Its allow-list was replaced, so those it named before may move.
        let listed = |request: &Request| request.0.iter().any(|(_, v)| v.ends_with(b"unit-1") || v.ends_with(b"unit-3"));
        for request in requests.iter().filter(|request| !listed(request)) {
            prop_assert_eq!(request.entered(&with, now), request.entered(&without, now));
        }

        let (own, free) = (tester().entered(&with, now), tester().entered(&without, now));
        if ["paused", "completed", "rolled_back"].contains(&status) {
            prop_assert_eq!(own, free);
            return Ok(());
        }
        let (_, experiment) = with.find(&id).unwrap();
        let Some(entered) = own.get(&id) else {
            // An allow-list overrules conditions on people, not those on the URL and the method.
            let mut everywhere = listed_config;
            let experiment = &mut everywhere["experiments"][index.index(count)];
            prop_assert!(experiment.as_object_mut().unwrap().remove("targeting").is_some());
            prop_assert_eq!(tester().entered(&plan(&everywhere), now)[&id].reason, Reason::Override);
            return Ok(());
        };
        prop_assert_eq!((&entered.variant, entered.reason, entered.bucket), (&variant, Reason::Override, 0));
        for (other, entered) in &own {
            let (_, handle) = with.find(other).unwrap();
            prop_assert!(*other == id || handle.layer() != experiment.layer(), "{} shares the layer", other);
            prop_assert!(*other == id || free.get(other) == Some(entered), "{} moved", other);
        }
    }
}

#[test]
fn an_allow_list_overrules_conditions_on_people_holdout_traffic_and_schedule() {
    let config = json!({
        "version": 1,
        "unit": [{ "header": "x-user" }],
        "holdouts": [{ "id": "h", "share": "100%" }],
        "experiments": [{
            "id": "e",
            "traffic": "0%",
            "schedule": { "end": "2001-01-01T00:00:00Z" },
            "targeting": { "header": { "name": "x-plan", "equals": "none" } },
            "variants": [{ "id": "a" }, { "id": "b" }],
            "overrides": { "b": ["t"] },
        }],
    });
    let plan = plan(&config);
    assert_eq!(Request::of("t").entered(&plan, Timestamp(NOON))["e"].variant, "b");
    assert!(Request::of("u").entered(&plan, Timestamp(NOON)).is_empty());
}
