//! Outcomes: what the business recorded of units.

use std::borrow::Cow;

use serde::Deserialize;
use splitway_engine::Timestamp;

use super::words::{self, MOMENT, finite, plainly};

/// Something that a unit did or had.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<'a> {
    /// The unit.
    pub unit: Cow<'a, str>,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// What is measured.
    pub metric: Cow<'a, str>,
    /// How much.
    pub value: f64,
    /// No value was given, and it stands for 1: enough to count by, and nothing to add up.
    pub is_counted: bool,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with unit, time, metric and value")]
struct Line<'a> {
    #[serde(borrow, deserialize_with = "words::text")]
    unit: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "words::text")]
    time: Cow<'a, str>,
    #[serde(borrow)]
    metric: Cow<'a, str>,
    #[serde(default, deserialize_with = "given")]
    value: Option<Option<f64>>,
}

/// A value that is there, though perhaps null.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<f64>>, D::Error> {
    words::number(from).map(Some)
}

/// A line of NDJSON: `unit`, `time` (RFC 3339, or milliseconds since 1970), `metric`, `value` (1 if left out).
pub(super) fn read(line: &str) -> Result<Outcome<'_>, String> {
    let line: Line<'_> = serde_json::from_str(line).map_err(|error| plainly(&error))?;
    let is_counted = line.value.is_none();
    let value = line.value.unwrap_or(Some(1.0)).ok_or("`value`: expected a number, found nothing")?;
    Ok(Outcome { unit: line.unit, time_ms: time(&line.time)?, metric: line.metric, value, is_counted })
}

/// Milliseconds since 1970.
pub(super) fn time(text: &str) -> Result<i64, String> {
    if let Some(time) = Timestamp::parse(text) {
        return Ok(time.0);
    }
    let wrong = || format!("`time`: expected {MOMENT}, or milliseconds since 1970, found `{text}`");
    text.parse().map_err(|_| wrong()).and_then(moment)
}

/// A number as milliseconds since 1970.
pub(super) fn moment(number: i64) -> Result<i64, String> {
    // Seconds of 2001 to 5138 would be in early 1970; microseconds are millennia away.
    let looks_like = match number {
        1_000_000_000..100_000_000_000 => "seconds",
        100_000_000_000_000.. => "microseconds or nanoseconds",
        _ => return Ok(number),
    };
    Err(format!("`time`: expected milliseconds since 1970, and {number} looks like {looks_like}"))
}

/// Where a CSV has what.
pub(super) struct Columns([usize; 4]);

impl Columns {
    /// From the first line; names in any case.
    pub(super) fn of(header: &str) -> Result<Self, String> {
        let mut names = csv::StringRecord::new();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(header.as_bytes());
        reader.read_record(&mut names).map_err(|error| error.to_string())?;
        let at = |name: &str| {
            let found = names.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
            found.ok_or_else(|| {
                format!(
                    "no column `{name}`: expected a first line that names unit, time, metric and value, with commas \
                     between them; found `{}`",
                    super::visible(header)
                )
            })
        };
        Ok(Self([at("unit")?, at("time")?, at("metric")?, at("value")?]))
    }

    /// A record.
    pub(super) fn read<'l>(&self, record: &'l csv::StringRecord) -> Result<Outcome<'l>, String> {
        let [unit, at, metric, value] =
            self.0.map(|column| record.get(column).map(str::trim).ok_or("too few fields"));
        let value = value?;
        let number = value.parse().map_err(|_| format!("`value`: expected a number, found `{value}`"))?;
        Ok(Outcome {
            unit: unit?.into(),
            time_ms: time(at?)?,
            metric: metric?.into(),
            value: finite(number)?,
            is_counted: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &str) -> csv::StringRecord {
        line.split(',').collect()
    }

    #[test]
    fn lines_and_tables_say_the_same() {
        let expected = Outcome {
            unit: "u,1".into(),
            time_ms: 1000,
            metric: "order".into(),
            value: 12.5,
            is_counted: false,
        };
        let line = r#"{"unit":"u,1","time":"1970-01-01T00:00:01Z","metric":"order","value":12.5,"other":1}"#;
        assert_eq!(read(line).unwrap(), expected);
        let columns = Columns::of("value,unit,metric,time").unwrap();
        let fields = csv::StringRecord::from(vec!["12.5", "u,1", "order", " 1000"]);
        assert_eq!(columns.read(&fields).unwrap(), expected);
        let counted = read(r#"{"unit":7,"time":5,"metric":"m"}"#).unwrap();
        assert_eq!((counted.value, counted.is_counted), (1.0, true));
    }

    #[test]
    fn forms_that_are_clear_are_taken() {
        let line = r#"{"unit":18446744073709551615,"time":"2026-11-21 00:14:20+01:00","metric":"m","value":" 5.5 "}"#;
        let found = read(line).unwrap();
        assert_eq!((&*found.unit, found.value), ("18446744073709551615", 5.5));
        assert_eq!(
            found.time_ms,
            read(&line.replace("00:14:20+01:00", "23:14:20Z").replace("-21 ", "-20 ")).unwrap().time_ms
        );
        let found = read(r#"{"unit":7.0,"time":1795219260000.0,"metric":"m","value":-0.5}"#).unwrap();
        assert_eq!((&*found.unit, found.time_ms, found.value), ("7", 1_795_219_260_000, -0.5));
        let columns = Columns::of("Unit, TIME,metric,Value").unwrap();
        assert_eq!(columns.read(&record("u,5,m,5")).unwrap().value, 5.0);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let error = Columns::of("unit;time;metric;value").err().unwrap();
        assert!(
            error.contains("no column `unit`") && error.contains("commas") && error.contains("unit;time"),
            "{error}"
        );
        let columns = Columns::of("unit,time,metric,value").unwrap();
        for line in [
            "u,5,m",
            "u,never,m,1",
            "u,5,m,much",
            "u,5,m,NaN",
            "u,5,m,1e200",
            "u,1795219260,m,1",
            "u,1795219260000000,m,1",
            "u,2026-11-21 00:14:20,m,1",
        ] {
            assert!(columns.read(&record(line)).is_err(), "{line}");
        }
        for (line, said) in [
            (r#"{"unit":"u","metric":"m","value":1}"#, "missing field `time`"),
            (
                r#"{"unit":"u","time":"2026-11-21 00:14:20","metric":"m"}"#,
                "with its zone such as 2026-11-21T00:14:20Z",
            ),
            (r#"{"unit":["u"],"time":5,"metric":"m"}"#, "expected a text or a whole number"),
            (r#"{"unit":null,"time":5,"metric":"m"}"#, "invalid type: null"),
            (r#"{"unit":"u","time":5,"metric":"m","value":null}"#, "expected a number, found nothing"),
            (r#"{"unit":"u","time":5,"metric":"m","value":"inf"}"#, "expected a number, found inf"),
            (r#"{"unit":"u","time":5,"met"#, "cut off"),
            ("unit,time,metric,value", "no JSON: "),
            ("[1,2]", "expected an object with unit, time, metric and value"),
            (r#"{"unit":1.5,"time":5,"metric":"m"}"#, "expected a text or a whole number"),
        ] {
            let error = read(line).unwrap_err();
            assert!(
                error.contains(said) && !error.contains("untagged") && !error.contains("line 1"),
                "{error}"
            );
        }
    }
}
