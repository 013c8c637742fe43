//! What an analysis found, as codes with values. `sentence.rs` puts them into words; nothing reads those again.

use serde::{Serialize, Serializer};
use splitway_stats::Interval;

use crate::judge::{Doubt, Skew};

/// A finding, and the treatment that it is about where several are judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// The treatment; absent where the experiment has one only, or the finding is about all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub treatment: Option<String>,
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
}

impl From<Finding> for Reason {
    fn from(finding: Finding) -> Self {
        Self { treatment: None, finding }
    }
}

/// A code with its values. Shares and levels are fractions from 0 to 1; `absolute` is treatment - control in the metric's unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Finding {
    /// The log has more exposures with another variant than their bucket's than can be chance.
    LogMisfit {
        /// Share of what was compared.
        share: f64,
    },
    /// Exposures of other versions of the config have variants that this one does not give.
    OtherVersionsMisfit {
        /// Exposures of other versions.
        exposures: u64,
        /// Some of the versions.
        versions: Vec<String>,
        /// Share of the exposures with another variant.
        share: f64,
    },
    /// The log names variants that the experiment does not have.
    UnknownVariants {
        /// Share of the exposures.
        share: f64,
    },
    /// A summary names variants that the experiment does not have.
    ForeignSummary {
        /// Units of such variants.
        units: f64,
    },
    /// Too many units were in more than one variant.
    ContaminatedArms {
        /// Share of the units.
        share: f64,
    },
    /// A guardrail of the proxy switched a variant off.
    GuardrailTripped {
        /// The variant; absent where the log does not show which of several.
        #[serde(skip_serializing_if = "Option::is_none")]
        variant: Option<String>,
        /// Exposures that were served without it.
        exposures: u64,
    },
    /// The arms do not have the planned shares.
    SampleRatioMismatch {
        /// Every arm's shares.
        arms: Vec<Shares>,
        /// Probability of such shares by chance.
        p: f64,
    },
    /// The planned shares do not hold for a part of the units.
    PartMismatch {
        /// Which part.
        part: Part,
        /// Probability by chance, corrected for the tests.
        p: f64,
        /// Number of parts tested.
        tested: usize,
    },
    /// The planned shares do not hold for further parts.
    MoreMismatches {
        /// Number of parts that are not listed.
        parts: usize,
    },
    /// A segment's shares are off, which happens where the segment depends on the variant.
    SegmentDependsOnVariant,
    /// Nobody was exposed.
    NoUnits,
    /// A guardrail moved, but its interval is not to be taken at its word.
    GuardrailDoubted {
        /// How it moved.
        difference: Difference,
        /// Why the interval is doubted.
        doubt: Doubted,
    },
    /// A guardrail did not move, but its interval rules nothing out.
    GuardrailProvesNothing {
        /// How it moved.
        difference: Difference,
        /// Why the interval is doubted.
        doubt: Doubted,
    },
    /// A guardrail got worse.
    GuardrailWorse {
        /// How it moved.
        difference: Difference,
    },
    /// A guardrail moved, and its direction is not configured.
    GuardrailMoved {
        /// How it moved.
        difference: Difference,
    },
    /// A guardrail may be worse by more than its margin.
    GuardrailOpen {
        /// How it moved.
        difference: Difference,
        /// The worst that the interval includes, absolute.
        worst: f64,
        /// What is allowed, absolute.
        margin: f64,
    },
    /// A guardrail is not worse by more than its margin.
    GuardrailHeld {
        /// The metric.
        metric: String,
        /// What is allowed, absolute.
        margin: f64,
    },
    /// A guardrail without a margin shows no harm.
    GuardrailUnharmed {
        /// The metric.
        metric: String,
        /// The worst that the interval includes, absolute, at least 0.
        worst: f64,
    },
    /// A guardrail has no numbers.
    GuardrailUnmeasured {
        /// The metric.
        metric: String,
        /// Why.
        gap: Gap,
    },
    /// The config names no primary metric.
    NoPrimaryMetric,
    /// The primary metric has no numbers.
    PrimaryUnmeasured {
        /// The metric.
        metric: String,
        /// Why.
        gap: Gap,
    },
    /// The primary metric looks worse, but its interval is not to be taken at its word.
    PrimaryDoubted {
        /// Why the interval is doubted.
        doubt: Doubted,
    },
    /// The primary metric's interval is not to be taken at its word.
    PrimaryProvesNothing {
        /// Why the interval is doubted.
        doubt: Doubted,
    },
    /// How the primary metric moved, beside the finding that decides.
    Primary {
        /// How it moved.
        difference: Difference,
    },
    /// The primary metric got worse.
    PrimaryWorse {
        /// How it moved.
        difference: Difference,
    },
    /// The primary metric got better.
    PrimaryBetter {
        /// How it moved.
        difference: Difference,
    },
    /// The smaller arm has fewer units than the config demands.
    FewUnits {
        /// Units in the smaller arm.
        units: f64,
        /// `min_units_per_arm`.
        needed: u64,
    },
    /// The config names no guardrail.
    NoGuardrail,
    /// The smallest effect worth having is ruled out.
    EffectRuledOut {
        /// `minimum_detectable_effect`, absolute.
        effect: f64,
        /// How the primary metric moved.
        difference: Difference,
    },
    /// The primary metric's interval includes zero.
    IntervalIncludesZero {
        /// How it moved.
        difference: Difference,
    },
    /// `min_units_per_arm` was changed while the experiment ran.
    MinUnitsChanged {
        /// At the beginning.
        before: u64,
        /// In the newest config.
        now: u64,
    },
    /// Units were in more than one variant; each counts for its first.
    UnitsInTwoVariants {
        /// How many.
        units: f64,
    },
    /// Units have a window that is not over.
    UnfinishedWindows {
        /// How many.
        units: u64,
    },
    /// Outcomes lie before the first exposure or after the window.
    OutcomesOutsideWindow {
        /// How many.
        outcomes: u64,
    },
    /// Exposures by overrides and QA tokens were left out.
    OverridesLeftOut {
        /// How many.
        exposures: u64,
    },
    /// Exposures with a reason that takes no units were left out.
    ReasonLeftOut {
        /// The reason, as records name it.
        reason: String,
        /// How many.
        exposures: u64,
    },
    /// Units were left out as bots or by name.
    UnitsExcluded {
        /// How many.
        units: u64,
    },
    /// Exposures of other versions of the config agree with this one.
    OtherVersionsAgree {
        /// How many.
        exposures: u64,
    },
    /// Exposures do not name their bucket.
    WithoutBucket {
        /// How many.
        exposures: u64,
    },
    /// The log has versions of the config that were not given.
    VersionsNotGiven {
        /// How many versions.
        versions: u64,
    },
    /// Hours between the first and the last exposure have none.
    SilentHours {
        /// How many.
        hours: u64,
    },
    /// A metric's numbers are too skewed for a normal interval at this size.
    Skewed {
        /// The metric.
        metric: String,
        /// Skewness, and the units that it takes.
        skew: Skew,
    },
    /// The shares would be odd for a single look, and are not for one of many.
    OddForOneLook {
        /// Probability by a single look's test.
        p: f64,
    },
    /// Parquet files held exposures of other versions of the config, which were left out.
    ForeignExposures {
        /// How many.
        exposures: u64,
    },
    /// No unit of the list of excluded ones is in the log.
    NoneExcluded,
}

/// An arm's share of the units.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shares {
    /// The variant.
    pub variant: String,
    /// Seen.
    pub observed: f64,
    /// Planned.
    pub planned: f64,
}

/// How a metric of a treatment differs from the control's, by the interval that decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The metric.
    pub metric: String,
    /// Treatment - control.
    pub absolute: f64,
    /// Significance level of the intervals.
    pub alpha: f64,
    /// The interval of `absolute`.
    pub interval: Interval,
    /// Change relative to the absolute value of the control's mean, with its interval; absent where it cannot be stated.
    pub relative: Option<(f64, Interval)>,
}

/// Why an interval is not to be taken at its word, and the skewness that makes more units necessary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Doubted {
    /// Why.
    pub doubt: Doubt,
    /// Absent for quantiles and events.
    pub skew: Option<Skew>,
}

/// A part of the units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Units first seen on a day since 1970.
    Day(i64),
    /// Units of a segment.
    Segment(String),
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Why a metric has no numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Gap {
    /// A quantile, of which a summary has no values.
    NoValues,
    /// All values are 0, and a summary does not show whether the outcome was recorded at all.
    ZeroInSummary,
    /// There are no outcomes at all.
    NoOutcomes {
        /// The outcome that the metric needs.
        outcome: String,
    },
    /// No outcome has the name that the metric needs.
    UnknownOutcome {
        /// The outcome that the metric needs.
        outcome: String,
        /// Some that there are.
        known: Vec<String>,
    },
    /// No outcome belongs to a unit that was exposed.
    OutcomesOfNobody,
    /// No outcome comes after its unit's first exposure and inside the window.
    OutcomesOutsideWindow,
    /// Nobody was exposed.
    NoUnits,
    /// All requests have the same value.
    RequestsAlike,
    /// No exposure in the log has the field.
    FieldNowhere,
    /// All units have the same value.
    Constant,
    /// All units of an arm have the same value, and arms differ.
    ConstantArms {
        /// Each arm's.
        values: Vec<f64>,
    },
    /// An arm has fewer units than the formula needs.
    FewUnits {
        /// Units in the arm.
        found: u64,
        /// Units that the formula needs.
        needed: u64,
    },
    /// An arm has nothing to divide by.
    NoDenominator,
    /// The formula has no result.
    Statistics {
        /// Why, in words.
        problem: String,
    },
    /// There is no comparison.
    NoData,
}
