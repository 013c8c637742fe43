//! Findings in words. The only place where they become text, and no code reads that text again.

use std::fmt;

use crate::finding::{Difference, Doubted, Finding, Gap, Part, Reason, Shares};
use crate::ingest::{Lines, visible};
use crate::judge::{Doubt, date, level, probability};

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(treatment) = &self.treatment {
            write!(f, "{treatment}: ")?;
        }
        self.finding.fmt(f)
    }
}

/// `1 unit`, `2 units`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `is` or `are`.
fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// `was` or `were`.
fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// `has` or `have`.
fn have(count: u64) -> &'static str {
    if count == 1 { "has" } else { "have" }
}

fn percent(share: f64) -> f64 {
    share * 100.0
}

impl fmt::Display for Finding {
    #[allow(clippy::too_many_lines, reason = "one arm a finding")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogMisfit { share } => write!(
                f,
                "the log does not fit the config: {:.2} % of what was replayed has another variant",
                percent(*share)
            ),
            Self::OtherVersionsMisfit { exposures, versions, share } => write!(
                f,
                "{} {} of other versions of the config ({}), and {:.2} % of them have another variant than this one \
                 gives: pass those configs with --older-config",
                counted(*exposures, "exposure"),
                are(*exposures),
                versions.join(", "),
                percent(*share)
            ),
            Self::UnknownVariants { share } => write!(
                f,
                "{:.2} % of the exposures are of a variant that the experiment does not have",
                percent(*share)
            ),
            Self::ForeignSummary { units } => write!(
                f,
                "{units} units are of variants that the config does not have: a summary of another experiment?"
            ),
            Self::ContaminatedArms { share } => write!(
                f,
                "{:.2} % of the units were in more than one variant: the arms are contaminated",
                percent(*share)
            ),
            Self::GuardrailTripped { variant: Some(variant), exposures } => write!(
                f,
                "a guardrail of the proxy switched `{variant}` off: {} {} served without it",
                counted(*exposures, "exposure"),
                were(*exposures)
            ),
            Self::GuardrailTripped { variant: None, exposures } => write!(
                f,
                "a guardrail of the proxy switched a variant off: {} got the control instead; what was measured until \
                 then is below",
                counted(*exposures, "exposure")
            ),
            Self::SampleRatioMismatch { arms, p } => {
                f.write_str("the arms do not have the planned shares (")?;
                for (at, Shares { variant, observed, planned }) in arms.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    let (observed, planned) = (percent(*observed), percent(*planned));
                    write!(f, "{separator}{variant} {observed:.2} % of {planned:.2} % planned")?;
                }
                write!(f, "; p = {}): units were lost or moved on the way", probability(*p))
            }
            Self::PartMismatch { part, p, tested } => write!(
                f,
                "the planned shares do not hold for {part} (p = {}, corrected for {})",
                probability(*p),
                counted(*tested as u64, "test")
            ),
            Self::MoreMismatches { parts } => write!(f, "nor for {parts} more"),
            Self::SegmentDependsOnVariant => f.write_str(
                "a segment must not depend on the variant, as the cluster of a variant that routes does",
            ),
            Self::NoUnits => f.write_str("no unit was exposed"),
            Self::GuardrailDoubted { difference, doubt } => {
                write!(f, "guardrail {} moved, but {doubt}: {difference}", difference.metric)
            }
            Self::GuardrailProvesNothing { difference, doubt } => {
                write!(f, "guardrail {} rules nothing out, as {doubt}: {difference}", difference.metric)
            }
            Self::GuardrailWorse { difference } => {
                write!(f, "guardrail {} got worse: {difference}", difference.metric)
            }
            Self::GuardrailMoved { difference } => write!(
                f,
                "guardrail {} moved, and nothing states which way is better (metrics.lower_is_better or \
                 higher_is_better): {difference}",
                difference.metric
            ),
            Self::GuardrailOpen { difference, worst, margin } => write!(
                f,
                "guardrail {} may be worse by {worst:.5}, {margin} is allowed: {difference}",
                difference.metric
            ),
            Self::GuardrailHeld { metric, margin } => {
                write!(f, "guardrail {metric}: worse by more than {margin} is ruled out")
            }
            Self::GuardrailUnharmed { metric, worst } => write!(
                f,
                "guardrail {metric}: nothing shows harm, though up to {worst:.5} worse is possible; no margin is set"
            ),
            Self::GuardrailUnmeasured { metric, gap } => {
                write!(f, "guardrail {metric} could not be measured: {gap}")
            }
            Self::NoPrimaryMetric => f.write_str("the config names no primary metric"),
            Self::PrimaryUnmeasured { metric, gap } => write!(f, "{metric} could not be measured: {gap}"),
            Self::PrimaryDoubted { doubt } => write!(f, "the primary metric looks worse, but {doubt}"),
            Self::PrimaryProvesNothing { doubt } => doubt.fmt(f),
            Self::Primary { difference } => write!(f, "{}: {difference}", difference.metric),
            Self::PrimaryWorse { difference } => {
                write!(f, "the primary metric got worse, {}: {difference}", difference.metric)
            }
            Self::PrimaryBetter { difference } => {
                write!(f, "the primary metric got better, {}: {difference}", difference.metric)
            }
            Self::FewUnits { units, needed } => {
                write!(f, "{units} units in the smaller arm, {needed} are needed")
            }
            Self::NoGuardrail => f.write_str("no guardrail is named, so nothing shows that it does no harm"),
            Self::EffectRuledOut { effect, difference } => write!(
                f,
                "an effect as large as {effect} can be ruled out, {}: {difference}",
                difference.metric
            ),
            Self::IntervalIncludesZero { difference } => {
                write!(f, "the interval includes zero (no change), {}: {difference}", difference.metric)
            }
            Self::MinUnitsChanged { before, now } => write!(
                f,
                "min_units_per_arm was {before} when the experiment began and is {now} now: the intervals of every look \
                 stay those of {before}"
            ),
            Self::UnitsInTwoVariants { units } => write!(
                f,
                "{} {} in more than one variant and {} for the first one they saw",
                counted(*units as u64, "unit"),
                were(*units as u64),
                if *units == 1.0 { "counts" } else { "count" }
            ),
            Self::UnfinishedWindows { units } => write!(
                f,
                "{} {} a window that is not over: more of their outcomes may come (--complete-only leaves them out)",
                counted(*units, "unit"),
                have(*units)
            ),
            Self::OutcomesOutsideWindow { outcomes } => write!(
                f,
                "{} of its units {} before the first exposure or after the window",
                counted(*outcomes, "outcome"),
                are(*outcomes)
            ),
            Self::OverridesLeftOut { exposures } => write!(
                f,
                "{} by overrides and QA tokens {} left out",
                counted(*exposures, "exposure"),
                were(*exposures)
            ),
            Self::ReasonLeftOut { reason, exposures } => write!(
                f,
                "{} with the reason {reason} {} left out",
                counted(*exposures, "exposure"),
                were(*exposures)
            ),
            Self::UnitsExcluded { units } => {
                write!(f, "{} {} left out as bots or by name", counted(*units, "unit"), were(*units))
            }
            Self::OtherVersionsAgree { exposures } => write!(
                f,
                "{} of other versions of the config {} the variant that this one gives (--older-config takes those)",
                counted(*exposures, "exposure"),
                have(*exposures)
            ),
            Self::WithoutBucket { exposures } => write!(
                f,
                "{} without a bucket could not be compared with the config",
                counted(*exposures, "exposure")
            ),
            Self::VersionsNotGiven { versions } => write!(
                f,
                "{} of the config in the log {} not given, so it is not known whether min_units_per_arm, which the \
                 intervals of every look are made for, was changed since (--older-config, the first one first)",
                counted(*versions, "version"),
                were(*versions)
            ),
            Self::SilentHours { hours } => write!(
                f,
                "{} {} no exposure at all, as if the log was lost",
                counted(*hours, "hour"),
                have(*hours)
            ),
            Self::Skewed { metric, skew } => write!(
                f,
                "{metric} is skewed ({:.1}): a normal interval takes {:.0} units an arm (355 x skewness^2), an arm has \
                 {}; a cap (--cap {metric}=p99) makes a few large values count less",
                skew.skewness, skew.needed, skew.units
            ),
            Self::OddForOneLook { p } => write!(
                f,
                "the arms' shares would be odd for a single look (p = {}), though not for one of many",
                probability(*p)
            ),
            Self::ForeignExposures { exposures } => write!(
                f,
                "{} of other versions of the config {} left out of the Parquet files: name versions by --older-config \
                 or --accept-version",
                counted(*exposures, "exposure"),
                were(*exposures)
            ),
            Self::NoneExcluded => {
                f.write_str("no unit of --exclude is in the log: it names units as the log shows them")
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (absolute, interval) = (self.absolute, self.interval);
        let level = level(self.alpha);
        write!(f, "{absolute:+.5} ({level} % interval {:+.5} to {:+.5}", interval.low, interval.high)?;
        if let Some((relative, interval)) = self.relative {
            let [relative, low, high] = [relative, interval.low, interval.high].map(percent);
            write!(f, "; relative {relative:+.2} %, {low:+.2} to {high:+.2} %")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Doubted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.doubt {
            Doubt::Constant => f.write_str(
                "all units of an arm have the same value, so that nothing shows how certain the difference is",
            ),
            Doubt::FewUnits { units, needed } => {
                write!(f, "{units} units in the smaller arm do not prove it, {needed} are needed")?;
                match self.skew {
                    Some(skew) => {
                        write!(f, ", or, as skewed as it is ({:.1}), {:.0}", skew.skewness, skew.needed)
                    }
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => write!(f, "units first seen on {}", date(*day)),
            Self::Segment(name) => write!(f, "segment `{name}`"),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValues => f.write_str("no values; a summary has none, quantiles need the data"),
            Self::ZeroInSummary => {
                f.write_str("0 everywhere; a summary does not show whether it was recorded at all")
            }
            Self::NoOutcomes { outcome } => write!(f, "no outcomes, so none is called `{}`", visible(outcome)),
            Self::UnknownOutcome { outcome, known } => {
                let known: Vec<_> = known.iter().map(|name| visible(name)).collect();
                write!(f, "no outcome is called `{}`; there are {}", visible(outcome), known.join(", "))
            }
            Self::OutcomesOfNobody => f.write_str(
                "no outcome is of a unit that was exposed: are units written alike in both, or is --raw-units missing?",
            ),
            Self::OutcomesOutsideWindow => {
                f.write_str("no outcome comes after its unit's first exposure and inside the window")
            }
            Self::NoUnits => f.write_str("no unit was exposed"),
            Self::RequestsAlike => f.write_str("all requests are alike"),
            Self::FieldNowhere => f.write_str("no exposure in the log has it"),
            Self::Constant => f.write_str("the same for all units"),
            Self::ConstantArms { values } => {
                let values: Vec<String> = values.iter().map(f64::to_string).collect();
                write!(
                    f,
                    "the same for all units of an arm ({}), so that nothing shows how certain a difference is",
                    values.join(", ")
                )
            }
            Self::FewUnits { found, needed } => {
                write!(f, "{} in an arm, {needed} are needed", counted(*found, "unit"))
            }
            Self::NoDenominator => f.write_str("an arm has nothing to divide by"),
            Self::Statistics { problem } => f.write_str(problem),
            Self::NoData => f.write_str("no data"),
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts =
            vec![format!("{} in {}", counted(self.records, "record"), counted(self.lines, "line"))];
        for (count, what) in [
            (self.unrelated, "about other things"),
            (self.elsewhere, "with the text of a record where Splitway writes none (left out)"),
            (self.malformed, "malformed"),
            (self.without_unit, "without a unit"),
            (self.without_segment, "without the field of --segment"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        if self.foreign > 0 {
            let versions: Vec<&str> = self.foreign_versions.iter().map(String::as_str).collect();
            parts.push(format!(
                "{} of other versions of the config left out ({})",
                self.foreign,
                versions.join(", ")
            ));
        }
        let valueless: u64 = self.without_value.values().sum();
        if valueless > 0 {
            parts.push(format!("{valueless} without a value, counted as 1 each"));
        }
        f.write_str(&parts.join(", "))
    }
}
