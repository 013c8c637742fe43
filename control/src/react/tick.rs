//! What follows from time and evidence, without anybody asking for it.

use super::Turn;
use super::gates::limit_of;
use crate::actor::Actor;
use crate::event::{Body, Cause};
use crate::phase::Phase;
use crate::rules::Reason;

impl Turn<'_> {
    /// In this order: harm first, growth last.
    pub(super) fn tick(&mut self) {
        self.watch();
        self.roll_back_by_budgets();
        self.end();
        self.grow();
        self.start_queued();
        self.report_stuck();
    }

    fn ids(&self, phases: &[Phase]) -> Vec<String> {
        let of = self.state.experiments().filter(|(_, one)| phases.contains(&one.phase));
        of.map(|(id, _)| id.to_owned()).collect()
    }

    /// Rolls back or pauses what does harm. Whoever takes units is watched, whatever it waits for.
    fn watch(&mut self) {
        for id in self.ids(&[Phase::Running, Phase::Decided]) {
            let Some(one) = self.state.experiment(&id) else { continue };
            let policies = self.state.policies();
            let limit = limit_of(one, policies.alpha);
            let shares = one.definition.shares();
            let Some(harm) = self.evidence.harm(&id, &shares, limit, policies.min_bad) else { continue };
            let pauses = one.definition.rollout().pauses_on_breach;
            let cause = Cause::Breach { variant: harm.variant.clone() };
            let breached = Body::Breached {
                experiment: id.clone(),
                variant: harm.variant,
                measure: harm.measure.to_owned(),
                evidence: harm.evidence,
                control: harm.control,
                arm: harm.arm,
                proxies: harm.proxies,
            };
            self.emit(&Actor::Guardrail, breached);
            let body = if pauses {
                Body::Paused { experiment: id, cause }
            } else {
                Body::RolledBack { experiment: id, cause }
            };
            self.emit(&Actor::Guardrail, body);
        }
    }

    /// Rolls back what is still growing while an error budget burns fast.
    pub(super) fn roll_back_by_budgets(&mut self) {
        let burning = self.state.budgets().iter().find(|(_, level)| **level >= 2);
        let Some(budget) = burning.map(|(budget, _)| budget.clone()) else { return };
        for experiment in self.ids(&[Phase::Running]) {
            let grows = self.state.experiment(&experiment).is_some_and(|one| {
                let rollout = one.definition.rollout();
                !rollout.is_last(one.step)
            });
            if grows {
                let cause = Cause::Budget { budget: budget.clone() };
                self.emit(&Actor::Budget, Body::RolledBack { experiment, cause });
            }
        }
    }

    /// Ends what is undecided or paused for too long.
    fn end(&mut self) {
        for experiment in self.ids(&[Phase::Running, Phase::Paused]) {
            let Some(one) = self.state.experiment(&experiment) else { continue };
            let runs = one.started.map_or(0, |started| self.now.since(started));
            let cause = if runs >= one.definition.rollout().at_most {
                Cause::Deadline
            } else if one.phase == Phase::Paused && self.now.since(one.since) >= self.state.policies().paused
            {
                Cause::Forgotten
            } else {
                continue;
            };
            self.emit(&Actor::Schedule, Body::RolledBack { experiment, cause });
        }
    }

    /// Begins the next step where everything allows it.
    fn grow(&mut self) {
        for id in self.ids(&[Phase::Running]) {
            let is_last =
                self.state.experiment(&id).is_none_or(|one| one.definition.rollout().is_last(one.step));
            if is_last {
                continue;
            }
            match self.advance(&id, false) {
                Ok(body) => {
                    self.emit(&Actor::Schedule, body);
                }
                Err(reasons) => self.hold(&id, reasons),
            }
        }
    }

    /// Starts what is queued, in the order of priority, where everything allows it.
    fn start_queued(&mut self) {
        let mut queue: Vec<_> = self
            .state
            .experiments()
            .filter(|(_, one)| one.phase == Phase::Queued)
            .map(|(id, one)| (std::cmp::Reverse(one.definition.priority()), one.enqueued, id.to_owned()))
            .collect();
        queue.sort();
        for (.., id) in queue {
            match self.start(&id) {
                Ok(body) => {
                    self.emit(&Actor::Schedule, body);
                }
                Err(reasons) => self.hold(&id, reasons),
            }
        }
    }

    /// Records why something waits, where that is new.
    fn hold(&mut self, id: &str, reasons: Vec<Reason>) {
        let Some(one) = self.state.experiment(id) else { return };
        let of = |all: &[Reason]| -> Vec<_> { all.iter().map(|one| (one.code, one.place.clone())).collect() };
        let wanted = self.state.wanted().map(|wanted| wanted.document.clone());
        let is_checked = one.phase != Phase::Queued || one.held_under == wanted;
        if of(&one.held) != of(&reasons) || !is_checked {
            self.emit(&Actor::Schedule, Body::Held { experiment: id.to_owned(), reasons });
        }
    }

    fn report_stuck(&mut self) {
        let within = self.state.policies().deliver_within;
        let Some(wanted) = self.state.wanted() else { return };
        if wanted.is_stuck || self.now.since(wanted.since) < within {
            return;
        }
        let document = wanted.document.clone();
        let proxies: Vec<String> = self.state.lacking().map(str::to_owned).collect();
        if !proxies.is_empty() {
            self.emit(&Actor::Schedule, Body::Stuck { document, proxies });
        }
    }
}
