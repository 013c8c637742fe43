//! Exposure records in a line of whatever wrote them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as Deserializing, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Value};
use splitway_engine::Timestamp;

use super::words::{self, MOMENT, plainly};

/// The OpenTelemetry event of an exposure.
const EVENT: &str = "feature_flag.evaluation";
/// The provider that Splitway's records name.
const PROVIDER: &str = "splitway";
/// How a record begins, and how it does where others have written it anew.
const OPENINGS: [&str; 2] =
    [r#"{"event":"feature_flag.evaluation""#, r#"{"event": "feature_flag.evaluation""#];
/// How a line of `deploy/envoy/access-log-file.yaml` begins.
const ACCESS_LOG: &str = r#"{"exposures":"#;
/// How OTLP JSON begins.
const OTLP: &str = "resourceLogs";

/// One exposure, as far as an analysis needs it.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(expecting = "the object of an exposure")]
pub struct Exposure<'a> {
    #[serde(borrow, default)]
    timestamp: Cow<'a, str>,
    /// The experiment.
    #[serde(borrow, rename = "feature_flag.key")]
    pub experiment: Cow<'a, str>,
    /// The variant.
    #[serde(borrow, rename = "feature_flag.result.variant")]
    pub variant: Cow<'a, str>,
    /// Why: `split` for units that the hash assigned.
    #[serde(borrow, rename = "feature_flag.result.reason")]
    pub reason: Cow<'a, str>,
    /// The unit as the log shows it; empty where it does not.
    #[serde(borrow, rename = "feature_flag.context.id", default)]
    pub unit: Cow<'a, str>,
    /// Content hash of the config.
    #[serde(borrow, rename = "feature_flag.version", default)]
    pub version: Cow<'a, str>,
    /// Who evaluated the flag; empty where the record does not name it.
    #[serde(borrow, rename = "feature_flag.provider.name", default)]
    provider: Cow<'a, str>,
    /// The bucket that chose the variant.
    #[serde(rename = "splitway.bucket", default, deserialize_with = "words::integer")]
    pub bucket: Option<i32>,
    /// Status of the response; of the access log's line, where the record was made before the response.
    #[serde(rename = "http.response.status_code", default, deserialize_with = "words::integer")]
    pub status: Option<i32>,
    /// Duration of the exchange, in milliseconds; as `status`.
    #[serde(rename = "splitway.duration_ms", default, deserialize_with = "words::number")]
    pub duration_ms: Option<f64>,
    /// Milliseconds since 1970, from `timestamp`.
    #[serde(skip)]
    pub time_ms: i64,
    /// Value of the segment's field; empty where there is none.
    #[serde(skip)]
    pub segment: Cow<'a, str>,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Exposures: some were taken, or should have been.
    Exposures,
    /// It names the event of an exposure, but Splitway did not write it there: a client sent it and another program logged
    /// it, or another flag provider evaluated a flag of its own.
    Elsewhere,
    /// Something else.
    Others,
}

/// Hands every exposure in `line` to `take`, or why one cannot be read.
///
/// A record counts only where Splitway writes it, because whoever sends a request can write one into its path:
/// at the beginning of a line, or after the prefix of Envoy's or Istio's log; in OTLP JSON (`resourceLogs`), as a log record,
/// in its body or in a named attribute; in an access log of JSON, in a named field, as text, object or list.
/// A container runtime's and a log shipper's wrapping of a line is taken off. What a record lacks is taken from what it stands in.
pub(super) fn read(
    line: &str,
    segment: Option<&str>,
    take: &mut dyn FnMut(Result<&Exposure<'_>, String>),
) -> About {
    let mut reader = Reader { segment, take, found: false };
    reader.line(line, None);
    match reader.found {
        true => About::Exposures,
        false if line.contains(EVENT) => About::Elsewhere,
        false => About::Others,
    }
}

/// Fields of an access log, and attributes of its log records, that hold records. A field `splitway` is none of them: it has
/// the stamp, a header, which a client can make up wherever the filter does not run.
const NAMED: [&str; 3] = ["exposures", "splitway_exposures", "splitway.exposures"];
/// Fields in which container runtimes and log shippers keep the line that they were given.
const CARRIERS: [&str; 2] = ["log", "message"];

/// What a record stands in, from the inside out.
struct Outer<'o> {
    fields: &'o Value,
    next: Option<&'o Self>,
}

impl<'o> Outer<'o> {
    fn get(this: Option<&'o Self>, name: &str) -> Option<&'o Value> {
        let fields = std::iter::successors(this, |outer| outer.next);
        fields.filter_map(|outer| outer.fields.get(name)).find(|value| !is_nothing(value))
    }
}

/// Whether a record names another provider than Splitway.
fn is_foreign(provider: &str) -> bool {
    !matches!(provider, "" | PROVIDER)
}

/// Envoy writes `-` for what there is not.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| matches!(text, "" | "-"))
}

struct Reader<'r> {
    segment: Option<&'r str>,
    take: &'r mut dyn FnMut(Result<&Exposure<'_>, String>),
    /// Something was taken, or was to be.
    found: bool,
}

impl Reader<'_> {
    fn wrong(&mut self, problem: String) {
        self.found = true;
        (self.take)(Err(problem));
    }

    fn line(&mut self, line: &str, outer: Option<&Outer<'_>>) {
        let text = after_runtime(line);
        let text = after_proxy(text).unwrap_or(text);
        if opening(text) == Some(0) || is_cut(text) {
            return self.records(text, outer);
        }
        if !text.contains(EVENT)
            && !text.contains(OTLP)
            && !text.starts_with(ACCESS_LOG)
            && !is_cut_list(text)
        {
            return;
        }
        if text.starts_with('{') {
            self.value(text, outer);
        } else if text.starts_with('[') && outer.is_some() {
            self.named(&Value::String(text.to_owned()), outer);
        }
    }

    /// A record, and those that follow it at once; the rest of a line is the proxy's.
    fn records(&mut self, text: &str, outer: Option<&Outer<'_>>) {
        let mut rest = text;
        loop {
            let end = self.record(rest, outer);
            rest = rest[end..].trim_start();
            if opening(rest) != Some(0) {
                break;
            }
        }
        if is_cut(rest) {
            self.wrong("a record that is cut off".to_owned());
        }
    }

    /// The record that `text` begins with. Gives how many bytes of `text` are done with: all of them after a record that is no
    /// JSON, because nobody knows where it ends, and whatever follows may be what a client sent.
    fn record(&mut self, text: &str, outer: Option<&Outer<'_>>) -> usize {
        let mut stream = Deserializer::from_str(text).into_iter::<Exposure<'_>>();
        match stream.next() {
            Some(Ok(exposure)) => {
                let end = stream.byte_offset();
                let own = self.segment.and_then(|_| serde_json::from_str::<Value>(&text[..end]).ok());
                self.finish(exposure, own.as_ref(), outer);
                end
            }
            Some(Err(error)) => {
                let mut whole = Deserializer::from_str(text).into_iter::<Strict>();
                let value = whole.next();
                match value {
                    // It says itself why it is wrong, or that it is another provider's.
                    Some(Ok(Strict(value))) => self.object(&value, outer),
                    _ => {
                        self.wrong(plainly(&error));
                        return text.len();
                    }
                }
                whole.byte_offset()
            }
            None => text.len(),
        }
    }

    /// A line that is one JSON object. Nothing of a broken line is taken: in a format made by hand, quotes are not escaped,
    /// so the path of a client can end the object and begin another, or give a field a second time.
    fn value(&mut self, text: &str, outer: Option<&Outer<'_>>) {
        let error = match serde_json::from_str::<Strict>(text) {
            Ok(Strict(value)) => return self.fields(&value, outer),
            Err(error) => error,
        };
        // Only a line that begins as ours do can be one of ours that is broken.
        if text.starts_with(ACCESS_LOG) || text.contains(OTLP) || is_cut_list(text) {
            let is_empty = text.strip_prefix(ACCESS_LOG).is_some_and(|rest| rest.starts_with('-'));
            self.wrong(if is_empty {
                "no exposures in the access log: the config needs `exposure: { filter_state: true }`"
                    .to_owned()
            } else {
                plainly(&error)
            });
        }
    }

    /// A record, a batch of OTLP, or a line of an access log or of a log shipper.
    fn fields(&mut self, value: &Value, outer: Option<&Outer<'_>>) {
        let Some(fields) = value.as_object() else { return };
        if fields.get("event").is_some_and(|event| event == EVENT) {
            return self.object(value, outer);
        }
        if fields.contains_key(OTLP) {
            return self.otlp(value, outer);
        }
        let outer = Outer { fields: value, next: outer };
        self.named_of(value, &outer);
        for name in CARRIERS {
            if let Some(line) = fields.get(name).and_then(Value::as_str) {
                self.line(line.trim(), Some(&outer));
            }
        }
    }

    fn named_of(&mut self, fields: &Value, outer: &Outer<'_>) {
        for name in NAMED {
            if let Some(value) = fields.get(name) {
                self.named(value, Some(outer));
            }
        }
    }

    /// Records in a field that is theirs.
    fn named(&mut self, value: &Value, outer: Option<&Outer<'_>>) {
        match value {
            Value::Object(fields) if fields.get("event").is_some_and(|event| event == EVENT) => {
                self.object(value, outer);
            }
            Value::Array(values) => values.iter().for_each(|value| self.named(value, outer)),
            Value::String(text) => {
                let text = text.trim();
                if opening(text) == Some(0) || is_cut(text) {
                    self.records(text, outer);
                } else if text.starts_with('[') && text.contains(EVENT) {
                    match serde_json::from_str::<Strict>(text) {
                        Ok(Strict(list)) => self.named(&list, outer),
                        Err(error) => self.wrong(plainly(&error)),
                    }
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, fields: &Value, outer: Option<&Outer<'_>>) {
        // Another provider's event need not have what ours have.
        if fields.get("feature_flag.provider.name").and_then(Value::as_str).is_some_and(is_foreign) {
            return;
        }
        match Exposure::deserialize(fields) {
            Ok(exposure) => self.finish(exposure, Some(fields), outer),
            Err(error) => self.wrong(plainly(&error)),
        }
    }

    /// `own`: the record's fields, if a segment is asked for.
    fn finish(&mut self, mut exposure: Exposure<'_>, own: Option<&Value>, outer: Option<&Outer<'_>>) {
        if is_foreign(&exposure.provider) {
            return;
        }
        if let Err(problem) = self.complete(&mut exposure, own, outer) {
            return self.wrong(problem);
        }
        self.found = true;
        (self.take)(Ok(&exposure));
    }

    fn complete(
        &self,
        exposure: &mut Exposure<'_>,
        own: Option<&Value>,
        outer: Option<&Outer<'_>>,
    ) -> Result<(), String> {
        if outer.is_some() {
            let inherited = |name: &str| {
                let value = Outer::get(outer, name);
                value.map_or(Ok(None), words::number).map_err(|error| format!("{name}: {error}"))
            };
            if exposure.status.is_none() {
                exposure.status = inherited("http.response.status_code")?.map(|status| status as i32);
            }
            if exposure.duration_ms.is_none() {
                exposure.duration_ms = inherited("splitway.duration_ms")?;
            }
            if exposure.timestamp.is_empty()
                && let Some(time) = Outer::get(outer, "timestamp").and_then(Value::as_str)
            {
                exposure.timestamp = Cow::Owned(time.to_owned());
            }
        }
        for (name, value) in [
            ("key", &exposure.experiment),
            ("result.variant", &exposure.variant),
            ("result.reason", &exposure.reason),
            ("version", &exposure.version),
        ] {
            if !is_name(value) {
                return Err(format!(
                    "`feature_flag.{name}`: expected a name without blanks, found `{value}`"
                ));
            }
        }
        // Envoy's, where there was no response.
        exposure.status = exposure.status.filter(|status| *status != 0);
        if let Some(name) = self.segment {
            let own = own.and_then(|own| own.get(name)).filter(|value| !is_nothing(value));
            exposure.segment = Cow::Owned(plain(own.or_else(|| Outer::get(outer, name))));
        }
        let time = Timestamp::parse(&exposure.timestamp);
        let wrong = || format!("`timestamp`: expected {MOMENT}, found `{}`", exposure.timestamp);
        exposure.time_ms = time.ok_or_else(wrong)?.0;
        Ok(())
    }

    /// OTLP JSON, as the collector's file exporter writes it. A log record is an exposure (those that the filter sends), or has
    /// some in its body (Envoy's access log) or in an attribute.
    fn otlp(&mut self, value: &Value, outer: Option<&Outer<'_>>) {
        for resource in list(value, OTLP) {
            for scope in list(resource, "scopeLogs") {
                for log in list(scope, "logRecords") {
                    self.log_record(log, outer);
                }
            }
        }
    }

    fn log_record(&mut self, log: &Value, outer: Option<&Outer<'_>>) {
        let mut fields = otlp_fields(log.get("attributes"));
        if let Some(name) = log.get("eventName").or_else(|| fields.get("event.name")).cloned() {
            fields.insert("event".to_owned(), name);
        }
        if let Some(nanoseconds) = otlp_time(log) {
            let time = Timestamp::from_nanoseconds(nanoseconds).to_string();
            fields.insert("timestamp".to_owned(), Value::String(time));
        }
        let fields = Value::Object(fields);
        if fields.get("event").is_some_and(|event| event == EVENT) {
            return self.object(&fields, outer);
        }
        let outer = Outer { fields: &fields, next: outer };
        self.named_of(&fields, &outer);
        match otlp_value(log.get("body")) {
            Value::String(line) => self.line(line.trim(), Some(&outer)),
            list @ Value::Array(_) => self.named(&list, Some(&outer)),
            body => self.fields(&body, Some(&outer)),
        }
    }
}

/// A value of JSON in which no object has a field twice: readers differ in which of the two they take.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializing<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Strict, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = from.next_element()? {
            values.push(value);
        }
        Ok(Strict(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Strict, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Strict(value))) = from.next_entry::<String, Strict>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{}`", super::visible(&name))));
            }
            fields.insert(name, value);
        }
        Ok(Strict(Value::Object(fields)))
    }
}

/// A line without what a container runtime puts before it: `2026-11-21T10:00:00.123Z stderr F `.
fn after_runtime(line: &str) -> &str {
    let rest =
        line.split_once(' ').filter(|(time, _)| Timestamp::parse(time).is_some()).map(|(_, rest)| rest);
    let rest = rest.and_then(|rest| rest.strip_prefix("stderr ").or_else(|| rest.strip_prefix("stdout ")));
    rest.and_then(|rest| rest.strip_prefix("F ")).unwrap_or(line)
}

/// What a filter logged, if the line begins as the proxy's log does for one:
/// `[2026-11-21 10:00:00.000][7][info][wasm] [source.cc:1] wasm log NAMES: ` of Envoy, or of Istio
/// `2026-11-21T10:00:00.000000Z<tab>info<tab>envoy wasm source.cc:1<tab>wasm log NAMES: `. A client chooses nothing in them.
fn after_proxy(line: &str) -> Option<&str> {
    let bracketed = |text: &mut &str, is_good: &dyn Fn(&str) -> bool| {
        let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
        *text = rest;
        is_good(inner).then_some(())
    };
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic());
    let mut rest = line;
    let rest = if line.starts_with('[') {
        let shape =
            |time: &str| time.len() >= 19 && time.bytes().all(|b| b.is_ascii_digit() || b"-:. ".contains(&b));
        bracketed(&mut rest, &shape)?;
        bracketed(&mut rest, &|thread| thread.bytes().all(|b| b.is_ascii_digit()))?;
        bracketed(&mut rest, &word)?;
        bracketed(&mut rest, &|logger| logger == "wasm")?;
        rest = rest.strip_prefix(' ')?;
        bracketed(&mut rest, &|source| !source.contains(' '))?;
        rest.strip_prefix(' ')?
    } else {
        let (time, rest) = line.split_once('\t')?;
        Timestamp::parse(time)?;
        let (level, rest) = rest.split_once('\t').filter(|(level, _)| word(level))?;
        let _ = level;
        rest.strip_prefix("envoy wasm ")?.split_once('\t').filter(|(source, _)| !source.contains(' '))?.1
    };
    let (names, _) = rest.strip_prefix("wasm log")?.split_once('{')?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b" -_./".contains(&b);
    // A second colon would be of a message, `user-agent: ` before what a client sent.
    let is_prefix = names.strip_suffix(": ").is_some_and(|names| names.bytes().all(is_name));
    is_prefix.then(|| &rest["wasm log".len() + names.len()..])
}

/// Where the first record of a text begins.
fn opening(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find(EVENT) {
        let at = from + at;
        let before = text[..at].strip_suffix('"').map(str::trim_end).and_then(|text| text.strip_suffix(':'));
        let before = before.and_then(|text| text.trim_end().strip_suffix(r#""event""#));
        if let Some(before) = before.and_then(|text| text.trim_end().strip_suffix('{')) {
            return Some(before.len());
        }
        from = at + EVENT.len();
    }
    None
}

/// Whether a text ends within the opening of a record.
fn is_cut(text: &str) -> bool {
    text.len() >= 3 && OPENINGS.iter().any(|whole| whole.starts_with(text))
}

/// Whether a text ends within the opening of a line that has records in it.
fn is_cut_list(text: &str) -> bool {
    text.len() >= 3 && (ACCESS_LOG.starts_with(text) || r#"{"resourceLogs""#.starts_with(text))
}

/// A value as a segment's name.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => super::visible(text).into_owned(),
        Some(other) => other.to_string(),
    }
}

/// Names of ours have no blanks and no control characters, which could draw on a terminal.
fn is_name(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic())
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// OTLP's list of keys and values as an object.
fn otlp_fields(list: Option<&Value>) -> Map<String, Value> {
    let list = list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let field =
        |field: &Value| Some((field.get("key")?.as_str()?.to_owned(), otlp_value(field.get("value"))));
    list.iter().filter_map(field).collect()
}

/// 64-bit integers are text in protobuf's JSON.
fn otlp_value(value: Option<&Value>) -> Value {
    let Some(value) = value else { return Value::Null };
    if let Some(number) = value.get("intValue") {
        let parsed = number.as_str().and_then(|text| text.parse::<i64>().ok()).map(Value::from);
        return parsed.unwrap_or_else(|| number.clone());
    }
    if let Some(fields) = value.get("kvlistValue") {
        return Value::Object(otlp_fields(fields.get("values")));
    }
    if let Some(values) = value.get("arrayValue") {
        return list(values, "values").iter().map(|value| otlp_value(Some(value))).collect();
    }
    ["stringValue", "doubleValue", "boolValue"]
        .iter()
        .find_map(|kind| value.get(kind))
        .cloned()
        .unwrap_or_default()
}

fn otlp_time(log: &Value) -> Option<u64> {
    let field = |name| {
        let value = log.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|time| *time > 0)
    };
    field("timeUnixNano").or_else(|| field("observedTimeUnixNano"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"event":"feature_flag.evaluation","timestamp":"2026-11-21T11:24:12.593Z","feature_flag.key":"free","feature_flag.result.variant":"control","feature_flag.result.reason":"split","feature_flag.context.id":"2156","feature_flag.version":"d4be","splitway.bucket":221,"http.response.status_code":200,"splitway.cluster":"v2","splitway.duration_ms":2}"#;

    const PREFIX: &str =
        "[2026-11-21 10:00:00.000][7][info][wasm] [context.cc:1] wasm log splitway splitway: ";

    /// What is read of a line, and why records of it are not.
    fn both(line: &str) -> (Vec<String>, Vec<String>) {
        let (found, wrong) = both_of(line);
        let about = read(line, None, &mut |_| {});
        assert_eq!(about == About::Exposures, !found.is_empty() || !wrong.is_empty(), "{line}");
        (found, wrong)
    }

    fn both_of(line: &str) -> (Vec<String>, Vec<String>) {
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        let _ = read(line, Some("splitway.cluster"), &mut |e| match e {
            Ok(e) => found.push(format!(
                "{} {} {} {} {:?} {:?} {:?} {} {} {}",
                e.unit,
                e.experiment,
                e.variant,
                e.reason,
                e.bucket,
                e.status,
                e.duration_ms,
                e.time_ms,
                e.segment,
                e.version
            )),
            Err(problem) => wrong.push(problem),
        });
        (found, wrong)
    }

    fn all(line: &str) -> Vec<String> {
        let (found, wrong) = both(line);
        assert_eq!(wrong, Vec::<String>::new(), "{line}");
        found
    }

    const READ: &str = "2156 free control split Some(221) Some(200) Some(2.0) 1795260252593 v2 d4be";

    #[test]
    fn every_sink_says_the_same() {
        let as_text = serde_json::to_string(RECORD).unwrap();
        let otlp = r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"timeUnixNano":"1795260252593000000","eventName":"feature_flag.evaluation","attributes":[
            {"key":"feature_flag.key","value":{"stringValue":"free"}},{"key":"feature_flag.result.variant","value":{"stringValue":"control"}},
            {"key":"feature_flag.result.reason","value":{"stringValue":"split"}},{"key":"feature_flag.context.id","value":{"stringValue":"2156"}},
            {"key":"feature_flag.version","value":{"stringValue":"d4be"}},{"key":"splitway.bucket","value":{"intValue":"221"}},
            {"key":"http.response.status_code","value":{"intValue":200}},{"key":"splitway.cluster","value":{"stringValue":"v2"}},
            {"key":"splitway.duration_ms","value":{"doubleValue":2}}]},{"attributes":[]}]}]}]}"#;
        for line in [
            RECORD.to_owned(),
            format!(
                "[2026-11-21 10:00:00.000][7][info][wasm] [context.cc:1] wasm log splitway splitway: {RECORD} tail"
            ),
            format!(
                "2026-11-21T10:00:00.123456Z stderr F [2026-11-21 10:00:00.000][7][info][wasm] [x/context.cc:1] wasm log: {RECORD}"
            ),
            format!(
                "2026-11-21T10:00:00.123456Z\tinfo\tenvoy wasm external/context.cc:1157\twasm log splitway: {RECORD}\tthread=30"
            ),
            serde_json::json!({ "log": format!("{RECORD}\n"), "stream": "stderr" }).to_string(),
            format!(r#"{{"path":"/","splitway_exposures":{as_text}}}"#),
            format!(r#"{{"path":"/","splitway.exposures":{RECORD}}}"#),
            otlp.replace('\n', ""),
        ] {
            assert_eq!(all(&line), [READ], "{line}");
        }
        assert_eq!(all(&format!(r#"{{"exposures":[{RECORD},{RECORD}]}}"#)), [READ, READ]);
    }

    /// As Envoy's access loggers write them: the filter gave its records to Envoy before the response.
    #[test]
    fn what_a_record_lacks_is_taken_from_around_it() {
        let early = RECORD.replace(
            r#","http.response.status_code":200,"splitway.cluster":"v2","splitway.duration_ms":2"#,
            "",
        );
        assert!(early.len() < RECORD.len() - 60);
        let file = format!(
            r#"{{"exposures":[{early},{early}],"http.response.status_code":200,"splitway.cluster":"v2","splitway.response_flags":"-","splitway.attempts":"1","splitway.duration_ms":2}}"#
        );
        assert_eq!(all(&file), [READ, READ]);
        let otlp = |status: &str, body: &str| {
            format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"1795260252593000000","body":{body},"attributes":[{{"key":"http.response.status_code","value":{{"stringValue":"{status}"}}}},{{"key":"splitway.cluster","value":{{"stringValue":"v2"}}}},{{"key":"splitway.duration_ms","value":{{"stringValue":"2"}}}}]}}]}}]}}]}}"#
            )
        };
        let text = serde_json::to_string(&format!("[{early},{early}]")).unwrap();
        assert_eq!(all(&otlp("200", &format!(r#"{{"stringValue":{text}}}"#))), [READ, READ]);
        // As an object, and with no time of its own.
        let fields: serde_json::Map<String, Value> = serde_json::from_str(&early).unwrap();
        let fields = fields.iter().filter(|(key, _)| *key != "timestamp").map(|(key, value)| {
            let value = value.as_i64().map_or_else(
                || serde_json::json!({ "stringValue": value }),
                |number| serde_json::json!({ "intValue": number.to_string() }),
            );
            serde_json::json!({ "key": key, "value": value })
        });
        let list = serde_json::json!({ "arrayValue": { "values": [{ "kvlistValue": { "values": fields.collect::<Value>() } }] } });
        assert_eq!(all(&otlp("200", &list.to_string())), [READ]);
        // Envoy's signs for nothing; and what is no status.
        let nothing = otlp("-", &format!(r#"{{"stringValue":{text}}}"#));
        assert_eq!(all(&nothing), vec![READ.replace("Some(200)", "None"); 2]);
        assert_eq!(all(&file.replace(":200", ":0")), vec![READ.replace("Some(200)", "None"); 2]);
        assert_eq!(both(&file.replace(":200", r#":"lost""#)).1.len(), 2);
        // The record's own come first.
        assert_eq!(all(&format!(r#"{{"exposures":[{RECORD}],"http.response.status_code":503}}"#)), [READ]);
    }

    #[test]
    fn one_wrong_record_costs_no_other() {
        let wrong = RECORD.replace("feature_flag.result.variant", "variant");
        for (line, good, bad) in [
            (format!("{RECORD}{RECORD}"), 2, 0),
            (format!("{PREFIX}{RECORD} {RECORD} tail"), 2, 0),
            (format!("{PREFIX}{RECORD} and {RECORD}."), 1, 0),
            (format!("{wrong}{RECORD}{}", &RECORD[..200]), 1, 2),
            (format!("{RECORD}{}", &RECORD[..12]), 1, 1),
            (format!(r#"{{"exposures":[{RECORD},{wrong},{RECORD}]}}"#), 2, 1),
            (format!(r#"{{"exposures":[{}{{"exposures":[{RECORD}]}}"#, &RECORD[..200]), 0, 1),
            (format!("{}{RECORD}", &RECORD[..200]), 0, 1),
            (RECORD.replace(":200", r#":"200""#), 1, 0),
            (RECORD.replace("\":", "\": "), 1, 0),
            (format!("{PREFIX}{}", RECORD.replace("\":", "\": ")), 1, 0),
        ] {
            let (found, problems) = both(&line);
            assert_eq!((found.len(), problems.len()), (good, bad), "{line}: {problems:?}");
            assert!(found.iter().all(|found| found == READ), "{line}: {found:?}");
        }
        let log = |event: &str, more: &str| {
            format!(
                r#"{{"eventName":"{event}","timeUnixNano":"1795260252593000000","attributes":[{more}{{"key":"feature_flag.key","value":{{"stringValue":"free"}}}},{{"key":"feature_flag.result.reason","value":{{"stringValue":"split"}}}}]}}"#
            )
        };
        let variant = r#"{"key":"feature_flag.result.variant","value":{"stringValue":"control"}},"#;
        let (good, bad, other) = (log(EVENT, variant), log(EVENT, ""), log("other", variant));
        let line = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{good},{bad},{other},{good}]}}]}}]}}"#
        );
        let (found, problems) = both(&line);
        assert_eq!(
            (found.len(), problems),
            (2, vec!["missing field `feature_flag.result.variant`".to_owned()])
        );
    }

    /// Whoever sends a request chooses its path and its headers: wherever another program writes them, they are no records.
    #[test]
    fn what_a_client_sent_is_no_record() {
        let path = format!("/?{RECORD}");
        let escaped = serde_json::to_string(&path).unwrap();
        let alone = serde_json::to_string(RECORD).unwrap();
        for line in [
            format!(r#"{{"path":{escaped},"status":200}}"#),
            format!(r#"{{"path":{alone},"user_agent":{alone},"status":200}}"#),
            format!(r#"{{"path":"/","splitway":{alone},"status":200}}"#),
            format!(r#"{{"request":{{"exposures":{alone},"splitway":[{RECORD}]}}}}"#),
            format!(r#"[2026-11-21T10:00:00.000Z] "GET {path} HTTP/1.1" 200 - 0 5 1"#),
            format!(r#"127.0.0.1 - - [21/Nov/2026:10:00:00 +0000] "GET {path} HTTP/1.1" 200 5"#),
            format!("GET {path}"),
            format!("[2026-11-21 10:00:00.000][7][debug][http] [conn.cc:1] wasm log splitway: {RECORD}"),
            format!("[2026-11-21 10:00:00.000][7][info][wasm] [context.cc:1] wasm log other: path=/{RECORD}"),
            format!("[2026-11-21 10:00:00.000][7][info][wasm] wasm log splitway: {RECORD}"),
            format!("[info] splitway: {RECORD}"),
            format!(r#"{{"log":{escaped},"message":{escaped}}}"#),
            serde_json::json!({ "log": format!(r#"{{"path":{alone}}}"#) }).to_string(),
            format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":{escaped}}},"attributes":[{{"key":"path","value":{{"stringValue":{alone}}}}}]}}]}}]}}]}}"#
            ),
            EVENT.to_owned(),
            r#"{"name":"feature_flag.evaluation","variant":"b"}"#.to_owned(),
            r#"{"feature_flag.evaluation":1}"#.to_owned(),
        ] {
            let about = read(&line, None, &mut |found| panic!("{line}: {found:?}"));
            assert_eq!(about, About::Elsewhere, "{line}");
        }
    }

    /// In an access log whose format was made by hand, a client's path can end a text and an object.
    #[test]
    fn a_client_cannot_break_out_of_a_line() {
        let own = RECORD.replace("control", "other");
        for (exposures, path) in [
            ("-", format!(r#"/{{"exposures":[{RECORD}]}}"#)),
            ("-", format!(r#"/"}}{{"exposures":[{RECORD}]}}"#)),
            ("-", format!("/{RECORD}")),
            (&*format!("[{own}]"), format!(r#"/","exposures":[{RECORD}],"x":""#)),
            (&*format!("[{own}]"), format!(r#"/"}}{{"exposures":[{RECORD}],"x":""#)),
            (&*format!("[{own}]"), format!(r#"/"}} {RECORD}"#)),
            (&*format!("[{}", &own[..200]), format!(r#"/{{"exposures":[{RECORD}]}}"#)),
        ] {
            for line in [
                format!(r#"{{"exposures":{exposures},"path":"{path}"}}"#),
                format!(r#"{{"path":"{path}","exposures":{exposures}}}"#),
            ] {
                let (found, wrong) = both_of(&line);
                assert!(found.iter().all(|found| found.contains("other")), "{line}: {found:?}");
                assert!(!line.starts_with(ACCESS_LOG) || wrong.len() == 1, "{line}: {wrong:?}");
            }
        }
        let twice = RECORD.replace("\"free\"", "\"free\",\"feature_flag.key\":\"paid\"");
        for line in [twice.clone(), format!(r#"{{"exposures":[{twice}]}}"#)] {
            let (found, wrong) = both(&line);
            assert!(found.is_empty() && wrong[0].contains("duplicate field"), "{found:?} {wrong:?}");
        }
        let header = format!(
            "[2026-11-21 10:00:00.000][7][info][wasm] [context.cc:1] wasm log other: user-agent: {RECORD}"
        );
        assert_eq!(both_of(&header).0, Vec::<String>::new());
    }

    #[test]
    fn records_of_other_providers_are_not_ours() {
        let of = |provider: &str| {
            RECORD.replace(
                r#""splitway.bucket""#,
                &format!(r#""feature_flag.provider.name":"{provider}","splitway.bucket""#),
            )
        };
        assert_eq!(all(&format!("{}{}", of("splitway"), of(""))), [READ, READ]);
        assert_eq!(all(&format!("{}{}", of("flagd"), of("splitway"))), [READ]);
        let short = r#"{"event":"feature_flag.evaluation","feature_flag.provider.name":"flagd","feature_flag.key":"f"}"#;
        for line in [
            of("flagd"),
            short.to_owned(),
            format!(r#"{{"exposures":[{short},{}]}}"#, of("flagd")),
            format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"eventName":"{EVENT}","attributes":[{{"key":"feature_flag.provider.name","value":{{"stringValue":"flagd"}}}}]}}]}}]}}]}}"#
            ),
        ] {
            let about = read(&line, None, &mut |found| panic!("{line}: {found:?}"));
            assert_eq!(about, About::Elsewhere, "{line}");
        }
    }

    #[test]
    fn what_is_no_exposure_is_told_from_what_is_broken() {
        for other in [
            "[info][main] starting",
            r#"{"resourceLogs":[]}"#,
            r#"[info] wasm log splitway: {"event":"splitway.guardrail","variant":"b"}"#,
            r#"{"exposures":[],"http.response.status_code":200}"#,
            r#"{"path":"/","status":200}"#,
            "{",
        ] {
            assert_eq!(all(other), Vec::<String>::new());
        }
        for (broken, said) in [
            (&RECORD[..200], "cut off"),
            (&RECORD[..10], "cut off: the line ends within it"),
            (&format!("{PREFIX}{}", &RECORD[..10]), "cut off"),
            (&format!("{PREFIX}{}", &RECORD[..40]), "cut off"),
            (r#"{"exposures":[{"ev"#, "cut off"),
            (&RECORD.replace("free", "\\u001b[2J"), "expected a name"),
            (r#"{"resourceLo"#, "cut off"),
            (r#"{"exposures":-,"http.response.status_code":200}"#, "filter_state: true"),
            (&RECORD.replace("2026-11-21T", "yesterday"), "expected a time with its zone such as"),
            (r#"{"event":"feature_flag.evaluation"} tail"#, "missing field `feature_flag.key`"),
        ] {
            let (found, wrong) = both(broken);
            assert!(
                found.is_empty() && wrong.len() == 1 && wrong[0].contains(said),
                "{broken}: {found:?} {wrong:?}"
            );
        }
    }
}
