//! Values that many fields have.

use splitway_document::{Cursor, Fields, Read, Want};

/// A registry fact: the tools check it, the filter passes it over.
#[cfg(feature = "advice")]
pub type Fact<T> = Option<T>;

/// A registry fact: the tools check it, the filter passes it over.
#[cfg(not(feature = "advice"))]
pub type Fact<T> = std::marker::PhantomData<T>;

/// Pattern of ids: they travel in headers, metrics and logs unescaped.
#[cfg(feature = "schema")]
pub(super) const ID_PATTERN: &str = "^[a-z0-9_-]{1,64}$";

/// A percentage, such as `25%` or `0.5%`: up to four decimals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Share(
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$")))]
    pub String,
);

impl Read for Share {
    fn read(at: &Cursor<'_>) -> Self {
        Self(at.text(Want::Percentage, "a percentage such as 25%"))
    }
}

/// A secret: the text itself, or `{ env: NAME }` for the value of an environment variable of the
/// proxy (at the edge: of a binding). With `env` the config holds nothing that has to be kept secret.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
pub enum Secret {
    /// The secret itself.
    Text(String),
    /// Where it is.
    Variable(Variable),
}

impl Default for Secret {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Read for Secret {
    fn read(at: &Cursor<'_>) -> Self {
        if at.is_mapping() {
            Self::Variable(Variable::read(at))
        } else {
            Self::Text(at.text(Want::Text, "text, or `{ env: NAME }`"))
        }
    }
}

records! {
    /// An environment variable of the proxy.
    pub struct Variable {
        /// Its name: letters, digits and `_`, such as `SPLITWAY_EXPOSURE_KEY`.
        #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]{0,63}$")))]
        pub env: String,
    }
}

/// A time in RFC 3339, such as `2026-11-20T00:00:00Z`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instant(#[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))] pub String);

impl Read for Instant {
    fn read(at: &Cursor<'_>) -> Self {
        Self(at.text(Want::Text, "a time such as 2026-11-20T00:00:00Z"))
    }
}

/// A duration, such as `30s`, `15m` or `12h`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Period(pub String);

impl Read for Period {
    fn read(at: &Cursor<'_>) -> Self {
        Self(at.text(Want::Text, "a duration such as 30s"))
    }
}
