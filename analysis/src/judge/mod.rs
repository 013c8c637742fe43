//! From sufficient statistics to a verdict.
//!
//! The order is the practice's: first whether the split is what was planned (a mismatch makes everything else
//! worthless), then the guardrails, then the metric that decides.

mod compare;
mod doubt;
mod judgement;
mod rules;
mod shown;
mod verdict;

use std::collections::BTreeMap;

use crate::reduce::Group;
use compare::{Table, adjust_secondary};
pub use doubt::{Doubt, Skew};
pub use judgement::{
    Arm, Coded, Comparison, Effect, Evidence, Judgement, Kind, MetricResult, Mismatch, Needed, Planning,
    Point, SampleRatio, Segment, Unmeasured, Value, Verdict,
};
pub use rules::{Directions, Method, Rules};
pub use shown::{date, level, probability};
pub(crate) use verdict::Guard;

/// Judges one experiment by its rules.
#[must_use]
pub fn judge(rules: &Rules, evidence: &Evidence<'_>) -> Judgement {
    let own: Vec<&Group> =
        evidence.groups.iter().filter(|group| group.experiment == rules.experiment).collect();
    let takes_part = |(variant, share): &&(String, f64)| *variant != rules.control && *share > 0.0;
    let treatments = rules.shares.iter().filter(takes_part).count().max(1);
    let alpha = rules.alpha / treatments as f64;
    let quantiles =
        evidence.quantiles.iter().filter(|quantile| quantile.experiment == rules.experiment).collect();
    let (columns, outcomes) = (&evidence.columns, evidence.outcomes);
    let table = Table { rules, groups: own, columns, quantiles, outcomes, alpha };
    let mut metrics: Vec<MetricResult> =
        rules.metrics.iter().map(|(metric, role)| table.metric(metric, *role)).collect();
    metrics.sort_by_key(|metric| metric.role);
    adjust_secondary(&mut metrics);
    let sum = |of: fn(&Group) -> f64| table.groups.iter().map(|group| of(group)).sum();
    let is_known = |group: &Group| rules.shares.iter().any(|(variant, _)| *variant == group.variant);
    let others = table.groups.iter().filter(|group| !is_known(group));
    let elsewhere = others.map(|group| group.moments.count()).sum();
    let mut judgement = Judgement {
        experiment: rules.experiment.clone(),
        verdict: Verdict::Inconclusive,
        treatment: None,
        reasons: Vec::new(),
        remarks: Vec::new(),
        method: rules.method.clone(),
        tuned_for: rules.tuned_for,
        alpha,
        arms: table.arms(),
        sample_ratio: table.sample_ratio(),
        units_in_two_variants: sum(|group| group.in_two),
        units_in_progress: sum(|group| group.in_progress),
        units_elsewhere: elsewhere,
        outcomes: sum(|group| group.outcomes),
        outcomes_inside: sum(|group| group.inside),
        integrity: evidence.integrity.map(|all| all.get(&rules.experiment).cloned().unwrap_or_default()),
        metrics,
    };
    judgement.decide(rules);
    judgement.remark(rules);
    judgement
}

/// Experiments of the groups that the rules do not have, with their units.
#[must_use]
pub fn unknown(rules: &[Rules], groups: &[Group]) -> BTreeMap<String, f64> {
    let mut unknown = BTreeMap::new();
    for group in groups.iter().filter(|group| !rules.iter().any(|r| r.experiment == group.experiment)) {
        *unknown.entry(group.experiment.clone()).or_default() += group.moments.count();
    }
    unknown
}

#[cfg(test)]
mod tests {
    use splitway_stats::Moments;
    use splitway_stats::group_sequential::Spending;

    use super::*;
    use crate::finding::{Gap, Reason};
    use crate::integrity::Integrity;
    use crate::metric::Metric;
    use crate::metric::{Columns, Role};

    fn sentences_of(found: &Judgement) -> String {
        found.reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ")
    }

    fn rules(guardrails: &[&str]) -> Rules {
        let mut metrics: Vec<(Metric, Role)> =
            guardrails.iter().map(|name| (Metric::named(name), Role::Guardrail)).collect();
        metrics.push((Metric::named("orders"), Role::Primary));
        Rules {
            experiment: "button".to_owned(),
            shares: [("control", 0.5), ("big", 0.25), ("huge", 0.25)]
                .map(|(v, s)| (v.to_owned(), s))
                .to_vec(),
            control: "control".to_owned(),
            metrics,
            margins: BTreeMap::new(),
            alpha: 0.05,
            power: 0.8,
            effect: Some(0.01),
            min_units: 1000,
            tuned_for: 1000,
            method: Method::Fixed,
        }
    }

    /// `units` of which `share` have an order; column 0 is a guardrail's, of which 1 % have one.
    fn group(variant: &str, segment: &str, units: f64, share: f64) -> Group {
        let (bad, good) = (0.01 * units, share * units);
        let moments = Moments::from_sums(units, &[bad, good], &[bad, 0.0, 0.0, good]).unwrap();
        let (experiment, variant) = ("button".to_owned(), variant.to_owned());
        let segment = segment.to_owned();
        Group {
            experiment,
            variant,
            segment,
            day: 20_000,
            in_two: 0.0,
            in_progress: 0.0,
            outcomes: 0.0,
            inside: 0.0,
            moments,
        }
    }

    fn judged(rules: &Rules, groups: &[Group]) -> Judgement {
        let metrics = [Metric::named("complaints"), Metric::named("orders")];
        judge(rules, &Evidence { groups, columns: Columns::of(&metrics, false), ..Evidence::default() })
    }

    fn arms(segment: &str, units: f64) -> Vec<Group> {
        vec![
            group("control", segment, 2.0 * units, 0.10),
            group("big", segment, units, 0.10),
            group("huge", segment, units, 0.15),
        ]
    }

    #[test]
    fn the_best_of_two_treatments_is_shipped() {
        let found = judged(&rules(&["complaints"]), &arms("", 4000.0));
        assert_eq!((found.verdict, found.treatment.as_deref()), (Verdict::Ship, Some("huge")), "{found:?}");
        assert_eq!(found.alpha, 0.025);
        assert!(
            found.reasons.iter().any(|reason| reason.treatment.as_deref() == Some("big")),
            "{:?}",
            found.reasons
        );
    }

    #[test]
    fn without_a_measured_guardrail_nothing_is_shipped() {
        let none = judged(&rules(&[]), &arms("", 4000.0));
        assert_eq!(none.verdict, Verdict::Inconclusive);
        let missing = judged(&rules(&["latency_p95"]), &arms("", 4000.0));
        assert_eq!(missing.verdict, Verdict::Inconclusive);
        assert!(
            missing.reasons[0].to_string().contains("latency_p95 could not be measured"),
            "{:?}",
            missing.reasons
        );
    }

    #[test]
    fn too_few_units_say_nothing() {
        let found = judged(&rules(&["complaints"]), &arms("", 900.0));
        assert_eq!(found.verdict, Verdict::Inconclusive);
        assert!(
            found.reasons[0].to_string().contains("900 units in the smaller arm, 1000 are needed"),
            "{:?}",
            found.reasons
        );
        assert_eq!(judged(&rules(&["complaints"]), &[]).verdict, Verdict::Inconclusive);
    }

    /// 1 % of `arms`' units have the guardrail's event; this many of the treatments'.
    fn with_complaints(share: f64) -> Vec<Group> {
        let mut groups = arms("", 4000.0);
        for group in &mut groups[1..] {
            let (bad, good) = (share * 4000.0, group.moments.mean(1) * 4000.0);
            group.moments = Moments::from_sums(4000.0, &[bad, good], &[bad, 0.0, 0.0, good]).unwrap();
        }
        groups
    }

    #[test]
    fn a_guardrail_needs_a_direction() {
        let mut rules = rules(&["complaints"]);
        let said = |rules: &Rules, share: f64| {
            let found = judged(rules, &with_complaints(share));
            (found.verdict, sentences_of(&found))
        };
        let (verdict, why) = said(&rules, 0.03);
        assert_eq!(verdict, Verdict::Inconclusive, "{why}");
        assert!(why.contains("guardrail complaints moved, and nothing states which way is better"), "{why}");
        assert_eq!(said(&rules, 0.01).0, Verdict::Ship, "it did not move");
        rules.metrics[0].0.is_lower_better = Some(true);
        let (verdict, why) = said(&rules, 0.03);
        assert!(verdict == Verdict::DoNotShip && why.contains("guardrail complaints got worse"), "{why}");
        rules.metrics[0].0.is_lower_better = Some(false);
        assert_eq!(said(&rules, 0.03).0, Verdict::Ship);
    }

    #[test]
    fn a_margin_must_be_ruled_out() {
        let mut rules = rules(&["complaints"]);
        rules.metrics[0].0.is_lower_better = Some(true);
        let said = |rules: &Rules, margin: f64, share: f64| {
            let mut rules = rules.clone();
            rules.margins.insert("complaints".to_owned(), margin);
            let found = judged(&rules, &with_complaints(share));
            (found.verdict, sentences_of(&found))
        };
        // Four standard errors are .009.
        let (verdict, why) = said(&rules, 0.02, 0.01);
        assert!(verdict == Verdict::Ship && why.contains("worse by more than 0.02 is ruled out"), "{why}");
        let (verdict, why) = said(&rules, 0.001, 0.01);
        assert!(verdict == Verdict::Inconclusive && why.contains("0.001 is allowed"), "{why}");
        assert_eq!(said(&rules, 0.01, 0.03).0, Verdict::DoNotShip);
        assert_eq!(said(&rules, 0.05, 0.03).0, Verdict::Ship, "worse, but by no more than may be");
        let (verdict, why) =
            (judged(&rules, &with_complaints(0.01)).verdict, judged(&rules, &with_complaints(0.01)).reasons);
        assert!(
            verdict == Verdict::Ship && why.iter().any(|why| why.to_string().contains("no margin is set")),
            "{why:?}"
        );
    }

    /// No error anywhere is good news: at most 3 / n of the units have one (95 %, one-sided; rule of three).
    #[test]
    fn an_event_that_never_happened_is_measured() {
        let mut rules = rules(&["http_5xx_rate"]);
        rules.margins.insert("http_5xx_rate".to_owned(), 0.01);
        let metrics = [Metric::named("http_5xx_rate"), Metric::named("orders")];
        let groups: Vec<Group> = arms("", 4000.0)
            .into_iter()
            .map(|mut group| {
                let (units, good) = (group.moments.count(), group.moments.mean(1) * group.moments.count());
                let products = [0.0, 0.0, 0.0, 0.0, units, good, 0.0, good, good];
                group.moments = Moments::from_sums(units, &[0.0, units, good], &products).unwrap();
                group
            })
            .collect();
        let evidence =
            Evidence { groups: &groups, columns: Columns::of(&metrics, false), ..Evidence::default() };
        let found = judge(&rules, &evidence);
        assert_eq!(found.verdict, Verdict::Ship, "{found:?}");
        let interval = found.metrics[0].comparisons[0].interval;
        assert!(interval.high > 3.0 / 4000.0 && interval.high < 6.0 / 4000.0, "{interval:?}");
        rules.margins.insert("http_5xx_rate".to_owned(), 0.0005);
        assert_eq!(judge(&rules, &evidence).verdict, Verdict::Inconclusive);
    }

    fn of_two(rules: &mut Rules) {
        rules.shares = vec![("control".to_owned(), 0.5), ("big".to_owned(), 0.5)];
    }

    /// Moments of 0 and 1 in each column.
    fn zero_or_one(variant: &str, units: f64, ones: &[f64], both: impl Fn(usize, usize) -> f64) -> Group {
        let products: Vec<f64> =
            (0..ones.len()).flat_map(|i| (0..ones.len()).map(|j| both(i, j)).collect::<Vec<_>>()).collect();
        let moments = Moments::from_sums(units, ones, &products).unwrap();
        Group { moments, outcomes: 9.0, inside: 9.0, ..group(variant, "", 1.0, 0.0) }
    }

    /// Of 2,000 units an arm 28 had a sale, so that 0 refunds rule little out.
    #[test]
    fn a_rare_denominator_makes_few_trials() {
        let mut rules = rules(&[]);
        of_two(&mut rules);
        let metric = Metric::parse("refunds=any(refund)/any(sale)").unwrap();
        rules.metrics = vec![(metric.clone(), Role::Guardrail)];
        let both = |i: usize, j: usize| if i == 1 && j == 1 { 28.0 } else { 0.0 };
        let groups = ["control", "big"].map(|variant| zero_or_one(variant, 2000.0, &[0.0, 28.0], both));
        let names = BTreeMap::from([("refund".to_owned(), 1), ("sale".to_owned(), 56)]);
        let evidence = Evidence {
            groups: &groups,
            columns: Columns::of(&[metric], false),
            outcomes: Some(&names),
            ..Evidence::default()
        };
        let found = judge(&rules, &evidence);
        let interval = found.metrics[0].comparisons[0].interval;
        // Wilson's bound for 0 of 28 is z^2 / (28 + z^2) = .1206.
        assert!(
            (interval.high - 0.1206).abs() < 1e-3 && (interval.low + 0.1206).abs() < 1e-3,
            "{interval:?}"
        );
        // A summary does not say whether anybody recorded it.
        let unknown = judge(&rules, &Evidence { outcomes: None, ..evidence });
        assert!(unknown.metrics[0].problem == Some(Gap::ZeroInSummary));
    }

    /// Fisher's exact p of 0 against 4 of 2,000 is .125; Wald's would be .045.
    #[test]
    fn none_against_few_proves_nothing() {
        let mut rules = rules(&[]);
        of_two(&mut rules);
        let metric = Metric::parse("refunds=any(refund)").unwrap();
        rules.metrics = vec![(metric.clone(), Role::Guardrail)];
        rules.metrics[0].0.is_lower_better = Some(true);
        let names = BTreeMap::from([("refund".to_owned(), 4)]);
        for (events, effect) in [(4.0, Effect::Unclear), (9.0, Effect::Worse)] {
            let groups = [
                zero_or_one("control", 2000.0, &[0.0], |_, _| 0.0),
                zero_or_one("big", 2000.0, &[events], |_, _| events),
            ];
            for method in [Method::Fixed, Method::Sequential] {
                rules.method = method;
                let columns = Columns::of(std::slice::from_ref(&metric), false);
                let outcomes = Some(&names);
                let found =
                    judge(&rules, &Evidence { groups: &groups, columns, outcomes, ..Evidence::default() });
                let c = &found.metrics[0].comparisons[0];
                if rules.method == Method::Fixed {
                    assert_eq!(c.effect, effect, "{c:?}");
                }
                assert_eq!(c.p < 0.05, !c.interval.contains(0.0), "{c:?}");
            }
        }
    }

    #[test]
    fn small_parts_are_not_tested_on_their_own() {
        let mut rules = rules(&["complaints"]);
        rules.shares = vec![("control".to_owned(), 0.99), ("big".to_owned(), 0.01)];
        // Of 110 units 1.1 are planned, 8 are there: the chi-square's p is 3e-11, Poisson's 3e-5.
        let odd = |big: f64| {
            let days = (0..60).flat_map(|day| {
                let big = if day == 0 { big } else { 1.0 };
                let of = move |variant: &str, units: f64| Group { day, ..group(variant, "", units, 0.1) };
                [of("control", 110.0 - big), of("big", big)]
            });
            judged(&rules, &days.collect::<Vec<_>>())
        };
        let found = odd(8.0);
        assert_eq!(found.sample_ratio.tested, 0, "{:?}", found.sample_ratio);
        assert_ne!(found.verdict, Verdict::Invalid, "{:?}", found.reasons);
    }

    #[test]
    fn a_summary_of_other_variants_is_refused() {
        let mut groups = arms("", 4000.0);
        groups.push(group("giant", "", 50.0, 0.1));
        let found = judged(&rules(&["complaints"]), &groups);
        assert_eq!(found.verdict, Verdict::Invalid);
        assert!(
            found.reasons[0].to_string().contains("50 units are of variants that the config does not have")
        );
    }

    #[test]
    fn a_guardrail_of_the_proxy_that_tripped_is_the_reason() {
        let tripped = Integrity { tripped: 7, ..Integrity::default() };
        let checked = BTreeMap::from([("button".to_owned(), tripped)]);
        let groups = [group("control", "", 9000.0, 0.1), group("big", "", 4000.0, 0.1)];
        let metrics = [Metric::named("complaints"), Metric::named("orders")];
        let columns = Columns::of(&metrics, false);
        let evidence =
            Evidence { groups: &groups, columns, integrity: Some(&checked), ..Evidence::default() };
        let mut rules = rules(&["complaints"]);
        assert_eq!(judge(&rules, &evidence).verdict, Verdict::Invalid, "one of two treatments");
        rules.shares = vec![("control".to_owned(), 0.5), ("big".to_owned(), 0.5)];
        let found = judge(&rules, &evidence);
        assert_eq!(found.verdict, Verdict::DoNotShip);
        assert!(
            found.reasons[0].to_string().contains("7 exposures got the control instead"),
            "{:?}",
            found.reasons
        );
    }

    #[test]
    fn a_lone_variant_that_tripped_is_not_shipped() {
        let checked =
            BTreeMap::from([("button".to_owned(), Integrity { tripped: 7, ..Integrity::default() })]);
        let groups = [group("big", "", 9000.0, 0.1)];
        let metrics = [Metric::named("complaints"), Metric::named("orders")];
        let columns = Columns::of(&metrics, false);
        let evidence =
            Evidence { groups: &groups, columns, integrity: Some(&checked), ..Evidence::default() };
        let mut rules = rules(&["complaints"]);
        (rules.shares, rules.control) = (vec![("big".to_owned(), 1.0)], "big".to_owned());
        let found = judge(&rules, &evidence);
        assert_eq!((found.verdict, found.treatment.as_deref()), (Verdict::DoNotShip, Some("big")));
        assert!(
            found.reasons[0].to_string().contains("switched `big` off: 7 exposures"),
            "{:?}",
            found.reasons
        );
    }

    /// What is missing is named, so that a typing error is not taken for an effect of nothing.
    #[test]
    fn outcomes_that_are_not_there_are_told_from_those_that_do_not_vary() {
        let names = BTreeMap::from([("order".to_owned(), 5)]);
        let mut rules = rules(&[]);
        rules.shares = vec![("control".to_owned(), 0.5), ("big".to_owned(), 0.5)];
        let said = |name: &str, of_units: f64, inside: f64| {
            let metrics = [Metric::named(name)];
            let mut rules = rules.clone();
            rules.metrics = vec![(metrics[0].clone(), Role::Primary)];
            let empty = |variant: &str| {
                let moments = Moments::from_sums(2000.0, &[0.0], &[0.0]).unwrap();
                Group { moments, outcomes: of_units, inside, ..group(variant, "", 1.0, 0.0) }
            };
            let groups = [empty("control"), empty("big")];
            let columns = Columns::of(&metrics, false);
            let evidence =
                Evidence { groups: &groups, columns, outcomes: Some(&names), ..Evidence::default() };
            judge(&rules, &evidence).metrics[0].problem.clone().unwrap().to_string()
        };
        assert!(said("ordr", 2.0, 2.0).contains("no outcome is called `ordr`; there are order"));
        assert!(said("order", 0.0, 0.0).contains("--raw-units"));
        assert!(said("order", 2.0, 0.0).contains("inside the window"));
        assert_eq!(said("order", 2.0, 2.0), "the same for all units");
    }

    /// Two segments that are off in opposite ways look right together.
    #[test]
    fn a_mismatch_of_one_segment_is_found() {
        let mut groups = arms("desktop", 4000.0);
        groups.extend(arms("phone", 4000.0));
        assert_eq!(judged(&rules(&["complaints"]), &groups).verdict, Verdict::Ship);
        groups[0] = group("control", "desktop", 7200.0, 0.10);
        groups[3] = group("control", "phone", 8800.0, 0.10);
        let found = judged(&rules(&["complaints"]), &groups);
        assert!(found.sample_ratio.p.unwrap() > 0.9);
        assert_eq!(found.verdict, Verdict::Invalid);
        assert_eq!(found.sample_ratio.mismatches.len(), 2, "{:?}", found.sample_ratio);
        assert!(found.reasons[0].to_string().contains("segment `desktop`"), "{:?}", found.reasons);
    }

    /// Bounds of early looks are wide: 4.8769 standard errors for the first of five at .05 (Lan and DeMets 1983).
    #[test]
    fn planned_looks_decide_by_their_bounds() {
        let mut rules = rules(&["complaints"]);
        rules.shares = vec![("control".to_owned(), 0.5), ("big".to_owned(), 0.5)];
        let groups = [group("control", "", 4000.0, 0.10), group("big", "", 4000.0, 0.125)];
        assert_eq!(judged(&rules, &groups).verdict, Verdict::Ship);
        let at = |looks: &[f64]| {
            let mut rules = rules.clone();
            rules.method = Method::Planned { spending: Spending::ObrienFleming, looks: looks.to_vec() };
            judged(&rules, &groups)
        };
        let early = at(&[0.2]);
        assert_eq!(early.verdict, Verdict::Inconclusive);
        let c = &early.metrics[1].comparisons[0];
        let bound = (c.interval.high - c.fixed.absolute) / c.fixed.standard_error;
        assert!((bound - 4.8769).abs() < 1.5e-4, "{bound}");
        assert_eq!(at(&[0.2, 0.4, 0.6, 0.8, 1.0]).verdict, Verdict::Ship);
        assert!(at(&[0.4, 0.2]).metrics[1].problem.is_some(), "looks go backwards");
    }

    /// The plan's own effect needs the units that found it: 3,841 an arm for .10 v .12 (pooled).
    #[test]
    fn the_plan_says_what_the_traffic_finds() {
        let mut rules = rules(&["complaints"]);
        rules.shares = vec![("control".to_owned(), 0.5), ("big".to_owned(), 0.5)];
        rules.effect = Some(0.02);
        let found = judged(&rules, &[group("control", "", 3841.0, 0.10), group("big", "", 3841.0, 0.12)]);
        let plan = found.metrics[1].comparisons[0].plan.clone().unwrap();
        assert!((plan.detectable - 0.02).abs() < 2e-5, "{plan:?}");
        assert!((plan.rows[2].control - 3841.0).abs() < 10.0 && plan.rows[2].days == 1.0, "{plan:?}");
        assert_eq!(plan.rows[0].days, 4.0);
        assert!((plan.after(4.0) - plan.detectable / 2.0).abs() < 1e-5);
        assert!(found.metrics[0].comparisons[0].plan.is_none(), "of the primary metric only");
        // Looking at any time costs more: the sequence tuned for 2,000 units is 3.1340 standard errors wide after 7,682.
        rules.method = Method::Sequential;
        let found = judged(&rules, &[group("control", "", 3841.0, 0.10), group("big", "", 3841.0, 0.12)]);
        let always = found.metrics[1].comparisons[0].plan.as_ref().unwrap();
        let longer = (3.1340 + 0.8416) / (1.9600 + 0.8416);
        // A single look is planned by t, the sequence by z: at 7,680 degrees of freedom they differ by 1.2 in 10,000.
        assert!((always.detectable / plan.detectable / longer - 1.0).abs() < 3e-4, "{always:?}");
        assert!((always.after(1.0) - always.detectable).abs() < 1e-12, "{always:?}");
    }

    #[test]
    fn less_may_be_better() {
        let mut rules = rules(&["complaints"]);
        rules.metrics[1].0.is_lower_better = Some(true);
        let found = judged(&rules, &arms("", 4000.0));
        // Huge got worse; the interval of big still holds an effect of a point.
        assert_eq!(
            (found.verdict, found.treatment.as_deref()),
            (Verdict::Inconclusive, Some("big")),
            "{found:?}"
        );
        let standing = found.metrics[1].values[2].standing.unwrap();
        assert!(standing.probability_best < 1e-6);
    }

    /// Two arms with one metric, of units' numbers.
    fn of_numbers(metric: &Metric, arms: &[(&str, Vec<f64>)]) -> Vec<Group> {
        let group_of = |variant: &str, numbers: &Vec<f64>| {
            let centre = numbers.iter().sum::<f64>() / numbers.len().max(1) as f64;
            let sum = |power: i32| numbers.iter().map(|x| (x - centre).powi(power)).sum::<f64>();
            let moments = Moments::from_centred(&splitway_stats::Sums {
                count: numbers.len() as f64,
                centres: vec![centre],
                sums: vec![numbers.iter().sum()],
                products: vec![sum(2)],
                thirds: vec![([0; 3], sum(3))],
            });
            Group { moments: moments.unwrap(), outcomes: 9.0, inside: 9.0, ..group(variant, "", 1.0, 0.0) }
        };
        assert_eq!(Columns::of(std::slice::from_ref(metric), false).triples(), [[0; 3]]);
        arms.iter().map(|(variant, numbers)| group_of(variant, numbers)).collect()
    }

    fn judged_by(rules: &Rules, metric: &Metric, groups: &[Group]) -> Judgement {
        let names = metric.outcomes().map(|name| (name.to_owned(), 9)).collect();
        let columns = Columns::of(std::slice::from_ref(metric), false);
        judge(rules, &Evidence { groups, columns, outcomes: Some(&names), ..Evidence::default() })
    }

    /// One of 8,000 units has 20 or 50 errors, nobody else any: binomial trials made .0024 and 9e-8 of it.
    #[test]
    fn one_retrying_client_flips_no_verdict() {
        let mut rules = rules(&[]);
        of_two(&mut rules);
        let metric = Metric::named("http_5xx_rate");
        rules.metrics = vec![(metric.clone(), Role::Guardrail)];
        rules.metrics.push((Metric::named("orders"), Role::Primary));
        for errors in [20.0, 50.0] {
            for method in [Method::Fixed, Method::Sequential] {
                rules.method = method;
                let arm = |variant: &str, errors: f64| {
                    let (all, with) = (12_000.0 + errors, errors * (3.0 + errors));
                    let squares = 9.0 * 3999.0 + (3.0 + errors).powi(2);
                    let products = [errors * errors, with, with, squares];
                    let moments = Moments::from_sums(4000.0, &[errors, all], &products).unwrap();
                    Group { moments, ..group(variant, "", 1.0, 0.0) }
                };
                let groups = [arm("control", 0.0), arm("big", errors)];
                let found = judged_by(&rules, &metric, &groups);
                let c = &found.metrics[0].comparisons[0];
                assert_eq!((found.verdict, c.effect), (Verdict::Inconclusive, Effect::Unclear), "{c:?}");
                assert!(c.p > 0.3, "{c:?}");
                assert_eq!(c.series.len(), 1);
                assert!(c.series[0].interval.contains(0.0), "{:?}", c.series);
            }
        }
    }

    /// `reweight z=0`, one unit, nobody: each comparison stands alone, and harm of 24.7 points is found.
    #[test]
    fn an_empty_arm_hides_nothing() {
        for (share, units) in [(0.0, 0.0), (0.0001, 1.0), (0.0001, 0.0)] {
            let mut rules = rules(&[]);
            rules.metrics = vec![(Metric::named("orders"), Role::Primary)];
            rules.shares = vec![
                ("control".to_owned(), 0.5 - share / 2.0),
                ("big".to_owned(), 0.5 - share / 2.0),
                ("z".to_owned(), share),
            ];
            let metric = Metric::named("orders");
            let of = |variant: &str, units: f64, rate: f64| {
                let good = (units * rate).round();
                let moments = Moments::from_sums(units, &[good], &[good]).unwrap();
                Group { moments, ..group(variant, "", 1.0, 0.0) }
            };
            let mut groups = vec![of("control", 4000.0, 0.5), of("big", 4000.0, 0.253)];
            if units > 0.0 {
                groups.push(of("z", units, 0.0));
            }
            let found = judged_by(&rules, &metric, &groups);
            assert_eq!(
                (found.verdict, found.treatment.as_deref()),
                (Verdict::DoNotShip, Some("big")),
                "{:?}",
                found.reasons
            );
            let c = &found.metrics[0].comparisons;
            assert!(c.len() == 1 && (c[0].fixed.absolute + 0.247).abs() < 1e-3, "{c:?}");
            assert_eq!(found.alpha, if share == 0.0 { 0.05 } else { 0.025 });
            assert_eq!(found.metrics[0].unmeasured.len(), usize::from(share > 0.0));
        }
    }

    #[test]
    fn units_where_nobody_is_planned_make_it_invalid() {
        let mut rules = rules(&["complaints"]);
        rules.shares[2].1 = 0.0;
        rules.shares[1].1 = 0.5;
        for method in [Method::Fixed, Method::Sequential] {
            rules.method = method;
            let mut groups = vec![group("control", "", 4000.0, 0.1), group("big", "", 4000.0, 0.1)];
            assert_ne!(judged(&rules, &groups).verdict, Verdict::Invalid);
            groups.push(group("huge", "", 30.0, 0.1));
            assert_eq!(judged(&rules, &groups).verdict, Verdict::Invalid);
        }
    }

    /// A loss of 10 that becomes one of 5 is 50 % better.
    #[test]
    fn a_smaller_loss_is_a_rise() {
        let mut rules = rules(&["complaints"]);
        of_two(&mut rules);
        let metric = Metric::named("profit");
        rules.metrics = vec![(metric.clone(), Role::Primary)];
        let numbers = |mean: f64| (0..2000).map(|i| mean + f64::from(i % 7) - 3.0).collect::<Vec<_>>();
        let found = judged_by(
            &rules,
            &metric,
            &of_numbers(&metric, &[("control", numbers(-10.0)), ("big", numbers(-5.0))]),
        );
        let c = &found.metrics[0].comparisons[0];
        let relative = c.relative_interval.unwrap();
        assert!((c.fixed.relative.unwrap() - 0.5).abs() < 1e-3, "{c:?}");
        assert!(0.47 < relative.low && relative.high < 0.53 && c.effect == Effect::Better, "{c:?}");
    }

    /// scipy.stats.ttest_ind(equal_var=False) of the same numbers: p = .028.
    #[test]
    fn a_large_mean_costs_no_digits() {
        let mut rules = rules(&[]);
        of_two(&mut rules);
        let metric = Metric::named("size");
        rules.metrics = vec![(metric.clone(), Role::Primary)];
        // Of deviation 1 and LIFT apart: t = LIFT sqrt(n / 2).
        let numbers = |lift: f64| {
            (0..2000).map(|i| 1e7 + lift + if i % 2 == 0 { 1.0 } else { -1.0 }).collect::<Vec<_>>()
        };
        let lift = 2.1987 / 1000.0_f64.sqrt();
        let found = judged_by(
            &rules,
            &metric,
            &of_numbers(&metric, &[("control", numbers(0.0)), ("big", numbers(lift))]),
        );
        let c = &found.metrics[0].comparisons[0];
        assert!((c.p - 0.028).abs() < 1e-3, "{c:?}");
    }

    /// What cannot be said is not said: an arm that does not vary has no known error.
    #[test]
    fn constant_arms_prove_nothing() {
        let mut rules = rules(&[]);
        of_two(&mut rules);
        let metric = Metric::named("orders");
        rules.metrics = vec![(metric.clone(), Role::Primary)];
        let four: Vec<f64> = (0..2000).map(|i| if i < 4 { 1.0 } else { 0.0 }).collect();
        let found =
            judged_by(&rules, &metric, &of_numbers(&metric, &[("control", four), ("big", vec![0.0; 2000])]));
        let c = &found.metrics[0].comparisons[0];
        assert_eq!(
            (found.verdict, c.doubt),
            (Verdict::Inconclusive, Some(Doubt::Constant)),
            "{:?}",
            found.reasons
        );
        assert_eq!((c.fixed.relative, c.relative_interval), (None, None));
        let constant = |value: f64| vec![value; 2000];
        let found = judged_by(
            &rules,
            &metric,
            &of_numbers(&metric, &[("control", constant(10.0)), ("big", constant(12.0))]),
        );
        let said = found.metrics[0].problem.clone().unwrap().to_string();
        assert!(said.contains("the same for all units of an arm (10, 12)"), "{said}");
    }

    /// Few units with skewed numbers do not prove harm, whatever the interval.
    #[test]
    fn harm_needs_units_as_shipping_does() {
        let mut rules = rules(&[]);
        of_two(&mut rules);
        let metric = Metric::named("revenue");
        rules.metrics = vec![(metric.clone(), Role::Primary)];
        let arm = |units: u32, every: u32| {
            (0..units)
                .map(|i| if i % every == 0 { f64::from(1 + i % 37).powi(3) } else { 0.0 })
                .collect::<Vec<_>>()
        };
        let groups = |units| of_numbers(&metric, &[("control", arm(units, 5)), ("big", arm(units, 50))]);
        let found = judged_by(&rules, &metric, &groups(500));
        let c = &found.metrics[0].comparisons[0];
        assert_eq!(c.effect, Effect::Worse, "{c:?}");
        assert!(matches!(c.doubt, Some(Doubt::FewUnits { needed: 1000, .. })), "{c:?}");
        assert_eq!(found.verdict, Verdict::Inconclusive, "{:?}", found.reasons);
        assert!(
            found.reasons[0]
                .to_string()
                .contains("500 units in the smaller arm do not prove it, 1000 are needed"),
            "{:?}",
            found.reasons
        );
        assert!(
            found.remarks.iter().any(|said| said.to_string().contains("--cap revenue=p99")),
            "{:?}",
            found.remarks
        );
        assert_eq!(judged_by(&rules, &metric, &groups(2000)).verdict, Verdict::DoNotShip);
        // Numbers that are not skewed need no more than their interval.
        let plain = |mean: f64| (0..300).map(|i| mean + f64::from(i % 7) - 3.0).collect::<Vec<_>>();
        let even = of_numbers(&metric, &[("control", plain(10.0)), ("big", plain(8.0))]);
        assert_eq!(judged_by(&rules, &metric, &even).verdict, Verdict::DoNotShip);
    }

    #[test]
    fn segments_are_judged_by_the_method_and_p_fits_the_interval() {
        let mut rules = rules(&["complaints"]);
        of_two(&mut rules);
        let mut groups = Vec::new();
        for segment in ["desktop", "phone"] {
            groups.push(group("control", segment, 4000.0, 0.10));
            groups.push(group("big", segment, 4000.0, 0.115));
        }
        let planned = Method::Planned { spending: Spending::ObrienFleming, looks: vec![0.5, 0.75] };
        let mut widths = Vec::new();
        for method in [Method::Fixed, planned, Method::Sequential] {
            rules.method = method;
            let found = judged(&rules, &groups);
            let c = &found.metrics[1].comparisons[0];
            assert_eq!(c.p < found.alpha, !c.interval.contains(0.0), "{c:?}");
            assert_eq!(c.segments.len(), 2);
            widths.push(c.segments[0].interval.high - c.segments[0].interval.low);
        }
        assert!(widths[0] < widths[1] && widths[1] < widths[2], "{widths:?}");
        // One look at .5 of the units found z = 2.2: p of that look alone is below .05, and its bound 2.96 is not reached.
        rules.method = Method::Planned { spending: Spending::ObrienFleming, looks: vec![0.5] };
        let found = judged(&rules, &[group("control", "", 4000.0, 0.10), group("big", "", 4000.0, 0.115)]);
        let c = &found.metrics[1].comparisons[0];
        assert!(c.fixed.p < 0.05 && c.p > 0.05 && c.interval.contains(0.0), "{c:?}");
    }

    #[test]
    fn units_asked_for_afterwards_change_no_interval() {
        let mut rules = rules(&["complaints"]);
        of_two(&mut rules);
        rules.method = Method::Sequential;
        let groups = [group("control", "", 4000.0, 0.10), group("big", "", 4000.0, 0.12)];
        let before = judged(&rules, &groups);
        rules.min_units = 100;
        let after = judged(&rules, &groups);
        assert_eq!(before.metrics[1].comparisons[0].p, after.metrics[1].comparisons[0].p);
        assert!(
            after.remarks.iter().any(|said| said.to_string().contains("min_units_per_arm was 1000")),
            "{:?}",
            after.remarks
        );
        assert!(!before.remarks.iter().any(|said| said.to_string().contains("min_units_per_arm was")));
    }
}
