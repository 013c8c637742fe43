//! `cargo xtask`: installs the tools, builds the filter, runs the demo, the tests and CI.
//!
//! Rust and not shell, so that what a newcomer runs first works the same everywhere Envoy does and
//! shares the rig with the tests.

mod bench;
mod ci;
mod cut;
mod demo;
mod edge;
mod fastly;
mod licences;
mod oci;
mod setup;
mod shell;
mod suite;
mod vectors;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, shows and tests Splitway.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the other tasks need: the wasm targets, and Envoy and workerd under target/tools/.
    Setup,
    /// Compile the filter to target/wasm32-wasip1/wasm/splitway_filter.wasm.
    BuildWasm,
    /// Compile the edge build and lay out its npm package in target/edge/pkg.
    Edge,
    /// Compile the Fastly Compute example, and try it on viceroy where that is installed.
    Fastly,
    /// Split real traffic in a real Envoy, then roll the experiment back under load.
    Demo {
        /// Leave the proxy up until Ctrl-C, to try it with curl.
        #[arg(long)]
        keep: bool,
    },
    /// Run every test, those on a real Envoy included.
    Test,
    /// Measure, and keep the numbers under benches/runs/.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Pack the filter as an OCI image under target/oci, as Istio expects it; no daemon is needed.
    Oci,
    /// Make fresh bucketing vectors with the systems' own SDKs and compare.
    Vectors,
    /// What CI runs: formatting, lints, docs, licences, examples, the demo, the tests.
    Ci,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup => setup::setup(),
        Task::BuildWasm => setup::wasm_target(setup::TARGET).and_then(|()| wasm::build()),
        Task::Edge => setup::wasm_target(setup::EDGE_TARGET).and_then(|()| edge::build().map(|_| ())),
        Task::Fastly => fastly::run(),
        Task::Demo { keep } => demo::run(keep),
        Task::Test => suite::run(),
        Task::Bench(bench) => bench::run(bench),
        Task::Oci => oci::run(),
        Task::Vectors => vectors::run(shell::root()),
        Task::Ci => ci::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
