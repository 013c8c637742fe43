//! `cargo xtask bench engine`: criterion's benches of the engine.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use crate::record::{date, keep, machine};
use splitway_tools::shell;

/// Criterion's arguments: short, because medians settle long before the defaults end.
const QUICK: [&str; 6] = ["--warm-up-time", "0.5", "--measurement-time", "1.5", "--sample-size", "50"];

pub(super) fn run() -> Result<()> {
    let arguments = [
        "bench",
        "--package",
        "splitway-benches",
        "--features",
        "peers",
        "--bench",
        "engine",
        "--",
        "--noplot",
    ];
    let arguments = [&arguments[..], &QUICK].concat();
    let said = shell::output(shell::cargo(&arguments)?)?;
    let rows = rows(&said);
    ensure!(!rows.is_empty(), "criterion printed no times:\n{said}");
    let report = report(&format!("cargo {}", arguments.join(" ")), &date()?, &rows);
    keep("engine.md", &report)?;
    print!("{report}");
    Ok(())
}

/// A bench's name and criterion's lower bound, median estimate and upper bound.
type Row = (String, [String; 3]);

/// The rows of criterion's plain output: `name  time:   [1.0 ns 1.1 ns 1.2 ns]`, the name alone on
/// the line before where it is long.
fn rows(said: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut before = "";
    for line in said.lines() {
        if let Some((name, times)) = line.split_once("time:") {
            let name = if name.trim().is_empty() { before } else { name.trim() };
            let words: Vec<&str> = times.trim().trim_matches(['[', ']']).split_whitespace().collect();
            if let [low, low_unit, middle, middle_unit, high, high_unit] = words[..] {
                let times = [(low, low_unit), (middle, middle_unit), (high, high_unit)];
                rows.push((name.to_owned(), times.map(|(number, unit)| format!("{number} {unit}"))));
            }
        }
        before = line.trim();
    }
    rows
}

fn report(command: &str, date: &str, rows: &[Row]) -> String {
    let mut text = format!("# Engine benches, {date}\n\n");
    let _ = writeln!(text, "Command: `{command}`\n");
    let _ = writeln!(text, "Machine: {}\n", machine());
    text.push_str("Criterion's 95 % interval; the middle is its estimate of one iteration.\n\n");
    text.push_str("| bench | low | estimate | high |\n|---|--:|--:|--:|\n");
    for (name, [low, middle, high]) in rows {
        let _ = writeln!(text, "| {name} | {low} | {middle} | {high} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_short_and_long_names() {
        let said = "experiments/1           time:   [53.1 ns 53.5 ns 54.0 ns]\n\
                    side by side, 100 experiments/unleash-yggdrasil 0.21.7\n\
                    \x20                       time:   [1.0 µs 1.1 µs 1.2 µs]\n\
                    Found 3 outliers among 50 measurements (6.00%)\n";
        let rows = rows(said);
        assert_eq!(rows[0], ("experiments/1".into(), ["53.1 ns", "53.5 ns", "54.0 ns"].map(String::from)));
        assert_eq!(rows[1].0, "side by side, 100 experiments/unleash-yggdrasil 0.21.7");
        assert_eq!(rows[1].1[1], "1.1 µs");
    }
}
