//! What was decided for a request.

use smallvec::SmallVec;

use super::reason::Reason;
use crate::ids::{ChainId, ExperimentId, VariantId};
use crate::qa_token::TokenOutcome;
use crate::request::CookieAction;

/// One experiment that the unit is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The experiment.
    pub experiment: ExperimentId,
    /// Its variant for this unit.
    pub variant: VariantId,
    /// The bucket that chose the variant; 0 for overrides.
    pub bucket: u32,
    /// How it was entered.
    pub reason: Reason,
    /// The sources of the unit.
    pub chain: ChainId,
    /// Decided within the clock skew of a schedule or ramp boundary.
    pub clock_edge: bool,
    /// A guardrail has switched the variant off, and there is no other: nothing of it is applied or stamped, but the
    /// analysis must know.
    pub withheld: bool,
}

/// What was decided for a request. Reuse one to decide without allocating.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The experiments that the unit is in, ordered by experiment.
    pub assignments: SmallVec<[Assignment; 4]>,
    /// What became of the QA tokens: [`TokenOutcome::Accepted`] if one was accepted, and else the first one's outcome.
    pub token: TokenOutcome,
    /// How many QA tokens chose a variant, or asked for the steps of the decision.
    pub tokens_accepted: u32,
    /// How many QA tokens were refused.
    pub tokens_rejected: u32,
    /// How many experiments were not entered because of [`Reason::Conflict`].
    pub conflicts: u32,
    /// No source of some layer's unit had a value.
    pub unit_missing: bool,
    /// Why the request is in no experiment whatever its unit: [`Reason::Bot`] or
    /// [`Reason::NoConsent`].
    pub barred: Option<Reason>,
    /// What happens to the identity cookie.
    pub cookie: CookieAction,
    /// The cookie's id was minted for this request.
    pub minted: bool,
    /// Exposures must not show the unit: there is no consent.
    pub unit_hidden: bool,
    /// The response depends on who asks, so caches must be told.
    pub varies: bool,
    /// The response must not be shared by a cache.
    pub private: bool,
    /// The request is a preflight or a prefetch: assignments are acted on, so that what a browser keeps for its user
    /// is that user's variant, but nobody has seen it yet: no exposure, no count, no minted unit.
    pub quiet: bool,
    /// A valid QA token asks for the steps of the decision.
    pub debug: bool,
}

impl Decision {
    /// Nothing decided, memory kept.
    pub(super) fn clear(&mut self) {
        // Taken apart, so that a new field cannot be forgotten; field by field, because copying the
        // assignments to and fro shows.
        let Self {
            assignments,
            token,
            tokens_accepted,
            tokens_rejected,
            conflicts,
            unit_missing,
            barred,
            cookie,
            minted,
            unit_hidden,
            varies,
            private,
            quiet,
            debug,
        } = self;
        assignments.clear();
        (*token, *barred, *cookie) = (TokenOutcome::None, None, CookieAction::None);
        for count in [tokens_accepted, tokens_rejected, conflicts] {
            *count = 0;
        }
        for flag in [unit_missing, minted, unit_hidden, varies, private, quiet, debug] {
            *flag = false;
        }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, assignment: Assignment) {
        // Layers come in order of their ids, so mostly experiments do.
        let in_order = self.assignments.last().is_none_or(|last| last.experiment < assignment.experiment);
        self.assignments.push(assignment);
        if !in_order {
            self.move_last_into_place();
        }
    }

    #[inline(never)]
    fn move_last_into_place(&mut self) {
        let Some(last) = self.assignments.pop() else { return };
        let position = self.assignments.partition_point(|other| other.experiment < last.experiment);
        self.assignments.insert(position, last);
    }
}
