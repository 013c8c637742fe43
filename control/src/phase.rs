//! Where an experiment is in its life, and what may follow.

use serde::{Deserialize, Serialize};

/// Where an experiment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is defined, and nobody has asked for it to run.
    Draft,
    /// It starts as soon as all rules pass.
    Queued,
    /// It takes units.
    Running,
    /// It takes no units until it is resumed.
    Paused,
    /// A verdict is there; it still takes units until it is shipped or rolled back.
    Decided,
    /// It is over. A shipped variant is served to the experiment's units until the experiment is archived.
    Completed,
    /// It is over, and nobody is in it.
    RolledBack,
    /// Only its record is left.
    Archived,
}

/// What happens to an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Move {
    /// It is written or edited.
    Define,
    /// It enters the queue.
    Enqueue,
    /// It leaves the queue.
    Dequeue,
    /// It takes its first units.
    Start,
    /// Its next step begins.
    Advance,
    /// It takes no units for now.
    Pause,
    /// It takes units again.
    Resume,
    /// Its verdict is there.
    Decide,
    /// A variant is served to all its units.
    Ship,
    /// It ends without a variant that is shipped.
    Complete,
    /// Everyone is taken out.
    RollBack,
    /// It becomes a record.
    Archive,
}

/// Every transition there is. An event that makes another one is refused by the fold.
pub const TRANSITIONS: &[(Phase, Move, Phase)] = &[
    (Phase::Draft, Move::Define, Phase::Draft),
    (Phase::Draft, Move::Enqueue, Phase::Queued),
    (Phase::Draft, Move::Archive, Phase::Archived),
    (Phase::Queued, Move::Define, Phase::Queued),
    (Phase::Queued, Move::Dequeue, Phase::Draft),
    (Phase::Queued, Move::Start, Phase::Running),
    (Phase::Queued, Move::Archive, Phase::Archived),
    (Phase::Running, Move::Advance, Phase::Running),
    (Phase::Running, Move::Pause, Phase::Paused),
    (Phase::Running, Move::Decide, Phase::Decided),
    (Phase::Running, Move::Complete, Phase::Completed),
    (Phase::Running, Move::RollBack, Phase::RolledBack),
    (Phase::Paused, Move::Resume, Phase::Running),
    (Phase::Paused, Move::Decide, Phase::Decided),
    (Phase::Paused, Move::Complete, Phase::Completed),
    (Phase::Paused, Move::RollBack, Phase::RolledBack),
    (Phase::Decided, Move::Decide, Phase::Decided),
    (Phase::Decided, Move::Pause, Phase::Paused),
    (Phase::Decided, Move::Ship, Phase::Completed),
    (Phase::Decided, Move::Complete, Phase::Completed),
    (Phase::Decided, Move::RollBack, Phase::RolledBack),
    (Phase::Completed, Move::RollBack, Phase::RolledBack),
    (Phase::Completed, Move::Archive, Phase::Archived),
    (Phase::RolledBack, Move::Archive, Phase::Archived),
];

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 8] = [
        Self::Draft,
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Decided,
        Self::Completed,
        Self::RolledBack,
        Self::Archived,
    ];

    /// The phase after `what`, if it may happen now.
    #[must_use]
    pub fn after(self, what: Move) -> Option<Self> {
        TRANSITIONS.iter().find(|(from, by, _)| (*from, *by) == (self, what)).map(|(_, _, to)| *to)
    }

    /// Whether units are in it.
    #[must_use]
    pub fn takes_units(self) -> bool {
        matches!(self, Self::Running | Self::Decided)
    }

    /// Whether it holds buckets of its layer.
    #[must_use]
    pub fn holds_buckets(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Decided | Self::Completed)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Decided => "decided",
            Self::Completed => "completed",
            Self::RolledBack => "rolled_back",
            Self::Archived => "archived",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_units_can_be_rolled_back_and_no_end_comes_alive() {
        for phase in Phase::ALL {
            let rolls = phase.after(Move::RollBack);
            assert_eq!(rolls.is_some(), phase.holds_buckets(), "{phase:?}");
        }
        for (from, _, to) in TRANSITIONS {
            assert_ne!(*from, Phase::Archived);
            if matches!(from, Phase::Completed | Phase::RolledBack) {
                assert!(!to.takes_units(), "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn each_pair_stands_once() {
        for (index, (from, by, _)) in TRANSITIONS.iter().enumerate() {
            assert_eq!(TRANSITIONS.iter().position(|(a, b, _)| (a, b) == (from, by)), Some(index));
        }
    }
}
