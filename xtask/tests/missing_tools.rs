//! A missing tool is named together with the line that installs it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a task with nothing on PATH but `tools`, and an empty target directory.
fn task(name: &str, tools: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bin");
    fs::create_dir(&path).expect("a folder for the tools");
    for (tool, script) in tools {
        install(&path.join(tool), script);
    }
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg(name)
        .env("PATH", &path)
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .env_remove("RUSTC")
        .env_remove("SPLITWAY_ENVOY")
        .env_remove("ENVOY_BIN")
        .output()
        .expect("xtask runs")
}

fn install(tool: &Path, script: &str) {
    fs::write(tool, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).expect("executable");
}

fn fails_naming(output: &Output, line: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains(line), "{stderr}");
}

/// The script's `echo` names an existing folder: the target is there.
const RUSTC: (&str, &str) = ("rustc", "echo /");

#[test]
fn no_python() {
    let output = task("setup", &[RUSTC]);
    fails_naming(&output, "apt-get install python3-venv");
}

#[test]
fn a_python_without_venv() {
    let python = ("python3", "echo 'No module named venv' >&2; exit 1");
    let output = task("setup", &[RUSTC, python]);
    fails_naming(&output, "apt-get install python3-venv");
}

#[test]
fn no_wasm_target_and_no_rustup() {
    let output = task("setup", &[("rustc", "echo /no/such/folder")]);
    fails_naming(&output, "rustup target add wasm32-wasip1");
}

#[test]
fn no_wasm_target_and_a_rustup_that_cannot_reach_its_server() {
    let tools = [("rustc", "echo /no/such/folder"), ("rustup", "exit 1")];
    let output = task("setup", &tools);
    fails_naming(&output, "rustup target add wasm32-wasip1");
}

#[test]
fn no_npm() {
    let output = task("build-wasm", &[RUSTC]);
    fails_naming(&output, "apt-get install nodejs npm");
}
