//! Weights, uniformity and independence, through whole plans.

use proptest::prelude::*;
use serde_json::json;
use splitway_engine::{Plan, Timestamp};

use crate::configs::{NOON, fixed, plan, simple};
use crate::requests::Request;

/// One-sided 1 % over the 190 pairs of 20 experiments, twice (Šidák).
const PAIRS_Z: f64 = 4.06;
const EXPERIMENTS: usize = 20;
const UNITS: usize = 20_000;

proptest! {
    #![proptest_config(fixed(6))]

    #[test]
    fn ranges_meet_the_weights_to_rounding(mut weights in prop::collection::vec(0_u32..1_000_000, 1..65)) {
        weights[0] += 1;
        let total: u32 = weights.iter().sum();
        let mut config = simple(1);
        let variant = |(v, weight)| json!({ "id": format!("v{v}"), "weight": weight });
        config["experiments"][0]["variants"] = weights.iter().enumerate().map(variant).collect();
        let plan = plan(&config);
        let (_, experiment) = plan.find("e0").unwrap();
        let mut sum = 0.0;
        let mut ideal = 0.0;
        for (share, weight) in experiment.shares().into_iter().zip(&weights) {
            sum += share;
            ideal += f64::from(*weight) / f64::from(total);
            // Every boundary is rounded once, so a share has two roundings of at most half a bucket.
            prop_assert!((sum - ideal).abs() <= 1.0 / 20_000.0 + 1e-12);
            prop_assert!((share - f64::from(*weight) / f64::from(total)).abs() <= 1.0 / 10_000.0 + 1e-12);
            prop_assert!(*weight > 0 || share == 0.0);
        }
        prop_assert!((sum - 1.0).abs() < 1e-9);
    }
}

#[test]
fn units_meet_the_weights() {
    let mut config = simple(1);
    let weights = [1.0, 3.0, 0.0, 6.0, 90.0];
    let variant = |(v, weight)| json!({ "id": format!("v{v}"), "weight": weight });
    config["experiments"][0]["variants"] = weights.iter().enumerate().map(variant).collect();
    let plan = plan(&config);
    let (_, experiment) = plan.find("e0").unwrap();
    let mut counts = [0_u32; 5];
    for n in 0..200_000 {
        let (variant, _) = experiment.pick(&format!("unit-{n}")).unwrap();
        counts[variant.index()] += 1;
    }
    for (count, weight) in counts.into_iter().zip(weights) {
        let share: f64 = weight / 100.0;
        let (expected, spread) = (200_000.0 * share, (200_000.0 * share * (1.0 - share)).sqrt());
        assert!((f64::from(count) - expected).abs() <= 4.0 * spread, "{count} of weight {weight}");
    }
}

/// What each unit is in, per experiment: 0 for out, else the variant and 1.
fn states(plan: &Plan) -> Vec<Vec<usize>> {
    let mut states = vec![Vec::new(); EXPERIMENTS];
    for n in 0..UNITS {
        let decision = Request::of(&format!("unit-{n}")).decide(plan, Timestamp(NOON));
        for state in &mut states {
            state.push(0);
        }
        for assignment in &decision.assignments {
            if let Some(state) = states[assignment.experiment.index()].last_mut() {
                *state = assignment.variant.index() + 1;
            }
        }
    }
    states
}

/// Pearson's statistic of two experiments' contingency table as a z-score
/// (Wilson and Hilferty 1931).
fn dependence(one: &[usize], other: &[usize], kinds: usize) -> f64 {
    let mut table = vec![vec![0.0; kinds]; kinds];
    for (a, b) in one.iter().zip(other) {
        table[*a][*b] += 1.0;
    }
    let rows: Vec<f64> = table.iter().map(|row| row.iter().sum()).collect();
    let columns: Vec<f64> = (0..kinds).map(|b| table.iter().map(|row| row[b]).sum()).collect();
    let mut chi_square = 0.0;
    let filled = |sums: &[f64]| sums.iter().filter(|sum| **sum > 0.0).count() as f64;
    for (row, row_sum) in table.iter().zip(&rows) {
        for (cell, column_sum) in row.iter().zip(&columns).filter(|(_, sum)| **sum > 0.0) {
            let expected = row_sum * column_sum / UNITS as f64;
            if expected > 0.0 {
                chi_square += (cell - expected) * (cell - expected) / expected;
            }
        }
    }
    let degrees = (filled(&rows) - 1.0) * (filled(&columns) - 1.0);
    let variance = 2.0 / (9.0 * degrees);
    ((chi_square / degrees).cbrt() - (1.0 - variance)) / variance.sqrt()
}

fn worst(plan: &Plan, kinds: usize) -> f64 {
    let states = states(plan);
    let mut worst = f64::NEG_INFINITY;
    for (n, one) in states.iter().enumerate() {
        for other in states.iter().skip(n + 1) {
            worst = worst.max(dependence(one, other, kinds));
        }
    }
    worst
}

#[test]
fn layers_are_independent() {
    let mut config = simple(EXPERIMENTS);
    assert!(worst(&plan(&config), 3) < PAIRS_Z);
    for experiment in config["experiments"].as_array_mut().unwrap() {
        experiment["traffic"] = json!("60%");
        experiment["variants"] = json!([{ "id": "a", "weight": 1 }, { "id": "b", "weight": 2 }]);
    }
    assert!(worst(&plan(&config), 3) < PAIRS_Z);
}

/// The test can fail: one salt for two experiments is noticed.
#[test]
fn a_shared_salt_is_dependent() {
    let mut config = simple(EXPERIMENTS);
    for n in [3, 4] {
        config["experiments"][n]["bucketing"] = json!({ "dialect": "splitway", "salt": "same" });
    }
    assert!(worst(&plan(&config), 3) > 30.0);
}

/// One experiment's units of a layer are an even draw from all units of another.
#[test]
fn an_experiment_of_a_shared_layer_has_its_share() {
    let mut config = simple(2);
    config["layers"] = json!([{ "id": "both" }]);
    for (n, buckets) in [[0, 2_499], [2_500, 9_999]].into_iter().enumerate() {
        config["experiments"][n]["layer"] = json!("both");
        config["experiments"][n]["buckets"] = json!([buckets]);
    }
    let plan = plan(&config);
    let states = states_of_two(&plan);
    assert_eq!(states.iter().filter(|(a, b)| *a == *b).count(), 0, "in both, or in none");
    let first = states.iter().filter(|(a, _)| *a).count() as f64;
    let spread = (UNITS as f64 * 0.25 * 0.75).sqrt();
    assert!((first - UNITS as f64 * 0.25).abs() < 4.0 * spread, "{first}");
}

fn states_of_two(plan: &Plan) -> Vec<(bool, bool)> {
    (0..UNITS)
        .map(|n| {
            let entered = Request::of(&format!("unit-{n}")).entered(plan, Timestamp(NOON));
            (entered.contains_key("e0"), entered.contains_key("e1"))
        })
        .collect()
}
