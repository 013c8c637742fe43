//! The `x-splitway` stamp, upstream and on responses.

use splitway_envoy::Call;

use crate::shop::Shop;

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
