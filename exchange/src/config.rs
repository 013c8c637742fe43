//! The config in force, and its metrics.

use std::rc::Rc;

use splitway_engine::guardrail::Outcome;
use splitway_engine::{Assignment, Document, Plan, Problems, Secrets, compile_with};

use crate::guards::Guards;
use crate::host::{Level, Log, Metrics, Setup};
use crate::names::{define, increment, named, series};
use crate::sink::SharedSink;
use crate::vm::Vm;

/// Largest number of series with the labels experiment and variant; further variants share those
/// named `__other__`.
const MAX_SERIES: usize = 2_000;

/// A plan in force, with the handles of its metrics.
#[derive(Debug)]
pub struct Active {
    /// The plan.
    pub plan: Plan,
    /// Its guardrails.
    pub guards: Guards,
    /// Its sink, if it exports to a collector.
    pub sink: Option<SharedSink>,
    /// Series by experiment and variant.
    series: Box<[Box<[Series]>]>,
    events: Events,
}

/// The metrics of a variant.
#[derive(Clone, Copy, Debug)]
struct Series {
    assignments: Option<u32>,
    service: Option<Service>,
}

/// Metrics that `service_metrics` adds.
#[derive(Clone, Copy, Debug)]
struct Service {
    /// Counters by [`Outcome::class`].
    responses: [Option<u32>; 6],
    duration: Option<u32>,
}

impl Series {
    /// Number of metrics per variant.
    fn count(plan: &Plan) -> usize {
        if plan.has_service_metrics() { 8 } else { 1 }
    }

    fn new(plan: &Plan, experiment: &str, variant: &str, host: &impl Metrics) -> Self {
        let service = plan.has_service_metrics().then(|| {
            let class = |class: &str| {
                let name = format!("responses.experiment.{experiment}.variant.{variant}.class.{class}");
                define(host, &named(plan.namespace(), &name))
            };
            Service {
                responses: ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
                duration: host.histogram(&series(plan, "duration_ms", experiment, variant)).ok(),
            }
        });
        Self { assignments: define(host, &series(plan, "assignments", experiment, variant)), service }
    }
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
    conflicts: Option<u32>,
}

/// Events that are counted besides assignments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client sent one of our headers; it was removed.
    Stripped,
    /// A request carried no unit.
    NoUnit,
    /// A path rewrite or redirect was refused (see `splitway_engine::Rewrite`).
    RewriteRefused,
    /// A hostcall failed; the request passed without its effect.
    Failure,
    /// A QA token chose a variant.
    TokenAccepted,
    /// A QA token was ignored.
    TokenRejected,
    /// A bot's request passed.
    Bot,
    /// A request passed without the consent that the config requires.
    NoConsent,
    /// A unit was minted.
    Minted,
    /// The identity cookie was renewed.
    Renewed,
    /// A request was answered with a redirect.
    Redirected,
    /// An experiment was not entered, because another one acts on the same thing.
    Conflict,
}

impl Active {
    fn new<P>(plan: Plan, vm: &mut Vm<P>, host: &impl Setup) -> Self {
        let each = Series::count(&plan);
        let mut left = MAX_SERIES;
        let mut other = None;
        let all = plan
            .experiments()
            .map(|(_, experiment)| {
                let of = |variant: &splitway_engine::Variant| match left.checked_sub(each) {
                    Some(rest) => {
                        left = rest;
                        Series::new(&plan, experiment.id(), variant.id(), host)
                    }
                    None => *other.get_or_insert_with(|| Series::new(&plan, "__other__", "__other__", host)),
                };
                experiment.variants().iter().map(of).collect()
            })
            .collect();
        let event = |name: &str| define(host, &named(plan.namespace(), name));
        let events = Events {
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
            conflicts: event("conflicts"),
        };
        Self {
            guards: Guards::new(&plan, host),
            sink: if host.is_sink() { None } else { vm.sink(&plan, host) },
            plan,
            series: all,
            events,
        }
    }

    /// Counts an assignment.
    pub fn count_assignment(&self, host: &impl Metrics, assignment: &Assignment) {
        increment(host, self.series(assignment).and_then(|series| series.assignments), 1);
    }

    /// Returns true if records are logged; `hears` is true if the proxy writes such lines.
    pub(crate) fn logs(&self, hears: bool, host: &impl Log) -> bool {
        host.is_sink() || hears && self.plan.sinks().log
    }

    /// Returns true if the outcome of an exchange goes anywhere but to the log.
    pub(crate) fn tells(&self) -> bool {
        self.sink.is_some() || self.counts_service()
    }

    /// Returns true if the outcome of an exchange is to be counted.
    #[must_use]
    pub fn counts_service(&self) -> bool {
        self.plan.has_service_metrics() || !self.guards.is_empty()
    }

    /// Counts the outcome of an exchange with this assignment; `unit` is the unit's hash, if it may be counted.
    pub fn count_service(
        &self,
        host: &impl Metrics,
        assignment: &Assignment,
        unit: Option<u64>,
        outcome: &Outcome,
        duration_ms: u64,
    ) {
        if let Some(hash) = unit {
            self.guards.count(&self.plan, assignment, hash, outcome);
        }
        let Some(service) = self.series(assignment).and_then(|series| series.service) else { return };
        increment(host, service.responses.get(usize::from(outcome.class())).copied().flatten(), 1);
        if let Some(duration) = service.duration {
            host.record(duration, duration_ms);
        }
    }

    fn series(&self, assignment: &Assignment) -> Option<&Series> {
        self.series.get(assignment.experiment.index())?.get(assignment.variant.index())
    }

    /// Returns true if the config needs ticks.
    #[must_use]
    pub fn ticks(&self) -> bool {
        self.sink.is_some() || !self.guards.is_empty()
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
            Event::Conflict => self.events.conflicts,
        };
        increment(host, counter, by);
    }
}

/// Holds the last good config.
#[derive(Debug, Default)]
pub struct Store {
    active: Option<Rc<Active>>,
}

impl Store {
    /// Returns the config in force. Without one, requests pass untouched.
    #[must_use]
    pub fn active(&self) -> Option<Rc<Active>> {
        self.active.clone()
    }

    /// Puts `json` into force, or keeps the current config and logs every problem. Secrets that it names by
    /// variable come from the host's environment. An empty config does nothing. Returns true if `json` was
    /// accepted.
    pub fn load<P>(&mut self, json: &[u8], vm: &mut Vm<P>, host: &impl Setup) -> bool {
        let parsed = if json.trim_ascii().is_empty() {
            Document::from_json(br#"{"version":1}"#)
        } else {
            Document::from_json(json)
        };
        let secrets = Secrets::Required(&|name| host.variable(name));
        match parsed.and_then(|document| compile_with(&document, secrets)) {
            Ok(plan) => {
                self.accept(plan, vm, host);
                true
            }
            Err(problems) => {
                self.refuse(&problems, host);
                false
            }
        }
    }

    fn accept<P>(&mut self, plan: Plan, vm: &mut Vm<P>, host: &impl Setup) {
        for warning in plan.warnings() {
            host.log(Level::Warn, &format!("splitway: config {}: {warning}", plan.content_hash()));
        }
        let experiments = plan.experiments().count();
        let line = format!("splitway: config {} in force, {experiments} experiments", plan.content_hash());
        host.log(Level::Info, &line);
        let of_plan = |name: &str| named(plan.namespace(), name);
        increment(host, define(host, &of_plan("config_accepted")), 1);
        // A gauge is a float in Prometheus, which holds 53 bits exactly: 48 of the hash's 64 are exported.
        let version = plan.content_hash().get(..12).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let since = u64::try_from(host.now().0 / 1000).ok();
        for (name, value) in [("config_version", version), ("config_since", since)] {
            if let (Ok(gauge), Some(value)) = (host.gauge(&of_plan(name)), value) {
                host.record(gauge, value);
            }
        }
        self.active = Some(Rc::new(Active::new(plan, vm, host)));
    }

    fn refuse(&self, problems: &Problems, host: &(impl Metrics + Log)) {
        let kept = match &self.active {
            Some(active) => format!("config {} stays in force", active.plan.content_hash()),
            // A proxy tries a config in a fresh VM; the VMs that serve keep their config.
            None => "no other is in force here".to_owned(),
        };
        host.log(Level::Error, &format!("splitway: config refused, {} problems; {kept}", problems.len()));
        for problem in problems {
            host.log(Level::Error, &format!("splitway: {problem}"));
        }
        increment(host, define(host, "splitway.config_refused"), 1);
    }
}
