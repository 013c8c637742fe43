//! `cargo xtask`: installs the tools, builds the filter, runs the demo, the tests and CI.
//!
//! Rust and not shell, so that what a newcomer runs first works the same everywhere Envoy does. Thin, so that it is
//! there in seconds: what needs a client, a server or a proxy is a program of its own, compiled when it is asked for.

mod ci;
mod licences;
mod oci;
mod suite;
mod vectors;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use splitway_tools::{edge, setup, shell, wasm};

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
    Demo(Rest),
    /// Run every test, those on a real Envoy included.
    Test,
    /// Measure, and keep the numbers under benches/runs/.
    Bench(Rest),
    /// Pack the filter as an OCI image under target/oci, as Istio expects it; no daemon is needed.
    Oci,
    /// Make fresh bucketing vectors with the systems' own SDKs and compare.
    Vectors,
    /// What CI runs: formatting, lints, docs, licences, examples, the demo, the tests.
    Ci,
}

/// The arguments of a program in a room of its own, which knows them: `--help` is answered there.
#[derive(Args)]
#[command(disable_help_flag = true)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    shell::report(match Arguments::parse().task {
        Task::Setup => setup::setup(),
        Task::BuildWasm => setup::wasm_target(setup::TARGET).and_then(|()| wasm::build()),
        Task::Edge => setup::wasm_target(setup::EDGE_TARGET).and_then(|()| edge::build().map(|_| ())),
        Task::Fastly => shell::start("splitway-viceroy", &[]),
        Task::Demo(rest) => shell::start("splitway-demo", &rest.arguments),
        Task::Test => suite::run(),
        Task::Bench(rest) => shell::start("splitway-bench-runner", &rest.arguments),
        Task::Oci => oci::run(),
        Task::Vectors => vectors::run(shell::root()),
        Task::Ci => ci::run(),
    })
}
