//! Other public engines with the same experiments: two variants, half each, everyone in.

use std::hint::black_box;
use std::sync::Arc;

use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;
use eppo_core::eval::get_assignment;
use eppo_core::ufc::UniversalFlagConfig;
use eppo_core::{Attributes, Configuration, SdkMetadata, Str};
use serde_json::{Map, Value, json};
use unleash_types::client_features::ClientFeatures;
use unleash_yggdrasil::{Context, EngineState, UpdateMessage};

use crate::configs::UUID;

/// Benches of the other engines with `count` experiments.
pub(crate) fn add(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    eppo(group, count);
    unleash(group, count);
}

fn eppo(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    let split = |variant: &str, start: u32, end: u32| {
        let shards = json!([{ "salt": "s", "ranges": [{ "start": start, "end": end }] }]);
        json!({ "variationKey": variant, "shards": shards })
    };
    let flag = |n: usize| {
        let key = format!("e{n}");
        let allocation = json!({
            "key": "all", "doLog": true, "rules": [], "splits": [split("a", 0, 5_000), split("b", 5_000, 10_000)],
        });
        let flag = json!({
            "key": key, "enabled": true, "variationType": "STRING", "totalShards": 10_000,
            "variations": { "a": { "key": "a", "value": "a" }, "b": { "key": "b", "value": "b" } },
            "allocations": [allocation],
        });
        (key, flag)
    };
    let flags: Map<String, Value> = (0..count).map(flag).collect();
    let text = json!({
        "createdAt": "2026-11-20T00:00:00.000Z", "format": "SERVER", "environment": { "name": "test" },
        "flags": flags,
    });
    let metadata = SdkMetadata { name: "bench", version: "0" };
    let flags = UniversalFlagConfig::from_json(metadata, text.to_string().into_bytes()).unwrap();
    let configuration = Configuration::from_server_response(flags, None);
    let keys: Vec<String> = (0..count).map(|n| format!("e{n}")).collect();
    let (subject, attributes) = (Str::from(UUID), Arc::new(Attributes::new()));
    let now = chrono::Utc::now();
    let assign = |key: &str| {
        get_assignment(Some(&configuration), key, black_box(&subject), &attributes, None, now).unwrap()
    };
    assert!(keys.iter().all(|key| assign(key).is_some()), "everyone is in");
    group.bench_function("eppo_core 10.0.0", |b| {
        b.iter(|| keys.iter().for_each(|key| drop(black_box(assign(key)))));
    });
}

fn unleash(group: &mut BenchmarkGroup<'_, WallTime>, count: usize) {
    let feature = |n: usize| {
        let variant = |name: &str| json!({ "name": name, "weight": 500, "stickiness": "userId" });
        let parameters = json!({ "rollout": "100", "stickiness": "userId", "groupId": format!("e{n}") });
        json!({
            "name": format!("e{n}"), "enabled": true, "variants": [variant("a"), variant("b")],
            "strategies": [{ "name": "flexibleRollout", "parameters": parameters }],
        })
    };
    let features: Vec<Value> = (0..count).map(feature).collect();
    let features: ClientFeatures =
        serde_json::from_value(json!({ "version": 2, "features": features })).unwrap();
    let engine = EngineState::default();
    engine.take_state(UpdateMessage::FullResponse(features));
    let names: Vec<String> = (0..count).map(|n| format!("e{n}")).collect();
    let context = Context { user_id: Some(UUID.to_owned()), ..Context::default() };
    let assign = |name: &str| engine.get_variant(name, black_box(&context), &None);
    assert!(names.iter().all(|name| ["a", "b"].contains(&assign(name).name.as_str())), "everyone is in");
    group.bench_function("unleash-yggdrasil 0.21.7", |b| {
        b.iter(|| names.iter().for_each(|name| drop(black_box(assign(name)))));
    });
}
