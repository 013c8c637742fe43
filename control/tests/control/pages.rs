//! docs/rollouts.md has every rule and every policy, and its examples are right.

use splitway_control::{Intent, Policies, Rule, check};
use splitway_document::Document;

const PAGE: &str = include_str!("../../../docs/rollouts.md");

/// The YAML blocks of the page.
fn examples() -> Vec<&'static str> {
    let blocks = PAGE.split("```yaml ").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| block.split_once('\n').unwrap().1).collect()
}

#[test]
fn the_examples_are_right() {
    let [config, policies] = examples()[..] else { panic!("{:?}", examples()) };
    let intent = Intent::from_yaml(config).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(intent.experiments().collect::<Vec<_>>(), ["checkout-button"]);
    let policies = Policies::from_yaml(policies).unwrap_or_else(|problems| panic!("{problems}"));
    let found = check(&Document::from_yaml(config).unwrap(), Some(&policies));
    assert!(found.is_empty(), "{found}");
}

#[test]
fn every_rule_has_its_line() {
    let all = [
        Rule::Unknown,
        Rule::Transition,
        Rule::Stale,
        Rule::Reason,
        Rule::Rerun,
        Rule::Killed,
        Rule::After,
        Rule::Layer,
        Rule::Conflict,
        Rule::Compile,
        Rule::Flip,
        Rule::Concurrency,
        Rule::LaunchFacts,
        Rule::Approval,
        Rule::BlastRadius,
        Rule::Freeze,
        Rule::Budget,
        Rule::Feasibility,
        Rule::Hold,
        Rule::Units,
        Rule::NoData,
        Rule::LastStep,
        Rule::Verdict,
        Rule::Quota,
    ];
    for rule in all {
        let code = serde_json::to_value(rule).unwrap();
        let code = format!("`{}`", code.as_str().unwrap());
        assert!(PAGE.contains(&code), "{code}");
    }
}
