//! What Envoy's own `weighted_clusters` with `use_hash_policy` can do, and what it lacks: a salt. `docs/alternatives.md`
//! has the figures.

use serde_json::{Value, json};
use splitway_envoy::{Call, Client, Process, Upstream};
use tempfile::TempDir;

use crate::shop::{Shop, with_experiments};

const USERS: usize = 1_000;

/// An Envoy whose routes `/canary` and `/button` split by a hash of the cookie `uid`.
async fn weighted(v1: &Upstream, v2: &Upstream, canary: u32) -> Process {
    let route = |prefix: &str, treatment: u32| {
        json!({
            "match": { "prefix": prefix },
            "route": {
                "weighted_clusters": {
                    "clusters": [{ "name": "v2", "weight": treatment }, { "name": "v1", "weight": 100 - treatment }],
                    "use_hash_policy": true,
                },
                "hash_policy": [{ "cookie": { "name": "uid" } }],
            },
        })
    };
    let cluster = |upstream: &Upstream, name: &str| {
        json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                "address": { "socket_address": { "address": "127.0.0.1", "port_value": upstream.address().port() } },
            } }] }] },
        })
    };
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        }],
        "route_config": { "virtual_hosts": [{
            "name": "all", "domains": ["*"], "routes": [route("/canary", canary), route("/button", 50)],
        }] },
    });
    let bootstrap = json!({
        "node": { "id": "weighted", "cluster": "weighted" },
        "admin": { "address": address },
        "static_resources": {
            "listeners": [{ "name": "ingress", "address": address, "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
            }] }] }],
            "clusters": [cluster(v1, "v1"), cluster(v2, "v2")],
        },
    });
    let folder = TempDir::with_prefix("splitway-weighted-").expect("a folder");
    Process::start_logging(folder, &bootstrap.to_string(), 1, "router:warning").await.expect("Envoy starts")
}

/// Who gets v2 on a path, by number.
async fn treated(client: &Client, path: &str) -> Vec<bool> {
    let mut all = Vec::with_capacity(USERS);
    for user in 0..USERS {
        let call = Call::get(path).header("cookie", format!("uid=user-{user}"));
        let answer = client.send(&call).await.expect("an answer");
        all.push(answer.upstream().expect("an upstream") == "v2");
    }
    all
}

fn count(users: impl Iterator<Item = bool>) -> usize {
    users.filter(|is| *is).count()
}

/// Of the canary's users, how many are in the treatment, too.
fn both(canary: &[bool], button: &[bool]) -> usize {
    count(canary.iter().zip(button).map(|(canary, button)| *canary && *button))
}

#[tokio::test]
async fn weighted_clusters_keep_users_and_make_experiments_depend_on_each_other() {
    let (v1, v2) = (Upstream::start("v1").expect("an upstream"), Upstream::start("v2").expect("an upstream"));
    let envoy = weighted(&v1, &v2, 10).await;
    let client = Client::http1(envoy.listeners().await.expect("listeners")[0].1);
    let canary = treated(&client, "/canary").await;
    let button = treated(&client, "/button").await;
    assert_eq!(treated(&client, "/canary").await, canary, "users are kept");
    drop(envoy);
    let grown = weighted(&v1, &v2, 20).await;
    let client = Client::http1(grown.listeners().await.expect("listeners")[0].1);
    let more = treated(&client, "/canary").await;
    assert!(canary.iter().zip(&more).all(|(before, after)| !before || *after), "growing loses nobody");
    let (some, all) = (count(canary.iter().copied()), both(&canary, &button));
    eprintln!("weighted_clusters: {some} of {USERS} in the canary, {all} of them in the treatment");
    assert!((60..140).contains(&some), "{some}");
    // Independent splits would share half of them, give or take.
    assert_eq!(all, some, "one hash for all routes: the canary's users are all in the treatment");
}

#[tokio::test]
async fn splitways_experiments_do_not() {
    let half = |id: &str, weights: (u32, u32)| -> Value {
        json!({ "id": id, "variants": [{ "id": "off", "weight": weights.0 }, { "id": "on", "weight": weights.1 }] })
    };
    let shop =
        Shop::open(&with_experiments(&json!([half("canary", (90, 10)), half("button", (50, 50))]))).await;
    let client = shop.envoy.http1();
    let (mut canary, mut button) = (Vec::new(), Vec::new());
    for user in 0..USERS {
        let call = Call::get("/").header("cookie", format!("uid=user-{user}"));
        let answer = client.send(&call).await.expect("an answer");
        canary.push(answer.variant("canary") == Some("on"));
        button.push(answer.variant("button") == Some("on"));
    }
    let (some, all) = (count(canary.iter().copied()), both(&canary, &button));
    eprintln!("Splitway: {some} of {USERS} in the canary, {all} of them in the treatment");
    // The hash and the users are fixed, so these are no samples; 4.5 standard deviations around a half all the same.
    let expected = some as f64 / 2.0;
    assert!((all as f64 - expected).abs() < 4.5 * (some as f64 / 4.0).sqrt(), "{all} of {some}");
}
