//! Tree -> wire types, without stopping at the first mistake.
//!
//! serde's derive gives up at the first wrong value. This deserializer records
//! the mistake and carries on with a stand-in, so that one pass finds all of
//! them. What it relies on: wire types consist of derived structs, enums,
//! `Option`, `Vec`, maps and scalars, and a field that may be absent is an
//! `Option`, a `Vec` or a map.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{Document, Key, Node, Value};
use crate::problem::{Code, Path, Place, Problem, Problems, Span, did_you_mean};

/// Enums that are written as a mapping with a tag field, as
/// `{ dialect: unleash, group_id: g }`, not as `{ unleash: { group_id: g } }`.
const TAGGED: [(&str, &str); 1] = [("Bucketing", "dialect")];

/// What the newtypes of the wire expect, for messages.
const EXPECTATIONS: [(&str, &str); 3] = [
    ("Share", "a percentage such as 25%"),
    ("Instant", "a time such as 2026-11-20T00:00:00Z"),
    ("Period", "a duration such as 30s"),
];

/// Reads `document` as a `T`; mistakes go to `problems`. `None` only when the
/// document is so wrong that no stand-in could be made.
pub(crate) fn read<T: DeserializeOwned>(document: &Document, problems: &mut Problems) -> Option<T> {
    let sink = Sink::default();
    let cursor = Cursor { node: Some(&document.root), place: Place::Root, sink: &sink, expected: None };
    let result = T::deserialize(cursor);
    for problem in sink.problems.into_inner() {
        problems.push_always(problem);
    }
    match result {
        Ok(value) => Some(value),
        Err(Stop(why)) => {
            problems.push(Problem::error(Path::default(), Code::InvalidValue, "a Splitway config", why));
            None
        }
    }
}

#[derive(Default)]
struct Sink {
    problems: RefCell<Vec<Problem>>,
    /// While a stand-in is being built, what it lacks is no mistake.
    muted: Cell<bool>,
}

impl Sink {
    fn push(&self, problem: Problem) {
        if !self.muted.get() {
            self.problems.borrow_mut().push(problem);
        }
    }
}

/// `'a` is the document's lifetime, `'p` that of the places on the stack.
#[derive(Clone, Copy)]
struct Cursor<'a, 'p> {
    /// `None`: the field is absent.
    node: Option<&'a Node>,
    place: Place<'p>,
    sink: &'p Sink,
    expected: Option<&'static str>,
}

impl<'a, 'p> Cursor<'a, 'p> {
    fn mismatch(&self, expected: &str) {
        let expected = self.expected.unwrap_or(expected);
        let problem = match self.node {
            None => Problem::error(self.place.path(), Code::MissingField, expected, "nothing"),
            Some(node) => {
                let wrong =
                    Problem::error(self.place.path(), Code::WrongType, expected, node.value.describe());
                match advice(expected, &node.value) {
                    Some(advice) => wrong.suggest(advice),
                    None => wrong,
                }
            }
        };
        self.sink.push(problem);
    }

    fn value(&self) -> Option<&'a Value> {
        self.node.map(|node| &node.value)
    }

    fn integer(&self, low: i64, high: i64) -> i64 {
        match self.value() {
            Some(Value::Int(value)) if (low..=high).contains(value) => *value,
            Some(Value::Int(value)) => {
                self.sink.push(Problem::error(
                    self.place.path(),
                    Code::OutOfRange,
                    format!("a whole number from {low} to {high}"),
                    value.to_string(),
                ));
                low.max(0)
            }
            _ => {
                self.mismatch("a whole number");
                low.max(0)
            }
        }
    }

    fn entries(&self) -> Option<&'a [(Key, Node)]> {
        match self.value() {
            Some(Value::Map(entries)) => Some(entries),
            _ => None,
        }
    }
}

/// The usual slips.
fn advice(expected: &str, found: &Value) -> Option<String> {
    match found {
        Value::Text(text)
            if expected.contains("number") && text.trim_end_matches('%').parse::<f64>().is_ok() =>
        {
            Some(format!("write {} without quotes or unit", text.trim_end_matches('%')))
        }
        Value::Text(text) if expected.contains("true or false") => {
            let yes = matches!(text.to_ascii_lowercase().as_str(), "yes" | "on" | "y");
            let no = matches!(text.to_ascii_lowercase().as_str(), "no" | "off" | "n");
            (yes || no).then(|| format!("write {yes}"))
        }
        Value::Int(number) if expected.contains('%') => Some(format!("write {number}%")),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) if expected.contains("text") => {
            Some("put it in quotes".to_owned())
        }
        Value::Map(_) if expected.contains("list") => Some("put `- ` in front of it".to_owned()),
        _ => None,
    }
}

/// serde's error; only raised where no stand-in exists.
#[derive(Debug)]
struct Stop(String);

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Stop {}
impl de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

macro_rules! integers {
    ($($method:ident $low:expr, $high:expr;)*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
            visitor.visit_i64(self.integer($low, $high))
        }
    )*};
}

impl<'a> de::Deserializer<'a> for Cursor<'a, '_> {
    type Error = Stop;

    integers! {
        deserialize_u8 0, i64::from(u8::MAX);
        deserialize_u16 0, i64::from(u16::MAX);
        deserialize_u32 0, i64::from(u32::MAX);
        deserialize_u64 0, i64::MAX;
        deserialize_i64 i64::MIN, i64::MAX;
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value() {
            Some(Value::Bool(value)) => visitor.visit_bool(*value),
            _ => {
                self.mismatch("true or false");
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value() {
            Some(Value::Int(value)) => visitor.visit_f64(*value as f64),
            Some(Value::Float(value)) => visitor.visit_f64(*value),
            _ => {
                self.mismatch("a number");
                visitor.visit_f64(0.0)
            }
        }
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value() {
            Some(Value::Text(value)) => visitor.visit_str(value),
            _ => {
                self.mismatch("text");
                visitor.visit_str("")
            }
        }
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value() {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
        let items = match self.value() {
            Some(Value::List(items)) => items.as_slice(),
            None | Some(Value::Null) => &[],
            Some(_) => {
                self.mismatch("a list");
                &[]
            }
        };
        visitor.visit_seq(List { cursor: self, items: items.iter(), next: 0, missing: 0 })
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        let items = match self.value() {
            Some(Value::List(items)) if items.len() == len => items.as_slice(),
            _ => {
                self.mismatch(&format!("a list of {len}"));
                let muted = self.sink.muted.replace(true);
                let list = List { cursor: self, items: [].iter(), next: 0, missing: len };
                let stand_in = visitor.visit_seq(list);
                self.sink.muted.set(muted);
                return stand_in;
            }
        };
        visitor.visit_seq(List { cursor: self, items: items.iter(), next: 0, missing: 0 })
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
        let entries = match self.value() {
            Some(Value::Map(entries)) => entries.as_slice(),
            None | Some(Value::Null) => &[],
            Some(_) => {
                self.mismatch("a mapping");
                &[]
            }
        };
        visitor.visit_map(Map::new(self, entries, None, None))
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.structure(fields, None, visitor)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let tag = TAGGED.iter().find(|(tagged, _)| *tagged == name).map(|(_, tag)| *tag);
        let choice = match tag {
            Some(tag) => self.tagged_choice(tag, variants),
            None => self.keyed_choice(variants),
        };
        match choice {
            Some(choice) => visitor.visit_enum(choice),
            None => {
                let first = variants.first().copied().unwrap_or_default();
                let muted = self.sink.muted.replace(true);
                let stand_in = visitor.visit_enum(Choice {
                    variant: first,
                    content: Cursor { node: None, ..self },
                    inner: None,
                    tag: None,
                });
                self.sink.muted.set(muted);
                stand_in
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let expected = EXPECTATIONS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        visitor.visit_newtype_struct(Cursor { expected: expected.or(self.expected), ..self })
    }

    fn deserialize_any<V: Visitor<'a>>(self, _visitor: V) -> Result<V::Value, Stop> {
        Err(Stop(format!("{}: the wire types must say what they hold", self.place.path())))
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <W: Visitor<'a>>
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

impl<'a, 'p> Cursor<'a, 'p> {
    fn structure<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        tag: Option<&'static str>,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if let Some(entries) = self.entries() {
            return visitor.visit_map(Map::new(self, entries, Some(fields), tag));
        }
        self.mismatch("a mapping");
        let muted = self.sink.muted.replace(true);
        let stand_in = visitor.visit_map(Map::new(self, &[], Some(fields), tag));
        self.sink.muted.set(muted);
        stand_in
    }

    /// `name` for a plain variant, `{ name: content }` for one with content.
    fn keyed_choice(self, variants: &'static [&'static str]) -> Option<Choice<'a, 'p>> {
        let (name, node) = match self.value() {
            Some(Value::Text(name)) => (name.as_str(), None),
            Some(Value::Map(entries)) => match entries.as_slice() {
                [(key, node)] => (key.name.as_str(), Some(node)),
                more => {
                    self.sink.push(Problem::error(
                        self.place.path(),
                        Code::InvalidValue,
                        format!("exactly one of {}", variants.join(", ")),
                        format!("{} fields", more.len()),
                    ));
                    return None;
                }
            },
            _ => {
                self.mismatch(&format!("one of {}", variants.join(", ")));
                return None;
            }
        };
        // An unknown one is a problem of this whole value, so that nothing is
        // said about the stand-in; its span is the name's.
        let code = if node.is_some() { Code::UnknownField } else { Code::InvalidValue };
        let span = self.entries().and_then(|entries| entries.first()).and_then(|(key, _)| key.span);
        let variant = self.known(name, variants, || self.place.path(), code, span)?;
        let inner = node.is_some().then_some(name);
        Some(Choice { variant, content: Cursor { node, ..self }, inner, tag: None })
    }

    /// `{ tag: name, …content }`.
    fn tagged_choice(self, tag: &'static str, variants: &'static [&'static str]) -> Option<Choice<'a, 'p>> {
        let Some(entries) = self.entries() else {
            self.mismatch("a mapping");
            return None;
        };
        let place = || self.place.path().key(tag);
        let name = entries.iter().find(|(key, _)| key.name == tag).map(|(_, node)| &node.value);
        let Some(Value::Text(name)) = name else {
            let expected = format!("one of {}", variants.join(", "));
            let found = name.map_or_else(|| "nothing".to_owned(), Value::describe);
            self.sink.push(Problem::error(place(), Code::MissingField, expected, found));
            return None;
        };
        let variant = self.known(name, variants, place, Code::InvalidValue, None)?;
        Some(Choice { variant, content: self, inner: None, tag: Some(tag) })
    }

    fn known(
        self,
        name: &str,
        variants: &'static [&'static str],
        place: impl Fn() -> Path,
        code: Code,
        span: Option<Span>,
    ) -> Option<&'static str> {
        let known = variants.iter().copied().find(|variant| *variant == name);
        if known.is_none() {
            let mut problem = unknown(place(), code, name, variants);
            problem.span = span;
            self.sink.push(problem);
        }
        known
    }
}

fn unknown(place: Path, code: Code, name: &str, known: &'static [&'static str]) -> Problem {
    let problem =
        Problem::error(place, code, format!("one of {}", known.join(", ")), super::describe_text(name));
    match did_you_mean(name, known.iter().copied()) {
        Some(near) => problem.suggest(format!("did you mean `{near}`?")),
        None => problem,
    }
}

struct List<'a, 'p> {
    cursor: Cursor<'a, 'p>,
    items: std::slice::Iter<'a, Node>,
    next: usize,
    /// Absent entries still to be made up.
    missing: usize,
}

impl<'a> de::SeqAccess<'a> for List<'a, '_> {
    type Error = Stop;
    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let node = self.items.next();
        if node.is_none() {
            match self.missing.checked_sub(1) {
                Some(rest) => self.missing = rest,
                None => return Ok(None),
            }
        }
        let place = Place::Index(&self.cursor.place, self.next);
        self.next = self.next.saturating_add(1);
        seed.deserialize(Cursor { node, place, sink: self.cursor.sink, expected: None }).map(Some)
    }
}

struct Map<'a, 'p> {
    cursor: Cursor<'a, 'p>,
    entries: std::slice::Iter<'a, (Key, Node)>,
    seen: Vec<&'a str>,
    /// Of a struct: its fields, those not seen are fed as absent at the end.
    fields: Option<&'static [&'static str]>,
    absent: std::slice::Iter<'static, &'static str>,
    tag: Option<&'static str>,
    value: Option<(&'a str, Option<&'a Node>)>,
}

impl<'a, 'p> Map<'a, 'p> {
    fn new(
        cursor: Cursor<'a, 'p>,
        entries: &'a [(Key, Node)],
        fields: Option<&'static [&'static str]>,
        tag: Option<&'static str>,
    ) -> Self {
        Self {
            cursor,
            entries: entries.iter(),
            seen: Vec::new(),
            fields,
            absent: fields.unwrap_or_default().iter(),
            tag,
            value: None,
        }
    }

    /// The next entry that is neither a duplicate, unknown, nor the tag.
    fn next_entry(&mut self) -> Option<&'a (Key, Node)> {
        loop {
            let entry = self.entries.next()?;
            let name = entry.0.name.as_str();
            if self.tag == Some(name) {
                continue;
            }
            let place = || self.cursor.place.path().key(name);
            if let Some(fields) = self.fields
                && !fields.contains(&name)
            {
                self.cursor.sink.push(unknown(place(), Code::UnknownField, name, fields));
                continue;
            }
            if self.seen.contains(&name) {
                let found = format!("`{name}` twice");
                self.cursor.sink.push(Problem::error(
                    place(),
                    Code::DuplicateField,
                    "each field once",
                    found,
                ));
                continue;
            }
            self.seen.push(name);
            return Some(entry);
        }
    }
}

impl<'a> de::MapAccess<'a> for Map<'a, '_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        let (name, node) = match self.next_entry() {
            Some((key, node)) => (key.name.as_str(), Some(node)),
            None => match self.absent.by_ref().find(|field| !self.seen.contains(field)) {
                Some(field) => (*field, None),
                None => return Ok(None),
            },
        };
        self.value = Some((name, node));
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        let (name, node) = self.value.take().unwrap_or_default();
        let place = Place::Key(&self.cursor.place, name);
        seed.deserialize(Cursor { node, place, sink: self.cursor.sink, expected: None })
    }
}

struct Choice<'a, 'p> {
    variant: &'static str,
    content: Cursor<'a, 'p>,
    /// The field that holds the content, when it is one level down.
    inner: Option<&'a str>,
    tag: Option<&'static str>,
}

impl<'a> de::EnumAccess<'a> for Choice<'a, '_> {
    type Error = Stop;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Stop> {
        let name: de::value::StrDeserializer<'_, Stop> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'a> de::VariantAccess<'a> for Choice<'a, '_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        Ok(())
    }
    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Stop> {
        if self.tag.is_some() {
            return Err(Stop("a tagged enum has struct variants only".to_owned()));
        }
        self.within(|cursor| seed.deserialize(cursor))
    }
    fn tuple_variant<V: Visitor<'a>>(self, _len: usize, _visitor: V) -> Result<V::Value, Stop> {
        Err(Stop("the wire has no tuple variants".to_owned()))
    }
    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let tag = self.tag;
        self.within(|cursor| cursor.structure(fields, tag, visitor))
    }
}

impl<'a> Choice<'a, '_> {
    /// Hands out the content at its own place.
    fn within<T>(&self, read: impl FnOnce(Cursor<'a, '_>) -> T) -> T {
        match self.inner {
            None => read(self.content),
            Some(name) => {
                let place = Place::Key(&self.content.place, name);
                read(Cursor { place, ..self.content })
            }
        }
    }
}
