//! What is: a fold over what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::actor::Actor;
use crate::chain::{Corrupt, Head, Sealed};
use crate::event::{Body, Cause, Condition, Event, Gate, Verdict};
use crate::intent::Definition;
use crate::phase::{Move, Phase};
use crate::policy::Policies;
use crate::rules::Reason;
use crate::time::Time;

/// What is, after all events so far. Cloning one is cheap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(crate) seq: u64,
    pub(crate) head: Head,
    pub(crate) at: Time,
    pub(crate) base: Option<Arc<Base>>,
    pub(crate) policies: Arc<Policies>,
    /// The rejected files, by what they are; empty if the latest are in force.
    pub(crate) broken_intent: Vec<String>,
    pub(crate) broken_policies: Vec<String>,
    pub(crate) live: BTreeMap<Arc<str>, Arc<Experiment>>,
    pub(crate) archive: Arc<BTreeMap<Arc<str>, Archived>>,
    pub(crate) killed: bool,
    pub(crate) wanted: Option<Wanted>,
    pub(crate) proxies: Arc<BTreeMap<String, Proxy>>,
    pub(crate) sources: Arc<BTreeMap<String, (Condition, Time)>>,
    pub(crate) budgets: Arc<BTreeMap<String, u8>>,
    pub(crate) refusals: u64,
    pub(crate) breaches: u64,
    pub(crate) rollbacks: u64,
}

/// The config around the experiments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) text: String,
    pub(crate) hash: String,
}

/// The document that is wanted in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its content hash: the config version.
    pub document: String,
    /// Since when it is wanted.
    pub since: Time,
    /// The event that wants it.
    pub seq: u64,
    /// Whether it was reported as stuck.
    pub is_stuck: bool,
}

/// A proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// The content hash of the document that it has in force.
    pub in_force: Option<String>,
    /// Since when.
    pub since: Time,
    /// The documents that it refused, which are never sent there again.
    pub refused: BTreeSet<String>,
}

/// An approval, or the mark that there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What it is for.
    pub gate: Gate,
    /// Who gave it.
    pub by: Actor,
    /// The reason, if somebody passed the gate without approvals.
    pub broken_glass: Option<String>,
}

/// An experiment that is not archived.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Where it is in its life.
    pub phase: Phase,
    /// Its definition: what is written now, or, once it has started, that with which it started.
    pub definition: Arc<Definition>,
    /// An edit that came after the start. It takes effect under another id only.
    pub edited: Option<String>,
    /// Who wrote the definition.
    pub author: Actor,
    /// Approvals of exactly this definition.
    pub approvals: Vec<Approval>,
    /// When it was first written.
    pub defined: Time,
    /// When it entered the queue.
    pub enqueued: Option<Time>,
    /// When it took its first units.
    pub started: Option<Time>,
    /// When its phase or step last changed.
    pub since: Time,
    /// The present step, from 0.
    pub step: u32,
    /// How long the present step has lasted before the last pause, in milliseconds.
    pub lasted: u64,
    /// Buckets of its layer that it was given, as inclusive ranges; none: as it is defined.
    pub buckets: Vec<[u32; 2]>,
    /// How often it did harm.
    pub breaches: u32,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// When it was decided.
    pub decided: Option<Time>,
    /// The variant that is shipped.
    pub shipped: Option<String>,
    /// Why it was rolled back or is paused.
    pub cause: Option<Cause>,
    /// Why it waits.
    pub held: Vec<Reason>,
    /// The document that was wanted when it was found to wait.
    pub(crate) held_under: Option<String>,
}

impl Experiment {
    /// How long the present step has lasted at `now`, without pauses, in milliseconds.
    #[must_use]
    pub fn lasted(&self, now: Time) -> u64 {
        let runs = self.phase.takes_units();
        self.lasted.saturating_add(if runs { now.since(self.since) } else { 0 })
    }

    /// Approvals for `gate`, by different people, and whether the glass was broken for it.
    #[must_use]
    pub fn approvals(&self, gate: Gate) -> (usize, bool) {
        let of = self.approvals.iter().filter(|approval| approval.gate == gate);
        let people: BTreeSet<Option<&str>> =
            of.clone().filter(|one| one.broken_glass.is_none()).map(|one| one.by.name()).collect();
        (people.len(), of.clone().any(|approval| approval.broken_glass.is_some()))
    }
}

/// What is left of an experiment that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// The content hash of its definition.
    pub hash: Box<str>,
    /// Its phase before it was archived.
    pub ended: Phase,
    /// When it was first written.
    pub defined: Time,
    /// When it entered the queue.
    pub enqueued: Option<Time>,
    /// When it took its first units.
    pub started: Option<Time>,
    /// When it was decided.
    pub decided: Option<Time>,
    /// When it ended.
    pub over: Time,
    /// The variant that was shipped.
    pub shipped: Option<Box<str>>,
    /// Its verdict.
    pub verdict: Option<Box<Verdict>>,
    /// How often it did harm.
    pub breaches: u32,
}

impl State {
    /// The number of the last event; 0 before the first.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The head of the chain.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The time of the last event.
    #[must_use]
    pub fn at(&self) -> Time {
        self.at
    }

    /// The policies in force.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// An experiment that is not archived.
    #[must_use]
    pub fn experiment(&self, id: &str) -> Option<&Experiment> {
        self.live.get(id).map(|one| &**one)
    }

    /// The experiments that are not archived, ordered by id.
    pub fn experiments(&self) -> impl Iterator<Item = (&str, &Experiment)> {
        self.live.iter().map(|(id, one)| (&**id, &**one))
    }

    /// The archived experiments, ordered by id.
    pub fn archive(&self) -> impl Iterator<Item = (&str, &Archived)> {
        self.archive.iter().map(|(id, one)| (&**id, one))
    }

    /// An archived experiment.
    #[must_use]
    pub fn archived(&self, id: &str) -> Option<&Archived> {
        self.archive.get(id)
    }

    /// Whether every experiment is switched off.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.killed
    }

    /// The document that is wanted in force; [`crate::compose`] makes its text.
    #[must_use]
    pub fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    /// The proxies, by name.
    #[must_use]
    pub fn proxies(&self) -> &BTreeMap<String, Proxy> {
        &self.proxies
    }

    /// The sources of evidence with their condition and since when it holds.
    #[must_use]
    pub fn sources(&self) -> &BTreeMap<String, (Condition, Time)> {
        &self.sources
    }

    /// The levels of the error budgets that burn.
    #[must_use]
    pub fn budgets(&self) -> &BTreeMap<String, u8> {
        &self.budgets
    }

    /// What is wrong with the latest intent and the latest policies; what was in force before still is.
    #[must_use]
    pub fn broken(&self) -> (&[String], &[String]) {
        (&self.broken_intent, &self.broken_policies)
    }

    /// The proxies that lack the wanted document, and have not refused it.
    pub fn lacking(&self) -> impl Iterator<Item = &str> {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.document.as_str());
        let lacks = move |proxy: &Proxy| {
            wanted
                .is_some_and(|hash| proxy.in_force.as_deref() != Some(hash) && !proxy.refused.contains(hash))
        };
        self.proxies.iter().filter(move |(_, proxy)| lacks(proxy)).map(|(name, _)| name.as_str())
    }

    /// Folds a log from its first event.
    ///
    /// # Errors
    /// The first event that does not fit.
    pub fn fold(log: impl IntoIterator<Item = (String, Head)>) -> Result<Self, Corrupt> {
        let mut state = Self::default();
        for (text, head) in log {
            let sealed = Sealed::open(&state.head, text, head)?;
            state.apply(&sealed)?;
        }
        Ok(state)
    }

    /// Takes in the next event.
    ///
    /// # Errors
    /// It is not the next event, or makes a transition that there is not. The state is then not to be used any more.
    pub fn apply(&mut self, sealed: &Sealed) -> Result<(), Corrupt> {
        let Event { seq, at, actor, body } = &sealed.event;
        let corrupt = |reason: String| Corrupt { seq: Some(*seq), reason };
        if Some(*seq) != self.seq.checked_add(1) {
            return Err(corrupt(format!("expected event {}", self.seq.saturating_add(1))));
        }
        if sealed.previous != self.head {
            return Err(corrupt("it follows another event than the last one".to_owned()));
        }
        if *at < self.at {
            return Err(corrupt("it is before the event before it".to_owned()));
        }
        self.step(*at, actor, body).map_err(corrupt)?;
        self.seq = *seq;
        self.at = *at;
        self.head = sealed.head;
        Ok(())
    }

    fn moved(
        &mut self,
        id: &str,
        what: Move,
        at: Time,
        change: impl FnOnce(&mut Experiment),
    ) -> Result<(), String> {
        let one = self.live.get_mut(id).ok_or_else(|| format!("experiment `{id}` is not known"))?;
        let after = one.phase.after(what);
        let after =
            after.ok_or_else(|| format!("`{id}` is {}: {what:?} is not possible", one.phase.as_str()))?;
        let one = Arc::make_mut(one);
        let lasted = one.lasted(at);
        change(one);
        if what != Move::Define {
            // A verdict changes no step: the time that it has lasted goes on.
            one.lasted = if matches!(what, Move::Start | Move::Advance) { 0 } else { lasted };
            one.since = at;
            one.held.clear();
            one.held_under = None;
        }
        one.phase = after;
        Ok(())
    }

    fn step(&mut self, at: Time, actor: &Actor, body: &Body) -> Result<(), String> {
        match body {
            Body::BaseSet { hash, base } => {
                self.base = Some(Arc::new(Base { text: base.clone(), hash: hash.clone() }));
                self.broken_intent.clear();
            }
            Body::Defined { experiment, hash, definition } => {
                self.broken_intent.clear();
                self.define(at, actor, experiment, hash, definition)?;
            }
            Body::IntentRefused { problems } => self.broken_intent.clone_from(problems),
            Body::PoliciesSet { policies, .. } => {
                let read = Policies::of_event(policies).ok_or("the policies cannot be read")?;
                self.policies = Arc::new(read);
                self.broken_policies.clear();
            }
            Body::PoliciesRefused { problems } => self.broken_policies.clone_from(problems),
            Body::Approved { experiment, gate, hash } => {
                self.approve(
                    experiment,
                    hash,
                    Approval { gate: *gate, by: actor.clone(), broken_glass: None },
                )?;
            }
            Body::GlassBroken { experiment, gate, hash, reason } => {
                let broken_glass = Some(reason.clone());
                self.approve(experiment, hash, Approval { gate: *gate, by: actor.clone(), broken_glass })?;
            }
            Body::Held { experiment, reasons } => {
                let wanted = self.wanted.as_ref().map(|wanted| wanted.document.clone());
                let one = self.live.get_mut(&**experiment).ok_or("an unknown experiment waits")?;
                let one = Arc::make_mut(one);
                one.held.clone_from(reasons);
                one.held_under = wanted;
            }
            Body::Refused { .. } => self.refusals = self.refusals.saturating_add(1),
            Body::Killed { .. } => self.killed = true,
            Body::Revived { .. } => self.killed = false,
            Body::Composed { document, .. } => {
                let seq = self.seq.saturating_add(1);
                self.wanted = Some(Wanted { document: document.clone(), since: at, seq, is_stuck: false });
            }
            Body::Confirmed { proxy, document } => {
                let proxy = Arc::make_mut(&mut self.proxies).entry(proxy.clone()).or_default();
                proxy.in_force = Some(document.clone());
                proxy.since = at;
            }
            Body::ProxyRefused { proxy, document, .. } => {
                let proxy = Arc::make_mut(&mut self.proxies).entry(proxy.clone()).or_default();
                proxy.refused.insert(document.clone());
            }
            Body::Stuck { document, .. } => {
                let wanted = self.wanted.as_mut().filter(|wanted| wanted.document == *document);
                wanted.ok_or("a document is stuck that is not wanted")?.is_stuck = true;
            }
            Body::Breached { experiment, .. } => {
                let one = self.live.get_mut(&**experiment).ok_or("an unknown experiment does harm")?;
                let one = Arc::make_mut(one);
                one.breaches = one.breaches.saturating_add(1);
                self.breaches = self.breaches.saturating_add(1);
            }
            Body::SourceChanged { source, condition } => {
                Arc::make_mut(&mut self.sources).insert(source.clone(), (*condition, at));
            }
            Body::BudgetChanged { budget, level, .. } => {
                let budgets = Arc::make_mut(&mut self.budgets);
                if *level == 0 {
                    budgets.remove(budget)
                } else {
                    budgets.insert(budget.clone(), *level)
                };
            }
            _ => self.live_step(at, body)?,
        }
        Ok(())
    }

    fn live_step(&mut self, at: Time, body: &Body) -> Result<(), String> {
        match body {
            Body::Enqueued { experiment, .. } => {
                self.moved(experiment, Move::Enqueue, at, |one| one.enqueued = Some(at))
            }
            Body::Dequeued { experiment } => {
                self.moved(experiment, Move::Dequeue, at, |one| one.enqueued = None)
            }
            Body::Started { experiment, hash, buckets, .. } => {
                if self.live.get(&**experiment).is_some_and(|one| one.definition.hash() != hash) {
                    return Err(format!("`{experiment}` starts with another definition than it has"));
                }
                self.moved(experiment, Move::Start, at, |one| {
                    one.started = Some(at);
                    one.step = 0;
                    one.buckets.clone_from(buckets);
                })
            }
            Body::Advanced { experiment, step, .. } => {
                if self.live.get(&**experiment).is_some_and(|one| one.step.checked_add(1) != Some(*step)) {
                    return Err(format!("`{experiment}` leaves out a step"));
                }
                self.moved(experiment, Move::Advance, at, |one| one.step = *step)
            }
            Body::Paused { experiment, cause } => {
                self.moved(experiment, Move::Pause, at, |one| one.cause = Some(cause.clone()))
            }
            Body::Resumed { experiment } => self.moved(experiment, Move::Resume, at, |one| one.cause = None),
            Body::Decided { experiment, verdict } => self.moved(experiment, Move::Decide, at, |one| {
                one.verdict = Some(verdict.clone());
                one.decided = Some(at);
            }),
            Body::Shipped { experiment, variant } => {
                self.moved(experiment, Move::Ship, at, |one| one.shipped = Some(variant.clone()))
            }
            Body::Completed { experiment } => self.moved(experiment, Move::Complete, at, |_| {}),
            Body::RolledBack { experiment, cause } => {
                self.rollbacks = self.rollbacks.saturating_add(1);
                self.moved(experiment, Move::RollBack, at, |one| {
                    one.cause = Some(cause.clone());
                    one.shipped = None;
                })
            }
            Body::Archived { experiment } => self.archive_one(at, experiment),
            _ => Err("an event that is not handled".to_owned()),
        }
    }

    fn define(
        &mut self,
        at: Time,
        actor: &Actor,
        id: &str,
        hash: &str,
        definition: &str,
    ) -> Result<(), String> {
        if self.archive.contains_key(id) {
            return Err(format!("`{id}` is archived: an id is used once"));
        }
        let Some(one) = self.live.get_mut(id) else {
            let one = Experiment {
                phase: Phase::Draft,
                definition: Arc::new(Definition::of_event(definition, hash)),
                edited: None,
                author: actor.clone(),
                approvals: Vec::new(),
                defined: at,
                enqueued: None,
                started: None,
                since: at,
                step: 0,
                lasted: 0,
                buckets: Vec::new(),
                breaches: 0,
                verdict: None,
                decided: None,
                shipped: None,
                cause: None,
                held: Vec::new(),
                held_under: None,
            };
            self.live.insert(id.into(), Arc::new(one));
            return Ok(());
        };
        let one = Arc::make_mut(one);
        if one.phase.after(Move::Define).is_none() {
            one.edited = (one.definition.hash() != hash).then(|| hash.to_owned());
            return Ok(());
        }
        one.definition = Arc::new(Definition::of_event(definition, hash));
        one.author = actor.clone();
        one.approvals.clear();
        Ok(())
    }

    fn approve(&mut self, id: &str, hash: &str, approval: Approval) -> Result<(), String> {
        let one = self.live.get_mut(id).ok_or("an unknown experiment is approved")?;
        if one.definition.hash() != hash {
            return Err(format!("`{id}` has another definition than the approved one"));
        }
        Arc::make_mut(one).approvals.push(approval);
        Ok(())
    }

    fn archive_one(&mut self, at: Time, id: &str) -> Result<(), String> {
        let one = self.live.get(id).ok_or_else(|| format!("experiment `{id}` is not known"))?;
        let phase = one.phase;
        phase.after(Move::Archive).ok_or_else(|| format!("`{id}` is {}: it is not over", phase.as_str()))?;
        let Some((id, one)) = self.live.remove_entry(id) else { return Ok(()) };
        let over = if matches!(phase, Phase::Draft | Phase::Queued) { at } else { one.since };
        Arc::make_mut(&mut self.archive).insert(
            id,
            Archived {
                hash: one.definition.hash().into(),
                ended: phase,
                defined: one.defined,
                enqueued: one.enqueued,
                started: one.started,
                decided: one.decided,
                over,
                shipped: one.shipped.as_deref().map(Into::into),
                verdict: one.verdict.clone().map(Box::new),
                breaches: one.breaches,
            },
        );
        Ok(())
    }
}
