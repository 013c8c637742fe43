//! Points in time, given to the engine from outside: it has no clock.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Parses RFC 3339, such as `2026-11-20T00:00:00Z` or with an offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }

    /// Nanoseconds since the epoch, as proxies give them.
    #[must_use]
    pub fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(i64::try_from(nanoseconds / 1_000_000).unwrap_or(i64::MAX))
    }

    /// Whether the two lie at most `milliseconds` apart.
    #[must_use]
    pub fn is_near(self, other: Self, milliseconds: u64) -> bool {
        self.0.abs_diff(other.0) <= milliseconds
    }
}

/// RFC 3339 in UTC, with milliseconds: `2026-11-20T00:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => f.write_str("9999-12-31T23:59:59.999Z"),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_rfc_3339() {
        let time = Timestamp::parse("2026-11-20T01:00:00+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-20T00:00:00.000Z");
        assert_eq!(Timestamp::from_nanoseconds(1_500_000_000).to_string(), "1970-01-01T00:00:01.500Z");
        assert_eq!(Timestamp::parse("2026-11-20"), None);
    }
}
