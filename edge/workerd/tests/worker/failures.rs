//! Failures that are the worker's own, or its client's: no answer of ours is a 5xx, and no record is lost unseen.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use splitway_envoy::{Call, Client, Reply, Upstream, eventually};
use splitway_workerd::Binding;
use splitway_workerd::kv::Kv;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{SITE, Site, attributes, config, echo};

/// Before 2024-11-11, workers cannot ask for `cache: no-store`.
#[tokio::test(flavor = "multi_thread")]
async fn old_compatibility_dates_split_too() -> Result<()> {
    for date in ["2022-01-01", "2024-11-10", "2024-11-11"] {
        let kv = Kv::start()?;
        kv.put("config", &config("button"));
        let site = Site::start_with(kv, SITE, &[], Some(date), echo)?;
        let mut seen = std::collections::BTreeSet::new();
        for user in 0..20 {
            let call = Call::post("/checkout").body("body").header("x-user-id", format!("user-{user}"));
            let answer = site.send(call).await?;
            assert_eq!(answer.status, 200, "{date}: {}", site.workerd.log());
            seen.insert(answer.variant("button").with_context(|| date.to_owned())?.to_owned());
        }
        assert_eq!(seen.len(), 2, "{date}");
    }
    Ok(())
}

/// Wherever the worker itself throws, the origin gets the whole request, without what a client made up.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_ours_is_no_answer() -> Result<()> {
    for broken in [
        "requestId: () => { throw new Error('broken') },",
        "now: () => { throw new Error('broken') },",
        "origins: () => { throw new Error('broken') },",
        "cache: () => { throw new Error('broken') },",
        "exposures: () => { throw new Error('broken') },",
        "originName: () => { throw new Error('broken') },",
        "kv: () => { throw new Error('broken') },",
        "config: () => { throw new Error('broken') },",
    ] {
        let kv = Kv::start()?;
        kv.put("config", &config("button"));
        let (main, end) = SITE.split_once("});").context("no options")?;
        let main = format!("{main}  {broken}\n}});{end}");
        let site = Site::start_with(kv, &main, &[], None, echo)?;
        for user in 0..4 {
            let call = Call::post("/checkout?a=%20").body("body").header("x-user-id", format!("user-{user}"));
            let answer =
                site.send(call.header("x-splitway", "forged").header("x_splitway-x", "forged")).await?;
            ensure!(answer.status == 200, "{broken} gave {}", answer.status);
            let seen = site.origin.requests().into_iter().chain(site.v2.requests()).last();
            let seen = seen.context("not reached")?;
            assert_eq!(seen.body, b"body", "{broken}");
            assert!(seen.header("x-splitway") != Some("forged"), "{broken}: {seen:?}");
            assert_eq!(seen.header("x_splitway-x"), None, "{broken}: {seen:?}");
        }
    }
    Ok(())
}

/// workerd puts the `Host` header into the URL as it came.
#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_not_taken_from_the_host() -> Result<()> {
    let site = Site::start(&config("button"), echo)?;
    for host in ["a/checkout#", "a/checkout?", "a/checkout", "u@a/checkout#"] {
        let call = Call::get("/other").header("x-user-id", "user-1").header("host", host);
        let answer = site.client.send(&call).await?;
        assert_eq!((answer.status, answer.variant("button")), (200, None), "{host}");
    }
    let call = Call::get("/checkout").header("x-user-id", "user-1").header("host", "a/other#");
    assert!(site.client.send(&call).await?.variant("button").is_some());
    Ok(())
}

/// Clients that do not wait for a slow variant were exposed to it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_away_are_in_the_records() -> Result<()> {
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let site = Site::start_with(kv, SITE, &[], None, |_| Reply {
        delay: Duration::from_millis(400),
        ..Reply::default()
    })?;
    // The worker has read its config.
    site.status().await?;
    let asked = || site.origin.requests().len() + site.v2.requests().len();
    for user in 0..10 {
        let mut stream = TcpStream::connect(site.workerd.address()).await?;
        let request =
            format!("GET /checkout HTTP/1.1\r\nhost: shop.example\r\nx-user-id: user-{user}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        eventually("the origin to be asked", async || Ok((asked() > user).then_some(()))).await?;
    }
    let records = eventually("ten records", async || {
        let records = site.records();
        Ok((records.len() >= 10).then_some(records))
    });
    let ids: std::collections::BTreeSet<_> =
        records.await?.iter().map(|record| attributes(record)["splitway.request_id"].clone()).collect();
    assert_eq!(ids.len(), 10);
    Ok(())
}

/// What was taken is delivered, dropped or pending, at any time; a collector that hangs holds nothing for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_costs_what_it_held() -> Result<()> {
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let collector = Upstream::scripted("collector", |_| Reply {
        delay: Duration::from_secs(600),
        body: Some(b"{}".to_vec()),
        ..Reply::default()
    })?;
    let endpoint = Binding::Text(format!("http://{}/v1/logs", collector.address()));
    let main = SITE.replace("maxDelay: 1,", "maxDelay: 1, timeout: 50,");
    let site = Site::start_with(kv, &main, &[("SPLITWAY_OTLP_ENDPOINT", endpoint)], None, echo)?;
    for user in 0..30 {
        let answer = site.send(Call::get("/checkout").header("x-user-id", format!("user-{user}"))).await?;
        assert!(answer.variant("button").is_some());
        let status = site.status().await?;
        let count = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
        let known = count(&status["delivered"])
            + count(&status["pending"])
            + count(&status["dropped"]["unreachable"]);
        assert_eq!(known, user + 1, "{status}");
    }
    eventually("all to be dropped", async || {
        let status = site.status().await?;
        Ok((status["dropped"]["unreachable"] == 30 && status["pending"] == 0).then_some(()))
    })
    .await
}

/// A collector that fails is asked less and less often, and gets what waited for it when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_comes_back_gets_what_waited() -> Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let collector = Upstream::scripted("collector", move |_| {
        let status = if counter.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 200 };
        Reply { status, body: Some(b"{}".to_vec()), ..Reply::default() }
    })?;
    let endpoint = Binding::Text(format!("http://{}/v1/logs", collector.address()));
    let site = Site::start_with(kv, SITE, &[("SPLITWAY_OTLP_ENDPOINT", endpoint)], None, echo)?;
    for user in 0..30 {
        site.send(Call::get("/checkout").header("x-user-id", format!("user-{user}"))).await?;
    }
    let status = eventually("all to be delivered", async || {
        let status = site.status().await?;
        Ok((status["pending"] == 0).then_some(status))
    });
    let status = status.await?;
    assert_eq!((&status["delivered"], &status["dropped"]), (&30.into(), &serde_json::json!({})));
    Ok(())
}

/// What an app that is the worker itself needs: the context, and no fetch.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_can_be_wrapped() -> Result<()> {
    let main = r#"
import { splitwayWorker } from './pkg/cloudflare.js';
const app = {
  async fetch(request, env, ctx) {
    ctx.waitUntil(Promise.resolve());
    const variant = request.headers.get('x-splitway');
    return Response.json({ path: new URL(request.url).pathname, variant, body: await request.text() });
  },
};
const config = {
  version: 1,
  unit: [{ header: 'x-user-id' }],
  experiments: [{ id: 'app', variants: [{ id: 'a' }, { id: 'b', route: { path: { prefix: '/', replace_prefix: '/v2/' } } }] }],
};
export default splitwayWorker({ config: () => config, origin: (request, env, ctx) => app.fetch(request, env, ctx) });
"#;
    let workerd = splitway_workerd::Workerd::start(&splitway_workerd::Worker { main, ..Default::default() })?;
    let client = Client::http1(workerd.address());
    let mut seen = std::collections::BTreeSet::new();
    for user in 0..20 {
        let call = Call::post("/page").body("body").header("x-user-id", format!("user-{user}"));
        let answer = client.send(&call).await?;
        let variant = answer.variant("app").with_context(|| workerd.log())?.to_owned();
        let told: serde_json::Value = serde_json::from_slice(&answer.body)?;
        assert_eq!(told["path"], if variant == "b" { "/v2/page" } else { "/page" });
        assert_eq!((&told["variant"], &told["body"]), (&format!("app={variant}").into(), &"body".into()));
        seen.insert(variant);
    }
    assert_eq!(seen.len(), 2);
    // A client that hangs up early costs nothing.
    let mut stream = TcpStream::connect(workerd.address()).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}
