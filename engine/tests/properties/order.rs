//! A decision is a function of what the config says and the request, not of the
//! order in which the config says it.

use proptest::prelude::*;
use serde_json::Value;
use splitway_engine::{Decision, HeaderChange, Plan, RequestView, Rewrite};

use crate::configs::{config, fixed, now, plan};
use crate::requests::{Request, requests};

/// Everything a host applies.
#[derive(Debug, PartialEq)]
struct Applied {
    decision: Decision,
    stamp: Option<String>,
    cluster: Option<String>,
    host: Option<String>,
    path: Rewrite,
    changes: Vec<HeaderChange>,
}

fn applied(plan: &Plan, request: &Request, now: splitway_engine::Timestamp) -> Applied {
    let decision = request.decide(plan, now);
    let pairs = request.pairs();
    Applied {
        stamp: plan.stamp(&decision).map(Into::into),
        cluster: plan.cluster(&decision).map(Into::into),
        host: plan.host(&decision).map(Into::into),
        path: plan.path(&decision, RequestView::new(&pairs).path_and_query()),
        changes: plan.request_headers(&decision).chain(plan.response_headers(&decision)).cloned().collect(),
        decision,
    }
}

/// Deals `key` out to the swaps of a Fisher-Yates shuffle.
fn shuffle(config: &Value, mut key: u64) -> Value {
    let mut shuffled = config.clone();
    for list in ["experiments", "layers", "holdouts"] {
        if let Some(items) = shuffled[list].as_array_mut() {
            for last in (1..items.len()).rev() {
                let choices = last as u64 + 1;
                items.swap(last, (key % choices) as usize);
                key /= choices;
            }
        }
    }
    shuffled
}

proptest! {
    #![proptest_config(fixed(1))]

    #[test]
    fn the_order_of_the_document_does_not_matter(
        config in config(), requests in requests(), now in now(), key in any::<u64>(),
    ) {
        let (one, other) = (plan(&config), plan(&shuffle(&config, key)));
        for request in &requests {
            prop_assert_eq!(applied(&one, request, now), applied(&other, request, now));
        }
    }
}
