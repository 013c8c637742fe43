//! A month of exposures from the real engine, with outcomes of known effect: faults are found, and none is invented.

use std::collections::BTreeMap;
use std::path::Path;

use splitway_analysis::ingest::Lines;
use splitway_analysis::integrity;
use splitway_analysis::judge::{Directions, Effect, Evidence, Judgement, Method, Rules, Verdict, judge};
use splitway_analysis::metric::{Cap, Columns, Metric, Role};
use splitway_analysis::quantile::{Part, Quantile};
use splitway_analysis::reduce::Tables;
use splitway_analysis::report::page;
use splitway_analysis::sql::Reduction;
use splitway_analysis::{Analysis, Config, Request};
use splitway_engine::{Document, Plan, compile};
use splitway_stats::{cuped, lift};
use world::{CONFIG, DAY, Faults, HOUR, START, World, metrics, reduction};

mod world;

const UNITS: u32 = 10_000;

struct Found {
    all: BTreeMap<String, Judgement>,
    exposures: Lines,
}

impl World {
    fn analyze(&self, faults: Faults, method: Method) -> Found {
        let (exposures, _) = self.month(UNITS, faults);
        let tables = self.tables();
        let checked = integrity::check(&tables, &[&self.plan], None, false).unwrap();
        let groups = tables.reduce(&reduction()).unwrap();
        let rules = Rules::for_plan(&self.plan, &self.config, &metrics(), &Directions::default(), &method);
        let outcomes = tables.outcomes().unwrap();
        let evidence = Evidence {
            groups: &groups,
            columns: reduction().columns,
            outcomes: Some(&outcomes),
            integrity: Some(&checked),
            ..Evidence::default()
        };
        let all = rules.iter().map(|rules| (rules.experiment.clone(), judge(rules, &evidence)));
        Found { all: all.collect(), exposures }
    }
}

#[track_caller]
fn is(found: &Judgement, verdict: Verdict, reason: &str) {
    assert_eq!(found.verdict, verdict, "{:?}", found.reasons);
    assert!(
        found.reasons.iter().any(|said| said.to_string().contains(reason)),
        "{reason}: {:?}",
        found.reasons
    );
}

#[test]
fn a_real_effect_is_shipped_and_none_is_invented_beside_it() {
    let world = World::new();
    let found = world.analyze(Faults { lift: 0.08, ..Faults::default() }, Method::Sequential);
    let button = &found.all["button"];
    is(button, Verdict::Ship, "got better");
    assert_eq!(button.treatment.as_deref(), Some("big"));
    let primary = button.metrics.iter().find(|metric| metric.role == Role::Primary).unwrap();
    let c = &primary.comparisons[0];
    assert!(c.sequential.contains(0.08) && c.fixed.interval.contains(0.08), "{c:?}");
    assert!(c.variance_removed > 0.001, "the habit explains some of it: {}", c.variance_removed);
    assert_eq!(c.series.len(), 28);
    let shipping = &found.all["shipping"];
    is(shipping, Verdict::DoNotShip, "can be ruled out");
    assert!(shipping.metrics.iter().all(|m| m.comparisons.iter().all(|c| c.effect == Effect::Unclear)));
    // Two testers, twice each; the one line that is about nothing.
    assert_eq!(shipping.integrity.as_ref().unwrap().overrides, 4);
    assert_eq!(found.exposures.unrelated, 1);
    assert_eq!(found.exposures.malformed, 0);
    assert_eq!(found.exposures.records, u64::from(UNITS) * 4);
    for judgement in found.all.values() {
        let integrity = judgement.integrity.as_ref().unwrap();
        assert!(integrity.replayed > 19_000 && integrity.wrong_share() == 0.0, "{integrity:?}");
        assert_eq!(judgement.units_in_two_variants, 0.0);
        assert!(integrity.silent_hours.is_empty());
    }
}

#[test]
fn lost_exposures_of_one_arm_make_it_invalid() {
    let found =
        World::new().analyze(Faults { lift: 0.08, lost: 0.15, ..Faults::default() }, Method::Sequential);
    is(&found.all["button"], Verdict::Invalid, "planned shares");
    assert!(found.all["button"].sample_ratio.p_sequential.unwrap() < 0.001);
    assert_ne!(found.all["shipping"].verdict, Verdict::Invalid);
}

#[test]
fn contamination_makes_it_invalid() {
    let found = World::new().analyze(Faults { contaminated: 0.05, ..Faults::default() }, Method::Sequential);
    is(&found.all["button"], Verdict::Invalid, "more than one variant");
    let share = found.all["button"].units_in_two_variants / f64::from(UNITS);
    assert!((0.04..0.06).contains(&share), "{share}");
    assert_eq!(found.all["shipping"].units_in_two_variants, 0.0);
}

#[test]
fn a_log_of_another_split_makes_it_invalid() {
    let found = World::new().analyze(Faults { mixed_up: 0.005, ..Faults::default() }, Method::Sequential);
    is(&found.all["button"], Verdict::Invalid, "does not fit the config");
}

#[test]
fn a_broken_guardrail_stops_a_better_metric() {
    let faults = Faults { lift: 0.08, failing: Some(0.03), ..Faults::default() };
    is(
        &World::new().analyze(faults, Method::Sequential).all["button"],
        Verdict::DoNotShip,
        "http_5xx_rate got worse",
    );
}

#[test]
fn a_lost_log_is_noticed() {
    let found = World::new().analyze(Faults { has_gap: true, ..Faults::default() }, Method::Fixed);
    let silent = &found.all["button"].integrity.as_ref().unwrap().silent_hours;
    assert_eq!(*silent, [300, 301, 302].map(|hour| START / HOUR + hour));
    assert!(
        found.all["button"].remarks.iter().any(|said| said.to_string().contains("3 hours have no exposure"))
    );
}

/// Against sorting all values: units' requests and outcomes, in the variant that they saw first.
#[test]
fn quantiles_are_those_of_the_sorted_values() {
    let world = World::new();
    world.month(UNITS, Faults::default());
    let metrics = [Metric::named("latency_p95"), Metric::parse("order_median=p50(order)").unwrap()];
    let all = world.tables().quantiles(&reduction(), &metrics).unwrap();
    let found: Vec<&Quantile> = all.iter().filter(|q| q.part == Part::All).collect();
    assert_eq!(found.len(), 8, "two metrics, two experiments, two arms");
    assert_eq!(all.len(), 8 + 8 * 28, "and each after 28 days; no segments");
    let mut values: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for line in std::fs::read_to_string(world.path("envoy.log")).unwrap().lines().skip(1) {
        let record: serde_json::Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        if text("feature_flag.result.reason") == "split" {
            let arm = (text("feature_flag.key"), text("feature_flag.result.variant"));
            values.entry(arm).or_default().push(record["splitway.duration_ms"].as_f64().unwrap());
        }
    }
    assert_eq!(values.len(), 4);
    for (at, ((experiment, variant), mut values)) in values.into_iter().enumerate() {
        values.sort_by(f64::total_cmp);
        let q = found[at];
        assert_eq!((&q.experiment, &q.variant), (&experiment, &variant));
        assert_eq!(q.estimate.value, splitway_stats::quantile::quantile(&values, 0.95).unwrap());
        // Visits of a unit are independent in this world, so that the plain error is right, too.
        let plain = splitway_stats::quantile::estimate(&values, 0.95).unwrap().standard_error;
        assert!((q.estimate.standard_error / plain - 1.0).abs() < 0.5, "{q:?} {plain}");
        assert!((4000.0..6000.0).contains(&q.estimate.count), "units, not requests: {q:?}");
    }
    // The last day's is that of all, the first day's of its units alone.
    for q in &found {
        let until = |day: i64| {
            let same = |p: &&Quantile| {
                (&p.experiment, &p.variant, &p.outcome, &p.part)
                    == (&q.experiment, &q.variant, &q.outcome, &Part::Until(START / DAY + day))
            };
            all.iter().find(same).unwrap().estimate
        };
        assert_eq!(until(27), q.estimate);
        let share = until(0).count / q.estimate.count;
        assert!(
            (0.02..0.06).contains(&share) && until(0).standard_error > q.estimate.standard_error,
            "{share}"
        );
    }
    // Orders are 10 to 100, the likelier the dearer; those before the first exposure and after the window do not count.
    assert!(found[4..].iter().all(|q| (50.0..90.0).contains(&q.estimate.value)), "{found:?}");
    assert!(found[4..].iter().all(|q| q.estimate.count < 2000.0), "those with orders: {found:?}");
}

/// Units are divided, so that memory does not grow with the data: nothing changes.
#[test]
fn a_reduction_in_parts_is_the_same() {
    let world = World::new();
    world.month(3000, Faults { contaminated: 0.05, ..Faults::default() });
    let (exposures, outcomes) = ([world.path("e.parquet")], [world.path("o.parquet")]);
    let parts = Tables::open_in_parts(&exposures, &outcomes, &["x".to_owned()], 4000).unwrap();
    let mut all = metrics();
    all.push(Metric::named("http_5xx_rate"));
    all[1].cap = Some(Cap::Percentile(0.95));
    let columns = Columns::of(&all, true);
    all[1].cap = None;
    let plain = Columns::of(&all, true);
    let reduction = Reduction { columns, most_exposures: Some(2), has_excluded: true, ..reduction() };
    let whole = Tables::open(&exposures, &outcomes, &["x".to_owned()]).unwrap();
    let (one, other) = (whole.reduce(&reduction).unwrap(), parts.reduce(&reduction).unwrap());
    assert!(one.len() == 2 * 2 * 28 && one.len() == other.len(), "{} {}", one.len(), other.len());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(
            (&one.experiment, &one.variant, one.day, one.in_two, one.moments.count()),
            (&other.experiment, &other.variant, other.day, other.in_two, other.moments.count())
        );
        assert_eq!(
            (one.in_progress, one.outcomes, one.inside),
            (other.in_progress, other.outcomes, other.inside)
        );
        for i in 0..reduction.columns.len() {
            let (a, b) = (one.moments.mean(i), other.moments.mean(i));
            assert!((a - b).abs() <= 1e-12 * a.abs(), "{a} {b}");
            let (a, b) = (one.moments.covariance(i, i), other.moments.covariance(i, i));
            assert!((a - b).abs() <= 1e-9 * a.abs() + 1e-12, "{a} {b}");
        }
    }
    // The numbers agree where the units are computed twice, and the cap did cut something off.
    let many = Tables::open_in_parts(&exposures, &outcomes, &["x".to_owned()], 6000).unwrap();
    let third = many.reduce(&reduction).unwrap();
    let uncapped = whole.reduce(&Reduction { columns: plain, ..reduction.clone() }).unwrap();
    let mut cut = 0;
    for (((one, other), third), uncapped) in one.iter().zip(&other).zip(&third).zip(&uncapped) {
        for moments in [&other.moments, &third.moments] {
            let (a, b) = (one.moments.skewness_of(&[(1, 1.0)]), moments.skewness_of(&[(1, 1.0)]));
            assert!((a.unwrap() - b.unwrap()).abs() < 1e-6, "{a:?} {b:?}");
            assert!((one.moments.mean(1) - moments.mean(1)).abs() < 1e-9);
        }
        // A group has some 27 units, so of the largest twentieth some groups have none; sums round in their own orders.
        let (capped, plain) = (one.moments.mean(1), uncapped.moments.mean(1));
        assert!(capped <= plain + 1e-9, "{capped} {plain}");
        cut += usize::from(capped < plain - 1e-9);
    }
    assert!(cut > one.len() / 2, "{cut} of {}", one.len());
    let complete = Reduction { is_complete: true, ..reduction.clone() };
    let units = |tables: &Tables| -> f64 {
        tables.reduce(&complete).unwrap().iter().map(|group| group.moments.count()).sum()
    };
    assert_eq!(units(&whole), units(&parts));
    let check = |tables| integrity::check(tables, &[&world.plan], Some(1), true).unwrap();
    assert_eq!(check(&whole), check(&parts));
    assert!(check(&parts)["button"].excluded_units > 2700);
    let metrics = [Metric::named("latency_p95")];
    let quantiles = |tables: &Tables| tables.quantiles(&reduction, &metrics).unwrap();
    for (one, other) in quantiles(&whole).iter().zip(quantiles(&parts)) {
        assert_eq!(
            (&one.part, one.estimate.value, one.estimate.count),
            (&other.part, other.estimate.value, other.estimate.count)
        );
    }
}

/// What one has to know to do the reduction by hand.
#[test]
fn the_reduction_counts_what_it_should() {
    let world = World::new();
    let exposure = |unit: &str, variant: &str, time: &str, reason: &str, status: u16| {
        format!(
            r#"{{"event":"feature_flag.evaluation","timestamp":"2026-11-{time}Z","feature_flag.key":"button","feature_flag.result.variant":"{variant}","feature_flag.result.reason":"{reason}","feature_flag.context.id":"{unit}","http.response.status_code":{status},"splitway.duration_ms":7}}"#
        )
    };
    let shown = |unit: &str| world.plan.show_unit(unit).unwrap();
    let (a, b, c) = (shown("a"), shown("b"), shown("c"));
    let log = [
        exposure(&a, "control", "21T10:00:00", "split", 200),
        exposure(&a, "control", "21T09:00:00", "split", 503),
        exposure(&b, "big", "21T12:00:00", "split", 200),
        exposure(&b, "control", "21T11:59:59", "split", 200),
        exposure(&c, "big", "22T12:00:00", "override", 200),
        exposure("", "big", "22T12:00:00", "split", 200),
        exposure(&c, "big", "22T12:00:00", "split", 200)[..90].to_owned(),
    ];
    let outcomes = "unit,time,metric,value\n\
        a,2026-11-21T09:00:00Z,order,5\n\
        a,2026-11-21T08:59:59Z,order,100\n\
        a,2026-11-28T09:00:00Z,order,1000\n\
        a,2026-11-28T08:59:59Z,order,7\n\
        b,2026-11-22T00:00:00Z,other,9\n\
        c,2026-11-22T13:00:00Z,order,9\n\
        b,never,order,1\n";
    let (lines, outcome_lines) = world.ingest(&log.join("\n"), outcomes);
    assert_eq!((lines.records, lines.without_unit, lines.malformed), (5, 1, 1));
    assert!(lines.examples[0].contains("envoy.log:7: "), "{:?}", lines.examples);
    assert_eq!((outcome_lines.records, outcome_lines.malformed), (6, 1));
    let tables = Tables::open(&[world.path("e.parquet")], &[world.path("o.parquet")], &[]).unwrap();
    let groups = tables.reduce(&reduction()).unwrap();
    // Both units' first exposure was to the control, on one day; c was an override.
    assert_eq!(groups.len(), 1, "{groups:?}");
    let group = &groups[0];
    assert_eq!((group.variant.as_str(), group.in_two, group.moments.count()), ("control", 1.0, 2.0));
    // The window of `b` goes on for three hours after the last outcome.
    assert_eq!((group.in_progress, group.outcomes, group.inside), (1.0, 5.0, 3.0));
    let complete = tables.reduce(&Reduction { is_complete: true, ..reduction() }).unwrap();
    assert_eq!((complete[0].moments.count(), complete[0].in_progress), (1.0, 0.0));
    assert_eq!(
        tables.outcomes().unwrap(),
        BTreeMap::from([("order".to_owned(), 5), ("other".to_owned(), 1)])
    );
    // any, sum, count of orders; errors, requests; then any, sum, count before.
    let sums: Vec<f64> = (0..8).map(|column| group.moments.mean(column) * 2.0).collect();
    assert_eq!(sums, [1.0, 12.0, 2.0, 1.0, 4.0, 1.0, 100.0, 1.0]);
    // A second before the exposure counts where clocks may differ by one: the order of 100, and not as one before.
    let tolerant = tables.reduce(&Reduction { tolerance_ms: 1000, ..reduction() }).unwrap();
    let sums: Vec<f64> = (0..8).map(|column| tolerant[0].moments.mean(column) * 2.0).collect();
    assert_eq!((tolerant[0].inside, sums), (4.0, vec![1.0, 112.0, 3.0, 1.0, 4.0, 0.0, 0.0, 0.0]));
    let excluded = Tables::open(&[world.path("e.parquet")], &[world.path("o.parquet")], &[a]).unwrap();
    let left = excluded.reduce(&Reduction { has_excluded: true, ..reduction() }).unwrap();
    assert_eq!(left[0].moments.count(), 1.0);
    let without_bots = tables.reduce(&Reduction { most_exposures: Some(1), ..reduction() }).unwrap();
    assert!(without_bots.is_empty());
}

/// Exposures of `units` units with `fields` in each, twice; the second one an hour later and with `later` fields.
fn twice(units: u32, fields: &str, later: &str) -> String {
    let line = |unit: u32, hour: u32, fields: &str| {
        format!(
            r#"{{"event":"feature_flag.evaluation","timestamp":"2026-11-21T1{hour}:00:00Z","feature_flag.key":"button","feature_flag.result.variant":"{}","feature_flag.result.reason":"split","feature_flag.context.id":"{unit}"{fields}}}"#,
            if unit.is_multiple_of(2) { "control" } else { "big" }
        )
    };
    let lines = (0..units).flat_map(|unit| [line(unit, 1, later), line(unit, 0, fields)]);
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_unit_keeps_the_segment_that_it_had_first() {
    let world = World::new();
    let log = twice(10, r#","country":"nl""#, r#","country":"be""#);
    std::fs::write(world.path("log"), log).unwrap();
    let (e, quiet) = (world.path("e.parquet"), &mut |_: u64, _: u64| {});
    splitway_analysis::ingest::exposures(&[world.path("log")], Some("country"), None, &e, quiet).unwrap();
    let groups = Tables::open(&[e], &[], &[]).unwrap().reduce(&reduction()).unwrap();
    let found: Vec<(&str, f64)> = groups.iter().map(|g| (g.segment.as_str(), g.moments.count())).collect();
    assert_eq!(found, [("nl", 5.0), ("nl", 5.0)]);
}

/// What does not say its duration or status is not counted as fast, or as well.
#[test]
fn requests_without_a_value_are_not_taken_for_zero() {
    let world = World::new();
    world.ingest(
        &twice(10, r#","http.response.status_code":500,"splitway.duration_ms":8"#, ""),
        "unit,time,metric,value\n",
    );
    let metrics = ["http_5xx_rate", "latency_mean"].map(Metric::named);
    let reduction = Reduction { columns: Columns::of(&metrics, false), ..Reduction::default() };
    let groups = world.tables().reduce(&reduction).unwrap();
    let moments = &groups[0].moments;
    for (metric, value) in metrics.iter().zip([1.0, 8.0]) {
        let Some(cuped::Metric::Ratio { numerator, denominator }) = reduction.columns.metric(metric) else {
            panic!("a ratio: {metric:?}");
        };
        assert_eq!(lift::ratio(moments, numerator, denominator).unwrap().value, value, "{metric:?}");
    }
}

/// Numbers of 10^7 and one more or less: their squares have one digit left for the variance.
#[test]
fn a_large_mean_costs_no_digits_in_the_query() {
    let world = World::new();
    let (log, csv) = (world.path("log"), world.path("sizes.csv"));
    std::fs::write(&log, twice(40, "", "")).unwrap();
    let size = |unit: u32| 10_000_000 + i64::from(unit / 2 % 2) * 2;
    let rows: String =
        (0..40).map(|unit| format!("{unit},2026-11-21T12:00:00Z,size,{}\n", size(unit))).collect();
    std::fs::write(&csv, format!("unit,time,metric,value\n{rows}")).unwrap();
    let (e, o, quiet) = (world.path("e.parquet"), world.path("o.parquet"), &mut |_: u64, _: u64| {});
    splitway_analysis::ingest::exposures(&[log], None, None, &e, quiet).unwrap();
    splitway_analysis::ingest::outcomes(&[csv], None, false, &o, quiet).unwrap();
    let columns = Columns::of(&[Metric::parse("size=sum(size)").unwrap()], false);
    let groups = Tables::open(&[e], &[o], &[])
        .unwrap()
        .reduce(&Reduction { columns, ..Reduction::default() })
        .unwrap();
    assert_eq!(groups.len(), 2);
    for group in groups {
        // Ten of each number: n / (n - 1).
        assert_eq!((group.moments.count(), group.moments.mean(0)), (20.0, 10_000_001.0));
        assert!((group.moments.covariance(0, 0) - 20.0 / 19.0).abs() < 1e-12, "{group:?}");
    }
}

#[test]
fn a_log_of_several_versions_is_compared_with_each() {
    let world = World::new();
    world.month(2000, Faults::default());
    let log = std::fs::read_to_string(world.path("envoy.log")).unwrap();
    let outcomes = std::fs::read_to_string(world.path("outcomes.csv")).unwrap();
    let judged = |log: &str, plans: &[Plan]| {
        world.ingest(log, &outcomes);
        let tables = world.tables();
        let plans: Vec<&Plan> = plans.iter().collect();
        let checked = integrity::check(&tables, &plans, None, false).unwrap();
        let groups = tables.reduce(&reduction()).unwrap();
        let columns = reduction().columns;
        let evidence =
            Evidence { groups: &groups, columns, integrity: Some(&checked), ..Evidence::default() };
        let rules = Rules::for_plan(
            &world.plan,
            &world.config,
            &metrics(),
            &Directions::default(),
            &Method::Sequential,
        );
        judge(rules.iter().find(|rules| rules.experiment == "button").unwrap(), &evidence)
    };
    let plan = |text: &str| compile(&Document::from_yaml(text).unwrap()).unwrap();
    let named = |name: &str| format!(r#""feature_flag.result.variant":"{name}""#);
    let older = plan(&CONFIG.replace("min_units_per_arm: 2000", "min_units_per_arm: 10"));
    let of_older = log.replace(world.plan.content_hash(), older.content_hash());
    let alone = [plan(CONFIG)];
    // Its split is this one's.
    let found = judged(&of_older, &alone);
    let checked = found.integrity.as_ref().unwrap();
    assert_eq!(checked.other_versions.keys().collect::<Vec<_>>(), [older.content_hash()]);
    assert_eq!((checked.replayed, checked.wrong_in_others), (0, 0));
    assert_ne!(found.verdict, Verdict::Invalid);
    assert!(
        found
            .remarks
            .iter()
            .any(|said| said.to_string().contains("of other versions of the config have the variant")),
        "{:?}",
        found.remarks
    );
    // It is not.
    let swapped = of_older
        .replace(&named("control"), "\u{1}")
        .replace(&named("big"), &named("control"))
        .replace('\u{1}', &named("big"));
    is(&judged(&swapped, &alone), Verdict::Invalid, "pass those configs with --older-config");
    // It was another one, and that is known.
    let other = plan(&CONFIG.replace(
        "{ id: control, weight: 50 }, { id: big, weight: 50 }",
        "{ id: big, weight: 50 }, { id: control, weight: 50 }",
    ));
    let of_other = swapped.replace(older.content_hash(), other.content_hash());
    let found = judged(&of_other, &[plan(CONFIG), other]);
    let checked = found.integrity.as_ref().unwrap();
    assert!(checked.replayed == 4000 && checked.wrong_share() == 0.0, "{checked:?}");
    // A variant that nobody knows.
    let huge = of_older.replace(&named("big"), &named("huge"));
    is(&judged(&huge, &alone), Verdict::Invalid, "of a variant that the experiment does not have");
    // Buckets that nobody owns.
    let beyond = log.replace(r#""splitway.bucket":"#, r#""splitway.bucket":9"#);
    is(&judged(&beyond, &alone), Verdict::Invalid, "does not fit the config");
    // A guardrail of the proxy that tripped: in this version it decides, in one before it is over.
    let trip = |log: &str| log.replacen(r#"reason":"split""#, r#"reason":"guardrail""#, 1);
    is(&judged(&trip(&log), &alone), Verdict::DoNotShip, "1 exposure got the control instead");
    let found = judged(&trip(&of_older), &alone);
    assert_eq!(
        found.integrity.as_ref().unwrap().other_reasons,
        BTreeMap::from([("guardrail".to_owned(), 1)])
    );
    assert!(
        !found.reasons.iter().any(|said| said.to_string().contains("switched a variant off")),
        "{:?}",
        found.reasons
    );
}

/// The page that `splitway report` writes. It stays in `target/tmp/report.html`, to be looked at.
#[test]
fn the_report_says_it_all_and_needs_nothing_else() {
    let world = World::new();
    let found = world.analyze(Faults { lift: 0.08, lost: 0.0, ..Faults::default() }, Method::Sequential);
    let config = Config { name: "splitway.yaml", plan: &world.plan, wire: &world.config };
    let request = Request {
        window_ms: Some(7 * DAY),
        segment: Some("os <b>".to_owned()),
        metrics: metrics(),
        ..Request::new(config)
    };
    let lines = Lines { lines: 2, records: 1, malformed: 1, ..Lines::default() };
    let analysis = Analysis {
        config: world.plan.content_hash().to_owned(),
        exposures: Some(Lines { examples: vec!["a.log:1: <script>".to_owned()], ..lines }),
        outcomes: None,
        unexposed: None,
        experiments: found.all.into_values().collect(),
        unknown_experiments: [("old-test".to_owned(), 1234.0)].into(),
    };
    let html = page(&request, &analysis).unwrap();
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html"), &html).unwrap();
    for said in [
        "✓ SHIP",
        "✗ DO NOT SHIP",
        world.plan.content_hash(),
        "Sample ratio: p",
        "<svg",
        "Fieller",
        "a.log:1: &lt;script&gt;",
        "CUPED took",
        "Power: order_rate of big",
        "By intervals that hold at every look, the units so far find",
        "(the config's)",
        "exposures: 1 record in 2 lines, 1 malformed",
        "<td>outcomes count after the first exposure</td><td>7d</td>",
        "<td>segments by</td><td>os &lt;b&gt;</td>",
        "<b>old-test</b> is in the log but not in the config: 1,234 units passed over",
        "<code>mean over units of any(order)</code>",
        "expected loss",
        "with their outcomes known now",
    ] {
        assert!(html.contains(said), "{said}");
    }
    for foreign in ["http://", "https://", "<script", "src=", "url(", "NaN"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}
