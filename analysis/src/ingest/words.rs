//! Numbers and times as people and programs write them, and what is wrong with them in words.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// What a time must be.
pub(super) const MOMENT: &str =
    "a time with its zone such as 2026-11-21T00:14:20Z or 2026-11-21T01:14:20+01:00";

/// Larger ones cannot be squared and added up.
const LARGEST: f64 = 1e100;

/// Why JSON is not what it should be. The place within the line stays, the line does not: it is always the first.
pub(super) fn plainly(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "cut off: the line ends within it".to_owned();
    }
    let (text, column) = (error.to_string(), error.column());
    let text = text.split_once(" at line ").map_or(&*text, |(before, _)| before);
    if error.is_syntax() { format!("no JSON: {text}, at byte {column}") } else { text.to_owned() }
}

/// A number that can be added up.
pub(super) fn finite(number: f64) -> Result<f64, String> {
    if number.abs() <= LARGEST { Ok(number) } else { Err(format!("expected a number, found {number}")) }
}

/// A number, also as a text; nothing for null and for Envoy's `-`.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    struct Number;

    impl Visitor<'_> for Number {
        type Value = Option<f64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number")
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            finite(number).map(Some).map_err(E::custom)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number as f64))
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number as f64))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            let text = text.trim();
            if matches!(text, "" | "-") {
                return Ok(None);
            }
            let number = text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
            self.visit_f64(number)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    from.deserialize_any(Number)
}

/// As [`number`], whole and of 32 bits.
pub(super) fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    let Some(number) = number(from)? else { return Ok(None) };
    let integer = number as i32;
    if f64::from(integer) != number {
        return Err(D::Error::custom(format!("expected a whole number, found {number}")));
    }
    Ok(Some(integer))
}

/// A text, or a number as one: ids and times may be numbers.
pub(super) fn text<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Cow<'a, str>, D::Error> {
    struct Text;

    impl<'de> Visitor<'de> for Text {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a whole number")
        }

        fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(text))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Cow::Owned(number.to_string()))
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Cow::Owned(number.to_string()))
        }

        /// Some programs have no other numbers.
        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            const EXACT: f64 = (1_u64 << 53) as f64;
            if number.fract() == 0.0 && number.abs() < EXACT {
                return Ok(Cow::Owned((number as i64).to_string()));
            }
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }

    from.deserialize_any(Text)
}
