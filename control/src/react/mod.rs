//! What follows from a command, from evidence and from the passing of time.

mod commands;
pub(crate) mod gates;
mod tick;

use std::sync::Arc;

use crate::actor::Actor;
use crate::chain::Sealed;
use crate::command::{Command, Input};
use crate::compose::{Document, compose};
use crate::event::{Body, Cause, Event, Moved, Verdict, VerdictCode};
use crate::evidence::Evidence;
use crate::intent::Intent;
use crate::phase::{Move, Phase};
use crate::policy::Policies;
use crate::rules::{Reason, Rule};
use crate::state::State;
use crate::time::Time;

/// What follows from an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Reaction {
    /// What happens, to be appended to the log together or not at all.
    pub events: Vec<Sealed>,
    /// The state after it.
    pub state: State,
    /// Why a command was refused; that it was is one of the events.
    pub refusal: Option<Refusal>,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Every rule that refuses it.
    pub reasons: Vec<Reason>,
}

/// Reacts to `input`, which `actor` gives, at `now`. The same arguments give the same reaction.
#[must_use]
pub fn react(state: &State, evidence: &Evidence, actor: &Actor, input: &Input, now: Time) -> Reaction {
    let mut turn = Turn::new(state, evidence, now);
    match input {
        Input::Command(command) => turn.command(actor, command),
        Input::Intent(intent) => turn.intent(actor, intent),
        Input::BrokenIntent(problems) => {
            if turn.state.broken_intent != *problems {
                turn.emit(actor, Body::IntentRefused { problems: problems.clone() });
            }
        }
        Input::Policies(policies) => turn.policies(actor, policies),
        Input::BrokenPolicies(problems) => {
            if turn.state.broken_policies != *problems {
                turn.emit(actor, Body::PoliciesRefused { problems: problems.clone() });
            }
        }
        Input::InForce { proxy, document } => {
            let known = turn.state.proxies.get(proxy).and_then(|proxy| proxy.in_force.as_deref());
            if known != Some(document) {
                let (proxy, document) = (proxy.clone(), document.clone());
                turn.emit(&Actor::Schedule, Body::Confirmed { proxy, document });
            }
        }
        Input::Refused { proxy, document, reason } => {
            if turn.state.proxies.get(proxy).is_none_or(|known| !known.refused.contains(document)) {
                let (proxy, document, reason) = (proxy.clone(), document.clone(), reason.clone());
                turn.emit(&Actor::Schedule, Body::ProxyRefused { proxy, document, reason });
            }
        }
        Input::Source { source, condition } => {
            if turn.state.sources.get(source).is_none_or(|(known, _)| known != condition) {
                let (source, condition) = (source.clone(), *condition);
                turn.emit(&Actor::Schedule, Body::SourceChanged { source, condition });
            }
        }
        Input::Burn { budget, rate } => turn.burn(budget, *rate),
        Input::Verdict { experiment, verdict } => turn.verdict(experiment, verdict),
        Input::Tick => turn.tick(),
    }
    turn.finish()
}

pub(super) struct Turn<'t> {
    state: State,
    evidence: &'t Evidence,
    now: Time,
    events: Vec<Sealed>,
    refusal: Option<Refusal>,
    /// The state before: its document is what the new one is compared with.
    before: State,
    /// The document of the present state, if it is known.
    document: Option<Arc<Document>>,
    /// Something happened that changes the document.
    dirty: bool,
}

impl<'t> Turn<'t> {
    fn new(state: &State, evidence: &'t Evidence, now: Time) -> Self {
        Self {
            state: state.clone(),
            evidence,
            // A clock that was set back does not reorder the log.
            now: now.max(state.at()),
            events: Vec::new(),
            refusal: None,
            before: state.clone(),
            document: None,
            dirty: false,
        }
    }

    /// Lets something happen. Whether it may: what may not is left out.
    fn emit(&mut self, actor: &Actor, body: Body) -> bool {
        let changes_document = matches!(
            body,
            Body::BaseSet { .. }
                | Body::Started { .. }
                | Body::Advanced { .. }
                | Body::Paused { .. }
                | Body::Resumed { .. }
                | Body::Shipped { .. }
                | Body::Completed { .. }
                | Body::RolledBack { .. }
                | Body::Archived { .. }
                | Body::Killed { .. }
                | Body::Revived { .. }
        );
        let seq = self.state.seq().saturating_add(1);
        let event = Event { seq, at: self.now, actor: actor.clone(), body };
        let sealed = Sealed::seal(&self.state.head(), event);
        let mut after = self.state.clone();
        if after.apply(&sealed).is_err() {
            return false;
        }
        self.state = after;
        self.events.push(sealed);
        if changes_document {
            self.dirty = true;
            self.document = None;
        }
        true
    }

    /// Tries an event that changes the document: who would move, or why it must not happen.
    fn attempt(&mut self, body: Body) -> Result<Vec<Moved>, Reason> {
        let mut trial = Turn::new(&self.state, self.evidence, self.now);
        if !trial.emit(&Actor::Schedule, body) {
            return Err(Reason::new(Rule::Transition, "", "this is not possible in the present phase"));
        }
        let before = self.document();
        match compose(&trial.state) {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(document)) => {
                let changes = document.changes(before.as_deref(), self.now);
                trial.document = Some(Arc::new(document));
                Ok(changes)
            }
            Err(problems) => {
                let text = problems.iter().next().map(ToString::to_string).unwrap_or_default();
                Err(Reason::new(Rule::Compile, "", format!("the document with it does not compile: {text}")))
            }
        }
    }

    /// The document of the present state.
    fn document(&mut self) -> Option<Arc<Document>> {
        if self.document.is_none() {
            self.document = compose(&self.state).ok().flatten().map(Arc::new);
        }
        self.document.clone()
    }

    fn finish(mut self) -> Reaction {
        if self.dirty {
            self.settle();
        }
        Reaction { events: self.events, state: self.state, refusal: self.refusal }
    }

    /// Wants the document of the present state, if it is another one.
    fn settle(&mut self) {
        let Some(document) = self.document() else { return };
        if self.state.wanted().is_some_and(|wanted| wanted.document == document.hash) {
            return;
        }
        let before = compose(&self.before).ok().flatten();
        let changes = document.changes(before.as_ref(), self.now);
        self.emit(&Actor::Schedule, Body::Composed { document: document.hash.clone(), changes });
    }

    fn refuse(&mut self, actor: &Actor, command: &Command, reasons: Vec<Reason>) {
        let experiment = command.experiment().map(str::to_owned);
        let body = Body::Refused { command: command.name().to_owned(), experiment, reasons: reasons.clone() };
        self.emit(actor, body);
        self.refusal = Some(Refusal { reasons });
    }

    fn intent(&mut self, actor: &Actor, intent: &Intent) {
        let (base, hash) = &intent.base;
        let set = Body::BaseSet { hash: hash.clone(), base: base.clone() };
        if self.state.base.as_ref().is_none_or(|known| known.hash != *hash) {
            // With what runs now, the new surroundings must compile.
            match self.attempt(set.clone()) {
                Ok(_) => {
                    self.emit(actor, set);
                }
                Err(reason) => {
                    let problems = vec![reason.help];
                    if self.state.broken_intent != problems {
                        self.emit(actor, Body::IntentRefused { problems });
                    }
                    return;
                }
            }
        } else if !self.state.broken_intent.is_empty() {
            self.emit(actor, set);
        }
        for (id, definition) in &intent.definitions {
            let known = self.state.experiment(id);
            let is_known = known.is_some_and(|one| {
                one.edited.as_deref().unwrap_or(one.definition.hash()) == definition.hash()
            });
            if is_known || self.state.archived(id).is_some() {
                continue;
            }
            self.emit(
                actor,
                Body::Defined {
                    experiment: id.clone(),
                    hash: definition.hash().to_owned(),
                    definition: definition.text().to_owned(),
                },
            );
        }
        let gone: Vec<String> = self
            .state
            .experiments()
            .filter(|(id, one)| {
                matches!(one.phase, Phase::Draft | Phase::Queued) && intent.definition(id).is_none()
            })
            .map(|(id, _)| id.to_owned())
            .collect();
        for experiment in gone {
            self.emit(actor, Body::Archived { experiment });
        }
    }

    fn policies(&mut self, actor: &Actor, policies: &Policies) {
        if self.state.policies().hash() != policies.hash() || !self.state.broken_policies.is_empty() {
            let (hash, policies) = (policies.hash.clone(), policies.text.clone());
            self.emit(actor, Body::PoliciesSet { hash, policies });
        }
    }

    fn burn(&mut self, budget: &str, rate: Option<f64>) {
        let Some(rate) = rate else { return };
        let Some(level) = self.state.policies().level(budget, rate) else { return };
        if self.state.budgets().get(budget).copied().unwrap_or(0) == level {
            return;
        }
        let burn_permille = (rate * 1e3).clamp(0.0, 1e15) as u64;
        self.emit(&Actor::Budget, Body::BudgetChanged { budget: budget.to_owned(), level, burn_permille });
        self.roll_back_by_budgets();
    }

    fn verdict(&mut self, id: &str, verdict: &Verdict) {
        let Some(one) = self.state.experiment(id) else { return };
        let is_known = one.verdict.as_ref() == Some(verdict);
        if is_known || verdict.code == VerdictCode::Inconclusive || one.phase.after(Move::Decide).is_none() {
            return;
        }
        let rollout = one.definition.rollout().clone();
        let experiment = id.to_owned();
        let actor = Actor::Verdict;
        self.emit(&actor, Body::Decided { experiment: experiment.clone(), verdict: verdict.clone() });
        match (&verdict.code, &verdict.variant) {
            (VerdictCode::Ship, Some(variant)) if rollout.ships_itself => {
                let body = Body::Shipped { experiment, variant: variant.clone() };
                if self.attempt(body.clone()).is_ok() {
                    self.emit(&actor, body);
                }
            }
            (VerdictCode::Ship, _) => {}
            _ if rollout.pauses_otherwise => {
                self.emit(&actor, Body::Paused { experiment, cause: Cause::Verdict });
            }
            _ => {
                self.emit(&actor, Body::RolledBack { experiment, cause: Cause::Verdict });
            }
        }
    }
}
