//! Experiments of different layers that act on the same thing.

use smallvec::SmallVec;

use super::decision::{Assignment, Decision};
use super::reason::Reason;
use super::trace::{Trace, not_entered, outcome};
use crate::plan::{Claim, Experiment, Plan, Redirection, Rewrite, When};
use crate::request::RequestView;

impl Plan {
    /// Step 6 of [`Self::decide`].
    #[inline(never)]
    pub(super) fn settle_conflicts(
        &self,
        request: &RequestView<'_>,
        decision: &mut Decision,
        trace: &mut impl Trace,
    ) {
        let contested = |assignment: &Assignment| {
            self.experiment(assignment.experiment).filter(|experiment| !experiment.claims.is_empty())
        };
        // Those who come first are told first, and ids are in order already.
        let mut ranked: SmallVec<[(bool, u16, Assignment); 4]> = SmallVec::new();
        for assignment in &decision.assignments {
            let Some(experiment) = contested(assignment) else { continue };
            let rank = (assignment.reason.is_override(), experiment.priority);
            let place = ranked.partition_point(|(by_person, priority, _)| (*by_person, *priority) >= rank);
            ranked.insert(place, (rank.0, rank.1, *assignment));
        }
        let mut kept: SmallVec<[&Experiment; 4]> = SmallVec::new();
        for (_, _, assignment) in &ranked {
            let Some(experiment) = contested(assignment) else { continue };
            if kept.iter().any(|other| self.contend(other, experiment, request)) {
                decision.conflicts = decision.conflicts.saturating_add(1);
                decision.assignments.retain(|other| other.experiment != assignment.experiment);
                let bucket = (!assignment.reason.is_override()).then_some(assignment.bucket);
                trace.step(not_entered(assignment.experiment, Reason::Conflict, bucket));
            } else {
                // What is off acts on nothing.
                if !assignment.withheld {
                    kept.push(experiment);
                }
                trace.step(outcome(assignment));
            }
        }
    }
}

impl Plan {
    /// Whether only one of two experiments can have its way with `request`.
    pub(crate) fn contend(&self, one: &Experiment, other: &Experiment, request: &RequestView<'_>) -> bool {
        let meets = |a: &Claim| {
            let mut others = other.claims.iter().filter(|b| a.thing == b.thing && !(a.shared && b.shared));
            others.any(|b| one.acts(a.when, request) && other.acts(b.when, request))
        };
        one.claims.iter().any(meets)
    }
}

impl Experiment {
    fn acts(&self, when: When, request: &RequestView<'_>) -> bool {
        let mut actions = self.variants.iter().map(|variant| &variant.actions);
        match when {
            When::Always => true,
            When::Rewrites => actions
                .filter_map(|actions| actions.path.as_ref())
                .any(|rewrite| rewrite.apply(request.path_and_query()) != Rewrite::None),
            When::Redirects => actions.any(|actions| {
                actions.redirect.as_ref().is_some_and(|to| to.apply(request) != Redirection::None)
            }),
        }
    }
}
