//! Installs what the other tasks need.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use anyhow::{Context as _, Result};

use crate::shell;

/// The wasm target of the filter. Not wasm32-unknown-unknown: there every VM would get the same
/// hash seed and the clock traps.
pub const TARGET: &str = "wasm32-wasip1";

/// The wasm target of the edge build, whose host is JavaScript.
pub const EDGE_TARGET: &str = "wasm32-unknown-unknown";

/// The wasm targets, Envoy, workerd, a collector, and the engines that the analysis is compared with.
pub fn setup() -> Result<()> {
    envoy()?;
    wasm_target(EDGE_TARGET)?;
    println!("collector: {}", programs::ensure_collector()?.display());
    python("engines", "analysis/tests/engines/requirements.txt")?;
    shell::npm("edge/npm", "edge")?;
    shell::npm("edge/frameworks", "edge-frameworks")?;
    Ok(())
}

/// What the demo needs: the filter's wasm target, and Envoy.
pub fn envoy() -> Result<()> {
    wasm_target(TARGET)?;
    let envoy = programs::ensure_envoy()?;
    println!("Envoy {}: {}", programs::ENVOY_VERSION, envoy.display());
    Ok(())
}

/// The packages of a requirements file in a virtual environment at `target/tools/<name>`, unless they are there; gives its
/// Python.
pub fn python(name: &str, requirements: &str) -> Result<PathBuf> {
    let environment = programs::target_dir()?.join("tools").join(name);
    let python = environment.join("bin/python");
    let requirements = shell::root().join(requirements);
    let wanted = std::fs::read_to_string(&requirements)?;
    let installed = environment.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    eprintln!("installing {} under {}", wanted.trim().replace('\n', ", "), environment.display());
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&environment);
    shell::run(venv).context("python3 with its venv module is needed: apt-get install python3-venv")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"]).arg(requirements);
    shell::run(pip)?;
    std::fs::write(installed, wanted)?;
    Ok(python)
}

/// Adds a wasm target unless it is there.
pub fn wasm_target(target: &str) -> Result<()> {
    if has_target(target)? {
        return Ok(());
    }
    eprintln!("adding the Rust target {target}");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", target]).current_dir(shell::root());
    shell::run(rustup)
        .with_context(|| format!("the Rust target {target} is needed: rustup target add {target}"))
}

/// Asks rustc and not rustup, so that a Rust that came without rustup works too.
fn has_target(target: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", target]).current_dir(shell::root());
    let folder = shell::output(command)?;
    Ok(Path::new(folder.trim()).is_dir())
}
