//! Running other programs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::programs;
use anyhow::{Context as _, Result, bail};

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A cargo that works at the root and in the target directory that this program came from.
pub fn cargo(arguments: &[&str]) -> Result<Command> {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = Command::new(cargo);
    command
        .args(arguments)
        .current_dir(root())
        // Absolute, because a relative one would mean another folder from a test's point of view.
        .env("CARGO_TARGET_DIR", programs::target_dir()?);
    Ok(command)
}

/// Runs a program to its end, its output going where ours goes.
pub fn run(mut command: Command) -> Result<()> {
    let shown = shown(&command);
    let status = command.status().with_context(|| format!("`{shown}` cannot be run"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Ends a program: an error goes to standard error.
#[must_use]
pub fn report(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a package's program with these arguments: one of the rooms beside `xtask`, which compiles only when it is used.
///
/// # Errors
/// When it cannot be compiled, or fails.
pub fn start(package: &str, arguments: &[OsString]) -> Result<()> {
    let mut command = cargo(&["run", "--quiet", "--package", package, "--"])?;
    command.args(arguments);
    run(command)
}

/// Runs a program and gives what it wrote to standard output.
pub fn output(mut command: Command) -> Result<String> {
    let shown = shown(&command);
    let output = command.output().with_context(|| format!("`{shown}` cannot be run"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed: {}\n{}", output.status, stderr.trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Installs the packages of the lock file in the repository's folder `manifest` below `target/tools/<name>`, unless
/// they are there; gives their `node_modules`. No package's install script runs.
pub fn npm(manifest: &str, name: &str) -> Result<PathBuf> {
    let folder = programs::target_dir()?.join("tools").join(name);
    let modules = folder.join("node_modules");
    let manifest = root().join(manifest);
    fs::create_dir_all(&folder)?;
    let lock = fs::read(manifest.join("package-lock.json"))?;
    let installed = folder.join("package-lock.json");
    if modules.exists() && fs::read(&installed).ok().as_ref() == Some(&lock) {
        return Ok(modules);
    }
    eprintln!("installing {} from npm under {}", manifest.display(), folder.display());
    fs::copy(manifest.join("package.json"), folder.join("package.json"))?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    fs::write(&installed, &lock)?;
    if let Err(error) = run(npm) {
        // What this does not remove, the next run would take for complete.
        let _ = fs::remove_file(&installed);
        return Err(error).context("npm is needed (it comes with Node 20): apt-get install nodejs npm");
    }
    Ok(modules)
}

/// As a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
