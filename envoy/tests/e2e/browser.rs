//! A real browser that comes for the first time: its requests that are under way at once, all without
//! a cookie, are one person.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use splitway_envoy::browser::Browser;
use splitway_envoy::skip::skip;
use splitway_envoy::{Envoy, EnvoyConfig, Reply, Seen, Upstream, eventually};

const COOKIE: &str = "__Host-splitway";
const ASSETS: [&str; 4] = ["/shop/1.js", "/shop/2.js", "/shop/3.js", "/shop/4.js"];

/// A page that no experiment has, with four assets that one has. They take long enough to be all
/// under way before the first is answered; the test sees whether they were.
fn site(seen: &Seen) -> Reply {
    let scripts: String = ASSETS.map(|path| format!("<script async src='{path}'></script>")).concat();
    let (body, kind, delay) = match seen.path.as_str() {
        "/" => (format!("<!doctype html><title>t</title>{scripts}"), "text/html", 0),
        "/shop/later.js" => ("window.later = true".to_owned(), "text/javascript", 0),
        _ => ("window.loaded = (window.loaded ?? 0) + 1".to_owned(), "text/javascript", 1_000),
    };
    let mut reply = Reply::default().header("content-type", kind);
    reply.body = Some(body.into_bytes());
    reply.delay = Duration::from_millis(delay);
    reply
}

/// A window that does not end within the next half minute.
fn window() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seconds = (300..=600).find(|length| length - now % length > 30);
    format!("{}s", seconds.expect("not all of them end at once"))
}

fn document(provisional: bool) -> Value {
    let mut document = json!({
        "version": 1,
        "unit": [],
        "mint": {},
        "bots": { "defaults": false }, // headless browsers are on the list
        "exposure": { "unit": "raw" },
        "experiments": [{
            "id": "shop",
            "targeting": { "path": { "prefix": "/shop/" } },
            "variants": [{ "id": "a", "weight": 1 }, { "id": "b", "weight": 1 }],
        }],
    });
    if provisional {
        document["mint"]["provisional"] = json!({
            "key": "0123456789abcdef",
            "window": window(),
            "traits": [{ "client_address": {} }, { "header": "user-agent" }],
        });
    }
    document
}

struct Visit {
    /// The ids and variants of the four first requests.
    ids: BTreeSet<(String, String)>,
    /// The id of a request that came after.
    later: String,
}

async fn visit(provisional: bool) -> Option<Visit> {
    let site = Upstream::scripted("site", site).expect("an upstream");
    let envoy = Envoy::start(EnvoyConfig::new(document(provisional).to_string(), &site, &site)).await;
    let envoy = envoy.expect("Envoy");
    let url = format!("http://localhost:{}/", envoy.address().port());
    let browser = tokio::task::spawn_blocking(move || {
        let mut browser = Browser::open(&url, 800)?;
        browser.wait_for("window.loaded === 4");
        browser.value(
            "document.head.append(Object.assign(document.createElement('script'), {src: '/shop/later.js'}))",
        );
        browser.wait_for("window.later === true");
        Some(())
    });
    browser.await.expect("the browser does as it is told")?;
    let requests = site.requests();
    let without_cookie = |path: &str| {
        requests.iter().filter(|seen| seen.path == path && seen.header("cookie").is_none()).count()
    };
    assert_eq!(ASSETS.map(without_cookie), [1; 4], "all four went out before any answer: {requests:?}");
    assert_eq!(without_cookie("/shop/later.js"), 0, "then the cookie is there");
    let exposures = eventually("five exposures", async || {
        Ok(envoy.exposures().ok().filter(|exposures| exposures.len() >= 5))
    })
    .await
    .expect("exposures");
    let of = |exposure: &splitway_envoy::Exposure| {
        (exposure.text("feature_flag.context.id").to_owned(), exposure.variant().to_owned())
    };
    let later = requests.iter().find(|seen| seen.path == "/shop/later.js").expect("it came");
    let cookie = later.header("cookie").expect("a cookie").to_owned();
    let id = cookie.strip_prefix(&format!("{COOKIE}=")).and_then(|value| value.split('.').next());
    Some(Visit { ids: exposures.iter().take(4).map(of).collect(), later: id.expect("an id").to_owned() })
}

#[tokio::test]
async fn four_first_requests_are_one_person() {
    let Some(visit) = visit(true).await else {
        return skip("four_first_requests_are_one_person", "no chromium on PATH: apt-get install chromium");
    };
    assert_eq!(visit.ids.len(), 1, "one id, one variant: {:?}", visit.ids);
    let (id, _) = visit.ids.first().expect("one");
    assert_eq!(*id, visit.later, "and the cookie keeps it");
}

#[tokio::test]
async fn without_provisional_ids_they_are_four() {
    let Some(visit) = visit(false).await else {
        return skip(
            "without_provisional_ids_they_are_four",
            "no chromium on PATH: apt-get install chromium",
        );
    };
    assert_eq!(visit.ids.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(), 4, "{:?}", visit.ids);
    assert!(visit.ids.iter().any(|(id, _)| *id == visit.later), "the browser keeps one of them");
}
