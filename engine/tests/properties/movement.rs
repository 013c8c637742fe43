//! Adding and ending experiments, and holdouts: who moves and who does not.

use proptest::prelude::*;
use serde_json::{Value, json};
use splitway_engine::{Reason, Timestamp};

use crate::configs::{NOON, apart, fixed, now, plan, simple};
use crate::requests::{Request, requests};

/// The units that allow-lists of generated configs name.
fn is_listed(request: &Request) -> bool {
    request.0.iter().any(|(_, value)| {
        let text = String::from_utf8_lossy(value);
        text.ends_with("unit-1") || text.ends_with("unit-3")
    })
}

fn list<'c>(config: &'c mut Value, name: &str) -> &'c mut Vec<Value> {
    config[name].as_array_mut().unwrap()
}

proptest! {
    #![proptest_config(fixed(4))]

    #[test]
    fn an_experiment_in_free_buckets_moves_nobody(
        config in apart(), requests in requests(), now in now(), alone in any::<bool>(),
    ) {
        let before = plan(&config);
        let mut config = config;
        let mut new = json!({ "id": "b-new", "variants": [{ "id": "a" }, { "id": "b" }] });
        // Bucket 0 is nobody's in the generated layers.
        let shared = config["layers"].as_array().is_some_and(|layers| !layers.is_empty());
        if shared && !alone {
            new["layer"] = json!("layer-0");
            new["buckets"] = json!([[0, 0]]);
            let peer = list(&mut config, "experiments").iter().find(|e| e["layer"] == "layer-0");
            if let Some(unit) = peer.and_then(|peer| peer.get("unit")).cloned() {
                new["unit"] = unit;
            }
        }
        list(&mut config, "experiments").insert(0, new);
        let after = plan(&config);
        for request in &requests {
            let mut entered = request.entered(&after, now);
            entered.remove("b-new");
            prop_assert_eq!(entered, request.entered(&before, now));
        }
    }

    #[test]
    fn ending_an_experiment_moves_nobody_else(
        config in apart(), requests in requests(), now in now(), index in any::<prop::sample::Index>(),
        remove in any::<bool>(), status in prop::sample::select(&["completed", "rolled_back", "paused"]),
    ) {
        let count = config["experiments"].as_array().unwrap().len();
        prop_assume!(count > 0);
        let before = plan(&config);
        let mut config = config;
        let ended = &mut list(&mut config, "experiments")[index.index(count)];
        let id = ended["id"].as_str().unwrap().to_owned();
        ended["status"] = json!(status);
        if remove {
            list(&mut config, "experiments").remove(index.index(count));
        }
        let after = plan(&config);
        // Whom its allow-list had drawn in go back to where their buckets put them.
        for request in requests.iter().filter(|request| !is_listed(request)) {
            let mut entered = request.entered(&before, now);
            entered.remove(&id);
            prop_assert_eq!(request.entered(&after, now), entered);
        }
    }

    #[test]
    fn a_holdout_only_removes_and_only_in_its_layers(
        config in apart(), requests in requests(), now in now(), share in 1_u32..90, global in any::<bool>(),
    ) {
        let mut config = config;
        config["holdouts"] = json!([]);
        let before = plan(&config);
        let named = !global && config["layers"].as_array().is_some_and(|layers| !layers.is_empty());
        let mut holdout = json!({ "id": "h", "share": format!("{share}%") });
        if named {
            holdout["layers"] = json!(["layer-0"]);
        }
        config["holdouts"] = json!([holdout]);
        let after = plan(&config);
        for request in &requests {
            let (free, held) = (request.entered(&before, now), request.entered(&after, now));
            for (experiment, entered) in &free {
                let found = held.get(experiment);
                let (_, handle) = after.find(experiment).unwrap();
                let covered = !named || after.layer(handle.layer()).unwrap().id() == "layer-0";
                let may_leave = covered && entered.reason == Reason::Split;
                prop_assert!(found == Some(entered) || found.is_none() && may_leave, "{} {:?}", experiment, found);
            }
            prop_assert!(held.keys().all(|experiment| free.contains_key(experiment)));
        }
    }
}

/// A global holdout takes the same units out of every layer, a layer's takes
/// its own, each of the size asked for.
#[test]
fn holdouts_have_their_size() {
    const UNITS: usize = 20_000;
    let mut config = simple(3);
    config["holdouts"] =
        json!([{ "id": "all", "share": "20%" }, { "id": "one", "share": "30%", "layers": ["e1"] }]);
    let plan = plan(&config);
    let mut counts = [0_usize; 3];
    for n in 0..UNITS {
        let entered = Request::of(&format!("unit-{n}")).entered(&plan, Timestamp(NOON));
        let is_in = ["e0", "e1", "e2"].map(|id| entered.contains_key(id));
        assert_eq!(is_in[0], is_in[2], "the global holdout is one and the same");
        assert!(is_in[0] || !is_in[1], "held out globally, yet in a layer");
        for (count, is_in) in counts.iter_mut().zip(is_in) {
            *count += usize::from(is_in);
        }
    }
    for (count, share) in counts.into_iter().zip([0.8, 0.8 * 0.7, 0.8]) {
        let (expected, spread) = (UNITS as f64 * share, (UNITS as f64 * share * (1.0 - share)).sqrt());
        assert!((count as f64 - expected).abs() < 4.0 * spread, "{count}, expected {expected}");
    }
}
