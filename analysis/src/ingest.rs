//! Reads exposures and outcomes as they come, and writes them as Parquet of one form.
//!
//! Lines are parsed here and not by the query engine, because an engine stops at the first line that is wrong, or
//! silently reads it as nulls; a log has such lines, and the reader has to know how many.

mod exposure;
mod outcome;
mod parts;

use std::path::{Path, PathBuf};

use serde::Serialize;
use splitway_engine::Plan;

use crate::Error;
use crate::table::{ExposureColumns, OutcomeColumns};

pub use exposure::Exposure;
pub use outcome::Outcome;
use parts::convert;

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
    convert(
        from,
        to,
        progress,
        |_| false,
        |part, rows: &mut ExposureColumns, lines| {
            part.each_line(lines, |line, lines| {
                let is_related = exposure::read(line, segment, &mut |record| {
                    if record.unit.is_empty() {
                        lines.without_unit += 1;
                    } else {
                        lines.records += 1;
                        rows.push(record);
                    }
                })?;
                lines.unrelated += u64::from(!is_related);
                Ok(())
            });
            Ok(())
        },
    )
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
    let is_csv =
        |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    convert(from, to, progress, is_csv, |part, rows: &mut OutcomeColumns, lines| {
        let columns = part.head.as_deref().map(outcome::Columns::of).transpose();
        let columns = columns.map_err(Error::content(part.path))?;
        part.each_line(lines, |line, lines| {
            let mut outcome = match &columns {
                Some(columns) => columns.read(line),
                None => outcome::read(line),
            }?;
            if let Some(plan) = shown_by {
                outcome.unit = plan.show_unit(&outcome.unit).unwrap_or_default().into();
            }
            if outcome.unit.is_empty() {
                lines.without_unit += 1;
            } else {
                lines.records += 1;
                rows.push(&outcome);
            }
            Ok(())
        });
        Ok(())
    })
}
