//! What is wrong with a document: every mistake at once, each with its place.
//!
//! A problem is a value, not an exception: `compile` gathers all of them, the
//! filter logs them, the tool underlines the source span.

use std::fmt;

use crate::compile::ADVICE;

/// Whether problems say in words what was expected and what was found. Without, they have place and code: for the
/// edge, which is fetched often and whose configs `splitway validate` has seen.
pub(crate) const MESSAGES: bool = cfg!(feature = "messages");

/// `format!` of what only messages say: nothing where there are none.
macro_rules! prose {
    ($($text:tt)*) => {
        if $crate::problem::MESSAGES { format!($($text)*) } else { String::new() }
    };
}
pub(crate) use prose;

/// `text` where there are messages. Inlined, as are those who hand texts on to it: then none is compiled in that
/// nobody says.
#[inline(always)]
pub(crate) fn said(text: &str) -> &str {
    if MESSAGES { text } else { "" }
}

/// Most problems that are kept: a text of a mebibyte can hold half a million mistakes.
pub const MAX_PROBLEMS: usize = 1_000;

/// Where in a document: `experiments[0].variants[1].weight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<Segment>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field of a mapping.
    Key(String),
    /// An entry of a list, from 0.
    Index(usize),
}

impl Path {
    /// The path of a field below this one.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(Segment::Key(name.to_owned()));
        Self(segments)
    }

    /// The path of a list entry below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut segments = self.0.clone();
        segments.push(Segment::Index(index));
        Self(segments)
    }

    /// Whether `other` is this place or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(document)");
        }
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(name) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    // A document's own text: it must not break out of its line.
                    let mut plain =
                        name.chars().take(64).filter(|c| !c.is_control() && !matches!(c, '{' | '"'));
                    plain.try_for_each(|c| fmt::Write::write_char(f, c))?;
                }
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A [`Path`] that costs nothing until a problem needs it: a list on the stack.
#[derive(Clone, Copy)]
pub(crate) enum Place<'p> {
    Root,
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl Place<'_> {
    pub(crate) fn key<'s>(&'s self, name: &'s str) -> Place<'s> {
        Place::Key(self, name)
    }

    pub(crate) fn index(&self, index: usize) -> Place<'_> {
        Place::Index(self, index)
    }

    pub(crate) fn path(&self) -> Path {
        match self {
            Self::Root => Path::default(),
            Self::Key(parent, name) => parent.path().key(name),
            Self::Index(parent, index) => parent.path().index(*index),
        }
    }
}

/// A place in the source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Start, in characters from the beginning of the text.
    pub start: usize,
    /// End (exclusive), in characters from the beginning of the text.
    pub end: usize,
}

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
            span: None,
        }
    }

    /// The same problem as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
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
    pub fn suggest_near<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        if !ADVICE {
            return self;
        }
        match did_you_mean(word, candidates) {
            Some(near) => self.suggest(|| format!("did you mean `{near}`?")),
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

    /// Drops what follows from another mistake: a field is missing because it is misspelt, buckets
    /// are missing because an experiment is there twice.
    #[cfg(feature = "advice")]
    pub(crate) fn drop_consequences(&mut self) {
        let mut misspelt = Vec::new();
        let mut unknown = Vec::new();
        let mut is_doubled = false;
        for problem in &self.0 {
            is_doubled |= is_experiments(&problem.path, "id") && problem.code == Code::DuplicateId;
            let Some((_, parent)) = problem.path.0.split_last() else { continue };
            if problem.code != Code::UnknownField {
                continue;
            }
            let advice = problem.suggestion.as_deref().unwrap_or_default();
            let meant = advice.strip_prefix("did you mean `").and_then(|rest| rest.strip_suffix("`?"));
            misspelt.extend(meant.map(|meant| Path(parent.to_vec()).key(meant)));
            unknown.push(Path(parent.to_vec()));
        }
        let wrong: Vec<(Path, String)> = self
            .0
            .iter()
            .filter(|problem| problem.code == Code::WrongType)
            .map(|problem| (problem.path.clone(), problem.expected.clone()))
            .collect();
        self.0.retain(|problem| match problem.code {
            Code::MissingField => {
                let is_missing_twice = is_doubled && is_experiments(&problem.path, "buckets");
                !misspelt.contains(&problem.path) && !is_missing_twice
            }
            // None of the fields that were expected, because the one there is unknown.
            Code::InvalidValue => problem.found != "none" || !unknown.contains(&problem.path),
            // Who owns what nobody could read is not known.
            Code::Overlap => !wrong.iter().any(|(path, _)| problem.path.contains(path)),
            // A whole list of one mistake.
            Code::WrongType => !wrong.iter().any(|(path, expected)| {
                *expected == problem.expected && is_earlier_sibling(path, &problem.path)
            }),
            _ => true,
        });
    }

    /// Adds a problem whatever is known already.
    pub(crate) fn push_always(&mut self, problem: Problem) {
        if !self.is_full_for(&problem) {
            self.0.push(problem);
        }
    }

    /// There are [`MAX_PROBLEMS`]; the first error still finds its place among warnings.
    fn is_full_for(&self, problem: &Problem) -> bool {
        self.0.len() >= MAX_PROBLEMS && (problem.severity == Severity::Warning || self.has_errors())
    }

    /// Whether an error at or below `path` is known.
    pub(crate) fn any_below(&self, path: &Path) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error && path.contains(&p.path))
    }

    /// Whether any problem refuses the document.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error)
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

/// `experiments[i].field`, for any `i`.
#[cfg(feature = "advice")]
fn is_experiments(path: &Path, field: &str) -> bool {
    match path.0.as_slice() {
        [Segment::Key(list), Segment::Index(_), Segment::Key(name)] => list == "experiments" && name == field,
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

/// The nearest of `candidates` to a misspelt `word`, when it is near enough to
/// be what was meant (edit distance at most a third of its length, at least 1).
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over characters, `-` and `_` counted as the same.
fn edit_distance(a: &str, b: &str) -> usize {
    let fold = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    let b: Vec<char> = b.chars().map(fold).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().map(fold).enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        for (cb, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(ca != *cb));
            diagonal = *above;
            left = replaced.min(diagonal.saturating_add(1)).min(left.saturating_add(1));
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_near_words() {
        assert_eq!(did_you_mean("wieght", ["id", "weight"]), Some("weight"));
        assert_eq!(did_you_mean("replace-prefix", ["replace_prefix"]), Some("replace_prefix"));
        assert_eq!(did_you_mean("zzz", ["id", "weight"]), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

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
