//! Compiles the filter and keeps it small.

use std::fs;

use anyhow::{Result, bail};
use splitway_envoy::tools;

use crate::setup::TARGET;
use crate::shell;

/// Every proxy of a fleet fetches and compiles the module, so its size is a promise.
const MAX_BYTES: u64 = 300_000;

/// Builds `splitway_filter.wasm` and prints its size.
pub(crate) fn build() -> Result<()> {
    shell::run(shell::cargo(&[
        "build",
        "--profile",
        "wasm",
        "--target",
        TARGET,
        "--package",
        "splitway-filter",
    ])?)?;
    let wasm = tools::filter_wasm()?;
    let bytes = fs::metadata(&wasm)?.len();
    println!("{}: {bytes} bytes of at most {MAX_BYTES}", wasm.display());
    if bytes >= MAX_BYTES {
        bail!("the filter is {bytes} bytes, and must stay below {MAX_BYTES}");
    }
    Ok(())
}
