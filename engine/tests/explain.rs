//! An explanation says what the decision did.
#![cfg(feature = "yaml")]

use splitway_engine::{Document, ExplainedStep, NoTrace, RequestView, Timestamp, compile};

const CONFIG: &str = "
version: 1
unit: [{ cookie: uid }]
holdouts: [{ id: out, share: 10% }]
layers: [{ id: shared }]
experiments:
  - { id: a, layer: shared, buckets: [[0, 4999]], traffic: 50%, variants: [{ id: x }, { id: y }] }
  - { id: b, layer: shared, buckets: [[5000, 8999]], variants: [{ id: x }, { id: y }] }
  - id: c
    targeting: { unit: { suffix: '7' } }
    variants: [{ id: x }, { id: y }]
    overrides: { y: [user-3] }
  - { id: d, bucketing: { dialect: growthbook_v2, seed: s, coverage: 0.5 }, variants: [{ id: x }, { id: y }] }
  - { id: e, status: paused, variants: [{ id: x }] }
  - { id: f, schedule: { start: 2030-01-01T00:00:00Z }, variants: [{ id: x }] }
";

#[test]
fn every_experiment_has_one_outcome_and_it_is_the_decision() {
    let plan = compile(&Document::from_yaml(CONFIG).unwrap()).unwrap();
    let mut reasons = Vec::new();
    for n in 0..1_000 {
        let cookie = format!("uid=user-{n}");
        let headers: [(&[u8], &[u8]); 1] = [(b"cookie", cookie.as_bytes())];
        let request = RequestView::new(&headers);
        let (explained, explanation) = plan.explain(&request, Timestamp(0));
        assert_eq!(explained, plan.decide(&request, Timestamp(0), &mut NoTrace));
        assert_eq!(explanation.stamp.as_deref(), plan.stamp(&explained).as_deref());
        let mut outcomes = 0;
        for step in &explanation.steps {
            let ExplainedStep::Outcome { experiment, variant, bucket, range, reason, .. } = step else {
                continue;
            };
            outcomes += 1;
            let (handle, compiled) = plan.find(experiment).unwrap();
            let entered = explained.assignments.iter().find(|a| a.experiment == handle);
            let expected = entered.and_then(|a| compiled.variant(a.variant)).map(|v| v.id());
            assert_eq!(variant.as_deref(), expected);
            if let (Some([first, last]), Some(bucket)) = (range, bucket) {
                assert!((first..=last).contains(&bucket));
            }
            if !reasons.contains(reason) {
                reasons.push(reason);
            }
        }
        assert_eq!(outcomes, plan.experiments().count());
    }
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "dialect_excluded",
            "holdout",
            "not_running",
            "not_started",
            "not_targeted",
            "outside_buckets",
            "outside_traffic",
            "override",
            "split"
        ]
    );
}

#[test]
fn runs_of_a_layer_and_an_experiment_cover_all_buckets() {
    let plan = compile(&Document::from_yaml(CONFIG).unwrap()).unwrap();
    for layer in plan.layers() {
        let covered: u32 = layer.owned().map(|run| run.buckets.end - run.buckets.start).sum();
        assert_eq!(covered, 10_000, "{}", layer.id());
    }
    for (_, experiment) in plan.experiments().filter(|(_, experiment)| experiment.hash().is_some()) {
        let covered: u32 = experiment.variant_ranges().map(|(run, _)| run.end - run.start).sum();
        assert_eq!(covered, 10_000, "{}", experiment.id());
    }
}
