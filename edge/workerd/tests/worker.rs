//! The Cloudflare adapter end to end: real workerd, real origins, a KV namespace, a cache, a collector.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use splitway_envoy::collector::LogRecord;
use splitway_envoy::{Answer, Call, Client, Collector, Reply, Seen, Upstream, eventually};
use splitway_workerd::cache::Cache;
use splitway_workerd::kv::Kv;
use splitway_workerd::{Binding, Worker, Workerd};

#[path = "worker/cache.rs"]
mod cache;
#[path = "worker/failures.rs"]
mod failures;
#[path = "worker/sources.rs"]
mod sources;

const SITE: &str = include_str!("worker/site.js");

/// A port on which nothing listens (tcpmux).
const CLOSED: ([u8; 4], u16) = ([127, 0, 0, 1], 1);

struct Site {
    workerd: Workerd,
    client: Client,
    kv: Kv,
    cache: Cache,
    origin: Upstream,
    v2: Upstream,
    elsewhere: Upstream,
    collector: Upstream,
}

impl Site {
    /// A worker whose KV has `config`, in front of origins that answer what `script` says.
    fn start(config: &str, script: impl Fn(&Seen) -> Reply + Clone + Send + Sync + 'static) -> Result<Self> {
        let kv = Kv::start()?;
        kv.put("config", config);
        Self::start_with(kv, SITE, &[], None, script)
    }

    /// The worker `main` with more bindings, which go before the usual ones, and with its compatibility date.
    fn start_with(
        kv: Kv,
        main: &str,
        more: &[(&str, Binding)],
        compatibility_date: Option<&str>,
        script: impl Fn(&Seen) -> Reply + Clone + Send + Sync + 'static,
    ) -> Result<Self> {
        let cache = Cache::start()?;
        let origin = Upstream::scripted("origin", script.clone())?;
        let v2 = Upstream::scripted("v2", script)?;
        let elsewhere = Upstream::start("elsewhere")?;
        let collector =
            Upstream::scripted("collector", |_| Reply { body: Some(b"{}".to_vec()), ..Reply::default() })?;
        let bindings = BTreeMap::from([
            ("SPLITWAY_KV", Binding::Kv(kv.address())),
            ("ORIGIN", Binding::Service(origin.address())),
            ("V2", Binding::Service(v2.address())),
            ("ELSEWHERE", Binding::Text(format!("http://{}/ignored", elsewhere.address()))),
            ("SPLITWAY_OTLP_ENDPOINT", Binding::Text(format!("http://{}/v1/logs", collector.address()))),
        ]);
        let bindings = bindings.into_iter().chain(more.iter().cloned()).collect::<BTreeMap<_, _>>();
        let workerd = Workerd::start(&Worker {
            main,
            bindings: bindings.into_iter().map(|(name, binding)| (name.to_owned(), binding)).collect(),
            cache: Some(cache.address()),
            compatibility_date,
            ..Worker::default()
        })?;
        let client = Client::http1(workerd.address());
        Ok(Self { workerd, client, kv, cache, origin, v2, elsewhere, collector })
    }

    async fn send(&self, call: Call) -> Result<Answer> {
        self.client.send(&call.header("host", "shop.example")).await.with_context(|| self.workerd.log())
    }

    async fn status(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.send(Call::get("/__status")).await?.body)?)
    }

    /// Log records by event name that the collector has got.
    fn records(&self) -> Vec<Value> {
        let mut records = Vec::new();
        for seen in self.collector.requests() {
            assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/logs"));
            let message: Value = serde_json::from_slice(&seen.body).expect("JSON");
            for resource in message["resourceLogs"].as_array().expect("a list") {
                for scope in resource["scopeLogs"].as_array().expect("a list") {
                    records.extend(scope["logRecords"].as_array().expect("a list").iter().cloned());
                }
            }
        }
        records
    }
}

/// The attributes of a record, all as texts.
fn attributes(record: &Value) -> BTreeMap<String, String> {
    let list = record["attributes"].as_array().expect("a list");
    let text = |value: &Value| {
        let (_, value) = value.as_object().expect("a typed value").iter().next().expect("one");
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    list.iter()
        .map(|field| (field["key"].as_str().expect("a key").to_owned(), text(&field["value"])))
        .collect()
}

/// Half to v2, which has a path of its own.
fn config(experiment: &str) -> String {
    json!({
        "version": 1,
        "namespace": "shop",
        "unit": [{ "header": "x-user-id" }, { "cookie": "uid" }, { "query": "uid" }],
        "mint": { "cookie": "__Host-splitway" },
        "experiments": [{
            "id": experiment,
            "targeting": { "path": { "prefix": "/checkout" } },
            "variants": [
                { "id": "control" },
                {
                    "id": "new",
                    "route": { "cluster": "v2", "path": { "prefix": "/checkout", "replace_prefix": "/v2" } },
                    "request_headers": { "set": { "x-checkout": "new" } },
                    "response_headers": { "set": { "x-seen": "new" } },
                },
            ],
        }],
    })
    .to_string()
}

fn echo(_: &Seen) -> Reply {
    Reply::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_split_rewritten_and_stamped() -> Result<()> {
    let site = Site::start(&config("button"), echo)?;
    let mut counts = BTreeMap::<String, u32>::new();
    for user in 0..200 {
        let (path, header) = match user % 3 {
            0 => ("/checkout/a?x=%20".to_owned(), ("x-user-id", format!("user-{user}"))),
            1 => ("/checkout/a?x=%20".to_owned(), ("cookie", format!("a=b; uid=user-{user}"))),
            _ => (format!("/checkout/a?x=%20&uid=user-{user}"), ("x-other", String::new())),
        };
        let call = Call::get(&path).header(header.0, header.1).header("x-splitway", "button=forged");
        let call = call.header("x-checkout", "forged");
        let answer = site.send(call.clone()).await?;
        assert_eq!(answer.status, 200);
        let variant = answer.variant("button").context("no stamp")?.to_owned();
        let seen = answer.seen()?;
        let is_new = variant == "new";
        assert_eq!(seen.path, if is_new { path.replace("/checkout", "/v2") } else { path });
        assert_eq!(seen.host, "shop.example");
        assert_eq!(seen.header("x-splitway"), Some(&*format!("button={variant}")));
        assert_eq!(seen.header("x-checkout"), is_new.then_some("new"));
        assert_eq!(answer.upstream(), Some(if is_new { "v2" } else { "origin" }));
        assert_eq!(answer.header("x-seen"), is_new.then_some("new"));
        // Units that the request carries are not minted again.
        assert_eq!(answer.values("set-cookie"), Vec::<String>::new());
        assert!(answer.values("vary").join(",").contains("x-user-id"), "{:?}", answer.headers);
        assert_eq!(site.send(call).await?.variant("button"), Some(&*variant));
        *counts.entry(variant).or_default() += 1;
    }
    let new = counts["new"];
    assert!((60..=140).contains(&new), "{counts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_minted_and_kept() -> Result<()> {
    let site = Site::start(&config("button"), echo)?;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let first = site.send(Call::get("/checkout")).await?;
        let cookies = first.values("set-cookie");
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        assert!(cookies[0].ends_with("Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookies:?}");
        assert!(first.values("cache-control").join(",").contains("private"), "{:?}", first.headers);
        let cookie = cookies[0].split(';').next().context("empty")?.to_owned();
        let again = site.send(Call::get("/checkout").header("cookie", &cookie)).await?;
        assert_eq!(again.variant("button"), first.variant("button"));
        assert_eq!(again.values("set-cookie"), Vec::<String>::new());
        seen.insert(cookie);
    }
    assert_eq!(seen.len(), 20, "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_experiment_can_touch_passes_untouched() -> Result<()> {
    let site = Site::start(&config("button"), echo)?;
    let call = Call::new("PUT", "/other//b?x=%zz")?.body("body").header("x-user-id", "u");
    let answer = site.send(call).await?;
    let seen = site.origin.requests().pop().context("not reached")?;
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("PUT", "/other//b?x=%zz"));
    assert_eq!(seen.body, b"body");
    assert!(seen.values("x-splitway").is_empty() && seen.values("x-request-id").is_empty(), "{seen:?}");
    for name in ["x-splitway", "vary", "set-cookie", "cache-control"] {
        assert_eq!(answer.values(name), Vec::<String>::new(), "{name}");
    }
    // A body goes with a rewritten request too.
    let answer = site.send(Call::post("/checkout").body("{\"a\":1}").header("x-user-id", "user-1")).await?;
    let server = if answer.upstream() == Some("v2") { &site.v2 } else { &site.origin };
    assert_eq!(server.requests().pop().context("not reached")?.body, b"{\"a\":1}");
    Ok(())
}

/// No origin sees what a client made up of our headers, on pages without experiments and while the
/// kill switch is on.
#[tokio::test(flavor = "multi_thread")]
async fn forged_headers_reach_no_origin() -> Result<()> {
    let site = Site::start(&config("button"), echo)?;
    for (kill, path) in [("off", "/other"), ("1", "/other"), ("1", "/checkout")] {
        site.kv.put("kill", kill);
        let call = Call::get(path).header("x-splitway", "button=new").header("x-splitway-cluster", "v2");
        let call = call.header("x-user-id", "user-1").header("x-checkout", "new").header("x-other", "stays");
        let answer = site.send(call).await?;
        let seen = answer.seen()?;
        assert_eq!((answer.status, seen.path.as_str(), answer.upstream()), (200, path, Some("origin")));
        for name in ["x-splitway", "x-splitway-cluster", "x-checkout"] {
            assert_eq!(seen.header(name), None, "{name} at {path}, kill: {kill}");
        }
        assert_eq!(seen.header("x-other"), Some("stays"));
        assert_eq!(answer.header("x-splitway"), None);
    }
    Ok(())
}

/// Every page is kept by the cache, and every variant has another one.
#[tokio::test(flavor = "multi_thread")]
async fn variants_never_share_a_cached_answer() -> Result<()> {
    let site = Site::start(&config("button"), |seen| {
        let body = format!(
            "{} for {}",
            seen.path.trim_start_matches("/v2"),
            seen.header("x-splitway").unwrap_or("nobody")
        );
        let reply = Reply { body: Some(body.into_bytes()), ..Reply::default() };
        reply.header("cache-control", "public, max-age=600").header("x-origin", "yes")
    })?;
    let mut served = BTreeMap::<String, u32>::new();
    for number in 0..4_000 {
        let path = format!("/page-{}", number % 5);
        let call = Call::get(&format!("/checkout{path}")).header("x-user-id", format!("user-{number}"));
        let answer = site.send(call).await?;
        let stamp = answer.header("x-splitway").context("no stamp")?.to_owned();
        let expected = if stamp == "button=new" { path } else { format!("/checkout{path}") };
        assert_eq!(answer.text(), format!("{expected} for {stamp}"), "number {number}");
        assert_eq!(answer.header("x-origin"), Some("yes"));
        *served.entry(stamp).or_default() += 1;
        if served.values().filter(|count| **count >= 1_000).count() == 2 {
            break;
        }
    }
    assert!(served.values().filter(|count| **count >= 1_000).count() == 2, "{served:?}");
    // Two variants of five pages; one that is asked for again before it is put is fetched again.
    assert_eq!(site.cache.entries().len(), 10, "{:?}", site.cache.entries().keys());
    let asked = site.origin.requests().len() + site.v2.requests().len();
    assert!((10..100).contains(&asked), "{asked}");
    // What the cache keeps is nobody's in particular.
    for (key, entry) in site.cache.entries() {
        let entry = String::from_utf8_lossy(&entry).to_ascii_lowercase();
        assert!(key.contains("__splitway=") && !entry.contains("set-cookie"), "{key}: {entry}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn private_and_personal_answers_are_not_cached() -> Result<()> {
    let site = Site::start(&config("button"), |seen| {
        let reply = Reply::default();
        match seen.path.rsplit('/').next().unwrap_or_default() {
            "private" => reply.header("cache-control", "private, max-age=60"),
            "cookie" => reply.header("cache-control", "max-age=60").header("set-cookie", "session=1"),
            "language" => reply.header("cache-control", "max-age=60").header("vary", "accept-language"),
            "missing" => Reply { status: 404, ..reply }.header("cache-control", "max-age=60"),
            _ => reply,
        }
    })?;
    for path in ["private", "cookie", "language", "missing", "none"] {
        let answer = site.send(Call::get(&format!("/checkout/{path}")).header("x-user-id", "user-1")).await?;
        assert_eq!(answer.values("set-cookie").len(), usize::from(path == "cookie"));
    }
    let call = Call::get("/checkout/x").header("x-user-id", "user-1").header("authorization", "Bearer x");
    site.send(call).await?;
    assert!(site.cache.entries().is_empty(), "{:?}", site.cache.entries().keys());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kv_updates_the_config_without_a_restart() -> Result<()> {
    let site = Site::start(&config("button"), echo)?;
    let call = || Call::get("/checkout").header("x-user-id", "user-1");
    assert!(site.send(call()).await?.variant("button").is_some());
    let first = site.status().await?["version"].clone();

    site.kv.put("config", &config("banner"));
    let answer = site.send(call()).await?;
    assert!(answer.variant("banner").is_some() && answer.variant("button").is_none());
    let second = site.status().await?["version"].clone();
    assert_ne!(first, second);

    // Broken, gone, out of reach: the last good one stays.
    site.kv.put("config", "{\"version\": 1, \"experimnts\": []}");
    assert!(site.send(call()).await?.variant("banner").is_some());
    site.kv.delete("config");
    assert!(site.send(call()).await?.variant("banner").is_some());
    site.kv.fail("config");
    assert!(site.send(call()).await?.variant("banner").is_some());
    let status = site.status().await?;
    assert_eq!(status["version"], second);
    assert_eq!(status["counters"]["splitway.config_refused"], 1);
    let log = site.workerd.log();
    assert!(log.contains("experimnts") && log.contains("stays in force"), "{log}");

    site.kv.put("config", &config("banner"));
    site.kv.put("kill", "1");
    let answer = site.send(call()).await?;
    assert_eq!((answer.status, answer.header("x-splitway")), (200, None));
    site.kv.put("kill", "off");
    assert!(site.send(call()).await?.variant("banner").is_some());
    Ok(())
}

/// Units keep their variants from the first request of an isolate on, however many come at once.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_passes_before_the_config_is_there() -> Result<()> {
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let origin = Upstream::start("origin")?;
    let bindings = vec![
        ("SPLITWAY_KV".to_owned(), Binding::Kv(kv.address())),
        ("ORIGIN".to_owned(), Binding::Service(origin.address())),
        ("V2".to_owned(), Binding::Service(origin.address())),
    ];
    let patient = SITE.replace("refresh: 0", "refresh: 600_000");
    let workerd = Workerd::start(&Worker { main: &patient, bindings, ..Worker::default() })?;
    let client = Client::http1(workerd.address());
    let tasks: Vec<_> = (0..40)
        .map(|user| {
            let client = client.clone();
            let call = Call::get("/checkout").header("x-user-id", format!("user-{user}"));
            tokio::spawn(async move { client.send(&call).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await??.variant("button").is_some());
    }
    // And later nobody waits for KV.
    kv.put("config", &config("banner"));
    assert!(client.send(&Call::get("/checkout").header("x-user-id", "u")).await?.variant("button").is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_config_the_origin_is_served() -> Result<()> {
    let site = Site::start("no config at all", echo)?;
    for _ in 0..3 {
        let answer = site.send(Call::get("/checkout").header("x-user-id", "user-1")).await?;
        assert_eq!(
            (answer.status, answer.upstream(), answer.header("x-splitway")),
            (200, Some("origin"), None)
        );
    }
    // The same text is not tried again.
    assert_eq!(site.status().await?["counters"]["splitway.config_refused"], 1);
    site.kv.put("config", &config("button"));
    assert!(
        site.send(Call::get("/checkout").header("x-user-id", "user-1")).await?.variant("button").is_some()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_throws_is_a_503_with_its_variant() -> Result<()> {
    let site = Site::start(&config("button"), |_| Reply { resets: true, ..Reply::default() })?;
    let answer = site.send(Call::get("/checkout").header("x-user-id", "user-1")).await?;
    assert_eq!(answer.status, 503);
    let variant = answer.variant("button").context("no stamp")?.to_owned();
    let records =
        eventually("the exposure", async || Ok(Some(site.records()).filter(|list| !list.is_empty()))).await?;
    let fields = attributes(&records[0]);
    assert_eq!(fields["http.response.status_code"], "503");
    assert_eq!(fields["feature_flag.result.variant"], variant);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_can_be_a_url() -> Result<()> {
    let text = config("button").replace("\"v2\"", "\"elsewhere\"");
    let site = Site::start(&text, echo)?;
    let mut reached = 0;
    for user in 0..20 {
        let answer = site.send(Call::get("/checkout/a").header("x-user-id", format!("user-{user}"))).await?;
        if answer.variant("button") == Some("new") {
            assert_eq!(answer.upstream(), Some("elsewhere"), "{}", site.workerd.log());
            assert_eq!(answer.seen()?.path, "/v2/a");
            assert_eq!(answer.seen()?.host, site.elsewhere.address().to_string());
            reached += 1;
        }
    }
    assert!(reached > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exposure_reaches_the_collector_or_is_counted() -> Result<()> {
    let site = Site::start(&config("button"), echo)?;
    let mut expected = BTreeMap::<String, u32>::new();
    for user in 0..300 {
        let answer = site.send(Call::get("/checkout").header("x-user-id", format!("user-{user}"))).await?;
        *expected.entry(answer.variant("button").context("no stamp")?.to_owned()).or_default() += 1;
    }
    let records =
        eventually("all exposures", async || Ok(Some(site.records()).filter(|records| records.len() >= 300)))
            .await?;
    assert_eq!(records.len(), 300);
    let mut found = BTreeMap::<String, u32>::new();
    let mut ids = std::collections::BTreeSet::new();
    for record in &records {
        assert_eq!(record["eventName"], "feature_flag.evaluation");
        let fields = attributes(record);
        *found.entry(fields["feature_flag.result.variant"].clone()).or_default() += 1;
        assert!(!fields.contains_key("event") && !fields.contains_key("timestamp"));
        let is_new = fields["feature_flag.result.variant"] == "new";
        assert_eq!(fields.get("splitway.cluster").map(String::as_str), is_new.then_some("v2"));
        ids.insert(fields["splitway.request_id"].clone());
    }
    assert_eq!((found, ids.len()), (expected, 300));
    // In batches, not one by one.
    assert!(site.collector.requests().len() <= 300);
    assert_eq!(site.status().await?["delivered"], 300);
    Ok(())
}

/// The same by a collector that others wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_collector_reads_the_records() -> Result<()> {
    let collector = Collector::start(Collector::free_address()?).await?;
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let origin = Upstream::start("origin")?;
    let bindings = vec![
        ("SPLITWAY_KV".to_owned(), Binding::Kv(kv.address())),
        ("ORIGIN".to_owned(), Binding::Service(origin.address())),
        ("V2".to_owned(), Binding::Service(origin.address())),
        (
            "SPLITWAY_OTLP_ENDPOINT".to_owned(),
            Binding::Text(format!("http://{}/v1/logs", collector.address())),
        ),
    ];
    let workerd = Workerd::start(&Worker { main: SITE, bindings, ..Worker::default() })?;
    let client = Client::http1(workerd.address());
    let mut expected = BTreeMap::<String, u32>::new();
    for user in 0..50 {
        let answer = client.send(&Call::get("/checkout").header("x-user-id", format!("user-{user}"))).await?;
        *expected.entry(answer.variant("button").context("no stamp")?.to_owned()).or_default() += 1;
    }
    let records = eventually("all exposures", async || {
        let records = collector.records()?;
        let whole = |record: &LogRecord| record.attributes.contains_key("http.response.status_code");
        Ok((records.len() >= 50 && records.iter().all(whole)).then_some(records))
    })
    .await?;
    let mut found = BTreeMap::<String, u32>::new();
    for record in &records {
        let fields = &record.attributes;
        assert_eq!(record.event, "feature_flag.evaluation");
        assert_eq!(fields["feature_flag.key"], "Str(button)");
        assert_eq!(fields["http.response.status_code"], "Int(200)");
        let variant = fields["feature_flag.result.variant"].trim_start_matches("Str(").trim_end_matches(')');
        *found.entry(variant.to_owned()).or_default() += 1;
    }
    assert_eq!(found, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_out_of_reach_costs_exposures_and_nothing_else() -> Result<()> {
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let origin = Upstream::start("origin")?;
    let closed = std::net::SocketAddr::from(CLOSED);
    let bindings = vec![
        ("SPLITWAY_KV".to_owned(), Binding::Kv(kv.address())),
        ("ORIGIN".to_owned(), Binding::Service(origin.address())),
        ("V2".to_owned(), Binding::Service(origin.address())),
        ("SPLITWAY_OTLP_ENDPOINT".to_owned(), Binding::Text(format!("http://{closed}/v1/logs"))),
    ];
    // The cache is out of reach as well.
    let workerd = Workerd::start(&Worker { main: SITE, bindings, cache: Some(closed), ..Worker::default() })?;
    let client = Client::http1(workerd.address());
    for user in 0..30 {
        let answer = client.send(&Call::get("/checkout").header("x-user-id", format!("user-{user}"))).await?;
        assert_eq!((answer.status, answer.variant("button").is_some()), (200, true));
    }
    let dropped = eventually("all to be counted", async || {
        let status: Value = serde_json::from_slice(&client.send(&Call::get("/__status")).await?.body)?;
        Ok((status["dropped"]["unreachable"] == 30).then_some(status))
    });
    assert_eq!(dropped.await?["delivered"], 0);
    Ok(())
}

/// What a collector did not take is told to it when it takes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_told_what_it_missed() -> Result<()> {
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let origin = Upstream::start("origin")?;
    let collector = Upstream::scripted("collector", |seen| {
        // It refuses what has the first user's record.
        let first = String::from_utf8_lossy(&seen.body).contains("request-0");
        let status = if first { 400 } else { 200 };
        Reply { status, body: Some(b"{}".to_vec()), ..Reply::default() }
    })?;
    let bindings = vec![
        ("SPLITWAY_KV".to_owned(), Binding::Kv(kv.address())),
        ("ORIGIN".to_owned(), Binding::Service(origin.address())),
        ("V2".to_owned(), Binding::Service(origin.address())),
        (
            "SPLITWAY_OTLP_ENDPOINT".to_owned(),
            Binding::Text(format!("http://{}/v1/logs", collector.address())),
        ),
    ];
    let main = SITE
        .replace("refresh: 0,", "refresh: 0, requestId: (request) => request.headers.get('x-request-id'),");
    let workerd = Workerd::start(&Worker { main: &main, bindings, ..Worker::default() })?;
    let client = Client::http1(workerd.address());
    let status = async || -> Result<Value> {
        Ok(serde_json::from_slice(&client.send(&Call::get("/__status")).await?.body)?)
    };
    for (number, wanted) in [(0, "rejected"), (1, "delivered")] {
        let call = Call::get("/checkout")
            .header("x-user-id", "u")
            .header("x-request-id", format!("request-{number}"));
        assert!(client.send(&call).await?.variant("button").is_some());
        eventually(wanted, async || {
            let status = status().await?;
            let count = if number == 0 { &status["dropped"]["rejected"] } else { &status["delivered"] };
            Ok((count == 1).then_some(()))
        })
        .await?;
    }
    let last = collector.requests().pop().context("nothing sent")?;
    let message: Value = serde_json::from_slice(&last.body)?;
    let records = message["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().context("no list")?;
    let told = records.iter().find(|record| record["eventName"] == "splitway.exposures_dropped");
    let told = attributes(told.context("not told")?);
    assert_eq!(
        (told["splitway.drop.reason"].as_str(), told["splitway.drop.count"].as_str()),
        ("rejected", "1")
    );
    Ok(())
}

/// Whatever throws in the worker itself, the origin's answer is served, to a request that was not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_its_own_serves_the_origin() -> Result<()> {
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let origin = Upstream::start("origin")?;
    let bindings = vec![
        ("SPLITWAY_KV".to_owned(), Binding::Kv(kv.address())),
        ("ORIGIN".to_owned(), Binding::Service(origin.address())),
        ("V2".to_owned(), Binding::Service(origin.address())),
    ];
    for broken in
        ["requestId: () => { throw new Error('no id') },", "now: () => { throw new Error('no time') },"]
    {
        let main = SITE.replace("refresh: 0,", &format!("refresh: 0, {broken}"));
        let workerd =
            Workerd::start(&Worker { main: &main, bindings: bindings.clone(), ..Worker::default() })?;
        let client = Client::http1(workerd.address());
        let answer = client.send(&Call::get("/checkout?a=%20").header("x-user-id", "user-1")).await?;
        assert_eq!((answer.status, answer.upstream()), (200, Some("origin")), "{broken}");
        assert_eq!((answer.header("x-splitway"), answer.seen()?.path.as_str()), (None, "/checkout?a=%20"));
        assert!(workerd.log().contains("Error: no "), "{}", workerd.log());
    }
    Ok(())
}
