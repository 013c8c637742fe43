//! From sufficient statistics to a verdict.
//!
//! The order is the practice's: first whether the split is what was planned (a mismatch makes everything else
//! worthless), then the guardrails, then the metric that decides.

mod compare;
mod rules;
mod verdict;

use std::collections::BTreeMap;

use serde::Serialize;
use splitway_stats::Interval;
use splitway_stats::bayes::Standing;
use splitway_stats::lift::Lift;
use splitway_stats::power::{self, Design, Looks};

use crate::integrity::Integrity;
use crate::metric::{Columns, Role};
use crate::quantile::Quantile;
use crate::reduce::Group;
use compare::{Table, adjust_secondary};
pub use rules::{Directions, Method, Rules};
pub(crate) use verdict::Guard;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// The treatment is better, and breaks nothing.
    Ship,
    /// It is worse, breaks a guardrail, or is not worth it.
    DoNotShip,
    /// The data do not say.
    Inconclusive,
    /// The data are not to be believed.
    Invalid,
}

impl Verdict {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ship => "SHIP",
            Self::DoNotShip => "DO NOT SHIP",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Invalid => "INVALID",
        }
    }
}

/// An experiment's analysis.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The experiment.
    pub experiment: String,
    /// What to do.
    pub verdict: Verdict,
    /// The treatment that the verdict is about; absent without one.
    pub treatment: Option<String>,
    /// Why, the weightiest first.
    pub reasons: Vec<String>,
    /// What else should be known.
    pub remarks: Vec<String>,
    /// Which intervals decided.
    pub method: Method,
    /// Significance level of each comparison with the control: alpha / treatments.
    pub alpha: f64,
    /// In the config's order.
    pub arms: Vec<Arm>,
    /// Whether the arms have the planned shares.
    pub sample_ratio: SampleRatio,
    /// Units seen in more than one variant.
    pub units_in_two_variants: f64,
    /// Units whose window was not over at the last outcome.
    pub units_in_progress: f64,
    /// Units of variants that the config does not have.
    pub units_elsewhere: f64,
    /// Outcomes of the experiment's units, whenever.
    pub outcomes: f64,
    /// Outcomes that count: after the first exposure, inside the window.
    pub outcomes_inside: f64,
    /// What the log says of itself; absent for a summary made elsewhere.
    pub integrity: Option<Integrity>,
    /// Guardrails first.
    pub metrics: Vec<MetricResult>,
}

/// A variant's units.
#[derive(Clone, Debug, Serialize)]
pub struct Arm {
    /// The variant.
    pub variant: String,
    /// Whether it is the control.
    pub is_control: bool,
    /// Units, by their first exposure.
    pub units: f64,
    /// Share of the experiment's units that was planned.
    pub planned: f64,
    /// Share that was seen.
    pub observed: f64,
}

/// Sample-ratio checks.
#[derive(Clone, Debug, Serialize)]
pub struct SampleRatio {
    /// Of all units; absent without units.
    pub p: Option<f64>,
    /// Looked at after every day.
    pub p_sequential: Option<f64>,
    /// The one that decides: of a single look that was planned and has units enough, else that of many.
    #[serde(skip)]
    pub(crate) decides: Option<f64>,
    /// Segments and days on their own, Bonferroni-corrected; those below the threshold.
    pub mismatches: Vec<Mismatch>,
    /// How many segments and days were tested.
    pub tested: usize,
}

/// A part of the units with another split than planned.
#[derive(Clone, Debug, Serialize)]
pub struct Mismatch {
    /// Which part.
    pub part: String,
    /// Corrected probability.
    pub p: f64,
}

/// A metric's results.
#[derive(Clone, Debug, Serialize)]
pub struct MetricResult {
    /// Its name.
    pub name: String,
    /// How it is made.
    pub formula: String,
    /// What it is for.
    pub role: Role,
    /// Whether less is better; absent if nobody said: more is then, but of guardrails.
    pub is_lower_better: Option<bool>,
    /// Of a guardrail: how much worse it may get, absolute.
    pub margin: Option<f64>,
    /// Each variant's value.
    pub values: Vec<Value>,
    /// Each treatment against the control.
    pub comparisons: Vec<Comparison>,
    /// Why there are no numbers.
    pub problem: Option<String>,
}

/// A variant's value of a metric.
#[derive(Clone, Debug, Serialize)]
pub struct Value {
    /// The variant.
    pub variant: String,
    /// The value as it is, without covariates.
    pub value: f64,
    /// Of that value.
    pub standard_error: f64,
    /// Flat prior, all variants together; better is the metric's way. Absent where nothing varies.
    pub standing: Option<Standing>,
}

/// A treatment against the control.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The treatment.
    pub treatment: String,
    /// One look: Welch's t and Fieller's ratio.
    pub fixed: Lift,
    /// At every look, absolute.
    pub sequential: Interval,
    /// At every look, relative.
    pub sequential_relative: Option<Interval>,
    /// At every look.
    pub p_sequential: f64,
    /// The absolute interval that decides, by the judgement's method.
    pub interval: Interval,
    /// The relative one.
    pub relative_interval: Option<Interval>,
    /// What belongs to it; of planned looks, that of this look alone.
    pub p: f64,
    /// Benjamini-Hochberg, over the secondary metrics; absent for others.
    pub p_adjusted: Option<f64>,
    /// Share of the variance that the time before the experiment explained, 0 without covariates.
    pub variance_removed: f64,
    /// What the deciding interval says.
    pub effect: Effect,
    /// By day of first exposure, units so far: what was known then.
    pub series: Vec<Point>,
    /// Segments on their own.
    pub segments: Vec<Segment>,
    /// Of the primary metric: how long which effects take, at the traffic seen.
    pub plan: Option<Planning>,
}

/// What an experiment can find, from the metric and the traffic it had.
#[derive(Clone, Debug, Serialize)]
pub struct Planning {
    /// The metric's standard deviation over units; of ratios and quantiles, standard error times root of units.
    pub deviation: f64,
    /// The control's value.
    pub baseline: f64,
    /// New units of the experiment a day, over the days seen.
    pub daily: f64,
    /// Of these, the share in the control.
    pub share: f64,
    /// Units of the treatment for each of the control.
    pub ratio: f64,
    /// Fewest units an arm: where the sequence is narrowest.
    pub min_units: u64,
    /// Two-sided significance level of the comparison.
    pub alpha: f64,
    /// Probability of finding the effect.
    pub power: f64,
    /// Days so far.
    pub days: f64,
    /// The smallest absolute effect that the units so far find by the judgement's method; of planned looks, the units at
    /// the last one.
    pub detectable: f64,
    /// The config's smallest effect worth having.
    pub wanted: Option<f64>,
    /// Effects around that one, or around `detectable`.
    pub rows: Vec<Needed>,
    /// Units in the control that find `detectable`.
    #[serde(skip)]
    pub(crate) units: f64,
    #[serde(skip)]
    pub(crate) looks: Looks,
}

/// What an effect takes.
#[derive(Clone, Debug, Serialize)]
pub struct Needed {
    /// Absolute.
    pub effect: f64,
    /// Units in the control.
    pub control: f64,
    /// Days until all arms have enough.
    pub days: f64,
}

impl Planning {
    /// The smallest absolute effect that `days` of this traffic find.
    #[must_use]
    pub fn after(&self, days: f64) -> f64 {
        let design = Design { alpha: self.alpha, power: self.power, ratio: self.ratio };
        let units = self.units * days / self.days;
        power::effect_found(self.deviation, units, &design, &self.looks).unwrap_or(f64::INFINITY)
    }
}

/// What an interval says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// All of it is better.
    Better,
    /// All of it is worse.
    Worse,
    /// It holds no zero, and nobody said which way is better.
    Moved,
    /// It holds no change, too.
    Unclear,
}

/// A look.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Days since 1970.
    pub day: i64,
    /// Units of both arms.
    pub units: f64,
    /// Treatment - control.
    pub absolute: f64,
    /// At every look.
    pub interval: Interval,
}

/// A segment's lift.
#[derive(Clone, Debug, Serialize)]
pub struct Segment {
    /// Its name.
    pub segment: String,
    /// Units of both arms.
    pub units: f64,
    /// Treatment - control.
    pub absolute: f64,
    /// One look.
    pub interval: Interval,
    /// Benjamini-Hochberg over the segments.
    pub p_adjusted: f64,
}

/// What is known of experiments.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'e> {
    /// May hold other experiments', too.
    pub groups: &'e [Group],
    /// Of the groups' moments.
    pub columns: Columns,
    /// May hold other experiments', too.
    pub quantiles: &'e [Quantile],
    /// How many outcomes there are of each name; `None` for a summary made elsewhere.
    pub outcomes: Option<&'e BTreeMap<String, u64>>,
    /// What the log says of itself; `None` for a summary made elsewhere.
    pub integrity: Option<&'e BTreeMap<String, Integrity>>,
}

/// Judges one experiment by its rules.
#[must_use]
pub fn judge(rules: &Rules, evidence: &Evidence<'_>) -> Judgement {
    let own: Vec<&Group> =
        evidence.groups.iter().filter(|group| group.experiment == rules.experiment).collect();
    let treatments = rules.shares.len().saturating_sub(1).max(1);
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
    judgement.remark();
    judgement
}

/// An interval's level in percent, for people: `95` for .05.
#[must_use]
pub fn level(alpha: f64) -> f64 {
    ((1.0 - alpha) * 1e6).round() / 1e4
}

/// A probability for people.
#[must_use]
pub fn probability(p: f64) -> String {
    match p {
        0.0 => "<1e-300".to_owned(),
        p if p < 0.001 => format!("{p:.1e}"),
        p => format!("{p:.4}"),
    }
}

/// A day since 1970 as a date.
#[must_use]
pub fn date(day: i64) -> String {
    let text = splitway_engine::Timestamp(day.saturating_mul(86_400_000)).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
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
    use crate::metric::Metric;

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
        assert!(found.reasons.iter().any(|reason| reason.starts_with("big: ")), "{:?}", found.reasons);
    }

    #[test]
    fn without_a_measured_guardrail_nothing_is_shipped() {
        let none = judged(&rules(&[]), &arms("", 4000.0));
        assert_eq!(none.verdict, Verdict::Inconclusive);
        let missing = judged(&rules(&["latency_p95"]), &arms("", 4000.0));
        assert_eq!(missing.verdict, Verdict::Inconclusive);
        assert!(missing.reasons[0].contains("latency_p95 could not be measured"), "{:?}", missing.reasons);
    }

    #[test]
    fn too_few_units_say_nothing() {
        let found = judged(&rules(&["complaints"]), &arms("", 900.0));
        assert_eq!(found.verdict, Verdict::Inconclusive);
        assert!(
            found.reasons[0].contains("900 units in the smaller arm, 1000 are needed"),
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
            (found.verdict, found.reasons.join("; "))
        };
        let (verdict, why) = said(&rules, 0.03);
        assert_eq!(verdict, Verdict::Inconclusive, "{why}");
        assert!(why.contains("guardrail complaints moved, and nothing says which way is better"), "{why}");
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
            (found.verdict, found.reasons.join("; "))
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
            verdict == Verdict::Ship && why.iter().any(|why| why.contains("no margin is set")),
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
        assert!(unknown.metrics[0].problem.as_ref().unwrap().contains("a summary does not say"));
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
        assert!(found.reasons[0].contains("50 units are of variants that the config does not have"));
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
        assert!(found.reasons[0].contains("7 exposures got the control instead"), "{:?}", found.reasons);
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
        assert!(found.reasons[0].contains("switched `big` off: 7 exposures"), "{:?}", found.reasons);
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
            judge(&rules, &evidence).metrics[0].problem.clone().unwrap()
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
        assert!(found.reasons[0].contains("segment `desktop`"), "{:?}", found.reasons);
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
        assert!((plan.after(4.0) - plan.detectable / 2.0).abs() < 1e-12);
        assert!(found.metrics[0].comparisons[0].plan.is_none(), "of the primary metric only");
        // Looking at any time costs more: the sequence tuned for 2,000 units is 3.1340 standard errors wide after 7,682.
        rules.method = Method::Sequential;
        let found = judged(&rules, &[group("control", "", 3841.0, 0.10), group("big", "", 3841.0, 0.12)]);
        let always = found.metrics[1].comparisons[0].plan.as_ref().unwrap();
        let longer = (3.1340 + 0.8416) / (1.9600 + 0.8416);
        assert!((always.detectable / plan.detectable / longer - 1.0).abs() < 1e-4, "{always:?}");
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
}
