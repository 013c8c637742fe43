//! What to do, and why.

use splitway_stats::srm;

use super::{Comparison, Effect, Judgement, MetricResult, Rules, Verdict, level, probability};
use crate::metric::Role;

/// More of the replayed log than this differs from the config: it is not this experiment's log.
const MOST_WRONG: f64 = 0.001;
/// A larger share of units in two variants means that units are not kept apart.
const MOST_IN_TWO: f64 = 0.01;

impl Judgement {
    pub(super) fn decide(&mut self, rules: &Rules) {
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

    pub(super) fn remark(&mut self) {
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
