//! What the cache keeps, and for whom: two users, two variants, and no page of one for another.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use splitway_envoy::{Call, Reply, Seen, eventually};
use splitway_workerd::kv::Kv;

use super::{Site, config};

/// Requests for a page in each variant, by its users in turn.
const EACH: usize = 1_000;

/// Two users of each variant, by their `x-user-id`.
async fn users(site: &Site) -> Result<Vec<(String, String)>> {
    let mut users: Vec<(String, String)> = Vec::new();
    for number in 0..100 {
        let user = format!("user-{number}");
        let answer = site.send(Call::get("/checkout/who").header("x-user-id", &user)).await?;
        let variant = answer.variant("button").context("no stamp")?.to_owned();
        if users.iter().filter(|(_, known)| *known == variant).count() < 2 {
            users.push((user, variant));
        }
    }
    ensure!(users.len() == 4, "{users:?}");
    Ok(users)
}

/// Answers with the value of `header` as the origin saw it, for all to keep as far as `control` goes.
fn greeting(header: &'static str, control: &'static str) -> impl Fn(&Seen) -> Reply + Clone {
    move |seen| {
        let variant = seen.header("x-splitway").unwrap_or("nobody");
        let body = format!("{variant}: hello {}", seen.header(header).unwrap_or("stranger"));
        let reply = Reply { body: Some(body.into_bytes()), ..Reply::default() };
        reply.header("content-type", "text/html").header("cache-control", control)
    }
}

/// Every user asks for one page in turn, with a value of `header` that no other user has; gives how often the page was another's.
async fn crossed(site: &Site, header: &str) -> Result<usize> {
    let users = users(site).await?;
    let mut crossed = 0;
    for _ in 0..EACH / 2 {
        for (user, variant) in &users {
            let value =
                if header == "cookie" { format!("session={user}") } else { format!("{user}.example") };
            let call = Call::get("/checkout/page").header("x-user-id", user).header(header, &value);
            let answer = site.send(call).await?;
            crossed += usize::from(answer.text() != format!("button={variant}: hello {value}"));
        }
    }
    Ok(crossed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_say_public_reaches_nobody_else() -> Result<()> {
    let site = Site::start(&config("button"), greeting("cookie", "max-age=60"))?;
    assert_eq!(crossed(&site, "cookie").await?, 0);
    assert!(site.cache.entries().is_empty(), "{:?}", site.cache.entries().keys());
    Ok(())
}

/// Even where the origin says `public` of it, and beside a cookie that changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn requests_with_cookies_go_past_the_cache() -> Result<()> {
    let site = Site::start(&config("button"), greeting("cookie", "public, max-age=60"))?;
    // Those without cookies have filled it.
    assert_eq!(crossed(&site, "cookie").await?, 0);
    let full = BTreeSet::from_iter(site.cache.entries().into_keys());
    assert!(full.iter().all(|key| key.contains("/checkout/who")), "{full:?}");
    Ok(())
}

/// Unless the operator says that they change nothing; and the identity cookie never does.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_change_nothing_can_be_named() -> Result<()> {
    let kv = Kv::start()?;
    kv.put("config", &config("button"));
    let main = super::SITE.replace("refresh: 0,", "refresh: 0, cacheDespiteCookies: ['theme'],");
    let site = Site::start_with(kv, &main, &[], None, greeting("x-nothing", "public, max-age=60"))?;
    let first = site.send(Call::get("/checkout/page")).await?;
    let minted = first.values("set-cookie").pop().context("no cookie")?;
    let minted = minted.split(';').next().context("empty")?.to_owned();
    for (cookies, is_kept) in [
        (minted.clone(), true),
        (format!("{minted}; theme=dark"), true),
        ("theme=dark; other=1".to_owned(), false),
        ("theme=dark, other=1".to_owned(), false),
        ("=nameless".to_owned(), false),
    ] {
        let path = format!("/checkout/{}", cookies.len());
        let call = Call::get(&path).header("x-user-id", "user-1").header("cookie", &cookies);
        site.send(call).await?;
        let has = || site.cache.entries().keys().any(|key| key.contains(&path));
        if is_kept {
            eventually("the page in the cache", async || Ok(has().then_some(()))).await?;
        } else {
            assert!(!has(), "{cookies}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_has_what_origins_choose_by() -> Result<()> {
    for header in ["origin", "x-forwarded-host", "x-original-url"] {
        let site = Site::start(&config("button"), greeting(header, "public, s-maxage=60"))?;
        assert_eq!(crossed(&site, header).await?, 0, "{header}");
        assert!(site.cache.entries().keys().any(|key| key.contains("/page")), "{header} is never kept");
    }
    Ok(())
}

/// What a request with another method than it seems to have gets is nobody else's page.
#[tokio::test(flavor = "multi_thread")]
async fn a_method_override_poisons_no_page() -> Result<()> {
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let site = Site::start(&config("button"), greeting(header, "public, max-age=60"))?;
        for user in 0..20 {
            let call = || Call::get("/checkout/page").header("x-user-id", format!("user-{user}"));
            assert!(site.send(call().header(header, "DELETE")).await?.text().ends_with("hello DELETE"));
            assert!(site.send(call()).await?.text().ends_with("hello stranger"), "{header}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn directives_for_cdns_hold_here_too() -> Result<()> {
    const FORBIDDEN: [(&str, &str); 12] = [
        ("cdn-cache-control", "no-store"),
        ("cdn-cache-control", "max-age=1"),
        ("cloudflare-cdn-cache-control", "private"),
        ("netlify-cdn-cache-control", "no-cache"),
        ("vercel-cdn-cache-control", "max-age=0"),
        ("surrogate-control", "no-store"),
        ("surrogate-control", "content=\"ESI/1.0\""),
        ("edge-control", "!no-store, bypass-cache"),
        ("x-accel-expires", "0"),
        ("x-accel-expires", "off"),
        ("pragma", "no-cache"),
        ("cache-control", "max-age=0"),
    ];
    let site = Site::start(&config("button"), |seen| {
        let reply = Reply::default().header("cache-control", "public, max-age=60");
        match seen.path.rsplit('-').next().and_then(|number| number.parse::<usize>().ok()) {
            Some(index) => {
                FORBIDDEN.get(index).map_or(reply.clone(), |(name, value)| reply.header(*name, value))
            }
            None => reply.header("cdn-cache-control", "max-age=600").header("x-accel-expires", "60"),
        }
    })?;
    for index in 0..FORBIDDEN.len() {
        site.send(Call::get(&format!("/checkout/page-{index}")).header("x-user-id", "user-1")).await?;
    }
    site.send(Call::get("/checkout/allowed").header("x-user-id", "user-1")).await?;
    let kept = eventually("the page that may be kept", async || {
        let kept: Vec<String> = site.cache.entries().into_keys().collect();
        Ok((!kept.is_empty()).then_some(kept))
    });
    let kept = kept.await?;
    assert!(kept.len() == 1 && kept[0].contains("/checkout/allowed"), "{kept:?}");
    Ok(())
}
