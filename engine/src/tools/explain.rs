//! A decision, step by step, for people and programs.
//!
//! A recording [`Trace`]: the evaluator is the one that decides, so that what
//! is explained is what happens.

use std::fmt;

use serde::Serialize;

use crate::decide::{Decision, Reason, Step, Trace};
use crate::ids::{ExperimentId, VariantId};
use crate::plan::{Experiment, Plan};
use crate::request::RequestView;
use crate::time::Timestamp;

/// Every step of one decision, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// When it was decided (RFC 3339).
    pub at: String,
    /// The config's version.
    pub config: String,
    /// What was looked at.
    pub steps: Vec<ExplainedStep>,
    /// What goes upstream in `x-splitway`, if anything.
    pub stamp: Option<String>,
}

/// A step with names in place of handles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ExplainedStep {
    /// Everything is off.
    KillSwitch,
    /// The request is in no experiment, whatever its unit.
    Barred {
        /// The stable spelling of the [`Reason`].
        reason: &'static str,
    },
    /// The unit was minted for this request.
    Minted,
    /// A unit was looked for.
    Unit {
        /// The sources, in order.
        looked_in: Vec<String>,
        /// The one that had a value.
        found_in: Option<String>,
        /// The value.
        unit: Option<String>,
    },
    /// A QA token was looked at.
    Token {
        /// What became of it.
        outcome: &'static str,
    },
    /// A holdout was looked at.
    Holdout {
        /// Its id.
        holdout: String,
        /// The unit's bucket, of 10,000.
        bucket: u32,
        /// Buckets below this are held out.
        below: u32,
        /// Whether the unit is.
        held_out: bool,
    },
    /// A layer's bucket was computed.
    Layer {
        /// Its id.
        layer: String,
        /// The unit's bucket, of 10,000.
        bucket: u32,
        /// First and last bucket of the run around it with one owner.
        range: Option<[u32; 2]>,
        /// The experiment that owns it.
        owner: Option<String>,
    },
    /// The owner's traffic was looked at.
    Traffic {
        /// The owner.
        experiment: String,
        /// The bucket's position among the owned ones, from 0.
        position: u32,
        /// Positions below this are active now.
        active: u32,
        /// Owned buckets.
        owned: u32,
    },
    /// Targeting was evaluated.
    Targeting {
        /// The experiment.
        experiment: String,
        /// Whether the request is eligible.
        eligible: bool,
    },
    /// What came out for an experiment.
    Outcome {
        /// The experiment.
        experiment: String,
        /// The variant, if it was entered.
        variant: Option<String>,
        /// The last bucket computed for it: the variant's if it was entered.
        bucket: Option<u32>,
        /// First and last bucket of the variant's run, under the default dialect.
        range: Option<[u32; 2]>,
        /// The stable spelling of [`Reason`].
        reason: &'static str,
        /// The same in words.
        why: String,
    },
}

impl Plan {
    /// Decides as [`Plan::decide`] and keeps every step.
    #[must_use]
    pub fn explain(&self, request: &RequestView<'_>, now: Timestamp) -> (Decision, Explanation) {
        let mut recorder = Recorder { plan: self, now, steps: Vec::new() };
        let decision = self.decide(request, now, &mut recorder);
        let explanation = Explanation {
            at: now.to_string(),
            config: self.content_hash().to_owned(),
            steps: recorder.steps,
            stamp: self.stamp(&decision).map(std::borrow::Cow::into_owned),
        };
        (decision, explanation)
    }
}

struct Recorder<'p> {
    plan: &'p Plan,
    now: Timestamp,
    steps: Vec<ExplainedStep>,
}

impl Trace for Recorder<'_> {
    fn step(&mut self, step: Step<'_>) {
        let step = self.explained(step);
        self.steps.push(step);
    }
}

impl Recorder<'_> {
    fn explained(&self, step: Step<'_>) -> ExplainedStep {
        match step {
            Step::KillSwitch => ExplainedStep::KillSwitch,
            Step::Barred(reason) => ExplainedStep::Barred { reason: reason.as_str() },
            Step::Minted => ExplainedStep::Minted,
            Step::Unit { chain, found } => ExplainedStep::Unit {
                looked_in: self.plan.sources(chain).iter().map(ToString::to_string).collect(),
                found_in: found.map(|(source, _)| source.to_string()),
                unit: found.map(|(_, unit)| unit.to_owned()),
            },
            Step::Token(outcome) => ExplainedStep::Token { outcome: outcome.as_str() },
            Step::Holdout { holdout, bucket, below } => ExplainedStep::Holdout {
                holdout: self.plan.holdout_id(holdout).to_owned(),
                bucket,
                below,
                held_out: bucket < below,
            },
            Step::Layer { layer, bucket, owner } => {
                let layer = self.plan.layer(layer);
                let run = layer.and_then(|layer| layer.owned_at(bucket));
                ExplainedStep::Layer {
                    layer: layer.map(|layer| layer.id().to_owned()).unwrap_or_default(),
                    bucket,
                    range: run.map(|run| inclusive(&run.buckets)),
                    owner: owner.map(|owner| self.name(owner)),
                }
            }
            Step::Traffic { experiment, position, active, owned } => {
                ExplainedStep::Traffic { experiment: self.name(experiment), position, active, owned }
            }
            Step::Targeting { experiment, eligible } => {
                ExplainedStep::Targeting { experiment: self.name(experiment), eligible }
            }
            Step::Outcome { experiment, reason, variant, bucket } => {
                self.outcome(experiment, reason, variant, bucket)
            }
        }
    }

    fn outcome(
        &self,
        id: ExperimentId,
        reason: Reason,
        variant: Option<VariantId>,
        bucket: Option<u32>,
    ) -> ExplainedStep {
        let experiment = self.plan.experiment(id);
        let run = experiment.zip(bucket).filter(|_| reason == Reason::Split);
        ExplainedStep::Outcome {
            experiment: self.name(id),
            variant: variant.and_then(|v| Some(experiment?.variant(v)?.id().to_owned())),
            bucket,
            range: run.and_then(|(e, bucket)| e.variant_at(bucket)).map(|(run, _)| inclusive(&run)),
            reason: reason.as_str(),
            why: experiment.map(|e| why(e, reason, self.now)).unwrap_or_default(),
        }
    }

    fn name(&self, id: ExperimentId) -> String {
        self.plan.experiment(id).map(|e| e.id().to_owned()).unwrap_or_default()
    }
}

fn inclusive(run: &std::ops::Range<u32>) -> [u32; 2] {
    [run.start, run.end.saturating_sub(1)]
}

fn why(experiment: &Experiment, reason: Reason, now: Timestamp) -> String {
    let text = match reason {
        Reason::KillSwitch => "the kill switch is on",
        Reason::Bot => "the request is a bot's",
        Reason::NoConsent => "the request carries no consent",
        Reason::NoUnit => "no source of its unit has a value",
        Reason::NotRunning => "its status takes no units",
        Reason::NotStarted => {
            return experiment.start.map_or_else(String::new, |start| format!("it starts at {start}"));
        }
        Reason::Ended => return experiment.end.map_or_else(String::new, |end| format!("it ended at {end}")),
        Reason::Holdout => "the unit is held out",
        Reason::OtherExperiment => "an override put the unit into another experiment of the layer",
        Reason::OutsideBuckets => "it does not own the unit's bucket of the layer",
        Reason::OutsideTraffic => {
            let (active, owned) = (experiment.active_buckets(now), experiment.owned_buckets());
            return format!("only {active} of its {owned} buckets are active now");
        }
        Reason::NotTargeted => "the request is not eligible",
        Reason::DialectExcluded => "the allocation of its bucketing dialect leaves the unit out",
        Reason::Conflict => "another experiment, which comes first, acts on the same thing for this request",
        Reason::Override => "an allow-list names the unit",
        Reason::QaToken => "a valid QA token names the variant",
        Reason::Guardrail if experiment.variants().len() == 1 => {
            "a guardrail has switched its only variant off, so nothing of it is applied"
        }
        Reason::Guardrail => "a guardrail has switched its variant off, so it gets the control",
        Reason::Split => "by its bucket",
    };
    text.to_owned()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "at {}, config {}", self.at, self.config)?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        match &self.stamp {
            Some(stamp) => write!(f, "x-splitway: {stamp}"),
            None => f.write_str("x-splitway is not sent"),
        }
    }
}

impl fmt::Display for ExplainedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillSwitch => f.write_str("kill switch  on"),
            Self::Barred { reason } => write!(f, "barred       {reason}"),
            Self::Minted => f.write_str("minted       a new unit"),
            Self::Unit { looked_in, found_in, unit } => match (found_in, unit) {
                (Some(source), Some(unit)) => write!(f, "unit         `{unit}` from {source}"),
                _ => write!(f, "unit         none in {}", looked_in.join(", ")),
            },
            Self::Token { outcome } => write!(f, "qa token     {outcome}"),
            Self::Holdout { holdout, bucket, below, held_out } => {
                let word = if *held_out { "held out" } else { "not held out" };
                write!(f, "holdout      {holdout}: bucket {bucket}, below {below} is out: {word}")
            }
            Self::Layer { layer, bucket, range, owner } => {
                write!(f, "layer        {layer}: bucket {bucket}")?;
                show_range(f, range.as_ref())?;
                match owner {
                    Some(owner) => write!(f, ", owned by {owner}"),
                    None => f.write_str(", free"),
                }
            }
            Self::Traffic { experiment, position, active, owned } => write!(
                f,
                "traffic      {experiment}: position {position} of {owned} owned, below {active} is active"
            ),
            Self::Targeting { experiment, eligible } => {
                let word = if *eligible { "eligible" } else { "not eligible" };
                write!(f, "targeting    {experiment}: {word}")
            }
            Self::Outcome { experiment, variant, bucket, range, reason, why } => {
                let variant = variant.as_deref().unwrap_or("not entered");
                write!(f, "=> {experiment}: {variant} ({reason}: {why}")?;
                if let Some(bucket) = bucket {
                    write!(f, "; bucket {bucket}")?;
                    show_range(f, range.as_ref())?;
                }
                f.write_str(")")
            }
        }
    }
}

fn show_range(f: &mut fmt::Formatter<'_>, range: Option<&[u32; 2]>) -> fmt::Result {
    range.map_or(Ok(()), |[first, last]| write!(f, " in {first}..={last}"))
}
