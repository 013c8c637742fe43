//! Reads exposures and outcomes as they come, and writes them as Parquet of one form.
//!
//! Lines are parsed here and not by the query engine, because an engine stops at the first line that is wrong, or
//! silently reads it as nulls; a log has such lines, and the reader has to know how many.

mod exposure;
mod outcome;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use splitway_engine::Plan;

use crate::Error;
use crate::table::{ExposureTable, OutcomeTable};

pub use exposure::Exposure;
pub use outcome::Outcome;

/// What became of the lines of some files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// All that is not blank.
    pub lines: u64,
    /// Records taken from them; an OTLP line has many.
    pub records: u64,
    /// Lines that say nothing about exposures, such as the proxy's other log lines.
    pub unrelated: u64,
    /// Lines or records that should have been taken, and could not be read.
    pub malformed: u64,
    /// Records without a unit: nothing to join by.
    pub without_unit: u64,
    /// Where the first malformed ones are, and what is wrong: `file:line: problem`.
    pub examples: Vec<String>,
}

/// As many malformed lines are shown.
const EXAMPLES: usize = 5;

impl Lines {
    fn malformed(&mut self, path: &Path, line: u64, problem: &str) {
        self.malformed += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{}:{line}: {problem}", path.display()));
        }
    }
}

/// Told now and then how many bytes of how many are read.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// Whether a file is Parquet, by its name.
#[must_use]
pub fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// Reads exposure logs of any kind into one Parquet file at `to`. `segment` names a field of the records that divides
/// units into groups.
///
/// # Errors
/// Files that cannot be read or written. Lines never are an error.
pub fn exposures(
    from: &[PathBuf],
    segment: Option<&str>,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Lines, Error> {
    let mut table = ExposureTable::create(to)?;
    let mut lines = Lines::default();
    each_line(from, progress, |path, number, text| {
        lines.lines += 1;
        let mut taken = Ok(());
        let found = exposure::read(text, segment, &mut |record| {
            if record.unit.is_empty() {
                lines.without_unit += 1;
            } else if taken.is_ok() {
                lines.records += 1;
                taken = table.push(record);
            }
        });
        match found {
            Ok(true) => {}
            Ok(false) => lines.unrelated += 1,
            Err(problem) => lines.malformed(path, number, &problem),
        }
        taken
    })?;
    table.finish()?;
    Ok(lines)
}

/// Reads outcomes (NDJSON, or CSV by its name) into one Parquet file at `to`. With a plan, units are shown as its
/// exposures show them, so that raw ids in the outcomes join pseudonyms in the log.
///
/// # Errors
/// Files that cannot be read or written, a CSV without the columns `unit`, `time`, `metric`, `value`.
pub fn outcomes(
    from: &[PathBuf],
    shown_by: Option<&Plan>,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Lines, Error> {
    let mut table = OutcomeTable::create(to)?;
    let mut lines = Lines::default();
    let mut columns: Option<(PathBuf, outcome::Columns)> = None;
    each_line(from, progress, |path, number, text| {
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let read = if is_csv {
            match &columns {
                Some((of, columns)) if of == path => columns.read(text),
                _ => {
                    let header = outcome::Columns::of(text).map_err(Error::content(path))?;
                    columns = Some((path.to_owned(), header));
                    return Ok(());
                }
            }
        } else {
            outcome::read(text)
        };
        lines.lines += 1;
        match read {
            Ok(mut outcome) => {
                if let Some(plan) = shown_by {
                    outcome.unit = plan.show_unit(&outcome.unit).unwrap_or_default();
                }
                if outcome.unit.is_empty() {
                    lines.without_unit += 1;
                    return Ok(());
                }
                lines.records += 1;
                table.push(&outcome)
            }
            Err(problem) => {
                lines.malformed(path, number, &problem);
                Ok(())
            }
        }
    })?;
    table.finish()?;
    Ok(lines)
}

/// Hands over every line that is not blank, with its file and number (from 1), without the line end. Bytes that are
/// not UTF-8 are replaced, which makes such a line fail where it matters.
fn each_line(
    paths: &[PathBuf],
    progress: Progress<'_>,
    mut take: impl FnMut(&Path, u64, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let total: u64 = paths.iter().map(size).sum();
    let mut done = 0;
    let mut bytes = Vec::new();
    for path in paths {
        let is_stdin = path == Path::new("-");
        let source: Box<dyn Read> = if is_stdin {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(File::open(path).map_err(Error::file(path))?)
        };
        let mut reader = BufReader::with_capacity(1 << 20, source);
        for number in 1.. {
            bytes.clear();
            let length = reader.read_until(b'\n', &mut bytes).map_err(Error::file(path))?;
            if length == 0 {
                break;
            }
            done += length as u64;
            if number % 65_536 == 0 {
                progress(done, total);
            }
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim();
            if !text.is_empty() {
                take(path, number, text)?;
            }
        }
    }
    progress(done, total);
    Ok(())
}
