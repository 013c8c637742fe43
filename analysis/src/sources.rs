//! The files that an analysis reads: each once, as Parquet, and what is wrong with them.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::ingest::Lines;

/// Refuses a file that is given twice, under whatever names, because everything in it would count twice.
///
/// # Errors
/// [`Error::Request`] names the file.
pub fn each_once(files: &[PathBuf]) -> Result<(), Error> {
    for (at, file) in files.iter().enumerate() {
        let Some(before) = files[..at].iter().find(|before| is_same(before, file)) else { continue };
        let same =
            if before == file { String::new() } else { format!(" (the same as {})", before.display()) };
        return Err(Error::Request(format!("{}: is given twice{same}: leave one out", file.display())));
    }
    Ok(())
}

/// Whether two paths lead to one file or to files of the same content.
fn is_same(one: &Path, other: &Path) -> bool {
    if one == other
        || one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
    {
        return true;
    }
    let length = |path: &Path| path.metadata().ok().filter(|about| about.is_file()).map(|about| about.len());
    if length(one).is_none_or(|length| length == 0) || length(one) != length(other) {
        return false;
    }
    let (Ok(one), Ok(other)) = (File::open(one), File::open(other)) else { return false };
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (Ok(left), Ok(right)) = (one.fill_buf(), other.fill_buf()) else { return false };
        let count = left.len().min(right.len());
        if left[..count] != right[..count] {
            return false;
        }
        if count == 0 {
            return left.is_empty() && right.is_empty();
        }
        one.consume(count);
        other.consume(count);
    }
}

/// Returns the files that `is_ready` accepts, and one more into which everything else was read, with what its lines held.
pub(crate) fn parquet(
    files: &[PathBuf],
    to: &Path,
    is_ready: impl Fn(&Path) -> Result<bool, Error>,
    read: impl FnOnce(&[PathBuf], &Path) -> Result<Lines, Error>,
) -> Result<(Vec<PathBuf>, Option<Lines>), Error> {
    let (mut ready, mut others) = (Vec::new(), Vec::new());
    for path in files {
        if is_ready(path)? { &mut ready } else { &mut others }.push(path.clone());
    }
    if others.is_empty() {
        return Ok((ready, None));
    }
    let lines = read(&others, to)?;
    ready.push(to.to_owned());
    Ok((ready, Some(lines)))
}

/// What a kind of file contains, for the error about a file that does not.
#[derive(Debug)]
pub struct Expected {
    name: &'static str,
    forms: &'static str,
    /// Without any there is nothing to say; outcomes may not be there yet.
    is_needed: bool,
}

/// Exposure records.
pub const EXPOSURES: Expected = Expected {
    name: "exposures",
    forms: "records `{\"event\":\"feature_flag.evaluation\",…}` in lines of the proxy's log, of an access log, of OTLP JSON (one \
            batch a line, not indented), or alone",
    is_needed: true,
};

/// Outcomes.
pub const OUTCOMES: Expected = Expected {
    name: "outcomes",
    forms: "NDJSON such as `{\"unit\":\"u1\",\"time\":\"2026-11-21T00:14:20Z\",\"metric\":\"order\",\"value\":20}`, or a file whose name \
            ends with .csv and whose first line is `unit,time,metric,value`",
    is_needed: false,
};

/// Refuses lines of which nothing was taken; with `is_strict`, any that should have been taken and was not.
///
/// # Errors
/// [`Error::Request`] where the files hold nothing of the kind, [`Error::Malformed`] for malformed lines.
pub fn check(expected: &Expected, is_strict: bool, lines: &Lines) -> Result<(), Error> {
    let Expected { name, forms, is_needed } = *expected;
    let shown = |problem: String| {
        let all = [problem, lines.to_string()].into_iter().chain(lines.examples.iter().cloned());
        all.collect::<Vec<_>>().join("\n")
    };
    if lines.records == 0 && lines.without_unit > 0 {
        return Err(Error::Request(shown(format!(
            "no {name} with a unit: the requests had none, or the config did not say how units are shown, by \
             `exposure: {{ key: … }}` or `exposure: {{ unit: raw }}`"
        ))));
    }
    if lines.records == 0 && lines.foreign > 0 {
        return Err(Error::Request(shown(format!(
            "no {name} of this config: give the configs that decided them by --older-config FILE, or accept a version \
             by --accept-version"
        ))));
    }
    if lines.records == 0 && (is_needed || is_strict || lines.lines > 0) {
        return Err(Error::Request(shown(format!("no {name}: expected {forms}"))));
    }
    if lines.records > 0 && lines.without_segment == lines.records {
        return Err(Error::Request(shown(format!("no {name} with the field that --segment names"))));
    }
    if is_strict && lines.malformed > 0 {
        return Err(Error::Malformed(shown(format!("{name} with malformed lines"))));
    }
    Ok(())
}
