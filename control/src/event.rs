//! What happened: the closed list of events.

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::rules::Reason;
use crate::time::Time;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Its number: 1 is the first.
    pub seq: u64,
    /// When it happened, by the controller's clock; never before the one before it.
    pub at: Time,
    /// Who did it.
    pub actor: Actor,
    /// What happened.
    pub body: Body,
}

impl Event {
    /// Its canonical text: JSON without white space, fields in the order of their declaration.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Texts, numbers, lists and structs: nothing of it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// The config around the experiments changed.
    BaseSet {
        /// Its content hash.
        hash: String,
        /// The config without experiments, as canonical JSON.
        base: String,
    },
    /// An experiment was written or edited.
    Defined {
        /// Its id.
        experiment: String,
        /// The content hash of its definition.
        hash: String,
        /// The definition, as canonical JSON.
        definition: String,
    },
    /// A file of intent is wrong; what was there stays.
    IntentRefused {
        /// What is wrong.
        problems: Vec<String>,
    },
    /// The policies changed.
    PoliciesSet {
        /// Their content hash.
        hash: String,
        /// The policies, as canonical JSON.
        policies: String,
    },
    /// The file of policies is wrong; the policies that were there stay.
    PoliciesRefused {
        /// What is wrong.
        problems: Vec<String>,
    },
    /// An experiment entered the queue.
    Enqueued {
        /// Its id.
        experiment: String,
        /// The content hash of its definition.
        hash: String,
    },
    /// An experiment left the queue.
    Dequeued {
        /// Its id.
        experiment: String,
    },
    /// Somebody approved exactly this definition.
    Approved {
        /// The experiment.
        experiment: String,
        /// The content hash of the approved definition.
        hash: String,
        /// What is approved.
        gate: Gate,
    },
    /// Somebody passed a gate without approvals.
    GlassBroken {
        /// The experiment.
        experiment: String,
        /// The content hash of its definition.
        hash: String,
        /// What is passed.
        gate: Gate,
        /// Why.
        reason: String,
    },
    /// The reasons why an experiment waits changed; none: it waits no longer.
    Held {
        /// The experiment.
        experiment: String,
        /// Why it waits.
        reasons: Vec<Reason>,
    },
    /// An experiment takes its first units.
    Started {
        /// Its id.
        experiment: String,
        /// The content hash of the definition with which it runs until it ends.
        hash: String,
        /// The buckets of its layer that it was given, as inclusive ranges; none: as it is defined.
        buckets: Vec<[u32; 2]>,
        /// The traffic of the first step.
        traffic: String,
    },
    /// The next step began.
    Advanced {
        /// The experiment.
        experiment: String,
        /// The step, from 0.
        step: u32,
        /// The traffic of the step.
        traffic: String,
        /// Units in the smallest arm until then.
        units: u64,
    },
    /// An experiment takes no units for now.
    Paused {
        /// Its id.
        experiment: String,
        /// Why.
        cause: Cause,
    },
    /// An experiment takes units again.
    Resumed {
        /// Its id.
        experiment: String,
    },
    /// A verdict decided an experiment.
    Decided {
        /// Its id.
        experiment: String,
        /// The verdict.
        verdict: Verdict,
    },
    /// A variant is served to all units of its experiment.
    Shipped {
        /// The experiment.
        experiment: String,
        /// The variant.
        variant: String,
    },
    /// An experiment ended without a variant that is shipped.
    Completed {
        /// Its id.
        experiment: String,
    },
    /// Everyone is taken out of an experiment, for good.
    RolledBack {
        /// Its id.
        experiment: String,
        /// Why.
        cause: Cause,
    },
    /// Only the record of an experiment is left.
    Archived {
        /// Its id.
        experiment: String,
    },
    /// Every experiment is switched off at once.
    Killed {
        /// Why.
        reason: String,
    },
    /// Experiments are switched on again.
    Revived {
        /// Why.
        reason: String,
    },
    /// A command was refused.
    Refused {
        /// The command, in words.
        command: String,
        /// Its experiment, if it has one.
        experiment: Option<String>,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// Another document is wanted in force.
    Composed {
        /// Its content hash: the config version.
        document: String,
        /// Who moves by it.
        changes: Vec<Moved>,
    },
    /// A proxy has a document in force.
    Confirmed {
        /// The proxy.
        proxy: String,
        /// The content hash of the document.
        document: String,
    },
    /// A proxy refused a document; it is never sent there again.
    ProxyRefused {
        /// The proxy.
        proxy: String,
        /// The content hash of the document.
        document: String,
        /// What the proxy reports.
        reason: String,
    },
    /// A document did not come into force in time.
    Stuck {
        /// The content hash of the document.
        document: String,
        /// The proxies that lack it.
        proxies: Vec<String>,
    },
    /// A variant does harm.
    Breached {
        /// The experiment.
        experiment: String,
        /// The variant.
        variant: String,
        /// What was measured.
        measure: String,
        /// The natural logarithm of the evidence; absent if a proxy's own guardrail tripped.
        evidence: Option<f64>,
        /// The control.
        control: Tally,
        /// The variant.
        arm: Tally,
        /// The proxies on which it was seen.
        proxies: Vec<String>,
    },
    /// The condition of a source of evidence changed.
    SourceChanged {
        /// The source.
        source: String,
        /// Its condition.
        condition: Condition,
    },
    /// The burn rate of an error budget crossed a level.
    BudgetChanged {
        /// The budget.
        budget: String,
        /// The level: 0 fine, 1 blocks starts, 2 holds ramps and rolls back, 3 pages.
        level: u8,
        /// The burn rate, in thousandths.
        burn_permille: u64,
    },
}

/// What an approval is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The start.
    Start,
    /// A step, from 0.
    Step(u32),
    /// Shipping the variant that won.
    Ship,
}

/// Why an experiment is paused or rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Cause {
    /// Somebody wants it.
    Command {
        /// Why.
        reason: String,
    },
    /// A variant does harm.
    Breach {
        /// The variant.
        variant: String,
    },
    /// An error budget burns.
    Budget {
        /// The budget.
        budget: String,
    },
    /// It is undecided for longer than it may be.
    Deadline,
    /// It is paused for longer than anything may be forgotten.
    Forgotten,
    /// The verdict is not to ship.
    Verdict,
}

/// Units of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Those that were seen.
    pub units: u64,
    /// Those of them that had a bad exchange.
    pub bad: u64,
}

/// The outcome of an analysis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// What to do.
    pub code: VerdictCode,
    /// The variant that won, where one did.
    pub variant: Option<String>,
    /// The verdict in a sentence.
    pub decision: String,
    /// The hash over all that was analysed.
    pub inputs: String,
}

/// What to do by an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictCode {
    /// A variant won.
    Ship,
    /// No variant is worth it, or one does harm.
    DoNotShip,
    /// It cannot be decided yet.
    Inconclusive,
    /// The data cannot be trusted.
    Invalid,
}

/// The condition of a source of evidence. Only fresh data let an experiment go on; none of the others rolls one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It answers with data.
    Fresh,
    /// It answers, and holds nothing.
    Empty,
    /// It answers with something that is not a number.
    NotANumber,
    /// It answers, and its latest data are old.
    Gap,
    /// It does not answer.
    Dead,
}

/// Who moves in an experiment by a document; shares are of all units, from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// The experiment.
    pub experiment: String,
    /// Units that get another variant.
    pub changes_variant: f64,
    /// Units that come in.
    pub enters: f64,
    /// Units that leave.
    pub leaves: f64,
    /// Units for which the same variant does something else.
    pub served_otherwise: f64,
    /// Units that are in it afterwards.
    pub in_after: f64,
    /// Whether the shares follow from the buckets; otherwise they are an estimate.
    pub exact: bool,
}
