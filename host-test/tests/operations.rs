//! What operators rely on: exposures, their way to a collector, metrics, guardrails. On the compiled
//! filter, with several workers, on the virtual clock.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxy_wasm_host::{
    Fault, FaultPlan, Host, HostBuilder, HostError, Hostcall, LogLevel, LogSource, Request, Route, Status,
    SweepOptions, UpstreamResponse, When, sweep,
};
use serde_json::{Value, json};

fn builder(config: &Value) -> HostBuilder {
    Host::builder(&support::splitway())
        .root_id("splitway")
        .seed(7)
        .configuration(config.to_string())
        .route(Route::header("x-splitway-cluster", "v2").to("v2"))
        .default_route("v1")
        .upstream("v1", |_| UpstreamResponse::ok("v1"))
        .upstream("v2", |_| UpstreamResponse::ok("v2"))
}

/// A 50:50 experiment `button` (control, big), and whatever else.
fn config(more: Value) -> Value {
    let mut config = json!({
        "version": 1,
        "unit": [{ "header": "x-user-id" }],
        "experiments": [{
            "id": "button",
            "variants": [{ "id": "control" }, { "id": "big", "route": { "cluster": "v2" } }],
        }],
    });
    merge(&mut config, more);
    config
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn visit(user: usize) -> Request {
    Request::get("/").header("x-user-id", format!("user-{user}"))
}

/// The records in a host's log since the last call.
fn exposures(host: &mut Host) -> Vec<Value> {
    events(host, "feature_flag.evaluation")
}

fn events(host: &mut Host, name: &str) -> Vec<Value> {
    let lines = host.take_logs().into_iter().filter(|line| line.source == LogSource::Guest);
    lines
        .flat_map(|line| line.message.lines().map(serde_json::from_str::<Value>).collect::<Vec<_>>())
        .flatten()
        .filter(|event| event["event"] == name)
        .collect()
}

#[test]
fn an_internal_redirect_gives_one_record_of_what_was_served() -> Result<(), HostError> {
    let everywhere = config(json!({}))["experiments"][0].clone();
    let config = config(json!({ "experiments": [
        everywhere,
        { "id": "only-a", "targeting": { "path": { "prefix": "/a" } }, "variants": [{ "id": "on" }] },
        { "id": "only-b", "targeting": { "path": { "prefix": "/b" } }, "variants": [{ "id": "on" }] },
    ]}));
    let mut host = builder(&config)
        .route(Route::prefix("/a").to("moved").internal_redirects(2))
        .upstream("moved", |request| {
            let path = request.headers.text(":path").unwrap_or_default();
            let next = if path == "/a/1" { "/a/2" } else { "/b" };
            UpstreamResponse::status(302).header("location", format!("http://example.com{next}"))
        })
        .start()?;
    let mut control = 0..;
    let control = control.find(|user| {
        let exchange = host.send(visit(*user)).expect("an answer");
        exchange.response.header("x-splitway").as_deref() == Some("button=control")
    });
    host.take_logs();
    let user = format!("user-{}", control.expect("one of them"));
    for path in ["/a/1", "/a/2"] {
        let request = Request::get(path).header("x-user-id", user.as_str());
        // A client cannot make it look redirected.
        let request = request.header("x-envoy-original-url", "http://example.com/a");
        assert_eq!(host.send(request)?.response.status, 200);
        let records = exposures(&mut host);
        let mut keys: Vec<_> = records.iter().map(|r| r["feature_flag.key"].as_str().unwrap_or("")).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["button", "only-a", "only-b"], "{path}");
        for record in &records {
            assert_eq!(
                (&record["http.response.status_code"], &record["splitway.cluster"]),
                (&json!(200), &json!("v1"))
            );
            assert_eq!(record["splitway.request_id"], records[0]["splitway.request_id"]);
        }
    }
    Ok(())
}

/// A request that the proxy redirects to itself is one request of one unit.
#[test]
fn the_passes_of_a_request_mint_one_unit_and_count_once() -> Result<(), HostError> {
    let document = config(json!({
        "mint": {},
        "exposure": { "unit": "raw" },
        "experiments": [
            { "id": "button", "variants": [{ "id": "on", "route": { "cluster": "v2" } }] },
            { "id": "only-a", "targeting": { "path": { "equals": "/a" } }, "variants": [{ "id": "on" }] },
        ],
    }));
    let moves = |request: &proxy_wasm_host::UpstreamRequest| match request.headers.text(":path").as_deref() {
        Some("/a") => UpstreamResponse::status(302).header("location", "https://example.com/b"),
        _ => UpstreamResponse::ok("b"),
    };
    let mut host = Host::builder(&support::splitway())
        .root_id("splitway")
        .seed(7)
        .configuration(document.to_string())
        .route(Route::prefix("/a").to("v2").internal_redirects(1))
        .default_route("v2")
        .upstream("v2", moves)
        .start()?;
    let exchange = host.send(Request::get("/a").header("x-forwarded-proto", "https"))?;
    assert_eq!(exchange.response.status, 200);
    let cookie = exchange.response.header("set-cookie").unwrap_or_default();
    let records = exposures(&mut host);
    assert_eq!(records.len(), 2, "{records:?}");
    for record in &records {
        let unit = record["feature_flag.context.id"].as_str().unwrap_or("none");
        assert!(cookie.starts_with(&format!("__Host-splitway={unit}")), "{cookie}: {record}");
    }
    for experiment in ["button", "only-a"] {
        let name = format!("splitway.assignments.experiment.{experiment}.variant.on");
        assert_eq!(host.metric(&name), 1, "{experiment}");
    }
    assert_eq!(host.metric("splitway.stripped_headers"), 0, "the first pass wrote them, no client");
    Ok(())
}

#[test]
fn a_redirect_whose_second_pass_cannot_be_read_keeps_its_record() -> Result<(), HostError> {
    let mut host = builder(&config(json!({})))
        .route(Route::prefix("/a").to("moved").internal_redirects(1))
        .upstream("moved", |_| UpstreamResponse::status(302).header("location", "http://example.com/b"))
        .start()?;
    // The second reading is that of the second pass.
    host.set_faults(&FaultPlan::new().fail(Hostcall::GetHeaderMapPairs, When::Nth(2), Fault::Garbage));
    let exchange = host.send(Request::get("/a").header("x-user-id", "user-1"))?;
    assert_eq!(exchange.response.status, 200);
    assert_eq!(exposures(&mut host).len(), 1);
    Ok(())
}

/// The second pass is in no experiment, and a third follows.
#[test]
fn passes_without_an_experiment_keep_the_request() -> Result<(), HostError> {
    let document = config(json!({ "experiments": [
        { "id": "only-a", "targeting": { "path": { "equals": "/a" } }, "variants": [{ "id": "on" }] },
    ]}));
    let mut host = builder(&document)
        .route(Route::prefix("/a").to("moved").internal_redirects(2))
        .upstream("moved", |request| {
            let path = request.headers.text(":path").unwrap_or_default();
            let next = if path == "/a" { "/a/2" } else { "/b" };
            UpstreamResponse::status(302)
                .header("location", format!("http://example.com{next}"))
                .after(Duration::from_millis(700))
        })
        .start()?;
    let request = || Request::get("/a").header("x-user-id", "user-1").header("x-request-id", "id-1");
    let decided = "2026-01-01T00:00:00.000Z";
    assert_eq!(host.send(request())?.response.status, 200);
    let records = exposures(&mut host);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["splitway.request_id"], "id-1");
    assert_eq!(records[0]["http.response.status_code"], 200);
    assert_eq!(
        (&records[0]["timestamp"], &records[0]["splitway.duration_ms"]),
        (&json!(decided), &json!(1_400))
    );
    Ok(())
}

/// A pass whose next one is not known for it is told all the same, with what is known.
#[test]
fn a_pass_that_nobody_follows_is_told_in_the_end() -> Result<(), HostError> {
    let mut host = builder(&config(json!({})))
        .route(Route::prefix("/a").to("moved").internal_redirects(1))
        .upstream("moved", |_| UpstreamResponse::status(302).header("location", "http://example.com/b"))
        .start()?;
    let seen = host.send(Request::get("/a").header("x-user-id", "user-1").on_worker(0))?;
    assert_eq!((seen.response.status, exposures(&mut host).len()), (200, 1));
    // As if it came on another connection: the proxy does not say on which it came first.
    let fault = Fault::Status(Status::NotFound);
    host.set_faults(&FaultPlan::new().fail(Hostcall::GetProperty, When::Nth(2), fault));
    host.send(Request::get("/a").header("x-user-id", "user-1").header("x-request-id", "id-1"))?;
    host.set_faults(&FaultPlan::new());
    let own = exposures(&mut host);
    assert_eq!((own.len(), &own[0]["http.response.status_code"]), (1, &json!(200)));
    host.advance(Duration::from_secs(61));
    host.send(Request::get("/else"))?;
    let late = exposures(&mut host);
    assert_eq!((late.len(), &late[0]["splitway.request_id"]), (1, &json!("id-1")));
    assert_eq!((&late[0]["timestamp"], late[0].get("splitway.cluster")), (&own[0]["timestamp"], None));
    Ok(())
}

/// Where the worker has ticks, no further request is needed for that.
#[test]
fn a_pass_that_nobody_follows_is_told_on_a_tick() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder
        .route(Route::prefix("/a").to("moved").internal_redirects(1))
        .upstream("moved", |_| UpstreamResponse::status(302).header("location", "http://example.com/b"))
        .start()?;
    let fault = Fault::Status(Status::NotFound);
    host.set_faults(&FaultPlan::new().fail(Hostcall::GetProperty, When::Nth(2), fault));
    host.send(Request::get("/a").header("x-user-id", "user-1").header("x-request-id", "id-1"))?;
    host.set_faults(&FaultPlan::new());
    host.advance(Duration::from_secs(30));
    assert_eq!(fates(&host), [1, 1, 0, 0, 0]);
    host.advance(Duration::from_secs(31));
    assert_eq!(fates(&host), [2, 2, 0, 0, 0]);
    assert_eq!(collector.request_ids().into_values().collect::<Vec<_>>(), [2]);
    Ok(())
}

#[test]
fn records_tell_when_the_request_was_decided_on() -> Result<(), HostError> {
    let document = config(json!({ "exposure": { "filter_state": true, "otlp": { "cluster": "otel" } } }));
    let slow =
        |_: &proxy_wasm_host::UpstreamRequest| UpstreamResponse::ok("slow").after(Duration::from_millis(800));
    let (builder, collector) = with_collector(&document);
    let mut host = builder.upstream("v1", slow).upstream("v2", slow).start()?;
    let exchange = host.send(visit(1))?;
    let records = exposures(&mut host);
    assert_eq!(records[0]["timestamp"], "2026-01-01T00:00:00.000Z");
    assert_eq!(records[0]["splitway.duration_ms"], 800);
    let state: Value = serde_json::from_slice(&exchange.filter_state["splitway_exposures"]).expect("JSON");
    assert_eq!(state[0]["timestamp"], records[0]["timestamp"]);
    host.advance(Duration::from_secs(1));
    let batches = collector.batches.lock().expect("not poisoned");
    let record = &batches[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["timeUnixNano"], "1767225600000000000");
    assert_eq!(record["observedTimeUnixNano"], "1767225600800000000");
    Ok(())
}

#[test]
fn what_never_reached_the_filter_gives_no_record() -> Result<(), HostError> {
    let mut host = builder(&config(json!({}))).start()?;
    assert_eq!(host.send(visit(1).rejected_by_codec(431))?.response.status, 431);
    assert_eq!(exposures(&mut host), Vec::<Value>::new());
    host.send(visit(1))?;
    assert_eq!(exposures(&mut host).len(), 1);
    Ok(())
}

#[test]
fn details_tell_attempts_and_flags() -> Result<(), HostError> {
    let failures = Arc::new(AtomicU32::new(1));
    let left = Arc::clone(&failures);
    let failing = move |_: &proxy_wasm_host::UpstreamRequest| match left.fetch_update(
        Ordering::Relaxed,
        Ordering::Relaxed,
        |n| n.checked_sub(1),
    ) {
        Ok(_) => UpstreamResponse::status(503),
        Err(_) => UpstreamResponse::ok("at last"),
    };
    let mut host = builder(&config(json!({ "exposure": { "details": true } })))
        .route(Route::prefix("/flaky").to("flaky").retries(1))
        .upstream("flaky", failing)
        .property(["response", "flags"], (1_u64 << 5).to_le_bytes())
        .start()?;
    host.send(Request::get("/flaky").header("x-user-id", "user-1"))?;
    let records = exposures(&mut host);
    assert_eq!(records.len(), 1, "a retry runs the filter once");
    assert_eq!(records[0]["splitway.attempts"], 2);
    assert_eq!(records[0]["splitway.response_flags"], "UF");
    assert_eq!(records[0]["http.response.status_code"], 200);
    Ok(())
}

#[test]
fn once_per_unit_holds_over_a_config_swap() -> Result<(), HostError> {
    let document = |description: &str| {
        let mut config = config(json!({ "exposure": { "once_per": "unit" } }));
        config["experiments"][0]["description"] = description.into();
        config
    };
    let mut host = builder(&document("one")).start()?;
    for _ in 0..3 {
        for user in 0..10 {
            host.send(visit(user))?;
        }
    }
    assert_eq!(exposures(&mut host).len(), 10);
    host.reconfigure(document("two").to_string())?;
    for user in 0..11 {
        host.send(visit(user))?;
    }
    assert_eq!(exposures(&mut host).len(), 1, "only the eleventh is new");
    Ok(())
}

#[test]
fn a_million_units_take_no_more_memory() -> Result<(), HostError> {
    const UNITS: usize = 1_000_000;
    let config = config(json!({ "exposure": { "once_per": "unit" } }));
    let mut host = builder(&config).log_capacity(0).start()?;
    let mut warm = Vec::new();
    for user in 0..UNITS {
        host.send(visit(user))?;
        if user == 60_000 {
            // By now both generations have been filled.
            warm = host.memory_bytes();
        }
    }
    assert_eq!(host.memory_bytes(), warm);
    Ok(())
}

#[test]
fn access_loggers_get_the_records_through_filter_state() -> Result<(), HostError> {
    let config = config(json!({ "exposure": { "filter_state": true, "log": false, "unit": "raw" } }));
    let mut host = builder(&config).start()?;
    let exchange = host.send(visit(1))?;
    let state = exchange.filter_state.get("splitway_exposures").expect("filter state");
    let records: Value = serde_json::from_slice(state).expect("JSON");
    assert_eq!(records[0]["feature_flag.key"], "button");
    assert_eq!(records[0]["feature_flag.context.id"], "user-1");
    assert_eq!(exposures(&mut host), Vec::<Value>::new());
    assert!(host.send(Request::get("/"))?.filter_state.is_empty(), "no assignment, no state");
    Ok(())
}

#[test]
fn service_metrics_by_variant() -> Result<(), HostError> {
    let slow =
        |_: &proxy_wasm_host::UpstreamRequest| UpstreamResponse::status(503).after(Duration::from_millis(40));
    let mut host =
        builder(&config(json!({ "service_metrics": true }))).workers(2).upstream("v2", slow).start()?;
    for user in 0..40 {
        host.send(visit(user))?;
    }
    let of = |name: &str| host.metric(&format!("splitway.{name}"));
    let big = of("assignments.experiment.button.variant.big");
    assert!((5..35).contains(&big), "{big}");
    assert_eq!(of("responses.experiment.button.variant.big.class.5xx"), big);
    assert_eq!(of("responses.experiment.button.variant.control.class.2xx"), 40 - big);
    let histogram = &host.metrics()["splitway.duration_ms.experiment.button.variant.big"];
    assert!(format!("{histogram:?}").contains("40"), "{histogram:?}");
    assert_eq!(host.metric("splitway.config_version").to_string().len(), 15, "48 bits");
    assert_eq!(host.metric("splitway.config_since"), 1_767_225_600);
    Ok(())
}

#[test]
fn metric_series_are_capped() -> Result<(), HostError> {
    let experiment =
        |n: usize| json!({ "id": format!("e{n:03}"), "variants": [{ "id": "a" }, { "id": "b" }] });
    let experiments: Vec<Value> = (0..200).map(experiment).collect();
    let config = config(json!({ "service_metrics": true, "experiments": experiments }));
    let host = builder(&config).start()?;
    let series = host.metrics().keys().filter(|name| name.contains(".variant.")).count();
    assert_eq!(series, 2_000 / 8 * 8 + 8);
    assert!(host.metrics().contains_key("splitway.assignments.experiment.__other__.variant.__other__"));
    Ok(())
}

/// What a collector does and has got.
#[derive(Default)]
struct Collector {
    answers: Mutex<Vec<UpstreamResponse>>,
    /// Status of every request from now on, if it is not to answer.
    down: AtomicU32,
    batches: Mutex<Vec<Value>>,
}

impl Collector {
    fn answer(&self, body: &[u8]) -> UpstreamResponse {
        if self.down.load(Ordering::Relaxed) > 0 {
            return UpstreamResponse::connection_refused();
        }
        let next = self.answers.lock().expect("not poisoned").pop();
        let response = next.unwrap_or_else(|| UpstreamResponse::ok(r#"{"partialSuccess":null}"#));
        self.batches.lock().expect("not poisoned").push(serde_json::from_slice(body).expect("JSON"));
        response
    }

    /// How often each request id has arrived.
    fn request_ids(&self) -> BTreeMap<String, u32> {
        let mut ids = BTreeMap::new();
        for batch in self.batches.lock().expect("not poisoned").iter() {
            for record in batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records")
            {
                let attributes = record["attributes"].as_array().expect("attributes");
                let id = attributes.iter().find(|a| a["key"] == "splitway.request_id").expect("an id");
                *ids.entry(id["value"]["stringValue"].to_string()).or_default() += 1;
            }
        }
        ids
    }
}

fn with_collector(config: &Value) -> (HostBuilder, Arc<Collector>) {
    let collector = Arc::new(Collector::default());
    let own = Arc::clone(&collector);
    (builder(config).upstream("otel", move |request| own.answer(&request.body)), collector)
}

fn to_collector(more: Value) -> Value {
    let mut document = config(json!({ "exposure": { "log": false, "otlp": { "cluster": "otel" } } }));
    merge(&mut document, more);
    document
}

/// Emitted, delivered, and dropped by reason.
fn fates(host: &Host) -> [u64; 5] {
    [
        "emitted",
        "delivered",
        "dropped.reason.buffer_full",
        "dropped.reason.rejected",
        "dropped.reason.gave_up",
    ]
    .map(|fate| host.metric(&format!("splitway.exposures_{fate}")))
}

#[test]
fn records_reach_the_collector_in_batches() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.workers(2).start()?;
    for user in 0..50 {
        host.send(visit(user))?;
    }
    host.advance(Duration::from_secs(1));
    assert_eq!(fates(&host), [50, 50, 0, 0, 0]);
    let ids = collector.request_ids();
    assert_eq!((ids.len(), ids.values().max()), (50, Some(&1)));
    assert_eq!(collector.batches.lock().expect("not poisoned").len(), 2, "one from each worker");
    assert_eq!(exposures(&mut host), Vec::<Value>::new(), "the log is off");
    Ok(())
}

/// Answers of a collector that takes its time.
fn slow(answers: usize, after: Duration) -> impl Iterator<Item = UpstreamResponse> {
    (0..answers).map(move |_| UpstreamResponse::ok("{}").after(after))
}

/// Each batch of a request, as the number of its records.
fn batch_sizes(collector: &Collector) -> Vec<usize> {
    let batches = collector.batches.lock().expect("not poisoned");
    let records =
        |batch: &Value| batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().map(Vec::len);
    batches.iter().filter_map(records).collect()
}

#[test]
fn full_batches_go_at_once_and_side_by_side() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.start()?;
    collector.answers.lock().expect("not poisoned").extend(slow(100, Duration::from_secs(4)));
    // No time passes: no tick, and no answer.
    for user in 0..1_500 {
        host.send(visit(user))?;
    }
    let sizes = batch_sizes(&collector);
    let sent: usize = sizes.iter().sum();
    assert!(sizes.len() >= 4 && sizes.iter().all(|size| *size > 150), "{sizes:?}");
    assert!(1_500 - sent <= sizes[0], "no full batch waits: {sizes:?}");
    assert_eq!(fates(&host)[1..], [0, 0, 0, 0]);
    host.advance(Duration::from_secs(5));
    assert_eq!(fates(&host), [1_500, 1_500, 0, 0, 0]);
    let ids = collector.request_ids();
    assert_eq!((ids.len(), ids.values().max()), (1_500, Some(&1)));
    Ok(())
}

/// A swap while several batches are on their way, to a config that has no collector.
#[test]
fn a_swap_waits_for_every_batch_on_its_way() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.start()?;
    collector.answers.lock().expect("not poisoned").extend(slow(100, Duration::from_secs(4)));
    for user in 0..4_000 {
        host.send(visit(user))?;
    }
    assert_eq!(batch_sizes(&collector).len(), 8, "no more at once");
    host.reconfigure(config(json!({})).to_string())?;
    host.advance(Duration::from_secs(60));
    let [emitted, delivered, full, rejected, gave_up] = fates(&host);
    assert_eq!((emitted, delivered + full, rejected, gave_up), (4_000, 4_000, 0, 0));
    let ids = collector.request_ids();
    assert_eq!((ids.len() as u64, ids.values().max()), (delivered, Some(&1)));
    Ok(())
}

#[test]
fn a_collector_that_is_too_slow_bounds_calls_and_memory() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.start()?;
    collector.answers.lock().expect("not poisoned").extend(slow(100, Duration::from_secs(4)));
    for user in 0..8_000 {
        host.send(visit(user))?;
    }
    assert_eq!(batch_sizes(&collector).len(), 8, "no more at once");
    let bytes = host.memory_bytes();
    for user in 0..8_000 {
        host.send(visit(user))?;
    }
    assert_eq!(host.memory_bytes(), bytes);
    assert!(bytes.iter().all(|bytes| *bytes < 8 << 20), "{bytes:?}");
    host.advance(Duration::from_secs(60));
    let [emitted, delivered, full, rejected, gave_up] = fates(&host);
    assert_eq!((emitted, delivered + full, rejected, gave_up), (16_000, 16_000, 0, 0));
    assert!(full > 8_000 && delivered > 3_000, "{delivered} delivered");
    let ids = collector.request_ids();
    assert_eq!((ids.len() as u64, ids.values().max()), (delivered, Some(&1)));
    Ok(())
}

#[test]
fn a_collector_that_fails_is_asked_with_one_batch_at_a_time() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.start()?;
    let busy = |times: usize| (0..times).map(|_| UpstreamResponse::status(429));
    collector.answers.lock().expect("not poisoned").extend(busy(9));
    for user in 0..1_500 {
        host.send(visit(user))?;
        // The answers to those sent at once come with time.
        host.advance(Duration::from_millis(1));
    }
    let at_first = batch_sizes(&collector).len();
    host.advance(Duration::from_secs(1));
    let later = batch_sizes(&collector).len();
    assert!(later - at_first <= 2, "{at_first}, then {later} in a second");
    host.advance(Duration::from_secs(120));
    assert_eq!(fates(&host), [1_500, 1_500, 0, 0, 0]);
    assert_eq!(collector.request_ids().len(), 1_500);
    Ok(())
}

/// One batch that a collector cannot take does not hold up the others.
#[test]
fn a_batch_that_fails_alone_is_overtaken() -> Result<(), HostError> {
    let poisoned = |body: &[u8]| body.windows(11).any(|window| window == b"\"user-0000\"");
    let collector = Arc::new(Collector::default());
    let own = Arc::clone(&collector);
    let mut document = to_collector(json!({}));
    document["exposure"]["unit"] = "raw".into();
    let mut host = builder(&document)
        .upstream("otel", move |request| {
            if poisoned(&request.body) { UpstreamResponse::status(500) } else { own.answer(&request.body) }
        })
        .start()?;
    for user in 0..1_000 {
        host.send(Request::get("/").header("x-user-id", format!("user-{user:04}")))?;
    }
    host.advance(Duration::from_secs(2));
    let [emitted, delivered, ..] = fates(&host);
    assert_eq!(emitted, 1_000);
    let held = emitted - delivered;
    assert!(held > 0 && held < 300, "{held} are held up");
    host.advance(Duration::from_secs(600));
    assert_eq!(fates(&host), [1_000, delivered, 0, 0, held]);
    Ok(())
}

/// What the proxy was asked in the log phase of a request.
fn asked_in_log(host: &mut Host) -> Result<Vec<Hostcall>, HostError> {
    host.take_costs();
    assert_eq!(host.send(visit(1))?.response.status, 200);
    let costs = host.take_costs();
    Ok(costs.get("proxy_on_log").map(|cost| cost.hostcalls.keys().copied().collect()).unwrap_or_default())
}

#[test]
fn a_log_that_nobody_hears_costs_one_question_and_other_sinks_go_on() -> Result<(), HostError> {
    let both = to_collector(json!({ "exposure": { "log": true } }));
    let (builder, _) = with_collector(&both);
    let mut host = builder.log_level(LogLevel::Warn).start()?;
    for user in 0..20 {
        host.send(visit(user))?;
    }
    host.advance(Duration::from_secs(1));
    assert_eq!(fates(&host), [20, 20, 0, 0, 0]);
    assert_eq!(exposures(&mut host), Vec::<Value>::new());

    let logging = config(json!({}));
    let mut deaf = self::builder(&logging).measure(true).log_level(LogLevel::Warn).start()?;
    assert_eq!(asked_in_log(&mut deaf)?, [Hostcall::GetLogLevel]);
    let mut heard = self::builder(&logging).measure(true).start()?;
    assert!(asked_in_log(&mut heard)?.contains(&Hostcall::Log));
    // A proxy that does not say may listen.
    let fault = Fault::Status(Status::InternalFailure);
    heard.set_faults(&FaultPlan::new().fail(Hostcall::GetLogLevel, When::Always, fault));
    heard.take_logs();
    heard.send(visit(2))?;
    assert_eq!(exposures(&mut heard).len(), 1);
    Ok(())
}

#[test]
fn a_collector_that_is_down_costs_no_record_within_the_buffer() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.workers(2).start()?;
    collector.down.store(1, Ordering::Relaxed);
    for second in 0..30 {
        for n in 0..10 {
            assert_eq!(host.send(visit(second * 10 + n))?.response.status, 200);
        }
        host.advance(Duration::from_secs(1));
    }
    assert_eq!(fates(&host), [300, 0, 0, 0, 0]);
    collector.down.store(0, Ordering::Relaxed);
    host.advance(Duration::from_secs(60));
    assert_eq!(fates(&host), [300, 300, 0, 0, 0]);
    assert_eq!(collector.request_ids().values().filter(|times| **times == 1).count(), 300);
    Ok(())
}

#[test]
fn what_has_no_room_is_counted() -> Result<(), HostError> {
    let (builder, collector) =
        with_collector(&to_collector(json!({ "exposure": { "otlp": { "buffer": 65_536 } } })));
    let mut host = builder.start()?;
    collector.down.store(1, Ordering::Relaxed);
    for user in 0..500 {
        host.send(visit(user))?;
    }
    host.advance(Duration::from_secs(30));
    collector.down.store(0, Ordering::Relaxed);
    host.advance(Duration::from_secs(60));
    let [emitted, delivered, full, rejected, gave_up] = fates(&host);
    assert_eq!((emitted, delivered + full, rejected, gave_up), (500, 500, 0, 0));
    assert!(full > 300, "{full}");
    assert_eq!(collector.request_ids().len() as u64, delivered);
    Ok(())
}

#[test]
fn a_collector_that_never_comes_back_is_given_up() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.start()?;
    collector.down.store(1, Ordering::Relaxed);
    host.send(visit(1))?;
    host.advance(Duration::from_secs(600));
    assert_eq!(fates(&host), [1, 0, 0, 0, 1]);
    Ok(())
}

#[test]
fn refusals_are_counted_and_busy_collectors_asked_again() -> Result<(), HostError> {
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.start()?;
    for (status, expected) in [(400, [1, 0, 0, 1, 0]), (429, [2, 1, 0, 1, 0]), (503, [3, 2, 0, 1, 0])] {
        collector.answers.lock().expect("not poisoned").push(UpstreamResponse::status(status));
        host.send(visit(1))?;
        host.advance(Duration::from_secs(5));
        assert_eq!(fates(&host), expected, "{status}");
    }
    let partial = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}"#;
    collector.answers.lock().expect("not poisoned").push(UpstreamResponse::ok(partial));
    for user in 0..3 {
        host.send(visit(user))?;
    }
    host.advance(Duration::from_secs(5));
    assert_eq!(fates(&host), [6, 3, 0, 3, 0]);
    Ok(())
}

#[test]
fn a_cluster_that_is_not_there_is_told_and_the_requests_pass() -> Result<(), HostError> {
    let mut host = builder(&to_collector(json!({}))).start()?;
    assert_eq!(host.send(visit(1))?.response.status, 200);
    host.advance(Duration::from_secs(1));
    let told = host
        .take_logs()
        .into_iter()
        .any(|line| line.message.contains("exposures not taken by otel: status 2"));
    assert!(told);
    host.advance(Duration::from_secs(600));
    assert_eq!(fates(&host), [1, 0, 0, 0, 1]);
    Ok(())
}

#[test]
fn config_swaps_neither_lose_nor_double_records() -> Result<(), HostError> {
    let document = |n: usize| {
        let mut document = to_collector(json!({}));
        document["experiments"][0]["description"] = n.to_string().into();
        document.to_string()
    };
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.workers(2).start()?;
    let slow = || UpstreamResponse::ok("{}").after(Duration::from_millis(400));
    for swap in 0..20 {
        for user in 0..10 {
            host.send(visit(user))?;
        }
        // The old root context has a call on its way when it is to end.
        collector.answers.lock().expect("not poisoned").extend([slow(), slow()]);
        host.advance(Duration::from_millis(250));
        host.reconfigure(document(swap))?;
    }
    // The sink goes with the last config; what waits is sent all the same.
    for user in 0..10 {
        host.send(visit(user))?;
    }
    host.reconfigure(config(json!({})).to_string())?;
    host.advance(Duration::from_secs(10));
    assert_eq!(fates(&host), [210, 210, 0, 0, 0]);
    let ids = collector.request_ids();
    assert_eq!((ids.len(), ids.values().max()), (210, Some(&1)));
    Ok(())
}

#[test]
fn configs_that_are_replaced_before_their_first_tick_send_all_the_same() -> Result<(), HostError> {
    let document = |n: usize| {
        // Room for some 80 records.
        let mut document = to_collector(json!({ "exposure": { "otlp": { "buffer": 65_536 } } }));
        document["experiments"][0]["description"] = n.to_string().into();
        document.to_string()
    };
    let (builder, collector) = with_collector(&to_collector(json!({})));
    let mut host = builder.start()?;
    for swap in 0..30 {
        host.reconfigure(document(swap))?;
        for user in 0..20 {
            host.send(visit(user))?;
        }
        host.advance(Duration::from_millis(100));
    }
    host.advance(Duration::from_secs(10));
    assert_eq!(fates(&host), [600, 600, 0, 0, 0]);
    assert_eq!(collector.request_ids().values().filter(|times| **times == 1).count(), 600);
    Ok(())
}

fn guarded(guardrail: Value) -> Value {
    let mut document = config(json!({}));
    document["experiments"][0]["guardrails"] = json!([guardrail]);
    document
}

/// Three of ten requests fail.
fn bad_upstream() -> impl Fn(&proxy_wasm_host::UpstreamRequest) -> UpstreamResponse {
    let count = AtomicU32::new(0);
    move |_| match count.fetch_add(1, Ordering::Relaxed) % 10 {
        0..3 => UpstreamResponse::status(500),
        _ => UpstreamResponse::ok("v2"),
    }
}

#[test]
fn a_bad_variant_is_off_on_every_worker() -> Result<(), HostError> {
    let document = guarded(json!({ "metric": "http_5xx_rate", "max_increase": "1%", "min_requests": 100 }));
    let mut host = builder(&document).workers(3).upstream("v2", bad_upstream()).start()?;
    let gauge = "splitway.guardrail_tripped.experiment.button.variant.big";
    assert_eq!(host.metric(gauge), 0);
    let mut treated = 0;
    let mut user = 0;
    while treated < 100 {
        treated += usize::from(host.send(visit(user))?.cluster() == Some("v2"));
        user += 1;
        assert_eq!(host.metric(gauge), 0, "not before the minimum");
    }
    host.take_logs();
    host.advance(Duration::from_secs(2));
    let events = events(&mut host, "splitway.guardrail");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["variant"], &events[0]["action"]), (&json!("big"), &json!("kill")));
    assert_eq!(
        ["requests", "units", "bad_units"].map(|name| &events[0][name]),
        [&json!(100), &json!(100), &json!(30)]
    );
    assert_eq!(host.metric(gauge), 1);
    for worker in 0..3 {
        for user in 0..30 {
            let exchange = host.send(visit(user).on_worker(worker))?;
            assert_eq!(exchange.cluster(), Some("v1"), "worker {worker}");
            assert_eq!(exchange.response.header("x-splitway").as_deref(), Some("button=control"));
        }
    }
    let reasons: Vec<Value> =
        exposures(&mut host).into_iter().map(|record| record["feature_flag.result.reason"].clone()).collect();
    assert!(reasons.contains(&json!("guardrail")) && reasons.contains(&json!("split")), "{reasons:?}");
    // It stays off, whatever happens, …
    host.advance(Duration::from_secs(3600));
    assert_eq!(host.send(visit(0))?.cluster(), host.send(visit(1))?.cluster());
    let treated = |host: &mut Host| {
        let mut clusters =
            (0..30).filter_map(|user| host.send(visit(user)).ok()?.cluster().map(str::to_owned));
        clusters.any(|cluster| cluster == "v2")
    };
    // … whatever else changes, …
    let mut other = document.clone();
    other["experiments"][0]["description"] = "as before".into();
    other["experiments"]
        .as_array_mut()
        .expect("a list")
        .push(json!({ "id": "a", "variants": [{ "id": "on" }] }));
    host.reconfigure(other.to_string())?;
    assert!(!treated(&mut host));
    assert_eq!(host.metric(gauge), 1);
    // … until it is another experiment, …
    let mut mended = document.clone();
    mended["experiments"][0]["variants"][1]["request_headers"] = json!({ "set": { "x-mended": "1" } });
    host.reconfigure(mended.to_string())?;
    assert_eq!(host.metric(gauge), 0);
    assert!(treated(&mut host));
    Ok(())
}

#[test]
fn pausing_an_experiment_rearms_what_had_tripped() -> Result<(), HostError> {
    let document = guarded(json!({ "metric": "http_5xx_rate", "min_requests": 100 }));
    let mut host = builder(&document).workers(2).upstream("v2", |_| UpstreamResponse::status(500)).start()?;
    let gauge = "splitway.guardrail_tripped.experiment.button.variant.big";
    for _ in 0..2 {
        for user in 0..300 {
            host.send(visit(user))?;
        }
        host.advance(Duration::from_secs(1));
        assert_eq!(host.metric(gauge), 1);
        for status in ["paused", "running"] {
            let mut edited = document.clone();
            edited["experiments"][0]["status"] = status.into();
            host.reconfigure(edited.to_string())?;
        }
        assert_eq!(host.metric(gauge), 0);
        let mut clusters =
            (0..30).filter_map(|user| host.send(visit(user)).ok()?.cluster().map(str::to_owned));
        assert!(clusters.any(|cluster| cluster == "v2"));
    }
    Ok(())
}

/// 10,000 errors of one unit, and of clients whose unit was made for the request, move nobody else.
#[test]
fn one_client_trips_nothing() -> Result<(), HostError> {
    let rail = json!({ "metric": "http_5xx_rate", "min_requests": 1, "min_bad_units": 1, "alpha": 0.1 });
    let mut document = guarded(rail);
    document["mint"] = json!({ "cookie": "__Host-splitway" });
    let mut host = builder(&document).workers(2).upstream("v2", |_| UpstreamResponse::status(503)).start()?;
    for request in 0..2_000_usize {
        // `user-1` is in the variant.
        host.send(visit(1))?;
        host.send(Request::get("/"))?;
        if request % 100 == 0 {
            host.advance(Duration::from_millis(250));
        }
    }
    host.advance(Duration::from_secs(1));
    assert_eq!(host.metric("splitway.guardrail_tripped.experiment.button.variant.big"), 0);
    Ok(())
}

#[test]
fn observing_tells_and_does_not_act() -> Result<(), HostError> {
    let document = guarded(json!({ "metric": "http_5xx_rate", "min_requests": 50, "action": "observe" }));
    let mut host = builder(&document).workers(2).upstream("v2", bad_upstream()).start()?;
    for user in 0..200 {
        host.send(visit(user))?;
    }
    host.take_logs();
    host.advance(Duration::from_secs(2));
    assert_eq!(events(&mut host, "splitway.guardrail").len(), 1);
    assert_eq!(host.metric("splitway.guardrail_observed.experiment.button.variant.big"), 1);
    let mut clusters = (0..30).filter_map(|user| host.send(visit(user)).ok()?.cluster().map(str::to_owned));
    assert!(clusters.any(|cluster| cluster == "v2"));
    Ok(())
}

#[test]
fn a_slow_variant_trips_and_an_equal_one_does_not() -> Result<(), HostError> {
    let document = guarded(json!({ "metric": "latency", "slower_than": "50ms", "min_requests": 50 }));
    for (delay, expected) in [(80, 1), (20, 0)] {
        let upstream = move |_: &proxy_wasm_host::UpstreamRequest| {
            UpstreamResponse::ok("v2").after(Duration::from_millis(delay))
        };
        let mut host = builder(&document).workers(2).upstream("v2", upstream).start()?;
        for user in 0..300 {
            host.send(visit(user))?;
        }
        host.advance(Duration::from_secs(2));
        assert_eq!(host.metric("splitway.guardrail_tripped.experiment.button.variant.big"), expected);
    }
    Ok(())
}

#[test]
fn a_one_armed_rollout_is_stopped_by_its_limit() -> Result<(), HostError> {
    let mut document = guarded(json!({ "metric": "http_5xx_rate", "max": "5%", "min_requests": 50 }));
    document["experiments"][0]["variants"] = json!([{ "id": "on", "route": { "cluster": "v2" } }]);
    let mut host = builder(&document).upstream("v2", bad_upstream()).start()?;
    for user in 0..60 {
        assert_eq!(host.send(visit(user))?.cluster(), Some("v2"));
    }
    host.advance(Duration::from_secs(2));
    let exchange = host.send(visit(0))?;
    assert_eq!((exchange.cluster(), exchange.response.header("x-splitway")), (Some("v1"), None));
    Ok(())
}

#[test]
fn clock_jumps_trip_nothing_and_hide_nothing() -> Result<(), HostError> {
    let document = guarded(json!({ "metric": "http_5xx_rate", "min_requests": 100 }));
    let mut host = builder(&document).workers(2).upstream("v2", bad_upstream()).start()?;
    let day = Duration::from_secs(86_400);
    for user in 0..150 {
        host.send(visit(user))?;
    }
    let now = host.now();
    for jump in [now + day, now - day, now] {
        host.jump_to(jump);
        host.advance(Duration::from_millis(250));
        host.send(visit(1))?;
    }
    assert!(host.traps().is_empty());
    for user in 0..300 {
        host.send(visit(user))?;
    }
    host.advance(Duration::from_secs(2));
    assert_eq!(host.metric("splitway.guardrail_tripped.experiment.button.variant.big"), 1);
    Ok(())
}

#[test]
fn clock_jumps_hold_no_record_back() -> Result<(), HostError> {
    let day = Duration::from_secs(86_400);
    for ahead in [false, true] {
        let (builder, collector) = with_collector(&to_collector(json!({})));
        let mut host = builder.start()?;
        collector.down.store(1, Ordering::Relaxed);
        host.send(visit(1))?;
        // By now it waits for its next attempt.
        host.advance(Duration::from_secs(20));
        assert_eq!(fates(&host), [1, 0, 0, 0, 0]);
        let now = host.now();
        host.jump_to(if ahead { now + day } else { now - day });
        collector.down.store(0, Ordering::Relaxed);
        host.advance(Duration::from_secs(1));
        assert_eq!(fates(&host), [1, 1, 0, 0, 0], "ahead: {ahead}");
    }
    Ok(())
}

/// Every hostcall with every status and garbage at every call, with everything switched on.
#[test]
fn no_failing_hostcall_traps_the_filter() -> Result<(), HostError> {
    let mut document = to_collector(json!({
        "service_metrics": true,
        "exposure": { "details": true, "filter_state": true, "log": true },
    }));
    document["experiments"][0]["guardrails"] = json!([{ "metric": "http_5xx_rate", "min_requests": 1 }]);
    let start = || with_collector(&document).0.upstream("v2", bad_upstream());
    let report = sweep(&SweepOptions::default(), start, |host| {
        for user in 0..4 {
            host.send(visit(user))?;
        }
        host.advance(Duration::from_millis(600));
        let _ = host.reconfigure(config(json!({})).to_string());
        host.send(visit(4))?;
        host.advance(Duration::from_secs(1));
        Ok(())
    })?;
    println!("{report}");
    assert!(report.cases > 500, "{} cases", report.cases);
    assert!(report.traps.is_empty(), "{report}");
    assert_eq!(report.stuck, 0);
    Ok(())
}

#[test]
fn guardrails_that_cannot_be_shared_are_counted_and_harm_nobody() -> Result<(), HostError> {
    let document = guarded(json!({ "metric": "http_5xx_rate", "min_requests": 1 }));
    let mut host = builder(&document).upstream("v2", bad_upstream()).start()?;
    let fault = Fault::Status(Status::InternalFailure);
    host.set_faults(&FaultPlan::new().fail(Hostcall::SetSharedData, When::Always, fault));
    for user in 0..20 {
        host.send(visit(user))?;
    }
    host.advance(Duration::from_secs(1));
    assert!(host.metric("splitway.hostcall_failures") > 0);
    assert!(host.traps().is_empty());
    // What was counted meanwhile is not lost.
    host.set_faults(&FaultPlan::new());
    host.take_logs();
    for user in 0..300 {
        host.send(visit(user))?;
    }
    host.advance(Duration::from_secs(1));
    let events = events(&mut host, "splitway.guardrail");
    assert_eq!(events.len(), 1, "{events:?}");
    let units = events[0]["units"].as_u64().unwrap_or(0) + events[0]["control_units"].as_u64().unwrap_or(0);
    assert_eq!((units, events[0]["requests"].as_u64() > Some(150)), (300, true), "{events:?}");
    Ok(())
}
