//! Where workerd, Deno, the frameworks and the package are. `cargo xtask setup` and `cargo xtask edge` put them there.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use splitway_tools::programs::target_dir;

/// workerd's binary for this machine.
///
/// # Errors
/// When it is not installed, naming the command that does it.
pub fn workerd() -> Result<PathBuf> {
    installed("@cloudflare", "bin/workerd")
}

/// Deno's binary for this machine.
///
/// # Errors
/// When it is not installed, naming the command that does it.
pub fn deno() -> Result<PathBuf> {
    installed("@deno", "deno")
}

/// The folder with the TypeScript compiler and Node's types.
///
/// # Errors
/// When it is not installed, naming the command that does it.
pub fn typescript() -> Result<PathBuf> {
    let modules = target_dir()?.join("tools/edge/node_modules");
    if !modules.join("typescript").is_dir() {
        bail!("nothing below {}: run `cargo xtask setup`", modules.display());
    }
    Ok(modules)
}

/// The folder with the frameworks and the bundler that the package is tried in.
///
/// # Errors
/// When it is not installed, naming the command that does it.
pub fn frameworks() -> Result<PathBuf> {
    let modules = target_dir()?.join("tools/edge-frameworks/node_modules");
    if !modules.join("express").is_dir() {
        bail!("nothing below {}: run `cargo xtask setup`", modules.display());
    }
    Ok(modules)
}

/// esbuild, which builds the package.
///
/// # Errors
/// When it is not installed, naming the command that does it.
pub fn esbuild() -> Result<PathBuf> {
    let program = target_dir()?.join("tools/npm/node_modules/.bin/esbuild");
    if !program.exists() {
        bail!("{} is missing: run `cargo xtask edge`", program.display());
    }
    Ok(program)
}

/// What npm has installed of the vendor's packages, of which one has a binary for this machine.
fn installed(vendor: &str, binary: &str) -> Result<PathBuf> {
    let vendor = target_dir()?.join("tools/edge/node_modules").join(vendor);
    for entry in fs::read_dir(&vendor).into_iter().flatten() {
        let binary = entry?.path().join(binary);
        if binary.is_file() {
            return Ok(binary);
        }
    }
    bail!("nothing below {}: run `cargo xtask setup`", vendor.display())
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
