//! The state with its log, and what goes in and out: everything but waiting.

use std::collections::BTreeMap;
use std::fmt;

use splitway_control::{
    Actor, Condition, Event, Evidence, Input, Phase, Reason, State, Time, compose, react,
};

use crate::delivery::{DeliveryError, WatchedFolder};
use crate::evidence::{AdminError, Counters, Report};
use crate::store::{Store, StoreError};

/// A controller: one log, one folder that proxies watch, and the proxies' reports.
#[derive(Debug)]
pub struct Core<S> {
    store: S,
    folder: WatchedFolder,
    state: State,
    evidence: Evidence,
    counters: BTreeMap<String, Counters>,
    /// The hash of the document that is known to be in the folder.
    delivered: Option<String>,
    /// Documents that were delivered since each proxy's last report.
    deliveries: BTreeMap<String, Vec<String>>,
}

/// What followed from an input.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What happened.
    pub events: Vec<Event>,
    /// Why a command was refused; empty if it was not.
    pub refused: Vec<Reason>,
}

/// Why a controller cannot do what it should. Traffic goes on as it is.
#[derive(Debug)]
pub enum CoreError {
    /// The log cannot be read or written: nothing was decided.
    Store(StoreError),
    /// The document could not be delivered: it is tried again.
    Delivery(DeliveryError),
    /// A part of the controller has ended.
    Ended,
}

impl CoreError {
    /// Whether the controller must end, because the log is not its own any more or a part of it has ended.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Ended
                | Self::Store(StoreError::Fenced { .. } | StoreError::Held(_) | StoreError::Corrupt(_))
        )
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Delivery(error) => error.fmt(f),
            Self::Ended => f.write_str("a task of the controller has ended, which it never should"),
        }
    }
}

impl std::error::Error for CoreError {}

impl From<StoreError> for CoreError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DeliveryError> for CoreError {
    fn from(error: DeliveryError) -> Self {
        Self::Delivery(error)
    }
}

impl<S: Store> Core<S> {
    /// Folds the log and goes on where it ends.
    ///
    /// # Errors
    /// The log cannot be read, or was changed.
    pub fn new(store: S, folder: WatchedFolder) -> Result<Self, StoreError> {
        let state = store.load()?;
        Ok(Self {
            store,
            folder,
            state,
            evidence: Evidence::default(),
            counters: BTreeMap::new(),
            delivered: None,
            deliveries: BTreeMap::new(),
        })
    }

    /// What is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The log.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Reacts to an input: what follows is on disk when this returns.
    ///
    /// # Errors
    /// The log cannot be written; the state is then as before.
    pub fn input(&mut self, actor: &Actor, input: &Input, now: Time) -> Result<Outcome, CoreError> {
        let reaction = react(&self.state, &self.evidence, actor, input, now);
        if !reaction.events.is_empty() {
            self.store.append(self.state.seq(), &reaction.events)?;
        }
        self.state = reaction.state;
        let events = reaction.events.into_iter().map(|sealed| sealed.event).collect();
        let refused = reaction.refusal.map(|refusal| refusal.reasons).unwrap_or_default();
        Ok(Outcome { events, refused })
    }

    /// Delivers the wanted document, if another one is in the folder. After a crash it is delivered again, which changes
    /// nothing.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn deliver(&mut self) -> Result<(), CoreError> {
        let Some(wanted) = self.state.wanted().map(|wanted| wanted.document.clone()) else { return Ok(()) };
        if self.delivered.as_ref() == Some(&wanted) {
            return Ok(());
        }
        // What is in the log was composed once, so it compiles; another build may want another document, which is
        // composed anew when something changes.
        let Ok(Some(document)) = compose(&self.state) else { return Ok(()) };
        if self.folder.deliver(&document.text)? {
            for documents in self.deliveries.values_mut() {
                documents.push(wanted.clone());
            }
        }
        self.delivered = Some(wanted);
        Ok(())
    }

    /// Takes in what a proxy reports, or why it does not.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn observe(
        &mut self,
        proxy: &str,
        report: &Result<Report, AdminError>,
        now: Time,
    ) -> Result<Vec<Event>, CoreError> {
        let mut inputs = Vec::new();
        let source = |condition| Input::Source { source: proxy.to_owned(), condition };
        match report {
            Err(AdminError::Dead(_)) => inputs.push(source(Condition::Dead)),
            Err(AdminError::NotANumber(_)) => inputs.push(source(Condition::NotANumber)),
            Ok(report) => {
                let seen = self.counters.entry(proxy.to_owned()).or_default().observe(proxy, report);
                inputs.push(source(if seen.has_data { Condition::Fresh } else { Condition::Empty }));
                let runs = |id: &str| self.state.experiment(id).is_some_and(|one| one.phase.takes_units());
                for sample in seen.samples {
                    if runs(&sample.experiment) {
                        self.evidence.observe(sample);
                    }
                }
                for ((experiment, variant), is_out) in &report.trips {
                    if runs(experiment) {
                        self.evidence.observe_trip(proxy, experiment, variant, *is_out);
                    }
                }
                let sent = self.deliveries.insert(proxy.to_owned(), Vec::new()).unwrap_or_default();
                if let Some(document) = report.version.map(|version| self.named(version)) {
                    inputs.push(Input::InForce { proxy: proxy.to_owned(), document });
                }
                // Of several documents since the last report nobody knows which one was refused.
                if let (true, [document]) = (seen.refused > 0, sent.as_slice()) {
                    let reason = "the proxy counted a refused config; its log has the reason".to_owned();
                    let (proxy, document) = (proxy.to_owned(), document.clone());
                    inputs.push(Input::Refused { proxy, document, reason });
                }
            }
        }
        let mut events = Vec::new();
        for input in inputs {
            events.extend(self.input(&Actor::Schedule, &input, now)?.events);
        }
        Ok(events)
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn tick(&mut self, now: Time) -> Result<Vec<Event>, CoreError> {
        let events = self.input(&Actor::Schedule, &Input::Tick, now)?.events;
        let state = &self.state;
        self.evidence.retain(|id| {
            state
                .experiment(id)
                .is_some_and(|one| matches!(one.phase, Phase::Running | Phase::Decided | Phase::Paused))
        });
        Ok(events)
    }

    /// The document that a gauge means: the wanted one, or as much of its hash as the gauge has.
    fn named(&self, version: u64) -> String {
        let short = format!("{version:012x}");
        let wanted = self.state.wanted().map(|wanted| wanted.document.as_str());
        wanted.filter(|hash| hash.starts_with(&short)).map_or(short, str::to_owned)
    }
}
