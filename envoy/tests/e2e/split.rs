//! Shares, stickiness, and where the unit comes from.

use std::collections::BTreeMap;

use splitway_envoy::{Answer, Call, Client};

use crate::shop::Shop;

const EXPERIMENT: &str = "checkout-button";

/// The variant of an answer, checked against the upstream that gave it and what that one saw.
fn variant(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let variant = answer.variant(EXPERIMENT).expect("a stamp");
    let seen = answer.seen().expect("an echo");
    let (cluster, header) = match variant {
        "control" => ("checkout-v1", None),
        "one-step" => ("checkout-v2", Some("one-step")),
        other => panic!("no such variant: {other}"),
    };
    assert_eq!(answer.upstream(), Some(cluster), "{variant}");
    assert_eq!(seen.header("x-checkout"), header, "{variant}");
    variant.to_owned()
}

/// Sends a round of units over a connection of its own.
async fn round(client: Client, units: std::ops::Range<usize>) -> BTreeMap<usize, String> {
    let mut variants = BTreeMap::new();
    for unit in units {
        let call = Call::get("/split/cart").header("x-user-id", format!("u{unit}"));
        let answer = client.send(&call).await.expect("an answer");
        variants.insert(unit, variant(&answer));
    }
    variants
}

#[tokio::test]
async fn shares_follow_the_weights_and_units_are_sticky() {
    const UNITS: usize = 1_000;
    let shop = Shop::shared().await;
    let first = round(shop.envoy.http1(), 0..UNITS).await;
    // Sixteen connections: that all of them meet the same one of two workers has a chance of 2^-15,
    // so stickiness is tested across their VMs.
    for _ in 0..16 {
        let again = round(shop.envoy.http1(), 0..50).await;
        assert!(again.iter().all(|(unit, variant)| first.get(unit) == Some(variant)));
    }

    let treated = first.values().filter(|variant| *variant == "one-step");
    let deviations = (treated.count() as f64 - 500.0) / (UNITS as f64 * 0.25).sqrt();
    assert!(deviations.abs() <= 3.0, "{deviations} standard deviations");
}

#[tokio::test]
async fn a_unit_is_the_same_from_a_header_a_cookie_or_either_protocol() {
    let shop = Shop::shared().await;
    let (http1, http2) = (shop.envoy.http1(), shop.envoy.http2());
    let mut met = BTreeMap::new();
    for unit in 0..20 {
        let get = || Call::get("/split/cart");
        let calls = [
            get().header("x-user-id", format!("u{unit}")),
            get().header("cookie", format!("uid=u{unit}")),
            get().header("cookie", format!("a=b; uid=u{unit}; c=d")),
            // As two lines: HTTP/1.1 proxies see both, and only reading all of them finds the unit.
            get().header("cookie", "a=b; c=d").header("cookie", format!("uid=u{unit}")),
            // The first source of the config wins.
            get().header("cookie", "uid=someone-else").header("x-user-id", format!("u{unit}")),
        ];
        let expected = variant(&http1.send(&calls[0]).await.expect("an answer"));
        for call in &calls {
            for client in [&http1, &http2] {
                let answer = client.send(call).await.expect("an answer");
                assert_eq!(variant(&answer), expected, "{call:?}");
            }
        }
        *met.entry(expected).or_insert(0) += 1;
    }
    assert_eq!(met.len(), 2, "both variants should have been met: {met:?}");
}
