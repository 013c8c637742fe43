//! What CI runs, in the order in which a mistake is cheapest to find; the tests come last, so that
//! the output ends with their summary.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::{demo, licences, setup, shell, suite, wasm};

/// Runs every check, stopping at the first that fails.
pub(crate) fn run() -> Result<()> {
    step("formatting", || cargo(&["fmt", "--all", "--check"]))?;
    step("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // The hostcalls and entry points exist for the wasm target only.
    step("lints of the filter", || {
        setup::wasm_target()?;
        let package = ["clippy", "--package", "splitway-filter", "--target", setup::TARGET];
        cargo(&[package.as_slice(), &["--", "-D", "warnings"]].concat())
    })?;
    step("docs", || {
        let mut doc = shell::cargo(&["doc", "--workspace", "--no-deps"])?;
        doc.env("RUSTDOCFLAGS", "-D warnings");
        shell::run(doc)
    })?;
    step("licences", licences)?;
    step("tools", || setup::setup().and_then(|()| wasm::build()))?;
    step("examples", examples)?;
    step("demo", || demo::run(false))?;
    step("tests", suite::run)
}

fn step(name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    let result = check().with_context(|| format!("CI step \"{name}\" failed"));
    if name != "tests" {
        println!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    }
    result
}

fn cargo(arguments: &[&str]) -> Result<()> {
    shell::run(shell::cargo(arguments)?)
}

/// cargo-deny where it is installed (it also finds yanked and doubled crates); otherwise the
/// licences alone, which need nothing but cargo.
fn licences() -> Result<()> {
    let installed = Command::new("cargo-deny").arg("--version").output();
    if installed.is_ok_and(|output| output.status.success()) {
        return cargo(&["deny", "check", "bans", "licenses", "sources"]);
    }
    println!(
        "cargo-deny is not installed, so its bans and sources are not checked (cargo install cargo-deny)"
    );
    licences::check()
}

/// Every program in examples/examples/.
fn examples() -> Result<()> {
    let folder = shell::root().join("examples/examples");
    if !folder.is_dir() {
        println!("no example programs yet");
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().context("an example without a name")?;
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    for name in names {
        cargo(&["run", "--package", "splitway-examples", "--example", &name])?;
    }
    Ok(())
}
