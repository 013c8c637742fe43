//! A document as a tree: what JSON and YAML are read into.
//!
//! A tree of our own rather than `serde_json::Value`, because it must keep
//! duplicate keys (to report them) and source places.

use crate::decimal::{Decimal, Number};
use crate::path::{Path, Span};
use crate::problem::{Code, Problem, Problems};
use crate::text::{MESSAGES, describe_text, prose};

/// Largest document that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 16;
/// Most values in a document; YAML aliases count each time they are used.
pub const MAX_NODES: usize = 200_000;
/// Most fields in one mapping.
pub const MAX_FIELDS: usize = 1_024;

/// A parsed document; nothing is known yet about what it means.
#[derive(Clone, Debug)]
pub struct Document {
    /// The value that the whole text is.
    pub root: Node,
}

/// A value and where it is.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its place in the text, for documents parsed from YAML.
    pub span: Option<Span>,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number, as written.
    Decimal(Decimal),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the text; a name can be there twice.
    Map(Vec<(Key, Node)>),
}

/// The name of a field.
#[derive(Clone, Debug)]
pub struct Key {
    /// As written.
    pub name: String,
    /// Its place in the text, for documents parsed from YAML.
    pub span: Option<Span>,
}

impl Document {
    /// The number that the whole document is.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.root.value {
            Value::Int(value) => Some(value as f64),
            Value::Decimal(value) => Some(value.value()),
            _ => None,
        }
    }

    /// The value of a field of the whole document.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.root.get(name).map(|node| &node.value)
    }
}

/// Refuses texts of more than [`MAX_BYTES`].
pub(crate) fn check_size(bytes: usize) -> Result<(), Problems> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Problem::error(
        Path::default(),
        Code::Limit,
        &prose!("at most {MAX_BYTES} bytes"),
        &prose!("{bytes} bytes"),
    )
    .into())
}

impl Node {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// A value of a list.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<&Self> {
        match &self.value {
            Value::List(items) => items.get(index),
            _ => None,
        }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(value) => Self::Int(value),
            Number::Decimal(value) => Self::Decimal(value),
        }
    }
}

impl Value {
    /// What a person would call this, with the value where it is short.
    #[must_use]
    pub fn describe(&self) -> String {
        if !MESSAGES {
            return String::new();
        }
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Decimal(value) => format!("the number {value}"),
            Self::Text(value) => format!("the text {}", describe_text(value)),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}
