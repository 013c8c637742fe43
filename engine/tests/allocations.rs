//! A decision for header and cookie units allocates nothing: counted, not
//! believed.
#![allow(unsafe_code, reason = "a global allocator can only be written with it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use serde_json::{Value, json};
use splitway_engine::{Decision, Document, NoTrace, Plan, RequestView, Timestamp, compile};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that is ending has nothing to count any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to `System` as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Allocations while `run` ran.
fn allocations(run: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

fn plan(config: &Value) -> Plan {
    compile(&Document::from_json(config.to_string().as_bytes()).unwrap()).unwrap()
}

fn config(count: usize) -> Value {
    let one = |n| json!({ "id": format!("e{n}"), "variants": [{ "id": "a" }, { "id": "b" }] });
    json!({
        "version": 1,
        "unit": [{ "header": "x-user" }, { "cookie": "uid" }],
        "experiments": (0..count).map(one).collect::<Vec<Value>>(),
    })
}

const UUID: &[u8] = b"1c9f3a1e-5d1c-4a77-9b8e-0a6f1f3d2c11";
const COOKIES: &[u8] = b"theme=dark; consent=yes; uid=1c9f3a1e-5d1c-4a77-9b8e-0a6f1f3d2c11";

/// Allocations of a decision after a first one, for header and cookie units.
fn per_decision(plan: &Plan, entered: usize) -> [u64; 2] {
    [("x-user", UUID), ("cookie", COOKIES)].map(|(name, value)| {
        let headers: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":path", b"/checkout/a?x=1"),
            (b"user-agent", b"Mozilla/5.0"),
            (name.as_bytes(), value),
        ];
        let mut decision = Decision::default();
        let mut decide =
            || plan.decide_into(&RequestView::new(&headers), Timestamp(0), &mut NoTrace, &mut decision);
        decide();
        let counted = allocations(|| (0..10).for_each(|_| decide()));
        assert_eq!(decision.assignments.len(), entered);
        counted
    })
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn decisions_allocate_nothing() {
    for count in [1, 4, 10, 100] {
        assert_eq!(per_decision(&plan(&config(count)), count), [0, 0], "{count} experiments");
    }
}

#[test]
fn the_first_decision_allocates_only_for_many_assignments() {
    for (count, expected) in [(4, 0), (5, 1)] {
        let plan = plan(&config(count));
        let headers: [(&[u8], &[u8]); 1] = [(b"x-user", UUID)];
        let first = allocations(|| {
            let decision = plan.decide(&RequestView::new(&headers), Timestamp(0), &mut NoTrace);
            assert_eq!(decision.assignments.len(), count);
        });
        assert_eq!(first, expected, "{count} experiments");
    }
}

#[test]
fn no_dialect_allocates() {
    let ends = |name: &str, total: u32| json!([{ "variant": "a", name: total / 2 }, { "variant": "b", name: total }]);
    for bucketing in [
        json!({ "dialect": "splitway" }),
        json!({ "dialect": "growthbook_v1" }),
        json!({ "dialect": "growthbook_v2" }),
        json!({ "dialect": "optimizely", "experiment_id": "1", "traffic_allocation": ends("end_of_range", 10_000) }),
        json!({ "dialect": "unleash", "variant_weights": [500, 500] }),
        json!({ "dialect": "launchdarkly", "flag_key": "f", "salt": "s" }),
        json!({ "dialect": "statsig", "config_salt": "c", "rule_salt": "r", "groups": ends("end", 1_000) }),
        json!({ "dialect": "split", "seed": 1, "sizes": [50, 50] }),
        json!({ "dialect": "planout", "parameter_salt": "p" }),
        json!({ "dialect": "eppo", "salt": "s", "ranges": [[[0, 5_000]], [[5_000, 10_000]]] }),
        json!({ "dialect": "flagd", "flag_key": "f", "weights": [1, 1] }),
    ] {
        let mut config = config(2);
        for experiment in config["experiments"].as_array_mut().unwrap() {
            experiment["bucketing"] = bucketing.clone();
        }
        assert_eq!(per_decision(&plan(&config), 2), [0, 0], "{bucketing}");
    }
}

#[test]
fn layers_holdouts_ramps_targeting_allow_lists_and_tokens_allocate_nothing() {
    let mut config = config(4);
    config["holdouts"] = json!([{ "id": "h", "share": "0%" }]);
    config["qa_tokens"] = json!({
        "header": "x-qa", "cookie": "qa", "keys": [{ "id": "k", "secret": "a".repeat(32) }],
    });
    let experiments = config["experiments"].as_array_mut().unwrap();
    experiments[0]["ramp"] = json!([{ "at": "1969-01-01T00:00:00Z", "traffic": "100%" }]);
    experiments[1]["targeting"] = json!({ "all": [
        { "path": { "prefix": "/checkout" } },
        { "not": { "header": { "name": "user-agent", "contains": "bot", "ignore_case": true } } },
        { "method": { "one_of": ["GET", "HEAD"] } },
        { "query": { "name": "x", "equals": "1" } },
        { "unit": { "prefix": "1c" } },
        { "any": [{ "cookie": { "name": "none", "exists": false } }] },
        { "sample": { "salt": "s", "share": "100%" } },
    ]});
    experiments[2]["overrides"] = json!({ "a": ["somebody"] });
    experiments[3]["unit"] = json!([{ "cookie": "device" }, { "cookie": "uid" }, { "header": "x-user" }]);
    assert_eq!(per_decision(&plan(&config), 4), [0, 0]);
}

/// Each experiment its own unit: found once each, and kept on the stack.
#[test]
fn four_kinds_of_unit_allocate_nothing() {
    let mut config = config(4);
    for (n, experiment) in config["experiments"].as_array_mut().unwrap().iter_mut().enumerate().skip(1) {
        experiment["unit"] =
            json!([{ "cookie": format!("c{n}") }, { "header": "x-user" }, { "cookie": "uid" }]);
    }
    assert_eq!(per_decision(&plan(&config), 4), [0, 0]);
}
