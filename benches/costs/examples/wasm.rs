//! What the compiled filter costs in wasmtime: instructions and hostcalls by phase, allocations,
//! memory. Exact counts, the same on every machine. `cargo xtask bench wasm` runs it.

#[path = "../tests/costs/measure.rs"]
mod measure;

use measure::{Costs, REQUESTS, Warm};
use splitway_benches::documents::{elsewhere, layers, one_layer, with_header};

/// The exports that a host calls for a request, in order.
const PHASES: [&str; 5] = [
    "proxy_on_context_create",
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    "proxy_on_log",
    "proxy_on_delete",
];

fn main() {
    let (shipped, bytes) = measure::shipped().expect("cargo xtask build-wasm was run");
    let counting = measure::counting();
    let mut rows = Vec::new();
    let documents = [
        ("none", layers(0)),
        ("1", with_header(layers(1))),
        ("10", with_header(layers(10))),
        ("100", with_header(layers(100))),
        ("100 of one layer", with_header(one_layer(100))),
        ("100, none applies", elsewhere(100)),
        ("1000", layers(1_000)),
    ];
    for (name, document) in &documents {
        let mut warm = Warm::start(&shipped, document);
        let memory = warm.memory();
        let costs = warm.costs();
        let allocations = Warm::start(&counting, document).costs().allocations.expect("it counts");
        rows.push((*name, costs, allocations, memory));
    }
    println!("Module: {bytes} bytes\n");
    println!("Means of {REQUESTS} requests of ten headers, each of another unit.\n");
    println!("## Per request\n");
    println!("| experiments | instructions | hostcalls | allocations | memory of a VM, KiB |");
    println!("|---|--:|--:|--:|--:|");
    for (name, costs, allocations, memory) in &rows {
        println!(
            "| {name} | {:.0} | {} | {} | {} |",
            mean(costs.instructions()),
            decimals(costs.hostcalls()),
            decimals(*allocations),
            memory / 1024
        );
    }
    println!("\n## By phase\n");
    println!("| experiments | phase | instructions | hostcalls |\n|---|---|--:|---|");
    for (name, costs, ..) in &rows {
        for phase in PHASES {
            println!("| {name} | {phase} | {} |", by_phase(costs, phase));
        }
    }
}

fn by_phase(costs: &Costs, phase: &str) -> String {
    let Some(cost) = costs.phases.get(phase) else { return "0 | |".to_owned() };
    let calls = cost.hostcalls.iter().map(|(call, count)| format!("{} {}", decimals(*count), call.name()));
    let calls: Vec<String> = calls.map(|call| call.replace("proxy_", "")).collect();
    format!("{:.0} | {}", mean(cost.instructions), calls.join(", "))
}

fn mean(sum: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let sum = sum as f64;
    sum / f64::from(REQUESTS)
}

/// Without decimals where there are none.
fn decimals(sum: u64) -> String {
    let text = format!("{:.2}", mean(sum));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
