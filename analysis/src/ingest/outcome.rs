//! Outcomes: what the business recorded of units.

use std::borrow::Cow;
use std::mem::take;

use serde::Deserialize;
use splitway_engine::Timestamp;

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
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    unit: Text<'a>,
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(borrow)]
    metric: Cow<'a, str>,
    value: Option<f64>,
}

/// Ids and times may be numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Number(i64),
}

/// A line of NDJSON: `unit`, `time` (RFC 3339, or milliseconds since 1970), `metric`, `value` (1 if left out).
pub(super) fn read(line: &str) -> Result<Outcome<'_>, String> {
    let line: Line<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let unit = match line.unit {
        Text::Text(text) => text,
        Text::Number(number) => number.to_string().into(),
    };
    let time_ms = match line.time {
        Text::Text(text) => time(&text)?,
        Text::Number(number) => number,
    };
    finite(Outcome { unit, time_ms, metric: line.metric, value: line.value.unwrap_or(1.0) })
}

fn time(text: &str) -> Result<i64, String> {
    let time = Timestamp::parse(text).map(|time| time.0);
    time.or_else(|| text.parse().ok()).ok_or_else(|| format!("no time: {text}"))
}

fn finite(outcome: Outcome<'_>) -> Result<Outcome<'_>, String> {
    if outcome.value.is_finite() { Ok(outcome) } else { Err(format!("no number: {}", outcome.value)) }
}

/// Where a CSV has what.
pub(super) struct Columns([usize; 4]);

impl Columns {
    /// From the first line.
    pub(super) fn of(header: &str) -> Result<Self, String> {
        let names = fields(header)?;
        let at = |name: &str| {
            let found = names.iter().position(|column| column.trim_start_matches('\u{feff}').trim() == name);
            found.ok_or_else(|| format!("no column `{name}`: expected unit, time, metric, value"))
        };
        Ok(Self([at("unit")?, at("time")?, at("metric")?, at("value")?]))
    }

    /// A line; no field may contain a line end.
    pub(super) fn read<'l>(&self, line: &'l str) -> Result<Outcome<'l>, String> {
        let mut fields = fields(line)?;
        let [unit, at, metric, value] = self
            .0
            .map(|column| fields.get_mut(column).map(|field| trimmed(take(field))).ok_or("too few fields"));
        let value = value?;
        let number = value.parse().map_err(|_| format!("no number: {value}"))?;
        finite(Outcome { unit: unit?, time_ms: time(&at?)?, metric: metric?, value: number })
    }
}

fn trimmed(field: Cow<'_, str>) -> Cow<'_, str> {
    match field {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

fn fields(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    // A CSV reader for each line takes longer than all the rest.
    if !line.contains('"') {
        return Ok(line.split(',').map(Cow::Borrowed).collect());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    reader.read_record(&mut record).map_err(|error| error.to_string())?;
    Ok(record.iter().map(|field| field.to_owned().into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_tables_say_the_same() {
        let expected = Outcome { unit: "u,1".into(), time_ms: 1000, metric: "order".into(), value: 12.5 };
        let line = r#"{"unit":"u,1","time":"1970-01-01T00:00:01Z","metric":"order","value":12.5,"other":1}"#;
        assert_eq!(read(line).unwrap(), expected);
        let columns = Columns::of("value,unit,metric,time").unwrap();
        assert_eq!(columns.read(r#"12.5,"u,1",order,1000"#).unwrap(), expected);
        assert_eq!(read(r#"{"unit":7,"time":5,"metric":"m"}"#).unwrap().value, 1.0);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(Columns::of("unit,time,value").is_err());
        let columns = Columns::of("unit,time,metric,value").unwrap();
        for line in ["u,5,m", "u,never,m,1", "u,5,m,much", "u,5,m,NaN"] {
            assert!(columns.read(line).is_err(), "{line}");
        }
        assert!(read(r#"{"unit":"u","metric":"m","value":1}"#).is_err());
    }
}
