//! `explain` is `decide` with a recording trace: it must not decide otherwise,
//! and what it tells must be what was decided.

use std::collections::BTreeMap;

use proptest::prelude::*;
use splitway_engine::{ExperimentId, Plan, Reason, RequestView, Step, Timestamp, Trace, VariantId};

use crate::configs::{config, fixed, now, plan};
use crate::requests::{Request, requests};

type Outcome = (Reason, Option<VariantId>, Option<u32>);

/// Every outcome per experiment, in the order told.
#[derive(Default)]
struct Recorder {
    outcomes: BTreeMap<ExperimentId, Vec<Outcome>>,
}

impl Trace for Recorder {
    fn step(&mut self, step: Step<'_>) {
        if let Step::Outcome { experiment, reason, variant, bucket } = step {
            self.outcomes.entry(experiment).or_default().push((reason, variant, bucket));
        }
    }
}

fn check(plan: &Plan, request: &Request, now: Timestamp) -> Result<(), TestCaseError> {
    let mut trace = Recorder::default();
    let told = plan.decide(&RequestView::new(&request.pairs()), now, &mut trace);
    prop_assert_eq!(&told, &request.decide(plan, now));
    for (id, experiment) in plan.experiments() {
        let outcomes = trace.outcomes.get(&id).map_or(&[][..], |list| list);
        prop_assert_eq!(outcomes.len(), 1, "{}: {:?}", experiment.id(), outcomes);
        let (reason, variant, bucket) = outcomes[0];
        let entered = matches!(reason, Reason::Split | Reason::Override | Reason::QaToken);
        match told.assignments.iter().find(|assignment| assignment.experiment == id) {
            Some(assignment) => {
                prop_assert_eq!((reason, variant), (assignment.reason, Some(assignment.variant)));
                prop_assert_eq!(bucket.unwrap_or(0), assignment.bucket);
            }
            None => prop_assert!(!entered && variant.is_none(), "{:?} but not entered", reason),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(fixed(2))]

    #[test]
    fn explaining_decides_the_same_and_tells_it_once(
        config in config(), requests in requests(), now in now(), kill in any::<bool>(),
    ) {
        let mut config = config;
        config["kill_switch"] = kill.into();
        let plan = plan(&config);
        for request in &requests {
            check(&plan, request, now)?;
            if kill {
                prop_assert!(request.decide(&plan, now).assignments.is_empty());
                prop_assert!(plan.stamp(&request.decide(&plan, now)).is_none());
            }
        }
    }

    #[test]
    fn a_reused_decision_is_a_fresh_one(config in config(), requests in requests(), now in now()) {
        let plan = plan(&config);
        let mut reused = splitway_engine::Decision::default();
        for request in &requests {
            let pairs = request.pairs();
            plan.decide_into(&RequestView::new(&pairs), now, &mut splitway_engine::NoTrace, &mut reused);
            prop_assert_eq!(&reused, &request.decide(&plan, now));
        }
    }

    #[test]
    fn a_layer_is_entered_at_most_once(config in config(), requests in requests(), now in now()) {
        let plan = plan(&config);
        for request in &requests {
            let decision = request.decide(&plan, now);
            let mut layers: Vec<_> = decision
                .assignments
                .iter()
                .filter_map(|assignment| plan.experiment(assignment.experiment).map(|e| e.layer()))
                .collect();
            layers.sort();
            let entered = layers.len();
            layers.dedup();
            prop_assert_eq!(layers.len(), entered);
            let ordered = decision.assignments.windows(2).all(|pair| pair[0].experiment < pair[1].experiment);
            prop_assert!(ordered);
        }
    }
}
