//! JSON text -> tree (RFC 8259).
//!
//! Not serde_json, whose visitors and table of powers of ten came to a twentieth of the edge build; the tests compare
//! the two.

use crate::decimal::Digits;
use crate::path::{Path, Span};
use crate::problem::{Code, Problem, Problems};
use crate::text::prose;
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
        // No other digit follows a leading zero.
        if !self.has(b'0') {
            self.digits(|digit| digits.push(digit))?;
        }
        if self.has(b'.') {
            digits.point();
            self.digits(|digit| digits.push(digit))?;
        }
        if self.has(b'e') || self.has(b'E') {
            let is_small = self.has(b'-');
            if !is_small {
                self.has(b'+');
            }
            let mut exponent = 0_i32;
            self.digits(|digit| exponent = exponent.saturating_mul(10).saturating_add(i32::from(digit)))?;
            digits.scale(if is_small { exponent.saturating_neg() } else { exponent });
        }
        digits.number(is_negative).map(Value::from).ok_or(Stop::Expected("a number within limits"))
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
            (Value::Decimal(ours), serde_json::Value::Number(theirs)) => {
                let (ours, theirs) = (ours.value(), theirs.as_f64().unwrap());
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
