//! What was seen against what the engine says should have been.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use splitway_envoy::{Exposure, exposure};

use crate::oracle::{Assigned, Oracle};
use crate::report::{Report, Row};
use crate::traffic::{Sent, UNITS, Unit};

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

#[cfg(test)]
mod tests {
    use super::*;
    use splitway_envoy::Answer;

    const CONFIG: &str = include_str!("../../../examples/checkout/splitway.yaml");

    /// A run in which everything went as the engine says.
    struct Run {
        oracle: Oracle,
        requests: Vec<Sent>,
        exposures: Vec<Exposure>,
    }

    impl Run {
        fn perfect() -> Self {
            let oracle = Oracle::new(CONFIG).expect("a good config");
            let (mut requests, mut exposures) = (Vec::new(), Vec::new());
            for unit in Unit::all() {
                let assigned = oracle.decide(unit).expect("a decision");
                requests.push(Sent { unit, answer: Ok(answer(&assigned)) });
                exposures.extend(assigned.variants.iter().map(|(key, variant)| {
                    let line = serde_json::json!({
                        "event": "feature_flag.evaluation",
                        "feature_flag.key": key,
                        "feature_flag.result.variant": variant,
                    });
                    Exposure::in_line(&line.to_string()).expect("an exposure")
                }));
            }
            Self { oracle, requests, exposures }
        }

        fn problems(&self) -> Vec<String> {
            compare(&self.oracle, &self.requests, &self.exposures).expect("comparable").1
        }

        /// The answer to the unit that is assigned to both treatments.
        fn treated(&mut self) -> &mut Answer {
            let sent = self.requests.iter_mut().find(|sent| {
                let assigned = self.oracle.decide(sent.unit).expect("a decision");
                assigned.variants.len() == 2 && assigned.cluster != "checkout-v1"
            });
            sent.expect("a treated unit").answer.as_mut().expect("an answer")
        }
    }

    fn answer(assigned: &Assigned) -> Answer {
        let stamp = assigned.variants.iter().map(|(key, variant)| format!("{key}={variant}"));
        let stamp = stamp.collect::<Vec<_>>().join(", ");
        let mut answer = Answer { status: 200, headers: Default::default(), body: Default::default() };
        answer.headers.insert("x-upstream", assigned.cluster.parse().expect("a header"));
        answer.headers.insert("x-splitway", stamp.parse().expect("a header"));
        answer
    }

    #[test]
    fn a_run_as_planned_has_no_problem() {
        assert_eq!(Run::perfect().problems(), Vec::<String>::new());
    }

    #[test]
    fn a_request_served_by_the_wrong_upstream() {
        let mut run = Run::perfect();
        run.treated().headers.insert("x-upstream", "checkout-v1".parse().expect("a header"));
        let problems = run.problems();
        assert!(problems[0].contains("served by checkout-v1, assigned to checkout-v2"), "{problems:?}");
    }

    #[test]
    fn a_response_without_its_stamp() {
        let mut run = Run::perfect();
        run.treated().headers.remove("x-splitway");
        let problems = run.problems();
        assert!(problems[0].contains("stamped None"), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("exposures for")), "{problems:?}");
    }

    #[test]
    fn a_unit_that_changes_its_variant() {
        let mut run = Run::perfect();
        let mut sent = Sent { unit: run.requests[0].unit, answer: run.requests[0].answer.clone() };
        let other = run.requests.iter().find_map(|request| {
            let variant = request.success()?.variant("checkout-button")?;
            let mine = sent.success()?.variant("checkout-button")?;
            (variant != mine).then(|| request.answer.clone())
        });
        sent.answer = other.expect("another variant");
        run.requests.push(sent);
        let problems = run.problems();
        assert!(problems.iter().any(|problem| problem.contains("was in {")), "{problems:?}");
    }

    #[test]
    fn a_failed_request_and_a_lost_exposure() {
        let mut run = Run::perfect();
        run.requests.push(Sent { unit: Unit(0), answer: Err("connection reset".to_owned()) });
        run.exposures.pop();
        let problems = run.problems();
        assert!(problems[0].contains("connection reset"), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("exposures for")), "{problems:?}");
    }
}
