//! Why an experiment waits: the closed list of rules.

use serde::{Deserialize, Serialize};

/// A rule that can hold an experiment or refuse a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The experiment is not known.
    Unknown,
    /// The transition is not in the table.
    Transition,
    /// The content is another one than was read.
    Stale,
    /// A reason must be given.
    Reason,
    /// An id is used once.
    Rerun,
    /// Everything is switched off.
    Killed,
    /// An experiment that comes first has not ended.
    After,
    /// The layer has too few free buckets.
    Layer,
    /// A running experiment acts on the same thing for the same requests.
    Conflict,
    /// The document with it does not compile.
    Compile,
    /// Units would get another variant.
    Flip,
    /// Too many run at once.
    Concurrency,
    /// A registry fact is missing.
    LaunchFacts,
    /// An approval is missing.
    Approval,
    /// Too many units would be at risk.
    BlastRadius,
    /// Nothing starts or grows at this time.
    Freeze,
    /// An error budget burns.
    Budget,
    /// The traffic does not suffice to decide in time.
    Feasibility,
    /// The step has not lasted long enough.
    Hold,
    /// The arms have too few units.
    Units,
    /// There are no fresh data.
    NoData,
    /// It is the last step.
    LastStep,
    /// The verdict is another one.
    Verdict,
    /// The quota of the namespace is used up.
    Quota,
}

/// Why something waits or is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The rule.
    pub code: Rule,
    /// What it is about: a place in the definition or the policies, an experiment, a layer.
    pub place: String,
    /// What was expected and found, and what would free it.
    pub help: String,
}

impl Reason {
    pub(crate) fn new(code: Rule, place: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, place: place.into(), help: help.into() }
    }
}
