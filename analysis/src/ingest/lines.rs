//! What became of the lines of some files.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

/// What became of the lines of some files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// All that is not blank.
    pub lines: u64,
    /// Records taken from them; an OTLP line has many.
    pub records: u64,
    /// Lines that say nothing about exposures, such as the proxy's other log lines.
    pub unrelated: u64,
    /// Lines that name the event of an exposure and hold none of Splitway's: an access log's with the path of a request, or
    /// another flag provider's. Nothing is taken from them.
    pub elsewhere: u64,
    /// Records of versions of the config that were not named: left out.
    pub foreign: u64,
    /// Some of these versions.
    pub foreign_versions: BTreeSet<String>,
    /// Lines or records that should have been taken, and could not be read.
    pub malformed: u64,
    /// Records without a unit: nothing to join by.
    pub without_unit: u64,
    /// Outcomes without a value, each counted as 1, by metric.
    pub without_value: BTreeMap<String, u64>,
    /// Records without the field that divides units into groups, if one was asked for.
    pub without_segment: u64,
    /// Where the first malformed ones are, and what is wrong: `file:line: problem`.
    pub examples: Vec<String>,
}

/// As many malformed lines are shown.
const EXAMPLES: usize = 5;

impl Lines {
    pub(super) fn malformed(&mut self, path: &Path, line: u64, problem: &str) {
        self.malformed += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{}:{line}: {}", path.display(), visible(problem)));
        }
    }

    /// A record of a version that nobody named.
    pub(super) fn foreign(&mut self, version: &str) {
        self.foreign += 1;
        if self.foreign_versions.len() < EXAMPLES && !self.foreign_versions.contains(version) {
            self.foreign_versions.insert(version.to_owned());
        }
    }

    /// Of later lines.
    pub(super) fn add(&mut self, more: Self) {
        self.lines += more.lines;
        self.records += more.records;
        self.unrelated += more.unrelated;
        self.elsewhere += more.elsewhere;
        self.foreign += more.foreign;
        let room = EXAMPLES.saturating_sub(self.foreign_versions.len());
        self.foreign_versions.extend(more.foreign_versions.into_iter().take(room));
        for (metric, count) in more.without_value {
            *self.without_value.entry(metric).or_default() += count;
        }
        self.malformed += more.malformed;
        self.without_unit += more.without_unit;
        self.without_segment += more.without_segment;
        self.examples.extend(more.examples);
        self.examples.truncate(EXAMPLES);
    }
}

/// A text from a log without characters that could draw on a terminal or reverse its order: each is written as its escape.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
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

pub(super) fn count_one(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else if counts.len() < 1000 {
        // Bounded, so that a hostile file cannot fill the memory with names.
        counts.insert(name.to_owned(), 1);
    }
}
