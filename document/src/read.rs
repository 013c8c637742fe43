//! Tree -> wire types, without stopping at the first mistake.
//!
//! Every type can be read from every node: a wrong one is recorded and a
//! stand-in given, so that one pass finds all mistakes. serde's derive cannot do
//! that (it gives up at the first), and its visitors came to a fifth of the
//! filter's size.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use crate::path::{Path, Place, Segment, Span};
use crate::problem::{Code, MAX_PROBLEMS, Problem, Problems};
use crate::text::{ADVICE, describe_text, prose, said};
use crate::tree::{Document, Key, Node, Value};

/// Reads `document` as a `T`; mistakes go to `problems`.
pub fn read<T: Read>(document: &Document, problems: &mut Problems) -> T {
    let sink = RefCell::default();
    let at = Cursor { node: Some(&document.root), place: Place::Root, sink: &sink, muted: false };
    let value = T::read(&at);
    for problem in sink.into_inner() {
        problems.push_always(problem);
    }
    value
}

/// The kind of value that is expected: what advice on a wrong one depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Any text.
    Text,
    /// One of some words.
    Name,
    /// A percentage, written as a text.
    Percentage,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    List,
    /// A list of two.
    Pair,
    /// A mapping.
    Mapping,
    /// One of several of these.
    Any,
}

/// A type that is read from a document.
pub trait Read: Sized {
    /// The value at `at`, or a stand-in after recording why not.
    fn read(at: &Cursor<'_>) -> Self;
}

/// A place in the document and what is there.
#[derive(Clone, Copy)]
pub struct Cursor<'d> {
    /// `None`: the field is absent.
    node: Option<&'d Node>,
    place: Place<'d>,
    sink: &'d RefCell<Vec<Problem>>,
    /// Inside a stand-in: what it lacks is no mistake.
    muted: bool,
}

impl<'d> Cursor<'d> {
    /// What is there.
    #[must_use]
    pub fn node(&self) -> Option<&'d Node> {
        self.node
    }

    /// The value that is there.
    #[must_use]
    pub fn value(&self) -> Option<&'d Value> {
        self.node.map(|node| &node.value)
    }

    /// Whether a mapping is there.
    pub fn is_mapping(&self) -> bool {
        self.entries().is_some()
    }

    fn entries(&self) -> Option<&'d [(Key, Node)]> {
        match self.value() {
            Some(Value::Map(entries)) => Some(entries),
            _ => None,
        }
    }

    fn record(&self, problem: Problem) {
        let mut sink = self.sink.borrow_mut();
        if !self.muted && sink.len() < MAX_PROBLEMS {
            sink.push(problem);
        }
    }

    #[inline(always)]
    fn problem(&self, path: Path, code: Code, expected: &str, found: &str) {
        self.record(Problem::error(path, code, expected, found));
    }

    /// Records that a value of the right type is not allowed here.
    #[inline(always)]
    pub fn invalid(&self, expected: &str, found: &str) {
        self.problem(self.place.path(), Code::InvalidValue, expected, found);
    }

    /// Records that this should have been `expected`, which is a kind of `want`.
    #[inline(always)]
    pub fn mismatch(&self, want: Want, expected: &str) {
        self.mismatched(want, said(expected));
    }

    #[cold]
    #[inline(never)]
    fn mismatched(&self, want: Want, expected: &str) {
        if self.muted {
            return;
        }
        let path = self.place.path();
        self.record(match self.node {
            None => {
                let advice = match path.0.last() {
                    Some(Segment::Key(name)) if ADVICE => Some(format!("add `{name}: …`")),
                    _ => None,
                };
                let problem = Problem::error(path, Code::MissingField, expected, "nothing");
                match advice {
                    Some(advice) => problem.suggest(|| advice),
                    None => problem,
                }
            }
            Some(node) => {
                let problem = Problem::error(path, Code::WrongType, expected, &node.value.describe());
                match ADVICE.then(|| advice(want, &node.value)).flatten() {
                    Some(advice) => problem.suggest(|| advice),
                    None => problem,
                }
            }
        });
    }

    /// Text, or a problem that names what it should say.
    #[inline(always)]
    pub fn text(&self, want: Want, expected: &str) -> String {
        self.text_or(want, said(expected))
    }

    #[inline(never)]
    fn text_or(&self, want: Want, expected: &str) -> String {
        match self.value() {
            Some(Value::Text(text)) => text.clone(),
            _ => {
                self.mismatch(want, expected);
                String::new()
            }
        }
    }

    fn integer(&self, high: i64) -> u64 {
        match self.value() {
            Some(Value::Int(value)) if (0..=high).contains(value) => value.unsigned_abs(),
            Some(Value::Int(value)) => {
                let expected = prose!("a whole number from 0 to {high}");
                self.problem(self.place.path(), Code::OutOfRange, &expected, &prose!("{value}"));
                0
            }
            _ => {
                self.mismatch(Want::Number, "a whole number");
                0
            }
        }
    }

    /// The fields of a mapping; those not in `known` are problems.
    pub fn fields(&self, known: &'static [&'static str]) -> Fields<'d> {
        self.tagged_fields(known, None)
    }

    /// As [`Self::fields`], passing over the field `tag`.
    pub fn tagged_fields(&self, known: &'static [&'static str], tag: Option<&'static str>) -> Fields<'d> {
        let Some(entries) = self.entries() else {
            self.mismatch(Want::Mapping, "a mapping");
            return Fields { at: Self { muted: true, ..*self }, entries: &[] };
        };
        for (position, (key, _)) in entries.iter().enumerate() {
            let name = key.name.as_str();
            let earlier = entries.get(..position).unwrap_or_default();
            if earlier.iter().any(|(key, _)| key.name == name) {
                self.duplicate(name);
            } else if tag != Some(name) && !known.contains(&name) {
                self.record(unknown(self.place.key(name).path(), Code::UnknownField, name, known));
            }
        }
        Fields { at: *self, entries }
    }

    fn duplicate(&self, name: &str) {
        let path = self.place.key(name).path();
        self.problem(path, Code::DuplicateField, "each field once", &prose!("`{name}` twice"));
    }

    /// Which of `names` the text is.
    pub fn name(&self, names: &'static [&'static str]) -> Option<usize> {
        let Some(Value::Text(text)) = self.value() else {
            self.mismatch(Want::Name, &prose!("one of {}", names.join(", ")));
            return None;
        };
        self.known(text, names, Code::InvalidValue, None)
    }

    /// `{ name: content }`: which of `names`, and where its content is.
    pub fn choice(&self, names: &'static [&'static str]) -> Option<(&'static str, &'d Node)> {
        match self.entries() {
            None => {
                self.mismatch(Want::Mapping, &prose!("a mapping with one of {}", names.join(", ")));
                None
            }
            Some([(key, node)]) => {
                // An unknown name is a problem of this whole value, so that
                // nothing is said about the stand-in; its span is the name's.
                let index = self.known(&key.name, names, Code::UnknownField, key.span)?;
                Some((names.get(index)?, node))
            }
            Some(more) => {
                let expected = prose!("exactly one of {}", names.join(", "));
                let found = prose!("{} fields", more.len());
                self.problem(self.place.path(), Code::InvalidValue, &expected, &found);
                None
            }
        }
    }

    /// `{ tag: name, … }`: which of `names`.
    pub fn tag(&self, tag: &'static str, names: &'static [&'static str]) -> Option<&'static str> {
        let Some(entries) = self.entries() else {
            self.mismatch(Want::Mapping, "a mapping");
            return None;
        };
        let node = entries.iter().find(|(key, _)| key.name == tag).map(|(_, node)| node);
        Cursor { node, place: self.place.key(tag), sink: self.sink, muted: self.muted }
            .name(names)
            .and_then(|index| names.get(index).copied())
    }

    /// This place, with the content of a choice.
    #[inline(never)]
    pub fn inside<T: Read>(&self, name: &str, node: &Node) -> T {
        T::read(&Cursor { node: Some(node), place: self.place.key(name), sink: self.sink, muted: self.muted })
    }

    #[inline(never)]
    fn item<T: Read>(&self, items: &[Node], index: usize) -> T {
        let place = self.place.index(index);
        T::read(&Cursor { node: items.get(index), place, sink: self.sink, muted: self.muted })
    }

    /// A stand-in.
    pub fn stand_in<T: Read>(&self) -> T {
        T::read(&Cursor { node: None, muted: true, ..*self })
    }

    /// Reads the entries of a list. Not generic, so that it is there once and not for every type.
    #[inline(never)]
    fn each(&self, read: &mut dyn FnMut(&Cursor<'_>)) {
        match self.value() {
            Some(Value::List(items)) => {
                for (index, node) in items.iter().enumerate() {
                    let place = self.place.index(index);
                    read(&Cursor { node: Some(node), place, sink: self.sink, muted: self.muted });
                }
            }
            None | Some(Value::Null) => {}
            Some(_) => self.mismatch(Want::List, "a list"),
        }
    }

    /// Reads the fields of a mapping of the writer's names, each once.
    #[inline(never)]
    fn each_named(&self, read: &mut dyn FnMut(&str, &Cursor<'_>)) {
        match self.value() {
            Some(Value::Map(entries)) => {
                for (position, (key, node)) in entries.iter().enumerate() {
                    let name = key.name.as_str();
                    let earlier = entries.get(..position).unwrap_or_default();
                    if earlier.iter().any(|(key, _)| key.name == name) {
                        self.duplicate(name);
                    } else {
                        let place = self.place.key(name);
                        read(name, &Cursor { node: Some(node), place, sink: self.sink, muted: self.muted });
                    }
                }
            }
            None | Some(Value::Null) => {}
            Some(_) => self.mismatch(Want::Mapping, "a mapping"),
        }
    }

    fn known(
        &self,
        name: &str,
        names: &'static [&'static str],
        code: Code,
        span: Option<Span>,
    ) -> Option<usize> {
        let known = names.iter().position(|known| *known == name);
        if known.is_none() {
            let mut problem = unknown(self.place.path(), code, name, names);
            problem.span = span;
            self.record(problem);
        }
        known
    }
}

/// The fields of a mapping.
pub struct Fields<'d> {
    at: Cursor<'d>,
    entries: &'d [(Key, Node)],
}

impl Fields<'_> {
    /// The value of the field `name`. Not inlined, which would cost the filter kilobytes.
    #[inline(never)]
    pub fn read<T: Read>(&self, name: &str) -> T {
        T::read(&self.at(name))
    }

    /// Whether no field is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The place of the field `name`. Apart, so that it is there once and not for every type.
    #[inline(never)]
    #[must_use]
    pub fn at<'a>(&'a self, name: &'a str) -> Cursor<'a> {
        Cursor {
            node: self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            place: self.at.place.key(name),
            sink: self.at.sink,
            muted: self.at.muted,
        }
    }
}

impl Read for String {
    fn read(at: &Cursor<'_>) -> Self {
        at.text(Want::Text, "text")
    }
}

impl Read for bool {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Value::Bool(value)) => *value,
            _ => {
                at.mismatch(Want::Boolean, "true or false");
                false
            }
        }
    }
}

impl Read for f64 {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Value::Int(value)) => *value as Self,
            Some(Value::Decimal(value)) => value.value(),
            _ => {
                at.mismatch(Want::Number, "a number");
                0.0
            }
        }
    }
}

macro_rules! integers {
    ($($type:ty, $high:expr;)*) => {$(
        impl Read for $type {
            fn read(at: &Cursor<'_>) -> Self {
                Self::try_from(at.integer($high)).unwrap_or_default()
            }
        }
    )*};
}

integers! {
    u8, i64::from(u8::MAX);
    u16, i64::from(u16::MAX);
    u32, i64::from(u32::MAX);
    u64, i64::MAX;
}

impl Read for i64 {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Value::Int(value)) => *value,
            _ => {
                at.mismatch(Want::Number, "a whole number");
                0
            }
        }
    }
}

impl<A: Read, B: Read, C: Read> Read for (A, B, C) {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Value::List(items)) if items.len() == 3 => {
                (at.item(items, 0), at.item(items, 1), at.item(items, 2))
            }
            _ => {
                at.mismatch(Want::List, "a list of 3");
                (at.stand_in(), at.stand_in(), at.stand_in())
            }
        }
    }
}

impl<T: Read> Read for Option<T> {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            None | Some(Value::Null) => None,
            Some(_) => Some(T::read(at)),
        }
    }
}

/// A field that is known and passed over, whatever is there.
impl<T> Read for PhantomData<T> {
    fn read(_at: &Cursor<'_>) -> Self {
        Self
    }
}

impl<T: Read> Read for Box<T> {
    fn read(at: &Cursor<'_>) -> Self {
        Self::new(T::read(at))
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(at: &Cursor<'_>) -> Self {
        let mut items = Self::new();
        at.each(&mut |item| items.push(T::read(item)));
        items
    }
}

impl<T: Read + Default + Copy, const N: usize> Read for [T; N] {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Value::List(items)) if items.len() == N => {
                Self::try_from(Vec::<T>::read(at)).unwrap_or([T::default(); N])
            }
            _ => {
                at.mismatch(if N == 2 { Want::Pair } else { Want::List }, &prose!("a list of {N}"));
                [T::default(); N]
            }
        }
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read(at: &Cursor<'_>) -> Self {
        let mut entries = Self::new();
        at.each_named(&mut |name, value| {
            entries.insert(name.to_owned(), T::read(value));
        });
        entries
    }
}

/// A mapping with names of the writer's choice, in document order, each once.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<T>(Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Entries<T> {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Entries<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        std::collections::BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        std::collections::BTreeMap::<String, T>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<T: Read> Read for Entries<T> {
    fn read(at: &Cursor<'_>) -> Self {
        let mut entries = Vec::new();
        at.each_named(&mut |name, value| entries.push((name.to_owned(), T::read(value))));
        Self(entries)
    }
}

/// The usual slips.
fn advice(want: Want, found: &Value) -> Option<String> {
    match (want, found) {
        (Want::Number, Value::Text(text)) => {
            let bare = text.trim_end_matches('%');
            let numeric = Document::from_json(bare.as_bytes()).is_ok_and(|value| value.number().is_some());
            numeric.then(|| format!("write {bare} without quotes or unit"))
        }
        (Want::Boolean, Value::Text(text)) => {
            let slip = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
            let yes = slip(&["yes", "on", "y"]);
            (yes || slip(&["no", "off", "n"])).then(|| format!("write {yes}"))
        }
        (Want::Percentage, Value::Int(number)) => Some(format!("write {number}%")),
        (Want::Percentage, Value::Decimal(number)) if number.value() > 0.0 && number.value() < 1.0 => {
            let whole = (number.value() * 1e6).round() / 1e4;
            Some(format!("write {whole}%, or {number}% if that little is meant"))
        }
        (Want::Text, Value::Int(_) | Value::Decimal(_) | Value::Bool(_)) => {
            Some("put it in quotes".to_owned())
        }
        (Want::Pair, Value::Int(_)) => Some("write ranges, such as [[0, 3999]]".to_owned()),
        (Want::List | Want::Pair, Value::Map(fields)) => Some(match fields.first() {
            Some((key, _)) if key.name.starts_with('-') => "put a blank behind the `-`".to_owned(),
            // By name, as other tools have it.
            Some((key, Node { value: Value::Map(_), .. })) => {
                format!("write `- id: {}`, and its fields below that", key.name)
            }
            _ => "put `- ` in front of it".to_owned(),
        }),
        _ => None,
    }
}

fn unknown(path: Path, code: Code, name: &str, known: &'static [&'static str]) -> Problem {
    let expected = prose!("one of {}", known.join(", "));
    let problem = Problem::error(path, code, &expected, &describe_text(name));
    let near = problem.suggest_near(name, known.iter().copied());
    match ADVICE.then(|| elsewhere(name, known)).flatten().filter(|_| near.meant.is_none()) {
        Some(ours) => near.suggest(|| format!("that is `{ours}` here")),
        None => near,
    }
}

/// What other tools call something, and what it is called here.
const ELSEWHERE: [(&str, &[&str]); 9] = [
    ("prefix", &["startswith", "starts_with", "begins_with"]),
    ("suffix", &["endswith", "ends_with"]),
    ("contains", &["includes", "substring"]),
    ("equals", &["eq", "is", "exact", "=="]),
    ("one_of", &["in", "any_of", "values"]),
    ("regex", &["matches", "pattern", "regexp", "safe_regex"]),
    ("traffic", &["percent", "percentage", "rollout", "coverage", "allocation"]),
    ("running", &["enabled", "active", "on", "live", "started"]),
    ("paused", &["disabled", "inactive", "off", "stopped"]),
];

fn elsewhere(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let theirs = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let ours = ELSEWHERE.into_iter().find(|(ours, words)| known.contains(ours) && theirs(words))?;
    Some(ours.0)
}
