//! `splitway assign` over a million ids, beside another public engine that reads and writes the same way.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use splitway_envoy::tools;

use splitway_tools::shell;

use crate::record;

const IDS: u32 = 1_000_000;
const RUNS: usize = 7;

const CONFIG: &str = "version: 1
unit: [{ header: x-user-id }]
experiments:
  - { id: button, variants: [{ id: a, weight: 50 }, { id: b, weight: 50 }] }
";

pub(super) fn run() -> Result<()> {
    shell::run(shell::cargo(&["build", "--release", "--package", "splitway", "--no-default-features"])?)?;
    let peer = ["--package", "splitway-benches", "--features", "peers", "--example", "assign_peer"];
    shell::run(shell::cargo(&[&["build", "--release"], &peer[..]].concat())?)?;
    let folder = tempfile::tempdir()?;
    let (ids, config) = (folder.path().join("ids"), folder.path().join("splitway.yaml"));
    fs::write(&config, CONFIG)?;
    let mut file = BufWriter::new(File::create(&ids)?);
    for number in 0..IDS {
        // As long as a UUID.
        writeln!(file, "{number:08x}-5f3a-4c1e-9b7d-{number:012x}")?;
    }
    file.into_inner()?;
    let release = tools::target_dir()?.join("release");
    let mut times = [Vec::new(), Vec::new()];
    // Interleaved, so that a busy moment meets both.
    for _ in 0..RUNS {
        let mut ours = Command::new(release.join("splitway"));
        ours.args(["assign", "--config"]).arg(&config);
        times[0].push(timed(ours, &ids, folder.path())?);
        times[1].push(timed(Command::new(release.join("examples/assign_peer")), &ids, folder.path())?);
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort();
        times
    });
    let mut text = format!("# splitway assign, {}\n\n", record::date()?);
    let _ = writeln!(text, "Command: `cargo xtask bench assign`\n\nMachine: {}\n", record::machine());
    let _ = writeln!(
        text,
        "{IDS} ids of 36 bytes from a file, rows to a file, one experiment, one thread; {RUNS} runs of each, in turn. The \
         peer's rows have neither bucket nor reason.\n"
    );
    text.push_str("| | fastest | median | slowest | ids a second (median) | of eppo_core's time |\n|---|--:|--:|--:|--:|--:|\n");
    for (name, times) in [("splitway assign", &ours), ("eppo_core 10.0.0", &theirs)] {
        let median = times[RUNS / 2].as_secs_f64();
        let _ = writeln!(
            text,
            "| {name} | {:.3} s | {median:.3} s | {:.3} s | {:.0} | {:.2} |",
            times[0].as_secs_f64(),
            times[RUNS - 1].as_secs_f64(),
            f64::from(IDS) / median,
            median / theirs[RUNS / 2].as_secs_f64(),
        );
    }
    record::keep("assign.md", &text)?;
    print!("{text}");
    Ok(())
}

/// How long a program takes from `ids` to rows.
fn timed(mut command: Command, ids: &Path, folder: &Path) -> Result<Duration> {
    let rows = folder.join("rows");
    command.stdin(File::open(ids)?).stdout(File::create(&rows)?).stderr(Stdio::inherit());
    let start = Instant::now();
    let status = command.status()?;
    let took = start.elapsed();
    ensure!(status.success(), "{command:?} failed");
    let written = fs::read(&rows)?.iter().filter(|byte| **byte == b'\n').count();
    ensure!(written == IDS as usize, "{written} rows of {IDS}");
    Ok(took)
}
