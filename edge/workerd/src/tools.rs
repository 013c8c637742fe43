//! Where workerd and the package are. `cargo xtask setup` and `cargo xtask edge` put them there.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use splitway_envoy::tools::target_dir;

/// The binary that npm has for this machine.
///
/// # Errors
/// When it is not installed, naming the command that does it.
pub fn workerd() -> Result<PathBuf> {
    let vendor = target_dir()?.join("tools/edge/node_modules/@cloudflare");
    for entry in fs::read_dir(&vendor).into_iter().flatten() {
        let binary = entry?.path().join("bin/workerd");
        if binary.is_file() {
            return Ok(binary);
        }
    }
    bail!("no workerd below {}: run `cargo xtask setup`", vendor.display())
}

/// The npm package of the edge build.
///
/// # Errors
/// When it is not built, naming the command that builds it.
pub fn package() -> Result<PathBuf> {
    let package = target_dir()?.join("edge/pkg");
    if !package.join("provenance.json").is_file() {
        bail!("{} is not built: run `cargo xtask edge`", package.display());
    }
    Ok(package)
}
