//! What people ask for.

use super::Turn;
use crate::actor::Actor;
use crate::command::Command;
use crate::event::{Body, Cause, Gate, VerdictCode};
use crate::phase::{Move, Phase};
use crate::rules::{Reason, Rule};

impl Turn<'_> {
    pub(super) fn command(&mut self, actor: &Actor, command: &Command) {
        let reasons = match command.experiment() {
            None => Vec::new(),
            Some(id) => self.known(id, command),
        };
        if !reasons.is_empty() {
            return self.refuse(actor, command, reasons);
        }
        let (mut bodies, mut reasons) = (Vec::new(), Vec::new());
        match command {
            Command::Enqueue { experiment } => {
                reasons = self.hopeless(experiment);
                bodies.extend(self.hash(experiment).map(|hash| {
                    let experiment = experiment.clone();
                    Body::Enqueued { experiment, hash }
                }));
            }
            Command::Dequeue { experiment } => bodies.push(Body::Dequeued { experiment: experiment.clone() }),
            Command::Approve { experiment, hash, gate } => {
                reasons = self.may_not_approve(actor, experiment, hash, *gate);
                let (experiment, hash) = (experiment.clone(), hash.clone());
                bodies.push(Body::Approved { experiment, hash, gate: *gate });
            }
            Command::BreakGlass { experiment, gate, reason } => {
                if reason.trim().is_empty() {
                    reasons.push(Reason::new(Rule::Reason, "reason", "give a reason: it stays in the log"));
                }
                if actor.name().is_none() {
                    reasons.push(Reason::new(Rule::Approval, "actor", "a person or a token must do it"));
                }
                reasons.extend(self.is_over(experiment));
                bodies.extend(self.hash(experiment).map(|hash| {
                    let (experiment, reason) = (experiment.clone(), reason.clone());
                    Body::GlassBroken { experiment, hash, gate: *gate, reason }
                }));
            }
            Command::Start { experiment } => {
                match self.start(experiment) {
                    Ok(body) => bodies.push(body),
                    Err(all) => reasons = all,
                };
            }
            Command::Advance { experiment } => {
                match self.advance(experiment, true) {
                    Ok(body) => bodies.push(body),
                    Err(all) => reasons = all,
                };
            }
            Command::Pause { experiment, reason } => {
                let cause = Cause::Command { reason: reason.clone() };
                bodies.push(Body::Paused { experiment: experiment.clone(), cause });
            }
            Command::Resume { experiment } => bodies.push(Body::Resumed { experiment: experiment.clone() }),
            Command::Rollback { experiment, reason } => {
                let cause = Cause::Command { reason: reason.clone() };
                bodies.push(Body::RolledBack { experiment: experiment.clone(), cause });
            }
            Command::Ship { experiment, variant } => {
                reasons = self.may_not_ship(experiment, variant);
                bodies.push(Body::Shipped { experiment: experiment.clone(), variant: variant.clone() });
                if reasons.is_empty()
                    && let Some(body) = bodies.first().cloned()
                    && let Err(reason) = self.attempt(body)
                {
                    reasons.push(reason);
                }
            }
            Command::Complete { experiment } => {
                bodies.push(Body::Completed { experiment: experiment.clone() })
            }
            Command::Archive { experiment } => bodies.push(Body::Archived { experiment: experiment.clone() }),
            Command::Kill { reason } => {
                if !self.state.is_killed() {
                    bodies.push(Body::Killed { reason: reason.clone() });
                }
            }
            Command::Revive { reason } => {
                if reason.trim().is_empty() {
                    reasons.push(Reason::new(Rule::Reason, "reason", "give a reason: it stays in the log"));
                }
                if self.state.is_killed() {
                    bodies.push(Body::Revived { reason: reason.clone() });
                }
            }
        }
        if !reasons.is_empty() {
            return self.refuse(actor, command, reasons);
        }
        for body in bodies {
            self.emit(actor, body);
        }
    }

    fn hash(&self, id: &str) -> Option<String> {
        self.state.experiment(id).map(|one| one.definition.hash().to_owned())
    }

    /// Why the command cannot be meant for the experiment as it is.
    fn known(&self, id: &str, command: &Command) -> Vec<Reason> {
        let Some(one) = self.state.experiment(id) else {
            let is_archived = self.state.archived(id).is_some();
            return vec![if is_archived {
                Reason::new(Rule::Rerun, id, format!("`{id}` is archived; run it again under another id"))
            } else {
                Reason::new(Rule::Unknown, id, format!("there is no experiment `{id}`; define it first"))
            }];
        };
        let what = match command {
            Command::Enqueue { .. } => Move::Enqueue,
            Command::Dequeue { .. } => Move::Dequeue,
            Command::Start { .. } => Move::Start,
            Command::Advance { .. } => Move::Advance,
            Command::Pause { .. } => Move::Pause,
            Command::Resume { .. } => Move::Resume,
            Command::Rollback { .. } => Move::RollBack,
            Command::Ship { .. } => Move::Ship,
            Command::Complete { .. } => Move::Complete,
            Command::Archive { .. } => Move::Archive,
            Command::Approve { .. }
            | Command::BreakGlass { .. }
            | Command::Kill { .. }
            | Command::Revive { .. } => return Vec::new(),
        };
        if one.phase.after(what).is_some() {
            return Vec::new();
        }
        let help = format!("`{id}` is {}; {} is not possible then", one.phase.as_str(), command.name());
        vec![Reason::new(Rule::Transition, id, help)]
    }

    fn is_over(&self, id: &str) -> Option<Reason> {
        let one = self.state.experiment(id)?;
        let is_over = matches!(one.phase, Phase::Completed | Phase::RolledBack | Phase::Archived);
        is_over.then(|| {
            Reason::new(Rule::Transition, id, format!("`{id}` is over; there is nothing to approve"))
        })
    }

    fn may_not_approve(&self, actor: &Actor, id: &str, hash: &str, gate: Gate) -> Vec<Reason> {
        let Some(one) = self.state.experiment(id) else { return Vec::new() };
        let mut reasons: Vec<Reason> = self.is_over(id).into_iter().collect();
        if one.definition.hash() != hash {
            let help = format!(
                "the definition is {} now, the approval is for {hash}; read it again",
                one.definition.hash()
            );
            reasons.push(Reason::new(Rule::Stale, id, help));
        }
        match actor.name() {
            None => reasons.push(Reason::new(Rule::Approval, "actor", "a person or a token must approve")),
            Some(name) if one.author.name() == Some(name) => {
                let help = format!("{name} wrote this definition; somebody else must approve it");
                reasons.push(Reason::new(Rule::Approval, "actor", help));
            }
            Some(_) => {}
        }
        if let Gate::Step(step) = gate
            && usize::try_from(step).unwrap_or(usize::MAX) >= one.definition.rollout().steps.len()
        {
            reasons.push(Reason::new(Rule::LastStep, id, format!("there is no step {step}")));
        }
        reasons
    }

    fn may_not_ship(&self, id: &str, variant: &str) -> Vec<Reason> {
        let Some(one) = self.state.experiment(id) else { return Vec::new() };
        let mut reasons = Vec::new();
        let won = one.verdict.as_ref().filter(|verdict| verdict.code == VerdictCode::Ship);
        match won.map(|verdict| verdict.variant.as_deref()) {
            Some(Some(winner)) if winner == variant => {}
            Some(Some(winner)) => {
                let help = format!("the verdict is to ship `{winner}`, not `{variant}`");
                reasons.push(Reason::new(Rule::Verdict, id, help));
            }
            Some(None) | None => {
                reasons.push(Reason::new(Rule::Verdict, id, "the verdict names no variant to ship"));
            }
        }
        let needed = self.state.policies().ship_approvals;
        reasons.extend(self.lacks_approvals(one, Gate::Ship, needed));
        reasons
    }
}
