//! Exposure records: what was decided, tied to what was served.
//!
//! The names are those of the OpenTelemetry event `feature_flag.evaluation`
//! (semantic conventions 1.37), plus `splitway.…` for what it does not have.

use std::borrow::Cow;

use crate::bucketing::murmur3_32;
use crate::decide::{Assignment, Decision};
use crate::ids::ChainId;
use crate::plan::Plan;
use crate::request::{CookieAction, RequestView};
use crate::time::Timestamp;

/// What the proxy saw of the exchange; absent where it could not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served<'a> {
    /// The proxy's id of the request.
    pub request_id: Option<&'a str>,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// The cluster that was asked: none, if the proxy answered by itself.
    pub cluster: Option<&'a str>,
    /// Whole duration of the exchange, in milliseconds: from the request's head to the last byte of the response, the
    /// client's upload and download among it; of a WebSocket, its life.
    pub duration_ms: Option<u64>,
    /// How often it was sent to an upstream.
    pub attempts: Option<u64>,
    /// What else the proxy has to say of the response: Envoy's response flags, joined by commas.
    pub flags: Option<&'a str>,
    /// gRPC status of a gRPC call.
    pub grpc_status: Option<u64>,
    /// A path rewrite that was asked for was refused, so the request went on
    /// with its own path.
    pub rewrite_refused: bool,
    /// When the record was written: OTLP's time of observation.
    pub written: Option<Timestamp>,
}

/// One exposure record.
#[derive(Debug)]
pub struct Exposure<'a> {
    timestamp: Timestamp,
    key: &'a str,
    variant: &'a str,
    reason: &'static str,
    context_id: Option<&'a str>,
    version: &'a str,
    set: &'a str,
    layer: &'a str,
    bucket: Option<u32>,
    is_override: bool,
    clock_edge: bool,
    rewrite_refused: bool,
    served: Served<'a>,
}

impl Plan {
    /// How exposures show the unit of `assignment`: its pseudonym, itself, or
    /// not at all, as config and consent say.
    #[must_use]
    pub fn context_id(
        &self,
        decision: &Decision,
        assignment: &Assignment,
        request: &RequestView<'_>,
    ) -> Option<String> {
        if decision.unit_hidden {
            return None;
        }
        self.exposure.show(&self.unit_of(decision, assignment, request)?)
    }

    #[inline(never)]
    fn unit_of<'r>(
        &self,
        decision: &'r Decision,
        assignment: &Assignment,
        request: &'r RequestView<'_>,
    ) -> Option<Cow<'r, str>> {
        match &decision.cookie {
            CookieAction::Set(id) if decision.minted && assignment.chain == ChainId(0) => {
                Some(Cow::Borrowed(id))
            }
            _ => self.unit(assignment.chain, request).map(|(_, unit)| unit),
        }
    }

    /// A hash of the unit of `assignment`, for [`Self::exposure_key`] and for guardrails.
    #[must_use]
    pub fn unit_hash(
        &self,
        decision: &Decision,
        assignment: &Assignment,
        request: &RequestView<'_>,
    ) -> Option<u64> {
        let unit = self.unit_of(decision, assignment, request)?;
        let half = |shift: &[u8]| u64::from(murmur3_32(&[shift, unit.as_bytes()], 0x5eed_0001));
        // Another seed is not enough: two units that collide under one often do under others. Shifted by a
        // byte, they fall into other blocks.
        Some(half(b"") << 32 | half(b"-"))
    }

    /// What tells (unit, experiment, variant) from others, for [`crate::Seen`]: a change of the config
    /// alone does not change it. A variant that is withheld has another key, so that a unit which has met it before is
    /// recorded once more.
    #[must_use]
    pub fn exposure_key(&self, assignment: &Assignment, unit_hash: u64) -> Option<u64> {
        let variant = self.experiment(assignment.experiment)?.variant(assignment.variant)?;
        let mark: &[u8] = if assignment.withheld { b"!" } else { b"/" };
        let half =
            |seed| u64::from(murmur3_32(&[self.namespace.as_bytes(), mark, variant.stamp.as_bytes()], seed));
        Some(unit_hash ^ (half(1) << 32 | half(2)))
    }

    /// What exposures show of a unit that is known as it is, for those who join them with other
    /// records: its pseudonym, itself, or nothing.
    #[must_use]
    pub fn show_unit(&self, unit: &str) -> Option<String> {
        self.exposure.show(unit)
    }

    /// The record of `assignment`, which was decided at `decided`. `None` only for an
    /// assignment of another plan.
    #[must_use]
    pub fn exposure<'a>(
        &'a self,
        assignment: &Assignment,
        context_id: Option<&'a str>,
        decided: Timestamp,
        served: &Served<'a>,
    ) -> Option<Exposure<'a>> {
        let experiment = self.experiment(assignment.experiment)?;
        let variant = experiment.variant(assignment.variant)?;
        let is_override = assignment.reason.is_override();
        Some(Exposure {
            timestamp: decided,
            key: experiment.id(),
            variant: variant.id(),
            reason: assignment.reason.as_str(),
            context_id,
            version: &self.content_hash,
            set: &self.namespace,
            layer: self.layer(experiment.layer())?.id(),
            bucket: (!is_override).then_some(assignment.bucket),
            is_override,
            clock_edge: assignment.clock_edge,
            rewrite_refused: served.rewrite_refused && variant.rewrites_path(),
            served: *served,
        })
    }
}

/// An attribute: what is written before and after its value, by form.
struct Attribute {
    json: [&'static str; 2],
    otlp: [&'static str; 2],
}

/// An attribute whose value is text, a number, or `true` (which is written with the name). In whole
/// pieces, because a record of twenty attributes is twenty times as many calls as one has pieces.
macro_rules! attribute {
    (first $name:literal) => {
        attribute!("", "\"", "\"", "\"stringValue\":\"", "\"}}", $name)
    };
    (text $name:literal) => {
        attribute!(",", "\"", "\"", "\"stringValue\":\"", "\"}}", $name)
    };
    (number $name:literal) => {
        attribute!(",", "", "", "\"intValue\":\"", "\"}}", $name)
    };
    (flag $name:literal) => {
        attribute!(",", "true", "", "\"boolValue\":true}}", "", $name)
    };
    ($comma:literal, $json:literal, $json_end:literal, $otlp:literal, $otlp_end:literal, $name:literal) => {
        Attribute {
            json: [concat!(",\"", $name, "\":", $json), $json_end],
            otlp: [concat!($comma, "{\"key\":\"", $name, "\",\"value\":{", $otlp), $otlp_end],
        }
    };
}

// A record's own.
const KEY: Attribute = attribute!(first "feature_flag.key");
const VARIANT: Attribute = attribute!(text "feature_flag.result.variant");
const REASON: Attribute = attribute!(text "feature_flag.result.reason");
const CONTEXT_ID: Attribute = attribute!(text "feature_flag.context.id");
const LAYER: Attribute = attribute!(text "splitway.layer");
const BUCKET: Attribute = attribute!(number "splitway.bucket");
const OVERRIDE: Attribute = attribute!(flag "splitway.override");
const CLOCK_EDGE: Attribute = attribute!(flag "splitway.clock_edge");
const REWRITE_REFUSED: Attribute = attribute!(flag "splitway.rewrite_refused");
// What all records of an exchange have.
const VERSION: Attribute = attribute!(text "feature_flag.version");
const SET_ID: Attribute = attribute!(text "feature_flag.set.id");
const PROVIDER: Attribute = attribute!(text "feature_flag.provider.name");
const REQUEST_ID: Attribute = attribute!(text "splitway.request_id");
const STATUS: Attribute = attribute!(number "http.response.status_code");
const GRPC_STATUS: Attribute = attribute!(number "rpc.grpc.status_code");
const CLUSTER: Attribute = attribute!(text "splitway.cluster");
const FLAGS: Attribute = attribute!(text "splitway.response_flags");
const ATTEMPTS: Attribute = attribute!(number "splitway.attempts");
const DURATION: Attribute = attribute!(number "splitway.duration_ms");

/// How records are written.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Otlp,
}

/// Appends attributes.
struct Writer<'t> {
    form: Form,
    text: &'t mut String,
}

impl Writer<'_> {
    fn ends(&self, attribute: &Attribute) -> [&'static str; 2] {
        match self.form {
            Form::Json => attribute.json,
            Form::Otlp => attribute.otlp,
        }
    }

    /// A value that needs no escaping: ids, and words of ours.
    #[inline(never)]
    fn word(&mut self, attribute: &Attribute, value: &str) {
        let [before, after] = self.ends(attribute);
        self.text.push_str(before);
        self.text.push_str(value);
        self.text.push_str(after);
    }

    /// Whatever a client or an operator wrote.
    fn text(&mut self, attribute: &Attribute, value: Option<&str>) {
        let Some(value) = value else { return };
        if value.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            self.word(attribute, value);
        } else {
            self.word(attribute, &escaped(value));
        }
    }

    fn number(&mut self, attribute: &Attribute, value: Option<u64>) {
        let Some(value) = value else { return };
        let [before, after] = self.ends(attribute);
        self.text.push_str(before);
        push_number(self.text, value);
        self.text.push_str(after);
    }

    fn flag(&mut self, attribute: &Attribute, is_set: bool) {
        if is_set {
            self.word(attribute, "");
        }
    }
}

/// What the records of one exchange have in common, written for the first and copied for the others.
/// Records share one if they were made for the same [`Served`] at the same time by the same plan.
#[derive(Clone, Debug, Default)]
pub struct Common {
    json: Option<Ends>,
    otlp: Option<Ends>,
}

/// How records begin, and what follows on the attributes that are a record's own.
#[derive(Clone, Debug)]
struct Ends {
    head: String,
    tail: String,
}

impl Ends {
    /// With room for what there mostly is.
    fn new() -> Self {
        Self { head: String::with_capacity(128), tail: String::with_capacity(512) }
    }
}

/// Most bytes that a record in JSON mostly has.
const ROOM: usize = 640;

// What writes is `inline` so that it is compiled with the filter, for speed; the engine itself is
// compiled for size.
impl Exposure<'_> {
    /// Appends the attributes that only this record of an exchange has.
    #[inline]
    fn push_own(&self, form: Form, text: &mut String) {
        let mut writer = Writer { form, text };
        writer.word(&KEY, self.key);
        writer.word(&VARIANT, self.variant);
        writer.word(&REASON, self.reason);
        writer.text(&CONTEXT_ID, self.context_id);
        writer.word(&LAYER, self.layer);
        writer.number(&BUCKET, self.bucket.map(u64::from));
        writer.flag(&OVERRIDE, self.is_override);
        writer.flag(&CLOCK_EDGE, self.clock_edge);
        writer.flag(&REWRITE_REFUSED, self.rewrite_refused);
    }

    /// Appends the attributes that all records of an exchange have.
    #[inline]
    fn push_common(&self, form: Form, text: &mut String) {
        let served = &self.served;
        let mut writer = Writer { form, text };
        writer.word(&VERSION, self.version);
        writer.text(&SET_ID, Some(self.set));
        writer.word(&PROVIDER, "splitway");
        writer.text(&REQUEST_ID, served.request_id);
        writer.number(&STATUS, served.status.map(u64::from));
        writer.number(&GRPC_STATUS, served.grpc_status);
        writer.text(&CLUSTER, served.cluster);
        writer.text(&FLAGS, served.flags);
        writer.number(&ATTEMPTS, served.attempts);
        writer.number(&DURATION, served.duration_ms);
    }

    /// The record as one line of JSON, without the line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.push_json(&mut Common::default(), &mut text);
        text
    }

    /// Appends the record as one line of JSON, without the line end.
    #[inline]
    pub fn push_json(&self, common: &mut Common, text: &mut String) {
        let ends = common.json.get_or_insert_with(|| {
            let mut ends = Ends::new();
            ends.head.push_str(r#"{"event":"feature_flag.evaluation","timestamp":""#);
            ends.head.push_str(&self.timestamp.to_string());
            ends.head.push('"');
            self.push_common(Form::Json, &mut ends.tail);
            ends.tail.push('}');
            ends
        });
        text.reserve(ROOM);
        text.push_str(&ends.head);
        self.push_own(Form::Json, text);
        text.push_str(&ends.tail);
    }

    /// Appends the record as a `LogRecord` of OTLP in JSON.
    #[inline]
    pub fn push_otlp(&self, common: &mut Common, text: &mut String) {
        let ends = common.otlp.get_or_insert_with(|| {
            let mut ends = Ends::new();
            ends.head.push_str(r#"{"severityNumber":9,"timeUnixNano":""#);
            push_number(&mut ends.head, u64::try_from(self.timestamp.0).unwrap_or(0));
            if let Some(written) = self.served.written {
                ends.head.push_str(r#"000000","observedTimeUnixNano":""#);
                push_number(&mut ends.head, u64::try_from(written.0).unwrap_or(0));
            }
            ends.head.push_str(r#"000000","eventName":"feature_flag.evaluation","attributes":["#);
            self.push_common(Form::Otlp, &mut ends.tail);
            ends.tail.push_str("]}");
            ends
        });
        text.push_str(&ends.head);
        self.push_own(Form::Otlp, text);
        text.push_str(&ends.tail);
    }
}

/// The inside of a JSON string (RFC 8259, 7).
#[inline(never)]
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len().saturating_mul(2));
    for character in value.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            '\0'..='\x1f' => {
                let code = u32::from(character);
                let digit = |n| char::from_digit(n, 16).unwrap_or('0');
                text.push_str("\\u00");
                text.push(digit(code >> 4));
                text.push(digit(code & 15));
            }
            other => text.push(other),
        }
    }
    text
}

fn push_number(text: &mut String, number: u64) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(u32::try_from(number % 10).ok().and_then(|digit| char::from_digit(digit, 10)).unwrap_or('0'));
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "feature_flag.evaluation";

    fn record() -> Exposure<'static> {
        Exposure {
            timestamp: Timestamp(1_700_000_000_123),
            key: "button",
            variant: "big",
            reason: "split",
            context_id: Some("a\"b\\c\n\u{1f}\u{7f}ü"),
            version: "00ff",
            set: "shop",
            layer: "button",
            bucket: Some(1207),
            is_override: false,
            clock_edge: true,
            rewrite_refused: false,
            served: Served {
                status: Some(503),
                attempts: Some(2),
                flags: Some("UF,URX"),
                duration_ms: Some(0),
                written: Some(Timestamp(1_700_000_001_000)),
                ..Served::default()
            },
        }
    }

    #[test]
    fn both_forms_are_json_and_say_the_same() {
        let line: serde_json::Value = serde_json::from_str(&record().to_json()).unwrap();
        assert_eq!(line["event"], EVENT);
        assert_eq!(line["timestamp"], "2023-11-14T22:13:20.123Z");
        assert_eq!(line["feature_flag.context.id"], "a\"b\\c\n\u{1f}\u{7f}ü");
        let mut text = String::new();
        record().push_otlp(&mut Common::default(), &mut text);
        let otlp: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(otlp["timeUnixNano"], "1700000000123000000");
        assert_eq!(otlp["observedTimeUnixNano"], "1700000001000000000");
        assert_eq!(otlp["eventName"], EVENT);
        let attributes = otlp["attributes"].as_array().unwrap();
        for attribute in attributes {
            let expected = &line[attribute["key"].as_str().unwrap()];
            let (kind, value) = attribute["value"].as_object().unwrap().iter().next().unwrap();
            // OTLP's JSON has 64-bit numbers as text.
            let number = || value.as_str().unwrap().parse::<u64>().unwrap().into();
            let said = if kind == "intValue" { number() } else { value.clone() };
            assert_eq!(&said, expected, "{attribute}");
        }
        // All but event and timestamp.
        assert_eq!(attributes.len(), line.as_object().unwrap().len() - 2);
    }

    /// Of 37 units whose hash of one seed another unit has, two had the same hash of another seed.
    #[test]
    fn units_that_count_up_have_hashes_of_their_own() {
        let text =
            br#"{"version":1,"unit":[{"header":"u"}],"experiments":[{"id":"e","variants":[{"id":"a"}]}]}"#;
        let plan = crate::compile(&crate::Document::from_json(text).unwrap()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let mut halves = std::collections::BTreeSet::new();
        for number in 0..600_000 {
            let unit = format!("user-{number}");
            let headers: [(&[u8], &[u8]); 1] = [(b"u", unit.as_bytes())];
            let request = RequestView::new(&headers);
            let decision = plan.decide(&request, Timestamp(0), &mut crate::NoTrace);
            let hash = plan.unit_hash(&decision, &decision.assignments[0], &request).unwrap();
            assert!(seen.insert(hash), "{unit}");
            halves.insert(hash >> 32);
        }
        assert!(halves.len() < seen.len(), "one half alone is not enough");
    }

    #[test]
    fn a_batch_is_json() {
        let (mut text, after) = crate::Otlp::frame("shop");
        let mut common = Common::default();
        record().push_otlp(&mut common, &mut text);
        text.push(',');
        let other = Exposure { key: "other", ..record() };
        other.push_otlp(&mut common, &mut text);
        text.push_str(after);
        let batch: serde_json::Value = serde_json::from_str(&text).unwrap();
        let records = &batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
        assert_eq!(records.as_array().map(Vec::len), Some(2), "{batch}");
        let of = |n: usize| records[n]["attributes"].as_array().unwrap();
        assert_eq!((of(0).len(), &of(0)[1..]), (of(1).len(), &of(1)[1..]), "all but the key are alike");
        assert_eq!(of(1)[0]["value"]["stringValue"], "other");
        assert_eq!(batch["resourceLogs"][0]["resource"]["attributes"][1]["value"]["stringValue"], "shop");
    }
}
