//! `cargo xtask bench instructions`: what the engine executes, counted by callgrind. The counts
//! hardly depend on the machine, so they can be compared where times cannot.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use splitway_envoy::tools;

use crate::record::{date, keep, machine};
use splitway_tools::shell;

pub(super) fn run() -> Result<()> {
    let found = Command::new("sh").args(["-c", "command -v valgrind"]).output()?;
    ensure!(found.status.success(), "valgrind is needed: apt-get install valgrind");
    let example = ["build", "--quiet", "--release", "--package", "splitway-benches", "--example"];
    shell::run(shell::cargo(&[&example[..], &["instructions"]].concat())?)?;
    let program = tools::target_dir()?.join("release/examples/instructions");
    let cases = shell::output(Command::new(&program))?;
    let mut text = format!(
        "# Instructions of the engine, {}\n\nCommand: `cargo xtask bench instructions`\n\nMachine: {}\n\n\
         Instructions of one decision, or of compiling one config, by callgrind: the difference between \
         two numbers of repetitions.\n\n| case | instructions |\n|---|--:|\n",
        date()?,
        machine()
    );
    for case in cases.lines() {
        // A config takes a million instructions, a decision some hundreds.
        let (few, many) = if case.starts_with("compile/") { (1, 3) } else { (10, 110) };
        let difference =
            counted(&program, case, many)?.checked_sub(counted(&program, case, few)?).context("fewer")?;
        let _ = writeln!(text, "| {case} | {} |", difference / u64::from(many - few));
    }
    keep("instructions.md", &text)?;
    print!("{text}");
    Ok(())
}

/// Instructions of the whole program.
fn counted(program: &Path, case: &str, times: u32) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args([case, &times.to_string()]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed:\n{said}");
    collected(&said).with_context(|| format!("valgrind gave no count:\n{said}"))
}

/// The number behind `Collected :`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valgrinds_count() {
        let said =
            "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n==7== I   refs:      1,234,567\n";
        assert_eq!(collected(said), Some(1_234_567));
        assert_eq!(collected("==7== nothing"), None);
    }
}
