//! JSON text -> tree.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Document, Key, MAX_DEPTH, MAX_FIELDS, Node, Value};
use crate::problem::{Code, Path, Problem, Problems, Span, prose};

pub(super) fn parse(text: &[u8]) -> Result<Document, Problems> {
    let broken = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let root = Level { depth: 0, broken: &broken }.deserialize(&mut deserializer).and_then(|node| {
        deserializer.end()?;
        Ok(node)
    });
    let problem = match (root, broken.get()) {
        (Ok(root), None) => return Ok(Document { root }),
        (_, Some(limit)) => Problem::error(Path::default(), Code::Limit, &limit.expected(), "more"),
        (Err(error), None) => syntax(&error),
    };
    Err(problem.into())
}

fn syntax(error: &serde_json::Error) -> Problem {
    let mut problem = Problem::error(Path::default(), Code::Syntax, "JSON", &prose!("{error}"));
    if error.line() > 0 {
        problem.span = Some(Span { line: error.line(), column: error.column().max(1), start: 0, end: 0 });
    }
    problem
}

/// A limit that the document broke.
#[derive(Clone, Copy)]
enum Limit {
    Depth,
    Fields,
}

impl Limit {
    fn expected(self) -> String {
        match self {
            Self::Depth => prose!("at most {MAX_DEPTH} levels of nesting"),
            Self::Fields => prose!("at most {MAX_FIELDS} fields in one mapping"),
        }
    }
}

/// Reads a value at some depth. A broken limit is noted and not an error of serde_json's, whose
/// way to carry text costs the filter 3 kB; serde_json itself stops at 128 levels.
#[derive(Clone, Copy)]
struct Level<'b> {
    depth: usize,
    broken: &'b Cell<Option<Limit>>,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let value = deserializer.deserialize_any(self)?;
        Ok(Node { value, span: None })
    }
}

impl Level<'_> {
    fn below(self) -> Self {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_DEPTH {
            self.broken.set(Some(Limit::Depth));
        }
        Self { depth, ..self }
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        // Beyond i64 nothing in a config is exact; keep it as a float and let
        // the schema refuse it by range.
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        #[cfg(feature = "yaml")]
        let value = settled(value);
        Ok(whole(value).map_or(Value::Float(value), Value::Int))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below();
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below();
        let mut entries = Vec::new();
        while let Some(name) = access.next_key_seed(Name)? {
            if entries.len() >= MAX_FIELDS {
                self.broken.set(Some(Limit::Fields));
            }
            entries.push((Key { name, span: None }, access.next_value_seed(below)?));
        }
        Ok(Value::Map(entries))
    }
}

/// A float without a fraction is the same number as its integer: hosts that
/// carry JSON as protobuf `Struct` turn 50 into 50.0.
pub(super) fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// The number that stays itself when written and read again. serde_json reads
/// numbers of more than 15 digits, or far from 1, to within a unit in the last
/// place only (being exact costs the filter 15 kB), so what a tool computes with
/// must be what the filter will read of its JSON.
#[cfg(feature = "yaml")]
pub(super) fn settled(value: f64) -> f64 {
    let read = |text: &str| serde_json::from_str::<f64>(text).unwrap_or_default();
    let again = |value: f64| read(&serde_json::to_string(&value).unwrap_or_default());
    let stays = |value: &f64| again(*value) == *value;
    // Every step is a rounding error, so mostly a few are enough.
    let steps = std::iter::successors(Some(value), |value| Some(again(*value)));
    let shorter = (0..15_usize).rev().map(|digits| read(&format!("{value:.digits$e}")));
    // Nothing stays where even one digit does not: such numbers mean nothing in a config.
    let magnitude = if value.abs() < 1.0 { 0.0 } else { read(&format!("1e{}", value.abs().log10().floor())) };
    steps.take(8).chain(shorter).find(stays).unwrap_or_else(|| magnitude.copysign(value))
}

/// A field's name. Not `String`'s own visitor: the error it could give prints
/// floats, and that costs the filter 11 kB.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Name {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E>(self, name: &str) -> Result<String, E> {
        Ok(name.to_owned())
    }
}
