//! From sufficient statistics to a verdict.
//!
//! The order is the practice's: first whether the split is what was planned (a mismatch makes everything else
//! worthless), then the guardrails, then the metric that decides.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use splitway_engine::{Plan, wire};
use splitway_stats::bayes::{Posterior, Standing, compare};
use splitway_stats::cuped::adjust;
use splitway_stats::group_sequential::{self, Spending};
use splitway_stats::lift::{Estimate, Lift, lift};
use splitway_stats::power::{self, Design};
use splitway_stats::sequential::ConfidenceSequence;
use splitway_stats::{Error, Interval, Moments, multiple, srm};

use crate::integrity::Integrity;
use crate::metric::{Columns, Metric, Role};
use crate::quantile::{Part, Quantile};
use crate::reduce::Group;

/// More of the replayed log than this differs from the config: it is not this experiment's log.
const MOST_WRONG: f64 = 0.001;
/// A larger share of units in two variants means that units are not kept apart.
const MOST_IN_TWO: f64 = 0.01;
/// Fewer units than this in a segment or a day, and it is not tested on its own.
const FEWEST_UNITS: f64 = 100.0;
/// Fewest units an arm, where the config does not say.
const MIN_UNITS: u64 = 10_000;
/// Probability of finding an effect, where the config does not say.
const POWER: f64 = 0.8;
/// Effects of a plan, as multiples of the one that is asked for.
const MULTIPLES: [f64; 6] = [0.5, 0.75, 1.0, 1.5, 2.0, 3.0];

/// Which intervals decide.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Those that hold at every look.
    Sequential,
    /// Those of a single look, planned beforehand.
    Fixed,
    /// Those of a few looks, planned beforehand (group-sequential bounds).
    Planned {
        /// How alpha is spent over the looks.
        #[serde(skip)]
        spending: Spending,
        /// Shares of the planned units at the looks so far, ascending within (0, 1]; the last one is this look.
        looks: Vec<f64>,
    },
}

impl Method {
    /// When its intervals hold, for people.
    #[must_use]
    pub fn holds(&self) -> String {
        match self {
            Self::Sequential => "at every look".to_owned(),
            Self::Fixed => "for this one look".to_owned(),
            Self::Planned { spending, looks } => {
                let name = match spending {
                    Spending::ObrienFleming => "O'Brien-Fleming",
                    Spending::Pocock => "Pocock",
                };
                let now = looks.last().copied().unwrap_or_default() * 100.0;
                format!("at all planned looks ({name} bounds, look {} at {now} % of the units)", looks.len())
            }
        }
    }
}

/// What an experiment is judged by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The experiment.
    pub experiment: String,
    /// The variants in the config's order, with planned shares of the experiment's units.
    pub shares: Vec<(String, f64)>,
    /// The variant that the others are compared with.
    pub control: String,
    /// Its metrics.
    pub metrics: Vec<(Metric, Role)>,
    /// Significance level, two-sided.
    pub alpha: f64,
    /// Probability with which an effect of `effect` is to be found.
    pub power: f64,
    /// Smallest absolute effect on the primary metric that is worth having.
    pub effect: Option<f64>,
    /// Fewest units in each arm.
    pub min_units: u64,
    /// Which intervals decide.
    pub method: Method,
}

impl Rules {
    /// Of every experiment of a plan. `metrics` define names that the config uses; `lower` are those of
    /// which less is better.
    #[must_use]
    pub fn of(
        plan: &Plan,
        config: &wire::Config,
        metrics: &[Metric],
        lower: &BTreeSet<String>,
        method: &Method,
    ) -> Vec<Self> {
        let define = |name: &str| {
            let known = metrics.iter().find(|metric| metric.name == name);
            let mut metric = known.cloned().unwrap_or_else(|| Metric::named(name));
            metric.is_lower_better |= lower.contains(name);
            metric
        };
        let rules = plan.experiments().map(|(_, experiment)| {
            let stated = config.experiments.iter().find(|stated| stated.id == experiment.id());
            let roles = stated.and_then(|stated| stated.metrics.clone()).unwrap_or_default();
            let analysis = stated.and_then(|stated| stated.analysis.clone()).unwrap_or_default();
            let mut all: Vec<(Metric, Role)> = Vec::new();
            let named = roles.guardrails.iter().map(|name| (name, Role::Guardrail));
            let named = named.chain(roles.primary.iter().map(|name| (name, Role::Primary)));
            let named = named.chain(roles.secondary.iter().map(|name| (name, Role::Secondary)));
            let others = metrics.iter().map(|metric| (&metric.name, Role::Secondary));
            for (name, role) in named.chain(others) {
                if !all.iter().any(|(known, _)| known.name == *name) {
                    all.push((define(name), role));
                }
            }
            if all.is_empty() {
                // What every log has is better than nothing.
                all = ["http_5xx_rate", "latency_mean"].map(|name| (define(name), Role::Secondary)).to_vec();
            }
            let control = experiment.variant(experiment.control()).map_or("", |variant| variant.id());
            Self {
                experiment: experiment.id().to_owned(),
                shares: experiment.variants().iter().map(|v| (v.id().to_owned(), v.share())).collect(),
                control: control.to_owned(),
                metrics: all,
                alpha: analysis.alpha.filter(|alpha| *alpha > 0.0 && *alpha < 1.0).unwrap_or(0.05),
                power: analysis.power.filter(|power| *power > 0.0 && *power < 1.0).unwrap_or(POWER),
                effect: analysis.minimum_detectable_effect,
                min_units: analysis.min_units_per_arm.unwrap_or(MIN_UNITS),
                method: method.clone(),
            }
        });
        rules.collect()
    }
}

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
    /// Whether less is better.
    pub is_lower_better: bool,
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
    /// Two-sided significance level of the comparison.
    pub alpha: f64,
    /// Probability of finding the effect.
    pub power: f64,
    /// Days so far.
    pub days: f64,
    /// The smallest absolute effect that the units so far find, at a single look.
    pub detectable: f64,
    /// The config's smallest effect worth having.
    pub wanted: Option<f64>,
    /// Effects around that one, or around `detectable`.
    pub rows: Vec<Needed>,
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
        self.detectable * (self.days / days).sqrt()
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

/// Judges one experiment by its rules. `groups` and `quantiles` may hold others' too.
#[must_use]
pub fn judge(
    rules: &Rules,
    groups: &[Group],
    columns: &Columns,
    quantiles: &[Quantile],
    integrity: Option<Integrity>,
) -> Judgement {
    let own: Vec<&Group> = groups.iter().filter(|group| group.experiment == rules.experiment).collect();
    let treatments = rules.shares.len().saturating_sub(1).max(1);
    let alpha = rules.alpha / treatments as f64;
    let quantiles = quantiles.iter().filter(|quantile| quantile.experiment == rules.experiment).collect();
    let table = Table { rules, groups: own, columns, quantiles, alpha };
    let arms = table.arms();
    let sample_ratio = table.sample_ratio();
    let mut metrics: Vec<MetricResult> =
        rules.metrics.iter().map(|(metric, role)| table.metric(metric, *role)).collect();
    metrics.sort_by_key(|metric| metric.role);
    adjust_secondary(&mut metrics);
    let in_two = table.groups.iter().map(|group| group.in_two).sum();
    let mut judgement = Judgement {
        experiment: rules.experiment.clone(),
        verdict: Verdict::Inconclusive,
        treatment: None,
        reasons: Vec::new(),
        remarks: Vec::new(),
        method: rules.method.clone(),
        alpha,
        arms,
        sample_ratio,
        units_in_two_variants: in_two,
        integrity,
        metrics,
    };
    judgement.decide(rules);
    judgement.remark();
    judgement
}

struct Table<'t> {
    rules: &'t Rules,
    groups: Vec<&'t Group>,
    columns: &'t Columns,
    quantiles: Vec<&'t Quantile>,
    alpha: f64,
}

impl Table<'_> {
    /// Moments of the units that `is_in`, by variant in the config's order.
    fn moments(&self, is_in: impl Fn(&Group) -> bool) -> Vec<Moments> {
        let merge = |variant: &str| {
            let mut all = Moments::new(self.columns.len());
            for group in self.groups.iter().filter(|group| group.variant == variant && is_in(group)) {
                // All have the reduction's columns.
                let _ = all.merge(&group.moments);
            }
            all
        };
        self.rules.shares.iter().map(|(variant, _)| merge(variant)).collect()
    }

    fn arms(&self) -> Vec<Arm> {
        let moments = self.moments(|_| true);
        let all: f64 = moments.iter().map(Moments::count).sum();
        let arms = self.rules.shares.iter().zip(&moments).map(|((variant, planned), moments)| Arm {
            variant: variant.clone(),
            is_control: *variant == self.rules.control,
            units: moments.count(),
            planned: *planned,
            observed: if all > 0.0 { moments.count() / all } else { 0.0 },
        });
        arms.collect()
    }

    fn check(&self, is_in: impl Fn(&Group) -> bool) -> Option<(f64, Vec<f64>)> {
        let counts: Vec<f64> = self.moments(is_in).iter().map(Moments::count).collect();
        let shares: Vec<f64> = self.rules.shares.iter().map(|(_, share)| *share).collect();
        let found = srm::check(&counts, &shares).ok()?;
        (counts.iter().sum::<f64>() > 0.0 && found.degrees > 0.0).then_some((found.p, counts))
    }

    fn sample_ratio(&self) -> SampleRatio {
        let shares: Vec<f64> = self.rules.shares.iter().map(|(_, share)| *share).collect();
        let mut sequential = srm::Sequential::new(&shares, srm::CONCENTRATION).ok();
        let mut p_sequential = None;
        let mut so_far = vec![0.0; shares.len()];
        let mut parts: Vec<(String, f64)> = Vec::new();
        for day in self.days() {
            let Some((p, counts)) = self.check(|group| group.day == day) else { continue };
            for (so_far, count) in so_far.iter_mut().zip(&counts) {
                *so_far += count;
            }
            if counts.iter().sum::<f64>() >= FEWEST_UNITS {
                parts.push((format!("units first seen on {}", date(day)), p));
            }
            p_sequential = sequential.as_mut().and_then(|check| check.look(&so_far).ok());
        }
        let segments: BTreeSet<&str> = self.groups.iter().map(|group| group.segment.as_str()).collect();
        for segment in segments.iter().filter(|_| segments.len() > 1) {
            if let Some((p, counts)) = self.check(|group| group.segment == *segment)
                && counts.iter().sum::<f64>() >= FEWEST_UNITS
            {
                parts.push((format!("segment `{segment}`"), p));
            }
        }
        let adjusted = multiple::bonferroni(&parts.iter().map(|part| part.1).collect::<Vec<_>>());
        let tested = parts.len();
        let mismatches = parts.into_iter().zip(adjusted).filter(|(_, p)| *p < srm::ALPHA);
        SampleRatio {
            p: self.check(|_| true).map(|found| found.0),
            p_sequential,
            mismatches: mismatches.map(|((part, _), p)| Mismatch { part, p }).collect(),
            tested,
        }
    }

    fn days(&self) -> BTreeSet<i64> {
        self.groups.iter().map(|group| group.day).collect()
    }

    fn metric(&self, metric: &Metric, role: Role) -> MetricResult {
        let mut result = MetricResult {
            name: metric.name.clone(),
            formula: metric.formula(),
            role,
            is_lower_better: metric.is_lower_better,
            values: Vec::new(),
            comparisons: Vec::new(),
            problem: None,
        };
        if metric.quantile.is_some() && self.quantiles.is_empty() {
            result.problem = Some("no values; a summary has none, quantiles need the data".to_owned());
        } else if let Err(problem) = self.fill(metric, &mut result) {
            result.problem = Some(problem.to_string());
            result.comparisons.clear();
        }
        result
    }

    /// Each arm's estimate, and the share of variance that covariates removed.
    fn estimates(
        &self,
        moments: &[Moments],
        metric: &Metric,
        with: &[usize],
    ) -> Result<(Vec<Estimate>, f64), Error> {
        let kind = self.columns.metric(metric).ok_or(Error::NoVariance)?;
        let arms: Vec<&Moments> = moments.iter().collect();
        let adjusted = adjust(&arms, kind, with)?;
        Ok((adjusted.arms, adjusted.variance_removed))
    }

    fn quantile(&self, metric: &Metric, p: f64, part: &Part) -> Result<Vec<Estimate>, Error> {
        let of = |variant: &String| {
            let is_it = |q: &&&Quantile| {
                q.p == p && q.part == *part && q.variant == *variant && q.outcome == metric.numerator.outcome
            };
            self.quantiles.iter().find(is_it).map(|q| q.estimate)
        };
        let all = self.rules.shares.iter().map(|(variant, _)| of(variant));
        all.map(|found| found.ok_or(Error::TooFewUnits { needed: 2.0, found: 0.0 })).collect()
    }

    fn fill(&self, metric: &Metric, result: &mut MetricResult) -> Result<(), Error> {
        let moments = self.moments(|_| true);
        let plain = match metric.quantile {
            Some(p) => self.quantile(metric, p, &Part::All)?,
            None => self.estimates(&moments, metric, &[])?.0,
        };
        let sign = if metric.is_lower_better { -1.0 } else { 1.0 };
        let posteriors: Result<Vec<Posterior>, Error> =
            plain.iter().map(|e| Posterior::flat(&Estimate { value: sign * e.value, ..*e })).collect();
        let standings = posteriors.map(|posteriors| compare(&posteriors)).ok();
        for (i, ((variant, _), estimate)) in self.rules.shares.iter().zip(&plain).enumerate() {
            result.values.push(Value {
                variant: variant.clone(),
                value: estimate.value,
                standard_error: estimate.standard_error,
                standing: standings.as_ref().and_then(|standings| standings.get(i).copied()),
            });
        }
        let covariates = self.columns.covariates(metric);
        let (estimates, variance_removed) = match metric.quantile {
            Some(_) => (plain, 0.0),
            None => self.estimates(&moments, metric, &covariates)?,
        };
        let variants: Vec<&str> = self.rules.shares.iter().map(|(variant, _)| variant.as_str()).collect();
        let control_at =
            variants.iter().position(|variant| *variant == self.rules.control).unwrap_or_default();
        let control = estimates.get(control_at).ok_or(Error::NoVariance)?;
        let sequence = self.sequence()?;
        for (at, (variant, treatment)) in variants.iter().zip(&estimates).enumerate() {
            if at == control_at {
                continue;
            }
            let fixed = lift(control, treatment, self.alpha)?;
            let (sequential, sequential_relative) = sequence.lift(control, treatment, &fixed);
            let p_sequential = sequence.p(fixed.statistic, control.count + treatment.count);
            let (interval, relative_interval, p) = match &self.rules.method {
                Method::Fixed => (fixed.interval, fixed.relative_interval, fixed.p),
                Method::Sequential => (sequential, sequential_relative, p_sequential),
                Method::Planned { spending, looks } => {
                    let bounds = group_sequential::bounds(*spending, looks, self.alpha)?;
                    let bound = bounds.last().copied().unwrap_or(f64::INFINITY);
                    let (interval, relative) = group_sequential::lift(bound, control, treatment, &fixed);
                    (interval, relative, fixed.p)
                }
            };
            result.comparisons.push(Comparison {
                treatment: (*variant).to_owned(),
                fixed,
                sequential,
                sequential_relative,
                p_sequential,
                interval,
                relative_interval,
                p,
                p_adjusted: None,
                variance_removed,
                effect: effect(interval, metric.is_lower_better),
                series: self.series(metric, &covariates, control_at, at, &sequence),
                segments: self.segments(metric, control_at, at),
                plan: (result.role == Role::Primary)
                    .then(|| self.plan(control, treatment))
                    .and_then(Result::ok),
            });
        }
        Ok(())
    }

    /// Deviation and traffic go on as they were.
    fn plan(&self, control: &Estimate, treatment: &Estimate) -> Result<Planning, Error> {
        let days = self.days();
        let (first, last) = (days.first().copied().unwrap_or(0), days.last().copied().unwrap_or(0));
        let days = (last - first + 1) as f64;
        let all: f64 = self.groups.iter().map(|group| group.moments.count()).sum();
        let (daily, share, ratio) = (all / days, control.count / all, treatment.count / control.count);
        let design = Design { alpha: self.alpha, power: self.rules.power, ratio };
        let deviation = control.standard_error * control.count.sqrt();
        let other = treatment.standard_error * treatment.count.sqrt();
        // That of both arms together, so that the detectable effect is this comparison's.
        let pooled = ((deviation.powi(2) + other.powi(2) / ratio) / (1.0 + 1.0 / ratio)).sqrt();
        let detectable = power::detectable_mean(pooled, control.count, &design)?;
        let around = self.rules.effect.unwrap_or(detectable);
        let mut rows = Vec::new();
        for multiple in MULTIPLES {
            let effect = around * multiple;
            let control = power::units_for_means(effect, (pooled, pooled), &design)?.ceil();
            rows.push(Needed { effect, control, days: power::days(control, daily, share)? });
        }
        Ok(Planning {
            deviation: pooled,
            baseline: control.value,
            daily,
            share,
            ratio,
            alpha: self.alpha,
            power: self.rules.power,
            days,
            detectable,
            wanted: self.rules.effect,
            rows,
        })
    }

    /// Narrowest around the fewest units that the experiment asks for.
    fn sequence(&self) -> Result<ConfidenceSequence, Error> {
        ConfidenceSequence::new(self.alpha, (2 * self.rules.min_units.max(1)) as f64)
    }

    fn series(
        &self,
        metric: &Metric,
        covariates: &[usize],
        control: usize,
        treatment: usize,
        sequence: &ConfidenceSequence,
    ) -> Vec<Point> {
        let mut so_far = vec![Moments::new(self.columns.len()); self.rules.shares.len()];
        let mut points = Vec::new();
        for day in self.days() {
            for (so_far, today) in so_far.iter_mut().zip(self.moments(|group| group.day == day)) {
                let _ = so_far.merge(&today);
            }
            let estimates = match metric.quantile {
                Some(p) => self.quantile(metric, p, &Part::Until(day)),
                None => self.estimates(&so_far, metric, covariates).map(|found| found.0),
            };
            let Ok(estimates) = estimates else { continue };
            let (Some(c), Some(t)) = (estimates.get(control), estimates.get(treatment)) else { continue };
            let Ok(now) = lift(c, t, self.alpha) else { continue };
            let (interval, _) = sequence.lift(c, t, &now);
            points.push(Point { day, units: c.count + t.count, absolute: now.absolute, interval });
        }
        points
    }

    fn segments(&self, metric: &Metric, control: usize, treatment: usize) -> Vec<Segment> {
        let names: BTreeSet<&str> = self.groups.iter().map(|group| group.segment.as_str()).collect();
        if names.len() < 2 {
            return Vec::new();
        }
        let mut found = Vec::new();
        for name in names {
            let estimates = match metric.quantile {
                Some(p) => self.quantile(metric, p, &Part::Segment(name.to_owned())),
                None => {
                    let moments = self.moments(|group| group.segment == name);
                    self.estimates(&moments, metric, &[]).map(|found| found.0)
                }
            };
            let Ok(estimates) = estimates else { continue };
            let (Some(c), Some(t)) = (estimates.get(control), estimates.get(treatment)) else { continue };
            let Ok(now) = lift(c, t, self.alpha) else { continue };
            found.push(Segment {
                segment: name.to_owned(),
                units: c.count + t.count,
                absolute: now.absolute,
                interval: now.interval,
                p_adjusted: now.p,
            });
        }
        let adjusted = multiple::benjamini_hochberg(&found.iter().map(|s| s.p_adjusted).collect::<Vec<_>>());
        for (segment, p) in found.iter_mut().zip(adjusted) {
            segment.p_adjusted = p;
        }
        found
    }
}

fn effect(interval: Interval, is_lower_better: bool) -> Effect {
    if interval.contains(0.0) {
        Effect::Unclear
    } else if (interval.low > 0.0) != is_lower_better {
        Effect::Better
    } else {
        Effect::Worse
    }
}

fn adjust_secondary(metrics: &mut [MetricResult]) {
    let mut all: Vec<&mut Comparison> = metrics
        .iter_mut()
        .filter(|metric| metric.role == Role::Secondary)
        .flat_map(|metric| &mut metric.comparisons)
        .collect();
    let adjusted = multiple::benjamini_hochberg(&all.iter().map(|c| c.fixed.p).collect::<Vec<_>>());
    for (comparison, p) in all.iter_mut().zip(adjusted) {
        comparison.p_adjusted = Some(p);
    }
}

impl Judgement {
    fn decide(&mut self, rules: &Rules) {
        let invalid = self.invalid();
        if !invalid.is_empty() {
            (self.verdict, self.reasons) = (Verdict::Invalid, invalid);
            return;
        }
        if self.arms.iter().all(|arm| arm.units == 0.0) {
            self.reasons.push("no unit was exposed".to_owned());
            return;
        }
        let treatments: Vec<String> =
            self.arms.iter().filter(|arm| !arm.is_control).map(|arm| arm.variant.clone()).collect();
        let mut of_all: Vec<(Verdict, String, Vec<String>)> = treatments
            .iter()
            .map(|treatment| {
                let (verdict, reasons) = self.of(treatment, rules);
                (verdict, treatment.clone(), reasons)
            })
            .collect();
        // One that may be shipped counts before one that is open, and that before one that may not.
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Ship => 0,
            Verdict::Inconclusive => 1,
            Verdict::DoNotShip | Verdict::Invalid => 2,
        };
        let lift = |treatment: &str| {
            self.primary(treatment).map_or(f64::NEG_INFINITY, |(sign, c)| sign * c.fixed.absolute)
        };
        of_all.sort_by(|a, b| rank(&a.0).cmp(&rank(&b.0)).then(lift(&b.1).total_cmp(&lift(&a.1))));
        let many = of_all.len() > 1;
        if let Some((verdict, treatment, _)) = of_all.first() {
            self.verdict = *verdict;
            self.treatment = Some(treatment.clone());
        }
        for (_, treatment, reasons) in of_all {
            let prefix = if many { format!("{treatment}: ") } else { String::new() };
            self.reasons.extend(reasons.into_iter().map(|reason| format!("{prefix}{reason}")));
        }
    }

    /// Why the data are not to be believed.
    fn invalid(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(p) = self.sample_ratio.p.filter(|p| *p < srm::ALPHA) {
            let arms: Vec<String> = self
                .arms
                .iter()
                .map(|arm| {
                    format!(
                        "{} {:.2} % of {:.2} % planned",
                        arm.variant,
                        arm.observed * 100.0,
                        arm.planned * 100.0
                    )
                })
                .collect();
            reasons.push(format!(
                "the arms do not have the planned shares ({}; p = {}): units were lost or moved on the way",
                arms.join(", "),
                probability(p)
            ));
        }
        for mismatch in &self.sample_ratio.mismatches {
            reasons.push(format!(
                "the planned shares do not hold for {} (p = {}, corrected for {} tests)",
                mismatch.part,
                probability(mismatch.p),
                self.sample_ratio.tested
            ));
        }
        if let Some(integrity) = self.integrity.as_ref().filter(|i| i.wrong_share() > MOST_WRONG) {
            reasons.push(format!(
                "the log does not fit the config: {:.2} % of what was replayed has another variant",
                integrity.wrong_share() * 100.0
            ));
        }
        let units: f64 = self.arms.iter().map(|arm| arm.units).sum();
        if self.units_in_two_variants > MOST_IN_TWO * units {
            reasons.push(format!(
                "{:.2} % of the units were in more than one variant: the arms are contaminated",
                self.units_in_two_variants / units * 100.0
            ));
        }
        reasons
    }

    fn primary(&self, treatment: &str) -> Option<(f64, &Comparison)> {
        let metric = self.metrics.iter().find(|metric| metric.role == Role::Primary)?;
        let sign = if metric.is_lower_better { -1.0 } else { 1.0 };
        metric.comparisons.iter().find(|c| c.treatment == treatment).map(|c| (sign, c))
    }

    /// Verdict and reasons of one treatment: guardrails, then the primary metric.
    fn of(&self, treatment: &str, rules: &Rules) -> (Verdict, Vec<String>) {
        let mut broken = Vec::new();
        let mut unmeasured = Vec::new();
        let guardrails: Vec<&MetricResult> =
            self.metrics.iter().filter(|metric| metric.role == Role::Guardrail).collect();
        for metric in &guardrails {
            match metric.comparisons.iter().find(|c| c.treatment == treatment) {
                Some(c) if c.effect == Effect::Worse => {
                    broken.push(format!("guardrail {} got worse: {}", metric.name, self.describe(c)))
                }
                Some(_) => {}
                None => {
                    let why = metric.problem.as_deref().unwrap_or("no data");
                    unmeasured.push(format!("guardrail {} could not be measured: {why}", metric.name));
                }
            }
        }
        if !broken.is_empty() {
            return (Verdict::DoNotShip, broken);
        }
        let Some(primary) = self.metrics.iter().find(|metric| metric.role == Role::Primary) else {
            return (Verdict::Inconclusive, vec!["the config names no primary metric".to_owned()]);
        };
        let Some(c) = primary.comparisons.iter().find(|c| c.treatment == treatment) else {
            let why = primary.problem.as_deref().unwrap_or("no data");
            return (Verdict::Inconclusive, vec![format!("{} could not be measured: {why}", primary.name)]);
        };
        let said = format!("{}: {}", primary.name, self.describe(c));
        if c.effect == Effect::Worse {
            return (Verdict::DoNotShip, vec![format!("the primary metric got worse, {said}")]);
        }
        let fewest = self
            .arms
            .iter()
            .filter(|arm| arm.is_control || arm.variant == treatment)
            .map(|arm| arm.units)
            .fold(f64::INFINITY, f64::min);
        if fewest < rules.min_units as f64 {
            let reason = format!("{fewest} units in the smaller arm, {} are needed", rules.min_units);
            return (Verdict::Inconclusive, vec![reason, said]);
        }
        let interval = c.interval;
        let best = if primary.is_lower_better { -interval.low } else { interval.high };
        match c.effect {
            Effect::Better if guardrails.is_empty() => (
                Verdict::Inconclusive,
                vec!["no guardrail is named, so nothing says that it does no harm".to_owned(), said],
            ),
            Effect::Better if !unmeasured.is_empty() => {
                unmeasured.push(said);
                (Verdict::Inconclusive, unmeasured)
            }
            Effect::Better => (
                Verdict::Ship,
                vec![
                    format!("the primary metric got better, {said}"),
                    format!("{} of {} guardrails hold", guardrails.len(), guardrails.len()),
                ],
            ),
            _ if rules.effect.is_some_and(|effect| best < effect) => (
                Verdict::DoNotShip,
                vec![format!(
                    "an effect as large as {} can be ruled out, {said}",
                    rules.effect.unwrap_or_default()
                )],
            ),
            _ => (Verdict::Inconclusive, vec![format!("the interval holds no change, {said}")]),
        }
    }

    fn describe(&self, c: &Comparison) -> String {
        let (interval, relative) = (c.interval, c.relative_interval);
        let absolute = format!(
            "{:+.5} ({} % interval {:+.5} to {:+.5}",
            c.fixed.absolute,
            level(self.alpha),
            interval.low,
            interval.high
        );
        match (c.fixed.relative, relative) {
            (Some(relative), Some(interval)) => format!(
                "{absolute}; relative {:+.2} %, {:+.2} to {:+.2} %)",
                relative * 100.0,
                interval.low * 100.0,
                interval.high * 100.0
            ),
            _ => format!("{absolute})"),
        }
    }

    fn remark(&mut self) {
        let mut remarks = Vec::new();
        if self.units_in_two_variants > 0.0 {
            remarks.push(format!(
                "{} units were in more than one variant; they count for the first one they saw",
                self.units_in_two_variants
            ));
        }
        if let Some(integrity) = &self.integrity {
            let mut counted = |count: u64, what: &str| {
                if count > 0 {
                    remarks.push(format!("{count} {what}"));
                }
            };
            counted(integrity.overrides, "exposures by overrides and QA tokens were left out");
            counted(
                integrity.other_reasons.values().sum(),
                "exposures of held-out or excluded units were left out",
            );
            counted(integrity.excluded_units, "units were left out as bots or by name");
            counted(
                integrity.other_versions,
                "exposures are of another version of the config and were not replayed",
            );
            counted(
                integrity.silent_hours.len() as u64,
                "hours have no exposure at all, as if the log was lost",
            );
        }
        self.remarks = remarks;
    }
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
    use super::*;

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
        Group { experiment, variant, segment: segment.to_owned(), day: 20_000, in_two: 0.0, moments }
    }

    fn judged(rules: &Rules, groups: &[Group]) -> Judgement {
        let metrics = [Metric::named("complaints"), Metric::named("orders")];
        judge(rules, groups, &Columns::of(&metrics, false), &[], None)
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
        let plan = found.metrics[1].comparisons[0].plan.as_ref().unwrap();
        assert!((plan.detectable - 0.02).abs() < 2e-5, "{plan:?}");
        assert!((plan.rows[2].control - 3841.0).abs() < 10.0 && plan.rows[2].days == 1.0, "{plan:?}");
        assert_eq!(plan.rows[0].days, 4.0);
        assert!((plan.after(4.0) - plan.detectable / 2.0).abs() < 1e-12);
        assert!(found.metrics[0].comparisons[0].plan.is_none(), "of the primary metric only");
    }

    #[test]
    fn less_may_be_better() {
        let mut rules = rules(&["complaints"]);
        rules.metrics[1].0.is_lower_better = true;
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
