//! What to do, and why.

use splitway_stats::srm;

use super::{Comparison, Doubt, Effect, Judgement, MetricResult, Rules, Skew, Verdict};
use crate::finding::{Difference, Doubted, Finding, Gap, Part, Reason, Shares};
use crate::integrity::Integrity;
use crate::metric::Role;

/// More of the replayed log than this differs from the config: it is not this experiment's log.
const MOST_WRONG: f64 = 0.001;
/// A larger share of units in two variants means that units are not kept apart.
const MOST_IN_TWO: f64 = 0.01;
/// Of a list that may be long.
const MOST_NAMED: usize = 3;

impl Judgement {
    pub(super) fn decide(&mut self, rules: &Rules) {
        let broken = self.broken();
        if !broken.is_empty() {
            (self.verdict, self.reasons) = (Verdict::Invalid, reasons(broken));
            return;
        }
        // A trip moves the shares, so it is the better reason.
        if let Some(tripped) = self.tripped() {
            self.reasons.push(tripped.into());
            // Which one of several was switched off, the log does not say.
            (self.verdict, self.treatment) = match (self.treatments().as_slice(), self.arms.as_slice()) {
                ([only], _) => (Verdict::DoNotShip, Some(only.clone())),
                ([], [alone]) => (Verdict::DoNotShip, Some(alone.variant.clone())),
                _ => (Verdict::Invalid, None),
            };
            return;
        }
        let uneven = self.uneven();
        if !uneven.is_empty() {
            (self.verdict, self.reasons) = (Verdict::Invalid, reasons(uneven));
            return;
        }
        if self.arms.iter().all(|arm| arm.units == 0.0) {
            self.reasons.push(Finding::NoUnits.into());
            return;
        }
        let mut of_all: Vec<(Verdict, String, Vec<Finding>)> = self
            .treatments()
            .into_iter()
            .map(|treatment| {
                let (verdict, findings) = self.judge_treatment(&treatment, rules);
                (verdict, treatment, findings)
            })
            .collect();
        // One that may be shipped counts before one that is open, and that before one that may not; one that could not be
        // measured hides nothing of the others.
        let rank = |verdict: Verdict, treatment: &str| match verdict {
            Verdict::Ship => 0,
            Verdict::Inconclusive if self.primary(treatment).is_some() => 1,
            Verdict::DoNotShip | Verdict::Invalid => 2,
            Verdict::Inconclusive => 3,
        };
        let lift = |treatment: &str| {
            self.primary(treatment).map_or(f64::NEG_INFINITY, |(sign, c)| sign * c.fixed.absolute)
        };
        of_all.sort_by(|a, b| rank(a.0, &a.1).cmp(&rank(b.0, &b.1)).then(lift(&b.1).total_cmp(&lift(&a.1))));
        let many = of_all.len() > 1;
        if let Some((verdict, treatment, _)) = of_all.first() {
            self.verdict = *verdict;
            self.treatment = Some(treatment.clone());
        }
        for (_, treatment, findings) in of_all {
            let treatment = many.then_some(treatment);
            let own = findings.into_iter().map(|finding| Reason { treatment: treatment.clone(), finding });
            self.reasons.extend(own);
        }
    }

    fn treatments(&self) -> Vec<String> {
        // One that plans nobody and has nobody is none.
        let takes_part = |arm: &&super::Arm| !arm.is_control && (arm.planned > 0.0 || arm.units > 0.0);
        self.arms.iter().filter(takes_part).map(|arm| arm.variant.clone()).collect()
    }

    /// Whether the proxy switched a variant off. From then on its units see the control, and the shares are off.
    fn tripped(&self) -> Option<Finding> {
        let exposures =
            self.integrity.as_ref().map(|integrity| integrity.tripped).filter(|count| *count > 0)?;
        let variant = match self.arms.as_slice() {
            [alone] => Some(alone.variant.clone()),
            _ => None,
        };
        Some(Finding::GuardrailTripped { variant, exposures })
    }

    /// Why the arms are not what was planned.
    fn uneven(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(p) = self.sample_ratio.decides.filter(|p| *p < self.sample_ratio.threshold) {
            let shares = |arm: &super::Arm| Shares {
                variant: arm.variant.clone(),
                observed: arm.observed,
                planned: arm.planned,
            };
            found.push(Finding::SampleRatioMismatch { arms: self.arms.iter().map(shares).collect(), p });
        }
        let mismatches = &self.sample_ratio.mismatches;
        let tested = self.sample_ratio.tested;
        let named = mismatches.iter().take(MOST_NAMED);
        found.extend(named.map(|mismatch| Finding::PartMismatch {
            part: mismatch.part.clone(),
            p: mismatch.p,
            tested,
        }));
        if mismatches.len() > MOST_NAMED {
            found.push(Finding::MoreMismatches { parts: mismatches.len() - MOST_NAMED });
        }
        if mismatches.iter().any(|mismatch| matches!(mismatch.part, Part::Segment(_))) {
            found.push(Finding::SegmentDependsOnVariant);
        }
        found
    }

    /// Why the log is not this experiment's.
    fn broken(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(integrity) = self.integrity.as_ref().filter(|i| i.wrong_share() > MOST_WRONG) {
            found.extend(misfit(integrity));
        } else if self.integrity.is_none() && self.units_elsewhere > 0.0 {
            found.push(Finding::ForeignSummary { units: self.units_elsewhere });
        }
        let units: f64 = self.arms.iter().map(|arm| arm.units).sum();
        if self.units_in_two_variants > MOST_IN_TWO * units {
            found.push(Finding::ContaminatedArms { share: self.units_in_two_variants / units });
        }
        found
    }

    fn primary(&self, treatment: &str) -> Option<(f64, &Comparison)> {
        let metric = self.metrics.iter().find(|metric| metric.role == Role::Primary)?;
        let sign = if metric.is_lower_better == Some(true) { -1.0 } else { 1.0 };
        metric.comparisons.iter().find(|c| c.treatment == treatment).map(|c| (sign, c))
    }

    /// Verdict and findings of one treatment: guardrails, then the primary metric.
    fn judge_treatment(&self, treatment: &str, rules: &Rules) -> (Verdict, Vec<Finding>) {
        let (mut broken, mut open, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for metric in self.metrics.iter().filter(|metric| metric.role == Role::Guardrail) {
            let name = || metric.name.clone();
            let Some(c) = metric.comparisons.iter().find(|c| c.treatment == treatment) else {
                open.push(Finding::GuardrailUnmeasured { metric: name(), gap: metric.gap(treatment) });
                continue;
            };
            let difference = self.difference(&metric.name, c);
            let worst = metric.worst(c);
            match (metric.guards(c), metric.margin, c.doubted()) {
                (Guard::Broken | Guard::Moved, _, Some(doubt)) => {
                    open.push(Finding::GuardrailDoubted { difference, doubt });
                }
                (Guard::Within, _, Some(doubt)) if doubt.doubt == Doubt::Constant => {
                    open.push(Finding::GuardrailProvesNothing { difference, doubt });
                }
                (Guard::Broken, ..) => broken.push(Finding::GuardrailWorse { difference }),
                (Guard::Moved, ..) => open.push(Finding::GuardrailMoved { difference }),
                (Guard::Possible, Some(margin), _) => {
                    open.push(Finding::GuardrailOpen { difference, worst, margin });
                }
                (Guard::Within, Some(margin), _) => {
                    held.push(Finding::GuardrailHeld { metric: name(), margin });
                }
                _ => held.push(Finding::GuardrailUnharmed { metric: name(), worst: worst.max(0.0) }),
            }
        }
        if !broken.is_empty() {
            return (Verdict::DoNotShip, broken);
        }
        let Some(primary) = self.metrics.iter().find(|metric| metric.role == Role::Primary) else {
            return (Verdict::Inconclusive, vec![Finding::NoPrimaryMetric]);
        };
        let Some(c) = primary.comparisons.iter().find(|c| c.treatment == treatment) else {
            let (metric, gap) = (primary.name.clone(), primary.gap(treatment));
            return (Verdict::Inconclusive, vec![Finding::PrimaryUnmeasured { metric, gap }]);
        };
        let difference = self.difference(&primary.name, c);
        let result = Finding::Primary { difference: difference.clone() };
        if c.effect == Effect::Worse {
            return match c.doubted() {
                Some(doubt) => (Verdict::Inconclusive, vec![Finding::PrimaryDoubted { doubt }, result]),
                None => (Verdict::DoNotShip, vec![Finding::PrimaryWorse { difference }]),
            };
        }
        let fewest = self
            .arms
            .iter()
            .filter(|arm| arm.is_control || arm.variant == treatment)
            .map(|arm| arm.units)
            .fold(f64::INFINITY, f64::min);
        if fewest < rules.min_units as f64 {
            let few = Finding::FewUnits { units: fewest, needed: rules.min_units };
            return (Verdict::Inconclusive, vec![few, result]);
        }
        if let Some(doubt) = c.doubted().filter(|doubt| doubt.doubt == Doubt::Constant) {
            return (Verdict::Inconclusive, vec![Finding::PrimaryProvesNothing { doubt }, result]);
        }
        let best = if primary.is_lower_better == Some(true) { -c.interval.low } else { c.interval.high };
        match (c.effect, rules.effect) {
            (Effect::Better, _) if !open.is_empty() => {
                open.push(result);
                (Verdict::Inconclusive, open)
            }
            (Effect::Better, _) if held.is_empty() => {
                (Verdict::Inconclusive, vec![Finding::NoGuardrail, result])
            }
            (Effect::Better, _) => {
                held.insert(0, Finding::PrimaryBetter { difference });
                (Verdict::Ship, held)
            }
            (_, Some(effect)) if best < effect => {
                (Verdict::DoNotShip, vec![Finding::EffectRuledOut { effect, difference }])
            }
            _ => (Verdict::Inconclusive, vec![Finding::IntervalIncludesZero { difference }]),
        }
    }

    fn difference(&self, metric: &str, c: &Comparison) -> Difference {
        Difference {
            metric: metric.to_owned(),
            absolute: c.fixed.absolute,
            alpha: self.alpha,
            interval: c.interval,
            relative: c.fixed.relative.zip(c.relative_interval),
        }
    }

    pub(super) fn remark(&mut self, rules: &Rules) {
        let mut found = Vec::new();
        if rules.tuned_for != rules.min_units {
            found.push(Finding::MinUnitsChanged { before: rules.tuned_for, now: rules.min_units });
        }
        if self.units_in_two_variants > 0.0 {
            found.push(Finding::UnitsInTwoVariants { units: self.units_in_two_variants });
        }
        let mut counted = |count: u64, finding: fn(u64) -> Finding| {
            if count > 0 {
                found.push(finding(count));
            }
        };
        counted(self.units_in_progress as u64, |units| Finding::UnfinishedWindows { units });
        let outside = (self.outcomes - self.outcomes_inside) as u64;
        counted(outside, |outcomes| Finding::OutcomesOutsideWindow { outcomes });
        if let Some(integrity) = &self.integrity {
            counted(integrity.overrides, |exposures| Finding::OverridesLeftOut { exposures });
            found.extend(
                integrity.other_reasons.iter().filter(|(_, count)| **count > 0).map(|(reason, count)| {
                    Finding::ReasonLeftOut { reason: reason.clone(), exposures: *count }
                }),
            );
            let mut counted = |count: u64, finding: fn(u64) -> Finding| {
                if count > 0 {
                    found.push(finding(count));
                }
            };
            counted(integrity.excluded_units, |units| Finding::UnitsExcluded { units });
            let agree = integrity.compared_in_others.saturating_sub(integrity.wrong_in_others);
            counted(agree, |exposures| Finding::OtherVersionsAgree { exposures });
            if integrity.units_replayed == 0 {
                let compared = integrity.replayed + integrity.compared_in_others + integrity.unknown_variant;
                let without = integrity.exposures.saturating_sub(compared);
                counted(without, |exposures| Finding::WithoutBucket { exposures });
            }
            let versions = integrity.other_versions.len() as u64;
            counted(versions, |versions| Finding::VersionsNotGiven { versions });
            counted(integrity.silent_hours.len() as u64, |hours| Finding::SilentHours { hours });
        }
        for metric in &self.metrics {
            let skews = metric.comparisons.iter().filter_map(|c| c.skew);
            let lack = |skew: &Skew| skew.needed / skew.units;
            let worst = skews.filter(|skew| !skew.is_enough()).max_by(|a, b| lack(a).total_cmp(&lack(b)));
            found.extend(worst.map(|skew| Finding::Skewed { metric: metric.name.clone(), skew }));
        }
        if let (Some(p), Some(now)) = (self.sample_ratio.p, self.sample_ratio.decides)
            && p < srm::ALPHA
            && now >= self.sample_ratio.threshold
        {
            found.push(Finding::OddForOneLook { p });
        }
        self.remarks = reasons(found);
    }
}

fn reasons(findings: Vec<Finding>) -> Vec<Reason> {
    findings.into_iter().map(Reason::from).collect()
}

/// What a comparison says of its guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// It got worse, and by more than the margin may be.
    Broken,
    /// It changed, and nobody said which way is better.
    Moved,
    /// More than the margin is not ruled out.
    Possible,
    /// More than the margin is ruled out.
    Within,
    /// Without a margin: no harm was seen.
    Unharmed,
}

impl Comparison {
    /// Why its interval is not to be taken at its word.
    fn doubted(&self) -> Option<Doubted> {
        self.doubt.map(|doubt| Doubted { doubt, skew: self.skew })
    }
}

impl MetricResult {
    /// Why a treatment has no comparison.
    fn gap(&self, treatment: &str) -> Gap {
        let own = self.unmeasured.iter().find(|unmeasured| unmeasured.treatment == treatment);
        own.map(|unmeasured| &unmeasured.problem).or(self.problem.as_ref()).cloned().unwrap_or(Gap::NoData)
    }

    /// Of a guardrail.
    pub(crate) fn guards(&self, c: &Comparison) -> Guard {
        match (c.effect, self.margin) {
            (_, Some(margin)) if self.worst(c) <= margin => Guard::Within,
            (Effect::Worse, _) => Guard::Broken,
            (Effect::Moved, _) => Guard::Moved,
            (_, Some(_)) => Guard::Possible,
            (_, None) => Guard::Unharmed,
        }
    }

    /// How much worse it may be, by the interval that decides; negative: it is better for certain.
    fn worst(&self, c: &Comparison) -> f64 {
        match self.is_lower_better {
            Some(true) => c.interval.high,
            Some(false) => -c.interval.low,
            None => c.interval.high.max(-c.interval.low),
        }
    }
}

/// How the log differs from the config.
fn misfit(integrity: &Integrity) -> Vec<Finding> {
    let share_of = |wrong: u64, of: u64| wrong as f64 / (of.max(1)) as f64;
    let mut found = Vec::new();
    let share = share_of(integrity.wrong_variant, integrity.replayed)
        .max(share_of(integrity.units_wrong, integrity.units_replayed));
    if share > MOST_WRONG {
        found.push(Finding::LogMisfit { share });
    }
    let exposures = integrity.compared_in_others;
    let share = share_of(integrity.wrong_in_others, exposures);
    if share > MOST_WRONG {
        let versions = integrity.other_versions.keys().take(MOST_NAMED).cloned().collect();
        found.push(Finding::OtherVersionsMisfit { exposures, versions, share });
    }
    let share = share_of(integrity.unknown_variant, integrity.exposures);
    if share > MOST_WRONG {
        found.push(Finding::UnknownVariants { share });
    }
    found
}
