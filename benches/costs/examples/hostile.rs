//! How long the dearest requests take in a real Envoy, beside an ordinary one and beside the same requests through
//! a filter without experiments. `cargo xtask bench hostile` runs it.

use std::time::Instant;

use serde_json::json;
use splitway_benches::hostile::cases;
use splitway_envoy::{Call, Client, Collector, Envoy, EnvoyConfig, Origin, Upstream};

/// Requests of each kind, one after the other.
const REQUESTS: usize = 200;

/// Envoy with one worker.
async fn envoy(document: String, origin: &Origin) -> Envoy {
    let nobody = Upstream::start("nobody").expect("a port");
    let mut config = EnvoyConfig::new(document, &nobody, &nobody);
    (config.v1, config.v2, config.workers) = (origin.address(), origin.address(), 1);
    Envoy::start(config).await.expect("Envoy")
}

/// Milliseconds that a request took.
async fn timed(client: &Client, call: &Call) -> f64 {
    let start = Instant::now();
    let answer = client.send(call).await.expect("an answer");
    let took = start.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text());
    took.as_secs_f64() * 1_000.0
}

/// Of sorted values, the least, the one in the middle, and the largest.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0, values.len() / 2, values.len() - 1].map(|at| values[at])
}

#[tokio::main]
async fn main() {
    let origin = Origin::start(Collector::free_address().expect("a port")).await.expect("an upstream");
    let idle = envoy(json!({ "version": 1, "experiments": [] }).to_string(), &origin).await;
    let bare = Call::get("/").header("x-user", "u");
    println!(
        "Round trips of {REQUESTS} requests of each kind in milliseconds, one after the other: least, median, most."
    );
    println!("The filter's part is the difference of the least: what else the machine does is not in it.\n");
    println!(
        "| case | ordinary | hostile, no experiments | hostile | the filter's part |\n|---|--:|--:|--:|--:|"
    );
    let mut worst = ("none", 0.0);
    for case in cases() {
        let busy = envoy(case.document.to_string(), &origin).await;
        let call = |path: &str| {
            case.headers.iter().fold(Call::get(path), |call, (name, value)| call.header(name, value))
        };
        let hostile = call(&case.path);
        let (to_busy, to_idle) = (busy.http1(), idle.http1());
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..REQUESTS {
            times[0].push(timed(&to_busy, &bare).await);
            times[1].push(timed(&to_idle, &hostile).await);
            times[2].push(timed(&to_busy, &hostile).await);
        }
        let [ordinary, without, with] = times.map(spread);
        let part = with[0] - without[0];
        let shown = |[least, median, most]: [f64; 3]| format!("{least:.2} {median:.2} {most:.2}");
        println!(
            "| {} | {} | {} | {} | {part:.2} |",
            case.name,
            shown(ordinary),
            shown(without),
            shown(with)
        );
        if part > worst.1 {
            worst = (case.name, part);
        }
    }
    println!("\nThe dearest is {}: {:.2} ms of a worker.", worst.0, worst.1);
}
