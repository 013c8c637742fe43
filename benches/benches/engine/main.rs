//! What a decision costs natively. `cargo xtask bench engine` runs it with the
//! other engines beside it and keeps the numbers.

mod configs;
#[cfg(feature = "peers")]
mod peers;

use criterion::{Criterion, criterion_group, criterion_main};
use splitway_engine::{Decision, Document, NoTrace, RequestView, Timestamp, compile};
use std::hint::black_box;

use configs::{UUID, dialects, plan, targeting};
use splitway_benches::documents::{layers, one_layer};

const NOW: Timestamp = Timestamp(1_795_262_400_000);

fn cookie() -> Vec<u8> {
    format!("theme=dark; consent=yes; uid={UUID}").into_bytes()
}

/// A browser's headers, the unit in a cookie.
fn browser(cookie: &[u8]) -> Vec<(&[u8], &[u8])> {
    vec![
        (b":authority", b"shop.example"),
        (b":path", b"/checkout/cart?step=2"),
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"accept-language", b"en-GB,en;q=0.7,de;q=0.3"),
        (b"accept-encoding", b"gzip, deflate, br, zstd"),
        (b"referer", b"https://shop.example/"),
        (b"cookie", cookie),
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"x-request-id", b"6f1c0a52-2c8f-4a57-9a3e-4d4b1e1f5b8f"),
    ]
}

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
