//! The demo's numbers: as a table, as JSON, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::traffic::{UNITS, Unit};

/// What one variant was planned to get, and got.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) experiment: String,
    pub(crate) variant: String,
    /// Share of all units, 0 to 1, by the config.
    pub(crate) planned: f64,
    /// Share of all units, 0 to 1, by the responses' stamps.
    pub(crate) observed: f64,
    /// The units whose responses carried this variant's stamp.
    pub(crate) units: BTreeSet<Unit>,
    /// Requests by the upstream that answered them.
    pub(crate) served_by: BTreeMap<String, u64>,
    /// Responses that carried the stamp.
    pub(crate) stamped: u64,
    /// Exposures in the proxy's log.
    pub(crate) exposures: u64,
}

/// What the demo saw.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) swap_ms: Option<f64>,
    /// In the order of the plan.
    pub(crate) rows: Vec<Row>,
}

impl Report {
    pub(crate) fn print(&self) {
        println!(
            "{:<16} {:<9} {:>7} {:>8}  {:<36} {:>7} {:>9}",
            "experiment", "variant", "planned", "observed", "answered by", "stamped", "exposures"
        );
        for row in &self.rows {
            let served: Vec<String> =
                row.served_by.iter().map(|(cluster, requests)| format!("{cluster} {requests}")).collect();
            println!(
                "{:<16} {:<9} {:>6.1}% {:>7.1}%  {:<36} {:>7} {:>9}",
                row.experiment,
                row.variant,
                100.0 * row.planned,
                100.0 * row.observed,
                served.join(", "),
                row.stamped,
                row.exposures
            );
        }
        println!("\n{} requests of {UNITS} units, {} failed", self.requests, self.failed);
    }

    /// Disagreements that show in the totals only.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for row in &self.rows {
            let name = format!("{}={}", row.experiment, row.variant);
            let deviation = (row.planned * (1.0 - row.planned) / UNITS as f64).sqrt();
            if (row.observed - row.planned).abs() > 3.0 * deviation {
                problems.push(format!(
                    "{name}: {:.1} % of the units, more than 3 standard deviations from {:.1} %",
                    100.0 * row.observed,
                    100.0 * row.planned
                ));
            }
            if row.exposures != row.stamped {
                problems.push(format!("{name}: {} exposures for {} requests", row.exposures, row.stamped));
            }
        }
        problems
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut experiments: Vec<Value> = Vec::new();
        for rows in self.rows.chunk_by(|a, b| a.experiment == b.experiment) {
            let variants: Vec<Value> = rows.iter().map(Row::to_json).collect();
            experiments.push(json!({ "id": rows[0].experiment, "variants": variants }));
        }
        json!({
            "requests": self.requests,
            "failed": self.failed,
            "swap_ms": self.swap_ms,
            "experiments": experiments,
        })
    }
}

impl Row {
    fn to_json(&self) -> Value {
        json!({
            "id": self.variant,
            "planned": self.planned,
            "observed": self.observed,
            "served_by": self.served_by,
            "stamped": self.stamped,
            "exposures": self.exposures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(observed: f64, exposures: u64) -> Report {
        let row = Row {
            experiment: "e".to_owned(),
            variant: "b".to_owned(),
            planned: 0.5,
            observed,
            stamped: 1_500,
            exposures,
            ..Row::default()
        };
        Report { requests: 3_000, failed: 0, swap_ms: None, rows: vec![row] }
    }

    #[test]
    fn a_share_three_deviations_off_or_a_lost_exposure_is_a_problem() {
        assert!(report(0.547, 1_500).problems().is_empty());
        assert_eq!(report(0.548, 1_500).problems().len(), 1);
        assert_eq!(report(0.5, 1_499).problems().len(), 1);
    }
}
