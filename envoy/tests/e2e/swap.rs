//! A config that changes while requests are running.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use splitway_envoy::{Answer, Call, Client, eventually};

use crate::shop::{Shop, checkout_button, with_experiments};

/// What one request got: nothing of the experiment, or everything of one variant.
fn outcome(answer: &Answer) -> &'static str {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.seen().expect("an echo");
    let stamp = answer.variant("checkout-button");
    let upstream = answer.upstream().unwrap_or_default();
    match (stamp, upstream, seen.header("x-checkout")) {
        (None, "checkout-v1", None) => "none",
        (Some("control"), "checkout-v1", None) => "control",
        (Some("one-step"), "checkout-v2", Some("one-step")) => "one-step",
        mixture => panic!("old and new config mixed: {mixture:?}"),
    }
}

/// Runs requests of one unit until stopped; every one must succeed.
async fn load(client: Client, stop: &AtomicBool, sent: &AtomicUsize) -> BTreeMap<&'static str, u64> {
    let mut outcomes = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let call = Call::get("/").header("x-user-id", "u1");
        let answer = client.send(&call).await.expect("no request fails");
        *outcomes.entry(outcome(&answer)).or_default() += 1;
        sent.fetch_add(1, Ordering::Relaxed);
    }
    outcomes
}

#[tokio::test]
async fn no_request_fails_and_none_sees_a_mixture() {
    const SWAPS: usize = 20;
    let everyone_in = |variant: &str| {
        let mut experiment = checkout_button();
        let unwanted = usize::from(variant == "control");
        experiment["variants"][unwanted]["weight"] = 0.into();
        with_experiments(&json!([experiment])).to_string()
    };
    let mut killed = checkout_button();
    killed["status"] = "rolled_back".into();
    let documents =
        [everyone_in("one-step"), with_experiments(&json!([killed])).to_string(), everyone_in("control")];
    let shop = Shop::open_with(&documents[0], |_| {}).await;

    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let swaps = async {
        for number in 1..=SWAPS {
            let before = sent.load(Ordering::Relaxed);
            let document = &documents[number % documents.len()];
            shop.envoy.swap_accepted(document).await.expect("accepted");
            // Each config serves for a while before the next replaces it.
            eventually("requests under the new config", async || {
                Ok((sent.load(Ordering::Relaxed) >= before + 50).then_some(()))
            })
            .await
            .expect("the load goes on");
        }
        stop.store(true, Ordering::Relaxed);
    };
    let client = || load(shop.envoy.http1(), &stop, &sent);
    let http2 = load(shop.envoy.http2(), &stop, &sent);
    let (a, b, c, d, ()) = tokio::join!(client(), client(), client(), http2, swaps);

    let mut met = BTreeMap::new();
    for (outcome, count) in [a, b, c, d].into_iter().flatten() {
        *met.entry(outcome).or_insert(0) += count;
    }
    let names: Vec<_> = met.keys().copied().collect();
    assert_eq!(names, ["control", "none", "one-step"], "{met:?}");
}

#[tokio::test]
async fn exposures_are_neither_lost_nor_doubled_by_swaps() {
    const REQUESTS: usize = 400;
    let document = |traffic: &str| {
        let mut experiment = checkout_button();
        experiment["description"] = traffic.into();
        with_experiments(&json!([experiment])).to_string()
    };
    let shop = Shop::open_with(&document("0"), |_| {}).await;
    let client = shop.envoy.http1();
    for number in 0..REQUESTS {
        if number % 20 == 0 {
            shop.envoy.swap(&document(&number.to_string())).expect("swapped");
        }
        let call = Call::get("/").header("x-user-id", format!("u{number}"));
        let answer = client.send(&call).await.expect("an answer");
        assert_ne!(outcome(&answer), "none");
    }
    eventually("every exposure", async || Ok((shop.envoy.exposures()?.len() >= REQUESTS).then_some(())))
        .await
        .expect("every exposure");
    let exposures = shop.envoy.exposures().expect("exposures");
    let ids: std::collections::BTreeSet<_> =
        exposures.iter().map(|exposure| exposure.text("splitway.request_id")).collect();
    assert_eq!((exposures.len(), ids.len()), (REQUESTS, REQUESTS));
}
