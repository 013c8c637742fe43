//! The page of `splitway dev` in a real browser.

use serde_json::json;
use splitway_envoy::browser::Browser;
use splitway_envoy::skip::skip;

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
    for piece in ["<b>user-1</b>", "x-splitway is left out", "button: ", "split: by its bucket", "button="] {
        assert!(answer.contains(piece), "{piece}: {answer}");
    }
    assert_eq!(page.value("document.querySelectorAll('#answer b, .decisions i').length"), json!(0));
    page.value("document.querySelector('[name=at]').value = 'later'; document.querySelector('.go').click()");
    page.wait_for("document.getElementById('answer').innerText.includes('`later` is no time such as')");

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
