//! What a decision costs natively. `cargo xtask bench engine` runs it with the
//! other engines beside it and keeps the numbers.

mod configs;
#[cfg(feature = "peers")]
mod peers;

use criterion::{Criterion, criterion_group, criterion_main};
use splitway_engine::{Decision, Document, NoTrace, RequestView, compile};
use std::hint::black_box;

use configs::{NOW, UUID, browser, cookie, dialects, plan, targeting};
use splitway_benches::documents::{layers, one_layer};

fn decide(c: &mut Criterion, group: &str, name: &str, config: &serde_json::Value) {
    let plan = plan(config);
    let cookie = cookie();
    let headers = browser(&cookie);
    let mut decision = Decision::default();
    c.benchmark_group(group).bench_function(name, |b| {
        b.iter(|| {
            let request = RequestView::new(black_box(&headers));
            plan.decide_into(&request, NOW, &mut NoTrace, &mut decision);
            black_box(&decision);
        });
    });
}

/// Each experiment in a layer of its own: the unit is in all of them.
fn experiments(c: &mut Criterion) {
    for count in [1, 10, 100, 1_000] {
        decide(c, "experiments", &count.to_string(), &layers(count));
    }
    for count in [100, 1_000] {
        decide(c, "experiments in one layer", &count.to_string(), &one_layer(count));
    }
}

fn by_dialect(c: &mut Criterion) {
    for (name, bucketing) in dialects() {
        let mut config = layers(1);
        config["experiments"][0]["bucketing"] = bucketing;
        decide(c, "dialect", name, &config);
    }
}

fn by_targeting(c: &mut Criterion) {
    for (name, rule) in targeting() {
        let mut config = layers(1);
        config["experiments"][0]["targeting"] = rule;
        decide(c, "targeting", name, &config);
    }
}

fn compiling(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    for count in [1, 100, 1_000] {
        let text = layers(count).to_string();
        group.bench_function(count.to_string(), |b| {
            b.iter(|| compile(&Document::from_json(black_box(text.as_bytes())).unwrap()).unwrap());
        });
    }
}

/// Our arithmetic and theirs, all of them given the unit as text: the shares are the same, and so is what
/// comes out, one variant per experiment.
fn side_by_side(c: &mut Criterion) {
    for count in [1, 10, 100] {
        let plan = plan(&layers(count));
        let headers: [(&[u8], &[u8]); 1] = [(b"x-user", UUID.as_bytes())];
        let mut decision = Decision::default();
        let mut group = c.benchmark_group(format!("side by side, {count} experiments"));
        group.bench_function("splitway", |b| {
            b.iter(|| {
                let request = RequestView::new(black_box(&headers));
                plan.decide_into(&request, NOW, &mut NoTrace, &mut decision);
                black_box(&decision);
            });
        });
        #[cfg(feature = "peers")]
        peers::add(&mut group, count);
        group.finish();
    }
}

criterion_group!(benches, experiments, by_dialect, by_targeting, compiling, side_by_side);
criterion_main!(benches);
