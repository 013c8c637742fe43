//! What is asked of the control plane.

use serde::{Deserialize, Serialize};

use crate::event::{Condition, Gate, Verdict};
use crate::intent::Intent;
use crate::policy::Policies;

/// What somebody asks for. Every way in (the command line, HTTP, a folder) makes the same commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Put an experiment into the queue.
    Enqueue {
        /// Its id.
        experiment: String,
    },
    /// Take an experiment out of the queue.
    Dequeue {
        /// Its id.
        experiment: String,
    },
    /// Approve exactly this definition.
    Approve {
        /// The experiment.
        experiment: String,
        /// The content hash of the definition that was read.
        hash: String,
        /// What is approved.
        gate: Gate,
    },
    /// Pass a gate without approvals, in an emergency.
    BreakGlass {
        /// The experiment.
        experiment: String,
        /// What is passed.
        gate: Gate,
        /// Why.
        reason: String,
    },
    /// Start a queued experiment now, before others in the queue. The rules hold.
    Start {
        /// Its id.
        experiment: String,
    },
    /// Begin the next step before the present one has lasted as long as planned. The other rules hold.
    Advance {
        /// The experiment.
        experiment: String,
    },
    /// Let an experiment take no units for now.
    Pause {
        /// Its id.
        experiment: String,
        /// Why.
        reason: String,
    },
    /// Let a paused experiment take units again.
    Resume {
        /// Its id.
        experiment: String,
    },
    /// Take everyone out of an experiment, for good.
    Rollback {
        /// Its id.
        experiment: String,
        /// Why.
        reason: String,
    },
    /// Serve a variant to all units of its experiment.
    Ship {
        /// The experiment.
        experiment: String,
        /// The variant.
        variant: String,
    },
    /// End an experiment without shipping a variant.
    Complete {
        /// Its id.
        experiment: String,
    },
    /// Keep only the record of an experiment that is over, or that was never started.
    Archive {
        /// Its id.
        experiment: String,
    },
    /// Switch every experiment off at once.
    Kill {
        /// Why.
        reason: String,
    },
    /// Switch experiments on again after a kill.
    Revive {
        /// Why.
        reason: String,
    },
}

impl Command {
    /// Its name, as it is written.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Enqueue { .. } => "enqueue",
            Self::Dequeue { .. } => "dequeue",
            Self::Approve { .. } => "approve",
            Self::BreakGlass { .. } => "break_glass",
            Self::Start { .. } => "start",
            Self::Advance { .. } => "advance",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Rollback { .. } => "rollback",
            Self::Ship { .. } => "ship",
            Self::Complete { .. } => "complete",
            Self::Archive { .. } => "archive",
            Self::Kill { .. } => "kill",
            Self::Revive { .. } => "revive",
        }
    }

    /// The experiment that it is about.
    #[must_use]
    pub fn experiment(&self) -> Option<&str> {
        match self {
            Self::Enqueue { experiment }
            | Self::Dequeue { experiment }
            | Self::Approve { experiment, .. }
            | Self::BreakGlass { experiment, .. }
            | Self::Start { experiment }
            | Self::Advance { experiment }
            | Self::Pause { experiment, .. }
            | Self::Resume { experiment }
            | Self::Rollback { experiment, .. }
            | Self::Ship { experiment, .. }
            | Self::Complete { experiment }
            | Self::Archive { experiment } => Some(experiment),
            Self::Kill { .. } | Self::Revive { .. } => None,
        }
    }
}

/// What [`crate::react`] reacts to.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Somebody asks for something.
    Command(Command),
    /// The documents that people wrote, whole.
    Intent(Intent),
    /// The documents are wrong, for these reasons.
    BrokenIntent(Vec<String>),
    /// The policies, whole.
    Policies(Policies),
    /// The policies are wrong, for these reasons.
    BrokenPolicies(Vec<String>),
    /// A proxy has this document in force.
    InForce {
        /// The proxy.
        proxy: String,
        /// The content hash of the document.
        document: String,
    },
    /// A proxy refused this document.
    Refused {
        /// The proxy.
        proxy: String,
        /// The content hash of the document.
        document: String,
        /// What it reports.
        reason: String,
    },
    /// The condition of a source of evidence.
    Source {
        /// The source.
        source: String,
        /// Its condition.
        condition: Condition,
    },
    /// The burn rate of an error budget; `None` if the query gave no number, which changes nothing.
    Burn {
        /// The budget.
        budget: String,
        /// The burn rate: 1 uses up the budget exactly in its period.
        rate: Option<f64>,
    },
    /// The verdict of an analysis.
    Verdict {
        /// The experiment.
        experiment: String,
        /// The verdict.
        verdict: Verdict,
    },
    /// Time passed, or evidence came. A controller sends it at least every second.
    Tick,
}
