//! Arms compared, metric by metric.

use std::collections::{BTreeMap, BTreeSet};

use splitway_stats::bayes::{Posterior, compare};
use splitway_stats::cuped::{self, adjust};
use splitway_stats::distribution::{normal_cdf, normal_quantile};
use splitway_stats::lift::{Estimate, Lift, lift};
use splitway_stats::power::{self, Design, Looks};
use splitway_stats::proportion::{Difference, Share, newcombe};
use splitway_stats::sequential::ConfidenceSequence;
use splitway_stats::{Error, Interval, Moments, group_sequential, multiple, srm};

use super::{
    Arm, Comparison, Effect, Method, MetricResult, Mismatch, Needed, Planning, Point, Rules, SampleRatio,
    Segment, Value, date,
};
use crate::metric::{Columns, Metric, Role};
use crate::quantile::{Part, Quantile};
use crate::reduce::Group;

/// A segment or a day in which an arm should have fewer units is not tested on its own: at probabilities this small the
/// chi-square of a small count is far off.
const FEWEST_EXPECTED: f64 = 50.0;
/// With fewer units that have the event in an arm, a share's interval is Newcombe's: Wald's is nothing at none.
const FEWEST_EVENTS: f64 = 10.0;
/// Effects of a plan, as multiples of the one that is asked for.
const MULTIPLES: [f64; 6] = [0.5, 0.75, 1.0, 1.5, 2.0, 3.0];

/// An experiment's groups, to be compared.
pub(super) struct Table<'t> {
    pub(super) rules: &'t Rules,
    pub(super) groups: Vec<&'t Group>,
    pub(super) columns: &'t Columns,
    pub(super) quantiles: Vec<&'t Quantile>,
    pub(super) outcomes: Option<&'t BTreeMap<String, u64>>,
    pub(super) alpha: f64,
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

    pub(super) fn arms(&self) -> Vec<Arm> {
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

    /// Chi-square's p, and whether there are enough units for it.
    fn check(&self, is_in: impl Fn(&Group) -> bool) -> Option<(f64, bool, Vec<f64>)> {
        let counts: Vec<f64> = self.moments(is_in).iter().map(Moments::count).collect();
        let shares: Vec<f64> = self.rules.shares.iter().map(|(_, share)| *share).collect();
        let found = srm::check(&counts, &shares).ok()?;
        let units: f64 = counts.iter().sum();
        let least = shares.iter().copied().filter(|share| *share > 0.0).fold(f64::INFINITY, f64::min);
        let is_large = units * least / shares.iter().sum::<f64>() >= FEWEST_EXPECTED;
        (units > 0.0 && found.degrees > 0.0).then_some((found.p, is_large, counts))
    }

    pub(super) fn sample_ratio(&self) -> SampleRatio {
        let shares: Vec<f64> = self.rules.shares.iter().map(|(_, share)| *share).collect();
        let mut sequential = srm::Sequential::new(&shares, srm::CONCENTRATION).ok();
        let mut p_sequential = None;
        let mut so_far = vec![0.0; shares.len()];
        let mut parts: Vec<(String, f64)> = Vec::new();
        for day in self.days() {
            let Some((p, is_large, counts)) = self.check(|group| group.day == day) else { continue };
            for (so_far, count) in so_far.iter_mut().zip(&counts) {
                *so_far += count;
            }
            if is_large {
                parts.push((format!("units first seen on {}", date(day)), p));
            }
            p_sequential = sequential.as_mut().and_then(|check| check.look(&so_far).ok());
        }
        let segments: BTreeSet<&str> = self.groups.iter().map(|group| group.segment.as_str()).collect();
        for segment in segments.iter().filter(|_| segments.len() > 1) {
            if let Some((p, true, _)) = self.check(|group| group.segment == *segment) {
                parts.push((format!("segment `{segment}`"), p));
            }
        }
        let adjusted = multiple::bonferroni(&parts.iter().map(|part| part.1).collect::<Vec<_>>());
        let tested = parts.len();
        let mismatches = parts.into_iter().zip(adjusted).filter(|(_, p)| *p < srm::ALPHA);
        let all = self.check(|_| true);
        let decides = match (&self.rules.method, &all) {
            (Method::Fixed, Some((p, true, _))) => Some(*p),
            _ => p_sequential,
        };
        SampleRatio {
            p: all.map(|found| found.0),
            p_sequential,
            decides,
            mismatches: mismatches.map(|((part, _), p)| Mismatch { part, p }).collect(),
            tested,
        }
    }

    fn days(&self) -> BTreeSet<i64> {
        self.groups.iter().map(|group| group.day).collect()
    }

    pub(super) fn metric(&self, metric: &Metric, role: Role) -> MetricResult {
        let mut result = MetricResult {
            name: metric.name.clone(),
            formula: metric.formula(),
            role,
            is_lower_better: metric.is_lower_better,
            margin: (role == Role::Guardrail)
                .then(|| self.rules.margins.get(&metric.name).copied())
                .flatten(),
            values: Vec::new(),
            comparisons: Vec::new(),
            problem: None,
        };
        if metric.quantile.is_some() && self.quantiles.is_empty() {
            result.problem = Some("no values; a summary has none, quantiles need the data".to_owned());
        } else if let Err(problem) = self.fill(metric, &mut result) {
            result.problem = Some(self.unmeasured(metric, &problem));
        } else if result.values.iter().all(|value| value.value == 0.0) {
            // Nothing of it anywhere: it never happened, or nobody recorded it.
            result.problem = self.unrecorded(metric);
        }
        if result.problem.is_some() {
            result.comparisons.clear();
        }
        result
    }

    /// Why outcomes that are nowhere do not mean that nothing happened.
    fn unrecorded(&self, metric: &Metric) -> Option<String> {
        metric.outcomes().next()?;
        let Some(known) = self.outcomes else {
            return Some("0 everywhere; a summary does not say whether it was recorded at all".to_owned());
        };
        if let Some(name) = metric.outcomes().find(|name| !known.contains_key(*name)) {
            let all: Vec<&str> = known.keys().map(String::as_str).take(8).collect();
            return Some(match all.is_empty() {
                true => format!("no outcomes, so none is called `{name}`"),
                false => format!("no outcome is called `{name}`; there are {}", all.join(", ")),
            });
        }
        let sum = |of: fn(&Group) -> f64| self.groups.iter().map(|group| of(group)).sum::<f64>();
        if sum(|group| group.outcomes) == 0.0 {
            return Some(
                "no outcome is of a unit that was exposed: are units written alike in both, or is --raw-units missing?"
                    .to_owned(),
            );
        }
        (sum(|group| group.inside) == 0.0)
            .then(|| "no outcome comes after its unit's first exposure and inside the window".to_owned())
    }

    /// Why there are no numbers, in the words of the data.
    fn unmeasured(&self, metric: &Metric, problem: &Error) -> String {
        if !matches!(problem, Error::NoVariance | Error::TooFewUnits { .. } | Error::Domain { .. }) {
            return problem.to_string();
        }
        if self.groups.iter().map(|group| group.moments.count()).sum::<f64>() == 0.0 {
            return "no unit was exposed".to_owned();
        }
        if metric.outcomes().next().is_none() {
            return match problem {
                Error::NoVariance => "all requests are alike".to_owned(),
                _ => "no exposure in the log has it".to_owned(),
            };
        }
        if let Some(why) = self.unrecorded(metric).filter(|_| self.outcomes.is_some()) {
            return why;
        }
        match problem {
            Error::NoVariance => "the same for all units".to_owned(),
            _ => problem.to_string(),
        }
    }

    /// Both arms' shares of an event of which one has few, or none. Of ratios a trial is not a unit: the denominators' effective
    /// number is, (sum d)^2 / sum d^2 (Kish 1965), which is at most the units that have one.
    fn rare(&self, metric: &Metric, arms: [(&Moments, &Estimate); 2]) -> Option<[Share; 2]> {
        if !metric.is_event() {
            return None;
        }
        let trials = |moments: &Moments| match self.columns.metric(metric)? {
            cuped::Metric::Mean(_) => Some(moments.count()),
            cuped::Metric::Ratio { denominator: d, .. } => {
                let (n, mean) = (moments.count(), moments.mean(d));
                let squares = moments.covariance(d, d) * (n - 1.0) + n * mean * mean;
                (squares > 0.0).then(|| (n * mean).powi(2) / squares)
            }
        };
        let mut shares = [None; 2];
        let mut fewest = f64::INFINITY;
        for (share, (moments, estimate)) in shares.iter_mut().zip(arms) {
            let trials = trials(moments)?;
            let events = estimate.value * trials;
            fewest = fewest.min(events);
            *share = Share::new(events, trials).ok();
        }
        match shares {
            [Some(control), Some(treatment)] if fewest < FEWEST_EVENTS => Some([control, treatment]),
            _ => None,
        }
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
        let sign = if metric.is_lower_better == Some(true) { -1.0 } else { 1.0 };
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
            Some(_) => (plain.clone(), 0.0),
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
            let at_every_look = sequence.critical(control.count + treatment.count);
            let planned = match &self.rules.method {
                Method::Planned { spending, looks } => {
                    let bounds = group_sequential::bounds(*spending, looks, self.alpha)?;
                    bounds.last().copied().unwrap_or(f64::INFINITY)
                }
                _ => f64::INFINITY,
            };
            let rare = match (plain.get(control_at), plain.get(at), moments.get(control_at), moments.get(at))
            {
                (Some(c), Some(t), Some(of_c), Some(of_t)) => self.rare(metric, [(of_c, c), (of_t, t)]),
                _ => None,
            };
            let around = |lift: &Lift, critical: f64| match rare {
                Some([c, t]) => Ok((newcombe(c, t, 2.0 * normal_cdf(-critical))?.interval, None)),
                None => Ok(group_sequential::lift(critical, control, treatment, lift)),
            };
            let fixed = match rare {
                Some([c, t]) => few(newcombe(c, t, self.alpha)?, c, control, treatment),
                None => lift(control, treatment, self.alpha)?,
            };
            let (sequential, sequential_relative) = around(&fixed, at_every_look)?;
            let p_sequential = sequence.p(fixed.statistic, control.count + treatment.count);
            let (interval, relative_interval, p) = match &self.rules.method {
                Method::Fixed => (fixed.interval, fixed.relative_interval, fixed.p),
                Method::Sequential => (sequential, sequential_relative, p_sequential),
                Method::Planned { .. } => {
                    let (interval, relative) = around(&fixed, planned)?;
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
                effect: effect(interval, metric.is_lower_better, result.role),
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
        let looks = self.looks();
        let units = match &self.rules.method {
            Method::Planned { looks, .. } => control.count / looks.last().copied().unwrap_or(1.0),
            Method::Fixed | Method::Sequential => control.count,
        };
        let detectable = power::effect_found(pooled, units, &design, &looks)?;
        let around = self.rules.effect.unwrap_or(detectable);
        let mut rows = Vec::new();
        for multiple in MULTIPLES {
            let effect = around * multiple;
            let control = power::units_to_find(effect, (pooled, pooled), &design, &looks)?.ceil();
            rows.push(Needed { effect, control, days: power::days(control, daily, share)? });
        }
        Ok(Planning {
            deviation: pooled,
            baseline: control.value,
            daily,
            share,
            ratio,
            min_units: self.rules.min_units,
            alpha: self.alpha,
            power: self.rules.power,
            days,
            detectable,
            wanted: self.rules.effect,
            rows,
            units,
            looks,
        })
    }

    /// When the method looks.
    fn looks(&self) -> Looks {
        match &self.rules.method {
            Method::Fixed => Looks::Once,
            Method::Sequential => Looks::Always { tuned_for: self.tuned_for() },
            Method::Planned { spending, looks } => {
                let is_last = looks.last().is_some_and(|last| *last >= 1.0);
                let end = if is_last { None } else { Some(1.0) };
                Looks::Planned { spending: *spending, times: looks.iter().copied().chain(end).collect() }
            }
        }
    }

    /// Narrowest around the fewest units that the experiment asks for.
    fn sequence(&self) -> Result<ConfidenceSequence, Error> {
        ConfidenceSequence::new(self.alpha, self.tuned_for())
    }

    fn tuned_for(&self) -> f64 {
        (2 * self.rules.min_units.max(1)) as f64
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

/// A lift of few events, with the statistic at which its interval touches 0.
fn few(found: Difference, share: Share, control: &Estimate, treatment: &Estimate) -> Lift {
    let error = (control.standard_error.powi(2) + treatment.standard_error.powi(2)).sqrt();
    Lift {
        absolute: found.absolute,
        standard_error: error,
        degrees: control.degrees + treatment.degrees,
        interval: found.interval,
        relative: (share.value() > 0.0).then(|| found.absolute / share.value()),
        relative_interval: None,
        statistic: -normal_quantile(found.p / 2.0) * found.absolute.signum(),
        p: found.p,
    }
}

fn effect(interval: Interval, is_lower_better: Option<bool>, role: Role) -> Effect {
    if interval.contains(0.0) {
        Effect::Unclear
    } else if is_lower_better.is_none() && role == Role::Guardrail {
        Effect::Moved
    } else if (interval.low > 0.0) != is_lower_better.unwrap_or(false) {
        Effect::Better
    } else {
        Effect::Worse
    }
}

pub(super) fn adjust_secondary(metrics: &mut [MetricResult]) {
    let mut all: Vec<&mut Comparison> = metrics
        .iter_mut()
        .filter(|metric| metric.role == Role::Secondary)
        .flat_map(|metric| &mut metric.comparisons)
        .collect();
    let adjusted = multiple::benjamini_hochberg(&all.iter().map(|c| c.p).collect::<Vec<_>>());
    for (comparison, p) in all.iter_mut().zip(adjusted) {
        comparison.p_adjusted = Some(p);
    }
}
