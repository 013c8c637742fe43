//! What records say of an exchange, on a real Envoy: when it was decided on, who was asked, and one record
//! for each experiment however often the proxy began anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use splitway_envoy::{Answer, Call, Collector, Exposure, Reply, Upstream, eventually, render};

use crate::shop::{everyone, start, with_experiments};

fn get(path: &str) -> Call {
    Call::get(path).header("x-user-id", "u1")
}

fn request_id(answer: &Answer) -> String {
    answer.header("x-request-id").expect("Envoy gives it").to_owned()
}

/// The records in what a collector was sent, by their experiments.
fn told_by(collector: &Upstream) -> BTreeMap<String, Value> {
    let mut records = BTreeMap::new();
    for request in collector.requests() {
        let batch: Value = serde_json::from_slice(&request.body).expect("JSON");
        for record in batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records") {
            let key = record["attributes"][0]["value"]["stringValue"].as_str().expect("a key").to_owned();
            assert!(records.insert(key, record.clone()).is_none(), "doubled: {record}");
        }
    }
    records
}

fn nanoseconds(record: &Value, field: &str) -> u128 {
    record[field].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{field}: {record}"))
}

/// The upstream takes the request after the decision, and then takes its time; so does the one that
/// redirects. A prefetch is in no sink.
#[tokio::test]
async fn every_sink_tells_when_the_request_was_decided_on() {
    const DELAY: Duration = Duration::from_millis(60);
    let arrivals: Arc<Mutex<BTreeMap<String, u128>>> = Arc::default();
    let own = Arc::clone(&arrivals);
    let v1 = Upstream::scripted("checkout-v1", move |seen| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        own.lock().expect("not poisoned").insert(seen.path.clone(), now);
        let reply = Reply { delay: DELAY, ..Reply::default() };
        match seen.path.as_str() {
            "/moved" => Reply { status: 302, ..reply }.header("location", "http://shop.example/there"),
            _ => reply,
        }
    })
    .expect("an upstream");
    let v2 = Upstream::start("checkout-v2").expect("an upstream");
    let collector =
        Upstream::scripted("collector", |_| Reply { body: Some(b"{}".to_vec()), ..Reply::default() })
            .expect("a collector");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("exposures.log");
    let mut document = with_experiments(&json!([
        everyone("slow", "/slow", json!({})),
        everyone("before", "/moved", json!({})),
        everyone("after", "/there", json!({})),
    ]));
    document["exposure"]["filter_state"] = true.into();
    document["exposure"]["otlp"] = json!({ "cluster": "otel-collector" });
    let envoy = start(&document, &v1, &v2, |config| {
        config.additions.access_logs = vec![render::file_access_log(&file).expect("rendered")];
        config.additions.clusters = vec![("otel-collector".to_owned(), collector.address())];
        config.additions.routes = vec![json!({
            "match": { "path": "/moved" },
            "route": { "cluster": "checkout-v1", "internal_redirect_policy": { "redirect_response_codes": [302] } },
        })];
    })
    .await;
    // Stamped, but nobody has seen it yet: no record, and no line of an access log, which would be no JSON.
    let prefetch = get("/slow").header("sec-purpose", "prefetch");
    assert_eq!(envoy.http1().send_alone(&prefetch).await.expect("an answer").status, 200);
    let mut logged = Vec::new();
    for (path, records) in [("/slow", 1), ("/moved", 2)] {
        let answer = envoy.http1().send_alone(&get(path)).await.expect("an answer");
        assert_eq!(answer.status, 200);
        logged.extend(envoy.exposures_of(&request_id(&answer), records).await.expect("records"));
    }
    let arrivals = arrivals.lock().expect("not poisoned").clone();
    let records = eventually("every record", async || {
        let records = told_by(&collector);
        Ok((records.len() == 3).then_some(records))
    })
    .await
    .expect("delivered");
    for (experiment, path) in [("slow", "/slow"), ("before", "/moved"), ("after", "/moved")] {
        let record = &records[experiment];
        let decided = nanoseconds(record, "timeUnixNano");
        assert!(decided <= arrivals[path], "{experiment}: {decided} and {arrivals:?}");
        let observed = nanoseconds(record, "observedTimeUnixNano");
        assert!(observed >= arrivals[path] + DELAY.as_nanos() - 2_000_000, "{experiment}: {observed}");
    }
    envoy.flush_access_logs().await.expect("flushed");
    let states = eventually("the access log", async || {
        let text = std::fs::read_to_string(&file)?;
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        let exposures = |line: &Value| line["exposures"].as_array().cloned().unwrap_or_default();
        let states: Vec<Value> = lines.iter().flat_map(exposures).collect();
        Ok((states.len() >= 2).then_some(states))
    })
    .await
    .expect("lines");
    let timestamps = |records: &[(String, String)], experiment: &str| -> Vec<String> {
        let own = records.iter().filter(|(key, _)| key == experiment);
        own.map(|(_, timestamp)| timestamp.clone()).collect()
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let log: Vec<_> =
        logged.iter().map(|r| (r.experiment().to_owned(), r.text("timestamp").to_owned())).collect();
    let state: Vec<_> =
        states.iter().map(|r| (text(&r["feature_flag.key"]), text(&r["timestamp"]))).collect();
    // Of a redirected request, Envoy's access log has the last pass.
    for experiment in ["slow", "after"] {
        assert_eq!(timestamps(&log, experiment), timestamps(&state, experiment), "{experiment}");
    }
    assert_eq!(timestamps(&log, "before"), timestamps(&log, "after"), "one request");
}

/// A Lua filter that asks somebody about every request, and lets it pass when the answer comes.
fn asks_first(cluster: &str) -> Value {
    let code = format!(
        r#"function envoy_on_request(handle)
             handle:httpCall("{cluster}", {{ [":method"] = "GET", [":path"] = "/", [":authority"] = "gate" }}, "", 20000)
           end"#
    );
    json!({
        "name": "lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": code },
        },
    })
}

/// With one worker, every pass meets those of all others. The gate lets the first pass of each request through at
/// once and keeps the second, so that passes do not follow each other.
#[tokio::test]
async fn redirects_behind_an_asynchronous_filter_give_one_record_each() {
    const AT_ONCE: usize = 20;
    let v1 = Upstream::scripted("checkout-v1", move |seen| match seen.path.as_str() {
        "/moved" => Reply { status: 302, ..Reply::default() }.header("location", "http://shop.example/there"),
        _ => Reply::default(),
    })
    .expect("an upstream");
    let v2 = Upstream::start("checkout-v2").expect("an upstream");
    let asked = std::sync::atomic::AtomicU64::new(0);
    let gate = Upstream::scripted("gate", move |_| {
        let number = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Reply { delay: Duration::from_millis(number * 7 % 40), ..Reply::default() }
    })
    .expect("a gate");
    let mut both = everyone("both", "/", json!({}));
    both["targeting"] = json!({ "path": { "one_of": ["/moved", "/there"] } });
    let document = with_experiments(&json!([
        both,
        everyone("before", "/moved", json!({})),
        everyone("after", "/there", json!({})),
    ]));
    let envoy = start(&document, &v1, &v2, |config| {
        config.workers = 1;
        config.additions.filters_before = vec![asks_first("gate")];
        config.additions.clusters = vec![("gate".to_owned(), gate.address())];
        config.additions.routes = vec![json!({
            "match": { "path": "/moved" },
            "route": { "cluster": "checkout-v1", "internal_redirect_policy": { "redirect_response_codes": [302] } },
        })];
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut waiting = tokio::task::JoinSet::new();
        let shared = envoy.http2();
        for number in 0..AT_ONCE {
            // Half of them on one connection, the others on their own.
            let client = if number % 2 == 0 { shared.clone() } else { envoy.http1() };
            waiting.spawn(async move { client.send(&get("/moved")).await });
        }
        while let Some(answered) = waiting.join_next().await {
            let answer = answered.expect("no panic").expect("an answer");
            assert_eq!(answer.status, 200);
            ids.push(request_id(&answer));
        }
    }
    let expected = ids.len() * 3;
    let records = eventually("every record", async || {
        let records = envoy.exposures()?;
        Ok((records.len() >= expected).then_some(records))
    })
    .await
    .expect("records");
    let mut by_id: BTreeMap<&str, Vec<&Exposure>> = BTreeMap::new();
    for record in &records {
        by_id.entry(record.text("splitway.request_id")).or_default().push(record);
    }
    for id in &ids {
        let of_one = &by_id[id.as_str()];
        let mut keys: Vec<&str> = of_one.iter().map(|record| record.experiment()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["after", "before", "both"], "{id}");
        assert!(of_one.iter().all(|record| record.get("http.response.status_code") == 200), "{of_one:?}");
    }
    assert_eq!(records.len(), expected);
}

/// Denies one path: a filter between ours and the router.
fn denies(path: &str) -> Value {
    let policy = json!({ "permissions": [{ "url_path": { "path": { "exact": path } } }], "principals": [{ "any": true }] });
    json!({
        "name": "rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": { "action": "DENY", "policies": { "all": policy } },
        },
    })
}

#[tokio::test]
async fn a_cluster_is_named_only_if_it_was_asked() {
    let v1 = Upstream::scripted("checkout-v1", |seen| Reply {
        delay: if seen.path == "/late" { Duration::from_secs(5) } else { Duration::ZERO },
        ..Reply::default()
    })
    .expect("an upstream");
    let v2 = Upstream::start("checkout-v2").expect("an upstream");
    let down = Collector::free_address().expect("a port");
    let mut all = everyone("all", "/", json!({}));
    all["targeting"] = json!({ "path": { "prefix": "/" } });
    let document = with_experiments(&json!([all]));
    let envoy = start(&document, &v1, &v2, |config| {
        config.additions.filters_after = vec![denies("/forbidden")];
        config.additions.clusters = vec![("down".to_owned(), down)];
        config.additions.routes = vec![
            json!({ "match": { "path": "/down" }, "route": { "cluster": "down" } }),
            json!({ "match": { "path": "/late" }, "route": { "cluster": "checkout-v1", "timeout": "0.1s" } }),
            json!({ "match": { "path": "/own" }, "direct_response": { "status": 200 } }),
        ];
    })
    .await;
    for (path, status, cluster) in [
        ("/", 200, Some("checkout-v1")),
        ("/forbidden", 403, None),
        ("/own", 200, None),
        ("/down", 503, Some("down")),
        ("/late", 504, Some("checkout-v1")),
    ] {
        let answer = envoy.http1().send_alone(&get(path)).await.expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        let records = envoy.exposures_of(&request_id(&answer), 1).await.expect("a record");
        let named = records[0].get("splitway.cluster").as_str();
        assert_eq!(named, cluster, "{path}: {:?}", records[0]);
    }
}

/// A WebSocket is exposed when it begins, not when it ends.
#[tokio::test]
async fn a_websocket_has_the_time_of_its_decision() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (told, arrived) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        told.send(SystemTime::now()).ok();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            )
            .await?;
        // Until the client ends it.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await
    });
    let v2 = Upstream::start("checkout-v2").expect("an upstream");
    let collector =
        Upstream::scripted("collector", |_| Reply { body: Some(b"{}".to_vec()), ..Reply::default() })
            .expect("a collector");
    let mut document = with_experiments(&json!([everyone("socket", "/chat", json!({}))]));
    document["exposure"]["otlp"] = json!({ "cluster": "otel-collector" });
    let envoy = start(&document, &v2, &v2, |config| {
        config.v1 = address;
        config.additions.clusters = vec![("otel-collector".to_owned(), collector.address())];
    })
    .await;
    let mut client = tokio::net::TcpStream::connect(envoy.address()).await.expect("connected");
    client
        .write_all(
            b"GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nx-user-id: u1\r\n\r\n",
        )
        .await
        .expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    let arrived = arrived.await.expect("told").duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    // It is held for a while.
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(client);
    server.await.expect("no panic").expect("read");
    let records = eventually("the record", async || {
        let records = told_by(&collector);
        Ok((records.len() == 1).then_some(records))
    })
    .await
    .expect("delivered");
    let decided = nanoseconds(&records["socket"], "timeUnixNano");
    assert!(decided <= arrived, "{decided} after {arrived}");
    assert!(nanoseconds(&records["socket"], "observedTimeUnixNano") > arrived);
}
