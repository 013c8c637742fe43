//! What a variant can do to a request and its response.

use serde_json::json;
use splitway_envoy::{Answer, Call};

use crate::shop::{Shop, everyone, with_experiments};

async fn get(shop: &Shop, call: Call) -> Answer {
    let call = call.header("x-user-id", "u1");
    let answer = shop.envoy.http1().send(&call).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

// A cluster that Envoy knows: see `split`.
#[tokio::test]
async fn a_cluster_that_envoy_does_not_know_falls_to_the_default_route() {
    let route = json!({ "route": { "cluster": "no-such-cluster" } });
    let document = with_experiments(&json!([everyone("unknown", "/", route)]));
    let shop = Shop::open(&document).await;
    let answer = get(&shop, Call::get("/")).await;
    assert_eq!(answer.variant("unknown"), Some("on"));
    assert_eq!(answer.upstream(), Some("checkout-v1"));
}

#[tokio::test]
async fn a_path_prefix_with_the_query_kept() {
    let shop = Shop::shared().await;
    for (sent, arrived) in [
        ("/old/cart?a=1&b=/old", "/new/cart?a=1&b=/old"),
        ("/old", "/new"),
        // Not at a segment boundary: another path, which is neither targeted nor rewritten.
        ("/older/cart", "/older/cart"),
    ] {
        let answer = get(&shop, Call::get(sent)).await;
        assert_eq!(answer.seen().expect("an echo").path, arrived);
    }
}

#[tokio::test]
async fn a_host() {
    let shop = Shop::shared().await;
    let answer = get(&shop, Call::get("/host")).await;
    assert_eq!(answer.seen().expect("an echo").host, "v2.shop.internal");
    let other = get(&shop, Call::get("/elsewhere")).await;
    assert_eq!(other.seen().expect("an echo").host, shop.envoy.address().to_string());
}

#[tokio::test]
async fn request_headers_set_added_and_removed() {
    let shop = Shop::shared().await;
    let call = Call::get("/request-headers")
        .header("x-kept", "client")
        .header("x-joined", "client")
        .header("x-gone", "client");
    let seen = get(&shop, call).await.seen().expect("an echo");
    assert_eq!(seen.header("x-kept"), Some("client"));
    assert_eq!(seen.header("x-replaced"), Some("splitway"));
    assert_eq!(seen.header("x-gone"), None);
    let joined = seen.values("x-joined");
    assert!(joined.contains(&&b"splitway"[..]), "{joined:?}");
}

#[tokio::test]
async fn response_headers_set_added_and_removed() {
    let shop = Shop::shared().await;
    let answer = get(&shop, Call::get("/response-headers")).await;
    assert_eq!(answer.values("x-kept"), ["upstream"]);
    assert_eq!(answer.values("x-replaced"), ["splitway"]);
    assert_eq!(answer.values("x-gone"), [""; 0]);
    assert_eq!(answer.values("x-joined"), ["upstream", "splitway"]);
}
