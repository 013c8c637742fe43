//! The page of `splitway report` in a real browser.

use serde_json::json;
use splitway_envoy::browser::Browser;
use splitway_envoy::skip::skip;

use crate::analysis::{DATA, bench};
use crate::support::Bench;

const PHONE: u32 = 390;

/// With countries, two silent hours, and more metrics; of `keep` in three units of `big`.
fn rich(keep: usize) -> Bench {
    let bench = bench();
    let mut units = 0;
    let mut log = String::new();
    for (number, line) in bench.read("envoy.log").lines().enumerate() {
        units += usize::from(line.contains("\"big\""));
        let is_lost = line.contains("\"big\"") && units % 3 >= keep;
        let is_silent = ["03:", "04:"].iter().any(|hour| line.contains(&format!("-21T{hour}")));
        let country = ["Liechtenstein_and_its_neighbours", "FR"][number % 2];
        if !is_lost && !is_silent {
            log += &format!("{}\n", line.replacen('{', &format!("{{\"country\":\"{country}\","), 1));
        }
    }
    std::fs::write(bench.path("envoy.log"), log).unwrap();
    bench
}

fn write(bench: &Bench, code: i32) -> String {
    let rest = "--metric basket_after_the_first_visit=sum(order)/any(order) --metric orders=count(order) --segment country \
                --before 7d --max-exposures 1000 --out report.html";
    let ran = bench.run(&format!("report {DATA} {rest}"));
    assert_eq!(ran.code, code, "{}", ran.all());
    let kept = bench.read("report.html");
    // To be looked at.
    let name = format!("report-{code}.html");
    std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), kept).unwrap();
    format!("file://{}", bench.path("report.html").display())
}

#[test]
fn the_page_fits_a_phone() {
    let bench = rich(3);
    let url = write(&bench, 0);
    let Some(mut page) = Browser::open(&url, PHONE) else {
        return skip("the_page_fits_a_phone", "no chromium on PATH: apt-get install chromium");
    };
    let text = page.value("document.body.textContent").to_string();
    for said in [
        "order_rate of big by segment",
        "Liechtenstein",
        "each for a single segment and hold at every look",
        "mean over units of any(order)",
        "adjusted",
        "expected loss",
        "those with more than 1000 exposures",
        "the same outcomes in the 7d before",
        "2026-11-21 03:00 to 05:00",
        "better",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(page.value("innerWidth"), json!(PHONE));
    assert!(page.value("document.documentElement.scrollWidth").as_u64().unwrap() <= u64::from(PHONE));
    // The SQL and its lines may scroll by themselves, nothing else is cut or sticks out.
    let out = "[...document.querySelectorAll('body *')].filter((e) => !e.closest('pre, thead')) \
               .filter((e) => e.getBoundingClientRect().right > innerWidth || (getComputedStyle(e).overflowX !== 'visible' \
                       && e.scrollWidth > e.clientWidth + 1 && !(e instanceof SVGElement))) \
               .map((e) => e.outerHTML.slice(0, 120))";
    assert_eq!(page.value(out), json!([]), "nothing sticks out");
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = page.value(ground);
    page.call("Emulation.setEmulatedMedia", dark);
    assert_ne!(page.value(ground), light);
}

/// Half of the treatment's units are lost: no number counts, and none is praised.
#[test]
fn an_invalid_experiment_marks_nothing_as_better() {
    let bench = rich(2);
    write(&bench, 1);
    let html = bench.read("report.html");
    let (_, section) = html.split_once("<section id=\"button\">").unwrap();
    let (section, _) = section.split_once("</section>").unwrap();
    assert!(section.contains("INVALID") && section.contains("class=\"muted\""), "{section}");
    assert!(section.contains("these numbers say nothing about the treatment"), "{section}");
    for mark in [">better<", ">worse<", ">broken<", ">holds<", ">unclear<"] {
        assert!(!section.contains(mark), "{mark}");
    }
    assert!(!section.contains("100.0 %"), "nothing is the best: {section}");
}
