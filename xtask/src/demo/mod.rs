//! `cargo xtask demo`: real traffic through a real Envoy, every number checked against the engine.

mod check;
mod keep;
mod oracle;
mod report;
mod swap;
mod traffic;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use splitway_envoy::{Envoy, EnvoyConfig, Upstream, eventually, tools};
use tokio::signal::unix::{SignalKind, signal};

use crate::demo::oracle::Oracle;
use crate::demo::report::Report;
use crate::{setup, shell, wasm};

const CONFIG: &str = "examples/checkout/splitway.yaml";

/// Where requests go that no variant routes elsewhere: the default route of `bootstrap.yaml`.
const DEFAULT_CLUSTER: &str = "checkout-v1";

/// Installs, builds, and runs the demo; `keep` leaves the proxy up afterwards.
pub(crate) fn run(keep: bool) -> Result<()> {
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

fn folder() -> Result<PathBuf> {
    let folder = tools::target_dir()?.join("demo");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The demo edits its config, so it works on a copy.
struct WorkingCopy {
    path: PathBuf,
}

impl WorkingCopy {
    fn create() -> Result<Self> {
        let path = folder()?.join("splitway.yaml");
        let original = shell::root().join(CONFIG);
        fs::copy(&original, &path).with_context(|| original.display().to_string())?;
        Ok(Self { path })
    }

    fn read(&self) -> Result<String> {
        fs::read_to_string(&self.path).with_context(|| self.path.display().to_string())
    }

    /// The edit that an operator would make: one word.
    fn roll_back(&self) -> Result<String> {
        let (from, to) = ("status: running", "status: rolled_back");
        let text = self.read()?;
        if text.matches(from).count() != 1 {
            bail!("{CONFIG} should say `{from}` exactly once");
        }
        let text = text.replace(from, to);
        fs::write(&self.path, &text)?;
        Ok(text)
    }
}
