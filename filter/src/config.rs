//! The config in force, and its metrics.

use std::rc::Rc;

use splitway_engine::{Assignment, Document, Plan, Problems, compile};

use crate::host::{Level, Log, Metrics};

/// Most series of the assignment counter; what is beyond shares one named
/// `__other__`.
const MAX_SERIES: usize = 2_000;

/// A plan in force, with the handles of its metrics.
#[derive(Debug)]
pub struct Active {
    /// The plan.
    pub plan: Plan,
    /// By experiment and variant.
    assignments: Box<[Box<[Option<u32>]>]>,
    events: Events,
}

/// Counters that do not depend on the config.
#[derive(Clone, Copy, Debug, Default)]
struct Events {
    stripped: Option<u32>,
    no_unit: Option<u32>,
    rewrite_refused: Option<u32>,
    failures: Option<u32>,
    token_accepted: Option<u32>,
    token_rejected: Option<u32>,
    bots: Option<u32>,
    no_consent: Option<u32>,
    minted: Option<u32>,
    renewed: Option<u32>,
    redirected: Option<u32>,
}

/// What the filter counts besides assignments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client sent a header that is ours; it was removed.
    Stripped,
    /// A request carried no unit.
    NoUnit,
    /// A path rewrite or redirect was refused (see `splitway_engine::Rewrite`).
    RewriteRefused,
    /// A hostcall failed; the request passed without what it was for.
    Failure,
    /// A QA token chose a variant.
    TokenAccepted,
    /// A QA token was ignored.
    TokenRejected,
    /// A bot's request passed.
    Bot,
    /// A request without the consent that is required passed.
    NoConsent,
    /// A unit was minted.
    Minted,
    /// The identity cookie was renewed.
    Renewed,
    /// A request was answered with a redirect.
    Redirected,
}

impl Active {
    fn new(plan: Plan, host: &impl Metrics) -> Self {
        let mut left = MAX_SERIES;
        let mut other = None;
        let assignments = plan
            .experiments()
            .map(|(_, experiment)| {
                let counter = |variant: &splitway_engine::Variant| match left.checked_sub(1) {
                    Some(rest) => {
                        left = rest;
                        define(host, &series(experiment.id(), variant.id()))
                    }
                    None => *other.get_or_insert_with(|| define(host, &series("__other__", "__other__"))),
                };
                experiment.variants().iter().map(counter).collect()
            })
            .collect();
        let event = |name: &str| define(host, &format!("splitway.{name}"));
        Self {
            plan,
            assignments,
            events: Events {
                stripped: event("stripped_headers"),
                no_unit: event("no_unit"),
                rewrite_refused: event("rewrite_refused"),
                failures: event("hostcall_failures"),
                token_accepted: event("qa_token_accepted"),
                token_rejected: event("qa_token_rejected"),
                bots: event("bots"),
                no_consent: event("no_consent"),
                minted: event("units_minted"),
                renewed: event("units_renewed"),
                redirected: event("redirects"),
            },
        }
    }

    /// Counts an assignment.
    pub fn count_assignment(&self, host: &impl Metrics, assignment: &Assignment) {
        let variants = self.assignments.get(assignment.experiment.index());
        let counter =
            variants.and_then(|variants| variants.get(assignment.variant.index()).copied().flatten());
        increment(host, counter, 1);
    }

    /// Counts an event.
    pub fn count(&self, host: &impl Metrics, event: Event, by: u32) {
        let counter = match event {
            Event::Stripped => self.events.stripped,
            Event::NoUnit => self.events.no_unit,
            Event::RewriteRefused => self.events.rewrite_refused,
            Event::Failure => self.events.failures,
            Event::TokenAccepted => self.events.token_accepted,
            Event::TokenRejected => self.events.token_rejected,
            Event::Bot => self.events.bots,
            Event::NoConsent => self.events.no_consent,
            Event::Minted => self.events.minted,
            Event::Renewed => self.events.renewed,
            Event::Redirected => self.events.redirected,
        };
        increment(host, counter, by);
    }
}

/// The name that Envoy's `stats_tags` turn into labels.
fn series(experiment: &str, variant: &str) -> String {
    format!("splitway.assignments.experiment.{experiment}.variant.{variant}")
}

fn define(host: &impl Metrics, name: &str) -> Option<u32> {
    host.counter(name).ok()
}

fn increment(host: &impl Metrics, counter: Option<u32>, by: u32) {
    if let Some(counter) = counter
        && by > 0
    {
        host.increment(counter, by);
    }
}

/// Holds the last good config.
#[derive(Debug, Default)]
pub struct Store {
    active: Option<Rc<Active>>,
}

impl Store {
    /// The config in force. Without one, requests pass untouched.
    #[must_use]
    pub fn active(&self) -> Option<Rc<Active>> {
        self.active.clone()
    }

    /// Takes `json` into force, or keeps what there is and says why.
    /// An empty config is the inert one. Gives whether it was taken.
    pub fn load(&mut self, json: &[u8], host: &(impl Metrics + Log)) -> bool {
        let parsed = if json.trim_ascii().is_empty() {
            Document::from_json(br#"{"version":1}"#)
        } else {
            Document::from_json(json)
        };
        match parsed.and_then(|document| compile(&document)) {
            Ok(plan) => {
                self.accept(plan, host);
                true
            }
            Err(problems) => {
                self.refuse(&problems, host);
                false
            }
        }
    }

    fn accept(&mut self, plan: Plan, host: &(impl Metrics + Log)) {
        for warning in plan.warnings() {
            host.log(Level::Warn, &format!("splitway: config {}: {warning}", plan.content_hash()));
        }
        let experiments = plan.experiments().count();
        let line = format!("splitway: config {} in force, {experiments} experiments", plan.content_hash());
        host.log(Level::Info, &line);
        increment(host, define(host, "splitway.config_accepted"), 1);
        self.active = Some(Rc::new(Active::new(plan, host)));
    }

    fn refuse(&self, problems: &Problems, host: &(impl Metrics + Log)) {
        let kept = match &self.active {
            Some(active) => format!("config {} stays in force", active.plan.content_hash()),
            // A proxy tries a config in a fresh VM; what it served before, it goes on serving.
            None => "this VM has no other, the proxy keeps what it had".to_owned(),
        };
        host.log(Level::Error, &format!("splitway: config refused, {} problems; {kept}", problems.len()));
        for problem in problems {
            host.log(Level::Error, &format!("splitway: {problem}"));
        }
        increment(host, define(host, "splitway.config_refused"), 1);
    }
}
