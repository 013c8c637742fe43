//! Exposure records in a line of whatever wrote them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Deserializer, Map, Value};
use splitway_engine::Timestamp;

use super::words::{self, MOMENT, plainly};

/// The OpenTelemetry event of an exposure.
const EVENT: &str = "feature_flag.evaluation";
/// How a record begins, and how it does where others have written it anew.
const OPENINGS: [&str; 2] =
    [r#"{"event":"feature_flag.evaluation""#, r#"{"event": "feature_flag.evaluation""#];
/// How a line of `envoy/access-log-file.yaml` begins.
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

/// Hands every exposure in `line` to `take`, or why one cannot be read. `false`: there is none, and none was meant.
///
/// Formats: a record as it is; some with a prefix, between them, and a tail, as in Envoy's log; OTLP JSON
/// (`resourceLogs`), whose log records are exposures or have some in their bodies or attributes; an access log whose fields hold
/// records, as text, objects, or lists of these. What a record lacks is taken from what it stands in.
pub(super) fn read(
    line: &str,
    segment: Option<&str>,
    take: &mut dyn FnMut(Result<&Exposure<'_>, String>),
) -> bool {
    let mut reader = Reader { segment, take, found: false };
    reader.text(line, None);
    reader.found
}

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

    fn text(&mut self, text: &str, outer: Option<&Outer<'_>>) {
        if text.starts_with(OPENINGS[0]) {
            return self.records(text, outer);
        }
        let is_about = text.contains(EVENT) || text.contains(OTLP) || text.starts_with(ACCESS_LOG);
        if !is_about && !is_cut(text) {
            return;
        }
        if text.starts_with('{') {
            return self.values(text, outer);
        }
        if text.starts_with('[')
            && let Ok(value) = serde_json::from_str::<Value>(text)
        {
            return self.within(&value, outer);
        }
        self.records(text, outer);
    }

    /// Records in a text, whatever is around and between them.
    fn records(&mut self, text: &str, outer: Option<&Outer<'_>>) {
        let (mut rest, mut is_none) = (text, true);
        while let Some(start) = opening(rest) {
            let end = self.record(&rest[start..], outer);
            rest = &rest[start + end..];
            is_none = false;
        }
        if rest.contains(EVENT) {
            let problem = "it names the event of an exposure, but has no record `{\"event\":…}` on this line";
            self.wrong(if is_none { problem.to_owned() } else { format!("after a record, {problem}") });
        } else if is_cut(rest) {
            self.wrong("a record that is cut off".to_owned());
        }
    }

    /// The record that `text` begins with; how many bytes of it are done with.
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
                self.wrong(plainly(&error));
                text.find(EVENT).map_or(text.len(), |at| at + EVENT.len())
            }
            None => text.len(),
        }
    }

    /// JSON objects, one after the other.
    fn values(&mut self, text: &str, outer: Option<&Outer<'_>>) {
        let was_found = std::mem::replace(&mut self.found, false);
        let mut stream = Deserializer::from_str(text).into_iter::<Value>();
        let mut end = 0;
        while let Some(value) = stream.next() {
            match value {
                Ok(value) => self.within(&value, outer),
                Err(error) => {
                    let rest = &text[end..];
                    if end == 0 || rest.contains(EVENT) || is_cut(rest) {
                        let is_empty =
                            rest.strip_prefix(ACCESS_LOG).is_some_and(|rest| rest.starts_with('-'));
                        self.wrong(if is_empty {
                            "no exposures in the access log: the config needs `exposure: { filter_state: true }`"
                                .to_owned()
                        } else {
                            plainly(&error)
                        });
                    }
                    // What a proxy began that was then killed; the next one went on in the same line.
                    if let Some(next) = rest.get(1..).and_then(|rest| rest.find(ACCESS_LOG)) {
                        self.values(&rest[1 + next..], outer);
                    }
                    break;
                }
            }
            end = stream.byte_offset();
        }
        if !self.found && text.contains(EVENT) {
            self.wrong("it names the event of an exposure, but not as the `event` of a record".to_owned());
        }
        self.found |= was_found;
    }

    /// Records anywhere inside a value.
    fn within(&mut self, value: &Value, outer: Option<&Outer<'_>>) {
        match value {
            Value::Object(fields) if fields.get("event").is_some_and(|event| event == EVENT) => {
                self.object(value, outer);
            }
            Value::Object(fields) if fields.contains_key(OTLP) => self.otlp(value, outer),
            Value::Object(fields) => {
                let outer = Outer { fields: value, next: outer };
                fields.values().for_each(|value| self.within(value, Some(&outer)));
            }
            Value::Array(values) => values.iter().for_each(|value| self.within(value, outer)),
            Value::String(text) if text.contains(EVENT) => self.text(text.trim(), outer),
            _ => {}
        }
    }

    fn object(&mut self, fields: &Value, outer: Option<&Outer<'_>>) {
        match Exposure::deserialize(fields) {
            Ok(exposure) => self.finish(exposure, Some(fields), outer),
            Err(error) => self.wrong(plainly(&error)),
        }
    }

    /// `own`: the record's fields, if a segment is asked for.
    fn finish(&mut self, mut exposure: Exposure<'_>, own: Option<&Value>, outer: Option<&Outer<'_>>) {
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
        self.within(&fields, outer);
        if fields.get("event").is_none_or(|event| event != EVENT) {
            let outer = Outer { fields: &fields, next: outer };
            self.within(&otlp_value(log.get("body")), Some(&outer));
        }
    }
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

/// Whether a text ends within the beginning of a record, or is one of a longer line.
fn is_cut(text: &str) -> bool {
    const START: &[u8] = br#"{"e"#;
    let bytes = text.as_bytes();
    let last = &bytes[bytes.len().saturating_sub(OPENINGS[1].len())..];
    let start = last.windows(START.len()).rposition(|window| window == START);
    let begins = |whole: &str| start.is_some_and(|start| whole.as_bytes().starts_with(&last[start..]));
    let is_whole = |whole: &str| bytes.len() >= START.len() && whole.starts_with(text);
    OPENINGS.into_iter().any(begins) || is_whole(ACCESS_LOG) || is_whole(r#"{"resourceLogs""#)
}

/// A value as a segment's name.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
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

    /// What is read of a line, and how many records of it are not.
    fn both(line: &str) -> (Vec<String>, Vec<String>) {
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        let is_related = read(line, Some("splitway.cluster"), &mut |e| match e {
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
        assert_eq!(is_related, !found.is_empty() || !wrong.is_empty(), "{line}");
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
                "[2026-11-21 10:00:00.000][7][info][wasm] [context.cc:1] wasm log splitway: {RECORD} tail"
            ),
            format!(r#"{{"path":"/","splitway":{as_text}}}"#),
            format!(r#"{{"path":"/","splitway":{RECORD}}}"#),
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
            (format!("[info] splitway: {RECORD} and {RECORD}."), 2, 0),
            (format!("[info] - [{RECORD},{wrong},{RECORD}]"), 2, 1),
            (format!("{wrong}{RECORD}{}", &RECORD[..200]), 1, 2),
            (format!("{RECORD}{}", &RECORD[..12]), 1, 1),
            (format!(r#"{{"exposures":[{RECORD},{wrong},{RECORD}]}}"#), 2, 1),
            (format!(r#"{{"a":[{RECORD}]}}{{"a":[{RECORD}]}} tail"#), 2, 0),
            (format!(r#"{{"a":[{RECORD}]}}{{"a":[{}"#, &RECORD[..200]), 1, 1),
            (format!(r#"{{"exposures":[{}{{"exposures":[{RECORD}]}}"#, &RECORD[..200]), 1, 1),
            (RECORD.replace(":200", r#":"200""#), 1, 0),
            (RECORD.replace("\":", "\": "), 1, 0),
            (format!("[info] splitway: {}", RECORD.replace("\":", "\": ")), 1, 0),
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
        let prefix = "[2026-11-21 10:00:00.000][7][info][wasm] wasm log splitway: ";
        for (broken, said) in [
            (&RECORD[..200], "cut off"),
            (&RECORD[..10], "cut off: the line ends within it"),
            (&format!("{prefix}{}", &RECORD[..10]), "a record that is cut off"),
            (&format!("{prefix}{}", &RECORD[..40]), "cut off"),
            (r#"{"exposures":[{"ev"#, "cut off"),
            (r#"{"resourceLo"#, "cut off"),
            (r#"{"exposures":-,"http.response.status_code":200}"#, "filter_state: true"),
            (&RECORD.replace("2026-11-21T", "yesterday"), "expected a time with its zone such as"),
            (r#"{"event":"feature_flag.evaluation"} tail"#, "missing field `feature_flag.key`"),
            ("feature_flag.evaluation", "has no record"),
            (r#"{"name":"feature_flag.evaluation","variant":"b"}"#, "has no record"),
            (r#"{"feature_flag.evaluation":1}"#, "not as the `event`"),
        ] {
            let (found, wrong) = both(broken);
            assert!(
                found.is_empty() && wrong.len() == 1 && wrong[0].contains(said),
                "{broken}: {found:?} {wrong:?}"
            );
        }
    }
}
