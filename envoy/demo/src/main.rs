//! `cargo xtask demo`: real traffic through a real Envoy, every number checked against the engine.

mod check;
mod keep;
mod oracle;
mod report;
mod swap;
mod traffic;
mod working_copy;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use splitway_envoy::{Envoy, EnvoyConfig, Upstream, eventually};
use tokio::signal::unix::{SignalKind, signal};

use crate::oracle::Oracle;
use crate::report::Report;
use crate::working_copy::{CONFIG, DEFAULT_CLUSTER, WorkingCopy, folder};
use splitway_tools::{setup, shell, wasm};

/// Splits real traffic in a real Envoy, then rolls the experiment back under load.
#[derive(Parser)]
#[command(name = "demo", bin_name = "cargo xtask demo")]
struct Arguments {
    /// Leave the proxy up until Ctrl-C, to try it with curl.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    shell::report(run(Arguments::parse().keep))
}

/// Installs, builds, and runs the demo; `keep` leaves the proxy up afterwards.
fn run(keep: bool) -> Result<()> {
    setup::envoy()?;
    wasm::build()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // On a signal the demo is dropped half-way, and everything it started with it.
        tokio::select! {
            biased; // with --keep, Ctrl-C is the demo's own good end
            result = demo(keep) => result,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        }
    })
}

/// What Envoy logged, exposures included.
const LOG: &str = "envoy.log";

async fn demo(keep: bool) -> Result<()> {
    let config = WorkingCopy::create()?;
    let oracle = Oracle::new(&config.read()?).with_context(|| CONFIG)?;
    let v1 = Upstream::start(DEFAULT_CLUSTER)?;
    let v2 = Upstream::start("checkout-v2")?;
    let envoy = Envoy::start(EnvoyConfig::new(oracle.document(), &v1, &v2)).await?;
    println!(
        "Envoy on http://{}, {} on {}, {} on {}\n",
        envoy.address(),
        v1.name(),
        v1.address(),
        v2.name(),
        v2.address()
    );

    let requests = traffic::send(&envoy).await?;
    let wanted = check::expected_exposures(&oracle, &requests)?;
    // The log phase runs after the client has its answer. What is missing at the deadline is a
    // disagreement, shown in the table like any other.
    let arrived = eventually("every exposure to be logged", async || {
        Ok((envoy.exposures()?.len() >= wanted).then_some(()))
    });
    if let Err(error) = arrived.await {
        eprintln!("{error:#}");
    }
    let (mut report, mut problems) = check::compare(&oracle, &requests, &envoy.exposures()?)?;
    report.print();
    // Before the rollback, so that every exposure is of one config.
    fs::write(folder()?.join(LOG), envoy.log()?)?;

    let swap = swap::kill_under_load(&envoy, &oracle, &config).await?;
    swap.print();
    problems.extend(swap.problems());
    report.swap_ms = Some(swap.delay_ms());
    report.failed += swap.failed;
    write_summary(&report)?;

    if !problems.is_empty() {
        bail!("the demo disagrees with its plan:\n  {}", problems.join("\n  "));
    }
    println!("\nEverything agrees with the plan.");
    if keep {
        keep::until_interrupted(&envoy).await?;
    }
    Ok(())
}

fn write_summary(report: &Report) -> Result<()> {
    let path = folder()?.join("summary.json");
    fs::write(&path, format!("{:#}\n", report.to_json()))?;
    println!("The same numbers: {}", path.display());
    println!("Its log, for `splitway analyze`: {}", path.with_file_name(LOG).display());
    Ok(())
}
