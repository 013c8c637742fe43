//! What targets of `splitway render` have in common on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use splitway_deploy::{FailurePolicy, Files};

use crate::outcome::{Exit, Failure, Outcome, print};

/// What every target needs.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Compiled filter [default: $SPLITWAY_WASM, else the one that `cargo xtask build-wasm` built]
    #[arg(long, value_name = "FILE")]
    pub(crate) wasm: Option<PathBuf>,
}

/// Where files go.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Folder to write to; files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Write nothing; exit 1 if the folder's files differ from what would be written
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnTrap {
    /// 503 while the filter restarts, about a second
    Reload,
    /// Requests pass; the filter stays off until the next config
    Open,
    /// 503 until the next config
    Closed,
}

impl From<OnTrap> for FailurePolicy {
    fn from(on_trap: OnTrap) -> Self {
        match on_trap {
            OnTrap::Reload => Self::Reload,
            OnTrap::Open => Self::Open,
            OnTrap::Closed => Self::Closed,
        }
    }
}

impl Output {
    /// Writes `files` and prints their paths and what to do `next`; or compares only, with --check.
    pub(super) fn write(&self, files: &Files, next: &str) -> Outcome {
        if self.check {
            return self.compare(files);
        }
        files
            .write(&self.out)
            .map_err(|(path, error)| Failure::Usage(format!("{}: {error}", path.display())))?;
        let mut lines: Vec<String> =
            files.paths().map(|path| self.out.join(path).display().to_string()).collect();
        lines.push(next.to_owned());
        print(&lines.join("\n"))
    }

    fn compare(&self, files: &Files) -> Outcome {
        let stale: Vec<String> = files
            .stale(&self.out)
            .map(|path| format!("{} differs from what the config renders", path.display()))
            .collect();
        if stale.is_empty() {
            return print(&format!("{} files match the config", files.paths().count()));
        }
        print(&stale.join("\n"))?;
        Ok(Exit::Problems)
    }
}

/// What is a name of every kind of object, with room for `-experiments` and such.
pub(super) fn object_name(text: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = |c: char| c != '-';
    if text.len() <= 50 && text.chars().all(is_inner) && text.starts_with(ends) && text.ends_with(ends) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 50 of a-z, 0-9 and `-`, not at an end".to_owned())
}
