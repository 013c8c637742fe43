//! `cargo xtask bench hostile`: how long the dearest requests keep a worker of a real Envoy.

use std::process::Command;

use anyhow::Result;
use splitway_envoy::tools;

use crate::record::{date, keep, machine};
use splitway_tools::{setup, shell, wasm};

pub(super) fn run() -> Result<()> {
    setup::setup()?;
    setup::wasm_target(setup::TARGET)?;
    wasm::build()?;
    // With the features of the whole workspace, as the tests are built.
    shell::run(shell::cargo(&["build", "--quiet", "--workspace", "--example", "hostile"])?)?;
    let times = shell::output(Command::new(tools::target_dir()?.join("debug/examples/hostile")))?;
    let report = format!(
        "# The dearest requests, {}\n\nCommand: `cargo xtask bench hostile`\n\nMachine: {}\n\n{times}",
        date()?,
        machine()
    );
    keep("hostile.md", &report)?;
    print!("{report}");
    Ok(())
}
