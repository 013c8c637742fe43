//! Reads exposures and outcomes as they come, and writes them as Parquet of one form.
//!
//! Lines are parsed here and not by the query engine, because an engine stops at the first line that is wrong, or
//! silently reads it as nulls; a log has such lines, and the reader has to know how many.

mod exposure;
mod outcome;
mod parts;
mod rows;
mod words;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use splitway_engine::Plan;

use crate::Error;
use crate::table::{ExposureColumns, OutcomeColumns};

pub use exposure::Exposure;
pub use outcome::Outcome;
use parts::{Here, convert};

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

    /// Of later lines.
    fn add(&mut self, more: Self) {
        self.lines += more.lines;
        self.records += more.records;
        self.unrelated += more.unrelated;
        self.malformed += more.malformed;
        self.without_unit += more.without_unit;
        self.examples.extend(more.examples);
        self.examples.truncate(EXAMPLES);
    }
}

/// Told now and then how many bytes of how many are read.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// Whether a file is Parquet, by its name or by how it begins.
#[must_use]
pub fn is_parquet(path: &Path) -> bool {
    let begins_so = || {
        let mut start = [0; 4];
        // A pipe would lose what is read of it here.
        path.is_file()
            && File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
            && start == *b"PAR1"
    };
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) || begins_so()
}

/// Whether a file of exposures is to be used as it is: Parquet of [`exposures`]. `segment` as there.
///
/// # Errors
/// Parquet that cannot be used: other columns than those that [`exposures`] writes, or another segment.
pub fn are_ready_exposures(path: &Path, segment: Option<&str>) -> Result<bool, Error> {
    let is_parquet = is_parquet(path);
    if is_parquet {
        rows::check_exposures(path, segment)?;
    }
    Ok(is_parquet)
}

/// Whether a file of outcomes is to be used as it is: Parquet of [`outcomes`], whose units need not be shown in another way.
///
/// # Errors
/// Parquet without columns for unit, time, metric and value, or with types that cannot be that.
pub fn are_ready_outcomes(path: &Path, shown_by: Option<&Plan>) -> Result<bool, Error> {
    Ok(is_parquet(path) && rows::are_ours(path, shown_by.is_some())?)
}

/// Reads exposure logs of any kind, packed by gzip or not, into one Parquet file at `to`. `segment` names a field of the
/// records, or of what they stand in, that divides units into groups.
///
/// # Errors
/// Files that cannot be read or written. Lines never are an error.
pub fn exposures(
    from: &[PathBuf],
    segment: Option<&str>,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Lines, Error> {
    if let Some(path) = from.iter().find(|path| is_parquet(path)) {
        return Err(Error::Content(path.clone(), "is Parquet: expected a log".to_owned()));
    }
    let mut about = vec![(rows::FORM, "exposures")];
    about.extend(segment.map(|name| (rows::SEGMENT, name)));
    convert(
        from,
        to,
        &about,
        progress,
        |_| false,
        |part, rows: &mut ExposureColumns, lines| {
            part.each_line(lines, |line, here| {
                let is_related = exposure::read(line, segment, &mut |found| match found {
                    Ok(record) if record.unit.is_empty() => here.lines.without_unit += 1,
                    Ok(record) => {
                        here.lines.records += 1;
                        rows.push(record);
                    }
                    Err(problem) => here.malformed(&problem),
                });
                here.lines.unrelated += u64::from(!is_related);
            });
            Ok(())
        },
    )
}

/// Reads outcomes into one Parquet file at `to`: NDJSON, CSV by its name (both packed by gzip or not), or Parquet of others.
/// With a plan, units are shown as its exposures show them, so that raw ids in the outcomes join pseudonyms in the log.
///
/// # Errors
/// Files that cannot be read or written, a CSV or Parquet without the columns `unit`, `time`, `metric`, `value`.
pub fn outcomes(
    from: &[PathBuf],
    shown_by: Option<&Plan>,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Lines, Error> {
    let is_csv = |path: &Path| {
        let name = path.to_string_lossy().to_lowercase();
        name.ends_with(".csv") || name.ends_with(".csv.gz")
    };
    let mut about = vec![(rows::FORM, "outcomes")];
    about.extend(shown_by.map(|_| (rows::UNITS, "shown")));
    convert(from, to, &about, progress, is_csv, |part, rows: &mut OutcomeColumns, lines| {
        let mut take = |outcome: Result<Outcome<'_>, String>, here: &mut Here<'_>| {
            let mut outcome = match outcome {
                Ok(outcome) => outcome,
                Err(problem) => return here.malformed(&problem),
            };
            if let Some(plan) = shown_by {
                outcome.unit = plan.show_unit(&outcome.unit).unwrap_or_default().into();
            }
            if outcome.unit.is_empty() {
                here.lines.without_unit += 1;
            } else {
                here.lines.records += 1;
                rows.push(&outcome);
            }
        };
        if part.is_rows() {
            return part.each_row(lines, take);
        }
        let columns = part.head.as_deref().map(outcome::Columns::of).transpose();
        let columns = columns.map_err(Error::content(part.path))?;
        part.each_line(lines, |line, here| {
            let outcome = match &columns {
                Some(columns) => columns.read(line),
                None => outcome::read(line),
            };
            take(outcome, here);
        });
        Ok(())
    })
}
