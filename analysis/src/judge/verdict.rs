//! What to do, and why.

use splitway_stats::srm;

use super::{Comparison, Doubt, Effect, Judgement, MetricResult, Rules, Skew, Verdict, level, probability};
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
            (self.verdict, self.reasons) = (Verdict::Invalid, broken);
            return;
        }
        // A trip moves the shares, so it is the better reason.
        if let Some(tripped) = self.tripped() {
            self.reasons.push(tripped);
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
            (self.verdict, self.reasons) = (Verdict::Invalid, uneven);
            return;
        }
        if self.arms.iter().all(|arm| arm.units == 0.0) {
            self.reasons.push("no unit was exposed".to_owned());
            return;
        }
        let mut of_all: Vec<(Verdict, String, Vec<String>)> = self
            .treatments()
            .into_iter()
            .map(|treatment| {
                let (verdict, reasons) = self.of(&treatment, rules);
                (verdict, treatment, reasons)
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
        for (_, treatment, reasons) in of_all {
            let prefix = if many { format!("{treatment}: ") } else { String::new() };
            self.reasons.extend(reasons.into_iter().map(|reason| format!("{prefix}{reason}")));
        }
    }

    fn treatments(&self) -> Vec<String> {
        // One that plans nobody and has nobody is none.
        let takes_part = |arm: &&super::Arm| !arm.is_control && (arm.planned > 0.0 || arm.units > 0.0);
        self.arms.iter().filter(takes_part).map(|arm| arm.variant.clone()).collect()
    }

    /// Whether the proxy switched a variant off. From then on its units see the control, and the shares are off.
    fn tripped(&self) -> Option<String> {
        let count = self.integrity.as_ref().map(|integrity| integrity.tripped).filter(|count| *count > 0)?;
        if let [alone] = self.arms.as_slice() {
            let variant = &alone.variant;
            return Some(format!(
                "a guardrail of the proxy switched `{variant}` off: {count} exposures were served without it"
            ));
        }
        Some(format!(
            "a guardrail of the proxy switched a variant off: {count} exposures got the control instead; what was \
             measured until then is below"
        ))
    }

    /// Why the arms are not what was planned.
    fn uneven(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(p) = self.sample_ratio.decides.filter(|p| *p < self.sample_ratio.threshold) {
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
        let mismatches = &self.sample_ratio.mismatches;
        for mismatch in mismatches.iter().take(MOST_NAMED) {
            reasons.push(format!(
                "the planned shares do not hold for {} (p = {}, corrected for {} tests)",
                mismatch.part,
                probability(mismatch.p),
                self.sample_ratio.tested
            ));
        }
        if mismatches.len() > MOST_NAMED {
            reasons.push(format!("nor for {} more", mismatches.len() - MOST_NAMED));
        }
        if mismatches.iter().any(|mismatch| mismatch.part.starts_with("segment")) {
            reasons.push(
                "a segment must not depend on the variant, as the cluster of a variant that routes does"
                    .to_owned(),
            );
        }
        reasons
    }

    /// Why the log is not this experiment's.
    fn broken(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(integrity) = self.integrity.as_ref().filter(|i| i.wrong_share() > MOST_WRONG) {
            reasons.extend(misfit(integrity));
        } else if self.integrity.is_none() && self.units_elsewhere > 0.0 {
            reasons.push(format!(
                "{} units are of variants that the config does not have: a summary of another experiment?",
                self.units_elsewhere
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
        let sign = if metric.is_lower_better == Some(true) { -1.0 } else { 1.0 };
        metric.comparisons.iter().find(|c| c.treatment == treatment).map(|c| (sign, c))
    }

    /// Verdict and reasons of one treatment: guardrails, then the primary metric.
    fn of(&self, treatment: &str, rules: &Rules) -> (Verdict, Vec<String>) {
        let (mut broken, mut open, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for metric in self.metrics.iter().filter(|metric| metric.role == Role::Guardrail) {
            match metric.comparisons.iter().find(|c| c.treatment == treatment) {
                Some(c) => match (metric.guards(c), metric.margin) {
                    (Guard::Broken | Guard::Moved, _) if c.doubt.is_some() => open.push(format!(
                        "guardrail {} moved, but {}: {}",
                        metric.name,
                        c.doubted(),
                        self.describe(c)
                    )),
                    (Guard::Within, _) if c.doubt == Some(Doubt::Constant) => open.push(format!(
                        "guardrail {} rules nothing out, as {}: {}",
                        metric.name,
                        c.doubted(),
                        self.describe(c)
                    )),
                    (Guard::Broken, _) => {
                        broken.push(format!("guardrail {} got worse: {}", metric.name, self.describe(c)));
                    }
                    (Guard::Moved, _) => open.push(format!(
                        "guardrail {} moved, and nothing says which way is better (metrics.lower_is_better or \
                         higher_is_better): {}",
                        metric.name,
                        self.describe(c)
                    )),
                    (Guard::Possible, Some(margin)) => open.push(format!(
                        "guardrail {} may be worse by {:.5}, {margin} is allowed: {}",
                        metric.name,
                        metric.worst(c),
                        self.describe(c)
                    )),
                    (Guard::Within, Some(margin)) => {
                        held.push(format!("guardrail {}: worse by more than {margin} is ruled out", metric.name));
                    }
                    _ => held.push(format!(
                        "guardrail {}: nothing shows harm, though up to {:.5} worse is possible; no margin is set",
                        metric.name,
                        metric.worst(c).max(0.0)
                    )),
                },
                None => {
                    let why = metric.why(treatment);
                    open.push(format!("guardrail {} could not be measured: {why}", metric.name));
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
            let why = primary.why(treatment);
            return (Verdict::Inconclusive, vec![format!("{} could not be measured: {why}", primary.name)]);
        };
        let said = format!("{}: {}", primary.name, self.describe(c));
        if c.effect == Effect::Worse && c.doubt.is_some() {
            let reason = format!("the primary metric looks worse, but {}", c.doubted());
            return (Verdict::Inconclusive, vec![reason, said]);
        }
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
        let best = if primary.is_lower_better == Some(true) { -interval.low } else { interval.high };
        match c.effect {
            _ if c.doubt == Some(Doubt::Constant) => (Verdict::Inconclusive, vec![c.doubted(), said]),
            Effect::Better if !open.is_empty() => {
                open.push(said);
                (Verdict::Inconclusive, open)
            }
            Effect::Better if held.is_empty() => (
                Verdict::Inconclusive,
                vec!["no guardrail is named, so nothing says that it does no harm".to_owned(), said],
            ),
            Effect::Better => {
                held.insert(0, format!("the primary metric got better, {said}"));
                (Verdict::Ship, held)
            }
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

    pub(super) fn remark(&mut self, rules: &Rules) {
        let mut remarks = Vec::new();
        if rules.tuned_for != rules.min_units {
            remarks.push(format!(
                "min_units_per_arm was {} when the experiment began and is {} now: the intervals of every look stay those of {}",
                rules.tuned_for, rules.min_units, rules.tuned_for
            ));
        }
        if self.units_in_two_variants > 0.0 {
            remarks.push(format!(
                "{} units were in more than one variant; they count for the first one they saw",
                self.units_in_two_variants
            ));
        }
        let mut counted = |count: u64, what: &str| {
            if count > 0 {
                remarks.push(format!("{count} {what}"));
            }
        };
        counted(
            self.units_in_progress as u64,
            "units have a window that is not over: more of their outcomes may come (--complete-only leaves them out)",
        );
        counted(
            (self.outcomes - self.outcomes_inside) as u64,
            "outcomes of its units are before the first exposure or after the window",
        );
        if let Some(integrity) = &self.integrity {
            counted(integrity.overrides, "exposures by overrides and QA tokens were left out");
            for (reason, count) in &integrity.other_reasons {
                counted(*count, &format!("exposures with the reason {reason} were left out"));
            }
            counted(integrity.excluded_units, "units were left out as bots or by name");
            counted(
                integrity.compared_in_others.saturating_sub(integrity.wrong_in_others),
                "exposures of other versions of the config have the variant that this one gives (--older-config takes those)",
            );
            if integrity.units_replayed == 0 {
                let compared = integrity.replayed + integrity.compared_in_others + integrity.unknown_variant;
                counted(
                    integrity.exposures.saturating_sub(compared),
                    "exposures do not say their bucket, so they could not be compared with the config",
                );
            }
            let versions = integrity.other_versions.len() as u64;
            counted(
                versions,
                "versions of the config in the log were not given: whether min_units_per_arm was changed since, which the \
                 intervals of every look are made for, is not known (--older-config, the first one first)",
            );
            counted(
                integrity.silent_hours.len() as u64,
                "hours have no exposure at all, as if the log was lost",
            );
        }
        let mut skewed: Vec<(&str, Skew)> = Vec::new();
        for metric in &self.metrics {
            let skews = metric.comparisons.iter().filter_map(|c| c.skew);
            let lack = |skew: &Skew| skew.needed / skew.units;
            let worst = skews.filter(|skew| !skew.is_enough()).max_by(|a, b| lack(a).total_cmp(&lack(b)));
            skewed.extend(worst.map(|skew| (metric.name.as_str(), skew)));
        }
        for (name, skew) in skewed {
            remarks.push(format!(
                "{name} is skewed ({:.1}): a normal interval takes {:.0} units an arm (355 x skewness^2), an arm has {}; a cap \
                 (--cap {name}=p99) makes a few large values count less",
                skew.skewness, skew.needed, skew.units
            ));
        }
        if let (Some(p), Some(now)) = (self.sample_ratio.p, self.sample_ratio.decides)
            && p < srm::ALPHA
            && now >= self.sample_ratio.threshold
        {
            remarks.push(format!(
                "the arms' shares would be odd for a single look (p = {}), though not for one of many",
                probability(p)
            ));
        }
        self.remarks = remarks;
    }
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
    /// Why its interval is not to be taken at its word, for people.
    fn doubted(&self) -> String {
        match self.doubt {
            Some(Doubt::Constant) => {
                "all units of an arm have the same value, so that nothing says how certain the difference is"
                    .to_owned()
            }
            Some(Doubt::FewUnits { units, needed }) => {
                let skewed = self.skew.map_or(String::new(), |skew| {
                    format!(", or, as skewed as it is ({:.1}), {:.0}", skew.skewness, skew.needed)
                });
                format!("{units} units in the smaller arm do not prove it, {needed} are needed{skewed}")
            }
            None => String::new(),
        }
    }
}

impl MetricResult {
    /// Why a treatment has no comparison.
    fn why(&self, treatment: &str) -> &str {
        let own = self.unmeasured.iter().find(|unmeasured| unmeasured.treatment == treatment);
        own.map(|unmeasured| unmeasured.problem.as_str()).or(self.problem.as_deref()).unwrap_or("no data")
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
fn misfit(integrity: &Integrity) -> Vec<String> {
    let percent = |wrong: u64, of: u64| wrong as f64 / (of.max(1)) as f64 * 100.0;
    let mut reasons = Vec::new();
    let wrong = percent(integrity.wrong_variant, integrity.replayed)
        .max(percent(integrity.units_wrong, integrity.units_replayed));
    if wrong > MOST_WRONG * 100.0 {
        reasons.push(format!(
            "the log does not fit the config: {wrong:.2} % of what was replayed has another variant"
        ));
    }
    let others = integrity.compared_in_others;
    let wrong = percent(integrity.wrong_in_others, others);
    if wrong > MOST_WRONG * 100.0 {
        let names: Vec<&str> = integrity.other_versions.keys().map(String::as_str).take(MOST_NAMED).collect();
        reasons.push(format!(
            "{others} exposures are of other versions of the config ({}), and {wrong:.2} % of them have another variant \
             than this one gives: pass those configs with --older-config",
            names.join(", ")
        ));
    }
    let unknown = percent(integrity.unknown_variant, integrity.exposures);
    if unknown > MOST_WRONG * 100.0 {
        reasons.push(format!(
            "{unknown:.2} % of the exposures are of a variant that the experiment does not have"
        ));
    }
    reasons
}
