//! Bytes that would panic a filter which takes headers for text, under each failure policy: the
//! filter must not trap, so the policy must not matter.

use serde_json::json;
use splitway_envoy::{Call, FailurePolicy};

use crate::shop::{Shop, checkout_button, with_experiments};

async fn survives_bad_bytes(policy: FailurePolicy) {
    let document = with_experiments(&json!([checkout_button()])).to_string();
    let shop = Shop::open_with(&document, |config| config.failure_policy = policy).await;
    let bad = [
        Call::get("/").header("cookie", b"uid=\xff\xfe"),
        Call::get("/").header("x-user-id", b"\xff\xfe"),
        Call::get("/").header("x-other", b"\x80\xff"),
        Call::get("/").header("cookie", b"\xff=\xfe; uid=u1"),
    ];
    for _ in 0..5 {
        for call in &bad {
            // A connection each, so that both workers meet them.
            let answer = shop.envoy.http1().send(call).await.expect("an answer");
            assert_eq!(answer.status, 200, "{policy}: {call:?}");
            assert!(answer.upstream().is_some(), "{policy}: {call:?}");
        }
    }
    // Still active: a filter that was switched off would answer without a stamp.
    for number in 0..20 {
        let call = Call::get("/").header("x-user-id", format!("u{number}"));
        let answer = shop.envoy.http1().send(&call).await.expect("an answer");
        assert_eq!(answer.status, 200, "{policy}");
        assert!(answer.variant("checkout-button").is_some(), "{policy}");
    }
    let log = shop.envoy.log().expect("a log");
    assert!(!log.contains("panicked"), "{policy}:\n{log}");
    let stats = shop.envoy.stats().await.expect("stats");
    let reloads: Vec<_> =
        stats.iter().filter(|(name, count)| name.contains("vm_reload") && **count > 0).collect();
    assert!(reloads.is_empty(), "{policy}: {reloads:?}");
}

#[tokio::test]
async fn fail_reload() {
    survives_bad_bytes(FailurePolicy::Reload).await;
}

#[tokio::test]
async fn fail_open() {
    survives_bad_bytes(FailurePolicy::Open).await;
}

#[tokio::test]
async fn fail_closed() {
    survives_bad_bytes(FailurePolicy::Closed).await;
}
