//! What is said of an experiment.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use splitway_stats::Interval;
use splitway_stats::bayes::Standing;
use splitway_stats::lift::Lift;
use splitway_stats::power::{self, Design, Looks};

use super::doubt::{Doubt, Skew};
use super::rules::Method;
use crate::finding::{Gap, Part, Reason};
use crate::integrity::Integrity;
use crate::metric::{Columns, Role};
use crate::quantile::Quantile;
use crate::reduce::Group;

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
    /// Why, the weightiest first. JSON has the sentences; [`Judgement::findings`] has the codes.
    #[serde(serialize_with = "sentences")]
    pub reasons: Vec<Reason>,
    /// What else should be known.
    #[serde(serialize_with = "sentences")]
    pub remarks: Vec<Reason>,
    /// Which intervals decided.
    pub method: Method,
    /// Units an arm around which the intervals of every look are narrowest.
    pub tuned_for: u64,
    /// Significance level of each comparison with the control: alpha / treatments that the config plans units for.
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
    /// Below this the one that decides is a mismatch.
    pub threshold: f64,
    /// Segments and days on their own, Bonferroni-corrected; those below the threshold.
    pub mismatches: Vec<Mismatch>,
    /// How many segments and days were tested.
    pub tested: usize,
}

/// A part of the units with another split than planned.
#[derive(Clone, Debug, Serialize)]
pub struct Mismatch {
    /// Which part.
    pub part: Part,
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
    /// Treatments that could not be compared, while others could.
    pub unmeasured: Vec<Unmeasured>,
    /// Why there are no numbers.
    #[serde(serialize_with = "maybe_sentence")]
    pub problem: Option<Gap>,
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
    /// Flat prior, all variants together, after covariates; better is the metric's way. Absent where an arm does not vary.
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
    /// What belongs to it: below alpha exactly when the interval excludes 0. Of planned looks the repeated p value
    /// (Jennison, Turnbull 1989).
    pub p: f64,
    /// Benjamini-Hochberg, over the secondary metrics; absent for others.
    pub p_adjusted: Option<f64>,
    /// Share of the variance that the time before the experiment explained, 0 without covariates.
    pub variance_removed: f64,
    /// What the deciding interval says.
    pub effect: Effect,
    /// Why the interval is not to be taken at its word; absent where it is.
    pub doubt: Option<Doubt>,
    /// How skewed the units' numbers are; absent for quantiles, and for events, whose intervals hold at any size.
    pub skew: Option<Skew>,
    /// By day of first exposure, units so far: what was known then.
    pub series: Vec<Point>,
    /// Segments on their own.
    pub segments: Vec<Segment>,
    /// Of the primary metric: how long which effects take, at the traffic seen.
    pub plan: Option<Planning>,
}

/// A treatment that could not be compared with the control.
#[derive(Clone, Debug, Serialize)]
pub struct Unmeasured {
    /// The treatment.
    pub treatment: String,
    /// Why.
    #[serde(serialize_with = "sentence")]
    pub problem: Gap,
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
    /// The interval by the method of the whole judgement.
    pub interval: Interval,
    /// The p-value by the method of the whole judgement, adjusted over the segments (Benjamini-Hochberg).
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

/// Where a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It decided the verdict.
    Reason,
    /// It should be known besides.
    Remark,
    /// It is why a metric has no numbers.
    Gap,
}

/// A finding as programs get it: its kind, its code, and its values.
#[derive(Clone, Debug, Serialize)]
pub struct Coded<'j> {
    /// Where it stands.
    pub kind: Kind,
    /// Of a gap: the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<&'j str>,
    /// Of a gap: the treatment; absent where no arm has numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<&'j str>,
    /// Code and values of a reason or remark.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'j Reason>,
    /// Code and values of a gap.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub gap: Option<&'j Gap>,
}

impl Judgement {
    /// Returns every reason, remark and gap, in the order of the sentences.
    #[must_use]
    pub fn findings(&self) -> Vec<Coded<'_>> {
        let coded =
            |kind| move |reason| Coded { kind, metric: None, of: None, reason: Some(reason), gap: None };
        let mut all: Vec<Coded<'_>> = self.reasons.iter().map(coded(Kind::Reason)).collect();
        all.extend(self.remarks.iter().map(coded(Kind::Remark)));
        for metric in &self.metrics {
            let whole = metric.problem.iter().map(|gap| (None, gap));
            let parts = metric.unmeasured.iter().map(|part| (Some(part.treatment.as_str()), &part.problem));
            all.extend(whole.chain(parts).map(|(of, gap)| Coded {
                kind: Kind::Gap,
                metric: Some(&metric.name),
                of,
                reason: None,
                gap: Some(gap),
            }));
        }
        all
    }
}

fn sentences<S: Serializer>(reasons: &[Reason], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(reasons.iter().map(Reason::to_string))
}

fn sentence<S: Serializer>(gap: &Gap, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(gap)
}

fn maybe_sentence<S: Serializer>(gap: &Option<Gap>, to: S) -> Result<S::Ok, S::Error> {
    gap.as_ref().map(Gap::to_string).serialize(to)
}
