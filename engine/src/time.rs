//! Points in time, given to the engine from outside: it has no clock.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Parses RFC 3339, such as `2026-11-20T00:00:00Z` or with an offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (local, offset_ms) = match text.strip_suffix(['Z', 'z']) {
            Some(local) => (local, 0),
            None => split_offset(text)?,
        };
        let time = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
        let since_epoch = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).ok()?,
            Err(before) => i64::try_from(before.duration().as_millis()).ok()?.checked_neg()?,
        };
        since_epoch.checked_sub(offset_ms).map(Self)
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

/// `…+01:00` -> the local time and the offset in milliseconds.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (sign, digits) = offset.split_at_checked(1)?;
    let (hours, minutes) = digits.split_once(':')?;
    let two_digits = |part: &str, below: i64| {
        let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i64>().ok().filter(|number| plain && *number < below)
    };
    let minutes = two_digits(hours, 24)?.checked_mul(60)?.checked_add(two_digits(minutes, 60)?)?;
    let milliseconds = minutes.checked_mul(60_000)?;
    match sign {
        "+" => Some((local, milliseconds)),
        "-" => Some((local, milliseconds.checked_neg()?)),
        _ => None,
    }
}

/// RFC 3339 in UTC, with milliseconds: `2026-11-20T00:00:00.000Z`. Times before
/// the epoch show as the epoch, those after the year 9999 as its end.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST: u64 = 253_402_300_799_999;
        let since_epoch = Duration::from_millis(u64::try_from(self.0).unwrap_or(0).min(LAST));
        let time = SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(SystemTime::UNIX_EPOCH);
        write!(f, "{}", humantime::format_rfc3339_millis(time))
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
        assert_eq!(
            Timestamp::parse("2026-11-20T00:00:00.250-00:30").unwrap().to_string(),
            "2026-11-20T00:30:00.250Z"
        );
        for wrong in [
            "2026-11-20",
            "2026-11-20T00:00:00",
            "2026-11-20T00:00:00+1:00",
            "2026-11-20T00:00:00+01:60",
            "é2026",
            "",
        ] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Timestamp(-1).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
