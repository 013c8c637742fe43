//! Exposure records of hostile units: always one line of valid JSON that says
//! what the unit was.

use proptest::prelude::*;
use serde_json::{Value, json};
use splitway_engine::{Assignment, RequestView, Served, Timestamp};

use crate::configs::{NOON, config, fixed, now, plan, simple};
use crate::requests::{Request, requests};

fn records(config: &Value, request: &Request, now: Timestamp) -> Vec<(String, Option<String>)> {
    let plan = plan(config);
    let pairs = request.pairs();
    let decision = request.decide(&plan, now);
    let cluster = "c\u{2028}\"\n\\";
    let served = Served {
        request_id: Some("id\r\n{}"),
        cluster: Some(cluster),
        status: Some(200),
        ..Served::default()
    };
    let record = |assignment: &Assignment| {
        let id = plan.context_id(&decision, assignment, &RequestView::new(&pairs));
        let line = plan.exposure(assignment, id.as_deref(), now, &served).unwrap().to_json();
        (line, id)
    };
    decision.assignments.iter().map(record).collect()
}

fn check(line: &str, id: Option<&str>) -> Result<Value, TestCaseError> {
    prop_assert!(!line.bytes().any(|b| b < 0x20), "a control character in {:?}", line);
    let parsed: Value = serde_json::from_str(line).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(parsed["feature_flag.context.id"].as_str(), id);
    prop_assert_eq!(parsed["splitway.request_id"].as_str(), Some("id\r\n{}"));
    Ok(parsed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..fixed(8) })]

    #[test]
    fn a_hostile_unit_stays_inside_its_string(unit in prop_oneof![
        "\\PC{0,40}", "[\\x00-\\x1f\"\\\\{}\\[\\]:,\u{2028}\u{7f}]{0,20}", ".{0,20}(\", \"x\": \").{0,20}",
    ]) {
        let mut config = simple(1);
        config["exposure"] = json!({ "unit": "raw" });
        let request = Request::default().with("x-user", &unit);
        let shown = unit.trim_ascii();
        let records = records(&config, &request, Timestamp(NOON));
        prop_assert_eq!(records.len(), usize::from(!shown.is_empty()));
        for (line, id) in records {
            prop_assert_eq!(id.as_deref(), Some(shown));
            check(&line, Some(shown))?;
        }
    }

    #[test]
    fn a_pseudonym_holds_nothing_of_the_unit(unit in "[a-z]{9,30}") {
        for (form, length) in [("pseudonym", Some(32)), ("none", None)] {
            let mut config = simple(1);
            config["exposure"] = json!({ "unit": form, "key": "0123456789abcdef" });
            for (line, id) in records(&config, &Request::default().with("x-user", &unit), Timestamp(NOON)) {
                prop_assert_eq!(id.as_ref().map(String::len), length);
                prop_assert!(!line.contains(&unit));
                check(&line, id.as_deref())?;
            }
        }
    }
}

proptest! {
    #![proptest_config(fixed(9))]

    #[test]
    fn records_say_what_was_decided(config in config(), requests in requests(), now in now()) {
        let plan = plan(&config);
        for request in requests.iter().take(4) {
            let decision = request.decide(&plan, now);
            for (assignment, (line, id)) in decision.assignments.iter().zip(records(&config, request, now)) {
                let record = check(&line, id.as_deref())?;
                let experiment = plan.experiment(assignment.experiment).unwrap();
                prop_assert_eq!(&record["feature_flag.key"], experiment.id());
                let variant = experiment.variant(assignment.variant).unwrap();
                prop_assert_eq!(&record["feature_flag.result.variant"], variant.id());
                prop_assert_eq!(&record["feature_flag.result.reason"], assignment.reason.as_str());
                prop_assert_eq!(record["splitway.override"] == true, assignment.reason.is_override());
                prop_assert_eq!(record["splitway.clock_edge"] == true, assignment.clock_edge);
                prop_assert_eq!(record["splitway.bucket"].is_null(), assignment.reason.is_override());
            }
        }
    }
}
