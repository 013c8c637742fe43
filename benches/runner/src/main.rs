//! `cargo xtask bench`: runs benches and keeps what they measured: numbers, command, machine.

mod analyze;
mod assign;
mod cases;
mod chaos;
mod edge;
mod engine;
mod envoy;
mod hostile;
mod instructions;
mod kill;
mod load;
mod numbers;
mod process;
mod record;
mod rig;
mod size;
mod soak;
mod start;
mod svg;
mod wasm;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use splitway_tools::shell;

/// Measures, and keeps the numbers below benches/runs.
#[derive(Parser)]
#[command(name = "bench", bin_name = "cargo xtask bench")]
enum Bench {
    /// Decisions natively, beside other engines (criterion).
    Engine,
    /// The analysis of ten million exposures, beside DuckDB, polars and ClickHouse; and of months with faults.
    Analyze(analyze::Options),
    /// `splitway assign` over a million ids, beside another engine.
    Assign,
    /// Instructions of decisions and of compiling configs, by callgrind.
    Instructions,
    /// Requests through a real Envoy under load, beside what people use instead.
    Envoy(envoy::Options),
    /// How long a new config takes to act, by its size.
    Start(start::Options),
    /// Decisions in workerd and Node, beside another engine; and what takes the edge build's bytes.
    Edge,
    /// How long the kill switch takes to reach every worker, under load.
    Kill(kill::Options),
    /// Memory and latency of an Envoy that runs for long, under load.
    Soak(soak::Options),
    /// Kills collector and upstreams and swaps good and bad configs at random, under load; then the counts must
    /// add up.
    Chaos(chaos::Options),
    /// The dearest requests that a client can send, in a real Envoy.
    Hostile,
    /// The compiled filter: instructions, hostcalls, allocations, memory, size. Exact counts.
    Wasm,
}

fn main() -> ExitCode {
    shell::report(run(Bench::parse()))
}

/// Runs a bench and writes `benches/runs/<date>/<name>.md`.
fn run(bench: Bench) -> Result<()> {
    match bench {
        Bench::Engine => engine::run(),
        Bench::Analyze(options) => analyze::run(&options),
        Bench::Assign => assign::run(),
        Bench::Instructions => instructions::run(),
        Bench::Envoy(options) => envoy::run(&options),
        Bench::Start(options) => start::run(&options),
        Bench::Edge => edge::run(),
        Bench::Kill(options) => kill::run(&options),
        Bench::Soak(options) => soak::run(&options),
        Bench::Chaos(options) => chaos::run(&options),
        Bench::Hostile => hostile::run(),
        Bench::Wasm => wasm::run(),
    }
}
