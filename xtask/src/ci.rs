//! What CI runs, in the order in which a mistake is cheapest to find; the tests come last, so that
//! the output ends with their summary.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use splitway_tools::{edge, programs, setup, shell, wasm};

use crate::{licences, suite};

/// Runs every check, stopping at the first that fails.
pub(crate) fn run() -> Result<()> {
    step("formatting", || cargo(&["fmt", "--all", "--check"]))?;
    step("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // The hostcalls and entry points exist for the wasm target only.
    step("lints of the filter", || {
        setup::wasm_target(setup::TARGET)?;
        let package = ["clippy", "--package", "splitway-filter", "--target", setup::TARGET];
        cargo(&[package.as_slice(), &["--", "-D", "warnings"]].concat())
    })?;
    step("lints of the edge build", || {
        setup::wasm_target(setup::EDGE_TARGET)?;
        let package = ["clippy", "--package", "splitway-edge", "--target", setup::EDGE_TARGET];
        cargo(&[package.as_slice(), &["--", "-D", "warnings"]].concat())
    })?;
    step("the light command", light_command)?;
    step("docs", || {
        let mut doc = shell::cargo(&["doc", "--workspace", "--no-deps"])?;
        doc.env("RUSTDOCFLAGS", "-D warnings");
        shell::run(doc)
    })?;
    step("licences", licences)?;
    step("tools", || setup::setup().and_then(|()| wasm::build()).and_then(|()| edge::build().map(|_| ())))?;
    step("examples", examples)?;
    step("demo", || shell::start("splitway-demo", &[]))?;
    // After the demo, whose log one of them reads.
    step("the README's commands", readme)?;
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

/// The command without the features that bring DataFusion and wasmtime: lints, what it depends on, what it refuses.
fn light_command() -> Result<()> {
    let light = ["--package", "splitway", "--no-default-features"];
    let tree = [&["tree", "--edges", "normal", "--prefix", "none"], light.as_slice()].concat();
    let tree = shell::output(shell::cargo(&tree)?)?;
    anyhow::ensure!(tree.contains("splitway-engine"), "cargo tree prints no dependencies:\n{tree}");
    for heavy in ["datafusion", "wasmtime", "tokio"] {
        let found = tree.lines().find(|line| line.starts_with(heavy));
        anyhow::ensure!(found.is_none(), "the light command depends on {found:?}");
    }
    cargo(&[&["clippy"], light.as_slice(), &["--all-targets", "--", "-D", "warnings"]].concat())?;
    cargo(&[&["test"], light.as_slice(), &["--test", "cli", "absent"]].concat())
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

/// Every command of the README's `sh` blocks, but those that are steps of their own.
fn readme() -> Result<()> {
    let text = fs::read_to_string(shell::root().join("README.md"))?;
    for command in shell_lines(&text) {
        if matches!(command, "cargo xtask demo" | "cargo xtask test") {
            continue;
        }
        println!("$ {command}");
        // Where cargo's target folder is another one, so is what the demo left there.
        let command = command.replace(" target/", &format!(" {}/", programs::target_dir()?.display()));
        let mut bash = Command::new("bash");
        bash.args(["-ec", &command]).current_dir(shell::root());
        let printed = shell::output(bash)?;
        anyhow::ensure!(!printed.trim().is_empty(), "`{command}` prints nothing");
        println!("{}", printed.trim_end());
    }
    Ok(())
}

/// The lines of a page's fenced blocks in the language `sh`.
fn shell_lines(markdown: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && !line.trim().is_empty() {
            lines.push(line.trim());
        }
    }
    lines
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_names_the_two_commands_and_more() {
        let text = include_str!("../../README.md");
        let commands = shell_lines(text);
        assert!(commands.contains(&"cargo xtask demo"), "{commands:?}");
        assert!(commands.contains(&"cargo xtask test"), "{commands:?}");
        assert!(commands.len() > 2, "{commands:?}");
    }

    #[test]
    fn the_readmes_config_is_the_examples() {
        let example = include_str!("../../examples/checkout/splitway.yaml");
        let (_, body) = example.split_once('\n').expect("a comment line first");
        assert!(include_str!("../../README.md").contains(body));
    }
}
