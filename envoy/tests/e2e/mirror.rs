//! Shadow variants: Envoy sends a copy to the cluster that the filter names, and drops its answer.

use serde_json::json;
use splitway_envoy::{Call, eventually};

use crate::shop::{Shop, everyone, with_experiments};

#[tokio::test]
async fn the_shadow_gets_a_copy_and_the_client_the_usual_answer() {
    let document = with_experiments(&json!([
        everyone("copied", "/copied", json!({ "route": { "shadow": "checkout-v2" } })),
        everyone("nowhere", "/nowhere", json!({ "route": { "shadow": "no-such-cluster" } })),
    ]));
    let shop = Shop::open(&document).await;
    let ask = async |path: &str, body: &'static str| {
        let call = Call::new("POST", path).expect("a method").header("x-user-id", "u1").body(body);
        let answer = shop.envoy.http1().send(&call).await.expect("an answer");
        assert_eq!((answer.status, answer.upstream()), (200, Some("checkout-v1")), "{path}");
    };
    ask("/copied", "an order").await;
    let copy = eventually("the copy", async || Ok(shop.v2.requests().pop())).await.expect("a copy");
    assert_eq!((copy.path.as_str(), copy.body.as_slice()), ("/copied", &b"an order"[..]));
    assert_eq!(copy.header("x-splitway"), Some("copied=on"), "it knows its variant");
    let original = shop.v1.requests().pop().expect("the request");
    assert_eq!(copy.host, original.host, "no -shadow behind it");
    // Who names a cluster that is not there, or asks for it as a client, gets no copy and no error.
    ask("/nowhere", "x").await;
    let spoofed = Call::get("/plain").header("x-user-id", "u1").header("x-splitway-shadow", "checkout-v2");
    assert_eq!(shop.envoy.http1().send(&spoofed).await.expect("an answer").status, 200);
    ask("/copied", "the last").await;
    eventually("the last copy", async || {
        Ok(shop.v2.requests().iter().find(|seen| seen.body == b"the last").map(|_| ()))
    })
    .await
    .expect("a copy");
    assert_eq!(shop.v2.requests().len(), 2, "{:?}", shop.v2.requests());
}
