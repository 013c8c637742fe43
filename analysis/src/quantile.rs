//! Quantiles of single outcomes or requests, by variant. They need the data: no sums say what they are.

use std::fmt::Write as _;

use splitway_stats::lift::Estimate;
use splitway_stats::{Moments, quantile::Probe};

use crate::Error;
use crate::metric::{Metric, Period};
use crate::reduce::Tables;
use crate::sql::{Dialect, Reduction};

/// A variant's quantile.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantile {
    /// The experiment.
    pub experiment: String,
    /// The variant.
    pub variant: String,
    /// Of which outcomes.
    pub outcome: String,
    /// Which, 0 to 1.
    pub p: f64,
    /// Its value, as uncertain as its units make it.
    pub estimate: Estimate,
}

impl Tables {
    /// The quantiles that `metrics` ask for, of every variant with two units or more, over the reduction's units and windows.
    ///
    /// Exact, and so in memory: 8 bytes a value, twice.
    ///
    /// # Errors
    /// What the engine says.
    pub fn quantiles(&self, reduction: &Reduction, metrics: &[Metric]) -> Result<Vec<Quantile>, Error> {
        let mut all: Vec<Quantile> = Vec::new();
        for metric in metrics {
            let Some(p) = metric.quantile else { continue };
            let outcome = &metric.numerator.outcome;
            if !all.iter().any(|known| known.p == p && known.outcome == *outcome) {
                all.extend(self.quantile(reduction, outcome, p)?);
            }
        }
        Ok(all)
    }

    fn quantile(&self, reduction: &Reduction, outcome: &str, p: f64) -> Result<Vec<Quantile>, Error> {
        let with = observed(reduction, outcome);
        let values = self.rows(&format!(
            "{with} SELECT experiment, variant, {} FROM observed GROUP BY experiment, variant ORDER BY 1, 2",
            percentile(p)
        ))?;
        let arms: Vec<(String, f64)> = values
            .iter()
            .map(|row| Ok((arm(&row[0], &row[1]), number(&row[2])?)))
            .collect::<Result<_, Error>>()?;
        if arms.is_empty() {
            return Ok(Vec::new());
        }
        let mut own = String::from("CASE");
        for (is_arm, value) in &arms {
            let _ = write!(own, " WHEN {is_arm} THEN {value:?}");
        }
        let counts = self.rows(&format!(
            "{with}, per_unit AS (
  SELECT experiment, variant, unit, COUNT(*) AS n, SUM(CASE WHEN value <= {own} END THEN 1 ELSE 0 END) AS k
  FROM observed GROUP BY experiment, variant, unit
) SELECT experiment, variant, COUNT(*), SUM(k), SUM(n), SUM(k * k), SUM(k * n), SUM(n * n)
FROM per_unit GROUP BY experiment, variant ORDER BY 1, 2"
        ))?;
        let mut probes = Vec::new();
        for (row, (is_arm, value)) in counts.iter().zip(&arms) {
            let n = row[2..].iter().map(|text| number(text)).collect::<Result<Vec<_>, _>>()?;
            let moments = Moments::from_sums(n[0], &n[1..3], &[n[3], n[4], n[4], n[5]]);
            // Arms of one unit have no uncertainty to speak of.
            if let Ok(probe) = moments.and_then(|moments| Probe::of(&moments, p)) {
                probes.push((row[0].clone(), row[1].clone(), is_arm, *value, probe));
            }
        }
        if probes.is_empty() {
            return Ok(Vec::new());
        }
        let around: Vec<String> = probes
            .iter()
            .flat_map(|(_, _, is_arm, _, probe)| {
                [probe.low, probe.high].map(|at| format!("{} FILTER (WHERE {is_arm})", percentile(at)))
            })
            .collect();
        let ends = self.rows(&format!("{with} SELECT {} FROM observed", aliased(&around)))?;
        let ends: Vec<f64> = ends.iter().flatten().map(|text| number(text)).collect::<Result<_, Error>>()?;
        let found =
            probes.into_iter().zip(ends.chunks(2)).map(|((experiment, variant, _, value, probe), ends)| {
                let estimate = probe.estimate(value, ends[0], ends[1]);
                Quantile { experiment, variant, outcome: outcome.to_owned(), p, estimate }
            });
        Ok(found.collect())
    }
}

/// The query's first part, up to the table `observed(experiment, variant, unit, value)`.
fn observed(reduction: &Reduction, outcome: &str) -> String {
    let entered = reduction.entered(Dialect::DataFusion);
    let columns = "e.experiment AS experiment, e.variant AS variant, e.unit AS unit";
    let from = if outcome.starts_with('@') {
        "k.duration_ms AS value FROM kept k JOIN entered e ON k.experiment = e.experiment AND k.unit = e.unit
  WHERE k.duration_ms IS NOT NULL"
            .to_owned()
    } else {
        format!(
            "o.value AS value FROM entered e JOIN outcomes o ON o.unit = e.unit WHERE o.metric = {} AND {}",
            Dialect::DataFusion.text(outcome),
            reduction.during(Period::After)
        )
    };
    format!("{entered}, observed AS (\n  SELECT {columns}, {from}\n)")
}

fn percentile(p: f64) -> String {
    format!("percentile_cont({p:?}) WITHIN GROUP (ORDER BY value)")
}

fn aliased(expressions: &[String]) -> String {
    let named = expressions.iter().enumerate().map(|(at, expression)| format!("{expression} AS q{at}"));
    named.collect::<Vec<_>>().join(", ")
}

fn arm(experiment: &str, variant: &str) -> String {
    let text = |text| Dialect::DataFusion.text(text);
    format!("experiment = {} AND variant = {}", text(experiment), text(variant))
}

fn number(text: &str) -> Result<f64, Error> {
    text.parse().map_err(|_| Error::Summary(format!("no number: `{text}`")))
}
