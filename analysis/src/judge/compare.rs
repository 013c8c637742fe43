//! Arms compared, metric by metric.

use std::collections::{BTreeMap, BTreeSet};

use splitway_stats::bayes::{Posterior, compare};
use splitway_stats::contrast::Contrast;
use splitway_stats::cuped::{self, adjust};
use splitway_stats::lift::{Estimate, Lift};
use splitway_stats::power::{self, Design, Looks};
use splitway_stats::proportion::clustered;
use splitway_stats::sequential::ConfidenceSequence;
use splitway_stats::{Error, Interval, Moments, group_sequential, multiple, srm};

use super::{
    Arm, Comparison, Doubt, Effect, Method, MetricResult, Mismatch, Needed, Planning, Point, Rules,
    SampleRatio, Segment, Skew, Unmeasured, Value,
};
use crate::finding::{Gap, Part};
use crate::metric::{Columns, Metric, Role};
use crate::quantile::{self, Quantile};
use crate::reduce::Group;

/// A segment or a day in which an arm should have fewer units is not tested on its own: at probabilities this small the
/// chi-square of a small count is far off.
const FEWEST_EXPECTED: f64 = 50.0;
/// Units an arm for each square of skewness, so that a mean's 95 % interval is missed by no more than half a point too
/// often on either side (Kohavi, Deng, Longbotham, Xu 2014, "Seven rules of thumb for web site experimenters", rule 7).
const FOR_SKEWNESS: f64 = 355.0;
/// Effects of a plan, as multiples of the one that is asked for.
const MULTIPLES: [f64; 6] = [0.5, 0.75, 1.0, 1.5, 2.0, 3.0];

/// A metric of all arms, in the config's order.
struct Measured {
    /// As it is; an error for an arm that cannot be measured.
    plain: Vec<Result<Estimate, Error>>,
    /// Less what covariates explain, of the same arms.
    adjusted: Vec<Result<Estimate, Error>>,
    /// Share of the variance that covariates removed.
    removed: f64,
}

/// The interval that decides a comparison, and the p-value that belongs to it.
type Decided = (Interval, Option<Interval>, f64);

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
        // Nobody may be where nobody is planned; the chi-square leaves such arms out.
        let is_elsewhere = counts.iter().zip(&shares).any(|(count, share)| *count > 0.0 && *share == 0.0);
        let p = if is_elsewhere { 0.0 } else { found.p };
        let least = shares.iter().copied().filter(|share| *share > 0.0).fold(f64::INFINITY, f64::min);
        let is_large = units * least / shares.iter().sum::<f64>() >= FEWEST_EXPECTED;
        (units > 0.0 && (found.degrees > 0.0 || is_elsewhere)).then_some((p, is_large, counts))
    }

    pub(super) fn sample_ratio(&self) -> SampleRatio {
        let shares: Vec<f64> = self.rules.shares.iter().map(|(_, share)| *share).collect();
        let mut sequential = srm::Sequential::new(&shares, &srm::CONCENTRATIONS).ok();
        let mut p_sequential = None;
        let mut so_far = vec![0.0; shares.len()];
        let mut parts: Vec<(Part, f64)> = Vec::new();
        for day in self.days() {
            let Some((p, is_large, counts)) = self.check(|group| group.day == day) else { continue };
            for (so_far, count) in so_far.iter_mut().zip(&counts) {
                *so_far += count;
            }
            if is_large {
                parts.push((Part::Day(day), p));
            }
            p_sequential = sequential.as_mut().and_then(|check| check.look(&so_far).ok());
        }
        let segments: BTreeSet<&str> = self.groups.iter().map(|group| group.segment.as_str()).collect();
        for segment in segments.iter().filter(|_| segments.len() > 1) {
            if let Some((p, true, _)) = self.check(|group| group.segment == *segment) {
                parts.push((Part::Segment((*segment).to_owned()), p));
            }
        }
        let adjusted = multiple::bonferroni(&parts.iter().map(|part| part.1).collect::<Vec<_>>());
        let tested = parts.len();
        let mismatches = parts.into_iter().zip(adjusted).filter(|(_, p)| *p < srm::ALPHA);
        let all = self.check(|_| true);
        let (decides, threshold) = match (&self.rules.method, &all) {
            (Method::Fixed, Some((p, true, _))) => (Some(*p), srm::ALPHA),
            _ => (p_sequential, srm::ALPHA_AT_EVERY_LOOK),
        };
        SampleRatio {
            p: all.map(|found| found.0),
            p_sequential,
            decides,
            threshold,
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
            unmeasured: Vec::new(),
            problem: None,
        };
        if metric.quantile.is_some() && self.quantiles.is_empty() {
            result.problem = Some(Gap::NoValues);
        } else if let Err(problem) = self.fill(metric, &mut result) {
            result.problem = Some(self.unmeasured(metric, &problem));
        } else if result.values.iter().all(|value| value.value == 0.0) {
            // Nothing of it anywhere: it never happened, or nobody recorded it.
            result.problem = self.unrecorded(metric);
        }
        if result.problem.is_some() {
            result.comparisons.clear();
            result.unmeasured.clear();
        }
        result
    }

    /// Why outcomes that are nowhere do not mean that nothing happened.
    fn unrecorded(&self, metric: &Metric) -> Option<Gap> {
        metric.outcomes().next()?;
        let Some(known) = self.outcomes else {
            return Some(Gap::ZeroInSummary);
        };
        if let Some(name) = metric.outcomes().find(|name| !known.contains_key(*name)) {
            let outcome = name.to_owned();
            let known: Vec<String> = known.keys().take(8).cloned().collect();
            return Some(match known.is_empty() {
                true => Gap::NoOutcomes { outcome },
                false => Gap::UnknownOutcome { outcome, known },
            });
        }
        let sum = |of: fn(&Group) -> f64| self.groups.iter().map(|group| of(group)).sum::<f64>();
        if sum(|group| group.outcomes) == 0.0 {
            return Some(Gap::OutcomesOfNobody);
        }
        (sum(|group| group.inside) == 0.0).then_some(Gap::OutcomesOutsideWindow)
    }

    /// Why there are no numbers, by what the data hold.
    fn unmeasured(&self, metric: &Metric, problem: &Error) -> Gap {
        let statistics = || Gap::Statistics { problem: problem.to_string() };
        if !matches!(problem, Error::NoVariance | Error::TooFewUnits { .. } | Error::Domain { .. }) {
            return statistics();
        }
        if self.groups.iter().map(|group| group.moments.count()).sum::<f64>() == 0.0 {
            return Gap::NoUnits;
        }
        if metric.outcomes().next().is_none() {
            return match problem {
                Error::NoVariance => Gap::RequestsAlike,
                _ => Gap::FieldNowhere,
            };
        }
        if let Some(why) = self.unrecorded(metric).filter(|_| self.outcomes.is_some()) {
            return why;
        }
        match problem {
            Error::NoVariance => self.constant(metric),
            _ => statistics(),
        }
    }

    /// The gap of arms whose units are all alike.
    fn constant(&self, metric: &Metric) -> Gap {
        let Some(cuped::Metric::Mean(column)) = self.columns.metric(metric) else {
            return Gap::Constant;
        };
        let values: Vec<f64> = self
            .moments(|_| true)
            .iter()
            .filter(|arm| arm.count() > 0.0)
            .map(|arm| arm.mean(column))
            .collect();
        if values.iter().all(|mean| Some(mean) == values.first()) {
            return Gap::Constant;
        }
        Gap::ConstantArms { values }
    }

    /// Why an arm has no number, where others have.
    fn missing(&self, metric: &Metric, problem: &Error) -> Gap {
        match problem {
            Error::TooFewUnits { needed, found } => {
                Gap::FewUnits { found: *found as u64, needed: *needed as u64 }
            }
            Error::Domain { .. } => Gap::NoDenominator,
            _ => self.unmeasured(metric, problem),
        }
    }

    /// Both arms, to be compared; of events by their effective trials.
    fn contrast(
        &self,
        metric: &Metric,
        moments: Option<[&Moments; 2]>,
        plain: [Estimate; 2],
        adjusted: [Estimate; 2],
    ) -> Contrast {
        let [control, treatment] = adjusted;
        let shares = moments.filter(|_| metric.is_event()).and_then(|moments| {
            let (numerator, denominator) = match self.columns.metric(metric)? {
                cuped::Metric::Mean(column) => (column, None),
                cuped::Metric::Ratio { numerator, denominator } => (numerator, Some(denominator)),
            };
            clustered(moments, numerator, denominator).ok()
        });
        let rare = shares.map(|shares| Contrast::of_events(plain[0], plain[1], shares));
        rare.filter(Contrast::is_rare).unwrap_or_else(|| Contrast::of(control, treatment))
    }

    /// Which of two arms is the most skewed for its units.
    fn skew(&self, metric: &Metric, moments: [&Moments; 2]) -> Option<Skew> {
        let of = |moments: &Moments| {
            let weights = match self.columns.metric(metric)? {
                cuped::Metric::Mean(column) => vec![(column, 1.0)],
                cuped::Metric::Ratio { numerator, denominator } => {
                    let value = moments.mean(numerator) / moments.mean(denominator);
                    vec![(numerator, 1.0), (denominator, -value)]
                }
            };
            let skewness = moments.skewness_of(&weights)?;
            let needed = (FOR_SKEWNESS * skewness * skewness).ceil();
            Some(Skew { skewness, needed, units: moments.count() })
        };
        let [control, treatment] = moments.map(of);
        let (control, treatment) = (control?, treatment?);
        let lack = |skew: &Skew| skew.needed / skew.units;
        Some(if lack(&treatment) > lack(&control) { treatment } else { control })
    }

    /// Each arm's estimates.
    fn estimates(
        &self,
        moments: &[Moments],
        metric: &Metric,
        covariates: &[usize],
    ) -> Result<Measured, Error> {
        let kind = self.columns.metric(metric).ok_or(Error::NoVariance)?;
        let alone = |arm: &Moments| {
            let found = adjust(&[arm], kind, &[])?;
            found.arms.first().copied().ok_or(Error::NoVariance)
        };
        let plain: Vec<Result<Estimate, Error>> = moments.iter().map(alone).collect();
        if covariates.is_empty() {
            return Ok(Measured { adjusted: plain.clone(), plain, removed: 0.0 });
        }
        // An arm that cannot be measured takes no part in what covariates explain.
        let measured: Vec<&Moments> =
            moments.iter().zip(&plain).filter(|(_, found)| found.is_ok()).map(|(arm, _)| arm).collect();
        let found = adjust(&measured, kind, covariates)?;
        let mut arms = found.arms.into_iter();
        let adjusted = plain.iter().map(|plain| plain.and_then(|_| arms.next().ok_or(Error::NoVariance)));
        Ok(Measured { adjusted: adjusted.collect(), plain, removed: found.variance_removed })
    }

    fn quantile(&self, metric: &Metric, p: f64, part: &quantile::Part) -> Measured {
        let of = |variant: &String| {
            let is_it = |q: &&&Quantile| {
                q.p == p && q.part == *part && q.variant == *variant && q.outcome == metric.numerator.outcome
            };
            self.quantiles.iter().find(is_it).map(|q| q.estimate)
        };
        let all = self.rules.shares.iter().map(|(variant, _)| of(variant));
        let plain: Vec<Result<Estimate, Error>> =
            all.map(|found| found.ok_or(Error::TooFewUnits { needed: 2.0, found: 0.0 })).collect();
        Measured { adjusted: plain.clone(), plain, removed: 0.0 }
    }

    fn fill(&self, metric: &Metric, result: &mut MetricResult) -> Result<(), Error> {
        let moments = self.moments(|_| true);
        let covariates = self.columns.covariates(metric);
        let measured = match metric.quantile {
            Some(p) => self.quantile(metric, p, &quantile::Part::All),
            None => self.estimates(&moments, metric, &covariates)?,
        };
        self.values(metric, &measured, result);
        let shares = &self.rules.shares;
        let control =
            shares.iter().position(|(variant, _)| *variant == self.rules.control).unwrap_or_default();
        measured.plain.get(control).copied().ok_or(Error::NoVariance)??;
        let mut first = None;
        for (at, (variant, share)) in shares.iter().enumerate() {
            let is_empty = moments.get(at).is_none_or(|arm| arm.count() == 0.0);
            if at == control || (*share == 0.0 && is_empty) {
                continue;
            }
            match self.comparison(metric, result.role, &moments, &measured, [control, at]) {
                Ok(mut comparison) => {
                    comparison.series = self.series(metric, &covariates, control, at)?;
                    comparison.segments = self.segments(metric, control, at);
                    result.comparisons.push(comparison);
                }
                Err(error) => {
                    let problem = self.missing(metric, &error);
                    result.unmeasured.push(Unmeasured { treatment: variant.clone(), problem });
                    first.get_or_insert(error);
                }
            }
        }
        match first {
            Some(error) if result.comparisons.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// What each arm's value is, and how likely it is the best one; by the estimates that decide, so after covariates.
    fn values(&self, metric: &Metric, measured: &Measured, result: &mut MetricResult) {
        let sign = if metric.is_lower_better == Some(true) { -1.0 } else { 1.0 };
        let posteriors: Result<Vec<Posterior>, Error> = measured
            .adjusted
            .iter()
            .flatten()
            .map(|e| Posterior::flat(&Estimate { value: sign * e.value, ..*e }))
            .collect();
        let mut standings = posteriors.map(|posteriors| compare(&posteriors)).unwrap_or_default().into_iter();
        for ((variant, _), plain) in self.rules.shares.iter().zip(&measured.plain) {
            let Ok(plain) = plain else { continue };
            result.values.push(Value {
                variant: variant.clone(),
                value: plain.value,
                standard_error: plain.standard_error,
                standing: standings.next(),
            });
        }
    }

    /// A treatment against the control, without series and segments; `arms` are the places of both.
    fn comparison(
        &self,
        metric: &Metric,
        role: Role,
        moments: &[Moments],
        measured: &Measured,
        arms: [usize; 2],
    ) -> Result<Comparison, Error> {
        let pair = |all: &[Result<Estimate, Error>]| {
            let [control, treatment] = arms.map(|at| all.get(at).copied().unwrap_or(Err(Error::NoVariance)));
            Ok::<_, Error>([control?, treatment?])
        };
        let (plain, adjusted) = (pair(&measured.plain)?, pair(&measured.adjusted)?);
        let units = match (moments.get(arms[0]), moments.get(arms[1])) {
            (Some(control), Some(treatment)) if metric.quantile.is_none() => Some([control, treatment]),
            _ => None,
        };
        let contrast = self.contrast(metric, units, plain, adjusted);
        let [control, treatment] = &adjusted;
        let fixed = contrast.fixed(self.alpha)?;
        let sequence = self.sequence()?;
        let count = control.count + treatment.count;
        let (sequential, sequential_relative) = contrast.at(&fixed, sequence.critical(count))?;
        let p_sequential = sequence.p(fixed.statistic, count);
        let (interval, relative_interval, p) = self.decided(&contrast, &fixed, count)?;
        let skew = units.filter(|_| !metric.is_event()).and_then(|units| self.skew(metric, units));
        let variant = self.rules.shares.get(arms[1]).map(|(variant, _)| variant.clone()).unwrap_or_default();
        let plan = (role == Role::Primary).then(|| self.plan(control, treatment)).and_then(Result::ok);
        Ok(Comparison {
            treatment: variant,
            fixed,
            sequential,
            sequential_relative,
            p_sequential,
            interval,
            relative_interval,
            p,
            p_adjusted: None,
            variance_removed: measured.removed,
            effect: effect(interval, metric.is_lower_better, role),
            doubt: self.doubt(metric, &plain, skew),
            skew,
            series: Vec::new(),
            segments: Vec::new(),
            plan,
        })
    }

    /// The interval of the method, and the p value that is below alpha exactly when it excludes 0.
    fn decided(&self, contrast: &Contrast, fixed: &Lift, units: f64) -> Result<Decided, Error> {
        match &self.rules.method {
            Method::Fixed => Ok((fixed.interval, fixed.relative_interval, fixed.p)),
            Method::Sequential => {
                let sequence = self.sequence()?;
                let (interval, relative) = contrast.at(fixed, sequence.critical(units))?;
                Ok((interval, relative, sequence.p(fixed.statistic, units)))
            }
            Method::Planned { spending, looks } => {
                let bounds = group_sequential::bounds(*spending, looks, self.alpha)?;
                let bound = bounds.last().copied().unwrap_or(f64::INFINITY);
                let (interval, relative) = contrast.at(fixed, bound)?;
                Ok((interval, relative, group_sequential::repeated_p(*spending, looks, fixed.statistic)?))
            }
        }
    }

    /// Why an interval is not to be taken at its word. Those of events hold at any size.
    fn doubt(&self, metric: &Metric, arms: &[Estimate; 2], skew: Option<Skew>) -> Option<Doubt> {
        if metric.is_event() {
            return None;
        }
        if arms.iter().any(|arm| arm.standard_error == 0.0) {
            return Some(Doubt::Constant);
        }
        let [control, treatment] = arms;
        let units = control.count.min(treatment.count);
        let is_normal = skew.is_some_and(|skew| skew.is_enough());
        (units < self.rules.min_units as f64 && !is_normal)
            .then_some(Doubt::FewUnits { units, needed: self.rules.min_units })
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
            min_units: self.rules.tuned_for,
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

    /// Narrowest around the fewest units that the experiment asked for when it began.
    fn sequence(&self) -> Result<ConfidenceSequence, Error> {
        ConfidenceSequence::new(self.alpha, self.tuned_for())
    }

    fn tuned_for(&self) -> f64 {
        (2 * self.rules.tuned_for.max(1)) as f64
    }

    fn series(
        &self,
        metric: &Metric,
        covariates: &[usize],
        control: usize,
        treatment: usize,
    ) -> Result<Vec<Point>, Error> {
        let sequence = self.sequence()?;
        let mut so_far = vec![Moments::new(self.columns.len()); self.rules.shares.len()];
        let mut points = Vec::new();
        for day in self.days() {
            for (so_far, today) in so_far.iter_mut().zip(self.moments(|group| group.day == day)) {
                let _ = so_far.merge(&today);
            }
            let part = quantile::Part::Until(day);
            let Some((contrast, now, units)) =
                self.part(metric, covariates, &so_far, &part, [control, treatment])
            else {
                continue;
            };
            let (interval, _) = contrast.at(&now, sequence.critical(units))?;
            points.push(Point { day, units, absolute: now.absolute, interval });
        }
        Ok(points)
    }

    /// Two arms of a part of the units: how to compare them, their lift at a single look, and how many units they are.
    fn part(
        &self,
        metric: &Metric,
        covariates: &[usize],
        moments: &[Moments],
        part: &quantile::Part,
        arms: [usize; 2],
    ) -> Option<(Contrast, Lift, f64)> {
        let measured = match metric.quantile {
            Some(p) => self.quantile(metric, p, part),
            None => self.estimates(moments, metric, covariates).ok()?,
        };
        let pair = |all: &[Result<Estimate, Error>]| {
            let [control, treatment] = arms.map(|at| all.get(at)?.ok());
            Some([control?, treatment?])
        };
        let (plain, adjusted) = (pair(&measured.plain)?, pair(&measured.adjusted)?);
        let units = match (moments.get(arms[0]), moments.get(arms[1])) {
            (Some(control), Some(treatment)) if metric.quantile.is_none() => Some([control, treatment]),
            _ => None,
        };
        let contrast = self.contrast(metric, units, plain, adjusted);
        let now = contrast.fixed(self.alpha).ok()?;
        Some((contrast, now, adjusted.iter().map(|arm| arm.count).sum()))
    }

    /// Segments on their own, by the intervals of the method: who looks at the whole every day looks at them every day.
    fn segments(&self, metric: &Metric, control: usize, treatment: usize) -> Vec<Segment> {
        let names: BTreeSet<&str> = self.groups.iter().map(|group| group.segment.as_str()).collect();
        if names.len() < 2 {
            return Vec::new();
        }
        let mut found = Vec::new();
        for name in names {
            let part = quantile::Part::Segment(name.to_owned());
            let moments = self.moments(|group| group.segment == name);
            let Some((contrast, now, units)) = self.part(metric, &[], &moments, &part, [control, treatment])
            else {
                continue;
            };
            let Ok((interval, _, p)) = self.decided(&contrast, &now, units) else { continue };
            found.push(Segment {
                segment: name.to_owned(),
                units,
                absolute: now.absolute,
                interval,
                p_adjusted: p,
            });
        }
        let adjusted = multiple::benjamini_hochberg(&found.iter().map(|s| s.p_adjusted).collect::<Vec<_>>());
        for (segment, p) in found.iter_mut().zip(adjusted) {
            segment.p_adjusted = p;
        }
        found
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
