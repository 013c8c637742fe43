//! The experiment documents that are measured.

use serde_json::{Value, json};

/// `count` experiments of two variants, each in a layer of its own: every request is in all of them.
#[must_use]
pub fn layers(count: usize) -> Value {
    let one = |n| json!({ "id": format!("e{n}"), "variants": [{ "id": "a" }, { "id": "b" }] });
    json!({
        "version": 1,
        "namespace": "shop",
        "unit": [{ "header": "x-user" }, { "cookie": "uid" }],
        "experiments": (0..count).map(one).collect::<Vec<Value>>(),
    })
}

/// The same experiments in one layer, an equal share of its buckets each: every request is in one of them.
#[must_use]
pub fn one_layer(count: usize) -> Value {
    let mut document = layers(count);
    let width = 10_000 / count;
    document["layers"] = json!([{ "id": "l" }]);
    for n in 0..count {
        document["experiments"][n]["layer"] = json!("l");
        document["experiments"][n]["buckets"] = json!([[n * width, n * width + width - 1]]);
    }
    document
}

/// The same experiments on paths that nobody asks for: every request is in none of them.
#[must_use]
pub fn elsewhere(count: usize) -> Value {
    let mut document = layers(count);
    for n in 0..count {
        document["experiments"][n]["targeting"] = json!({ "path": { "prefix": format!("/elsewhere-{n}") } });
    }
    document
}

/// One experiment that sends half of the units to the cluster `v2`.
#[must_use]
pub fn routed() -> Value {
    let mut document = layers(1);
    document["experiments"][0]["variants"][1]["route"] = json!({ "cluster": "v2" });
    document
}

/// With a header that the variant `b` of the first experiment sets.
#[must_use]
pub fn with_header(mut document: Value) -> Value {
    document["experiments"][0]["variants"][1]["request_headers"] = json!({ "set": { "x-e0": "b" } });
    document
}
