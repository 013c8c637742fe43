//! For `cargo xtask bench analyze`: a month of exposures, and the reduction without anything around it.
//!
//! ```text
//! month make FOLDER UNITS FAULT   splitway.yaml and outcomes.csv into FOLDER, exposures to stdout
//! month sql DIALECT               the query
//! month reduce EXPOSURES OUTCOMES what the query gives, as CSV
//! ```

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use splitway_analysis::ingest;
use splitway_analysis::reduce::Tables;
use splitway_analysis::sql::Dialect;
use world::{CONFIG, Faults, World, month, reduction};

#[path = "../tests/world/mod.rs"]
mod world;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder, units, fault] => make(&PathBuf::from(folder), units.parse()?, fault),
        ["sql", name] => {
            let found = Dialect::ALL.into_iter().find(|(known, _)| *known == name);
            println!("{}", reduction().sql(found.ok_or("no such dialect")?.1));
            Ok(())
        }
        ["reduce", exposures, outcomes] => reduce(exposures.into(), outcomes.into()),
        _ => Err("expected make, sql or reduce".into()),
    }
}

fn faults(name: &str) -> Result<Faults> {
    let lift = Faults { lift: 0.08, ..Faults::default() };
    Ok(match name {
        "none" => Faults::default(),
        "lift" => lift,
        "lost-arm" => Faults { lost: 0.05, ..lift },
        "contaminated" => Faults { contaminated: 0.05, ..lift },
        "mixed-up" => Faults { mixed_up: 0.005, ..lift },
        "broken-guardrail" => Faults { failing: Some(0.02), ..lift },
        "lost-hours" => Faults { has_gap: true, ..lift },
        _ => return Err("no such fault".into()),
    })
}

fn make(folder: &std::path::Path, units: u32, fault: &str) -> Result {
    std::fs::write(folder.join("splitway.yaml"), CONFIG)?;
    let mut outcomes = BufWriter::new(File::create(folder.join("outcomes.csv"))?);
    let mut log = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    month(&World::new().plan, units, faults(fault)?, "", true, &mut log, &mut outcomes)?;
    log.flush()?;
    Ok(outcomes.flush()?)
}

/// Text is read into Parquet first, as the command does.
fn reduce(exposures: PathBuf, outcomes: PathBuf) -> Result {
    let folder = tempfile::tempdir()?;
    let quiet = &mut |_: u64, _: u64| {};
    let (mut e, mut o) = (exposures, outcomes);
    if !ingest::is_parquet(&e) {
        let to = folder.path().join("exposures.parquet");
        ingest::exposures(&[e], None, None, &to, quiet)?;
        e = to;
    }
    if !ingest::is_parquet(&o) {
        let to = folder.path().join("outcomes.parquet");
        ingest::outcomes(&[o], None, false, &to, quiet)?;
        o = to;
    }
    let columns = reduction().columns.len();
    let sums: Vec<String> = (0..columns).map(|i| format!("s_{i}")).collect();
    println!("experiment,variant,day,units,in_two,in_progress,outcomes,inside,{}", sums.join(","));
    for group in Tables::open(&[e], &[o], &[])?.reduce(&reduction())? {
        let units = group.moments.count();
        let sums: Vec<String> = (0..columns).map(|i| (group.moments.mean(i) * units).to_string()).collect();
        println!(
            "{},{},{},{units},{},{},{},{},{}",
            group.experiment,
            group.variant,
            group.day,
            group.in_two,
            group.in_progress,
            group.outcomes,
            group.inside,
            sums.join(",")
        );
    }
    Ok(())
}
