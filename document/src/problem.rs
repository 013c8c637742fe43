//! What is wrong with a document: every mistake at once, each with its place.
//!
//! A problem is a value, not an exception: `compile` gathers all of them, the
//! filter logs them, the tool underlines the source span.

use std::fmt;

use crate::path::{Path, Segment, Span};
use crate::text::{ADVICE, MESSAGES, did_you_mean, said};

/// Most problems that are kept: a text of a mebibyte can hold half a million mistakes.
pub const MAX_PROBLEMS: usize = 1_000;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document works, but probably not as meant.
    Warning,
}

/// Stable machine-readable kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The text is not JSON or YAML.
    Syntax,
    /// A field the schema does not know.
    UnknownField,
    /// The same field twice in one mapping.
    DuplicateField,
    /// A required field is absent.
    MissingField,
    /// A value of another type than the schema's.
    WrongType,
    /// A value of the right type that is not allowed here.
    InvalidValue,
    /// A number outside its range.
    OutOfRange,
    /// Something refers to an id that is not defined.
    UnknownReference,
    /// An id that is already taken.
    DuplicateId,
    /// Bucket ranges overlap.
    Overlap,
    /// Bucket ranges leave buckets that nobody owns.
    Gap,
    /// Two settings that cannot both hold.
    Conflict,
    /// A documented limit is exceeded.
    Limit,
    /// A header that an experiment may not touch.
    ReservedHeader,
    /// A launch rule (registry fact) is not met.
    Launch,
    /// The config names an environment variable that is not set.
    MissingSecret,
}

impl Code {
    /// The stable spelling, as in `--json` output and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownField => "unknown_field",
            Self::DuplicateField => "duplicate_field",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::InvalidValue => "invalid_value",
            Self::OutOfRange => "out_of_range",
            Self::UnknownReference => "unknown_reference",
            Self::DuplicateId => "duplicate_id",
            Self::Overlap => "overlap",
            Self::Gap => "gap",
            Self::Conflict => "conflict",
            Self::Limit => "limit",
            Self::ReservedHeader => "reserved_header",
            Self::Launch => "launch",
            Self::MissingSecret => "missing_secret",
        }
    }
}

/// One mistake: where, what was expected, what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the document.
    pub path: Path,
    /// The kind of mistake.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What would have been right. Empty without the feature `messages`.
    pub expected: String,
    /// What is there instead. Empty without the feature `messages`.
    pub found: String,
    /// How to mend it, where that is known.
    pub suggestion: Option<String>,
    /// The name that was probably meant in place of the one that is there.
    pub meant: Option<String>,
    /// Whether the mistake is in the name of the field, and not in its value.
    pub is_in_name: bool,
    /// The place in the source text, for documents parsed from YAML.
    pub span: Option<Span>,
}

impl Problem {
    /// An error at `path`.
    #[must_use]
    #[inline(always)]
    pub fn error(path: Path, code: Code, expected: &str, found: &str) -> Self {
        Self::new(path, code, said(expected), said(found))
    }

    #[cold]
    #[inline(never)]
    fn new(path: Path, code: Code, expected: &str, found: &str) -> Self {
        Self {
            path,
            code,
            severity: Severity::Error,
            expected: expected.to_owned(),
            found: found.to_owned(),
            suggestion: None,
            meant: None,
            is_in_name: matches!(code, Code::UnknownField | Code::DuplicateField),
            span: None,
        }
    }

    /// The same problem as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same problem, about `name`: in the name of the field at its path, if that is its name.
    #[must_use]
    pub fn about(mut self, name: &str) -> Self {
        if ADVICE {
            self.is_in_name = matches!(self.path.0.last(), Some(Segment::Key(last)) if last == name);
        }
        self
    }

    /// The same problem with its place in the text.
    #[must_use]
    pub fn at(mut self, span: Option<Span>) -> Self {
        self.span = span;
        self
    }

    /// The same problem with advice, where advice is given (feature `advice`).
    #[must_use]
    pub fn suggest(mut self, advice: impl FnOnce() -> String) -> Self {
        if ADVICE {
            self.suggestion = Some(advice());
        }
        self
    }

    /// The same problem, naming the nearest of what would have been right.
    #[must_use]
    pub fn suggest_near<'a>(mut self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        if !ADVICE {
            return self;
        }
        match did_you_mean(word, candidates) {
            Some(near) => {
                self.meant = Some(near.to_owned());
                self.suggest(|| format!("did you mean `{near}`?"))
            }
            None => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = self.span {
            write!(f, "{}:{}: ", span.line, span.column)?;
        }
        write!(f, "{}", self.path)?;
        if MESSAGES {
            write!(f, ": expected {}, found {}", self.expected, self.found)?;
        }
        write!(f, " [{}]", self.code.as_str())?;
        if let Some(advice) = &self.suggestion {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

/// All problems of one document, in document order where that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem, unless its place is already known to be wrong: what
    /// follows from a mistake is not another mistake.
    pub fn push(&mut self, problem: Problem) {
        if self.is_full_for(&problem) {
            return;
        }
        let known = self
            .0
            .iter()
            .any(|p| p.severity == Severity::Error && p.path.contains(&problem.path) && !p.path.0.is_empty());
        if !known {
            self.0.push(problem);
        }
    }

    /// Drops what follows from another mistake: a field is missing because it is misspelt, each entry of a list is
    /// wrong because the list is.
    #[cfg(feature = "advice")]
    pub fn drop_consequences(&mut self) {
        let mut misspelt = Vec::new();
        let mut unknown = Vec::new();
        for problem in self.0.iter().filter(|problem| problem.code == Code::UnknownField) {
            let Some((_, parent)) = problem.path.0.split_last() else { continue };
            let parent = Path(parent.to_vec());
            misspelt.extend(problem.meant.as_deref().map(|meant| parent.key(meant)));
            unknown.push(parent);
        }
        let wrong: Vec<Path> =
            self.0.iter().filter(|p| p.code == Code::WrongType).map(|p| p.path.clone()).collect();
        self.0.retain(|problem| match problem.code {
            // None of several fields, because the one that is there is unknown.
            Code::MissingField => !misspelt.contains(&problem.path) && !unknown.contains(&problem.path),
            Code::WrongType => !wrong.iter().any(|path| is_earlier_sibling(path, &problem.path)),
            _ => true,
        });
    }

    /// Adds a problem whatever is known already.
    pub fn push_always(&mut self, problem: Problem) {
        if !self.is_full_for(&problem) {
            self.0.push(problem);
        }
    }

    /// There are [`MAX_PROBLEMS`]; the first error still finds its place among warnings.
    fn is_full_for(&self, problem: &Problem) -> bool {
        self.0.len() >= MAX_PROBLEMS && (problem.severity == Severity::Warning || self.has_errors())
    }

    /// Whether an error at or below `path` is known.
    #[must_use]
    pub fn any_below(&self, path: &Path) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error && path.contains(&p.path))
    }

    /// Whether any problem refuses the document.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error)
    }

    /// Keeps the problems that `is_kept` wants.
    pub fn retain(&mut self, is_kept: impl FnMut(&Problem) -> bool) {
        self.0.retain(is_kept);
    }

    /// The problems in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Orders by place in the text and fills in each problem's span.
    #[cfg(feature = "yaml")]
    pub(crate) fn locate(&mut self, span_of: impl Fn(&Problem) -> Option<Span>) {
        for problem in &mut self.0 {
            if problem.span.is_none() {
                problem.span = span_of(problem);
            }
        }
        self.0.sort_by_key(|p| p.span.map_or(usize::MAX, |s| s.start));
    }
}

/// Whether two paths are entries of one list, `one` before `other`.
#[cfg(feature = "advice")]
fn is_earlier_sibling(one: &Path, other: &Path) -> bool {
    match (one.0.split_last(), other.0.split_last()) {
        (Some((Segment::Index(first), list)), Some((Segment::Index(second), same))) => {
            first < second && list == same
        }
        _ => false,
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consequence_is_not_reported() {
        let place = Path::default().key("experiments").index(0);
        let mut problems = Problems::default();
        problems.push(Problem::error(place.key("id"), Code::WrongType, "a", "b"));
        problems.push(Problem::error(place.key("id"), Code::InvalidValue, "c", "d"));
        problems.push(Problem::error(place.key("layer"), Code::InvalidValue, "c", "d"));
        assert_eq!(problems.len(), 2);
        assert_eq!(problems.iter().next().unwrap().path.to_string(), "experiments[0].id");
    }
}
