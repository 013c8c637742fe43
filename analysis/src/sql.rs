//! The reduction to sufficient statistics, as SQL: the same text for every engine but for names of types and a few
//! functions.
//!
//! It reads two tables of the form that `splitway compact` writes:
//! `exposures(unit, experiment, variant, time_ms, is_split, status, duration_ms, segment)` and
//! `outcomes(unit, metric, time_ms, value)`. Each row that comes out is one experiment, variant, segment and day of
//! first exposure: `units`, `in_two` (of which in two variants), `in_progress` (of which the window is not over), `outcomes`
//! of these units and those `inside` the window, `s_I` (sum of column I) and `p_I_J` (sum of the product of columns I and J).
//! `reduction` names the query.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::metric::{Columns, How, Period, Term};

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The embedded engine.
    DataFusion,
    /// `DuckDB`.
    DuckDb,
    /// `ClickHouse`.
    ClickHouse,
    /// Apache Spark.
    Spark,
    /// Trino.
    Trino,
    /// `BigQuery`.
    BigQuery,
    /// `PostgreSQL`.
    Postgres,
}

impl Dialect {
    /// Every one, with its name.
    pub const ALL: [(&str, Self); 7] = [
        ("datafusion", Self::DataFusion),
        ("duckdb", Self::DuckDb),
        ("clickhouse", Self::ClickHouse),
        ("spark", Self::Spark),
        ("trino", Self::Trino),
        ("bigquery", Self::BigQuery),
        ("postgres", Self::Postgres),
    ];

    fn double(self) -> &'static str {
        match self {
            Self::ClickHouse => "Float64",
            Self::BigQuery => "FLOAT64",
            Self::Postgres => "DOUBLE PRECISION",
            _ => "DOUBLE",
        }
    }

    fn integer(self) -> &'static str {
        match self {
            Self::ClickHouse => "Int64",
            Self::BigQuery => "INT64",
            _ => "BIGINT",
        }
    }

    /// A text as it is written.
    pub(crate) fn text(self, text: &str) -> String {
        let escaped = match self {
            // A backslash escapes there.
            Self::ClickHouse | Self::Spark | Self::BigQuery => text.replace('\\', r"\\").replace('\'', r"\'"),
            _ => text.replace('\'', "''"),
        };
        format!("'{escaped}'")
    }
}

/// What is reduced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reduction {
    /// What is summed.
    pub columns: Columns,
    /// Outcomes count this long after the first exposure; `None`: for ever.
    pub window_ms: Option<i64>,
    /// Outcomes this long before it are covariates.
    pub before_ms: i64,
    /// Units with more exposures in an experiment are taken for bots and left out.
    pub most_exposures: Option<u64>,
    /// A table `excluded(unit)` names units that are left out.
    pub has_excluded: bool,
    /// Units whose window is not over at the last outcome are left out.
    pub is_complete: bool,
    /// Time of the last outcome, where it is known; else the query looks.
    pub last_ms: Option<i64>,
}

/// A part of the query.
pub(crate) struct Step {
    /// Its name, for the parts after it.
    pub(crate) name: &'static str,
    about: &'static str,
    pub(crate) sql: String,
}

impl Reduction {
    /// The query.
    #[must_use]
    pub fn sql(&self, dialect: Dialect) -> String {
        let steps = self.steps(dialect);
        let steps: Vec<String> =
            steps.iter().map(|step| format!("{} AS ({}\n  {}\n)", step.name, step.about, step.sql)).collect();
        format!("WITH {}\n{}", steps.join(", "), self.last(dialect))
    }

    /// Names what is asked, whoever is: a summary of another query must not be taken for this one's.
    #[must_use]
    pub fn name(&self) -> String {
        let steps = Self { last_ms: None, ..self.clone() }.steps(Dialect::DuckDb);
        let text: Vec<String> = steps.into_iter().map(|step| step.sql).chain([self.sums()]).collect();
        let hash = Sha256::digest(text.join("\n").as_bytes());
        // A letter first: tools that guess types leave it a text.
        hash.iter().take(8).fold("r".to_owned(), |name, byte| name + &format!("{byte:02x}"))
    }

    /// The query's parts, each of which may read those before it.
    pub(crate) fn steps(&self, dialect: Dialect) -> Vec<Step> {
        let mut steps = self.entered(dialect);
        let (sums, wide) = self.columns(dialect);
        steps.extend(sums.map(|sql| Step { name: "sums", about: "", sql }));
        steps.push(Step { name: "wide", about: "", sql: wide });
        steps
    }

    /// Those up to `kept` (exposures that count) and `entered` (units with their first one).
    pub(crate) fn entered(&self, dialect: Dialect) -> Vec<Step> {
        let (integer, double) = (dialect.integer(), dialect.double());
        let excluded = if self.has_excluded { " AND unit NOT IN (SELECT unit FROM excluded)" } else { "" };
        let bots = self.most_exposures.map_or(String::new(), |most| format!("\n  HAVING COUNT(*) <= {most}"));
        let kept = Step {
            name: "kept",
            about: "",
            sql: format!(
                "SELECT unit, experiment, variant, time_ms, segment, status, duration_ms
  FROM exposures WHERE is_split AND unit <> ''{excluded}"
            ),
        };
        let units = Step {
            name: "units",
            about: " -- first exposure per unit and experiment",
            sql: format!(
                "SELECT experiment, unit, MIN(time_ms) AS first_ms, MIN(variant) AS low_variant, MAX(variant) AS high_variant,
    MIN(segment) AS low_segment, MAX(segment) AS high_segment, COUNT(status) AS answered,
    SUM(CASE WHEN status >= 500 THEN 1 ELSE 0 END) AS errors, COUNT(duration_ms) AS timed,
    SUM(COALESCE(duration_ms, 0)) AS total_ms
  FROM kept GROUP BY experiment, unit{bots}"
            ),
        };
        let first = Step {
            name: "first_seen",
            about: " -- units in two variants or segments belong to the first ones they saw",
            sql: "SELECT k.experiment AS experiment, k.unit AS unit, MIN(k.variant) AS variant, MIN(k.segment) AS segment
  FROM kept k JOIN units u ON k.experiment = u.experiment AND k.unit = u.unit AND k.time_ms = u.first_ms
  WHERE u.low_variant <> u.high_variant OR u.low_segment <> u.high_segment GROUP BY k.experiment, k.unit"
                .to_owned(),
        };
        let (open, ends, complete) = match self.window_ms {
            Some(window) => {
                let open = format!("u.first_ms + {window} > t.last_ms");
                let complete =
                    if self.is_complete { format!("\n  WHERE NOT ({open})") } else { String::new() };
                let last = self.last_ms.map_or_else(
                    || "SELECT MAX(time_ms) AS last_ms FROM outcomes".to_owned(),
                    |last| format!("SELECT {last} AS last_ms"),
                );
                let ends = format!("\n  CROSS JOIN ({last}) t");
                (format!("CASE WHEN {open} THEN 1 ELSE 0 END"), ends, complete)
            }
            None => ("0".to_owned(), String::new(), String::new()),
        };
        let entered = Step {
            name: "entered",
            about: "",
            sql: format!(
                "SELECT u.experiment AS experiment, u.unit AS unit, u.first_ms AS first_ms,
    COALESCE(f.variant, u.low_variant) AS variant, COALESCE(f.segment, u.low_segment) AS segment,
    CASE WHEN u.low_variant <> u.high_variant THEN 1 ELSE 0 END AS in_two, {open} AS in_progress,
    CAST(FLOOR(CAST(u.first_ms AS {double}) / 86400000) AS {integer}) AS day,
    u.answered AS answered, u.errors AS errors, u.timed AS timed, u.total_ms AS duration_ms
  FROM units u LEFT JOIN first_seen f ON u.experiment = f.experiment AND u.unit = f.unit{ends}{complete}"
            ),
        };
        vec![kept, units, first, entered]
    }

    /// The outcomes' sums per unit, if any are asked for; and all columns.
    fn columns(&self, dialect: Dialect) -> (Option<String>, String) {
        let double = dialect.double();
        let own: Vec<(usize, &(Term, Period))> =
            self.columns.iter().enumerate().filter(|(_, (term, _))| !term.is_built_in()).collect();
        let mut sums = None;
        if !own.is_empty() {
            let mut sql = format!(
                "SELECT e.experiment AS experiment, e.unit AS unit, COUNT(*) AS outcomes,
    SUM(CASE WHEN {} THEN 1 ELSE 0 END) AS inside",
                self.during(Period::After)
            );
            for (i, (term, period)) in &own {
                let _ = write!(sql, ",\n    {} AS c{i}", self.aggregate(term, *period, dialect));
            }
            sql.push_str(
                "\n  FROM entered e JOIN outcomes o ON o.unit = e.unit GROUP BY e.experiment, e.unit",
            );
            sums = Some(sql);
        }
        let mut wide =
            "SELECT e.experiment AS experiment, e.variant AS variant, e.segment AS segment, e.day AS day,
    e.in_two AS in_two, e.in_progress AS in_progress"
                .to_owned();
        wide.push_str(match sums {
            Some(_) => ", COALESCE(s.outcomes, 0) AS outcomes, COALESCE(s.inside, 0) AS inside",
            None => ", 0 AS outcomes, 0 AS inside",
        });
        for (i, (term, _)) in self.columns.iter().enumerate() {
            let value = match term.outcome.as_str() {
                name if name.starts_with('@') => name.replacen('@', "e.", 1),
                _ => format!("COALESCE(s.c{i}, 0)"),
            };
            let _ = write!(wide, ",\n    CAST({value} AS {double}) AS c{i}");
        }
        wide.push_str("\n  FROM entered e");
        if sums.is_some() {
            wide.push_str(" LEFT JOIN sums s ON s.experiment = e.experiment AND s.unit = e.unit");
        }
        (sums, wide)
    }

    /// What comes out.
    pub(crate) fn last(&self, dialect: Dialect) -> String {
        let mut sql = format!(
            "SELECT {} AS reduction, experiment, variant, segment, day, {}",
            dialect.text(&self.name()),
            self.sums()
        );
        sql.push_str("\nFROM wide GROUP BY experiment, variant, segment, day\nORDER BY experiment, variant, segment, day");
        if dialect == Dialect::ClickHouse {
            sql.push_str("\nSETTINGS join_use_nulls = 1");
        }
        sql
    }

    fn sums(&self) -> String {
        let mut sql = "COUNT(*) AS units, SUM(in_two) AS in_two, SUM(in_progress) AS in_progress,
  SUM(outcomes) AS outcomes, SUM(inside) AS inside"
            .to_owned();
        for i in 0..self.columns.len() {
            let _ = write!(sql, ",\n  SUM(c{i}) AS s_{i}");
            for j in i..self.columns.len() {
                let _ = write!(sql, ", SUM(c{i} * c{j}) AS p_{i}_{j}");
            }
        }
        sql
    }

    /// When an outcome `o` counts for an entered unit `e`.
    pub(crate) fn during(&self, period: Period) -> String {
        match (period, self.window_ms) {
            (Period::After, None) => "o.time_ms >= e.first_ms".to_owned(),
            (Period::After, Some(window)) => {
                format!("o.time_ms >= e.first_ms AND o.time_ms < e.first_ms + {window}")
            }
            (Period::Before, _) => {
                format!("o.time_ms < e.first_ms AND o.time_ms >= e.first_ms - {}", self.before_ms)
            }
        }
    }

    fn aggregate(&self, term: &Term, period: Period, dialect: Dialect) -> String {
        let during = self.during(period);
        let (function, value) = match term.how {
            How::Sum => ("SUM", "o.value"),
            How::Count => ("SUM", "1"),
            How::Any => ("MAX", "1"),
        };
        let metric = dialect.text(&term.outcome);
        format!("{function}(CASE WHEN o.metric = {metric} AND {during} THEN {value} ELSE 0 END)")
    }
}
