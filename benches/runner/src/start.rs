//! `cargo xtask bench start`: how long a new config takes to act, by its size.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;
use splitway_benches::documents;
use splitway_envoy::{Call, Envoy, EnvoyConfig, Upstream, eventually};

use crate::numbers::median;
use crate::process;
use crate::record::{date, keep, machine};
use splitway_tools::{setup, wasm};

/// How often.
#[derive(Args)]
pub(crate) struct Options {
    /// Swaps for each size.
    #[arg(long, default_value_t = 9)]
    repetitions: u32,
}

const SIZES: [usize; 4] = [1, 10, 100, 1_000];

/// Swaps configs in a running Envoy and keeps the table.
pub(super) fn run(options: &Options) -> Result<()> {
    setup::setup()?;
    setup::wasm_target(setup::TARGET)?;
    wasm::build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let table = runtime.block_on(measure(options))?;
    let report = format!(
        "# Config swaps, {}\n\nCommand: `cargo xtask bench start --repetitions {}`\n\nMachine: {}\n\n{table}",
        date()?,
        options.repetitions,
        machine()
    );
    keep("start.md", &report)?;
    print!("{report}");
    Ok(())
}

/// `count` experiments; the first one's stamp tells the version of the config.
fn document(count: usize, version: u32) -> String {
    let mut document = documents::layers(count);
    let variant = format!("v{version}");
    document["experiments"][0]["variants"] = json!([{ "id": variant }]);
    document.to_string()
}

async fn measure(options: &Options) -> Result<String> {
    let mut text = format!(
        "Medians of {} swaps. Effective: from the rename in the watched folder until a request that is sent \
         again and again, on one connection, comes back with the new config's stamp; one worker. Served: \
         requests meanwhile, every one answered with 200.\n\n\
         | experiments | bytes | effective ms | slowest ms | requests served | MiB |\n|--:|--:|--:|--:|--:|--:|\n",
        options.repetitions
    );
    let v1 = Upstream::start("v1")?;
    let v2 = Upstream::start("v2")?;
    for size in SIZES {
        let config = EnvoyConfig { workers: 1, ..EnvoyConfig::new(document(size, 0), &v1, &v2) };
        let envoy = Envoy::start(config).await?;
        let client = envoy.http1();
        let call = Call::get("/checkout").header("cookie", "uid=u-1");
        let mut delays = Vec::new();
        let mut served = 0_u32;
        for version in 0..=options.repetitions {
            let wanted = format!("v{version}");
            let document = document(size, version);
            // The first one is there from the start.
            let swapped = if version == 0 { Instant::now() } else { envoy.swap(&document)? };
            eventually("the new config", async || {
                let answer = client.send(&call).await?;
                ensure!(answer.status == 200, "status {}", answer.status);
                served += u32::from(version > 0);
                Ok((answer.variant("e0") == Some(&*wanted)).then_some(()))
            })
            .await?;
            if version > 0 {
                delays.push(swapped.elapsed().as_secs_f64() * 1e3);
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "KiB of a process")]
        let memory = process::resident(envoy.process_id())? as f64 / 1024.0;
        let slowest = delays.iter().copied().fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "| {size} | {} | {:.1} | {slowest:.1} | {served} | {memory:.1} |",
            document(size, 0).len(),
            median(delays),
        );
    }
    Ok(text)
}
