//! Parquet of one form.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::Error;
use crate::ingest::{Exposure, Outcome};

/// Columns that are filled row by row.
pub(crate) trait Columns: Default {
    /// Their names and types.
    fn fields() -> Vec<Field>;
    /// All rows.
    fn finish(self) -> Vec<ArrayRef>;
}

/// A Parquet file, written by row groups.
pub(crate) struct Writer {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
}

/// Makes row groups of a file; any thread may.
pub(crate) struct Encoder {
    path: PathBuf,
    schema: Arc<Schema>,
    factory: ArrowRowGroupWriterFactory,
}

/// As it will stand in the file.
pub(crate) struct RowGroup(Vec<ArrowColumnChunk>);

impl Writer {
    pub(crate) fn create<C: Columns>(path: &Path) -> Result<(Self, Encoder), Error> {
        let schema = Arc::new(Schema::new(C::fields()));
        let file = File::create(path).map_err(Error::file(path))?;
        let open = || {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .build();
            ArrowWriter::try_new(file, schema.clone(), Some(properties))?.into_serialized_writer()
        };
        let (writer, factory) = open().map_err(Error::content(path))?;
        Ok((Self { path: path.to_owned(), writer }, Encoder { path: path.to_owned(), schema, factory }))
    }

    /// A word about the file, kept in it.
    pub(crate) fn note(&mut self, key: &str, value: &str) {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value.to_owned()));
    }

    pub(crate) fn append(&mut self, group: RowGroup) -> Result<(), Error> {
        let append = || -> Result<(), ParquetError> {
            let mut writer = self.writer.next_row_group()?;
            for column in group.0 {
                column.append_to_row_group(&mut writer)?;
            }
            writer.close().map(drop)
        };
        append().map_err(Error::content(&self.path))
    }

    pub(crate) fn close(self) -> Result<(), Error> {
        self.writer.close().map(drop).map_err(Error::content(&self.path))
    }
}

impl Encoder {
    /// `None` without rows.
    pub(crate) fn encode(&self, columns: impl Columns) -> Result<Option<RowGroup>, Error> {
        let columns = columns.finish();
        if columns.first().is_none_or(|column| column.is_empty()) {
            return Ok(None);
        }
        let encode = || -> Result<RowGroup, ParquetError> {
            let mut writers = self.factory.create_column_writers(0)?.into_iter();
            let mut chunks = Vec::with_capacity(columns.len());
            for (field, column) in self.schema.fields().iter().zip(&columns) {
                for leaf in compute_leaves(field, column)? {
                    let writer =
                        writers.next().ok_or_else(|| ParquetError::General("a column more".to_owned()));
                    let mut writer = writer?;
                    writer.write(&leaf)?;
                    chunks.push(writer.close()?);
                }
            }
            Ok(RowGroup(chunks))
        };
        encode().map(Some).map_err(Error::content(&self.path))
    }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

/// Exposures: unit, experiment, variant, reason, version, segment, time_ms, is_split, bucket, status, duration_ms.
#[derive(Default)]
pub(crate) struct ExposureColumns {
    texts: [StringBuilder; 6],
    time: Int64Builder,
    is_split: BooleanBuilder,
    numbers: [Int32Builder; 2],
    duration: Float64Builder,
}

impl ExposureColumns {
    pub(crate) fn push(&mut self, exposure: &Exposure<'_>) {
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
    }
}

impl Columns for ExposureColumns {
    fn fields() -> Vec<Field> {
        let texts = ["unit", "experiment", "variant", "reason", "version", "segment"];
        let mut fields: Vec<Field> = texts.into_iter().map(text).collect();
        fields.extend([
            Field::new("time_ms", DataType::Int64, false),
            Field::new("is_split", DataType::Boolean, false),
            Field::new("bucket", DataType::Int32, true),
            Field::new("status", DataType::Int32, true),
            Field::new("duration_ms", DataType::Float64, true),
        ]);
        fields
    }

    fn finish(mut self) -> Vec<ArrayRef> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(11);
        columns.extend(self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.time.finish()));
        columns.push(Arc::new(self.is_split.finish()));
        columns.extend(self.numbers.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.duration.finish()));
        columns
    }
}

/// Outcomes: unit, metric, time_ms, value.
#[derive(Default)]
pub(crate) struct OutcomeColumns {
    texts: [StringBuilder; 2],
    time: Int64Builder,
    value: Float64Builder,
}

impl OutcomeColumns {
    pub(crate) fn push(&mut self, outcome: &Outcome<'_>) {
        self.texts[0].append_value(&outcome.unit);
        self.texts[1].append_value(&outcome.metric);
        self.time.append_value(outcome.time_ms);
        self.value.append_value(outcome.value);
    }
}

impl Columns for OutcomeColumns {
    fn fields() -> Vec<Field> {
        vec![
            text("unit"),
            text("metric"),
            Field::new("time_ms", DataType::Int64, false),
            Field::new("value", DataType::Float64, false),
        ]
    }

    fn finish(mut self) -> Vec<ArrayRef> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(4);
        columns.extend(self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.time.finish()));
        columns.push(Arc::new(self.value.finish()));
        columns
    }
}
