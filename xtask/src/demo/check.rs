//! What was seen against what the engine says should have been.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use splitway_envoy::{Exposure, exposure};

use crate::demo::oracle::{Assigned, Oracle};
use crate::demo::report::{Report, Row};
use crate::demo::traffic::{Sent, UNITS, Unit};

/// How many exposures the requests should have left in the proxy's log.
pub(crate) fn expected_exposures(oracle: &Oracle, requests: &[Sent]) -> Result<usize> {
    let mut expected = 0;
    for request in requests.iter().filter(|sent| sent.success().is_some()) {
        expected += oracle.decide(request.unit)?.variants.len();
    }
    Ok(expected)
}

/// The table, and every disagreement in words.
pub(crate) fn compare(
    oracle: &Oracle,
    requests: &[Sent],
    exposures: &[Exposure],
) -> Result<(Report, Vec<String>)> {
    let mut rows = Rows::new(oracle);
    let mut problems = Vec::new();
    let mut failed = 0;
    for request in requests {
        let assigned = oracle.decide(request.unit)?;
        match request.success() {
            Some(answer) => problems.extend(rows.add(request.unit, answer, &assigned)),
            None => {
                failed += 1;
                problems.push(format!("unit {}: {:?}", request.unit.0, request.answer));
            }
        }
    }
    problems.extend(rows.sticky());
    let report = rows.report(requests.len(), failed, exposures);
    problems.extend(report.problems());
    Ok((report, shortened(problems)))
}

/// One broken thing tends to break every request; nobody reads 3,000 lines.
fn shortened(mut problems: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 10;
    if problems.len() > SHOWN {
        let more = problems.len() - SHOWN;
        problems.truncate(SHOWN);
        problems.push(format!("and {more} more"));
    }
    problems
}

type Key = (String, String);

/// One row for each variant, filled request by request.
struct Rows<'a> {
    oracle: &'a Oracle,
    rows: BTreeMap<Key, Row>,
    /// Which variants each unit was seen in, by experiment; more than one is a stickiness failure.
    seen: BTreeMap<(Unit, String), BTreeSet<String>>,
}

impl<'a> Rows<'a> {
    fn new(oracle: &'a Oracle) -> Self {
        Self { oracle, rows: BTreeMap::new(), seen: BTreeMap::new() }
    }

    fn add(&mut self, unit: Unit, answer: &splitway_envoy::Answer, assigned: &Assigned) -> Vec<String> {
        let mut problems = Vec::new();
        let served = answer.upstream().unwrap_or("Envoy itself");
        if served != assigned.cluster {
            problems.push(format!("unit {}: served by {served}, assigned to {}", unit.0, assigned.cluster));
        }
        for experiment in self.oracle.experiments() {
            let stamped = answer.variant(&experiment.id);
            let planned = assigned.variants.get(&experiment.id).map(String::as_str);
            if stamped != planned {
                problems.push(format!(
                    "unit {}: {} stamped {stamped:?}, assigned {planned:?}",
                    unit.0, experiment.id
                ));
            }
            let Some(variant) = stamped else { continue };
            self.seen.entry((unit, experiment.id.clone())).or_default().insert(variant.to_owned());
            let row = self.rows.entry((experiment.id.clone(), variant.to_owned())).or_default();
            row.units.insert(unit);
            row.stamped += 1;
            *row.served_by.entry(served.to_owned()).or_default() += 1;
        }
        problems
    }

    fn sticky(&self) -> Vec<String> {
        self.seen
            .iter()
            .filter(|(_, variants)| variants.len() > 1)
            .map(|((unit, experiment), variants)| {
                format!("unit {} was in {variants:?} of {experiment}", unit.0)
            })
            .collect()
    }

    /// Rows in the order of the plan; a stamp that is not in the config was reported by `add`.
    fn report(mut self, requests: usize, failed: u64, exposures: &[Exposure]) -> Report {
        let exposures = exposure::count(exposures);
        let mut rows = Vec::new();
        for experiment in self.oracle.experiments() {
            for variant in &experiment.variants {
                let key = (experiment.id.clone(), variant.id.clone());
                let mut row = self.rows.remove(&key).unwrap_or_default();
                row.exposures = exposures.get(&key).copied().unwrap_or_default();
                (row.experiment, row.variant) = key;
                row.planned = variant.planned;
                row.observed = row.units.len() as f64 / UNITS as f64;
                rows.push(row);
            }
        }
        Report { requests: requests as u64, failed, swap_ms: None, rows }
    }
}
