//! One request and its response.

use std::rc::Rc;

use smallvec::SmallVec;
use splitway_engine::qa_token::TokenOutcome;
use splitway_engine::{
    CACHE_OVERRIDES, CLUSTER, ChainId, CookieAction, Decision, EXPLAIN, HeaderChange, Reason, Redirection,
    RequestView, Rewrite, SHADOW, STAMP, Served, Timestamp, private_cache_control,
};

use crate::config::{Active, Event};
use crate::host::{Failure, Host, Level, Map};

/// The state of one exchange, from request to log.
#[derive(Debug)]
pub struct Exchange {
    active: Rc<Active>,
    decision: Decision,
    started: Timestamp,
    request_id: Option<String>,
    /// How exposures show each unit.
    context_ids: SmallVec<[(ChainId, Option<String>); 1]>,
    rewrite_refused: bool,
    /// The decision's steps, for a tester who asked for them.
    steps: Option<String>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It was answered here.
    Answered,
}

impl Exchange {
    /// An exchange under `active`; it keeps that config to its end.
    #[must_use]
    pub fn new(active: Rc<Active>) -> Self {
        Self {
            active,
            decision: Decision::default(),
            started: Timestamp::default(),
            request_id: None,
            context_ids: SmallVec::new(),
            rewrite_refused: false,
            steps: None,
        }
    }

    /// What was decided.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Decides for the request and acts on it.
    pub fn on_request(&mut self, host: &impl Host) -> Flow {
        self.started = host.now();
        let Ok(block) = host.pairs(Map::Request) else {
            self.active.count(host, Event::Failure, 1);
            unmark(host);
            return Flow::Continue;
        };
        let active = Rc::clone(&self.active);
        let plan = &active.plan;
        let mut headers: SmallVec<[(&[u8], &[u8]); 32]> = SmallVec::new();
        let mut stripped = 0_u32;
        for (name, value) in block.iter() {
            if plan.is_ours(name) {
                stripped = stripped.saturating_add(1);
                if host.remove(Map::Request, name).is_err() {
                    active.count(host, Event::Failure, 1);
                }
            } else {
                headers.push((name, value));
            }
        }
        active.count(host, Event::Stripped, stripped);
        let request = RequestView::new(&headers).with_entropy(host);
        let mut steps = plan.steps(&request);
        plan.decide_into(&request, self.started, &mut steps, &mut self.decision);
        self.count_decision(host);
        self.steps = steps.filter(|_| self.decision.debug).map(String::from);
        if self.decision.assignments.is_empty() {
            return Flow::Continue;
        }
        let applied = self.redirect(host, &request).and_then(|flow| match flow {
            Flow::Continue => self.apply(host, &request).map(|()| flow),
            Flow::Answered => Ok(flow),
        });
        let Ok(flow) = applied else {
            self.take_back(host, &request);
            active.count(host, Event::Failure, 1);
            return Flow::Continue;
        };
        self.remember(&request);
        for assignment in &self.decision.assignments {
            active.count_assignment(host, assignment);
        }
        flow
    }

    /// Answers with a redirect if a variant asks for one.
    fn redirect(&mut self, host: &impl Host, request: &RequestView<'_>) -> Result<Flow, Failure> {
        match self.active.plan.redirect(&self.decision, request) {
            Redirection::None => Ok(Flow::Continue),
            Redirection::Refused => {
                self.rewrite_refused = true;
                self.active.count(host, Event::RewriteRefused, 1);
                Ok(Flow::Continue)
            }
            Redirection::To(status, location) => {
                // One who later is in another variant must not be sent there from memory.
                host.respond(status, &[("location", &location), ("cache-control", b"no-store")])?;
                self.active.count(host, Event::Redirected, 1);
                Ok(Flow::Answered)
            }
        }
    }

    fn count_decision(&self, host: &impl Host) {
        if self.decision.unit_missing {
            self.active.count(host, Event::NoUnit, 1);
        }
        match self.decision.token {
            TokenOutcome::None => {}
            TokenOutcome::Accepted => self.active.count(host, Event::TokenAccepted, 1),
            _ => self.active.count(host, Event::TokenRejected, 1),
        }
        match self.decision.barred {
            None => {}
            Some(Reason::Bot) => self.active.count(host, Event::Bot, 1),
            Some(_) => self.active.count(host, Event::NoConsent, 1),
        }
    }

    /// Routes, rewrites and stamps the request.
    fn apply(&mut self, host: &impl Host, request: &RequestView<'_>) -> Result<(), Failure> {
        let plan = &self.active.plan;
        if let Some(cluster) = plan.cluster(&self.decision) {
            host.set(Map::Request, CLUSTER, cluster.as_bytes())?;
        }
        if let Some(authority) = plan.host(&self.decision) {
            host.set(Map::Request, ":authority", authority.as_bytes())?;
        }
        match plan.path(&self.decision, request) {
            Rewrite::None => {}
            Rewrite::To(path) => host.set(Map::Request, ":path", &path)?,
            Rewrite::Refused => {
                self.rewrite_refused = true;
                self.active.count(host, Event::RewriteRefused, 1);
            }
        }
        if let Some(cluster) = plan.shadow(&self.decision) {
            host.set(Map::Request, SHADOW, cluster.as_bytes())?;
        }
        for change in plan.request_headers(&self.decision) {
            change_header(host, Map::Request, change)?;
        }
        let baggage = request.header_joined("baggage").unwrap_or_default();
        if let Some(baggage) = plan.baggage(&self.decision, &baggage) {
            host.set(Map::Request, "baggage", &baggage)?;
        }
        if let Some(stamp) = plan.stamp(&self.decision) {
            if plan.fills_filter_state() && host.set_state("splitway", stamp.as_bytes()).is_err() {
                // Tracing lacks a tag; the request has what it needs.
                self.active.count(host, Event::Failure, 1);
            }
            host.set(Map::Request, STAMP, stamp.as_bytes())?;
        }
        Ok(())
    }

    /// What was not applied whole is undone, as far as hostcalls allow, and not
    /// claimed: no stamp, no exposure.
    fn take_back(&mut self, host: &impl Host, request: &RequestView<'_>) {
        unmark(host);
        for change in self.active.plan.request_headers(&self.decision) {
            if let HeaderChange::Set(name, _) | HeaderChange::Add(name, _) = change
                && self.active.plan.is_ours(name.as_bytes())
            {
                let _ = host.remove(Map::Request, name.as_bytes());
            }
        }
        if let Some(value) = request.header_joined("baggage") {
            let _ = host.set(Map::Request, "baggage", &value);
        }
        for name in [":authority", ":path"] {
            if let Some(value) = request.header(name) {
                let _ = host.set(Map::Request, name, value);
            }
        }
        self.decision.assignments.clear();
    }

    /// Keeps what the exposures will need of the request.
    fn remember(&mut self, request: &RequestView<'_>) {
        let id = request.header("x-request-id").and_then(|id| std::str::from_utf8(id).ok());
        self.request_id = id.map(ToOwned::to_owned);
        for assignment in &self.decision.assignments {
            if self.context_ids.iter().all(|(chain, _)| *chain != assignment.chain) {
                let shown = self.active.plan.context_id(&self.decision, assignment, request);
                self.context_ids.push((assignment.chain, shown));
            }
        }
    }

    /// Stamps the response, whoever made it, and tells caches and the browser what
    /// they must know. The parts do not depend on each other: one that fails is
    /// counted, the others are done.
    pub fn on_response(&self, host: &impl Host) {
        let plan = &self.active.plan;
        let mut failures = 0_u32;
        let mut check =
            |result: Result<(), Failure>| failures = failures.saturating_add(result.is_err().into());
        if let Some(stamp) = plan.stamp(&self.decision) {
            check(host.set(Map::Response, STAMP, stamp.as_bytes()));
        }
        for change in plan.response_headers(&self.decision) {
            check(change_header(host, Map::Response, change));
        }
        // Before the cookie: a response with a cookie that caches may share is the worse half.
        if self.decision.private {
            check(make_private(host));
        }
        if let Some(names) = plan.vary(&self.decision) {
            check(host.add(Map::Response, "vary", names.as_bytes()));
        }
        if let Some(cookie) = plan.set_cookie(&self.decision, self.started) {
            let set = host.add(Map::Response, "set-cookie", cookie.as_bytes());
            if set.is_ok() && self.decision.cookie != CookieAction::Expire {
                let event = if self.decision.minted { Event::Minted } else { Event::Renewed };
                self.active.count(host, event, 1);
            }
            check(set);
        }
        if let Some(steps) = &self.steps {
            check(host.set(Map::Response, EXPLAIN, steps.as_bytes()));
        }
        self.active.count(host, Event::Failure, failures);
    }

    /// Writes one exposure record per experiment.
    pub fn on_log(&self, host: &impl Host) {
        if self.decision.assignments.is_empty() {
            return;
        }
        let now = host.now();
        let cluster = host.property(&["xds", "cluster_name"]).and_then(|name| String::from_utf8(name).ok());
        let served = Served {
            request_id: self.request_id.as_deref(),
            status: host.property(&["response", "code"]).and_then(|code| status(&code)),
            cluster: cluster.as_deref().filter(|name| !name.is_empty()),
            duration_ms: Some(milliseconds_between(self.started, now)),
            rewrite_refused: self.rewrite_refused,
        };
        for assignment in &self.decision.assignments {
            let context = self.context_ids.iter().find(|(chain, _)| *chain == assignment.chain);
            let context_id = context.and_then(|(_, id)| id.as_deref());
            if let Some(exposure) = self.active.plan.exposure(assignment, context_id, now, &served) {
                host.log(Level::Info, &exposure.to_json());
            }
        }
    }
}

/// Keeps a response from shared caches.
fn make_private(host: &impl Host) -> Result<(), Failure> {
    let block = host.pairs(Map::Response)?;
    let mut existing = Vec::new();
    for (name, value) in block.iter() {
        if name == b"cache-control" {
            existing.extend_from_slice(value);
            existing.push(b',');
        } else if CACHE_OVERRIDES.iter().any(|overriding| name == overriding.as_bytes()) {
            host.remove(Map::Response, name)?;
        }
    }
    host.set(Map::Response, "cache-control", &private_cache_control(&existing))
}

/// Takes the route and the stamp off a request. Best effort: it is called when
/// hostcalls fail.
fn unmark(host: &impl Host) {
    for name in [CLUSTER, SHADOW, STAMP] {
        let _ = host.remove(Map::Request, name.as_bytes());
    }
}

fn change_header(host: &impl Host, map: Map, change: &HeaderChange) -> Result<(), Failure> {
    match change {
        HeaderChange::Set(name, value) => host.set(map, name, value.as_bytes()),
        HeaderChange::Add(name, value) => host.add(map, name, value.as_bytes()),
        HeaderChange::Remove(name) => host.remove(map, name.as_bytes()),
    }
}

/// Envoy gives integers as 8 bytes, little-endian.
fn status(code: &[u8]) -> Option<u16> {
    let number = i64::from_le_bytes(code.try_into().ok()?);
    u16::try_from(number).ok().filter(|status| (100..=599).contains(status))
}

fn milliseconds_between(start: Timestamp, end: Timestamp) -> u64 {
    u64::try_from(end.0.saturating_sub(start.0)).unwrap_or(0)
}
