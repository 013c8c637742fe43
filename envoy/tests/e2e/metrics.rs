//! Counters, as Prometheus scrapes them.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use splitway_envoy::{Call, Client, Collector, eventually, skip};
use tempfile::TempDir;

use crate::shop::{Shop, everyone, with_experiments};

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

/// A Prometheus server that scrapes one proxy. Dropping it kills the process and waits for its end.
struct Prometheus {
    child: Child,
    client: Client,
    _folder: TempDir,
}

impl Prometheus {
    async fn start(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = Collector::free_address().expect("a port");
        let config = folder.path().join("prometheus.yml");
        let text = json!({ "scrape_configs": [{
            "job_name": "envoy",
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "metrics_path": "/stats/prometheus",
            "static_configs": [{ "targets": [target.to_string()] }],
        }] });
        fs::write(&config, text.to_string()).expect("written");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Prometheus runs");
        Self { child, client: Client::http1(address), _folder: folder }
    }

    /// The first value that a query gives; `None` while there is none.
    async fn value(&self, query: &str) -> anyhow::Result<Option<f64>> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = self.client.send(&Call::get(&format!("/api/v1/query?query={encoded}"))).await;
        // It may not listen yet.
        let Ok(answer) = answer else { return Ok(None) };
        if answer.status == 503 {
            return Ok(None);
        }
        let result: Value = serde_json::from_slice(&answer.body)?;
        anyhow::ensure!(result["status"] == "success", "{query}: {result}");
        Ok(result["data"]["result"][0]["value"][1].as_str().and_then(|value| value.parse().ok()))
    }

    async fn gives(&self, query: &str, expected: f64) {
        let mut last = None;
        let found = eventually(query, async || {
            last = self.value(query).await?;
            Ok((last == Some(expected)).then_some(()))
        });
        found.await.unwrap_or_else(|error| panic!("{error}: {last:?} and not {expected}"));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_prometheus_server_scrapes_what_is_counted_and_no_more_labels_than_may_be() {
    const REQUESTS: usize = 3;
    const EXPERIMENTS: usize = 200;
    if Command::new("prometheus").arg("--version").output().is_err() {
        let test = "a_prometheus_server_scrapes_what_is_counted_and_no_more_labels_than_may_be";
        return skip::skip(test, "no prometheus: apt-get install prometheus");
    }
    let experiments: Vec<Value> =
        (0..EXPERIMENTS).map(|n| everyone(&format!("e{n:03}"), "/", json!({}))).collect();
    let mut document = with_experiments(&json!(experiments));
    document["service_metrics"] = true.into();
    document["exposure"]["log"] = false.into();
    // Two variants each, of which the second has nobody.
    for experiment in document["experiments"].as_array_mut().expect("experiments") {
        experiment["variants"] = json!([{ "id": "on", "weight": 100 }, { "id": "off", "weight": 0 }]);
    }
    let shop = Shop::open(&document).await;
    for user in 0..REQUESTS {
        let call = Call::get("/").header("x-user-id", format!("u{user}"));
        let answer = shop.envoy.http1().send(&call).await.expect("an answer");
        assert_eq!(answer.status, 200);
    }
    let prometheus = Prometheus::start(shop.envoy.admin_address()).await;
    let all = (REQUESTS * EXPERIMENTS) as f64;
    prometheus.gives("up", 1.0).await;
    prometheus.gives("sum(splitway_assignments)", all).await;
    prometheus.gives("sum(splitway_responses{class=\"2xx\"})", all).await;
    prometheus.gives("sum(splitway_duration_ms_count)", all).await;
    prometheus.gives("splitway_assignments{experiment=\"e007\",variant=\"on\"}", REQUESTS as f64).await;
    // 2,000 series, 8 for each variant, and what is left in one more.
    prometheus.gives("count(splitway_assignments)", 251.0).await;
    prometheus.gives("count(splitway_responses)", 251.0 * 6.0).await;
    let other = (REQUESTS * (EXPERIMENTS - 125)) as f64;
    prometheus.gives("splitway_assignments{experiment=\"__other__\",variant=\"__other__\"}", other).await;
}
