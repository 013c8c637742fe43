//! Decimal numbers, kept as they are written.
//!
//! A number is its digits and a power of ten, at most 15 digits of it: so many go through a binary float and back
//! unchanged, so that every host computes with the same number, whatever carried the document there.

use std::fmt;

/// Below this, a significand has at most 15 digits.
const LIMIT: u64 = 1_000_000_000_000_000;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// A whole one of 64 bits.
    Int(i64),
    /// Any other.
    Decimal(Decimal),
}

/// A number that is not whole, or beyond 64 bits; in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    is_negative: bool,
    /// At most 15 digits, the last of them not 0.
    significand: u64,
    /// The power of ten that the significand is multiplied by.
    exponent: i32,
}

impl Decimal {
    /// The number. Exact for powers of ten up to 22; beyond, to within some units in the last place, the same on every
    /// host (being exact costs the filter 15 kB).
    #[must_use]
    pub fn value(&self) -> f64 {
        let value = scaled(self.significand, self.exponent);
        if self.is_negative { -value } else { value }
    }
}

/// As it is written, without needless zeros: a JSON number.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative {
            f.write_str("-")?;
        }
        let places = usize::try_from(self.exponent.unsigned_abs()).unwrap_or(usize::MAX);
        if self.exponent >= 0 || places > 20 {
            return write!(f, "{}e{}", self.significand, self.exponent);
        }
        let digits = self.significand.to_string();
        match digits.split_at_checked(digits.len().saturating_sub(places)) {
            Some((whole, fraction)) if !whole.is_empty() => write!(f, "{whole}.{fraction}"),
            _ => write!(f, "0.{digits:0>places$}"),
        }
    }
}

/// The digits of a number, as they are read.
#[derive(Default)]
pub(crate) struct Digits {
    significand: u64,
    exponent: i32,
    /// 19 digits or so are there; further ones do not count.
    is_full: bool,
    /// There is a fraction or an exponent.
    is_scaled: bool,
}

impl Digits {
    /// The next digit.
    pub(crate) fn push(&mut self, digit: u8) {
        let next = self.significand.checked_mul(10).and_then(|ten| ten.checked_add(digit.into()));
        match next.filter(|_| !self.is_full) {
            Some(next) => {
                self.significand = next;
                self.exponent = self.exponent.saturating_sub(i32::from(self.is_scaled));
            }
            None => {
                self.is_full = true;
                self.exponent = self.exponent.saturating_add(i32::from(!self.is_scaled));
            }
        }
    }

    /// Digits that follow are a fraction's.
    pub(crate) fn point(&mut self) {
        self.is_scaled = true;
    }

    /// No digit follows, and all are multiplied by this power of ten.
    pub(crate) fn scale(&mut self, exponent: i32) {
        self.is_scaled = true;
        self.exponent = self.exponent.saturating_add(exponent);
    }

    /// The number. `None` for what is too large.
    pub(crate) fn number(mut self, is_negative: bool) -> Option<Number> {
        if !self.is_scaled && !self.is_full {
            let whole = if is_negative {
                0_i64.checked_sub_unsigned(self.significand)
            } else {
                i64::try_from(self.significand).ok()
            };
            if let Some(whole) = whole {
                return Some(Number::Int(whole));
            }
        }
        let written = scaled(self.significand, self.exponent);
        self.round();
        let rounded = scaled(self.significand, self.exponent);
        if !rounded.is_finite() {
            return None;
        }
        let (significand, exponent) = (self.significand, self.exponent);
        let sign = if is_negative { -1 } else { 1 };
        Some(match whole(written).or_else(|| whole(rounded)) {
            Some(value) => Number::Int(value.saturating_mul(sign)),
            None => Number::Decimal(Decimal { is_negative, significand, exponent }),
        })
    }

    /// To 15 digits, without zeros at the end.
    fn round(&mut self) {
        let mut dropped = 0;
        while self.significand >= LIMIT {
            dropped = self.drop_digit();
        }
        self.significand = self.significand.saturating_add(u64::from(dropped >= 5));
        while self.significand != 0 && self.significand.is_multiple_of(10) {
            self.drop_digit();
        }
    }

    fn drop_digit(&mut self) -> u64 {
        let digit = self.significand % 10;
        self.significand /= 10;
        self.exponent = self.exponent.saturating_add(1);
        digit
    }
}

/// A number without a fraction is the same as its integer: hosts that carry JSON as protobuf `Struct` turn 50 into
/// 50.0.
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value < 9e15).then_some(value as i64)
}

fn scaled(significand: u64, exponent: i32) -> f64 {
    let mut value = significand as f64;
    // All that is beyond is 0, or too large.
    let mut left = exponent.clamp(-400, 400);
    while left != 0 && value != 0.0 {
        // Powers up to this one are exact.
        let step = left.clamp(-22, 22);
        let power = (0..step.abs()).fold(1.0, |power, _| power * 10.0);
        value = if step > 0 { value * power } else { value / power };
        left = left.saturating_sub(step);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Decimal {
        let mut digits = Digits::default();
        for byte in text.bytes() {
            if byte == b'.' { digits.point() } else { digits.push(byte & 15) }
        }
        match digits.number(false) {
            Some(Number::Decimal(decimal)) => decimal,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn stays_as_written() {
        for text in ["0.1", "33.3333", "0.000001", "1234567890.12345", "0.123456789012345"] {
            assert_eq!(read(text).to_string(), text);
            assert_eq!(read(text).value(), text.parse::<f64>().unwrap());
        }
        assert_eq!(read("0.50").to_string(), "0.5");
        assert_eq!(read("00.0000000000000000000000012").to_string(), "12e-25");
    }

    #[test]
    fn a_float_in_between_changes_nothing() {
        for number in (1..2_000_000_u32).step_by(97) {
            for scale in [7.0, 100.0, 1e9] {
                let written = read(&format!("{:.5}1", f64::from(number) / scale));
                // What protobuf's JSON writes of a float has up to 17 digits.
                for carried in [format!("{}", written.value()), format!("{:.17}", written.value())] {
                    assert_eq!(read(&carried), written, "{carried}");
                }
            }
        }
    }
}
