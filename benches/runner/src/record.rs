//! Keeps what was measured below `benches/runs`: when, by which command, on which machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use splitway_tools::shell;

/// Writes a file into today's folder of runs.
pub(crate) fn keep(name: &str, text: &str) -> Result<PathBuf> {
    let folder = shell::root().join("benches/runs").join(date()?);
    fs::create_dir_all(&folder)?;
    let file = folder.join(name);
    fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}

pub(crate) fn date() -> Result<String> {
    first_line("date", &["-u", "+%F"])
}

/// Processor, cores, load and compiler; what cannot be found out is left out.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    let compiler = first_line("rustc", &["--version"]).unwrap_or_default();
    format!(
        "{}, {cores} cores, load {load} at the end, {compiler}, {}",
        model.unwrap_or("unknown processor"),
        std::env::consts::OS
    )
}

fn first_line(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(shell::output(command)?.lines().next().unwrap_or_default().to_owned())
}
