//! What bad documents are told.
#![cfg(feature = "yaml")]

use splitway_engine::{Document, compile};

fn problems(yaml: &str) -> String {
    match Document::from_yaml(yaml).and_then(|document| compile(&document)) {
        Ok(plan) => format!("accepted; {}", plan.warnings()),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let yaml = r#"
version: 2
unit: [{ coookie: uid }, { header: X-User }]
layers: [{ id: checkout }]
experiments:
  - id: Button
    layer: chekout
    traffic: 50
    wieght: 3
    variants:
      - { id: a, weight: "50" }
      - { id: a, weight: 50, weight: 20 }
      - { id: b, weight: -1, route: { path: { replace_prefix: v2 } } }
    targeting:
      all:
        - path: { prefix: /a, suffix: b }
        - header: { name: user-agent, regex: "(" }
        - client_address: { one_of: [10.0.0.0/40] }
  - id: second
    schedule: { start: 2026-11-20, end: 2026-11-19T00:00:00Z }
    variants: []
"#;
    insta::assert_snapshot!(problems(yaml));
}

#[test]
fn a_minimal_document_works() {
    let yaml = "
version: 1
unit:
  - cookie: uid
experiments:
  - id: button
    variants:
      - id: control
      - id: big
        route: { cluster: big-button }
";
    assert_eq!(problems(yaml), "accepted; ");
}
