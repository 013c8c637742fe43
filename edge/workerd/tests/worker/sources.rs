//! Where a worker's config, kill switch and origins come from, and what happens when one of them is broken.

use anyhow::Result;
use serde_json::json;
use splitway_envoy::Call;
use splitway_workerd::Binding;
use splitway_workerd::kv::Kv;

use super::{SITE, Site, config, echo};

/// A worker that came with a config, whose KV is `kv`.
fn bundled(kv: Kv) -> Result<Site> {
    let text = Binding::Text(config("bundled"));
    let main = SITE.replace("refresh: 0,", "refresh: 0, timeout: 200,");
    Site::start_with(kv, &main, &[("SPLITWAY_CONFIG", text)], None, echo)
}

fn call() -> Call {
    Call::get("/checkout").header("x-user-id", "user-1")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_value_switches_nothing_off() -> Result<()> {
    let site = Site::start(&config("button"), echo)?;
    assert!(site.send(call()).await?.variant("button").is_some());
    for empty in ["", "  \n"] {
        site.kv.put("config", empty);
        assert!(site.send(call()).await?.variant("button").is_some(), "{empty:?}");
    }
    assert_eq!(site.status().await?["counters"]["splitway.config_refused"], 2);
    Ok(())
}

/// Isolates that start while KV is broken decide as those that have the same config since it was good.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_isolate_with_a_broken_store_has_the_bundled_config() -> Result<()> {
    for stored in [None, Some(""), Some("{"), Some("{\"version\": 1, \"experimnts\": []}")] {
        let kv = Kv::start()?;
        if let Some(text) = stored {
            kv.put("config", text);
        }
        let site = bundled(kv)?;
        assert!(site.send(call()).await?.variant("bundled").is_some(), "{stored:?}");
        site.kv.put("config", &config("stored"));
        assert!(site.send(call()).await?.variant("stored").is_some(), "{stored:?}");
        site.kv.put("config", "{");
        assert!(site.send(call()).await?.variant("stored").is_some(), "{stored:?}");
    }
    Ok(())
}

/// Every way to have a config, and every way to fail at reading one.
#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_always_wins() -> Result<()> {
    let kv = Kv::start()?;
    kv.put("config", &config("stored"));
    kv.put("kill", "1");
    let site = bundled(kv)?;
    let breaks: [fn(&Kv); 5] = [
        |_| {},
        |kv| kv.fail("config"),
        |kv| kv.hang("config"),
        |kv| kv.put("config", "{"),
        |kv| kv.delete("config"),
    ];
    for broken in breaks {
        broken(&site.kv);
        site.kv.put("kill", "1");
        assert_eq!(site.send(call()).await?.header("x-splitway"), None);
        // What cannot be read is not a switch that is off.
        site.kv.fail("kill");
        assert_eq!(site.send(call()).await?.header("x-splitway"), None);
        site.kv.put("kill", "off");
        assert!(site.send(call()).await?.variant("stored").is_some(), "{}", site.workerd.log());
    }
    // On an isolate that has nothing but the bundled config, too.
    let kv = Kv::start()?;
    kv.fail("config");
    kv.put("kill", "on");
    let site = bundled(kv)?;
    assert_eq!(site.send(call()).await?.header("x-splitway"), None);
    site.kv.delete("kill");
    assert!(site.send(call()).await?.variant("bundled").is_some());
    Ok(())
}

/// A store that never answers delays the first request by the time-out, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_holds_no_request() -> Result<()> {
    let kv = Kv::start()?;
    kv.hang("config");
    kv.hang("kill");
    let text = Binding::Text(config("bundled"));
    let main = SITE.replace("refresh: 0,", "refresh: 1, timeout: 200,");
    let site = Site::start_with(kv, &main, &[("SPLITWAY_CONFIG", text)], None, echo)?;
    for user in 0..50 {
        let call = Call::get("/checkout").header("x-user-id", format!("user-{user}"));
        assert!(site.send(call).await?.variant("bundled").is_some());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_config_says_so_once() -> Result<()> {
    let main = SITE.replace("refresh: 0,", "refresh: 0, kv: () => undefined,");
    let site = Site::start_with(Kv::start()?, &main, &[], None, echo)?;
    for _ in 0..5 {
        assert_eq!(site.send(call()).await?.header("x-splitway"), None);
    }
    let log = site.workerd.log();
    assert_eq!(log.matches("SPLITWAY_KV and SPLITWAY_CONFIG are not bound").count(), 1, "{log}");
    assert!(!log.contains("this VM"), "{log}");
    Ok(())
}

/// Origins as the JSON binding that they should be, and as the text that they often are.
#[tokio::test(flavor = "multi_thread")]
async fn origins_may_be_text() -> Result<()> {
    let main = SITE.replace("origins: (env) => ({ v2: env.V2, elsewhere: env.ELSEWHERE }),", "");
    let upstream = splitway_envoy::Upstream::start("by-url")?;
    let origins = json!({ "v2": format!("http://{}", upstream.address()) });
    for binding in [Binding::Text(origins.to_string()), Binding::Json(origins)] {
        let kv = Kv::start()?;
        kv.put("config", &config("button"));
        let site = Site::start_with(kv, &main, &[("SPLITWAY_ORIGINS", binding)], None, echo)?;
        let mut reached = 0;
        for user in 0..20 {
            let answer =
                site.send(Call::get("/checkout/a").header("x-user-id", format!("user-{user}"))).await?;
            let is_new = answer.variant("button") == Some("new");
            assert_eq!(answer.upstream(), Some(if is_new { "by-url" } else { "origin" }));
            reached += usize::from(is_new);
        }
        assert!(reached > 0);
    }
    Ok(())
}

/// A variant that nothing serves is not stamped on what another origin serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_an_origin_is_refused() -> Result<()> {
    let main = SITE.replace("origins: (env) => ({ v2: env.V2, elsewhere: env.ELSEWHERE }),", "");
    for (origins, said) in [
        (Binding::Json(json!({})), "origins.v2: expected a URL"),
        (Binding::Json(json!({ "v3": "https://v3.example" })), "found none among [\"v3\"]"),
        (Binding::Json(json!({ "v2": "v2.example" })), "found \"v2.example\""),
        (Binding::Json(json!({ "v2": "localhost:8080" })), "found \"localhost:8080\""),
        (Binding::Json(json!({ "v2": 8080 })), "found 8080"),
        (Binding::Text("v2=https://v2.example".to_owned()), "expected a JSON object"),
    ] {
        let kv = Kv::start()?;
        kv.put("config", &config("button"));
        let site = Site::start_with(kv, &main, &[("SPLITWAY_ORIGINS", origins)], None, echo)?;
        for user in 0..5 {
            let call = Call::get("/checkout").header("x-user-id", format!("user-{user}"));
            let answer = site.send(call).await?;
            assert_eq!((answer.status, answer.upstream()), (200, Some("origin")));
            assert_eq!(answer.header("x-splitway"), None);
        }
        let log = site.workerd.log();
        assert!(log.contains("config refused, 1 problems") && log.contains(said), "{said}\n{log}");
        // What names no cluster is not kept out by that.
        site.kv.put("config", &config("other").replace("\"cluster\":\"v2\",", ""));
        assert!(site.send(call()).await?.variant("other").is_some(), "{}", site.workerd.log());
    }
    Ok(())
}
