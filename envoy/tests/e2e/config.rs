//! Configs that come and go, good and bad.

use serde_json::{Value, json};
use splitway_envoy::{Call, Envoy, EnvoyConfig, Upstream, eventually};

use crate::shop::{Shop, checkout_button, everyone, with_experiments};

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

/// Every way in which a document can be bad: no JSON, an unknown field, wrong values.
fn bad_documents() -> Vec<(String, Vec<&'static str>)> {
    let unknown_field = with_experiments(&json!([{ "id": "a", "varaints": [] }]));
    let mut weights = checkout_button();
    weights["traffic"] = "120%".into();
    weights["variants"][0]["weight"] = json!(-1);
    vec![
        ("{ not json".to_owned(), vec!["JSON"]),
        (unknown_field.to_string(), vec!["varaints"]),
        (
            // Both problems of one document are named at once, each with its place.
            with_experiments(&json!([weights])).to_string(),
            vec!["experiments[0].traffic", "experiments[0].variants[0].weight"],
        ),
        (json!({ "version": 99 }).to_string(), vec!["version"]),
    ]
}

#[tokio::test]
async fn a_bad_update_is_refused_and_the_last_good_config_stays() {
    let shop = Shop::open(&good()).await;
    assert_eq!(stamp(&shop).await.as_deref(), Some("first=on"));
    for (document, named) in bad_documents() {
        let logged = shop.envoy.log().expect("a log").len();
        let refused = shop.envoy.swap_refused(&document).await;
        refused.unwrap_or_else(|error| panic!("{document}: {error}"));
        let log = shop.envoy.log().expect("a log").split_off(logged);
        assert!(log.contains("splitway: config refused"), "{log}");
        assert!(!log.contains("no config is in force"), "{log}");
        for name in named {
            assert!(log.contains(name), "{name} is not named in:\n{log}");
        }
        for _ in 0..4 {
            assert_eq!(stamp(&shop).await.as_deref(), Some("first=on"));
        }
    }
    // And the next good one is taken.
    let next = with_experiments(&json!([everyone("second", "/", json!({}))]));
    shop.envoy.swap_accepted(&next.to_string()).await.expect("accepted");
    becomes(&shop, "second=on").await;
}

#[tokio::test]
async fn a_bad_config_at_first_start_serves_everyone_the_default_until_a_good_one_comes() {
    for (document, _) in bad_documents() {
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
