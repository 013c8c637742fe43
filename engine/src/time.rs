//! Points in time, given to the engine from outside: it has no clock.
//!
//! RFC 3339 is read and written here and not by a date library: `jiff` came to
//! 80 kB of the filter, `humantime` (what the tests compare this with) to 6 kB
//! and knows no offsets.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

const DAY_MS: i64 = 86_400_000;

impl Timestamp {
    /// Parses RFC 3339, such as `2026-11-20T00:00:00Z` or with an offset;
    /// years 0 to 9999, no leap seconds, fractions cut to milliseconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Scanner(text.as_bytes());
        let year = rest.number(4)?;
        rest.one_of(b"-")?;
        let month = rest.number(2).filter(|month| (1..=12).contains(month))?;
        rest.one_of(b"-")?;
        let day = rest.number(2).filter(|day| (1..=days_in_month(year, month)).contains(day))?;
        rest.one_of(b"Tt ")?;
        let hour = rest.number(2).filter(|hour| *hour < 24)?;
        rest.one_of(b":")?;
        let minute = rest.number(2).filter(|minute| *minute < 60)?;
        rest.one_of(b":")?;
        let second = rest.number(2).filter(|second| *second < 60)?;
        let millisecond = if rest.one_of(b".").is_some() { rest.fraction()? } else { 0 };
        let offset = rest.offset_minutes()?;
        if !rest.0.is_empty() {
            return None;
        }
        let minutes = hour.wrapping_mul(60).wrapping_add(minute).wrapping_sub(offset);
        let in_day =
            minutes.wrapping_mul(60_000).wrapping_add(second.wrapping_mul(1000)).wrapping_add(millisecond);
        Some(Self(days_from_civil(year, month, day).wrapping_mul(DAY_MS).wrapping_add(in_day)))
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

struct Scanner<'t>(&'t [u8]);

impl Scanner<'_> {
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        head.iter().try_fold(0_i64, |number, byte| {
            byte.is_ascii_digit().then(|| number.wrapping_mul(10).wrapping_add(i64::from(*byte & 15)))
        })
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| bytes.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    /// The digits after the point, cut to milliseconds.
    fn fraction(&mut self) -> Option<i64> {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?;
        self.0 = rest;
        let padded = digits.iter().chain(b"000").take(3);
        Some(padded.fold(0, |number, byte| number.wrapping_mul(10).wrapping_add(i64::from(*byte & 15))))
    }

    fn offset_minutes(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        self.one_of(b":")?;
        let minutes = self.number(2).filter(|minutes| *minutes < 60)?;
        Some(hours.wrapping_mul(60).wrapping_add(minutes).wrapping_mul(sign))
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day of the proleptic Gregorian calendar (Howard
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms"). Years begin in March,
/// so that the leap day is the last.
#[expect(clippy::arithmetic_side_effects, reason = "years have four digits, so nothing overflows")]
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
#[expect(clippy::arithmetic_side_effects, reason = "callers stay below the year 10000")]
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// RFC 3339 in UTC, with milliseconds: `2026-11-20T00:00:00.000Z`. Times before
/// the epoch show as the epoch, those after the year 9999 as its end.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST: i64 = 253_402_300_799_999;
        let ms = self.0.clamp(0, LAST);
        let (year, month, day) = civil_from_days(ms / DAY_MS);
        let (hour, minute) = (ms % DAY_MS / 3_600_000, ms % 3_600_000 / 60_000);
        let (second, milli) = (ms % 60_000 / 1000, ms % 1000);
        // Every exposure has one, and `write!` with seven padded numbers took a sixth of its time.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let places =
            [(0..4, year), (5..7, month), (8..10, day), (11..13, hour), (14..16, minute), (17..19, second)];
        for (place, number) in places.into_iter().chain([(20..23, milli)]) {
            put_digits(text.get_mut(place).unwrap_or_default(), number);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Writes `number` in as many digits as there is room for.
fn put_digits(room: &mut [u8], mut number: i64) {
    for place in room.iter_mut().rev() {
        *place = b'0'.wrapping_add((number % 10) as u8);
        number /= 10;
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn agrees_with_humantime() {
        // Steps of a prime number of milliseconds, through the leap years and the century rules.
        for step in 0..60_000_i64 {
            let ms = step * 4_223_300_003;
            let since_epoch = Duration::from_millis(u64::try_from(ms).unwrap());
            if ms > 253_402_300_799_999 {
                break;
            }
            let expected = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since_epoch).to_string();
            assert_eq!(Timestamp(ms).to_string(), expected);
            assert_eq!(Timestamp::parse(&expected), Some(Timestamp(ms)), "{expected}");
        }
    }

    #[test]
    fn offsets_and_fractions() {
        for (text, expected) in [
            ("2026-11-20T01:00:00+01:00", "2026-11-20T00:00:00.000Z"),
            ("2026-11-20T00:00:00.250-00:30", "2026-11-20T00:30:00.250Z"),
            ("2024-02-29t23:59:59.9999z", "2024-02-29T23:59:59.999Z"),
            ("2026-01-01 00:00:00.5+00:30", "2025-12-31T23:30:00.500Z"),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), expected, "{text}");
        }
        assert_eq!(Timestamp::from_nanoseconds(1_500_000_000).to_string(), "1970-01-01T00:00:01.500Z");
        assert_eq!(Timestamp::parse("1969-12-31T23:59:59Z"), Some(Timestamp(-1000)));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for wrong in [
            "2026-11-20",
            "2026-11-20T00:00:00",
            "2026-11-20T00:00:00+1:00",
            "2026-11-20T00:00:00+01:60",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T00:60:00Z",
            "2026-11-20T00:00:60Z",
            "2026-11-20T00:00:00.Z",
            "2026-11-20T00:00:00Zx",
            "é026-11-20T00:00:00Z",
            "",
        ] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn shows_the_limits() {
        assert_eq!(Timestamp(-1).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
