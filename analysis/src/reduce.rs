//! Runs the reduction here, or reads what another engine made of it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringViewArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext, col, lit};
use futures::StreamExt as _;
use splitway_stats::{Moments, Sums};

use crate::Error;
use crate::sql::{self, Dialect, Reduction, Step};

/// What the engine may hold before it writes to disk. With the tables of a part's units it stays below 4 GB.
const MEMORY: usize = 2 << 30;

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
    /// Units whose window was not over at the last outcome.
    pub in_progress: f64,
    /// Outcomes of these units, whenever.
    pub outcomes: f64,
    /// Outcomes that count: after the first exposure, inside the window.
    pub inside: f64,
    /// Of the reduction's columns.
    pub moments: Moments,
}

/// Rows of both tables that are reduced at once. Their units are in memory; a billion rows in parts of this many need no
/// more than one of them.
const ROWS: u64 = 8_000_000;

/// Most parts whose units stay in memory between finding percentiles and adding up. With more parts, the units are
/// computed twice.
const MOST_KEPT: usize = 3;

/// Tables of exposures and outcomes, and the engine to ask them.
pub struct Tables {
    /// All units.
    all: SessionContext,
    /// The same tables with a part of the units each; a single one is all.
    parts: Vec<SessionContext>,
    /// Time of the last outcome; of the last exposure without any.
    last_ms: i64,
    /// Exposures of versions of the config that were not asked for.
    foreign: u64,
    runtime: tokio::runtime::Runtime,
}

/// Outcomes that no experiment can have caused, because their units are not in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Unexposed {
    /// Outcomes of units that no exposure shows.
    pub outcomes: u64,
    /// Units that have such outcomes.
    pub units: u64,
}

impl Tables {
    /// Opens Parquet files; no outcomes is an empty table.
    ///
    /// # Errors
    /// Files that are not there, or not Parquet.
    pub fn open(exposures: &[PathBuf], outcomes: &[PathBuf], excluded: &[String]) -> Result<Self, Error> {
        Self::open_in_parts(exposures, outcomes, excluded, ROWS)
    }

    /// As [`Self::open`], of exposures of these versions of the config; [`Self::foreign`] counts the others.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_versions(
        exposures: &[PathBuf],
        outcomes: &[PathBuf],
        excluded: &[String],
        versions: &[&str],
    ) -> Result<Self, Error> {
        Self::open_some(exposures, outcomes, excluded, Some(versions), ROWS)
    }

    /// Exposures that were left out for their version.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// As [`Self::open`], with at most about `rows` of both tables looked at together.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in_parts(
        exposures: &[PathBuf],
        outcomes: &[PathBuf],
        excluded: &[String],
        rows: u64,
    ) -> Result<Self, Error> {
        Self::open_some(exposures, outcomes, excluded, None, rows)
    }

    fn open_some(
        exposures: &[PathBuf],
        outcomes: &[PathBuf],
        excluded: &[String],
        versions: Option<&[&str]>,
        rows: u64,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Error::file(Path::new("threads")))?;
        let environment =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(MEMORY))).build_arc()?;
        let context = |runtime: &tokio::runtime::Runtime, part: Option<(u64, u64)>| {
            let context = SessionContext::new_with_config_rt(SessionConfig::new(), environment.clone());
            context.register_udf(unit_key());
            runtime.block_on(tables(&context, exposures, outcomes, excluded, versions, part))?;
            Ok::<_, Error>(context)
        };
        let mut tables =
            Self { all: context(&runtime, None)?, parts: Vec::new(), last_ms: 0, foreign: 0, runtime };
        if let Some(versions) = versions {
            tables.foreign = tables.runtime.block_on(async {
                let others = of_versions(read(&tables.all, exposures).await?, versions, true)?;
                Ok::<_, Error>(others.count().await? as u64)
            })?;
        }
        let count =
            tables.rows("SELECT (SELECT COUNT(*) FROM exposures) + (SELECT COUNT(*) FROM outcomes)")?;
        let last = tables.rows(
            "SELECT COALESCE((SELECT MAX(time_ms) FROM outcomes), (SELECT MAX(time_ms) FROM exposures))",
        )?;
        tables.last_ms = last.iter().next().and_then(|row| row.first()?.parse().ok()).unwrap_or_default();
        let count: u64 = count.iter().next().and_then(|row| row.first()?.parse().ok()).unwrap_or_default();
        let parts = count.div_ceil(rows.max(1)).max(1);
        tables.parts = match parts {
            1 => vec![tables.all.clone()],
            _ => (0..parts)
                .map(|part| context(&tables.runtime, Some((part, parts))))
                .collect::<Result<_, _>>()?,
        };
        Ok(tables)
    }

    /// To be asked one after the other, where the question is about units.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &SessionContext> {
        self.parts.iter()
    }

    /// Asks the whole tables, and keeps the answer; for small ones.
    pub(crate) fn rows(&self, sql: &str) -> Result<Rows, Error> {
        self.rows_of(&self.all, sql)
    }

    /// Asks a part.
    pub(crate) fn rows_of(&self, part: &SessionContext, sql: &str) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        self.each_batch(part, sql, |batch| {
            rows.names = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
            for row in 0..batch.num_rows() {
                let value = |column: &ArrayRef| {
                    if column.is_null(row) { Ok(String::new()) } else { array_value_to_string(column, row) }
                };
                let values: Result<_, ArrowError> = batch.columns().iter().map(value).collect();
                rows.rows.push(values.map_err(DataFusionError::from)?);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Asks a part, and hands over the answer as it comes.
    pub(crate) fn each_batch(
        &self,
        part: &SessionContext,
        sql: &str,
        mut take: impl FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.runtime.block_on(async {
            let mut stream = part.sql(sql).await?.execute_stream().await?;
            while let Some(batch) = stream.next().await {
                take(&batch?)?;
            }
            Ok(())
        })
    }

    /// Makes tables of the query's steps in a part, until [`Self::forget`]. `units`, `entered` and `wide` are kept in memory,
    /// because the engine would make them anew wherever they are read; each only until the last step that needs it.
    pub(crate) fn make(&self, part: &SessionContext, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            self.runtime.block_on(async {
                let table = part.sql(&step.sql).await?;
                let is_kept = matches!(step.name.as_str(), "units" | "first_seen" | "entered" | "wide");
                let table = if is_kept { table.cache().await? } else { table };
                part.register_table(step.name.as_str(), table.into_view())
            })?;
            let over: &[&str] = match step.name.as_str() {
                "entered" => &["units"],
                "wide" => &["kept", "first_seen", "entered", "sums"],
                _ => &[],
            };
            over.iter().try_for_each(|name| part.deregister_table(*name).map(drop))?;
        }
        Ok(())
    }

    /// The end of [`Self::make`].
    pub(crate) fn forget(&self, part: &SessionContext, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            part.deregister_table(step.name.as_str())?;
        }
        Ok(())
    }

    /// All parts must look at the end of the whole.
    pub(crate) fn bounded(&self, reduction: &Reduction) -> Reduction {
        Reduction { last_ms: Some(self.last_ms), ..reduction.clone() }
    }

    /// How many outcomes there are of each name.
    ///
    /// # Errors
    /// What the engine says.
    pub fn outcomes(&self) -> Result<BTreeMap<String, u64>, Error> {
        let rows = self.rows("SELECT metric, COUNT(*) FROM outcomes GROUP BY 1")?;
        Ok(rows.iter().map(|row| (row[0].clone(), row[1].parse().unwrap_or_default())).collect())
    }

    /// Outcomes of units that no exposure shows.
    ///
    /// # Errors
    /// What the engine says.
    pub fn unexposed(&self) -> Result<Unexposed, Error> {
        let sql = "SELECT COUNT(*), COUNT(DISTINCT o.unit) FROM outcomes o LEFT ANTI JOIN exposures e ON o.unit = e.unit";
        let mut found = Unexposed::default();
        for part in self.parts() {
            for row in self.rows_of(part, sql)?.iter() {
                let [outcomes, units] = row else { continue };
                found.outcomes += outcomes.parse::<u64>().unwrap_or_default();
                found.units += units.parse::<u64>().unwrap_or_default();
            }
        }
        Ok(found)
    }

    /// The reduction.
    ///
    /// # Errors
    /// What the engine says, such as a column that a Parquet file lacks.
    pub fn reduce(&self, reduction: &Reduction) -> Result<Vec<Group>, Error> {
        let reduction = &self.bounded(reduction);
        let (mut steps, last) = (reduction.steps(Dialect::DataFusion), reduction.last(Dialect::DataFusion));
        let mut all: BTreeMap<(String, String, String, i64), Group> = BTreeMap::new();
        // Percentiles are of all parts together.
        let is_wide = self.parts.len() > 1 && reduction.percentiles().next().is_some();
        let is_kept = is_wide && self.parts.len() <= MOST_KEPT;
        if is_wide {
            let head = steps.iter().position(|step| step.name == "wide").map_or(0, |at| at + 1);
            let mut rest = steps.split_off(head);
            self.cut(reduction, &steps, &mut rest, is_kept)?;
            if is_kept { steps = rest } else { steps.extend(rest) }
        }
        for part in &self.parts {
            self.make(part, &steps)?;
            let rows = self.rows_of(part, &last)?;
            self.forget(part, &steps)?;
            if is_kept {
                part.deregister_table("wide")?;
            }
            for group in groups(&rows, reduction)? {
                let key = (group.experiment.clone(), group.variant.clone(), group.segment.clone(), group.day);
                match all.entry(key) {
                    Entry::Vacant(place) => drop(place.insert(group)),
                    Entry::Occupied(mut place) => {
                        let known = place.get_mut();
                        known.in_two += group.in_two;
                        known.in_progress += group.in_progress;
                        known.outcomes += group.outcomes;
                        known.inside += group.inside;
                        known
                            .moments
                            .merge(&group.moments)
                            .map_err(|error| Error::Summary(error.to_string()))?;
                    }
                }
            }
        }
        Ok(all.into_values().collect())
    }
}

impl Tables {
    /// Finds the percentiles at which columns are cut off over all parts, and puts them in place of the steps that find them
    /// in one. `head` makes the units; with `is_kept` they stay.
    fn cut(
        &self,
        reduction: &Reduction,
        head: &[Step],
        rest: &mut [Step],
        is_kept: bool,
    ) -> Result<(), Error> {
        let columns: Vec<(usize, u64)> = reduction.percentiles().collect();
        // By column and experiment: numbers, as bits, and how many units have each.
        let mut counted: BTreeMap<(usize, String), HashMap<u64, u64>> = BTreeMap::new();
        for part in &self.parts {
            self.make(part, head)?;
            for (column, _) in &columns {
                self.each_batch(part, &sql::counted(*column), |batch| {
                    let experiments = texts(batch.column(0))?;
                    let values = batch.column(1).as_primitive::<Float64Type>();
                    let counts = batch.column(2).as_primitive::<Int64Type>();
                    for row in 0..batch.num_rows() {
                        let key = (*column, experiments.value(row).to_owned());
                        let count = counted.entry(key).or_default().entry(values.value(row).to_bits());
                        *count.or_default() += counts.value(row) as u64;
                    }
                    Ok(())
                })?;
            }
            if !is_kept {
                self.forget(part, head)?;
            }
        }
        for (column, per) in columns {
            let rows =
                counted.iter().filter(|((of, _), _)| *of == column).map(|((_, experiment), counts)| {
                    let at = |per: u64| format!("CAST('{}' AS DOUBLE)", cut_at(counts, per));
                    let experiment = Dialect::DataFusion.text(experiment);
                    format!("({experiment}, {}, {})", at(per), at(sql::OF.saturating_sub(per)))
                });
            let rows: Vec<String> = rows.collect();
            if let Some(step) = rest.iter_mut().find(|step| step.name == sql::cut(column))
                && !rows.is_empty()
            {
                step.sql = format!(
                    "SELECT column1 AS experiment, column2 AS high, column3 AS low FROM (VALUES {})",
                    rows.join(", ")
                );
            }
        }
        Ok(())
    }
}

/// The smallest number that at least `per` of 100,000 units do not exceed.
fn cut_at(counts: &HashMap<u64, u64>, per: u64) -> f64 {
    let mut sorted: Vec<(f64, u64)> =
        counts.iter().map(|(bits, count)| (f64::from_bits(*bits), *count)).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let all: u128 = sorted.iter().map(|(_, count)| u128::from(*count)).sum();
    let mut upto = 0;
    for (value, count) in sorted {
        upto += u128::from(count);
        if upto * u128::from(sql::OF) >= all * u128::from(per) {
            return value;
        }
    }
    0.0
}

/// Puts the tables into a context; of a part `(which, of how many)` only the units that belong to it.
async fn tables(
    context: &SessionContext,
    exposures: &[PathBuf],
    outcomes: &[PathBuf],
    excluded: &[String],
    versions: Option<&[&str]>,
    part: Option<(u64, u64)>,
) -> Result<(), Error> {
    for (name, files) in [("exposures", exposures), ("outcomes", outcomes)] {
        let mut table = if files.is_empty() {
            let none =
                "SELECT '' AS unit, '' AS metric, 0 AS time_ms, CAST(0 AS DOUBLE) AS value WHERE FALSE";
            context.sql(none).await?
        } else {
            read(context, files).await?
        };
        if let Some(versions) = versions.filter(|_| name == "exposures") {
            table = of_versions(table, versions, false)?;
        }
        if let Some((which, of)) = part {
            let key = unit_key().call(vec![col("unit")]);
            table = table.filter((key % lit(of as i64)).eq(lit(which as i64)))?;
        }
        context.register_table(name, table.into_view())?;
    }
    if !excluded.is_empty() {
        let values: Vec<String> =
            excluded.iter().map(|unit| format!("('{}')", unit.replace('\'', "''"))).collect();
        let rows = format!("SELECT column1 AS unit FROM (VALUES {})", values.join(","));
        context.register_table("excluded", context.sql(&rows).await?.into_view())?;
    }
    Ok(())
}

async fn read(context: &SessionContext, files: &[PathBuf]) -> Result<DataFrame, Error> {
    let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    Ok(context.read_parquet(paths, ParquetReadOptions::default()).await?)
}

/// The rows of these versions, or those of all others.
fn of_versions(table: DataFrame, versions: &[&str], are_others: bool) -> Result<DataFrame, Error> {
    let versions = versions.iter().map(|version| lit(*version)).collect();
    Ok(table.filter(col("version").in_list(versions, are_others))?)
}

/// The function `unit_key`: a number of 63 bits for a unit's text, the same in every run.
fn unit_key() -> ScalarUDF {
    let key = |arguments: &[ColumnarValue]| {
        let units = ColumnarValue::values_to_arrays(arguments)?;
        let units = units[0].as_string_view();
        let key = |unit: &str| {
            let mut hasher = DefaultHasher::new();
            unit.hash(&mut hasher);
            (hasher.finish() >> 1) as i64
        };
        let keys: Int64Array = units.iter().map(|unit| unit.map(key)).collect();
        Ok(ColumnarValue::Array(Arc::new(keys)))
    };
    create_udf("unit_key", vec![DataType::Utf8View], DataType::Int64, Volatility::Immutable, Arc::new(key))
}

/// A column of texts, however the engine keeps them.
pub(crate) fn texts(column: &ArrayRef) -> Result<StringViewArray, Error> {
    let texts = cast(column, &DataType::Utf8View).map_err(DataFusionError::from)?;
    Ok(texts.as_string_view().clone())
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
/// A file that cannot be read, is another reduction's, or has no numbers where they should be.
pub fn summary(path: &Path, reduction: &Reduction) -> Result<Vec<Group>, Error> {
    let mut reader = csv::Reader::from_path(path).map_err(Error::content(path))?;
    let names = reader.headers().map_err(Error::content(path))?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        rows.push(record.map_err(Error::content(path))?.iter().map(str::to_owned).collect());
    }
    if rows.is_empty() {
        return Err(Error::Summary(format!("{}: no rows", path.display())));
    }
    let groups = groups(&Rows { names, rows }, reduction)?;
    let mut seen = BTreeSet::new();
    for group in &groups {
        if !seen.insert((&group.experiment, &group.variant, &group.segment, group.day)) {
            let (experiment, variant, day) = (&group.experiment, &group.variant, group.day);
            return Err(Error::Summary(format!("{experiment}, {variant}, day {day} is there twice")));
        }
    }
    Ok(groups)
}

fn groups(table: &Rows, reduction: &Reduction) -> Result<Vec<Group>, Error> {
    let columns = reduction.columns.len();
    if table.rows.is_empty() {
        return Ok(Vec::new());
    }
    let places: HashMap<String, usize> =
        table.names.iter().enumerate().map(|(i, name)| (name.trim().to_lowercase(), i)).collect();
    let place = |name: &str| {
        let missing = || {
            Error::Summary(format!(
                "expected a column `{name}`, found none: not the result of the query that --dialect prints"
            ))
        };
        places.get(name).copied().ok_or_else(missing)
    };
    let (named, name) = (place("reduction")?, reduction.name());
    if let Some(other) = table.rows.iter().filter_map(|row| row.get(named)).find(|other| **other != name) {
        return Err(Error::Summary(format!(
            "expected the result of the query {name}, found that of {other}: print it again with these metrics, \
             windows and exclusions"
        )));
    }
    let texts = [place("experiment")?, place("variant")?, place("segment")?];
    let [day, units, in_two] = [place("day")?, place("units")?, place("in_two")?];
    let [in_progress, outcomes, inside] = [place("in_progress")?, place("outcomes")?, place("inside")?];
    let sums: Vec<usize> = (0..columns).map(|i| place(&format!("s_{i}"))).collect::<Result<_, _>>()?;
    let centres: Vec<usize> = (0..columns).map(|i| place(&format!("m_{i}"))).collect::<Result<_, _>>()?;
    let mut products = Vec::with_capacity(columns * columns);
    for i in 0..columns {
        for j in 0..columns {
            products.push(place(&format!("q_{}_{}", i.min(j), i.max(j)))?);
        }
    }
    let third = |triple: &[usize; 3]| {
        let [i, j, k] = triple;
        Ok((*triple, place(&format!("t_{i}_{j}_{k}"))?))
    };
    let thirds: Vec<([usize; 3], usize)> =
        reduction.columns.triples().iter().map(third).collect::<Result<_, Error>>()?;
    let group = |row: &Vec<String>| {
        let text = |at: usize| row.get(at).map_or("", String::as_str);
        let number = |at: usize| {
            text(at).trim().parse::<f64>().map_err(|_| Error::Summary(format!("no number: `{}`", text(at))))
        };
        let all = |places: &[usize]| places.iter().map(|at| number(*at)).collect::<Result<Vec<_>, _>>();
        let thirds = thirds.iter().map(|(triple, at)| Ok((*triple, number(*at)?)));
        let moments = Moments::from_centred(&Sums {
            count: number(units)?,
            centres: all(&centres)?,
            sums: all(&sums)?,
            products: all(&products)?,
            thirds: thirds.collect::<Result<_, Error>>()?,
        });
        Ok(Group {
            experiment: text(texts[0]).to_owned(),
            variant: text(texts[1]).to_owned(),
            segment: text(texts[2]).to_owned(),
            day: number(day)? as i64,
            in_two: number(in_two)?,
            in_progress: number(in_progress)?,
            outcomes: number(outcomes)?,
            inside: number(inside)?,
            moments: moments.map_err(|error| Error::Summary(error.to_string()))?,
        })
    };
    table.rows.iter().map(group).collect()
}
