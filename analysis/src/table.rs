//! Parquet of one form.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::Error;
use crate::ingest::{Exposure, Outcome};

/// Rows written at once.
const BATCH: usize = 65_536;

struct Writer {
    path: PathBuf,
    schema: Arc<Schema>,
    writer: ArrowWriter<File>,
}

impl Writer {
    fn create(path: &Path, fields: Vec<Field>) -> Result<Self, Error> {
        let schema = Arc::new(Schema::new(fields));
        let file = File::create(path).map_err(Error::file(path))?;
        let level = ZstdLevel::try_new(1).map_err(Error::content(path))?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let writer =
            ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(Error::content(path))?;
        Ok(Self { path: path.to_owned(), schema, writer })
    }

    fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), Error> {
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::content(&self.path))?;
        self.writer.write(&batch).map_err(Error::content(&self.path))
    }

    fn close(self) -> Result<(), Error> {
        self.writer.close().map(drop).map_err(Error::content(&self.path))
    }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

/// Exposures: unit, experiment, variant, time_ms, is_split, reason, version, bucket, status, duration_ms, segment.
pub(crate) struct ExposureTable {
    writer: Writer,
    texts: [StringBuilder; 6],
    time: Int64Builder,
    is_split: BooleanBuilder,
    numbers: [Int32Builder; 2],
    duration: Float64Builder,
    rows: usize,
}

impl ExposureTable {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let mut fields: Vec<Field> =
            ["unit", "experiment", "variant", "reason", "version", "segment"].into_iter().map(text).collect();
        fields.extend([
            Field::new("time_ms", DataType::Int64, false),
            Field::new("is_split", DataType::Boolean, false),
            Field::new("bucket", DataType::Int32, true),
            Field::new("status", DataType::Int32, true),
            Field::new("duration_ms", DataType::Float64, true),
        ]);
        Ok(Self {
            writer: Writer::create(path, fields)?,
            texts: std::array::from_fn(|_| StringBuilder::new()),
            time: Int64Builder::new(),
            is_split: BooleanBuilder::new(),
            numbers: std::array::from_fn(|_| Int32Builder::new()),
            duration: Float64Builder::new(),
            rows: 0,
        })
    }

    pub(crate) fn push(&mut self, exposure: &Exposure<'_>) -> Result<(), Error> {
        let e = exposure;
        let texts = [&e.unit, &e.experiment, &e.variant, &e.reason, &e.version, &e.segment];
        for (column, value) in self.texts.iter_mut().zip(texts) {
            column.append_value(value);
        }
        self.time.append_value(e.time_ms);
        self.is_split.append_value(e.reason == "split");
        self.numbers[0].append_option(e.bucket);
        self.numbers[1].append_option(e.status);
        self.duration.append_option(e.duration_ms);
        self.rows += 1;
        if self.rows == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(11);
        columns.extend(self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.time.finish()));
        columns.push(Arc::new(self.is_split.finish()));
        columns.extend(self.numbers.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.duration.finish()));
        self.rows = 0;
        self.writer.write(columns)
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        self.writer.close()
    }
}

/// Outcomes: unit, metric, time_ms, value.
pub(crate) struct OutcomeTable {
    writer: Writer,
    texts: [StringBuilder; 2],
    time: Int64Builder,
    value: Float64Builder,
    rows: usize,
}

impl OutcomeTable {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let fields = vec![
            text("unit"),
            text("metric"),
            Field::new("time_ms", DataType::Int64, false),
            Field::new("value", DataType::Float64, false),
        ];
        Ok(Self {
            writer: Writer::create(path, fields)?,
            texts: std::array::from_fn(|_| StringBuilder::new()),
            time: Int64Builder::new(),
            value: Float64Builder::new(),
            rows: 0,
        })
    }

    pub(crate) fn push(&mut self, outcome: &Outcome) -> Result<(), Error> {
        self.texts[0].append_value(&outcome.unit);
        self.texts[1].append_value(&outcome.metric);
        self.time.append_value(outcome.time_ms);
        self.value.append_value(outcome.value);
        self.rows += 1;
        if self.rows == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(4);
        columns.extend(self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.time.finish()));
        columns.push(Arc::new(self.value.finish()));
        self.rows = 0;
        self.writer.write(columns)
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        self.writer.close()
    }
}
