//! The printed query, run by the engines that it is printed for, gives the embedded engine's numbers.
//!
//! `cargo xtask setup` installs DuckDB, chDB and sqlglot below `target/tools/engines`; PostgreSQL is Debian's. Spark is half
//! a gigabyte and wants Java, so its test is behind the feature `spark`; `SPLITWAY_SPARK_PYTHON` names a Python with pyspark.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use splitway_analysis::metric::{Cap, Columns, Metric};
use splitway_analysis::reduce::{self, Group};
use splitway_analysis::sql::{Dialect, Reduction};
use world::{Faults, World, reduction};

mod world;

const UNITS: u32 = 3000;

/// The Python of `cargo xtask setup`, if `module` is in it.
fn python(test: &str, module: &str) -> Option<PathBuf> {
    let python = splitway_envoy::tools::target_dir().unwrap().join("tools/engines/bin/python");
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    splitway_envoy::skip::skip(test, &format!("no {module}: cargo xtask setup installs it"));
    None
}

fn run(python: &Path, arguments: &[&str], sql: &str) -> Output {
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/run.py")).args(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The month's reduction, and one that is harder to print: a name to be escaped, bots, no window.
fn reductions() -> [Reduction; 2] {
    let mut odd = Metric::parse(r"odd=sum(it's \ odd)/count(order)").unwrap();
    odd.cap = Some(Cap::At(0.15));
    let mut revenue = Metric::parse("revenue=sum(order)").unwrap();
    revenue.cap = Some(Cap::Percentile(0.97));
    let mut latency = Metric::named("latency_mean");
    latency.cap = Some(Cap::Percentile(0.9));
    let columns = Columns::of(&[odd, revenue, latency], true);
    let hard = Reduction {
        columns,
        window_ms: None,
        most_exposures: Some(2),
        tolerance_ms: 3_600_000,
        ..reduction()
    };
    [reduction(), hard]
}

fn world() -> World {
    let world = World::new();
    world.month(UNITS, Faults { lift: 0.08, contaminated: 0.03, ..Faults::default() });
    // The log's own text is read again with more outcomes and a unit of many exposures.
    let mut outcomes = std::fs::read_to_string(world.path("outcomes.csv")).unwrap();
    for unit in 0..200 {
        outcomes += &format!("2026-12-2{}T00:00:00Z,user-{unit},it's \\ odd,0.1{unit}\n", unit % 9);
    }
    let log = std::fs::read_to_string(world.path("envoy.log")).unwrap();
    let often: String = log.lines().skip(1).take(40).map(|line| format!("{line}\n")).collect();
    world.ingest(&(log + &often), &outcomes);
    world
}

fn compare(test: &str, engine: &str, dialect: Dialect, python: &Path) {
    let world = world();
    let (exposures, outcomes) = (world.path("e.parquet"), world.path("o.parquet"));
    for reduction in reductions() {
        let result = world.path("summary.csv");
        let files = [&exposures, &outcomes, &result].map(|path| path.to_str().unwrap());
        let ran = run(python, &[&[engine], &files[..]].concat(), &reduction.sql(dialect));
        assert!(ran.status.success(), "{test}: {}", String::from_utf8_lossy(&ran.stderr));
        let theirs = reduce::summary(&result, &reduction).unwrap();
        let other = Reduction { before_ms: reduction.before_ms + 1, ..reduction.clone() };
        let refused = reduce::summary(&result, &other).unwrap_err().to_string();
        assert!(refused.contains(&reduction.name()), "{refused}");
        let ours = world.tables().reduce(&reduction).unwrap();
        assert!(ours.iter().map(|group| group.in_two).sum::<f64>() > 50.0);
        same(&theirs, &ours, reduction.columns.len());
        let text = std::fs::read_to_string(&result).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        for (wrong, said) in [
            (format!("{text}{}\n", rows.lines().next().unwrap()), "twice"),
            (format!("{header}\n"), "no rows"),
        ] {
            std::fs::write(&result, wrong).unwrap();
            let refused = reduce::summary(&result, &reduction).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }
}

fn same(theirs: &[Group], ours: &[Group], columns: usize) {
    assert_eq!(theirs.len(), ours.len());
    assert!(theirs.len() > 100);
    for (theirs, ours) in theirs.iter().zip(ours) {
        assert_eq!(
            (&theirs.experiment, &theirs.variant, &theirs.segment, theirs.day, theirs.in_two),
            (&ours.experiment, &ours.variant, &ours.segment, ours.day, ours.in_two)
        );
        assert_eq!(theirs.moments.count(), ours.moments.count());
        for i in 0..columns {
            let (a, b) = (theirs.moments.mean(i), ours.moments.mean(i));
            assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} {b}");
            for j in 0..columns {
                let (a, b) = (theirs.moments.covariance(i, j), ours.moments.covariance(i, j));
                assert!((a - b).abs() <= 1e-8 * b.abs() + 1e-9, "{a} {b}");
            }
            let (a, b) = (theirs.moments.skewness_of(&[(i, 1.0)]), ours.moments.skewness_of(&[(i, 1.0)]));
            assert!(
                a.is_some() == b.is_some() && a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-6),
                "{a:?} {b:?}"
            );
        }
    }
}

#[test]
fn duckdb_gives_the_same_numbers() {
    let test = "duckdb_gives_the_same_numbers";
    let Some(python) = python(test, "duckdb") else { return };
    compare(test, "duckdb", Dialect::DuckDb, &python);
}

/// chDB is ClickHouse as a library.
#[test]
fn clickhouse_gives_the_same_numbers() {
    let test = "clickhouse_gives_the_same_numbers";
    let Some(python) = python(test, "chdb") else { return };
    compare(test, "clickhouse", Dialect::ClickHouse, &python);
}

#[test]
fn postgres_gives_the_same_numbers() {
    let test = "postgres_gives_the_same_numbers";
    let Some(python) = python(test, "duckdb") else { return };
    let is_there =
        std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| versions.next().is_some());
    if !is_there {
        splitway_envoy::skip::skip(test, "no PostgreSQL: apt-get install postgresql");
        return;
    }
    compare(test, "postgres", Dialect::Postgres, &python);
}

#[cfg(feature = "spark")]
#[test]
fn spark_gives_the_same_numbers() {
    let python = std::env::var_os("SPLITWAY_SPARK_PYTHON").unwrap();
    compare("spark", "spark", Dialect::Spark, Path::new(&python));
}

/// Trino and BigQuery cannot be had here; a parser of their dialects reads what is printed for them, and of all others'.
#[test]
fn every_dialect_is_read_by_its_parser() {
    let Some(python) = python("every_dialect_is_read_by_its_parser", "sqlglot") else { return };
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    for (name, dialect) in Dialect::ALL.into_iter().filter(|(_, dialect)| *dialect != Dialect::DataFusion) {
        for reduction in reductions() {
            let columns = reduction.columns.len();
            asked.push((name, reduction.sql(dialect)));
            let triples = reduction.columns.triples().len();
            expected.push(10 + 2 * columns + columns * (columns + 1) / 2 + triples);
        }
        // A parser that reads anything would show nothing.
        let sql = reductions()[0].sql(dialect);
        asked.push((name, sql.replace("GROUP BY experiment, unit", "GROUP experiment, unit")));
        expected.push(0);
    }
    let ran = run(&python, &["parse"], &serde_json::to_string(&asked).unwrap());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let found: Vec<usize> = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(found, expected);
}
