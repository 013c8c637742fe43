//! Runs the reduction here, or reads what another engine made of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::StreamExt as _;
use splitway_stats::Moments;

use crate::Error;
use crate::sql::{Dialect, Reduction};

/// What the engine may hold before it writes to disk. With what Parquet and this program need it stays below 4 GB.
const MEMORY: usize = 3 << 30;

/// One experiment, variant, segment and day of first exposure.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The experiment.
    pub experiment: String,
    /// The variant.
    pub variant: String,
    /// The segment; empty without.
    pub segment: String,
    /// Days since 1970.
    pub day: i64,
    /// Units that were in another variant, too.
    pub in_two: f64,
    /// Of the reduction's columns.
    pub moments: Moments,
}

/// Tables of exposures and outcomes, and the engine to ask them.
pub struct Tables {
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
}

impl Tables {
    /// Opens Parquet files; no outcomes is an empty table.
    ///
    /// # Errors
    /// Files that are not there, or not Parquet.
    pub fn open(exposures: &[PathBuf], outcomes: &[PathBuf], excluded: &[String]) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Error::file(Path::new("threads")))?;
        let environment =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(MEMORY))).build_arc()?;
        let context = SessionContext::new_with_config_rt(SessionConfig::new(), environment);
        let tables = Self { context, runtime };
        tables.register("exposures", exposures)?;
        if outcomes.is_empty() {
            tables.rows(
                "CREATE TABLE outcomes AS SELECT '' AS unit, '' AS metric, 0 AS time_ms, CAST(0 AS DOUBLE) AS value WHERE FALSE",
            )?;
        } else {
            tables.register("outcomes", outcomes)?;
        }
        if !excluded.is_empty() {
            let values: Vec<String> =
                excluded.iter().map(|unit| format!("('{}')", unit.replace('\'', "''"))).collect();
            tables.rows(&format!(
                "CREATE TABLE excluded AS SELECT column1 AS unit FROM (VALUES {})",
                values.join(",")
            ))?;
        }
        Ok(tables)
    }

    fn register(&self, name: &str, files: &[PathBuf]) -> Result<(), Error> {
        let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let table = self.runtime.block_on(self.context.read_parquet(paths, ParquetReadOptions::default()))?;
        self.context.register_table(name, table.into_view())?;
        Ok(())
    }

    /// Asks the tables, and keeps the answer; for small ones.
    pub(crate) fn rows(&self, sql: &str) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        self.each_row(sql, |names, row| {
            if rows.names.is_empty() {
                rows.names = names.to_vec();
            }
            rows.rows.push(row);
        })?;
        Ok(rows)
    }

    /// Asks the tables, and hands over row by row with the columns' names; every value as text, nulls as the
    /// empty one.
    pub(crate) fn each_row(
        &self,
        sql: &str,
        mut take: impl FnMut(&[String], Vec<String>),
    ) -> Result<(), Error> {
        self.runtime.block_on(async {
            let mut stream = self.context.sql(sql).await?.execute_stream().await?;
            let names: Vec<String> =
                stream.schema().fields().iter().map(|field| field.name().clone()).collect();
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                for row in 0..batch.num_rows() {
                    let value = |column: &ArrayRef| {
                        if column.is_null(row) {
                            Ok(String::new())
                        } else {
                            array_value_to_string(column, row)
                        }
                    };
                    let values: Result<Vec<String>, _> = batch.columns().iter().map(value).collect();
                    take(&names, values.map_err(|error| Error::Summary(error.to_string()))?);
                }
            }
            Ok(())
        })
    }

    /// The reduction.
    ///
    /// # Errors
    /// What the engine says, such as a column that a Parquet file lacks.
    pub fn reduce(&self, reduction: &Reduction) -> Result<Vec<Group>, Error> {
        groups(&self.rows(&reduction.sql(Dialect::DataFusion))?, reduction.columns.len())
    }
}

/// A small table of texts.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// Row by row, columns by position.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[String]> {
        self.rows.iter().map(Vec::as_slice)
    }
}

/// Reads the result of the printed query, as CSV with a header.
///
/// # Errors
/// A file that cannot be read, lacks columns of this reduction, or has no numbers where they should be.
pub fn summary(path: &Path, columns: usize) -> Result<Vec<Group>, Error> {
    let mut reader = csv::Reader::from_path(path).map_err(Error::content(path))?;
    let names = reader.headers().map_err(Error::content(path))?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        rows.push(record.map_err(Error::content(path))?.iter().map(str::to_owned).collect());
    }
    groups(&Rows { names, rows }, columns)
}

fn groups(table: &Rows, columns: usize) -> Result<Vec<Group>, Error> {
    if table.rows.is_empty() {
        return Ok(Vec::new());
    }
    let places: HashMap<String, usize> =
        table.names.iter().enumerate().map(|(i, name)| (name.trim().to_lowercase(), i)).collect();
    let place = |name: &str| {
        let missing =
            || Error::Summary(format!("expected a column `{name}`, found none: other metrics or windows?"));
        places.get(name).copied().ok_or_else(missing)
    };
    let texts = [place("experiment")?, place("variant")?, place("segment")?];
    let [day, units, in_two] = [place("day")?, place("units")?, place("in_two")?];
    let sums: Vec<usize> = (0..columns).map(|i| place(&format!("s_{i}"))).collect::<Result<_, _>>()?;
    let mut products = Vec::with_capacity(columns * columns);
    for i in 0..columns {
        for j in 0..columns {
            products.push(place(&format!("p_{}_{}", i.min(j), i.max(j)))?);
        }
    }
    let group = |row: &Vec<String>| {
        let text = |at: usize| row.get(at).map_or("", String::as_str);
        let number = |at: usize| {
            text(at).trim().parse::<f64>().map_err(|_| Error::Summary(format!("no number: `{}`", text(at))))
        };
        let all = |places: &[usize]| places.iter().map(|at| number(*at)).collect::<Result<Vec<_>, _>>();
        let moments = Moments::from_sums(number(units)?, &all(&sums)?, &all(&products)?);
        Ok(Group {
            experiment: text(texts[0]).to_owned(),
            variant: text(texts[1]).to_owned(),
            segment: text(texts[2]).to_owned(),
            day: number(day)? as i64,
            in_two: number(in_two)?,
            moments: moments.map_err(|error| Error::Summary(error.to_string()))?,
        })
    };
    table.rows.iter().map(group).collect()
}
