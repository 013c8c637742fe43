//! The command lines of the analysis.

use std::path::PathBuf;

use clap::Args;
use splitway_analysis::sql::Dialect;

use crate::power::Spending;

pub(crate) const ANALYZE_EXAMPLES: &str = "\
Examples:
  splitway analyze --config splitway.yaml --exposures envoy.log --outcomes orders.csv --raw-units \\
    --metric 'order_rate=any(order)' --window 7d
  splitway analyze --config splitway.yaml --metric 'order_rate=any(order)' --dialect duckdb
  splitway analyze --config splitway.yaml --metric 'order_rate=any(order)' --from-summary result.csv --json";

/// What is analysed, and by what.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// Config that decided the exposures
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Exposures: the proxy's log, an access log, OTLP JSON, NDJSON, or Parquet; `-` is stdin
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) exposures: Vec<PathBuf>,
    /// Outcomes: NDJSON, CSV or Parquet with unit, time, metric, value
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) outcomes: Vec<PathBuf>,
    /// The outcomes have plain units, not the pseudonyms of the log
    #[arg(long)]
    pub(crate) raw_units: bool,
    /// Define a metric: NAME=sum(x), count(x), any(x), mean(x), p95(x), or a quotient; may be repeated
    ///
    /// A metric that the config names and no --metric defines is the sum of the outcomes of that name, per unit;
    /// `http_5xx_rate`, `latency_mean` and `latency_p95` (or another quantile) come from the exposures. A quantile is
    /// computed over single outcomes and needs the data: a summary does not contain it.
    #[arg(long, value_name = "NAME=FORMULA")]
    pub(crate) metric: Vec<String>,
    /// Cut off (winsorise) a metric's number of each unit: NAME=p99.5 or NAME=500; may be repeated
    ///
    /// A percentile is computed over all units of the experiment, in all variants; the opposite percentile (p0.5) caps low
    /// values. A number caps at itself and at its negative. Of a quotient, the numerator is capped.
    #[arg(long, value_name = "NAME=CAP")]
    pub(crate) cap: Vec<String>,
    /// Metric where less is better, like `metrics.lower_is_better` of the config; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) lower_is_better: Vec<String>,
    /// Metric where more is better; may be repeated
    ///
    /// This is the default for all metrics except guardrails: a guardrail without a direction must not move either way.
    #[arg(long, value_name = "NAME")]
    pub(crate) higher_is_better: Vec<String>,
    /// Config that decided earlier exposures of the log; may be repeated
    ///
    /// Exposures of a version that is neither given nor accepted are left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) older_config: Vec<PathBuf>,
    /// Version of the config whose exposures count without its file, or `any`; may be repeated
    ///
    /// Its exposures are compared with --config. `any` also accepts records that somebody else wrote into the log.
    #[arg(long, value_name = "VERSION")]
    pub(crate) accept_version: Vec<String>,
    /// How long after a unit's first exposure its outcomes count, such as 7d [default: without end]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) window: Option<i64>,
    /// Use the same outcomes of this long before the first exposure as covariates (CUPED), such as 14d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) before: Option<i64>,
    /// Also count outcomes this long before the first exposure, because clocks differ; 0s for none
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = tolerance)]
    pub(crate) clock_tolerance: i64,
    /// Leave out units whose window had not ended at the last outcome
    #[arg(long, requires = "window")]
    pub(crate) complete_only: bool,
    /// Field of a unit's first exposure by which units are grouped
    ///
    /// It must not depend on the variant: the cluster does if variants route.
    #[arg(long, value_name = "FIELD")]
    pub(crate) segment: Option<String>,
    /// Analyse only this experiment
    #[arg(long, value_name = "ID")]
    pub(crate) experiment: Option<String>,
    /// Decide by intervals for one planned look, instead of those that hold at every look
    #[arg(long)]
    pub(crate) fixed: bool,
    /// Decide by bounds for a few planned looks; give the shares of the planned units at the looks so far, such as 0.25,0.5
    #[arg(long, value_name = "SHARES", value_delimiter = ',', conflicts_with = "fixed")]
    pub(crate) looks: Vec<f64>,
    /// How planned looks spend the significance level
    #[arg(long, value_enum, default_value_t, requires = "looks")]
    pub(crate) spending: Spending,
    /// Leave out the units of this file, one per line, written as in the log
    #[arg(long, value_name = "FILE")]
    pub(crate) exclude: Option<PathBuf>,
    /// Leave out units with more exposures in an experiment than this, as bots
    #[arg(long, value_name = "N")]
    pub(crate) max_exposures: Option<u64>,
    /// Stop at malformed lines instead of counting them
    #[arg(long)]
    pub(crate) strict: bool,
    /// Read the result of the printed query (CSV) instead of data
    #[arg(long, value_name = "FILE", conflicts_with_all = ["exposures", "outcomes"])]
    pub(crate) from_summary: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Analyze {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Print the reduction as SQL and stop: duckdb, clickhouse, spark, trino, bigquery, postgres
    #[arg(long, value_name = "NAME", value_parser = dialect)]
    pub(crate) dialect: Option<Dialect>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) data: Data,
    /// File to write the page to
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Compact {
    /// Logs, or outcomes with --outcomes
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Parquet file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The files are outcomes, not logs
    #[arg(long)]
    pub(crate) outcomes: bool,
    /// Replace the outcomes' units by the pseudonyms that this config gives them in exposures
    #[arg(long, value_name = "FILE", requires = "outcomes")]
    pub(crate) config: Option<PathBuf>,
    /// Field of the exposures by which units are grouped
    #[arg(long, value_name = "FIELD", conflicts_with = "outcomes")]
    pub(crate) segment: Option<String>,
    /// Stop at malformed lines instead of counting them
    #[arg(long)]
    pub(crate) strict: bool,
}

fn dialect(text: &str) -> Result<Dialect, String> {
    let known = || Dialect::ALL.iter();
    known().find(|(name, _)| *name == text).map(|(_, dialect)| *dialect).ok_or_else(|| {
        let names: Vec<&str> = known().map(|(name, _)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Milliseconds, maybe none.
fn tolerance(text: &str) -> Result<i64, String> {
    let milliseconds = splitway_document::parse_duration(text).and_then(|ms| i64::try_from(ms).ok());
    milliseconds.ok_or_else(|| "expected a duration such as 30m, 12h or 7d".to_owned())
}

/// Milliseconds.
fn duration(text: &str) -> Result<i64, String> {
    match tolerance(text)? {
        0 => Err("expected a duration of more than 0, such as 30m, 12h or 7d".to_owned()),
        milliseconds => Ok(milliseconds),
    }
}
