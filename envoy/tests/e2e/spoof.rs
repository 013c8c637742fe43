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
