//! Parquet that others made, and what ours says of itself.

use std::fs::File;
use std::path::Path;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMillisecondType,
};
use datafusion::arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::outcome::{self, Outcome, moment};
use super::words::finite;
use crate::Error;
use crate::table::{Columns, ExposureColumns};

/// What is in a file of ours: `exposures` or `outcomes`.
pub(super) const FORM: &str = "splitway.form";
/// The field that its column `segment` is; of exposures only.
pub(super) const SEGMENT: &str = "splitway.segment";
/// `shown`: the units are as exposures show them; of outcomes only.
pub(super) const UNITS: &str = "splitway.units";

/// A column of exposures.
const DURATION: &str = "duration_ms";
const TIME: &str = "time_ms";
const UNIT: &str = "unit";

/// Rows that become one row group.
const PART: usize = 500_000;
const BATCH: usize = 65_536;

struct Opened {
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl Opened {
    fn of(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::file(path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(Error::content(path))?;
        Ok(Self { builder })
    }

    fn schema(&self) -> &Schema {
        self.builder.schema()
    }

    /// What the file says of itself.
    fn note(&self, key: &str) -> Option<&str> {
        let notes = self.builder.metadata().file_metadata().key_value_metadata()?;
        notes.iter().find(|note| note.key == key)?.value.as_deref()
    }
}

/// Checks exposures. Only `splitway compact` makes them, so they must have its columns.
pub(super) fn check_exposures(path: &Path, segment: Option<&str>) -> Result<(), Error> {
    let wrong = |problem: String| Err(Error::Content(path.to_owned(), problem));
    let opened = Opened::of(path)?;
    let has = |name: &str, expected: &DataType| {
        opened.schema().field_with_name(name).is_ok_and(|field| is_as_good(field.data_type(), expected))
    };
    let fields = ExposureColumns::fields();
    let missing: Vec<String> = fields
        .iter()
        .filter(|field| !has(field.name(), field.data_type()))
        .map(|field| format!("{} ({})", field.name(), kind(field.data_type())))
        .collect();
    if !missing.is_empty() {
        return wrong(format!(
            "no exposures as `splitway compact` makes them of logs: lacks the columns {}",
            missing.join(", ")
        ));
    }
    if path.extension().is_none_or(|extension| extension != "parquet") {
        return wrong("is Parquet: give it a name that ends with .parquet".to_owned());
    }
    if let Some(wanted) = segment
        && opened.note(SEGMENT) != segment
    {
        let found =
            opened.note(SEGMENT).map_or("no segment".to_owned(), |found| format!("the segment {found}"));
        return wrong(format!(
            "was made with {found}: make it again from the logs with `splitway compact --segment {wanted}`"
        ));
    }
    if opened.note(FORM) == Some("exposures") { Ok(()) } else { check_values(path, opened) }
}

/// Refuses what the sums would silently pass over, or end in nothing by: nulls, no unit, times
/// that are no milliseconds, durations that are no numbers. Others wrote
/// the file; in ours there are none.
fn check_values(path: &Path, Opened { builder }: Opened) -> Result<(), Error> {
    let fields = ExposureColumns::fields();
    let is_needed = |name: &str| fields.iter().any(|field| field.name() == name && !field.is_nullable());
    let schema = builder.schema().clone();
    let is_read = |name: &str| [DURATION, UNIT, TIME].contains(&name);
    let can_fail = |field: &Field| is_needed(field.name()) && field.is_nullable() || is_read(field.name());
    let places = (0..schema.fields().len()).filter(|place| can_fail(schema.field(*place)));
    let mask = ProjectionMask::roots(builder.parquet_schema(), places);
    let reader =
        builder.with_projection(mask).with_batch_size(BATCH).build().map_err(Error::content(path))?;
    let mut before = 0;
    for batch in reader {
        let batch = batch.map_err(Error::content(path))?;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let at = if field.name() == DURATION {
                let numbers = cast(column, &DataType::Float64).map_err(Error::content(path))?;
                let numbers = numbers.as_primitive::<Float64Type>();
                numbers.iter().position(|number| number.is_some_and(|number| finite(number).is_err()))
            } else if field.name() == TIME {
                let times = cast(column, &DataType::Int64).map_err(Error::content(path))?;
                let times = times.as_primitive::<Int64Type>();
                times.iter().position(|time| time.is_none_or(|time| moment(time).is_err()))
            } else if field.name() == UNIT {
                let units = texts(column).map_err(Error::content(path))?;
                units.iter().position(|unit| unit.is_none_or(str::is_empty))
            } else {
                (0..column.len()).find(|row| column.is_null(*row))
            };
            if let Some(row) = at {
                let (row, name) = (before + row + 1, field.name());
                let problem =
                    format!("row {row} has no value that can be used as `{name}`: leave such rows out");
                return Err(Error::Content(path.to_owned(), problem));
            }
        }
        before += batch.num_rows();
    }
    Ok(())
}

/// Whether outcomes can be used as they are: those that we made. `are_raw`: units are yet to be shown as exposures show them.
pub(super) fn are_ours(path: &Path, are_raw: bool) -> Result<bool, Error> {
    let opened = Opened::of(path)?;
    if opened.note(FORM) != Some("outcomes") {
        // Said before anything is read.
        Found::of(opened.schema()).map_err(Error::content(path))?;
        return Ok(false);
    }
    let is_named = path.extension().is_some_and(|extension| extension == "parquet");
    Ok(is_named && (!are_raw || opened.note(UNITS) == Some("shown")))
}

/// Whether outcomes have their units as exposures show them; only ours say so.
pub(super) fn are_shown(path: &Path) -> Result<bool, Error> {
    Ok(Opened::of(path)?.note(UNITS) == Some("shown"))
}

/// A type for messages.
fn kind(of: &DataType) -> &'static str {
    match of {
        DataType::Utf8 => "text",
        DataType::Boolean => "boolean",
        DataType::Float64 => "number",
        _ => "whole number",
    }
}

fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn is_as_good(found: &DataType, expected: &DataType) -> bool {
    match expected {
        DataType::Utf8 => is_text(found),
        DataType::Boolean => *found == DataType::Boolean,
        DataType::Float64 => found.is_numeric(),
        _ => found.is_integer(),
    }
}

/// Where a file of outcomes has what: unit, time, metric, value.
struct Found([usize; 4]);

impl Found {
    fn of(schema: &Schema) -> Result<Self, String> {
        let at =
            |name: &str| schema.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name));
        let found = [at("unit"), at("time_ms").or_else(|| at("time")), at("metric"), at("value")];
        let mut places = [0; 4];
        for ((place, found), name) in places.iter_mut().zip(found).zip(["unit", "time", "metric", "value"]) {
            let Some(at) = found else {
                let names: Vec<&str> = schema.fields().iter().map(|field| &**field.name()).collect();
                return Err(format!(
                    "no column `{name}`: expected unit, time (or time_ms), metric, value; found {}",
                    names.join(", ")
                ));
            };
            let kind = schema.field(at).data_type();
            let (is_good, expected) = match name {
                "unit" => (is_text(kind) || kind.is_integer(), "text or whole numbers"),
                "time" => (
                    is_text(kind)
                        || kind.is_integer()
                        || matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64),
                    "timestamps, dates, texts or milliseconds since 1970",
                ),
                "metric" => (is_text(kind), "text"),
                _ => (is_text(kind) || kind.is_numeric() || *kind == DataType::Boolean, "numbers"),
            };
            if !is_good {
                return Err(format!(
                    "column `{}` has the type {kind}: expected {expected}",
                    schema.field(at).name()
                ));
            }
            *place = at;
        }
        Ok(Self(places))
    }
}

/// Hands over the rows of outcomes in a file, some at once: the rows, how many were before them, and what share of the file
/// is read then.
pub(super) fn each_part(
    path: &Path,
    mut take: impl FnMut(Vec<RecordBatch>, u64, f64) -> Result<(), Error>,
) -> Result<(), Error> {
    let Opened { builder } = Opened::of(path)?;
    let Found(places) = Found::of(builder.schema()).map_err(Error::content(path))?;
    let total = builder.metadata().file_metadata().num_rows().max(1) as f64;
    let mask = ProjectionMask::roots(builder.parquet_schema(), places);
    let reader =
        builder.with_projection(mask).with_batch_size(BATCH).build().map_err(Error::content(path))?;
    let (mut batches, mut rows, mut before) = (Vec::new(), 0, 0);
    for batch in reader {
        let batch = batch.map_err(Error::content(path))?;
        rows += batch.num_rows();
        batches.push(batch);
        if rows >= PART {
            let done = before + rows as u64;
            take(std::mem::take(&mut batches), before, done as f64 / total)?;
            (before, rows) = (done, 0);
        }
    }
    take(batches, before, 1.0)
}

/// Hands over the rows of a batch of outcomes.
pub(super) fn each(
    batch: &RecordBatch,
    mut take: impl FnMut(Result<Outcome<'_>, String>),
) -> Result<(), String> {
    let Found(places) = Found::of(&batch.schema())?;
    let [unit, time, metric, value] = places.map(|place| batch.column(place));
    let columns = || -> Result<_, ArrowError> {
        Ok((texts(unit)?, Times::of(time)?, texts(metric)?, cast(value, &DataType::Float64)?))
    };
    let (units, times, metrics, values) = columns().map_err(|error| error.to_string())?;
    let values = values.as_primitive::<Float64Type>();
    for row in 0..batch.num_rows() {
        let read = || -> Result<Outcome<'_>, String> {
            let text = |column: &StringArray, name: &str| {
                if column.is_null(row) {
                    Err(format!("`{name}`: expected a text, found null"))
                } else {
                    Ok(())
                }
            };
            text(&units, "unit")?;
            text(&metrics, "metric")?;
            if values.is_null(row) {
                return Err("`value`: expected a number, found null".to_owned());
            }
            Ok(Outcome {
                unit: units.value(row).trim().into(),
                time_ms: times.get(row)?,
                metric: metrics.value(row).into(),
                value: finite(values.value(row))?,
                is_counted: false,
            })
        };
        take(read());
    }
    Ok(())
}

fn texts(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

enum Times {
    Texts(StringArray),
    /// Milliseconds since 1970.
    Numbers(ArrayRef),
}

impl Times {
    fn of(column: &ArrayRef) -> Result<Self, ArrowError> {
        let zone = match column.data_type() {
            kind if is_text(kind) => return texts(column).map(Self::Texts),
            kind if kind.is_integer() => return cast(column, &DataType::Int64).map(Self::Numbers),
            // The same zone, or a cast would move the clock.
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let times = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, zone))?;
        Ok(Self::Numbers(std::sync::Arc::new(
            times.as_primitive::<TimestampMillisecondType>().reinterpret_cast::<Int64Type>(),
        )))
    }

    fn get(&self, row: usize) -> Result<i64, String> {
        let null = || Err("`time`: expected a time, found null".to_owned());
        match self {
            Self::Texts(texts) if texts.is_null(row) => null(),
            Self::Texts(texts) => outcome::time(texts.value(row).trim()),
            Self::Numbers(numbers) if numbers.is_null(row) => null(),
            Self::Numbers(numbers) => outcome::moment(numbers.as_primitive::<Int64Type>().value(row)),
        }
    }
}
