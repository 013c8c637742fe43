//! `cargo xtask bench wasm`: what the compiled filter costs, counted.

use anyhow::Result;

use super::{date, keep, machine, size};
use crate::{setup, shell, wasm};

pub(super) fn run() -> Result<()> {
    setup::wasm_target(setup::TARGET)?;
    let named = wasm::build_named()?;
    let arguments = ["run", "--quiet", "--package", "splitway-costs", "--example", "wasm"];
    let counts = shell::output(shell::cargo(&arguments)?)?;
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
