//! Does one thing again and again, for callgrind to count its instructions:
//! `instructions CASE TIMES`. Without arguments it lists the cases.
//!
//! `cargo xtask bench instructions` runs each case twice, with different numbers of times, so that
//! what start and end of the program take falls out of the difference.

#[path = "../benches/engine/configs.rs"]
mod configs;

use std::hint::black_box;

use configs::{NOW, browser, cookie, dialects, plan, targeting};
use serde_json::Value;
use splitway_benches::documents::{elsewhere, layers, one_layer};
use splitway_engine::{Decision, Document, NoTrace, RequestView, compile};

/// Names and configs; those that begin with `compile` are compiled, the others decide.
fn cases() -> Vec<(String, Value)> {
    let mut cases = Vec::new();
    for count in [0, 1, 10, 100, 1_000] {
        cases.push((format!("experiments/{count}"), layers(count)));
    }
    for count in [100, 1_000] {
        cases.push((format!("experiments in one layer/{count}"), one_layer(count)));
    }
    cases.push(("experiments, none applies/100".to_owned(), elsewhere(100)));
    let with = |key: &str, value: Value| {
        let mut config = layers(1);
        config["experiments"][0][key] = value;
        config
    };
    for (name, bucketing) in dialects() {
        cases.push((format!("dialect/{name}"), with("bucketing", bucketing)));
    }
    for (name, rule) in targeting() {
        cases.push((format!("targeting/{name}"), with("targeting", rule)));
    }
    for count in [1, 100, 1_000] {
        cases.push((format!("compile/{count}"), layers(count)));
    }
    cases
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cases = cases();
    let [name, times] = &arguments[..] else {
        cases.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let times: u32 = times.parse().expect("a number of times");
    let (_, config) = cases.iter().find(|(case, _)| case == name).expect("a case from the list");
    if name.starts_with("compile/") {
        let text = config.to_string();
        for _ in 0..times {
            drop(black_box(compile(&Document::from_json(black_box(text.as_bytes())).unwrap()).unwrap()));
        }
        return;
    }
    let plan = plan(config);
    let cookie = cookie();
    let headers = browser(&cookie);
    let mut decision = Decision::default();
    for _ in 0..times {
        let request = RequestView::new(black_box(&headers));
        plan.decide_into(&request, NOW, &mut NoTrace, &mut decision);
        black_box(&decision);
    }
}
