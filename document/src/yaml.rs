//! YAML text -> tree with source spans (YAML 1.2, core schema).

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as SourceSpan, Tag};

use crate::decimal::Digits;
use crate::path::{Path, Span};
use crate::problem::{Code, Problem, Problems};
#[cfg(doc)]
use crate::tree::MAX_BYTES;
use crate::tree::{Document, Key, MAX_DEPTH, MAX_FIELDS, MAX_NODES, Node, Value, check_size};

impl Document {
    /// Parses YAML 1.2 text (core schema) or JSON, keeping source spans.
    ///
    /// # Errors
    /// One problem: not YAML, or beyond [`MAX_BYTES`], [`MAX_DEPTH`] or
    /// [`MAX_NODES`].
    pub fn from_yaml(text: &str) -> Result<Self, Problems> {
        check_size(text.len())?;
        parse(text)
    }
}

fn parse(text: &str) -> Result<Document, Problems> {
    let mut builder = Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    builder.document().map(|root| Document { root }).map_err(|problem| at_text(*problem, text).into())
}

/// A parser that waits for a bracket complains behind the text; people look at its last line.
fn at_text(mut problem: Problem, text: &str) -> Problem {
    let last = text.trim_end();
    let lines = last.lines().count();
    if let Some(span) = &mut problem.span
        && span.line > lines
    {
        let end = last.chars().count();
        let column = last.lines().last().map_or(1, |line| line.chars().count().max(1));
        *span = Span { line: lines.max(1), column, start: end.saturating_sub(1), end };
    }
    problem
}

type Parsed<T> = Result<T, Box<Problem>>;

struct Builder<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> Parsed<Node> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd, span) => {
                    return Ok(Node { value: Value::Null, span: Some(place(span)) });
                }
                (event, span) => {
                    let root = self.node(event, span, 0)?;
                    return self.end(root);
                }
            }
        }
    }

    /// Only one document may be in the text.
    fn end(&mut self, root: Node) -> Parsed<Node> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart(_), span) => {
                    return Err(problem(Code::Syntax, span, "one document", "a second one (`---`)"));
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Parsed<(Event<'t>, SourceSpan)> {
        match self.parser.next() {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(error)) => {
                let at = *error.marker();
                let mut problem = problem(Code::Syntax, SourceSpan::empty(at), "YAML", error.info());
                problem.suggestion = advice(error.info()).map(str::to_owned);
                Err(problem)
            }
            None => Ok((Event::StreamEnd, SourceSpan::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn node(&mut self, event: Event<'t>, span: SourceSpan, depth: usize) -> Parsed<Node> {
        self.count(1, span)?;
        let below = depth.saturating_add(1);
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style, tag.as_deref(), span)?;
                (Node { value, span: Some(place(span)) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                untagged(tag.as_deref(), "seq", span)?;
                (self.list(span, nested(below, span)?)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                untagged(tag.as_deref(), "map", span)?;
                (self.map(span, nested(below, span)?)?, anchor)
            }
            Event::Alias(id) => return self.alias(id, span, depth),
            _ => return Err(problem(Code::Syntax, span, "a value", "the end of the document")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: SourceSpan, depth: usize) -> Parsed<Node> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, end) => {
                    return Ok(Node { value: Value::List(items), span: Some(between(start, end)) });
                }
                (event, span) => items.push(self.node(event, span, depth)?),
            }
        }
    }

    fn map(&mut self, start: SourceSpan, depth: usize) -> Parsed<Node> {
        let mut entries = Vec::new();
        loop {
            let (name, at) = match self.next()? {
                (Event::MappingEnd, end) => {
                    return Ok(Node { value: Value::Map(entries), span: Some(between(start, end)) });
                }
                (Event::Scalar(name, ..), span) => (name.into_owned(), span),
                (_, span) => return Err(problem(Code::Syntax, span, "a field name", "a list or mapping")),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth)?;
            entries.push((Key { name, span: Some(place(at)) }, value));
            if entries.len() > MAX_FIELDS {
                let expected = format!("at most {MAX_FIELDS} fields in one mapping");
                return Err(problem(Code::Limit, at, &expected, "more"));
            }
        }
    }

    /// What is aliased counts in full: its values and, from here on, its levels.
    fn alias(&mut self, id: usize, span: SourceSpan, depth: usize) -> Parsed<Node> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(problem(Code::Syntax, span, "an anchor defined above", "an alias to none"));
        };
        let (size, levels) = extent(node);
        let node = node.clone();
        self.count(size, span)?;
        nested(depth.saturating_add(levels), span)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: SourceSpan) -> Parsed<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let expected = format!("at most {MAX_NODES} values");
            return Err(problem(Code::Limit, span, &expected, "more"));
        }
        Ok(())
    }
}

/// `levels` of lists and mappings, if that is not too many.
fn nested(levels: usize, span: SourceSpan) -> Parsed<usize> {
    if levels <= MAX_DEPTH {
        return Ok(levels);
    }
    let expected = format!("at most {MAX_DEPTH} levels of nesting");
    Err(problem(Code::Limit, span, &expected, "more"))
}

/// How many values a tree has, and how many levels of lists and mappings.
fn extent(node: &Node) -> (usize, usize) {
    let of_all = |nodes: &mut dyn Iterator<Item = &Node>| {
        let (size, levels) = nodes
            .map(extent)
            .fold((0_usize, 0_usize), |(size, levels), (s, l)| (size.saturating_add(s), levels.max(l)));
        (size.saturating_add(1), levels.saturating_add(1))
    };
    match &node.value {
        Value::List(items) => of_all(&mut items.iter()),
        Value::Map(entries) => of_all(&mut entries.iter().map(|(_, node)| node)),
        _ => (1, 0),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, span: SourceSpan) -> Parsed<Value> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { plain(text) } else { Value::Text(text.into_owned()) });
    };
    let name = tag.suffix.as_str();
    let refused = || Err(problem(Code::Syntax, span, "a value without a YAML tag", &format!("`{tag}`")));
    if !tag.is_yaml_core_schema() {
        return refused();
    }
    if name == "str" {
        return Ok(Value::Text(text.into_owned()));
    }
    // A tag only states what the value is anyway.
    match (name, plain(text)) {
        ("null", Value::Null) => Ok(Value::Null),
        ("bool", value @ Value::Bool(_)) => Ok(value),
        ("int", value @ Value::Int(_)) | ("float", value @ (Value::Int(_) | Value::Decimal(_))) => Ok(value),
        _ => refused(),
    }
}

/// A list or mapping may have the tag that it has anyway (`kind`: `seq` or `map`), and no other.
fn untagged(tag: Option<&Tag>, kind: &str, span: SourceSpan) -> Parsed<()> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() || tag.suffix != kind => {
            Err(problem(Code::Syntax, span, "a value without a YAML tag", &format!("`{tag}`")))
        }
        _ => Ok(()),
    }
}

/// A scalar without quotes.
fn plain(text: Cow<'_, str>) -> Value {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        plain => number(plain).unwrap_or_else(|| Value::Text(text.into_owned())),
    }
}

/// As in the core schema: `12`, `-0.5`, `.5`, `1.`, `1e-3`.
fn number(text: &str) -> Option<Value> {
    if let Ok(value) = text.parse::<i64>() {
        return Some(Value::Int(value));
    }
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mut digits = Digits::default();
    whole.bytes().for_each(|byte| digits.push(byte & 15));
    if number.len() > whole.len() {
        digits.point();
        fraction.bytes().for_each(|byte| digits.push(byte & 15));
    }
    if let Some(exponent) = exponent {
        let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if unsigned.is_empty() || !is_digits(unsigned) {
            return None;
        }
        // Beyond all limits, the sign decides.
        let far = if exponent.starts_with('-') { i32::MIN } else { i32::MAX };
        digits.scale(exponent.parse().unwrap_or(far));
    }
    digits.number(is_negative).map(Value::from)
}

/// What is usually meant by what the parser says.
fn advice(said: &str) -> Option<&'static str> {
    let says = |words: &str| said.contains(words);
    if says("must be followed by a valid YAML whitespace") {
        Some("put a space behind the `:`; a tab does not count as one here")
    } else if says("tab") {
        Some("indent with spaces, not tabs")
    } else if says("unknown anchor") {
        Some("put it in quotes: a `*` in front means something else in YAML")
    } else if says("flow sequence") {
        Some("a `]` is missing here or above")
    } else if says("flow mapping") {
        Some("a `}` is missing here or above")
    } else if says("block collection") || says("block mapping") {
        Some("begin it in the same column as its neighbours above")
    } else if says("quoted scalar") {
        Some("a closing quote is missing")
    } else {
        None
    }
}

fn problem(code: Code, span: SourceSpan, expected: &str, found: &str) -> Box<Problem> {
    let mut problem = Problem::error(Path::default(), code, expected, found);
    problem.span = Some(place(span));
    Box::new(problem)
}

fn place(span: SourceSpan) -> Span {
    between(span, span)
}

fn between(start: SourceSpan, end: SourceSpan) -> Span {
    Span {
        line: start.start.line(),
        column: start.start.col().saturating_add(1),
        start: start.start.index(),
        end: end.end.index(),
    }
}
