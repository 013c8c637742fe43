//! Planned shares of every dialect against what its arithmetic does, over random parameters: sums that do not meet the
//! system's total, ranges that overlap or leave gaps, variants of weight 0, gates that share the experiment's hash.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use serde_json::{Value, json};
use splitway_engine::{Document, compile};

use crate::configs::{fixed, plan, simple};

const UNITS: u32 = 20_000;
/// One in 10^5 of even splits is further off; a few hundred cases are looked at.
const FAR: f64 = 4.3;

/// From one to four variants, and a salt.
fn cases() -> impl Strategy<Value = (usize, Value)> {
    let of = |count: usize| Union::new(dialects(count)).prop_map(move |dialect| (count, dialect));
    (2_usize..5).prop_flat_map(of)
}

fn name(index: usize) -> String {
    format!("v{index}")
}

/// Ascending ends up to `most`, each of some variant or of nobody.
fn ends(count: usize, most: u32, field: &'static str) -> impl Strategy<Value = Value> {
    let piece = (0..=most, prop::option::weighted(0.8, 0..count));
    prop::collection::vec(piece, 1..6).prop_map(move |pieces| {
        let mut sorted: Vec<u32> = pieces.iter().map(|(end, _)| *end).collect();
        sorted.sort_unstable();
        let named = |(end, (_, variant)): (u32, &(u32, Option<usize>))| json!({ "variant": variant.map(name), field: end });
        sorted.into_iter().zip(&pieces).map(named).collect()
    })
}

/// A range of integers below `most`, in order.
fn pair(most: u32) -> impl Strategy<Value = [u32; 2]> {
    [0..=most, 0..=most].prop_map(|[a, b]| [a.min(b), a.max(b)])
}

fn fractions() -> impl Strategy<Value = [f64; 2]> {
    pair(1_000).prop_map(|pair| pair.map(|end| f64::from(end) / 1_000.0))
}

/// Whole weights that sum to no more than `most`, and to more than 0.
fn weights(count: usize, most: u32) -> impl Strategy<Value = Vec<u32>> {
    let share = most / count as u32;
    prop::collection::vec(prop_oneof![1 => Just(0), 4 => 0..=share], count).prop_map(|mut weights| {
        weights[0] += u32::from(weights.iter().sum::<u32>() == 0);
        weights
    })
}

fn salt() -> impl Strategy<Value = String> {
    "[a-z]{1,8}"
}

fn dialects(count: usize) -> Vec<BoxedStrategy<Value>> {
    let growthbook = move |dialect: &'static str, version: u32| {
        let weights = prop::collection::vec(0.0..1.5 / count as f64, count - 1..=count + 1);
        let exact = prop::collection::vec(1_u32..100, count).prop_map(|weights| {
            let total: u32 = weights.iter().sum();
            weights.iter().map(|weight| f64::from(*weight) / f64::from(total)).collect::<Vec<f64>>()
        });
        let by_weights = (salt(), prop_oneof![weights, exact], 0.3..1.5).prop_map(
            move |(seed, weights, coverage)| json!({ "dialect": dialect, "seed": seed, "weights": weights, "coverage": coverage }),
        );
        // A filter whose seed is the experiment's turns away a part of each range.
        let filter = (select(vec!["s", "other"]), prop::collection::vec(fractions(), 1..3)).prop_map(
            move |(seed, ranges)| json!([{ "seed": seed, "hash_version": version, "ranges": ranges }]),
        );
        let by_ranges = (prop::collection::vec(fractions(), count), prop::option::of(filter)).prop_map(
            move |(ranges, filters)| json!({ "dialect": dialect, "seed": "s", "ranges": ranges, "filters": filters.unwrap_or(json!([])) }),
        );
        Union::new([by_weights.boxed(), by_ranges.boxed()]).boxed()
    };
    let optimizely = (ends(count, 10_000, "end_of_range"), select(vec!["7", "8"]), pair(10_000)).prop_map(
        |(allocation, group, [start, end])| {
            let slots = json!([
                { "experiment_id": "", "end_of_range": start },
                { "experiment_id": "7", "end_of_range": end },
            ]);
            json!({ "dialect": "optimizely", "experiment_id": "7", "traffic_allocation": allocation,
                    "group": { "id": group, "traffic_allocation": slots } })
        },
    );
    let unleash = (salt(), weights(count, 1_300), 20_u32..=100).prop_map(
        |(group, weights, rollout)| json!({ "dialect": "unleash", "group_id": group, "variant_weights": weights, "rollout": rollout }),
    );
    let launchdarkly = (salt(), prop_oneof![weights(count, 100_000), weights(count, 100)]).prop_map(
        |(salt, weights)| json!({ "dialect": "launchdarkly", "flag_key": "f", "salt": salt, "weights": weights }),
    );
    let statsig = (salt(), ends(count, 1_000, "end"), 5.0..100.0, select(vec!["c", "c.r"])).prop_map(
        |(_, groups, pass, group_salt)| {
            json!({ "dialect": "statsig", "config_salt": "c", "rule_salt": "r",
            "groups": groups, "pass_percentage": pass, "group_salt": group_salt })
        },
    );
    let split = (-9_i64..9, weights(count, 100), 10_u32..=100, -9_i64..9, any::<bool>()).prop_map(
        |(seed, sizes, traffic, other, same)| {
            json!({ "dialect": "split", "seed": seed, "sizes": sizes,
            "traffic_allocation": traffic, "traffic_allocation_seed": if same { seed } else { other } })
        },
    );
    let planout = (salt(), prop::option::of(weights(count, 1_000))).prop_map(|(salt, weights)| {
        json!({ "dialect": "planout", "experiment_salt": salt, "parameter_salt": "p", "weights": weights.unwrap_or_default() })
    });
    let shards = prop_oneof![Just(3_u32), Just(100), Just(10_000), Just(3_000_000_000)];
    let eppo = shards.prop_flat_map(move |total| {
        let ranges = prop::collection::vec(prop::collection::vec(pair(total), 0..3), count);
        let traffic = prop::option::of((select(vec!["s", "t"]), prop::collection::vec(pair(total), 1..3)));
        (ranges, traffic).prop_map(move |(ranges, traffic)| {
            let mut found =
                json!({ "dialect": "eppo", "salt": "s", "total_shards": total, "ranges": ranges });
            if let Some((salt, ranges)) = traffic {
                found["traffic"] = json!({ "salt": salt, "ranges": ranges });
            }
            found
        })
    });
    let flagd = (salt(), prop_oneof![weights(count, 7), weights(count, 1 << 30)])
        .prop_map(|(flag, weights)| json!({ "dialect": "flagd", "flag_key": flag, "weights": weights }));
    vec![
        growthbook("growthbook_v1", 1),
        growthbook("growthbook_v2", 2),
        optimizely.boxed(),
        unleash.boxed(),
        launchdarkly.boxed(),
        statsig.boxed(),
        split.boxed(),
        planout.boxed(),
        eppo.boxed(),
        flagd.boxed(),
    ]
}

fn config(count: usize, bucketing: &Value) -> Value {
    let mut config = simple(1);
    let experiment = &mut config["experiments"][0];
    experiment["variants"] = (0..count).map(|index| json!({ "id": name(index) })).collect();
    experiment["bucketing"] = bucketing.clone();
    config
}

/// Pearson's statistic of counts against shares as a z-score (Wilson and Hilferty 1931); classes of few are put together.
fn distance(counts: &[f64], shares: &[f64]) -> Option<f64> {
    let total: f64 = counts.iter().sum();
    let (mut rest, mut classes) = ((0.0, 0.0), Vec::new());
    for (count, share) in counts.iter().zip(shares) {
        let expected = share * total;
        if expected >= 20.0 {
            classes.push((*count, expected));
        } else {
            rest = (rest.0 + count, rest.1 + expected);
        }
    }
    // Few in a class of few: Poisson's chance of as many is below 10^-5.
    assert!(
        rest.0 <= rest.1 + 5.0 * rest.1.sqrt() + if rest.1 > 0.0 { 6.0 } else { 0.0 },
        "{counts:?} of {shares:?}"
    );
    let degrees = classes.len() as f64 - 1.0;
    if degrees < 1.0 {
        return None;
    }
    let of = |(count, expected): &(f64, f64)| (count - expected) * (count - expected) / expected;
    let chi_square: f64 = classes.iter().map(of).sum();
    let variance = 2.0 / (9.0 * degrees);
    Some(((chi_square / degrees).cbrt() - (1.0 - variance)) / variance.sqrt())
}

proptest! {
    #![proptest_config(fixed(160))]

    #[test]
    fn every_dialects_planned_shares_are_those_of_its_units((count, bucketing) in cases()) {
        let plan = plan(&config(count, &bucketing));
        let (_, experiment) = plan.find("e0").unwrap();
        let mut counts = vec![0.0; count];
        for unit in 0..UNITS {
            if let Ok((variant, _)) = experiment.pick(&format!("unit-{unit}")) {
                counts[variant.index()] += 1.0;
            }
        }
        let shares = experiment.shares();
        let sum: f64 = shares.iter().sum();
        prop_assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-9, "{bucketing}: {shares:?}");
        prop_assert!(sum > 0.0 || counts.iter().all(|count| *count == 0.0), "{bucketing}: {counts:?}");
        if let Some(far) = distance(&counts, &shares) {
            prop_assert!(far < FAR, "{bucketing}: {counts:?} of {shares:?}: {far}");
        }
    }
}

/// Each is taken, and was said nothing about while the plan was another than the assignment.
#[test]
fn odd_parameters_are_warned_of() {
    let growthbook = |more: Value| {
        let mut bucketing = json!({ "dialect": "growthbook_v2", "seed": "s" });
        bucketing.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bucketing
    };
    let launchdarkly = |weights: [u32; 2]| json!({ "dialect": "launchdarkly", "flag_key": "f", "salt": "s", "weights": weights });
    for (bucketing, field, shares) in [
        (growthbook(json!({ "weights": [0.9, 0.2] })), Some("weights"), [0.5, 0.5]),
        (growthbook(json!({ "weights": [90.0, 10.0] })), Some("weights"), [0.5, 0.5]),
        (growthbook(json!({ "weights": [0.9, 0.1] })), None, [0.9, 0.1]),
        (growthbook(json!({ "ranges": [[0.0, 0.6], [0.4, 1.0]] })), Some("ranges"), [0.6, 0.4]),
        (growthbook(json!({ "ranges": [[0.3, 0.3], [0.4, 0.4]] })), Some("ranges"), [0.0, 0.0]),
        (growthbook(json!({ "coverage": 2.0 })), Some("coverage"), [0.5, 0.5]),
        (launchdarkly([10_000, 20_000]), Some("weights"), [0.1, 0.9]),
        (launchdarkly([50, 50]), Some("weights"), [0.0005, 0.9995]),
        (launchdarkly([30_000, 70_000]), None, [0.3, 0.7]),
        (
            json!({ "dialect": "eppo", "salt": "s", "ranges": [[[0, 6_000]], [[4_000, 10_000]]] }),
            Some("ranges"),
            [0.6, 0.4],
        ),
        (
            json!({ "dialect": "split", "seed": 3, "sizes": [50, 50], "traffic_allocation": 60, "traffic_allocation_seed": 3 }),
            Some("sizes"),
            [5.0 / 6.0, 1.0 / 6.0],
        ),
        (
            json!({ "dialect": "statsig", "config_salt": "c", "rule_salt": "r", "pass_percentage": 0.5,
                    "groups": [{ "variant": "v0", "end": 500 }, { "variant": "v1", "end": 1_000 }] }),
            Some("pass_percentage"),
            [0.5, 0.5],
        ),
    ] {
        let document = Document::from_json(config(2, &bucketing).to_string().as_bytes()).unwrap();
        let plan = compile(&document).unwrap();
        let (_, experiment) = plan.find("e0").unwrap();
        for (found, expected) in experiment.shares().into_iter().zip(shares) {
            assert!((found - expected).abs() < 2e-6, "{bucketing}: {found}, expected {expected}");
        }
        let warned: Vec<String> = plan.warnings().iter().map(|problem| problem.path.to_string()).collect();
        if cfg!(feature = "advice") {
            let at = field.map(|field| format!("experiments[0].bucketing.{field}"));
            assert_eq!(warned, Vec::from_iter(at), "{bucketing}");
        }
    }
}
