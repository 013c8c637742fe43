//! The shapes of expectations, for the JSON Schema only: what is read is more particular.
#![allow(dead_code, reason = "types that only describe")]

use schemars::JsonSchema;

use crate::matcher::{JsonExpect, NumberExpect, TextExpect, ValuesExpect};

#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Scalar {
    Text(String),
    Number(f64),
    Truth(bool),
}

/// A text, or operators, all of which must hold.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Text {
    /// Exactly this.
    Scalar(Scalar),
    /// All of these.
    Operators(Operators),
}

/// Operators; all of them must hold.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Operators {
    /// Exactly this text.
    pub(crate) equals: Option<String>,
    /// Exactly these bytes: `\xNN` is a byte, `\\` a backslash.
    pub(crate) bytes: Option<String>,
    /// Contains this text.
    pub(crate) contains: Option<String>,
    /// Matches this regular expression (unanchored).
    pub(crate) matches: Option<String>,
    /// Keeps the value under this name, for `{{name}}` later on: the first group of `matches`
    /// if it has one, and else the whole.
    #[schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub(crate) capture: Option<String>,
}

/// What a header's values must be: a text (its only value), a list (all of them, in order), or
/// operators.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Values {
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
pub(crate) enum Presence {
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
pub(crate) struct SomeValue {
    /// How many values there are.
    pub(crate) count: Option<u64>,
    /// Exactly this text.
    pub(crate) equals: Option<String>,
    /// Exactly these bytes.
    pub(crate) bytes: Option<String>,
    /// Contains this text.
    pub(crate) contains: Option<String>,
    /// Matches this regular expression (unanchored).
    pub(crate) matches: Option<String>,
    /// Keeps the value under this name.
    #[schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub(crate) capture: Option<String>,
}

/// A value, or operators.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Json {
    Scalar(Scalar),
    Null(()),
    Presence(Presence),
    Operators(Operators),
}

/// A number, or the least it may be.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Number {
    Exactly(u64),
    AtLeast(AtLeast),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct AtLeast {
    /// This or more.
    pub(crate) at_least: u64,
}

macro_rules! shaped {
    ($($type:ident like $shape:ident),*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$shape as JsonSchema>::json_schema(generator)
            }
        }
    )*};
}
shaped!(TextExpect like Text, ValuesExpect like Values, JsonExpect like Json, NumberExpect like Number);
