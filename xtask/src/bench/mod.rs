//! Runs benches and keeps what they said: numbers, command, machine.

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
mod process;
mod rig;
mod size;
mod soak;
mod start;
mod svg;
mod wasm;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::shell;

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
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

/// Runs a bench and writes `benches/runs/<date>/<name>.md`.
pub(crate) fn run(bench: Bench) -> Result<()> {
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

/// Writes a file into today's folder of runs.
fn keep(name: &str, text: &str) -> Result<PathBuf> {
    let folder = shell::root().join("benches/runs").join(date()?);
    fs::create_dir_all(&folder)?;
    let file = folder.join(name);
    fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}

fn date() -> Result<String> {
    first_line("date", &["-u", "+%F"])
}

/// Processor, cores, load and compiler; what cannot be found out is left out.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    let compiler = first_line("rustc", &["--version"]).unwrap_or_default();
    format!(
        "{}, {cores} cores, load {load} at the end, {compiler}, {}",
        model.unwrap_or("unknown processor"),
        std::env::consts::OS
    )
}

fn first_line(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(shell::output(command)?.lines().next().unwrap_or_default().to_owned())
}

/// The middle value; of an even number, the mean of the two in the middle. 0 for none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The value at `share` per cent, by nearest rank: 0 is the least, 100 the largest. 0 for none.
fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among what fits in memory"
    )]
    let rank = (share / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn percentiles() {
        let values: Vec<f64> = (1..=50).rev().map(f64::from).collect();
        assert_eq!([0.0, 50.0, 99.0, 100.0].map(|share| percentile(&values, share)), [1.0, 25.0, 50.0, 50.0]);
        assert_eq!(percentile(&[], 50.0), 0.0);
    }
}
