//! Expectations about single values.

use std::fmt::Write as _;

use regex_lite::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use splitway_engine::did_you_mean;

use crate::template::Values;

/// What was captured: name and value.
pub(crate) type Captured = Vec<(String, String)>;

/// About a text: the text itself, or operators, all of which must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub struct TextExpect {
    equals: Option<String>,
    bytes: Option<Vec<u8>>,
    contains: Option<String>,
    matches: Option<(String, Regex)>,
    capture: Option<String>,
}

/// About all values of a header.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
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
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
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
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum NumberExpect {
    /// Exactly this.
    Exactly(u64),
    /// This or more.
    AtLeast(u64),
}

const OPERATORS: &[&str] = &["equals", "bytes", "contains", "matches", "capture"];
const PRESENCE: &[&str] = &["absent", "present"];

impl TryFrom<Value> for TextExpect {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if let Some(text) = scalar(&value) {
            return Ok(Self::equal_to(text));
        }
        match value {
            Value::Object(fields) => Self::operators(&fields, OPERATORS),
            other => {
                Err(format!("expected a text or operators ({}); found {}", listed(OPERATORS), shown(&other)))
            }
        }
    }
}

impl TextExpect {
    fn equal_to(text: String) -> Self {
        Self { equals: Some(text), bytes: None, contains: None, matches: None, capture: None }
    }

    fn operators(fields: &Map<String, Value>, known: &[&str]) -> Result<Self, String> {
        check_names(fields, known)?;
        let text = |name: &str| match fields.get(name) {
            None => Ok(None),
            Some(value) => match scalar(value) {
                Some(text) => Ok(Some(text)),
                None => Err(format!("expected a text for `{name}`, found {}", shown(value))),
            },
        };
        let bytes = text("bytes")?.map(|text| unescape(&text)).transpose()?;
        let matches = text("matches")?.map(|text| match Regex::new(&text) {
            Ok(regex) => Ok((text, regex)),
            Err(error) => Err(format!("`{text}` is no regular expression: {error}")),
        });
        let capture = text("capture")?;
        if let Some(name) = &capture
            && !crate::template::is_name(name)
        {
            return Err(format!("`{name}` is no name to capture as: letters, digits and _ only"));
        }
        let expect = Self {
            equals: text("equals")?,
            bytes,
            contains: text("contains")?,
            matches: matches.transpose()?,
            capture,
        };
        if fields.is_empty() {
            return Err(format!("expected at least one of {}", listed(known)));
        }
        Ok(expect)
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

impl TryFrom<Value> for ValuesExpect {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        const KNOWN: &[&str] =
            &["absent", "present", "count", "equals", "bytes", "contains", "matches", "capture"];
        if let Some(text) = scalar(&value) {
            return Ok(Self::Exactly(vec![TextExpect::equal_to(text)]));
        }
        match value {
            Value::Array(values) => {
                values.into_iter().map(TextExpect::try_from).collect::<Result<_, _>>().map(Self::Exactly)
            }
            Value::Object(mut fields) => {
                check_names(&fields, KNOWN)?;
                if let Some(presence) = presence(&fields)? {
                    return Ok(if presence { Self::Present } else { Self::Absent });
                }
                let count =
                    match fields.remove("count") {
                        None => None,
                        Some(count) => Some(count.as_u64().ok_or_else(|| {
                            format!("expected a number for `count`, found {}", shown(&count))
                        })?),
                    };
                let text = if fields.is_empty() && count.is_some() {
                    None
                } else {
                    Some(Box::new(TextExpect::operators(&fields, KNOWN)?))
                };
                Ok(Self::Some(text, count))
            }
            other => Err(format!(
                "expected a header's value, a list of values, or operators ({}); found {}",
                listed(KNOWN),
                shown(&other)
            )),
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

impl TryFrom<Value> for JsonExpect {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self::Text(TextExpect::equal_to(text))),
            Value::Object(fields) => {
                let known: Vec<&str> = PRESENCE.iter().chain(OPERATORS).copied().collect();
                check_names(&fields, &known)?;
                match presence(&fields)? {
                    Some(true) => Ok(Self::Present),
                    Some(false) => Ok(Self::Absent),
                    None => TextExpect::operators(&fields, &known).map(Self::Text),
                }
            }
            other => Ok(Self::Value(other)),
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

impl TryFrom<Value> for NumberExpect {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let at_least = match &value {
            Value::Object(fields) => {
                check_names(fields, &["at_least"])?;
                fields.get("at_least").and_then(Value::as_u64).map(Self::AtLeast)
            }
            other => other.as_u64().map(Self::Exactly),
        };
        at_least.ok_or_else(|| format!("expected a number or `{{at_least: 1}}`, found {}", shown(&value)))
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

/// `absent: true` and `present: true`, which stand alone.
fn presence(fields: &Map<String, Value>) -> Result<Option<bool>, String> {
    let Some(name) = PRESENCE.iter().find(|name| fields.contains_key(**name)) else {
        return Ok(None);
    };
    let said = fields.get(*name).and_then(Value::as_bool);
    let said = said.ok_or_else(|| format!("write `{{{name}: true}}`"))?;
    if fields.len() > 1 {
        return Err(format!("`{name}` stands alone, without other operators"));
    }
    Ok(Some((*name == "present") == said))
}

fn check_names(fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) if name.is_empty() || name.starts_with('{') => {
            Err("a value that begins with `{{` must be in quotes".to_owned())
        }
        Some(name) => {
            let near = did_you_mean(name, known.iter().copied());
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(format!("unknown operator `{name}`, expected one of {}{near}", listed(known)))
        }
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A text, or a number or truth value as text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A value in words.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(fields) if fields.keys().any(|key| key.starts_with('{')) => {
            "a mapping (a text that begins with `{{` must be in quotes)".to_owned()
        }
        Value::Object(_) => "a mapping".to_owned(),
        Value::String(text) => format!("the text `{text}`"),
        other => format!("`{other}`"),
    }
}

/// Bytes in quotes, escaped where they are not text.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => format!("{text:?}"),
        _ => format!("bytes \"{}\"", bytes.escape_ascii()),
    }
}

/// `\xNN` to a byte, `\\` to a backslash.
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
            let mut found = String::from("\\");
            let _ = write!(found, "{}", after.chars().take(3).collect::<String>());
            return Err(format!("expected `\\xNN` or `\\\\` in bytes, found `{found}`"));
        };
        bytes.push(byte);
        rest = after.get(3..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// The shapes, for the JSON Schema only: what is read is more particular.
mod shape {
    #![allow(dead_code, reason = "types that only describe")]
    use super::JsonSchema;

    #[derive(JsonSchema)]
    #[schemars(untagged)]
    pub(super) enum Scalar {
        Text(String),
        Number(f64),
        Truth(bool),
    }

    /// A text, or operators, all of which must hold.
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    pub(super) enum Text {
        /// Exactly this.
        Scalar(Scalar),
        /// All of these.
        Operators(Operators),
    }

    /// Operators; all of them must hold.
    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    pub(super) struct Operators {
        /// Exactly this text.
        pub(super) equals: Option<String>,
        /// Exactly these bytes: `\xNN` is a byte, `\\` a backslash.
        pub(super) bytes: Option<String>,
        /// Contains this text.
        pub(super) contains: Option<String>,
        /// Matches this regular expression (unanchored).
        pub(super) matches: Option<String>,
        /// Keeps the value under this name, for `{{name}}` later on: the first group of `matches`
        /// if it has one, and else the whole.
        #[schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$"))]
        pub(super) capture: Option<String>,
    }

    /// What a header's values must be: a text (its only value), a list (all of them, in order), or
    /// operators.
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    pub(super) enum Values {
        /// The only value.
        Scalar(Scalar),
        /// All values, in order.
        List(Vec<Text>),
        /// Not there, or there.
        Presence(Presence),
        /// At least one of the values.
        Some(SomeValue),
    }

    #[derive(JsonSchema)]
    #[schemars(untagged, deny_unknown_fields)]
    pub(super) enum Presence {
        Absent {
            /// `true`: it is not there.
            absent: bool,
        },
        Present {
            /// `true`: it is there.
            present: bool,
        },
    }

    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    pub(super) struct SomeValue {
        /// How many values there are.
        pub(super) count: Option<u64>,
        /// Exactly this text.
        pub(super) equals: Option<String>,
        /// Exactly these bytes.
        pub(super) bytes: Option<String>,
        /// Contains this text.
        pub(super) contains: Option<String>,
        /// Matches this regular expression (unanchored).
        pub(super) matches: Option<String>,
        /// Keeps the value under this name.
        #[schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$"))]
        pub(super) capture: Option<String>,
    }

    /// A value, or operators.
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    pub(super) enum Json {
        Scalar(Scalar),
        Null(()),
        Presence(Presence),
        Operators(Operators),
    }

    /// A number, or the least it may be.
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    pub(super) enum Number {
        Exactly(u64),
        AtLeast(AtLeast),
    }

    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    pub(super) struct AtLeast {
        /// This or more.
        pub(super) at_least: u64,
    }
}

macro_rules! shaped {
    ($($type:ident like $shape:ident),*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <shape::$shape as JsonSchema>::json_schema(generator)
            }
        }
    )*};
}
shaped!(TextExpect like Text, ValuesExpect like Values, JsonExpect like Json, NumberExpect like Number);
