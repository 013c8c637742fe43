//! Generated configs and requests. Configs are JSON, so that a property can
//! change one field of a config and compare the two plans.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};
use splitway_engine::{Document, Plan, Timestamp, compile};

/// The middle of every generated schedule and ramp.
pub(crate) const NOON: i64 = 1_795_262_400_000;
const HOUR: i64 = 3_600_000;
/// Share of cases that a run may spend: each case is a plan and many requests.
const CASES: u32 = 96;

/// The same cases in every run.
pub(crate) fn fixed(seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases: CASES,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    }
}

/// The plan of a config that must be valid.
pub(crate) fn plan(config: &Value) -> Plan {
    let text = config.to_string();
    let document = Document::from_json(text.as_bytes()).expect("JSON");
    compile(&document).unwrap_or_else(|problems| panic!("{problems}\n{config:#}"))
}

/// A config with layers that several experiments share, experiments with a
/// layer of their own, holdouts, and every kind of rule.
pub(crate) fn config() -> impl Strategy<Value = Value> {
    let layers = prop::collection::vec(shared_layer(), 0..3);
    let solos = prop::collection::vec(experiment(), 0..4);
    let holdouts = prop::collection::vec((0_u32..30, any::<bool>()), 0..3);
    (layers, solos, holdouts, any::<bool>()).prop_map(|(layers, solos, holdouts, own_unit)| {
        let mut experiments = Vec::new();
        let mut names = Vec::new();
        for (l, (members, unit)) in layers.into_iter().enumerate() {
            names.push(json!({ "id": format!("layer-{l}") }));
            for (e, mut member) in members.into_iter().enumerate() {
                // The order of ids is not the order of buckets.
                member["id"] = json!(format!("{}{l}-{e}", ["m", "c", "x", "a"][e % 4]));
                member["layer"] = json!(format!("layer-{l}"));
                if unit {
                    member["unit"] = json!([{ "cookie": "device" }, { "header": "x-user" }]);
                }
                experiments.push(member);
            }
        }
        for (e, mut solo) in solos.into_iter().enumerate() {
            solo["id"] = json!(format!("solo-{e}"));
            if own_unit && e == 0 {
                solo["unit"] = json!([{ "query": "ref" }, { "cookie": "uid" }]);
            }
            experiments.push(solo);
        }
        let holdouts: Vec<Value> = holdouts
            .into_iter()
            .enumerate()
            .map(|(h, (share, global))| {
                let mut holdout = json!({ "id": format!("holdout-{h}"), "share": format!("{share}%") });
                if !global && !names.is_empty() {
                    holdout["layers"] = json!(["layer-0"]);
                }
                holdout
            })
            .collect();
        json!({
            "version": 1,
            "namespace": "shop",
            "unit": [{ "header": "x-user" }, { "cookie": "uid" }],
            "attributes": { "plan": { "header": "x-plan" } },
            "exposure": { "unit": "raw" },
            "holdouts": holdouts,
            "layers": names,
            "experiments": experiments,
        })
    })
}

/// As [`config`], but no two experiments act on the same thing, so none keeps another's units out.
pub(crate) fn apart() -> impl Strategy<Value = Value> {
    config().prop_map(|mut config| {
        let mut is_taken = [false; 2];
        for (e, experiment) in config["experiments"].as_array_mut().into_iter().flatten().enumerate() {
            for variant in experiment["variants"].as_array_mut().into_iter().flatten() {
                for (taken, name) in is_taken.iter_mut().zip(["cluster", "path"]) {
                    let Some(route) = variant.get_mut("route").and_then(Value::as_object_mut) else {
                        continue;
                    };
                    if *taken {
                        route.remove(name);
                    } else {
                        *taken = route.contains_key(name);
                    }
                }
                for (changes, name) in [("request_headers", "x-v"), ("response_headers", "x-r")] {
                    let Some(set) = variant.get_mut(changes).and_then(|changes| changes.get_mut("set"))
                    else {
                        continue;
                    };
                    let value = set[name].take();
                    *set = json!({ format!("{name}-{e}"): value });
                }
            }
        }
        config
    })
}

/// Two to four experiments with disjoint buckets, and whether they have a unit of their own.
fn shared_layer() -> impl Strategy<Value = (Vec<Value>, bool)> {
    let cuts = prop::collection::btree_set(1_u32..9_999, 3..8);
    (prop::collection::vec(experiment(), 2..5), cuts, any::<bool>()).prop_map(|(mut members, cuts, unit)| {
        let cuts: Vec<u32> = cuts.into_iter().collect();
        let count = members.len();
        for (e, member) in members.iter_mut().enumerate() {
            // Every piece between two cuts in turn; some experiments get two, and the ends stay free.
            let own: Vec<Value> = cuts
                .windows(2)
                .enumerate()
                .filter(|(piece, _)| piece % count == e)
                .map(|(_, pair)| json!([pair[0], pair[1] - 1]))
                .collect();
            member["buckets"] = if own.is_empty() { json!([[9_999 - e, 9_999 - e]]) } else { json!(own) };
        }
        (members, unit)
    })
}

fn experiment() -> impl Strategy<Value = Value> {
    let status = prop_oneof![
        8 => Just("running"), 1 => Just("draft"), 1 => Just("paused"), 1 => Just("completed"),
        1 => Just("rolled_back"),
    ];
    let rule = prop_oneof![2 => Just(Value::Null), 1 => rule()];
    let named = prop_oneof![3 => Just(false), 1 => Just(true)];
    (status, schedule(), traffic(), variants(), rule, named, any::<u8>()).prop_map(
        |(status, schedule, traffic, variants, rule, named, actions)| {
            let mut all = json!({ "status": status });
            if let Some((field, value)) = traffic {
                all[field] = value;
            }
            if !schedule.is_null() {
                all["schedule"] = schedule;
            }
            if !rule.is_null() {
                all["targeting"] = rule;
            }
            if named {
                let first = variants[0]["id"].as_str().unwrap_or_default().to_owned();
                all["overrides"] = json!({ first: ["unit-1", "unit-3"] });
            }
            all["variants"] = acting(variants, actions);
            all
        },
    )
}

/// Actions on the last variant: several experiments want the same things.
fn acting(mut variants: Value, actions: u8) -> Value {
    if let Some(last) = variants.as_array_mut().and_then(|list| list.last_mut()) {
        let mut route = json!({});
        if actions & 1 != 0 {
            route["cluster"] = json!(format!("cluster-{}", actions >> 4));
        }
        if actions & 2 != 0 {
            route["path"] = json!({ "replace_prefix": format!("/v{}", actions >> 4) });
        }
        if actions & 4 != 0 {
            let value = format!("v{}", actions >> 4);
            last["request_headers"] = json!({ "set": { "x-v": value }, "add": { "x-all": value } });
            last["response_headers"] = json!({ "set": { "x-r": value } });
        }
        last["route"] = route;
    }
    variants
}

fn schedule() -> impl Strategy<Value = Value> {
    (prop::option::of(-3_i64..2), prop::option::of(2_i64..5)).prop_map(|(start, end)| {
        let mut schedule = json!({});
        for (name, hours) in [("start", start), ("end", end)] {
            if let Some(hours) = hours {
                schedule[name] = json!(time(NOON + hours * HOUR));
            }
        }
        schedule
    })
}

fn traffic() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    prop_oneof![
        2 => Just(None),
        2 => (0_u32..=100).prop_map(|share| Some(("traffic", json!(format!("{share}%"))))),
        1 => prop::collection::btree_set(1_u32..100, 1..4).prop_map(|shares| {
            let steps = shares.into_iter().zip(-2_i64..).map(|(share, hours)| {
                json!({ "at": time(NOON + hours * HOUR), "traffic": format!("{share}%") })
            });
            Some(("ramp", steps.collect()))
        }),
    ]
}

/// Variants by default, by weight and by explicit buckets.
pub(crate) fn variants() -> impl Strategy<Value = Value> {
    let id = |n: usize| format!("{}{n}", ["a", "9", "z", "b-", "_"][n % 5]);
    let plain =
        (1_usize..5).prop_map(move |n| (0..n).map(|v| json!({ "id": id(v) })).collect::<Vec<Value>>());
    let weighted = prop::collection::vec(0_u32..2_000, 1..6).prop_map(move |mut weights| {
        weights[0] += 1;
        let one = |(v, weight)| json!({ "id": id(v), "weight": f64::from(weight) / 8.0 });
        weights.into_iter().enumerate().map(one).collect()
    });
    let cut = (1_u32..5_000, 5_001_u32..9_999).prop_map(move |(first, second)| {
        vec![
            json!({ "id": id(0), "buckets": [[0, first - 1], [second, 9_999]] }),
            json!({ "id": id(1), "buckets": [[first, second - 1]] }),
        ]
    });
    prop_oneof![plain, weighted, cut].prop_map(Value::from)
}

/// Targeting, nested up to three deep.
fn rule() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({ "path": { "prefix": "/shop" } })),
        Just(json!({ "path": { "glob": "/*/a" } })),
        Just(json!({ "method": { "one_of": ["GET", "HEAD"] } })),
        Just(json!({ "header": { "name": "user-agent", "contains": "BOT", "ignore_case": true } })),
        Just(json!({ "cookie": { "name": "beta", "exists": true } })),
        Just(json!({ "query": { "name": "n", "number": { "gte": 3 } } })),
        Just(json!({ "attribute": { "name": "plan", "version": { "gte": "1.2", "lt": "2" } } })),
        Just(json!({ "unit": { "regex": "^[a-z]+-[0-9]*[02468]$" } })),
        (1_u32..100).prop_map(|n| json!({ "sample": { "salt": "s", "share": format!("{n}%") } })),
        Just(json!({ "client_address": { "one_of": ["10.0.0.0/8"] } })),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|rules| json!({ "all": rules })),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|rules| json!({ "any": rules })),
            inner.prop_map(|rule| json!({ "not": rule })),
        ]
    })
}

/// A time as the config has it.
pub(crate) fn time(ms: i64) -> String {
    Timestamp(ms).to_string()
}

/// Times around the generated schedules, their exact boundaries among them.
pub(crate) fn now() -> impl Strategy<Value = Timestamp> {
    (-4_i64..6, prop_oneof![Just(-1_i64), Just(0), Just(1), 0..HOUR])
        .prop_map(|(hours, ms)| Timestamp(NOON + hours * HOUR + ms))
}

/// `count` experiments that take everyone, named `e0` and so on, each in a
/// layer of its own.
pub(crate) fn simple(count: usize) -> Value {
    let one = |n| json!({ "id": format!("e{n}"), "variants": [{ "id": "a" }, { "id": "b" }] });
    json!({
        "version": 1,
        "namespace": "shop",
        "unit": [{ "header": "x-user" }, { "cookie": "uid" }],
        "experiments": (0..count).map(one).collect::<Vec<Value>>(),
    })
}
