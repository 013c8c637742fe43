//! Watching an evaluation.

use super::decision::Assignment;
use super::reason::Reason;
use crate::ids::{ChainId, ExperimentId, HoldoutId, LayerId, VariantId};
use crate::qa_token::TokenOutcome;
use crate::request::Source;

/// A step of the evaluation, for those who want to see it.
#[derive(Debug)]
pub enum Step<'a> {
    /// Everything is off.
    KillSwitch,
    /// A unit was looked for.
    Unit {
        /// Where.
        chain: ChainId,
        /// What was found, and which source had it.
        found: Option<(&'a Source, &'a str)>,
    },
    /// The request is in no experiment, whatever its unit.
    Barred(Reason),
    /// The unit was minted for this request.
    Minted,
    /// A QA token was looked at.
    Token(TokenOutcome),
    /// A holdout was looked at.
    Holdout {
        /// Which.
        holdout: HoldoutId,
        /// The unit's bucket in it.
        bucket: u32,
        /// Buckets below this are held out.
        below: u32,
    },
    /// A layer's bucket was computed.
    Layer {
        /// Which.
        layer: LayerId,
        /// The unit's bucket in it.
        bucket: u32,
        /// Who owns the bucket.
        owner: Option<ExperimentId>,
    },
    /// An experiment owns the unit's bucket.
    Traffic {
        /// Which.
        experiment: ExperimentId,
        /// The bucket's position among those owned.
        position: u32,
        /// Positions below this are active now.
        active: u32,
        /// How many it owns.
        owned: u32,
    },
    /// An experiment's targeting was evaluated.
    Targeting {
        /// Which.
        experiment: ExperimentId,
        /// Whether the request is eligible.
        eligible: bool,
    },
    /// What came out for an experiment.
    Outcome {
        /// Which.
        experiment: ExperimentId,
        /// Why.
        reason: Reason,
        /// The variant, if it was entered.
        variant: Option<VariantId>,
        /// The last bucket computed for it: the variant's if it was entered.
        bucket: Option<u32>,
    },
}

/// Watches an evaluation.
pub trait Trace {
    /// Whether it wants to know of experiments that do not own the unit's
    /// bucket. Without it they are not looked at.
    #[inline]
    fn wants_all(&self) -> bool {
        true
    }

    /// Takes note of a step.
    fn step(&mut self, step: Step<'_>);
}

/// Watches nothing, at no cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    #[inline]
    fn wants_all(&self) -> bool {
        false
    }

    #[inline]
    fn step(&mut self, _step: Step<'_>) {}
}

pub(super) fn not_entered(experiment: ExperimentId, reason: Reason, bucket: Option<u32>) -> Step<'static> {
    Step::Outcome { experiment, reason, variant: None, bucket }
}

pub(super) fn outcome(assignment: &Assignment) -> Step<'static> {
    Step::Outcome {
        experiment: assignment.experiment,
        reason: assignment.reason,
        variant: (!assignment.withheld).then_some(assignment.variant),
        bucket: (!assignment.reason.is_override()).then_some(assignment.bucket),
    }
}
