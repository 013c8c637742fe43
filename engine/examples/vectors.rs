//! Compares a directory of vectors with the engine and prints a table: `SPLITWAY_VECTORS_DIR=DIR
//! cargo run -p splitway-engine --example vectors`. `cargo xtask vectors` runs it over fresh ones.

#[path = "../tests/vectors/replay.rs"]
mod replay;

use std::path::PathBuf;

use anyhow::{Context, ensure};

const SHOWN: usize = 10;

fn main() -> anyhow::Result<()> {
    let directory = std::env::var_os("SPLITWAY_VECTORS_DIR").context("SPLITWAY_VECTORS_DIR is not set")?;
    let directory = PathBuf::from(directory);
    let mut total = 0;
    println!("| dialect | units | mismatches | source of truth |");
    println!("|---|---:|---:|---|");
    for dialect in replay::DIALECTS {
        let report = replay::replay(&directory, dialect)?;
        let (units, mismatches) = (report.units, report.mismatches.len());
        println!("| {dialect} | {units} | {mismatches} | {} |", report.source);
        for line in report.mismatches.iter().take(SHOWN) {
            eprintln!("{dialect}, {line}");
        }
        total += mismatches;
    }
    ensure!(total == 0, "{total} mismatches");
    Ok(())
}
