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

#[test]
fn a_header_that_is_stripped_cannot_be_read() {
    let yaml = "
version: 1
unit: [{ header: x-user-id }]
qa_tokens: { header: x-splitway-qa, keys: [{ id: k1, secret: 0123456789abcdef0123456789abcdef }] }
experiments:
  - id: button
    targeting: { header: { name: x-checkout, exists: true } }
    variants:
      - id: a
      - { id: b, request_headers: { set: { x-user-id: nobody, x-checkout: b } } }
";
    let told = problems(yaml);
    for place in ["unit[0].header", "qa_tokens.header", "experiments[0].targeting.header.name"] {
        assert!(told.contains(&format!("{place}: expected a header that is neither")), "{place}: {told}");
    }
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn a_pseudonym_needs_a_key() {
    let yaml = "
version: 1
unit: [{ cookie: uid }]
exposure: { unit: pseudonym }
experiments: [{ id: button, variants: [{ id: a }, { id: b }] }]
";
    assert!(problems(yaml).contains("exposure.key: expected a key for the pseudonym"), "{}", problems(yaml));
    let without = yaml.replace("exposure: { unit: pseudonym }\n", "");
    assert_eq!(problems(&without), "accepted; ");
}

#[test]
fn too_many_variants_are_one_problem() {
    let variants = r#"{"id":"a"},"#.repeat(66_000);
    let json = format!(
        r#"{{"version":1,"unit":[{{"cookie":"uid"}}],"experiments":[{{"id":"e","variants":[{}]}}]}}"#,
        variants.trim_end_matches(',')
    );
    let problems = Document::from_json(json.as_bytes()).and_then(|d| compile(&d)).unwrap_err().to_string();
    assert!(problems.contains("at most 64 variants"), "{problems}");
}
