//! Counters, as Prometheus scrapes them.

use splitway_envoy::{Call, eventually};

use crate::shop::Shop;

#[tokio::test]
async fn assignments_are_labelled_with_experiment_and_variant() {
    const REQUESTS: usize = 7;
    let shop = Shop::shared().await;
    let client = shop.envoy.http1();
    for unit in 0..REQUESTS {
        let call = Call::get("/metrics").header("x-user-id", format!("u{unit}"));
        client.send(&call).await.expect("an answer");
    }
    // Workers hand their counts to the main thread at intervals.
    let line = eventually("the counter to arrive", async || {
        let metrics = shop.envoy.prometheus().await?;
        let found = metrics.lines().find(|line| {
            line.starts_with("splitway_assignments{")
                && line.contains("experiment=\"metrics\"")
                && line.ends_with(&format!(" {REQUESTS}"))
        });
        Ok(found.map(str::to_owned))
    })
    .await
    .expect("a counter");
    assert!(line.contains("variant=\"on\""), "{line}");
}
