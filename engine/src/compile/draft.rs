//! Experiments that do not know their layer yet.

use super::values::Parts;
use crate::ids::{ChainId, ExperimentId, LayerId};
use crate::plan::{Experiment, Traffic};
use crate::time::Timestamp;

/// An experiment that does not know its layer yet.
pub(super) struct Draft<'c> {
    pub(super) handle: ExperimentId,
    /// Its index in the document, for problems.
    pub(super) position: usize,
    pub(super) layer: &'c str,
    pub(super) chain: ChainId,
    /// Its bucket ranges, if it states them.
    pub(super) stated: Option<Vec<(u32, u32)>>,
    pub(super) traffic: TrafficDraft,
    /// It will take no units any more, so it need not own buckets.
    pub(super) is_over: bool,
    pub(super) experiment: Experiment,
}

/// How much of what an experiment owns is active.
pub(super) enum TrafficDraft {
    Fixed(Parts),
    Ramp(Vec<(Timestamp, Parts)>),
}

impl TrafficDraft {
    pub(super) fn of(&self, owned: u32) -> Traffic {
        match self {
            Self::Fixed(share) => Traffic::Fixed(share.of(owned)),
            Self::Ramp(steps) => {
                Traffic::Ramp(steps.iter().map(|(at, share)| (*at, share.of(owned))).collect())
            }
        }
    }
}

/// Kept apart from the handle's own type so that a draft can be made before
/// its layer is known.
pub(super) const NO_LAYER: LayerId = LayerId(u16::MAX);

/// The handle of the experiment at `rank` in the order of ids.
pub(super) fn handle(rank: usize) -> ExperimentId {
    ExperimentId(u16::try_from(rank).unwrap_or(u16::MAX))
}
