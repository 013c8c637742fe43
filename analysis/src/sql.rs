//! The reduction to sufficient statistics, as SQL: the same text for every engine but for names of types and a few
//! functions.
//!
//! It reads two tables of the form that `splitway compact` writes:
//! `exposures(unit, experiment, variant, time_ms, is_split, status, duration_ms, segment)` and
//! `outcomes(unit, metric, time_ms, value)`. Each row that comes out is one experiment, variant, segment and day of
//! first exposure: `units`, `in_two` (of which in two variants), `in_progress` (of which the window is not over), `outcomes`
//! of these units and those `inside` the window, `m_I` (the experiment's mean of column I before it is capped, about which
//! products are summed, so that a large mean costs no digits), `s_I` (sum of column I), `q_I_J` and `t_I_J_K` (sums of the
//! products of columns less those means). `reduction` names the query.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::metric::{Cap, Column, Columns, How, Period, Term};

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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reduction {
    /// What is summed.
    pub columns: Columns,
    /// Outcomes count this long after the first exposure; `None`: for ever.
    pub window_ms: Option<i64>,
    /// Outcomes this long before it are covariates.
    pub before_ms: i64,
    /// Outcomes this little before it count, too: the clocks of applications are not the proxy's.
    pub tolerance_ms: i64,
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
    pub(crate) name: String,
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
        steps.extend(sums.map(|sql| Step { name: "sums".to_owned(), about: "", sql }));
        steps.push(Step { name: "wide".to_owned(), about: "", sql: wide });
        for (i, per) in self.percentiles() {
            steps.push(Step {
                name: cut(i),
                about: " -- percentiles over all variants, at which numbers are cut off",
                sql: percentile(i, per),
            });
        }
        let (level, centred) = self.centred(dialect);
        steps.push(Step {
            name: "level".to_owned(),
            about: " -- means, so that products of large numbers lose no digits",
            sql: level,
        });
        steps.push(Step { name: "centred".to_owned(), about: "", sql: centred });
        steps
    }

    /// Columns that are capped at a percentile: which, and at how many of 100,000 units.
    pub(crate) fn percentiles(&self) -> impl Iterator<Item = (usize, u64)> {
        self.columns.iter().enumerate().filter_map(|(i, column)| match column.cap {
            Some(Cap::Percentile(p)) => Some((i, (p * 1e5).round() as u64)),
            _ => None,
        })
    }

    /// Means of the columns by experiment; and units with their numbers cut off, as they are and less the means.
    fn centred(&self, dialect: Dialect) -> (String, String) {
        let mut level = "SELECT w.experiment AS experiment".to_owned();
        let mut centred =
            "SELECT w.experiment AS experiment, w.variant AS variant, w.segment AS segment, w.day AS day,
    w.in_two AS in_two, w.in_progress AS in_progress, w.outcomes AS outcomes, w.inside AS inside"
                .to_owned();
        let mut joins = String::new();
        for (i, column) in self.columns.iter().enumerate() {
            let _ = write!(level, ", AVG(w.c{i}) AS m{i}");
            let capped = match column.cap {
                None => format!("w.c{i}"),
                Some(Cap::At(at)) => {
                    let at = format!("CAST({at} AS {})", dialect.double());
                    format!("GREATEST(LEAST(w.c{i}, {at}), -{at})")
                }
                Some(Cap::Percentile(_)) => {
                    let cut = cut(i);
                    let _ = write!(joins, "\n  JOIN {cut} ON {cut}.experiment = w.experiment");
                    format!("GREATEST(LEAST(w.c{i}, {cut}.high), {cut}.low)")
                }
            };
            let _ = write!(centred, ",\n    l.m{i} AS m{i}, {capped} AS v{i}, {capped} - l.m{i} AS x{i}");
        }
        level.push_str(" FROM wide w GROUP BY w.experiment");
        let _ = write!(centred, "\n  FROM wide w JOIN level l ON l.experiment = w.experiment{joins}");
        (level, centred)
    }

    /// Those up to `kept` (exposures that count) and `entered` (units with their first one).
    pub(crate) fn entered(&self, dialect: Dialect) -> Vec<Step> {
        let (integer, double) = (dialect.integer(), dialect.double());
        let excluded = if self.has_excluded { " AND unit NOT IN (SELECT unit FROM excluded)" } else { "" };
        let bots = self.most_exposures.map_or(String::new(), |most| format!("\n  HAVING COUNT(*) <= {most}"));
        let kept = Step {
            name: "kept".to_owned(),
            about: "",
            sql: format!(
                "SELECT unit, experiment, variant, time_ms, segment, status, duration_ms
  FROM exposures WHERE is_split AND unit <> ''{excluded}"
            ),
        };
        let units = Step {
            name: "units".to_owned(),
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
            name: "first_seen".to_owned(),
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
            name: "entered".to_owned(),
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
        let own: Vec<(usize, &Column)> =
            self.columns.iter().enumerate().filter(|(_, column)| !column.term.is_built_in()).collect();
        let mut sums = None;
        if !own.is_empty() {
            let mut sql = format!(
                "SELECT e.experiment AS experiment, e.unit AS unit, COUNT(*) AS outcomes,
    SUM(CASE WHEN {} THEN 1 ELSE 0 END) AS inside",
                self.during(Period::After)
            );
            for (i, column) in &own {
                let _ =
                    write!(sql, ",\n    {} AS c{i}", self.aggregate(&column.term, column.period, dialect));
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
        for (i, column) in self.columns.iter().enumerate() {
            let value = match column.term.outcome.as_str() {
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
        sql.push_str("\nFROM centred GROUP BY experiment, variant, segment, day\nORDER BY experiment, variant, segment, day");
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
            let _ = write!(sql, ",\n  MIN(m{i}) AS m_{i}, SUM(v{i}) AS s_{i}");
            for j in i..self.columns.len() {
                let _ = write!(sql, ", SUM(x{i} * x{j}) AS q_{i}_{j}");
            }
        }
        for [i, j, k] in self.columns.triples() {
            let _ = write!(sql, ",\n  SUM(x{i} * x{j} * x{k}) AS t_{i}_{j}_{k}");
        }
        sql
    }

    /// When an outcome `o` counts for an entered unit `e`.
    pub(crate) fn during(&self, period: Period) -> String {
        let first = match self.tolerance_ms {
            0 => "e.first_ms".to_owned(),
            tolerance => format!("e.first_ms - {tolerance}"),
        };
        match (period, self.window_ms) {
            (Period::After, None) => format!("o.time_ms >= {first}"),
            (Period::After, Some(window)) => {
                format!("o.time_ms >= {first} AND o.time_ms < e.first_ms + {window}")
            }
            (Period::Before, _) => {
                format!("o.time_ms < {first} AND o.time_ms >= e.first_ms - {}", self.before_ms)
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

/// The name of the step with a column's percentiles.
pub(crate) fn cut(column: usize) -> String {
    format!("cut_{column}")
}

/// How many units of an experiment have which number in a column.
pub(crate) fn counted(column: usize) -> String {
    format!(
        "SELECT w.experiment AS experiment, w.c{column} AS v, COUNT(*) AS k FROM wide w GROUP BY w.experiment, w.c{column}"
    )
}

/// Percentiles are counted in parts of this many.
pub(crate) const OF: u64 = 100_000;

/// The percentiles of a column: no engine's own function, as each has another definition or none that is exact.
fn percentile(column: usize, per: u64) -> String {
    let counted = counted(column);
    let rest = OF.saturating_sub(per);
    format!(
        "SELECT r.experiment AS experiment, MIN(CASE WHEN r.upto * {OF} >= r.n * {per} THEN r.v END) AS high,
    MIN(CASE WHEN r.upto * {OF} >= r.n * {rest} THEN r.v END) AS low
  FROM (SELECT n.experiment AS experiment, n.v AS v, SUM(n.k) OVER (PARTITION BY n.experiment ORDER BY n.v) AS upto,
    SUM(n.k) OVER (PARTITION BY n.experiment) AS n FROM ({counted}) n) r GROUP BY r.experiment"
    )
}
