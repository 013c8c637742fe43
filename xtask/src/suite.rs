//! Runs every test of the workspace and sums up.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use splitway_tools::{edge, setup, shell, wasm};

/// Builds what the tests need, runs them, and ends with `N passed, N failed, N skipped`.
pub(crate) fn run() -> Result<()> {
    setup::setup()?;
    wasm::build()?;
    edge::build()?;
    // Without --no-fail-fast the first failing test program would hide the others.
    let mut command = shell::cargo(&["test", "--workspace", "--no-fail-fast"])?;
    let mut cargo = command.stdout(Stdio::piped()).spawn()?;
    let stdout = cargo.stdout.take().context("cargo has no output")?;

    let mut sum = Summary::default();
    let mut out = std::io::stdout();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        sum.add(&String::from_utf8_lossy(&line));
    }
    let status = cargo.wait()?;
    println!();
    println!("{}", sum.line());
    if !status.success() || sum.failed > 0 {
        bail!("cargo test ended with {status}");
    }
    if sum.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// What the test programs reported.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u64,
    failed: u64,
    /// Marked `#[ignore]`.
    ignored: u64,
    /// Passed as far as the test harness knows, but did nothing: see `splitway_envoy::skip`.
    did_nothing: u64,
}

impl Summary {
    fn add(&mut self, line: &str) {
        // Not at the start: the harness may have begun a line of its own.
        if line.contains("SKIPPED: ") {
            self.did_nothing += 1;
        }
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        // "ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s"
        let words: Vec<&str> = counts.split([' ', ';']).collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed.saturating_sub(self.did_nothing),
            self.failed,
            self.ignored + self.did_nothing,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_programs_are_summed_and_a_skip_is_no_pass() {
        let mut sum = Summary::default();
        for line in [
            "running 12 tests",
            "test a ... SKIPPED: varnish: not on PATH: apt-get install varnish",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s",
        ] {
            sum.add(line);
        }
        assert_eq!(sum.line(), "14 passed, 2 failed, 2 skipped");
    }
}
