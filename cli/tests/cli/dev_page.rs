//! The page of `splitway dev` in a real browser.

use serde_json::{Value, json};
use splitway_envoy::browser::Browser;
use splitway_envoy::skip::skip;
use splitway_envoy::{Reply, Upstream, eventually};

use crate::dev::{CONFIG, Dev};
use crate::support::Bench;

const SCRIPT: &str = "%3Cscript%3Edocument.title='x'%3C/script%3E";

#[tokio::test]
async fn the_page_shows_what_happens() {
    let bench = Bench::new(&[("splitway.yaml", CONFIG)]);
    let dev = Dev::start(&bench, &[]);
    dev.get("/first", &[("x-user-id", "user-1")]).await;
    let url = format!("http://{}/__splitway", dev.address);
    let Some(mut page) = Browser::open(&url, 1200) else {
        return skip("the_page_shows_what_happens", "no chromium on PATH: apt-get install chromium");
    };
    let text = page.value("document.body.innerText").to_string();
    for piece in
        ["splitway.yaml", "button", "50.0%", "100.0%", "paused, takes no units now", "/first", "built"]
    {
        assert!(text.contains(piece) || piece == "built", "{piece}: {text}");
    }

    // Fresh without a reload of the page, and what clients send is text.
    page.value("window.stays = true");
    for unit in 2..=20 {
        let unit = format!("<b>user-{unit}</b>");
        dev.get(&format!("/next?{SCRIPT}"), &[("x-user-id", &unit), ("user-agent", "<i>")]).await;
    }
    page.wait_for("document.getElementById('live').innerText.includes('requests since\\n20')");
    page.wait_for("document.querySelectorAll('.decisions tbody tr').length === 20");
    assert_eq!(page.value("window.stays"), json!(true));
    assert_eq!(page.value("document.title"), json!("splitway.yaml - Splitway"));
    let units = "[...document.querySelectorAll('.card')[0].querySelectorAll('tbody tr')]\
                 .reduce((sum, row) => sum + Number(row.cells[4].innerText), 0)";
    assert_eq!(page.value(units), json!(20));

    // The form, as a person uses it.
    page.value(
        "document.querySelector('[name=headers]').value = 'x-user-id: <b>user-1</b>\\nX-Splitway: x'; \
         document.querySelector('[name=path]').value = '/a?b'; document.querySelector('.go').click()",
    );
    page.wait_for("document.querySelectorAll('#answer .steps li').length > 2");
    let answer = page.value("document.getElementById('answer').innerText").to_string();
    for piece in ["<b>user-1</b>", "x-splitway is left out", "button=", "split: by its bucket", "button="] {
        assert!(answer.contains(piece), "{piece}: {answer}");
    }
    assert_eq!(page.value("document.querySelectorAll('#answer li b, .decisions i').length"), json!(0));
    page.value("document.querySelector('[name=at]').value = 'later'; document.querySelector('.go').click()");
    page.wait_for("document.getElementById('answer').innerText.includes('expected a time such as 2026-11-20T00:00:00Z, found `later`')");

    // A refusal shows with its problems, and goes.
    std::fs::write(bench.path("splitway.yaml"), CONFIG.replace("unit:", "unti:")).unwrap();
    page.wait_for("document.getElementById('refused')?.innerText.includes('`unti` is not a field') ?? false");
    std::fs::write(bench.path("splitway.yaml"), CONFIG.replace("id: button", "id: colour")).unwrap();
    page.wait_for(
        "document.querySelector('h3').innerText === 'colour' && !document.getElementById('refused')",
    );

    // A proxy that is gone is told.
    drop(dev);
    page.wait_for("!document.getElementById('offline').hidden");
}

#[tokio::test]
async fn the_page_fits_a_phone_in_the_dark() {
    let long = CONFIG.replace("id: button", &format!("id: b{}", "u".repeat(60)));
    let bench = Bench::new(&[("splitway.yaml", &long)]);
    let dev = Dev::start(&bench, &[]);
    for unit in 0..5 {
        dev.get(&format!("/{}", "path".repeat(50)), &[("x-user-id", &unit.to_string())]).await;
    }
    let url = format!("http://{}/__splitway?path=/a&headers=x-user-id:u", dev.address);
    let Some(mut page) = Browser::open(&url, 360) else {
        return skip("the_page_fits_a_phone_in_the_dark", "no chromium on PATH: apt-get install chromium");
    };
    assert_eq!(page.value("innerWidth"), json!(360));
    let out = page.value(
        "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 360)\
         .map((e) => e.outerHTML.slice(0, 120))",
    );
    assert_eq!(out, json!([]), "nothing sticks out");
    assert!(page.value("document.querySelectorAll('#answer .steps li').length").as_u64().unwrap() > 2);
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = page.value(ground);
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    page.call("Emulation.setEmulatedMedia", dark);
    assert_ne!(page.value(ground), light);
    let loaded = page
        .value("performance.getEntriesByType('resource').every((r) => r.name.startsWith(location.origin))");
    assert_eq!(loaded, json!(true), "nothing from elsewhere");
}

/// A config with everything that a card shows.
const WATCHED: &str = "\
version: 1
namespace: shop
unit: [{ header: x-user-id }]
exposure: { key: not-a-secret-change-me }
holdouts: [{ id: always-out, share: 5% }]
experiments:
  - id: button
    owner: payments@example.com
    schedule: { end: 2099-01-01T00:00:00Z }
    ramp:
      - { at: 2020-01-01T00:00:00Z, traffic: 50% }
      - { at: 2097-01-01T00:00:00Z, traffic: 80% }
      - { at: 2098-01-01T00:00:00Z, traffic: 90% }
    guardrails: [{ metric: http_5xx_rate, max: 10% }]
    variants: [{ id: old }, { id: new }]
  - id: alone
    targeting: { path: { prefix: /only } }
    variants: [{ id: a }]
";

#[tokio::test]
async fn a_card_shows_what_the_config_says_and_folds_what_was_not_entered() {
    let bench = Bench::new(&[("splitway.yaml", WATCHED)]);
    let dev = Dev::start(&bench, &[]);
    for unit in 0..20 {
        dev.get("/", &[("x-user-id", &unit.to_string())]).await;
    }
    let url = format!("http://{}/__splitway?path=/only&headers=x-user-id:u", dev.address);
    let Some(mut page) = Browser::open(&url, 1200) else {
        return skip(
            "a_card_shows_what_the_config_says_and_folds_what_was_not_entered",
            "no chromium on PATH: apt-get install chromium",
        );
    };
    let text = page.value("document.body.innerText").to_string();
    for piece in [
        "payments@example.com",
        "until 2099-01-01T00:00:00Z",
        "80% from 2097-01-01T00:00:00Z on",
        "always-out, 5% of all units",
        "http_5xx_rate: at most 10% of the units, else the variant is switched off",
        "20 requests did not enter: 1 holdout, 19 not targeted",
    ] {
        assert!(text.replace('\u{a0}', " ").contains(piece), "{piece}: {text}");
    }
    let folded = "[...document.querySelectorAll('.experiment')].map((card) => [card.querySelector('h3').innerText, card.open])";
    assert_eq!(page.value(folded), json!([["alone", false], ["button", true]]));
    assert_eq!(page.value("document.querySelectorAll('.decisions details[open]').length"), json!(0));
    // A lone variant is compared with nothing.
    assert_eq!(
        page.value("[...document.querySelectorAll('.experiment td.path')].map((cell) => cell.textContent)"),
        json!(["a", "old control", "new"])
    );
    // Each experiment of the explanation has its own steps.
    let groups = "[...document.querySelectorAll('#answer details.group')].map((group) => [...group.querySelectorAll('.what')].map((what) => what.textContent).join())";
    assert!(page.value(groups).to_string().contains("targeting"), "{}", page.value(groups));

    // What the reader unfolds stays unfolded when fresh counts come.
    page.value("document.querySelectorAll('.experiment')[0].querySelector('summary').click()");
    dev.get("/", &[("x-user-id", "another")]).await;
    page.wait_for("document.getElementById('live').innerText.includes('requests since\\n21')");
    assert_eq!(page.value("document.querySelectorAll('.experiment')[0].open"), json!(true));
}

/// A variant that a guardrail takes out is marked, for people and programs.
#[tokio::test]
async fn what_a_guardrail_found_is_shown() {
    let config = CONFIG.replace(
        "  - id: button\n",
        "  - id: button\n    guardrails: [{ metric: http_5xx_rate, max: 10%, min_requests: 5, min_bad_units: 5 }]\n",
    );
    let bench = Bench::new(&[("splitway.yaml", &config)]);
    let good = Upstream::start("v1").unwrap();
    let bad = Upstream::scripted("v2", |_| Reply { status: 500, ..Reply::default() }).unwrap();
    let [first, second] = [("v1", good.address()), ("v2", bad.address())]
        .map(|(name, address)| format!("{name}=http://{address}"));
    let dev = Dev::start(&bench, &["--upstream", &first, "--upstream", &second]);
    let mut unit = 0;
    let tripped = eventually("the guardrail trips", async || {
        unit += 1;
        dev.get("/", &[("x-user-id", &format!("user-{unit}"))]).await;
        let state: Value = serde_json::from_slice(&dev.get("/__splitway/state.json", &[]).await.body)?;
        let harm = |at: usize| state["experiments"][0]["variants"][at]["harm"].clone();
        Ok((!harm(1).is_null()).then(|| (harm(0), harm(1))))
    });
    assert_eq!(tripped.await.unwrap(), (Value::Null, json!("tripped")));
    let html = String::from_utf8(dev.get("/__splitway", &[]).await.body.to_vec()).unwrap();
    assert!(html.contains("new switched off") && html.contains("a guardrail switched it off"), "{html}");
}
