//! A config document as a tree: JSON for the filter, YAML (with source spans)
//! for people. [`crate::compile`] is what reads it.
//!
//! A tree of our own rather than `serde_json::Value`, because it must keep
//! duplicate keys (to report them) and source places.

mod json;
#[cfg(feature = "yaml")]
mod place;
mod read;
#[cfg(feature = "yaml")]
mod yaml;

#[cfg(feature = "advice")]
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use sha2::{Digest, Sha256};

use crate::order::insert_by;
#[cfg(feature = "yaml")]
use crate::problem::Segment;
use crate::problem::{Code, MESSAGES, Path, Problem, Problems, Span, prose};
#[cfg(feature = "yaml")]
pub use place::Located;
pub use read::Entries;
pub(crate) use read::{Cursor, Fields, Read, read};

/// Largest document that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 16;
/// Most values in a document; YAML aliases count each time they are used.
pub const MAX_NODES: usize = 200_000;
/// Most fields in one mapping.
pub const MAX_FIELDS: usize = 1_024;

/// A parsed document; not yet known to be a valid config.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) root: Node,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    #[cfg_attr(not(feature = "yaml"), expect(dead_code, reason = "JSON has no source places"))]
    pub(crate) span: Option<Span>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) span: Option<Span>,
}

impl Document {
    /// Parses JSON text (RFC 8259).
    ///
    /// # Errors
    /// One problem: not JSON, or beyond [`MAX_BYTES`] or [`MAX_DEPTH`].
    pub fn from_json(text: &[u8]) -> Result<Self, Problems> {
        check_size(text.len())?;
        json::parse(text)
    }

    /// Parses YAML 1.2 text (core schema) or JSON, keeping source spans.
    ///
    /// # Errors
    /// One problem: not YAML, or beyond [`MAX_BYTES`], [`MAX_DEPTH`] or
    /// [`MAX_NODES`].
    #[cfg(feature = "yaml")]
    pub fn from_yaml(text: &str) -> Result<Self, Problems> {
        check_size(text.len())?;
        yaml::parse(text)
    }

    /// Canonical JSON: no white space, keys sorted. What the filter is given,
    /// and what [`Self::content_hash`] is taken over.
    #[cfg(feature = "advice")]
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.root).unwrap_or_default()
    }

    /// First 16 hex digits of a SHA-256 over the document's values, mappings in
    /// the order of their keys: the config version in every exposure. Layout,
    /// comments, key order and YAML or JSON do not change it.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let mut digest = Sha256::new();
        self.root.hash_into(&mut digest);
        hex(&digest.finalize(), 8)
    }

    /// Identifies what decides the experiment at `position`, and its guardrail at `index`: its variants, bucketing,
    /// targeting, layer and unit. Another owner, more traffic, another status or an edit of another experiment
    /// leave it as it is.
    pub(crate) fn digest_of_guardrail(&self, position: usize, index: usize) -> u64 {
        let experiment = self.root.get("experiments").and_then(|list| list.item(position));
        let own = |name: &str| experiment?.get(name);
        let parts = [
            own("variants"),
            own("bucketing"),
            own("targeting"),
            own("layer"),
            own("unit").or_else(|| self.root.get("unit")),
            own("guardrails").and_then(|list| list.item(index)),
        ];
        let mut digest = Sha256::new();
        for part in parts {
            match part {
                Some(part) => part.hash_into(&mut digest),
                None => digest.update([0]),
            }
        }
        digest.finalize().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The number that the whole document is.
    pub(crate) fn number(&self) -> Option<f64> {
        match self.root.value {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a field of the whole document.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.root.get(name).map(|node| &node.value)
    }

    /// The source place of `path`, or of its nearest existing ancestor.
    /// Where the field's name is what is wrong, that of the name.
    #[cfg(feature = "yaml")]
    pub(crate) fn span_of(&self, problem: &Problem) -> Option<Span> {
        let Problem { path, code, found, .. } = problem;
        let mut node = &self.root;
        let mut span = node.span;
        for (position, segment) in path.0.iter().enumerate() {
            let last = position.checked_add(1) == Some(path.0.len());
            let next = match (&node.value, segment) {
                (Value::Map(entries), Segment::Key(name)) => {
                    let matching = |entry: &&(Key, Node)| entry.0.name == *name;
                    let entry = if *code == Code::DuplicateField && last {
                        entries.iter().rfind(matching)
                    } else {
                        entries.iter().find(matching)
                    };
                    entry.map(|(key, node)| {
                        let is_wrong = matches!(code, Code::UnknownField | Code::DuplicateField)
                            || *found == describe_text(&key.name);
                        let on_key = last && is_wrong;
                        (node, if on_key { key.span } else { node.span })
                    })
                }
                (Value::List(items), Segment::Index(index)) => items.get(*index).map(|n| (n, n.span)),
                _ => None,
            };
            let Some((child, place)) = next else { break };
            node = child;
            span = place.or(span);
        }
        span
    }
}

fn check_size(bytes: usize) -> Result<(), Problems> {
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
    fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// A value of a list.
    fn item(&self, index: usize) -> Option<&Self> {
        match &self.value {
            Value::List(items) => items.get(index),
            _ => None,
        }
    }

    /// Feeds kind, length and content, so that no two trees feed the same.
    fn hash_into(&self, digest: &mut Sha256) {
        let mut put = |kind: u8, length: usize, bytes: &[u8]| {
            digest.update([kind]);
            digest.update(u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(bytes);
        };
        match &self.value {
            Value::Null => put(b'n', 0, &[]),
            Value::Bool(value) => put(b'b', 0, &[u8::from(*value)]),
            Value::Int(value) => put(b'i', 0, &value.to_le_bytes()),
            Value::Float(value) => put(b'f', 0, &value.to_bits().to_le_bytes()),
            Value::Text(value) => put(b't', value.len(), value.as_bytes()),
            Value::List(items) => {
                put(b'l', items.len(), &[]);
                items.iter().for_each(|item| item.hash_into(digest));
            }
            Value::Map(entries) => {
                put(b'm', entries.len(), &[]);
                for (key, node) in by_key(entries) {
                    digest.update(u64::try_from(key.name.len()).unwrap_or(u64::MAX).to_le_bytes());
                    digest.update(key.name.as_bytes());
                    node.hash_into(digest);
                }
            }
        }
    }
}

fn by_key(entries: &[(Key, Node)]) -> Vec<&(Key, Node)> {
    let mut sorted = Vec::with_capacity(entries.len());
    for entry in entries {
        insert_by(&mut sorted, entry, |a: &&(Key, Node), b| a.0.name.cmp(&b.0.name));
    }
    sorted
}

/// The first `bytes` of `digest` in lower-case hex.
pub(crate) fn hex(digest: &[u8], bytes: usize) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let mut text = String::with_capacity(bytes.saturating_mul(2));
    for byte in digest.iter().take(bytes) {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

impl Value {
    /// What a person would call this, with the value where it is short.
    pub(crate) fn describe(&self) -> String {
        if !MESSAGES {
            return String::new();
        }
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {}", describe_number(*value)),
            Self::Text(value) => format!("the text {}", describe_text(value)),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// A number, with up to four decimals. (The standard library's formatting of
/// floats would cost the filter 15 kB.)
pub(crate) fn describe_number(number: f64) -> String {
    if !MESSAGES {
        return String::new();
    }
    let scaled = (number.abs() * 10_000.0).round();
    if !number.is_finite() || scaled >= 1e18 {
        return if number < 0.0 { "a number far below 0" } else { "a number beyond all limits" }.to_owned();
    }
    let scaled = scaled as u64;
    let sign = if number < 0.0 { "-" } else { "" };
    let text = format!("{sign}{}.{:04}", scaled / 10_000, scaled % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A quoted, shortened piece of text from a document.
pub(crate) fn describe_text(text: &str) -> String {
    if !MESSAGES {
        return String::new();
    }
    let mut shown = String::new();
    for c in text.chars().take(60) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

#[cfg(feature = "advice")]
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(value) => serializer.serialize_str(value),
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Value::Map(entries) => {
                let sorted = by_key(entries);
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                sorted.into_iter().try_for_each(|(key, node)| map.serialize_entry(&key.name, node))?;
                map.end()
            }
        }
    }
}
