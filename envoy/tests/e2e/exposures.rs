//! What is logged about a request.

use serde_json::Value;
use splitway_envoy::{Call, Exposure};

use crate::shop::Shop;

/// Sends a request and gives its exposures. `expected` is awaited; a later one would be missed, so
/// a test for none sends a second request that has one.
async fn exposures(shop: &Shop, path: &str, unit: &str, expected: usize) -> Vec<Exposure> {
    let call = Call::get(path).header("x-user-id", unit);
    let answer = shop.envoy.http1().send(&call).await.expect("an answer");
    let id = answer.header("x-request-id").expect("a request id");
    shop.envoy.exposures_of(id, expected).await.expect("the exposures")
}

#[tokio::test]
async fn one_for_each_experiment_of_the_request() {
    let shop = Shop::shared().await;
    let mut both = exposures(&shop, "/stamps", "u1", 2).await;
    both.sort_by_key(|exposure| exposure.experiment().to_owned());
    let names: Vec<_> = both.iter().map(|exposure| (exposure.experiment(), exposure.variant())).collect();
    assert_eq!(names, [("stamp-a", "on"), ("stamp-b", "on")]);
}

#[tokio::test]
async fn it_says_what_was_served() {
    let shop = Shop::shared().await;
    // Some unit is in the treatment, which has a cluster of its own.
    let mut unit = 0;
    let routed = loop {
        let exposure = exposures(&shop, "/split/cart", &format!("u{unit}"), 1).await.remove(0);
        if exposure.variant() == "one-step" {
            break exposure;
        }
        unit += 1;
    };
    assert_eq!(routed.text("event"), "feature_flag.evaluation");
    assert_eq!(routed.text("feature_flag.result.reason"), "split");
    assert_eq!(routed.text("splitway.cluster"), "checkout-v2");
    assert_eq!(routed.get("http.response.status_code"), 200);
    let bucket = routed.get("splitway.bucket").as_u64();
    assert!(bucket.is_some_and(|bucket| bucket < 10_000), "{routed:?}");

    let teapot = &exposures(&shop, "/teapot", "u1", 1).await[0];
    assert_eq!(teapot.get("http.response.status_code"), 418);
    assert_eq!(teapot.text("splitway.cluster"), "checkout-v1");
}

#[tokio::test]
async fn the_unit_is_a_stable_pseudonym() {
    let shop = Shop::shared().await;
    let unit = "canary@shop.example";
    let id = |exposures: &[Exposure]| exposures[0].get("feature_flag.context.id").clone();
    let first = id(&exposures(&shop, "/plain", unit, 1).await);
    assert!(first.as_str().is_some_and(|id| id.len() >= 16), "{first}");
    assert_eq!(id(&exposures(&shop, "/teapot", unit, 1).await), first);
    assert_ne!(id(&exposures(&shop, "/teapot", "u1", 1).await), first);
    assert!(!shop.envoy.log().expect("a log").contains(unit));
}

#[tokio::test]
async fn none_for_a_request_outside_every_experiment() {
    let shop = Shop::shared().await;
    let client = shop.envoy.http1();
    // The same connection, hence the same worker: once the last one is logged, so is the first.
    let mut ids = Vec::new();
    for path in ["/elsewhere", "/plain"] {
        let call = Call::get(path).header("x-user-id", "outsider");
        let answer = client.send(&call).await.expect("an answer");
        ids.push(answer.header("x-request-id").expect("an id").to_owned());
    }
    let logged = shop.envoy.exposures_of(&ids[1], 1).await;
    assert_eq!(logged.expect("an exposure").len(), 1);
    let outside = shop.envoy.exposures_of(&ids[0], 0).await;
    assert_eq!(outside.expect("no exposure").len(), 0);
}

#[tokio::test]
async fn a_client_cannot_choose_the_request_id() {
    let shop = Shop::shared().await;
    let forged = "11111111-1111-4111-8111-111111111111";
    let call = Call::get("/plain").header("x-user-id", "u1").header("x-request-id", forged);
    let answer = shop.envoy.http1().send(&call).await.expect("an answer");
    let id = answer.header("x-request-id").expect("a request id");
    assert_ne!(id, forged);
    let exposures = shop.envoy.exposures_of(id, 1).await.expect("an exposure");
    assert_ne!(*exposures[0].get("splitway.request_id"), Value::Null);
}
