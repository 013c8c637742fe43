//! Exposure records in a line of whatever wrote them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use splitway_engine::Timestamp;

/// The OpenTelemetry event of an exposure.
const EVENT: &str = "feature_flag.evaluation";
/// How a record begins.
const OPENING: &str = r#"{"event":"feature_flag.evaluation""#;

/// One exposure, as far as an analysis needs it.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Exposure<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
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
    #[serde(rename = "splitway.bucket", default)]
    pub bucket: Option<i32>,
    /// Status of the response.
    #[serde(rename = "http.response.status_code", default)]
    pub status: Option<i32>,
    /// Duration of the exchange.
    #[serde(rename = "splitway.duration_ms", default)]
    pub duration_ms: Option<f64>,
    /// Milliseconds since 1970, from `timestamp`.
    #[serde(skip)]
    pub time_ms: i64,
    /// Value of the segment's field; empty where there is none.
    #[serde(skip)]
    pub segment: Cow<'a, str>,
}

/// Hands every exposure in `line` to `take`. `false`: there is none, and none was meant.
///
/// Formats: a record as it is; one with a prefix and a tail, as in Envoy's log; OTLP JSON (`resourceLogs`); an access
/// log whose fields hold records, as text, objects, or lists of these.
pub(super) fn read(
    line: &str,
    segment: Option<&str>,
    take: &mut dyn FnMut(&Exposure<'_>),
) -> Result<bool, String> {
    if line.starts_with(OPENING) {
        record(line, segment, take)?;
        return Ok(true);
    }
    if !line.contains(EVENT) && !line.contains("resourceLogs") {
        return Ok(false);
    }
    if line.starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<Value>(line)
    {
        return within(&value, segment, take);
    }
    // The proxy's prefix, the record, a tail.
    let start = line.find(OPENING).ok_or("no record where one is named")?;
    record(&line[start..], segment, take)?;
    Ok(true)
}

fn record(text: &str, segment: Option<&str>, take: &mut dyn FnMut(&Exposure<'_>)) -> Result<(), String> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Exposure<'_>>();
    let mut exposure = stream.next().ok_or("no record")?.map_err(|error| error.to_string())?;
    let end = stream.byte_offset();
    if let Some(name) = segment {
        let fields: Value = serde_json::from_str(&text[..end]).map_err(|error| error.to_string())?;
        exposure.segment = Cow::Owned(plain(fields.get(name)));
    }
    finish(exposure, take)
}

fn finish(mut exposure: Exposure<'_>, take: &mut dyn FnMut(&Exposure<'_>)) -> Result<(), String> {
    if exposure.event != EVENT {
        return Err(format!("expected the event {EVENT}, found {}", exposure.event));
    }
    let time = Timestamp::parse(&exposure.timestamp);
    exposure.time_ms = time.ok_or_else(|| format!("no time: {}", exposure.timestamp))?.0;
    take(&exposure);
    Ok(())
}

/// A value as a segment's name.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Records anywhere inside a value.
fn within(value: &Value, segment: Option<&str>, take: &mut dyn FnMut(&Exposure<'_>)) -> Result<bool, String> {
    match value {
        Value::Object(fields) if fields.get("event").is_some_and(|event| event == EVENT) => {
            record(&value.to_string(), segment, take)?;
            Ok(true)
        }
        Value::Object(fields) if fields.contains_key("resourceLogs") => otlp(value, segment, take),
        Value::Object(fields) => any(fields.values(), segment, take),
        Value::Array(values) => any(values.iter(), segment, take),
        Value::String(text) if text.contains(EVENT) => read(text.trim(), segment, take),
        _ => Ok(false),
    }
}

fn any<'v>(
    values: impl Iterator<Item = &'v Value>,
    segment: Option<&str>,
    take: &mut dyn FnMut(&Exposure<'_>),
) -> Result<bool, String> {
    let mut found = false;
    for value in values {
        found |= within(value, segment, take)?;
    }
    Ok(found)
}

/// OTLP JSON, as the collector's file exporter writes it.
fn otlp(value: &Value, segment: Option<&str>, take: &mut dyn FnMut(&Exposure<'_>)) -> Result<bool, String> {
    let list =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found = false;
    for resource in list(value, "resourceLogs") {
        for scope in list(&resource, "scopeLogs") {
            for log in list(&scope, "logRecords") {
                let mut fields = serde_json::Map::new();
                for attribute in list(&log, "attributes") {
                    if let Some(key) = attribute.get("key").and_then(Value::as_str) {
                        fields.insert(key.to_owned(), otlp_value(attribute.get("value")));
                    }
                }
                if let Some(name) = log.get("eventName") {
                    fields.insert("event".to_owned(), name.clone());
                } else if let Some(name) = fields.get("event.name").cloned() {
                    fields.insert("event".to_owned(), name);
                }
                if fields.get("event").is_none_or(|event| event != EVENT) {
                    continue;
                }
                if let Some(nanoseconds) = otlp_time(&log) {
                    let time = Timestamp::from_nanoseconds(nanoseconds).to_string();
                    fields.insert("timestamp".to_owned(), Value::String(time));
                }
                record(&Value::Object(fields).to_string(), segment, take)?;
                found = true;
            }
        }
    }
    Ok(found)
}

/// 64-bit integers are text in protobuf's JSON.
fn otlp_value(value: Option<&Value>) -> Value {
    let Some(value) = value else { return Value::Null };
    if let Some(number) = value.get("intValue") {
        let parsed = number.as_str().and_then(|text| text.parse::<i64>().ok()).map(Value::from);
        return parsed.unwrap_or_else(|| number.clone());
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

    fn all(line: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let is_related = read(line, Some("splitway.cluster"), &mut |e| {
            found.push(format!(
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
            ));
        })?;
        assert_eq!(is_related, !found.is_empty());
        Ok(found)
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
            assert_eq!(all(&line).unwrap(), [READ], "{line}");
        }
        assert_eq!(all(&format!(r#"{{"exposures":[{RECORD},{RECORD}]}}"#)).unwrap(), [READ, READ]);
    }

    #[test]
    fn what_is_no_exposure_is_told_from_what_is_broken() {
        assert_eq!(all("[info][main] starting").unwrap(), Vec::<String>::new());
        assert_eq!(all(r#"{"resourceLogs":[]}"#).unwrap(), Vec::<String>::new());
        for broken in [&RECORD[..200], &RECORD.replace("2026-11-21T", "yesterday"), "feature_flag.evaluation"]
        {
            assert!(all(broken).is_err(), "{broken}");
        }
    }
}
