//! Expectations about single values.

use regex_lite::Regex;
use serde_json::Value;
use splitway_document::{Cursor, Document, Fields, Read, Value as Found, Want};

use crate::template::Values;

/// What was captured: name and value.
pub(crate) type Captured = Vec<(String, String)>;

/// About a text: the text itself, or operators, all of which must hold.
#[derive(Clone, Debug)]
pub struct TextExpect {
    equals: Option<String>,
    bytes: Option<Vec<u8>>,
    contains: Option<String>,
    matches: Option<(String, Regex)>,
    capture: Option<String>,
}

/// About all values of a header.
#[derive(Clone, Debug)]
pub enum ValuesExpect {
    /// The header is not there.
    Absent,
    /// It is there, whatever its values.
    Present,
    /// It has exactly these values, in order.
    Exactly(Vec<TextExpect>),
    /// One of its values is such; and it has so many, if that is said.
    Some(Option<Box<TextExpect>>, Option<u64>),
}

/// About a field of an exposure: a value, or operators.
#[derive(Clone, Debug)]
pub enum JsonExpect {
    /// The field is not there.
    Absent,
    /// It is there.
    Present,
    /// Exactly this number, truth value or null.
    Value(Value),
    /// A text.
    Text(TextExpect),
}

/// About a number.
#[derive(Clone, Debug)]
pub enum NumberExpect {
    /// Exactly this.
    Exactly(u64),
    /// This or more.
    AtLeast(u64),
}

/// The operators of a text.
const OF_TEXT: &[&str] = &["equals", "bytes", "contains", "matches", "capture"];
/// Those of a value that can be absent.
const OF_FIELD: &[&str] = &["absent", "present", "equals", "bytes", "contains", "matches", "capture"];
/// Those of a header, which can have several values.
const OF_HEADER: &[&str] =
    &["absent", "present", "count", "equals", "bytes", "contains", "matches", "capture"];

impl Read for TextExpect {
    fn read(at: &Cursor<'_>) -> Self {
        if at.is_mapping() {
            return Self::operators(at, &at.fields(OF_TEXT), OF_TEXT);
        }
        let text = at.value().and_then(scalar);
        Self::equal_to(text.unwrap_or_else(|| {
            at.mismatch(Want::Any, &format!("a text or operators ({})", OF_TEXT.join(", ")));
            String::new()
        }))
    }
}

impl TextExpect {
    fn equal_to(text: String) -> Self {
        Self { equals: Some(text), bytes: None, contains: None, matches: None, capture: None }
    }

    fn operators(at: &Cursor<'_>, fields: &Fields<'_>, known: &[&str]) -> Self {
        if fields.is_empty() {
            at.invalid(&format!("at least one of {}", known.join(", ")), "none");
        }
        let text = |name: &str| {
            let field = fields.at(name);
            let text = scalar(field.value()?);
            if text.is_none() {
                field.mismatch(Want::Any, "a text");
            }
            text
        };
        let bytes = text("bytes").map(|text| {
            unescape(&text).unwrap_or_else(|found| {
                fields.at("bytes").invalid("`\\xNN` or `\\\\` in bytes", &found);
                Vec::new()
            })
        });
        let matches = text("matches").and_then(|text| match Regex::new(&text) {
            Ok(regex) => Some((text, regex)),
            Err(error) => {
                fields.at("matches").invalid("a regular expression", &format!("`{text}`: {error}"));
                None
            }
        });
        let capture = text("capture");
        if let Some(name) = &capture
            && !crate::template::is_name(name)
        {
            fields.at("capture").invalid("a name of letters, digits and `_`", &format!("`{name}`"));
        }
        Self { equals: text("equals"), bytes, contains: text("contains"), matches, capture }
    }

    /// What is captured if `value` is as expected.
    pub(crate) fn check(&self, value: &[u8], values: &Values) -> Result<Option<Captured>, String> {
        let text = String::from_utf8_lossy(value);
        if let Some(expected) = &self.equals
            && values.fill(expected)?.as_bytes() != value
        {
            return Ok(None);
        }
        if self.bytes.as_ref().is_some_and(|expected| expected != value) {
            return Ok(None);
        }
        if let Some(part) = &self.contains
            && !text.contains(&values.fill(part)?)
        {
            return Ok(None);
        }
        let mut whole = text.as_ref();
        if let Some((_, regex)) = &self.matches {
            let Some(found) = regex.captures(&text) else { return Ok(None) };
            if let Some(part) = found.get(1) {
                whole = part.as_str();
                return Ok(Some(self.captured(whole)));
            }
        }
        Ok(Some(self.captured(whole)))
    }

    fn captured(&self, value: &str) -> Captured {
        self.capture.iter().map(|name| (name.clone(), value.to_owned())).collect()
    }

    /// What is expected, in words.
    pub(crate) fn describe(&self, values: &Values) -> String {
        let fill = |text: &str| values.fill(text).unwrap_or_else(|_| text.to_owned());
        let mut said = Vec::new();
        if let Some(text) = &self.equals {
            said.push(quoted(fill(text).as_bytes()));
        }
        if let Some(bytes) = &self.bytes {
            said.push(quoted(bytes));
        }
        if let Some(text) = &self.contains {
            said.push(format!("a text that contains {}", quoted(fill(text).as_bytes())));
        }
        if let Some((regex, _)) = &self.matches {
            said.push(format!("a text that matches /{regex}/"));
        }
        if said.is_empty() {
            said.push("a value".to_owned());
        }
        said.join(", and ")
    }
}

impl Read for ValuesExpect {
    fn read(at: &Cursor<'_>) -> Self {
        if let Some(text) = at.value().and_then(scalar) {
            return Self::Exactly(vec![TextExpect::equal_to(text)]);
        }
        match at.value() {
            Some(Found::List(_)) => Self::Exactly(Vec::read(at)),
            Some(Found::Map(_)) => {
                let fields = at.fields(OF_HEADER);
                match presence(at, &fields) {
                    Some(true) => return Self::Present,
                    Some(false) => return Self::Absent,
                    None => {}
                }
                let count = fields.read::<Option<u64>>("count");
                let is_count_alone = count.is_some() && fields.len() == 1;
                let text = (!is_count_alone).then(|| Box::new(TextExpect::operators(at, &fields, OF_HEADER)));
                Self::Some(text, count)
            }
            _ => {
                let operators = OF_HEADER.join(", ");
                at.mismatch(
                    Want::Any,
                    &format!("a header's value, a list of values, or operators ({operators})"),
                );
                Self::Present
            }
        }
    }
}

impl ValuesExpect {
    /// What is captured if `found` are as expected.
    pub(crate) fn check(&self, found: &[&[u8]], values: &Values) -> Result<Option<Captured>, String> {
        match self {
            Self::Absent => Ok(found.is_empty().then(Vec::new)),
            Self::Present => Ok((!found.is_empty()).then(Vec::new)),
            Self::Exactly(expected) => {
                if expected.len() != found.len() {
                    return Ok(None);
                }
                let mut captured = Vec::new();
                for (expected, found) in expected.iter().zip(found) {
                    match expected.check(found, values)? {
                        Some(more) => captured.extend(more),
                        None => return Ok(None),
                    }
                }
                Ok(Some(captured))
            }
            Self::Some(text, count) => {
                if count.is_some_and(|count| count != found.len() as u64) {
                    return Ok(None);
                }
                let Some(text) = text else { return Ok(Some(Vec::new())) };
                for value in found {
                    if let Some(captured) = text.check(value, values)? {
                        return Ok(Some(captured));
                    }
                }
                Ok(None)
            }
        }
    }

    /// What is expected, in words.
    pub(crate) fn describe(&self, values: &Values) -> String {
        match self {
            Self::Absent => "absent".to_owned(),
            Self::Present => "present".to_owned(),
            Self::Exactly(expected) => match expected.as_slice() {
                [] => "absent".to_owned(),
                [one] => one.describe(values),
                many => many.iter().map(|one| one.describe(values)).collect::<Vec<_>>().join(" then "),
            },
            Self::Some(text, count) => {
                let text = text.as_ref().map(|text| text.describe(values));
                let count = count.map(|count| format!("{count} values"));
                count.into_iter().chain(text).collect::<Vec<_>>().join(", one of them ")
            }
        }
    }
}

impl Read for JsonExpect {
    fn read(at: &Cursor<'_>) -> Self {
        match at.node() {
            None => Self::Absent,
            Some(node) => match &node.value {
                Found::Text(text) => Self::Text(TextExpect::equal_to(text.clone())),
                Found::Map(_) => {
                    let fields = at.fields(OF_FIELD);
                    match presence(at, &fields) {
                        Some(true) => Self::Present,
                        Some(false) => Self::Absent,
                        None => Self::Text(TextExpect::operators(at, &fields, OF_FIELD)),
                    }
                }
                _ => {
                    let json = Document { root: node.clone() }.to_json();
                    Self::Value(serde_json::from_str(&json).unwrap_or_default())
                }
            },
        }
    }
}

impl JsonExpect {
    /// What is captured if `found` is as expected.
    pub(crate) fn check(&self, found: Option<&Value>, values: &Values) -> Result<Option<Captured>, String> {
        match (self, found) {
            (Self::Absent, found) => Ok(found.is_none().then(Vec::new)),
            (Self::Present, found) => Ok(found.is_some().then(Vec::new)),
            (Self::Value(expected), Some(found)) => Ok((expected == found).then(Vec::new)),
            (Self::Text(expected), Some(Value::String(found))) => expected.check(found.as_bytes(), values),
            // A pattern may look at a number, too.
            (Self::Text(expected), Some(found)) if expected.equals.is_none() => {
                expected.check(found.to_string().as_bytes(), values)
            }
            _ => Ok(None),
        }
    }

    /// What is expected, in words.
    pub(crate) fn describe(&self, values: &Values) -> String {
        match self {
            Self::Absent => "absent".to_owned(),
            Self::Present => "present".to_owned(),
            Self::Value(value) => value.to_string(),
            Self::Text(text) => text.describe(values),
        }
    }
}

impl Read for NumberExpect {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Found::Map(_)) => Self::AtLeast(at.fields(&["at_least"]).read("at_least")),
            Some(Found::Int(_)) => Self::Exactly(u64::read(at)),
            _ => {
                at.mismatch(Want::Any, "a number or `{at_least: 1}`");
                Self::Exactly(0)
            }
        }
    }
}

impl NumberExpect {
    /// Whether `found` is as expected.
    pub(crate) fn holds(&self, found: u64) -> bool {
        match self {
            Self::Exactly(expected) => *expected == found,
            Self::AtLeast(least) => found >= *least,
        }
    }

    /// What is expected, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Exactly(expected) => expected.to_string(),
            Self::AtLeast(least) => format!("at least {least}"),
        }
    }
}

/// `absent: true` and `present: true`, which stand alone: whether the value must be there.
fn presence(at: &Cursor<'_>, fields: &Fields<'_>) -> Option<bool> {
    let name = ["absent", "present"].into_iter().find(|name| fields.at(name).value().is_some())?;
    if fields.len() > 1 {
        at.invalid(&format!("`{name}` without other operators"), &format!("{} operators", fields.len()));
    }
    Some((name == "present") == fields.read::<bool>(name))
}

/// A text, or a number or truth value as text.
pub(crate) fn scalar(value: &Found) -> Option<String> {
    match value {
        Found::Text(text) => Some(text.clone()),
        Found::Int(number) => Some(number.to_string()),
        Found::Decimal(number) => Some(number.to_string()),
        Found::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Bytes in quotes, escaped where they are not text.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => format!("{text:?}"),
        _ => format!("bytes \"{}\"", bytes.escape_ascii()),
    }
}

/// `\xNN` to a byte, `\\` to a backslash; what else follows a backslash is the error.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        if let Some(tail) = after.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = tail;
            continue;
        }
        let hex = after.strip_prefix('x').and_then(|after| after.get(..2));
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let Some(byte) = byte else {
            return Err(format!("`\\{}`", after.chars().take(3).collect::<String>()));
        };
        bytes.push(byte);
        rest = after.get(3..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}
