//! Configs that come and go, good and bad.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use splitway_envoy::{Call, Envoy, EnvoyConfig, Upstream, eventually};

use crate::shop::{Shop, everyone, with_experiments};

fn good() -> Value {
    with_experiments(&json!([everyone("first", "/", json!({}))]))
}

async fn stamp(shop: &Shop) -> Option<String> {
    let call = Call::get("/").header("x-user-id", "u1");
    let answer = shop.envoy.http1().send(&call).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.upstream(), Some("checkout-v1"));
    answer.header("x-splitway").map(str::to_owned)
}

/// No JSON, an unknown field, another format; what else can be wrong is a scenario.
fn bad_documents() -> Vec<String> {
    let unknown_field = with_experiments(&json!([{ "id": "a", "varaints": [] }]));
    vec!["{ not json".to_owned(), unknown_field.to_string(), json!({ "version": 99 }).to_string()]
}

#[tokio::test]
async fn a_bad_config_at_first_start_serves_everyone_the_default_until_a_good_one_comes() {
    for document in bad_documents() {
        let shop = Shop::open_with(&document, |_| {}).await;
        let updates = shop.envoy.updates().await.expect("stats");
        assert_eq!((updates.accepted, updates.refused), (0, 1), "{document}");
        for _ in 0..4 {
            assert_eq!(stamp(&shop).await, None, "{document}");
        }
        shop.envoy.swap_accepted(&good().to_string()).await.expect("accepted");
        becomes(&shop, "first=on").await;
    }
}

#[tokio::test]
async fn a_ramp_goes_on_without_a_new_config() {
    let shop = Shop::open(&with_experiments(&json!([]))).await;
    let at = |time: SystemTime| humantime::format_rfc3339_millis(time).to_string();
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3_600));
    let step = now + Duration::from_secs(5);
    let mut document = good();
    document["experiments"][0]["ramp"] =
        json!([{ "at": at(now - hour), "traffic": "0%" }, { "at": at(step), "traffic": "100%" }]);
    shop.envoy.swap_accepted(&document.to_string()).await.expect("accepted");
    let before = stamp(&shop).await;
    // A machine may be that slow.
    if SystemTime::now() < step {
        assert_eq!(before, None);
    }
    becomes(&shop, "first=on").await;
    assert!(SystemTime::now() > step);
    let updates = shop.envoy.updates().await.expect("stats");
    assert_eq!((updates.accepted, updates.refused), (2, 0));
}

/// Envoy counts it as a success without asking the filter: what is in force is only told by the filter's gauge.
#[tokio::test]
async fn a_refused_config_that_comes_again_changes_nothing() {
    let shop = Shop::open(&good()).await;
    let version = async || shop.envoy.stats().await.expect("stats")["wasmcustom.splitway.config_version.namespace.shop"];
    let before = version().await;
    for document in bad_documents() {
        shop.envoy.swap_refused(&document).await.expect("refused");
        shop.envoy.swap_accepted(&document).await.expect("Envoy takes it for no news");
        assert_eq!(stamp(&shop).await.as_deref(), Some("first=on"), "{document}");
        assert_eq!(version().await, before, "{document}");
    }
}

/// Each worker follows on its own, so a whole run of requests has to agree.
async fn becomes(shop: &Shop, expected: &str) {
    eventually(expected, async || {
        for _ in 0..8 {
            if stamp(shop).await.as_deref() != Some(expected) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
    .expect("the new config");
}

#[tokio::test]
async fn proxies_side_by_side_avoid_each_others_ports() {
    let shop = Shop::open(&good()).await;
    let other = Shop::open(&good()).await;
    let mut ports: Vec<_> = [&shop, &other]
        .iter()
        .flat_map(|shop| [shop.envoy.address(), shop.envoy.admin_address(), shop.v1.address()])
        .collect();
    ports.sort();
    ports.dedup();
    assert_eq!(ports.len(), 6, "{ports:?}");
    for shop in [&shop, &other] {
        assert_eq!(stamp(shop).await.as_deref(), Some("first=on"));
    }
}

#[tokio::test]
async fn an_envoy_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let garbage = folder.path().join("garbage.wasm");
    std::fs::write(&garbage, "not wasm").expect("a file");
    let v1 = Upstream::start("checkout-v1").expect("an upstream");
    let mut config = EnvoyConfig::new(good().to_string(), &v1, &v1);
    config.wasm = Some(garbage);
    let error = Envoy::start(config).await.expect_err("no start");
    let error = format!("{error:#}");
    assert!(error.contains("Envoy did not start"), "{error}");
    assert!(error.contains("Wasm"), "{error}");
}
