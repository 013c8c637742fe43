//! JSON text -> tree (RFC 8259).
//!
//! Not serde_json, whose visitors and table of powers of ten came to a twentieth of the edge build; the tests compare
//! the two.

use crate::path::{Path, Span};
use crate::problem::{Code, Problem, Problems};
use crate::prose;
#[cfg(doc)]
use crate::tree::MAX_BYTES;
use crate::tree::{Document, Key, MAX_DEPTH, MAX_FIELDS, Node, Value, check_size};

impl Document {
    /// Parses JSON text (RFC 8259).
    ///
    /// # Errors
    /// One problem: not JSON, or beyond [`MAX_BYTES`] or [`MAX_DEPTH`].
    pub fn from_json(text: &[u8]) -> Result<Self, Problems> {
        check_size(text.len())?;
        parse(text)
    }
}

fn parse(text: &[u8]) -> Result<Document, Problems> {
    let mut reader = Reader { text, at: 0 };
    let stop = match reader.value(0) {
        Ok(root) if reader.after_blanks().is_none() => return Ok(Document { root }),
        Ok(_) => Stop::Expected("the end"),
        Err(stop) => stop,
    };
    Err(reader.problem(stop).into())
}

/// Why a text is not read on.
enum Stop {
    /// It should go on with this.
    Expected(&'static str),
    TooDeep,
    TooManyFields,
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    /// Passes over `byte`, if it is next.
    fn has(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.at = self.at.saturating_add(1);
        }
        is_next
    }

    fn after_blanks(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at = self.at.saturating_add(1);
        }
        self.peek()
    }

    /// Passes over blanks and what must follow them.
    fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), Stop> {
        self.after_blanks();
        if self.has(byte) { Ok(()) } else { Err(Stop::Expected(name)) }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Stop> {
        let value = match self.after_blanks() {
            Some(b'"') => Value::Text(self.text()?),
            Some(b'[') => self.list(below(depth)?)?,
            Some(b'{') => self.map(below(depth)?)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { value, span: None })
    }

    fn word(&mut self) -> Result<Value, Stop> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, value) in
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
        {
            if rest.starts_with(word.as_bytes()) {
                self.at = self.at.saturating_add(word.len());
                return Ok(value);
            }
        }
        Err(Stop::Expected("a value"))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Stop> {
        self.next();
        let mut items = Vec::new();
        self.after_blanks();
        if self.has(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.after_blanks();
            if !self.has(b',') {
                return self.expect(b']', "`,` or `]`").map(|()| Value::List(items));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        self.next();
        let mut entries = Vec::new();
        self.after_blanks();
        if self.has(b'}') {
            return Ok(Value::Map(entries));
        }
        loop {
            if self.after_blanks() != Some(b'"') {
                return Err(Stop::Expected("a name in quotes"));
            }
            let name = self.text()?;
            if entries.len() >= MAX_FIELDS {
                return Err(Stop::TooManyFields);
            }
            self.expect(b':', "`:`")?;
            entries.push((Key { name, span: None }, self.value(depth)?));
            self.after_blanks();
            if !self.has(b',') {
                return self.expect(b'}', "`,` or `}`").map(|()| Value::Map(entries));
            }
        }
    }

    fn text(&mut self) -> Result<String, Stop> {
        self.next();
        let mut bytes = Vec::new();
        loop {
            match self.next() {
                Some(b'"') => return String::from_utf8(bytes).map_err(|_| Stop::Expected("UTF-8")),
                Some(b'\\') => {
                    let c = self.escaped().ok_or(Stop::Expected("an escape sequence"))?;
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) if byte >= 0x20 => bytes.push(byte),
                _ => return Err(Stop::Expected("a closing quote")),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let Some(high) = first.checked_sub(0xd800).filter(|high| *high < 0x400) else {
                    return char::from_u32(first);
                };
                // Half a character; the other half follows.
                let follows = self.has(b'\\') && self.has(b'u');
                let low = self.hex().filter(|_| follows)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return char::from_u32(((high << 10) | low).saturating_add(0x1_0000));
            }
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let mut code = 0;
        for _ in 0..4 {
            code = (code << 4) | char::from(self.next()?).to_digit(16)?;
        }
        Some(code)
    }

    fn number(&mut self) -> Result<Value, Stop> {
        let is_negative = self.has(b'-');
        let mut digits = Digits::default();
        let mut is_whole = true;
        // No other digit follows a leading zero.
        if !self.has(b'0') {
            self.digits(|digit| digits.push(digit, false))?;
        }
        if self.has(b'.') {
            is_whole = false;
            self.digits(|digit| digits.push(digit, true))?;
        }
        if self.has(b'e') || self.has(b'E') {
            is_whole = false;
            let is_small = self.has(b'-');
            if !is_small {
                self.has(b'+');
            }
            let mut exponent = 0_i32;
            self.digits(|digit| exponent = exponent.saturating_mul(10).saturating_add(i32::from(digit)))?;
            let exponent = if is_small { exponent.saturating_neg() } else { exponent };
            digits.exponent = digits.exponent.saturating_add(exponent);
        }
        if is_whole && !digits.is_full {
            let whole = if is_negative {
                0_i64.checked_sub_unsigned(digits.significand)
            } else {
                i64::try_from(digits.significand).ok()
            };
            if let Some(whole) = whole {
                return Ok(Value::Int(whole));
            }
        }
        let number = digits.value().ok_or(Stop::Expected("a number within limits"))?;
        Ok(float(if is_negative { -number } else { number }))
    }

    /// At least one.
    fn digits(&mut self, mut take: impl FnMut(u8)) -> Result<(), Stop> {
        let start = self.at;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            take(byte & 15);
            self.at = self.at.saturating_add(1);
        }
        if self.at > start { Ok(()) } else { Err(Stop::Expected("a digit")) }
    }

    fn problem(&self, stop: Stop) -> Problem {
        let expected = match stop {
            Stop::Expected(what) => {
                let found = match self.peek() {
                    None => prose!("the end instead of {what}"),
                    Some(_) => prose!("something else than {what}"),
                };
                let mut problem = Problem::error(Path::default(), Code::Syntax, "JSON", &found);
                let before = self.text.get(..self.at).unwrap_or_default();
                let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
                let column = before.iter().rev().take_while(|byte| **byte != b'\n').count().saturating_add(1);
                problem.span = Some(Span { line, column, start: 0, end: 0 });
                return problem;
            }
            Stop::TooDeep => prose!("at most {MAX_DEPTH} levels of nesting"),
            Stop::TooManyFields => prose!("at most {MAX_FIELDS} fields in one mapping"),
        };
        Problem::error(Path::default(), Code::Limit, &expected, "more")
    }
}

fn below(depth: usize) -> Result<usize, Stop> {
    if depth < MAX_DEPTH { Ok(depth.saturating_add(1)) } else { Err(Stop::TooDeep) }
}

/// The first 19 digits or so of a number, and the power of ten that they are multiplied by.
#[derive(Default)]
struct Digits {
    significand: u64,
    exponent: i32,
    /// Further digits do not count.
    is_full: bool,
}

impl Digits {
    fn push(&mut self, digit: u8, is_fraction: bool) {
        let next = self.significand.checked_mul(10).and_then(|ten| ten.checked_add(digit.into()));
        match next.filter(|_| !self.is_full) {
            Some(next) => {
                self.significand = next;
                self.exponent = self.exponent.saturating_sub(i32::from(is_fraction));
            }
            None => {
                self.is_full = true;
                self.exponent = self.exponent.saturating_add(i32::from(!is_fraction));
            }
        }
    }

    /// Exact for up to 15 digits and powers up to 22, as numbers of a config are; else to within some units in the last
    /// place (being exact costs the filter 15 kB). `None` for what is too large.
    fn value(&self) -> Option<f64> {
        let mut value = self.significand as f64;
        // All that is beyond is 0, or too large.
        let mut left = self.exponent.clamp(-400, 400);
        while left != 0 && value != 0.0 {
            // Powers up to this one are exact.
            let step = left.clamp(-22, 22);
            let power = (0..step.abs()).fold(1.0, |power, _| power * 10.0);
            value = if step > 0 { value * power } else { value / power };
            left = left.saturating_sub(step);
        }
        value.is_finite().then_some(value)
    }
}

fn float(value: f64) -> Value {
    #[cfg(feature = "yaml")]
    let value = settled(value);
    whole(value).map_or(Value::Float(value), Value::Int)
}

/// A float without a fraction is the same number as its integer: hosts that
/// carry JSON as protobuf `Struct` turn 50 into 50.0.
pub(super) fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// The number that stays itself when written and read again, because numbers far from 1 are not read to the last bit
/// (see [`Digits::value`]): what a tool computes with must be what the filter will read of its JSON.
#[cfg(feature = "yaml")]
pub(super) fn settled(value: f64) -> f64 {
    let again = |value: f64| read(&serde_json::to_string(&value).unwrap_or_default());
    let stays = |value: &f64| again(*value) == *value;
    // Every step is a rounding error, so mostly a few are enough.
    let steps = std::iter::successors(Some(value), |value| Some(again(*value)));
    let shorter = (0..15_usize).rev().map(|digits| read(&format!("{value:.digits$e}")));
    // Nothing stays where even one digit does not: such numbers mean nothing in a config.
    let magnitude = if value.abs() < 1.0 { 0.0 } else { read(&format!("1e{}", value.abs().log10().floor())) };
    steps.take(8).chain(shorter).find(stays).unwrap_or_else(|| magnitude.copysign(value))
}

/// A number as [`parse`] reads it, not settled.
#[cfg(feature = "yaml")]
fn read(text: &str) -> f64 {
    let (text, is_negative) = text.strip_prefix('-').map_or((text, false), |text| (text, true));
    let mut digits = Digits::default();
    let (number, exponent) = text.split_once('e').unwrap_or((text, "0"));
    // `null`, which stands for what is no number.
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return 0.0;
    }
    let mut is_fraction = false;
    for byte in number.bytes() {
        match byte {
            b'.' => is_fraction = true,
            _ => digits.push(byte & 15, is_fraction),
        }
    }
    digits.exponent = digits.exponent.saturating_add(exponent.parse().unwrap_or_default());
    let value = digits.value().unwrap_or_default();
    if is_negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(ours: &Value, theirs: &serde_json::Value) -> bool {
        match (ours, theirs) {
            (Value::Null, serde_json::Value::Null) => true,
            (Value::Bool(ours), serde_json::Value::Bool(theirs)) => ours == theirs,
            (Value::Text(ours), serde_json::Value::String(theirs)) => ours == theirs,
            (Value::Int(ours), serde_json::Value::Number(theirs)) => {
                theirs.as_i64().map_or(theirs.as_f64() == Some(*ours as f64), |theirs| *ours == theirs)
            }
            (Value::Float(ours), serde_json::Value::Number(theirs)) => {
                let theirs = theirs.as_f64().unwrap();
                (ours - theirs).abs() <= theirs.abs() * 1e-14
            }
            (Value::List(ours), serde_json::Value::Array(theirs)) => {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(&a.value, b))
            }
            (Value::Map(ours), serde_json::Value::Object(theirs)) => {
                ours.iter().all(|(key, node)| theirs.get(&key.name).is_some_and(|b| same(&node.value, b)))
            }
            _ => false,
        }
    }

    #[test]
    fn reads_what_serde_json_reads() {
        let texts = [
            r#" { "a" : [ 1 , -2.5e-3 , true , false , null , "x" ] , "b" : { } , "c":[]} "#,
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83e\udd80ü\u0000""#,
            "0",
            "-0",
            "-0.0",
            "0.1",
            "1e5",
            "1E+5",
            "1.5e-7",
            "123456789012345678901234567890",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "0.3333333333333333333333",
            "1e22",
            "1e23",
            "1e300",
            "1e-300",
            "1e-400",
            "0e999999999999",
            "50.0",
            "33.3333",
            // None of these.
            "",
            " ",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "- 1",
            "1e400",
            "1e99999999999",
            "tru",
            "nul",
            "True",
            "NaN",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "{\"a\":}",
            "{\"a\":1",
            "{1:1}",
            "{,}",
            "]",
            "1 2",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800x\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\t\"",
            "'a'",
            "// a\n1",
            "\u{feff}1",
            "\u{a0}1",
            "[1]]",
        ];
        let mut read = 0;
        for text in texts {
            let ours = parse(text.as_bytes());
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert!(same(&ours.root.value, theirs), "{text}: {:?}, {theirs}", ours.root);
                    read += 1;
                }
                (Err(_), Err(_)) => {}
                _ => panic!("{text}: {ours:?}, {theirs:?}"),
            }
        }
        assert_eq!(read, 26);
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn decimals_are_exact() {
        for number in (0..200_000_u32).step_by(7) {
            for scale in [1_u32, 10, 1_000, 1_000_000] {
                let text = format!("{}", f64::from(number) / f64::from(scale));
                let document = parse(text.as_bytes()).unwrap();
                assert_eq!(document.number(), text.parse().ok(), "{text}");
            }
        }
    }

    #[test]
    fn says_where_it_ends() {
        let problems = parse(b"{\n  \"a\": 1,\n}").unwrap_err();
        let span = problems.iter().next().unwrap().span.unwrap();
        assert_eq!((span.line, span.column), (3, 1));
    }
}
