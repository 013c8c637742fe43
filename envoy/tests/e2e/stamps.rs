//! The `x-splitway` stamp: upstream, on responses, and on what Envoy itself answers.

use serde_json::json;
use splitway_envoy::{Call, Upstream};

use crate::shop::{Shop, everyone, with_experiments};

#[tokio::test]
async fn upstream_and_client_see_every_experiment_of_the_request() {
    let shop = Shop::shared().await;
    for client in [shop.envoy.http1(), shop.envoy.http2()] {
        let call = Call::get("/stamps").header("x-user-id", "u1");
        let answer = client.send(&call).await.expect("an answer");
        let stamp = "stamp-a=on, stamp-b=on";
        assert_eq!(answer.values("x-splitway"), [stamp]);
        let seen = answer.seen().expect("an echo");
        assert_eq!(seen.header("x-splitway"), Some(stamp));
    }
}

#[tokio::test]
async fn an_upstreams_own_cookies_are_kept() {
    let shop = Shop::shared().await;
    let call = Call::get("/cookies").header("x-user-id", "u1");
    let answer = shop.envoy.http1().send(&call).await.expect("an answer");
    assert_eq!(answer.values("x-splitway"), ["cookies=on"]);
    assert_eq!(answer.values("set-cookie"), ["session=1; Path=/", "theme=dark"]);
}

#[tokio::test]
async fn a_direct_response_of_envoy_is_stamped() {
    let shop = Shop::shared().await;
    let call = Call::get("/healthz").header("x-user-id", "u1");
    let answer = shop.envoy.http1().send(&call).await.expect("an answer");
    assert_eq!((answer.status, answer.upstream()), (200, None));
    assert_eq!(answer.values("x-splitway"), ["health=on"]);
}

#[tokio::test]
async fn envoys_own_503_is_stamped_and_its_exposure_says_503() {
    // A port that was free a moment ago, and refuses connections.
    let closed = Upstream::start("closed").expect("an upstream").address();
    let down = everyone("down", "/down", json!({ "route": { "cluster": "checkout-v2" } }));
    let document = with_experiments(&json!([down])).to_string();
    let shop = Shop::open_with(&document, |config| config.v2 = closed).await;

    let call = Call::get("/down").header("x-user-id", "u1");
    let answer = shop.envoy.http1().send(&call).await.expect("an answer");
    assert_eq!((answer.status, answer.upstream()), (503, None));
    assert_eq!(answer.values("x-splitway"), ["down=on"]);
    let id = answer.header("x-request-id").expect("a request id");
    let exposures = shop.envoy.exposures_of(id, 1).await.expect("an exposure");
    assert_eq!(exposures[0].get("http.response.status_code"), 503);
}
