//! More than one Splitway: two filters in one chain, and a gateway in front of a sidecar. Stamps merge, routes
//! survive, exposures agree, and what clients make up dies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use splitway_deploy::Deployment;
use splitway_envoy::{
    Additions, Answer, Call, Envoy, EnvoyConfig, FailurePolicy, Reply, Upstream, eventually, render, tools,
};

use crate::shop::{checkout_button, everyone, with_experiments};

/// The config of whoever stands behind: an experiment on every request of a user, which routes nobody.
fn inner() -> Value {
    json!({
        "version": 1,
        "namespace": "search",
        "unit": [{ "header": "x-user-id" }],
        "exposure": { "key": "fedcba9876543210", "filter_state": true },
        "neighbours": { "in_front": true },
        "propagation": { "baggage": true },
        "experiments": [{
            "id": "ranking",
            "variants": [
                { "id": "old" },
                { "id": "new", "request_headers": { "set": { "x-ranking": "new" } } },
            ],
        }],
    })
}

/// The config of whoever meets the clients.
fn outer() -> Value {
    let mut document = with_experiments(&json!([checkout_button()]));
    document["exposure"]["filter_state"] = true.into();
    document["neighbours"] = json!({ "behind": true });
    document["propagation"] = json!({ "baggage": true });
    document
}

/// What a client sends that knows all our names.
fn forged(user: usize) -> Call {
    Call::get("/")
        .header("x-user-id", format!("u{user}"))
        .header("x-splitway", "checkout-button=forged, ranking=forged, evil=1")
        .header("x-splitway-cluster", "checkout-v2")
        .header("x-checkout", "forged")
        .header("x-ranking", "forged")
        .header("baggage", "tenant=acme,splitway.evil=1")
}

/// An application that claims to be us.
fn application(name: &'static str) -> Upstream {
    Upstream::scripted(name, |_| {
        Reply::default().header("x-splitway", "evil=1").header("x-splitway-explain", "evil")
    })
    .expect("an upstream")
}

/// What a user was given, by experiment. Checks that everybody says the same.
fn given(answer: &Answer, context: &str) -> BTreeMap<String, String> {
    assert_eq!(answer.status, 200, "{context}");
    let seen = answer.seen().expect("an echo");
    let members = |stamp: &str| -> BTreeMap<String, String> {
        let pairs = stamp.split(", ").map(|member| member.split_once('=').expect("a member"));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let upstream = members(seen.header("x-splitway").expect("one stamp upstream"));
    assert_eq!(members(answer.header("x-splitway").expect("one stamp")), upstream, "{context}");
    assert_eq!(answer.header("x-splitway-explain"), None, "{context}");
    let keys: Vec<&str> = upstream.keys().map(String::as_str).collect();
    assert_eq!(keys, ["checkout-button", "ranking"], "{context}");
    let one_step = upstream["checkout-button"] == "one-step";
    let served = if one_step { "checkout-v2" } else { "checkout-v1" };
    assert_eq!(answer.upstream(), Some(served), "{context}: {upstream:?}");
    assert_eq!(seen.header("x-checkout"), one_step.then_some("one-step"), "{context}");
    assert_eq!(seen.header("x-ranking"), (upstream["ranking"] == "new").then_some("new"), "{context}");
    let baggage: BTreeSet<&str> = seen.header("baggage").expect("baggage").split(',').collect();
    let told = ["checkout-button", "ranking"].map(|key| format!("splitway.{key}={}", upstream[key]));
    assert_eq!(baggage, BTreeSet::from(["tenant=acme", &told[0], &told[1]]), "{context}");
    upstream
}

/// The records of a request in the logs of these proxies, as experiment and variant; all with this cluster.
async fn recorded(proxies: &[(&Envoy, usize)], answer: &Answer, cluster: &str) -> BTreeMap<String, String> {
    let id = answer.header("x-request-id").expect("Envoy gives it");
    let mut told = BTreeMap::new();
    for (proxy, count) in proxies {
        for record in proxy.exposures_of(id, *count).await.expect("records") {
            assert_eq!(record.text("splitway.cluster"), cluster, "{record:?}");
            let variant = record.text("feature_flag.result.variant").to_owned();
            assert!(told.insert(record.experiment().to_owned(), variant).is_none(), "{record:?}");
        }
    }
    told
}

/// A filter with `document`, in the VM of the other.
fn filter(document: &Value) -> Value {
    json!({
        "name": "splitway-behind",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "splitway-behind",
                "root_id": "splitway",
                "failure_policy": FailurePolicy::default().to_string(),
                "vm_config": {
                    "vm_id": "splitway",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": tools::filter_wasm().expect("a filter") } },
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": document.to_string(),
                },
            },
        },
    })
}

async fn start(
    document: &Value,
    v1: std::net::SocketAddr,
    v2: std::net::SocketAddr,
    additions: Additions,
) -> Envoy {
    let envoy = Envoy::start(EnvoyConfig {
        document: document.to_string(),
        v1,
        v2,
        workers: 2,
        failure_policy: FailurePolicy::default(),
        wasm: None,
        additions,
    })
    .await
    .expect("Envoy starts");
    let updates = envoy.updates().await.expect("stats");
    assert_eq!((updates.accepted, updates.refused), (1, 0), "{}", envoy.log_tail());
    envoy
}

#[tokio::test]
async fn two_filters_in_one_chain_compose() {
    const USERS: usize = 40;
    let (v1, v2) = (application("checkout-v1"), application("checkout-v2"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("exposures.log");
    let additions = Additions {
        filters_after: vec![filter(&inner())],
        access_logs: vec![render::file_access_log(&file).expect("rendered")],
        ..Additions::default()
    };
    let envoy = start(&outer(), v1.address(), v2.address(), additions).await;
    let mut met = BTreeSet::new();
    for user in 0..USERS {
        let answer = envoy.http1().send_alone(&forged(user)).await.expect("an answer");
        let given = given(&answer, &format!("user {user}"));
        let cluster = answer.upstream().expect("named");
        assert_eq!(recorded(&[(&envoy, 2)], &answer, cluster).await, given, "user {user}");
        met.extend(given.into_values());
    }
    assert_eq!(met.len(), 4, "{met:?}");
    // In no experiment: neither side's forgeries pass.
    let nobody = forged_by_nobody();
    let answer = envoy.http1().send_alone(&nobody).await.expect("an answer");
    let seen = answer.seen().expect("an echo");
    let ours = ["x-splitway", "x-splitway-cluster", "x-checkout", "x-ranking"];
    assert_eq!(ours.map(|name| seen.values(name).len()), [0; 4], "{seen:?}");
    assert_eq!((answer.upstream(), answer.header("x-splitway")), (Some("checkout-v1"), None));
    assert_eq!(answer.header("x-splitway-explain"), None);
    // Access loggers have the records of both.
    envoy.flush_access_logs().await.expect("flushed");
    let lines = eventually("every line", async || {
        let text = std::fs::read_to_string(&file)?;
        Ok((text.lines().count() >= USERS).then_some(text))
    })
    .await
    .expect("the log");
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let keys: Vec<&str> = line["exposures"]
            .as_array()
            .expect("records")
            .iter()
            .filter_map(|r| r["feature_flag.key"].as_str())
            .collect();
        assert_eq!(keys, ["checkout-button", "ranking"], "{line}");
    }
    // Each has metrics of its own.
    let stats = envoy.stats().await.expect("stats");
    for namespace in ["shop", "search"] {
        let name = format!("wasmcustom.splitway.config_version.namespace.{namespace}");
        assert!(stats.get(&name).is_some_and(|version| *version > 0), "{name}");
    }
}

fn forged_by_nobody() -> Call {
    Call::get("/")
        .header("x-splitway", "checkout-button=forged, ranking=forged, evil=1")
        .header("x-splitway-cluster", "checkout-v2")
        .header("x-checkout", "forged")
        .header("x-ranking", "forged")
}

#[tokio::test]
async fn a_gateway_in_front_of_a_sidecar_composes() {
    let (v1, v2) = (application("checkout-v1"), application("checkout-v2"));
    let inside = Additions { is_inside: true, ..Additions::default() };
    let sidecar = start(&inner(), v1.address(), v2.address(), inside).await;
    // Whatever the gateway chooses goes through the sidecar, which follows the gateway's choice.
    let gateway = start(&outer(), sidecar.address(), sidecar.address(), Additions::default()).await;
    let mut met = BTreeSet::new();
    for user in 0..40 {
        let answer = gateway.http1().send_alone(&forged(user)).await.expect("an answer");
        let given = given(&answer, &format!("user {user}"));
        let cluster = answer.upstream().expect("named");
        let told = recorded(&[(&gateway, 1), (&sidecar, 1)], &answer, cluster).await;
        assert_eq!(told, given, "user {user}");
        met.extend(given.into_values());
    }
    assert_eq!(met.len(), 4, "{met:?}");
    let answer = gateway.http1().send_alone(&forged_by_nobody()).await.expect("an answer");
    let seen = answer.seen().expect("an echo");
    let ours = ["x-splitway", "x-splitway-cluster", "x-checkout", "x-ranking"];
    assert_eq!(ours.map(|name| seen.values(name).len()), [0; 4], "{seen:?}");
    assert_eq!((answer.upstream(), answer.header("x-splitway")), (Some("checkout-v1"), None));
}

/// Two listeners' worth of configs with an experiment of one id: their metrics are told apart, and so are the
/// words that ids are made of.
#[tokio::test]
async fn namespaces_and_ids_that_look_like_words_are_labels() {
    let v1 = Upstream::start("checkout-v1").expect("an upstream");
    let document = |namespace: Option<&str>, neighbours: Value| {
        let mut experiment = everyone("variant", "/", json!({}));
        experiment["variants"][0]["id"] = "class".into();
        let mut document = with_experiments(&json!([experiment]));
        document["service_metrics"] = true.into();
        document["neighbours"] = neighbours;
        match namespace {
            Some(namespace) => document["namespace"] = namespace.into(),
            None => drop(document.as_object_mut().expect("a map").remove("namespace")),
        }
        document
    };
    let additions = Additions {
        filters_after: vec![filter(&document(Some("reason"), json!({ "in_front": true })))],
        ..Additions::default()
    };
    let envoy = start(&document(None, json!({})), v1.address(), v1.address(), additions).await;
    for _ in 0..3 {
        let answer = envoy.http1().send(&Call::get("/").header("x-user-id", "u1")).await.expect("an answer");
        assert_eq!(answer.status, 200);
    }
    let own = r#"experiment="variant",variant="class"} 3"#;
    let lines = [
        format!("splitway_assignments{{{own}"),
        r#"splitway_assignments{experiment="variant",splitway_namespace="reason",variant="class"} 3"#.to_owned(),
        r#"splitway_responses{class="2xx",experiment="variant",variant="class"} 3"#.to_owned(),
        r#"splitway_responses{class="2xx",experiment="variant",splitway_namespace="reason",variant="class"} 3"#
            .to_owned(),
    ];
    let sorted = |line: &str| {
        let (name, rest) = line.split_once('{')?;
        let (labels, value) = rest.split_once('}')?;
        let mut labels: Vec<&str> = labels.split(',').collect();
        labels.sort_unstable();
        Some(format!("{name}{{{}}}{value}", labels.join(",")))
    };
    let mut shown = BTreeSet::new();
    let found = eventually("every series", async || {
        shown = envoy.prometheus().await?.lines().filter_map(sorted).collect();
        Ok(lines.iter().all(|line| shown.contains(line)).then_some(()))
    });
    if let Err(error) = found.await {
        let ours: Vec<&String> = shown.iter().filter(|line| line.starts_with("splitway_")).collect();
        panic!("{error}: {ours:#?}");
    }
}

/// The snippet for routes where the filter is disabled, on such a route.
#[tokio::test]
async fn nothing_forged_passes_where_the_filter_is_disabled() {
    let (v1, v2) = (application("checkout-v1"), application("checkout-v2"));
    let own = vec!["x-checkout".to_owned()];
    let deployment = Deployment {
        listen: ("127.0.0.1", 0),
        admin: ("127.0.0.1", 0),
        wasm: "",
        config_dir: "",
        clusters: &[],
        capabilities: &[],
        failure_policy: FailurePolicy::default(),
        variables: &[],
        reject_underscores: false,
        is_inside: false,
        own_headers: &own,
    };
    let mut route = json!({ "match": { "prefix": "/off" }, "route": { "cluster": "checkout-v1" } });
    for (name, value) in deployment.disabled_route() {
        route[name] = value;
    }
    let additions = Additions { routes: vec![route], ..Additions::default() };
    let envoy = start(&outer(), v1.address(), v2.address(), additions).await;
    let off = Call::get("/off")
        .header("x-user-id", "u1")
        .header("x-splitway", "checkout-button=forged")
        .header("x_splitway", "checkout-button=forged")
        .header("x-splitway_cluster", "checkout-v2")
        .header("x-splitway-cluster", "checkout-v2")
        .header("x-checkout", "forged")
        .header("x_checkout", "forged");
    let answer = envoy.http1().send_alone(&off).await.expect("an answer");
    let seen = answer.seen().expect("an echo");
    let is_ours = |name: &str| name.contains("splitway") || name.contains("checkout");
    assert!(!seen.headers.iter().any(|(name, _)| is_ours(name)), "{seen:?}");
    assert_eq!(answer.upstream(), Some("checkout-v1"));
    assert_eq!((answer.header("x-splitway"), answer.header("x-splitway-explain")), (None, None));
    assert!(envoy.exposures().expect("a log").is_empty(), "the filter is off there");
    // Elsewhere it is as ever.
    let answer =
        envoy.http1().send_alone(&Call::get("/").header("x-user-id", "u1")).await.expect("an answer");
    assert!(answer.variant("checkout-button").is_some());
}
