//! Reads exposures and outcomes as they come, and writes them as Parquet of one form.
//!
//! Lines are parsed here and not by the query engine, because an engine stops at the first line that is wrong, or
//! silently reads it as nulls; a log has such lines, and the reader has to know how many.

mod exposure;
mod lines;
mod outcome;
mod parts;
mod rows;
mod words;

use std::path::{Path, PathBuf};

use splitway_engine::{Plan, minted_unit};

use crate::Error;
use crate::table::{ExposureColumns, OutcomeColumns};

use exposure::About;
pub use exposure::Exposure;
use lines::count_one;
pub use lines::{Lines, Progress, is_parquet, visible};
pub use outcome::Outcome;
use parts::{Here, convert};

/// Whether a file of exposures is to be used as it is: Parquet of [`exposures`]. `segment` as there.
///
/// # Errors
/// Parquet that cannot be used: other columns than those that [`exposures`] writes, or another segment.
pub fn are_ready_exposures(path: &Path, segment: Option<&str>) -> Result<bool, Error> {
    let is_parquet = is_parquet(path);
    if is_parquet {
        rows::check_exposures(path, segment)?;
    }
    Ok(is_parquet)
}

/// Whether a file of outcomes is to be used as it is: Parquet of [`outcomes`], whose units need not be shown in another way.
///
/// # Errors
/// Parquet without columns for unit, time, metric and value, or with types that cannot be that.
pub fn are_ready_outcomes(path: &Path, shown_by: Option<&Plan>) -> Result<bool, Error> {
    Ok(is_parquet(path) && rows::are_ours(path, shown_by.is_some())?)
}

/// Reads exposure logs of any kind, packed by gzip or not, into one Parquet file at `to`. `segment` names a field of the
/// records, or of what they stand in, that divides units into groups. With `versions`, records of other versions of the
/// config are counted and left out.
///
/// # Errors
/// Files that cannot be read or written. Lines never are an error.
pub fn exposures(
    from: &[PathBuf],
    segment: Option<&str>,
    versions: Option<&[&str]>,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Lines, Error> {
    if let Some(path) = from.iter().find(|path| is_parquet(path)) {
        return Err(Error::Content(path.clone(), "is Parquet: expected a log".to_owned()));
    }
    let mut about = vec![(rows::FORM, "exposures")];
    about.extend(segment.map(|name| (rows::SEGMENT, name)));
    convert(
        from,
        to,
        &about,
        progress,
        |_| false,
        |part, rows: &mut ExposureColumns, lines| {
            part.each_line(lines, |line, here| {
                let about = exposure::read(line, segment, &mut |found| match found {
                    Ok(record) if record.unit.is_empty() => here.lines.without_unit += 1,
                    Ok(record) if versions.is_some_and(|known| !known.contains(&&*record.version)) => {
                        here.lines.foreign(&record.version);
                    }
                    Ok(record) => {
                        here.lines.records += 1;
                        here.lines.without_segment +=
                            u64::from(segment.is_some() && record.segment.is_empty());
                        rows.push(record);
                    }
                    Err(problem) => here.malformed(&problem),
                });
                here.lines.unrelated += u64::from(about == About::Others);
                here.lines.elsewhere += u64::from(about == About::Elsewhere);
            });
            Ok(())
        },
    )
}

/// Reads outcomes into one Parquet file at `to`: NDJSON, CSV by its name (both packed by gzip or not), or Parquet of others.
/// With a plan, units are shown as its exposures show them, so that raw ids in the outcomes join pseudonyms in the log.
/// `minted`: a unit that is the whole value of the cookie that Splitway mints, as applications see it, is taken for its id.
///
/// # Errors
/// Files that cannot be read or written, a CSV or Parquet without the columns `unit`, `time`, `metric`, `value`.
pub fn outcomes(
    from: &[PathBuf],
    shown_by: Option<&Plan>,
    minted: bool,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Lines, Error> {
    let is_csv = |path: &Path| {
        let name = path.to_string_lossy().to_lowercase();
        name.ends_with(".csv") || name.ends_with(".csv.gz")
    };
    for path in from.iter().filter(|path| is_parquet(path)) {
        if shown_by.is_some() && rows::are_shown(path)? {
            let problem = "its units are as exposures show them already, and cannot be shown once more";
            return Err(Error::Content(path.clone(), problem.to_owned()));
        }
    }
    let mut about = vec![(rows::FORM, "outcomes")];
    about.extend(shown_by.map(|_| (rows::UNITS, "shown")));
    convert(from, to, &about, progress, is_csv, |part, rows: &mut OutcomeColumns, lines| {
        let mut take = |outcome: Result<Outcome<'_>, String>, here: &mut Here<'_>| {
            let mut outcome = match outcome {
                Ok(outcome) => outcome,
                Err(problem) => return here.malformed(&problem),
            };
            if minted && let Some(id) = minted_unit(&outcome.unit) {
                outcome.unit = id.to_owned().into();
            }
            if let Some(plan) = shown_by {
                outcome.unit = plan.show_unit(&outcome.unit).unwrap_or_default().into();
            }
            if outcome.unit.is_empty() {
                here.lines.without_unit += 1;
            } else {
                here.lines.records += 1;
                if outcome.is_counted {
                    count_one(&mut here.lines.without_value, &outcome.metric);
                }
                rows.push(&outcome);
            }
        };
        if part.is_rows() {
            return part.each_row(lines, take);
        }
        let columns = part.head.as_deref().map(outcome::Columns::of).transpose();
        match columns.map_err(Error::content(part.path))? {
            Some(columns) => part.each_record(lines, |record, here| take(columns.read(record), here)),
            None => part.each_line(lines, |line, here| take(outcome::read(line), here)),
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, AsArray as _, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    };
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    use flate2::{Compression, write::GzEncoder};
    use parquet::arrow::ArrowWriter;
    use splitway_engine::{Document, compile};
    use tempfile::TempDir;

    use std::fs::File;

    use super::*;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        }

        fn parquet(&self, name: &str, columns: &[(&str, ArrayRef)]) -> PathBuf {
            let batch = RecordBatch::try_from_iter_with_nullable(
                columns.iter().map(|(name, column)| (*name, column.clone(), true)),
            );
            let (batch, path) = (batch.unwrap(), self.0.path().join(name));
            let mut writer =
                ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            path
        }

        /// What [`outcomes`] makes of a file: the counts, and each row as text.
        fn outcomes(&self, from: &Path, shown_by: Option<&Plan>) -> (Lines, Vec<String>) {
            let to = self.0.path().join("to.parquet");
            let lines = outcomes(&[from.to_owned()], shown_by, true, &to, &mut |_, _| {}).unwrap();
            assert!(are_ready_outcomes(&to, shown_by).unwrap());
            let tables = crate::reduce::Tables::open(&[to], &[], &[]).unwrap();
            let rows = tables.rows("SELECT unit, metric, time_ms, value FROM exposures ORDER BY 1").unwrap();
            (lines, rows.iter().map(|row| row.join(" ")).collect())
        }
    }

    const EXPECTED: [&str; 2] = ["7 order 1795219260000 1.5", "8 order 1795219261000 2.0"];

    #[test]
    fn parquet_of_others_is_read() {
        let folder = Folder::new();
        let units: ArrayRef = Arc::new(StringArray::from(vec!["7", "8"]));
        let times: ArrayRef = Arc::new(Int64Array::from(vec![1_795_219_260_000, 1_795_219_261_000]));
        let texts: ArrayRef =
            Arc::new(StringArray::from(vec!["2026-11-21T00:01:00Z", "2026-11-21 01:01:01+01:00"]));
        let metrics: ArrayRef = Arc::new(StringArray::from(vec!["order", "order"]));
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.0]));
        let as_type = |column: &ArrayRef, kind: DataType| cast(column, &kind).unwrap();
        let milliseconds = as_type(&times, DataType::Timestamp(TimeUnit::Millisecond, None));
        let in_zone = as_type(&times, DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for (unit, time_name, time, value) in [
            (&units, "time_ms", &times, &values),
            (&units, "time", &times, &values),
            (
                &as_type(&units, DataType::Int32),
                "Time",
                &milliseconds,
                &as_type(&values, DataType::Decimal128(10, 2)),
            ),
            (
                &as_type(&units, dictionary),
                "time",
                &as_type(&milliseconds, DataType::Timestamp(TimeUnit::Nanosecond, None)),
                &as_type(&values, DataType::Float32),
            ),
            (
                &as_type(&units, DataType::LargeUtf8),
                "time",
                &as_type(&in_zone, DataType::Timestamp(TimeUnit::Microsecond, Some("-05:00".into()))),
                &values,
            ),
            (&as_type(&units, DataType::UInt64), "time", &texts, &as_type(&values, DataType::Utf8)),
        ] {
            let columns = [
                ("other", &units),
                ("Unit", unit),
                (time_name, time),
                ("metric", &metrics),
                ("VALUE", value),
            ];
            let path =
                folder.parquet("theirs.parquet", &columns.map(|(name, column)| (name, column.clone())));
            assert!(!are_ready_outcomes(&path, None).unwrap());
            let (lines, rows) = folder.outcomes(&path, None);
            assert_eq!(
                (lines.lines, lines.records, lines.malformed, &*rows),
                (2, 2, 0, &EXPECTED.map(str::to_owned)[..]),
                "{time:?} {lines:?}"
            );
        }
        let dates = cast(&Int64Array::from(vec![20_778, 20_778]), &DataType::Int32)
            .and_then(|days| cast(&days, &DataType::Date32))
            .unwrap();
        let columns = [
            ("unit", units.clone()),
            ("time", dates),
            ("metric", metrics.clone()),
            ("value", values.clone()),
        ];
        let (_, rows) = folder.outcomes(&folder.parquet("days.parquet", &columns), None);
        assert_eq!(rows[0], format!("7 order {} 1.5", 20_778_i64 * 86_400_000));
        // Units are shown as the log shows them; by its content it is Parquet, whatever its name.
        let plan = Document::from_yaml(
            "version: 1\nnamespace: shop\nunit: [{ header: id }]\nexposure: { key: a-key-of-the-tests }\n",
        )
        .unwrap();
        let plan = compile(&plan).unwrap();
        let columns = [("unit", units), ("time", times), ("metric", metrics), ("value", values)];
        let path = folder.parquet("units", &columns);
        let (_, rows) = folder.outcomes(&path, Some(&plan));
        assert!(
            rows.iter()
                .any(|row| *row == format!("{} order 1795219260000 1.5", plan.show_unit("7").unwrap())),
            "{rows:?}"
        );
        let again = folder.0.path().join("again.parquet");
        let shown = folder.0.path().join("to.parquet");
        let error = outcomes(&[shown], Some(&plan), true, &again, &mut |_, _| {}).unwrap_err();
        assert!(
            error.to_string().contains("to.parquet: its units are as exposures show them already"),
            "{error}"
        );
        // What is shown already is not shown again, and what is raw is.
        let raw = folder.0.path().join("raw.parquet");
        outcomes(&[path], None, true, &raw, &mut |_, _| {}).unwrap();
        assert_eq!([None, Some(&plan)].map(|plan| are_ready_outcomes(&raw, plan).unwrap()), [true, false]);
    }

    #[test]
    fn rows_of_parquet_that_cannot_be_used_are_counted() {
        let folder = Folder::new();
        let columns: [(&str, ArrayRef); 4] = [
            (
                "unit",
                Arc::new(StringArray::from(vec![
                    Some("7"),
                    None,
                    Some("c"),
                    Some("d"),
                    Some("e"),
                    Some("f"),
                    Some(" "),
                ])),
            ),
            (
                "time",
                Arc::new(Int64Array::from(vec![Some(5), Some(5), None, Some(5), Some(5), Some(5), Some(5)])),
            ),
            (
                "metric",
                Arc::new(StringArray::from(vec![
                    Some("m"),
                    Some("m"),
                    Some("m"),
                    None,
                    Some("m"),
                    Some("m"),
                    Some("m"),
                ])),
            ),
            (
                "value",
                Arc::new(Float64Array::from(vec![
                    Some(1.0),
                    Some(1.0),
                    Some(1.0),
                    Some(1.0),
                    None,
                    Some(f64::NAN),
                    Some(1.0),
                ])),
            ),
        ];
        let path = folder.parquet("theirs.parquet", &columns);
        let (lines, rows) = folder.outcomes(&path, None);
        assert_eq!((lines.lines, lines.records, lines.malformed, lines.without_unit), (7, 1, 5, 1));
        assert_eq!(rows, ["7 m 5 1.0"]);
        for (example, said) in lines.examples.iter().zip([
            ":2: `unit`: expected",
            ":3: `time`: expected",
            ":4: `metric`: ",
            ":5: `value`: ",
            ":6: expected a number, found NaN",
        ]) {
            assert!(example.contains(said), "{example}: {said}");
        }
        for (renamed, said) in [
            ("value", "no column `value`"),
            ("time", "no column `time`: expected unit, time (or time_ms), metric, value; found unit,"),
        ] {
            let columns =
                columns.clone().map(|(name, column)| (if name == renamed { "x" } else { name }, column));
            let error =
                are_ready_outcomes(&folder.parquet("x.parquet", &columns), None).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("x.parquet"), "{error}");
        }
        let wrong = columns
            .clone()
            .map(|(name, column)| (name, if name == "time" { columns[3].1.clone() } else { column }));
        let error = are_ready_outcomes(&folder.parquet("x.parquet", &wrong), None).unwrap_err().to_string();
        assert!(error.contains("column `time` has the type Float64: expected timestamps"), "{error}");
        assert_eq!(columns[0].1.as_string::<i32>().value(0), "7");
        let error = are_ready_exposures(&path, None).unwrap_err().to_string();
        assert!(error.contains("lacks the columns experiment (text), variant (text)"), "{error}");
        assert!(are_ready_outcomes(&folder.write("no.parquet", b"unit,time"), None).is_err());
    }

    #[test]
    fn exposures_of_others_have_every_value() {
        let folder = Folder::new();
        let texts = |value: Option<&str>| Arc::new(StringArray::from(vec![Some("a"), value])) as ArrayRef;
        let numbers = |value: i64| Arc::new(Int64Array::from(vec![1, value])) as ArrayRef;
        let columns = |unit: Option<&str>, duration: f64| -> Vec<(&str, ArrayRef)> {
            let mut columns = vec![("unit", texts(unit))];
            for name in ["experiment", "variant", "reason", "version", "segment"] {
                columns.push((name, texts(Some("b"))));
            }
            columns.extend([("time_ms", numbers(5)), ("bucket", numbers(7)), ("status", numbers(200))]);
            columns.push(("is_split", Arc::new(BooleanArray::from(vec![true, true]))));
            columns.push(("duration_ms", Arc::new(Float64Array::from(vec![None, Some(duration)]))));
            columns
        };
        assert!(are_ready_exposures(&folder.parquet("e.parquet", &columns(Some("b"), 2.0)), None).unwrap());
        let mut in_seconds = columns(Some("b"), 2.0);
        in_seconds[6].1 = numbers(1_795_219_200);
        for (columns, said) in [
            (columns(None, 2.0), "e.parquet: row 2 has no value that can be used as `unit`"),
            (columns(Some(""), 2.0), "e.parquet: row 2 has no value that can be used as `unit`"),
            (in_seconds, "e.parquet: row 2 has no value that can be used as `time_ms`"),
            (
                columns(Some("b"), f64::INFINITY),
                "e.parquet: row 2 has no value that can be used as `duration_ms`",
            ),
            (columns(Some("b"), 2.0)[..10].to_vec(), "lacks the columns duration_ms (number)"),
        ] {
            let error =
                are_ready_exposures(&folder.parquet("e.parquet", &columns), None).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    /// Packed, in several pieces as rotated logs are; with a byte order mark.
    #[test]
    fn packed_files_and_byte_order_marks_are_read() {
        let folder = Folder::new();
        let gzip = |text: &str| {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        let csv = "unit,time,metric,value\n7,2026-11-21T00:01:00Z,order,1.5\n";
        let more = "8,2026-11-21T00:01:01Z,order,2\n";
        let line = |unit: u8, time: &str, value: f64| {
            format!(
                "{{\"unit\":{unit},\"time\":\"2026-11-21T00:01:0{time}Z\",\"metric\":\"order\",\"value\":{value}}}\n"
            )
        };
        let lines = line(7, "0", 1.5) + &line(8, "1", 2.0);
        for (name, content) in [
            ("a.csv.gz", [gzip(csv), gzip(more)].concat()),
            ("a.ndjson.gz", gzip(&format!("\u{feff}{lines}"))),
            ("a.ndjson", format!("\u{feff}{lines}").into_bytes()),
            ("a.csv", format!("\u{feff}{csv}{more}").into_bytes()),
        ] {
            let (lines, rows) = folder.outcomes(&folder.write(name, &content), None);
            assert_eq!(
                (lines.lines, lines.malformed, &*rows),
                (2, 0, &EXPECTED.map(str::to_owned)[..]),
                "{name}: {lines:?}"
            );
        }
        let cut = gzip(&lines.repeat(100));
        let path = folder.write("cut.gz", &cut[..cut.len() - 12]);
        let error =
            outcomes(&[path], None, false, &folder.0.path().join("to.parquet"), &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("cut.gz"), "{error}");
    }
}
