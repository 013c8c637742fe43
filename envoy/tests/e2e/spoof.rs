//! Clients that send our headers themselves.

use splitway_envoy::Call;

use crate::shop::Shop;

#[tokio::test]
async fn a_client_cannot_stamp_itself() {
    let shop = Shop::shared().await;
    let forged = |path| {
        Call::get(path)
            .header("x-user-id", "u1")
            .header("x-splitway", "plain=forged, stamp-a=forged")
            .header("x-splitway", "second=line")
            .header("x-splitway-anything", "forged")
    };
    for (path, stamp) in [("/plain", Some("plain=on")), ("/elsewhere", None)] {
        for client in [shop.envoy.http1(), shop.envoy.http2()] {
            let answer = client.send(&forged(path)).await.expect("an answer");
            let seen = answer.seen().expect("an echo");
            assert_eq!(seen.header("x-splitway"), stamp, "{path}");
            assert_eq!(seen.values("x-splitway").len(), usize::from(stamp.is_some()));
            assert_eq!(seen.header("x-splitway-anything"), None, "{path}");
            assert_eq!(answer.header("x-splitway"), stamp, "{path}");
        }
    }
}

#[tokio::test]
async fn a_client_cannot_choose_the_cluster() {
    let shop = Shop::shared().await;
    // With and without a unit, in and outside an experiment.
    for call in [
        Call::get("/elsewhere"),
        Call::get("/elsewhere").header("x-user-id", "u1"),
        Call::get("/stamps").header("x-user-id", "u1"),
    ] {
        let call = call.header("x-splitway-cluster", "checkout-v2");
        let answer = shop.envoy.http1().send(&call).await.expect("an answer");
        assert_eq!(answer.upstream(), Some("checkout-v1"), "{call:?}");
        let seen = answer.seen().expect("an echo");
        assert_eq!(seen.header("x-splitway-cluster"), None, "{call:?}");
    }
}

#[tokio::test]
async fn a_client_cannot_send_a_header_that_variants_set() {
    let shop = Shop::shared().await;
    let mut controls = 0;
    for unit in 0..20 {
        let call =
            Call::get("/split/cart").header("x-user-id", format!("u{unit}")).header("x-checkout", "forged");
        let answer = shop.envoy.http1().send(&call).await.expect("an answer");
        let seen = answer.seen().expect("an echo");
        match answer.variant("checkout-button") {
            Some("control") => {
                controls += 1;
                assert_eq!(seen.header("x-checkout"), None);
            }
            _ => assert_eq!(seen.header("x-checkout"), Some("one-step")),
        }
    }
    assert!(controls > 0, "no unit was in the control");
}

#[tokio::test]
async fn underscore_spellings_are_rejected() {
    let shop = Shop::shared().await;
    for (number, name) in ["x_splitway", "x_splitway_cluster", "x-splitway_cluster"].into_iter().enumerate() {
        let path = format!("/underscores/{number}");
        let call = Call::get(&path).header("x-user-id", "u1").header(name, "checkout-v2");
        let answer = shop.envoy.http1().send(&call).await.expect("an answer");
        assert_eq!(answer.status, 400, "{name}");
        assert!(!shop.saw(&path), "{name} reached an upstream");
    }
}
