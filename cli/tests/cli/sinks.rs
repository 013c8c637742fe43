//! What a real Envoy writes of exposures, read by `splitway analyze`: every way out that the analysis takes says what was sent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use splitway_envoy::collector::LogRecord;
use splitway_envoy::{
    Additions, Call, Collector, Envoy, EnvoyConfig, Reply, Upstream, eventually, render, skip, tools,
};

use crate::support::Bench;

/// Requests, each of a unit of its own.
const UNITS: usize = 300;

fn document(sink: &Value) -> Value {
    let mut document = json!({
        "version": 1,
        "namespace": "shop",
        "unit": [{ "header": "x-user-id" }],
        "exposure": { "key": "0123456789abcdef" },
        "experiments": [{
            "id": "button",
            "metrics": { "primary": "http_5xx_rate", "secondary": ["latency_mean"] },
            "variants": [{ "id": "control", "weight": 50 }, { "id": "big", "weight": 50 }],
        }],
    });
    for (name, value) in sink.as_object().expect("fields") {
        document["exposure"][name] = value.clone();
    }
    document
}

fn for_access_loggers() -> Value {
    document(&json!({ "filter_state": true, "log": false }))
}

/// Per variant: units, and answers of 500 and more.
type Sent = BTreeMap<String, (u64, u64)>;

struct Shop {
    envoy: Envoy,
    sent: Sent,
    bench: Bench,
    _upstreams: [Upstream; 2],
}

impl Shop {
    /// Starts Envoy and sends every unit's request; some fail, more of them than a guess could hit.
    async fn serve(document: &Value, additions: Additions) -> Self {
        let answer = |seen: &splitway_envoy::upstream::Seen| {
            let unit: usize =
                seen.header("x-user-id").and_then(|unit| unit[1..].parse().ok()).unwrap_or_default();
            let status = match unit {
                unit if unit % 7 == 0 => 503,
                unit if unit % 11 == 0 => 500,
                unit if unit % 13 == 0 => 404,
                _ => 200,
            };
            Reply { status, ..Reply::default() }
        };
        let upstreams = ["checkout-v1", "checkout-v2"].map(|name| Upstream::scripted(name, answer).unwrap());
        let mut config = EnvoyConfig::new(document.to_string(), &upstreams[0], &upstreams[1]);
        config.additions = additions;
        let envoy = Envoy::start(config).await.unwrap();
        let client = envoy.http1();
        let mut sent = Sent::new();
        for unit in 0..UNITS {
            let answer = client.send(&Call::get("/").header("x-user-id", format!("u{unit}"))).await.unwrap();
            let variant = answer.variant("button").expect("a stamp").to_owned();
            let (units, errors) = sent.entry(variant).or_default();
            *units += 1;
            *errors += u64::from(answer.status >= 500);
        }
        assert!(sent.len() == 2 && sent.values().all(|(_, errors)| *errors > 5), "{sent:?}");
        let bench = Bench::new(&[("splitway.json", &document.to_string())]);
        Self { envoy, sent, bench, _upstreams: upstreams }
    }

    /// Reads `log` by the command, and compares.
    fn compare(&self, log: &str, lines: u64) {
        std::fs::write(self.bench.path("exposures.log"), log).unwrap();
        let ran = self
            .bench
            .run("analyze --config splitway.json --exposures exposures.log --strict --json --segment splitway.cluster");
        let found = ran.json();
        let read = &found["exposures"];
        let counts = ["records", "malformed", "without_unit"].map(|name| read[name].as_u64());
        assert_eq!(counts, [Some(UNITS as u64), Some(0), Some(0)], "{read}");
        let about = read["lines"].as_u64().unwrap() - read["unrelated"].as_u64().unwrap();
        assert_eq!(about, lines, "{read}");
        let experiment = &found["experiments"][0];
        let metric = |name: &str| {
            let metrics = experiment["metrics"].as_array().unwrap();
            metrics
                .iter()
                .find(|metric| metric["name"] == name)
                .unwrap_or_else(|| panic!("{name}: {experiment}"))
        };
        let rates = metric("http_5xx_rate");
        let of = |list: &Value, variant: &str, field: &str| {
            let mut found = list.as_array().unwrap().iter().filter(|entry| entry["variant"] == variant);
            found.next().and_then(|entry| entry[field].as_f64()).unwrap_or_else(|| panic!("{field}: {list}"))
        };
        for (variant, (units, errors)) in &self.sent {
            assert_eq!(of(&experiment["arms"], variant, "units"), *units as f64, "{variant}");
            let rate = of(&rates["values"], variant, "value");
            let expected = *errors as f64 / *units as f64;
            assert!((rate - expected).abs() < 1e-12, "{variant}: {rate}, sent {errors} of {units}");
            // What Envoy measured: there, and no more than a request may take.
            let latency = of(&metric("latency_mean")["values"], variant, "value");
            assert!((0.0..30_000.0).contains(&latency), "{variant}: {latency}");
        }
        assert_eq!(experiment["integrity"]["wrong_variant"], 0, "{experiment}");
    }
}

#[tokio::test]
async fn the_proxy_log_says_what_was_sent() {
    let shop = Shop::serve(&document(&json!({})), Additions::default()).await;
    let log = eventually("every record", async || {
        let log = shop.envoy.log()?;
        Ok((shop.envoy.exposures()?.len() == UNITS).then_some(log))
    })
    .await
    .unwrap();
    shop.compare(&log, UNITS as u64);
}

#[tokio::test]
async fn the_file_access_log_says_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("exposures.log");
    let additions =
        Additions { access_logs: vec![render::file_access_log(&file).unwrap()], ..Additions::default() };
    let shop = Shop::serve(&for_access_loggers(), additions).await;
    shop.envoy.flush_access_logs().await.unwrap();
    let log = eventually("every line", async || {
        let log = std::fs::read_to_string(&file)?;
        Ok((log.lines().count() == UNITS && log.ends_with('\n')).then_some(log))
    })
    .await
    .unwrap();
    shop.compare(&log, UNITS as u64);
}

/// What the collector got, as JSON: the kinds of values are those that it names.
fn as_json(records: &[LogRecord]) -> String {
    let value = |text: &str| {
        let (kind, text) = text.split_once('(').unwrap_or_else(|| panic!("no kind: {text}"));
        let text = text.strip_suffix(')').expect("a bracket");
        match kind {
            "Str" => json!({ "stringValue": text }),
            "Int" => json!({ "intValue": text }),
            _ => panic!("{kind}({text})"),
        }
    };
    let record = |record: &LogRecord| {
        let fields = record.attributes.iter().map(|(key, text)| json!({ "key": key, "value": value(text) }));
        let mut log =
            json!({ "timeUnixNano": "1795260252593000000", "attributes": fields.collect::<Value>() });
        if !record.event.is_empty() {
            log["eventName"] = record.event.as_str().into();
        }
        if !record.body.is_empty() {
            log["body"] = json!({ "stringValue": record.body });
        }
        log
    };
    // Several to a batch, as collectors write them.
    let batch = |records: &[LogRecord]| {
        let records: Value = records.iter().map(record).collect();
        let line = json!({ "resourceLogs": [{ "resource": {}, "scopeLogs": [{ "scope": {}, "logRecords": records }] }] });
        format!("{line}\n")
    };
    records.chunks(50).map(batch).collect()
}

/// Both ways to a collector: Envoy's access logger, whose records are in the body, and the filter's own.
async fn compare_otlp(test: &str, document: Value, access_log: bool) {
    if let Err(error) = tools::collector() {
        return skip::skip(test, &format!("{error:#}"));
    }
    let collector = Collector::start(Collector::free_address().unwrap()).await.unwrap();
    let mut additions = Additions {
        clusters: vec![("otel-collector".to_owned(), collector.address())],
        ..Additions::default()
    };
    if access_log {
        additions.access_logs = vec![render::otlp_access_log(collector.address()).unwrap()];
    }
    let shop = Shop::serve(&document, additions).await;
    let records = eventually("every record", async || {
        let records = collector.records()?;
        Ok((records.len() == UNITS && records.iter().all(is_whole)).then_some(records))
    })
    .await
    .unwrap();
    assert!(records.iter().all(|record| record.event.is_empty() == access_log));
    shop.compare(&as_json(&records), UNITS.div_ceil(50) as u64);
}

/// The collector writes a record line by line; of the last, some may still be missing.
fn is_whole(record: &LogRecord) -> bool {
    ["http.response.status_code", "splitway.cluster", "splitway.duration_ms"]
        .iter()
        .all(|name| record.attributes.get(*name).is_some_and(|value| value.ends_with(')')))
}

#[tokio::test]
async fn the_otlp_access_log_says_what_was_sent() {
    compare_otlp("the_otlp_access_log_says_what_was_sent", for_access_loggers(), true).await;
}

#[tokio::test]
async fn the_collector_gets_from_the_filter_what_was_sent() {
    let sink = json!({ "otlp": { "cluster": "otel-collector" }, "log": false });
    compare_otlp("the_collector_gets_from_the_filter_what_was_sent", document(&sink), false).await;
}
