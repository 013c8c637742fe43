//! `cargo xtask bench wasm`: what the compiled filter costs, counted.

use std::process::Command;

use anyhow::Result;
use splitway_envoy::tools;

use crate::record::{date, keep, machine};
use crate::size;
use splitway_tools::{setup, shell, wasm};

pub(super) fn run() -> Result<()> {
    setup::wasm_target(setup::TARGET)?;
    let named = wasm::build_named()?;
    // With the features of the whole workspace, so that wasmtime is the one that the tests built.
    shell::run(shell::cargo(&["build", "--quiet", "--workspace", "--example", "wasm"])?)?;
    let counts = shell::output(Command::new(tools::target_dir()?.join("debug/examples/wasm")))?;
    let report = format!(
        "# The compiled filter, {}\n\nCommand: `cargo xtask bench wasm`\n\nMachine: {}\n\n{counts}{}",
        date()?,
        machine(),
        size::breakdown(&named)?
    );
    keep("wasm.md", &report)?;
    print!("{report}");
    Ok(())
}
