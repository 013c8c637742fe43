//! One request and its response.

use std::borrow::Cow;
use std::iter::successors;
use std::rc::Rc;

use smallvec::SmallVec;
use splitway_engine::qa_token::TokenOutcome;
use splitway_engine::{
    Assignment, CACHE_OVERRIDES, CLUSTER, ChainId, Common, CookieAction, Decision, EXPLAIN, HeaderChange,
    Plan, Reason, Redirection, RequestView, Rewrite, SHADOW, STAMP, Served, Timestamp, private_cache_control,
    push_member,
};

use crate::config::{Active, Event};
use crate::flags;
use crate::host::{Failure, Host, Level, Map};
use crate::vm::{Records, Vm};

/// The state of one exchange, from request to log.
#[derive(Debug)]
pub struct Exchange {
    /// The root context that it belongs to.
    root: u32,
    active: Rc<Active>,
    decision: Decision,
    started: Timestamp,
    request_id: Option<String>,
    /// The units, as exposures need them.
    units: SmallVec<[Unit; 1]>,
    rewrite_refused: bool,
    /// There were response headers.
    responded: bool,
    /// An earlier pass of the same request, which the proxy redirected to itself.
    before: Option<Box<Exchange>>,
    /// The decision's steps, for a tester who asked for them.
    steps: Option<String>,
}

/// The unit of a chain.
#[derive(Debug)]
struct Unit {
    chain: ChainId,
    /// How exposures show it.
    shown: Option<String>,
    /// With `once_per: unit`.
    hash: Option<u64>,
}

/// What other Splitways in front have put on the request.
#[derive(Debug, Default)]
struct Passed<'r> {
    stamp: Vec<u8>,
    /// Names and values of the headers that routes go by.
    routes: SmallVec<[(&'static str, &'r [u8]); 2]>,
}

impl<'r> Passed<'r> {
    /// Takes a header, if it is one of theirs.
    fn take(&mut self, name: &[u8], value: &'r [u8]) -> bool {
        if name == STAMP.as_bytes() {
            push_member(&mut self.stamp, value);
            return true;
        }
        let route = [CLUSTER, SHADOW].into_iter().find(|route| name == route.as_bytes());
        self.routes.extend(route.map(|route| (route, value)));
        route.is_some()
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    #[default]
    Continue,
    /// It was answered here.
    Answered,
}

impl Exchange {
    /// An exchange under `active`; it keeps that config to its end.
    #[must_use]
    pub fn new(active: Rc<Active>) -> Self {
        Self::of(0, active)
    }

    /// The same, of a root context.
    #[must_use]
    pub fn of(root: u32, active: Rc<Active>) -> Self {
        Self {
            root,
            active,
            decision: Decision::default(),
            started: Timestamp::default(),
            request_id: None,
            units: SmallVec::new(),
            rewrite_refused: false,
            responded: false,
            before: None,
            steps: None,
        }
    }

    /// The root context that it belongs to; 0 where there are none.
    #[must_use]
    pub fn root(&self) -> u32 {
        self.root
    }

    /// What was decided.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Decides for the request and acts on it.
    pub fn on_request(&mut self, host: &impl Host, vm: &mut Vm) -> Flow {
        self.started = host.now();
        vm.give_up(self.started, host);
        let Ok(block) = host.pairs(Map::Request) else {
            self.before = vm.earlier_pass(self.active.plan.namespace(), None, host);
            self.active.count(host, Event::Failure, 1);
            if !self.active.plan.is_behind_another() {
                unmark(host);
            }
            return Flow::Continue;
        };
        let active = Rc::clone(&self.active);
        let plan = &active.plan;
        let mut headers: SmallVec<[(&[u8], &[u8]); 32]> = SmallVec::new();
        let mut stripped = 0_u32;
        let mut passed = Passed::default();
        for (name, value) in block.iter() {
            if plan.is_ours(name) {
                if plan.is_behind_another() && passed.take(name, value) {
                    continue;
                }
                stripped = stripped.saturating_add(1);
                if host.remove(Map::Request, name).is_err() {
                    active.count(host, Event::Failure, 1);
                }
            } else {
                headers.push((name, value));
            }
        }
        if let Cow::Owned(others) = plan.others_in(&passed.stamp) {
            stripped = stripped.saturating_add(1);
            if set_or_remove(host, STAMP, &others).is_err() {
                active.count(host, Event::Failure, 1);
            }
            passed.stamp = others;
        }
        active.count(host, Event::Stripped, stripped);
        let request = RequestView::new(&headers).with_entropy(host);
        let id = request.header("x-request-id").unwrap_or_default();
        self.before = vm.earlier_pass(plan.namespace(), Some(id), host);
        if self.before.is_some() {
            self.request_id = self.before.as_ref().and_then(|before| before.request_id.clone());
            self.forget_routes(&mut passed, host);
        }
        let mut steps = plan.steps(&request);
        let tripped = active.guards.tripped();
        let decided = tripped.as_ref().map_or(request, |tripped| request.with_tripped(tripped));
        plan.decide_into(&decided, self.started, &mut steps, &mut self.decision);
        drop(tripped);
        self.count_decision(host);
        self.steps = steps.filter(|_| self.decision.debug).map(String::from);
        if self.decision.assignments.is_empty() {
            if self.pass_baggage(host, &request).is_err() {
                active.count(host, Event::Failure, 1);
            }
            return Flow::Continue;
        }
        let applied = self.redirect(host, &request).and_then(|flow| match flow {
            Flow::Continue => self.apply(host, &request, &passed).map(|()| flow),
            Flow::Answered => Ok(flow),
        });
        let Ok(flow) = applied else {
            self.take_back(host, &request, &passed);
            active.count(host, Event::Failure, 1);
            return Flow::Continue;
        };
        self.remember(&request);
        for assignment in &self.decision.assignments {
            active.count_assignment(host, assignment);
        }
        if plan.sinks().filter_state {
            self.fill_filter_state(host);
        }
        flow
    }

    /// The earlier pass of this request has left its own routes on it, as if others had.
    fn forget_routes(&self, passed: &mut Passed<'_>, host: &impl Host) {
        let Some(before) = &self.before else { return };
        let plan = &before.active.plan;
        passed.routes.retain(|(name, value)| {
            let own =
                if *name == CLUSTER { plan.cluster(&before.decision) } else { plan.shadow(&before.decision) };
            let is_own = own.is_some_and(|own| own.as_bytes() == *value);
            if is_own && host.remove(Map::Request, name.as_bytes()).is_err() {
                self.active.count(host, Event::Failure, 1);
            }
            !is_own
        });
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
    fn apply(
        &mut self,
        host: &impl Host,
        request: &RequestView<'_>,
        passed: &Passed<'_>,
    ) -> Result<(), Failure> {
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
        self.pass_baggage(host, request)?;
        if let Some(stamp) = plan.stamp(&self.decision) {
            let stamp = merged(&passed.stamp, &stamp);
            host.set(Map::Request, STAMP, &stamp)?;
            // Last: it cannot be taken back.
            if plan.fills_filter_state() && host.set_state("splitway", &stamp).is_err() {
                // Tracing lacks a tag; the request has what it needs.
                self.active.count(host, Event::Failure, 1);
            }
        }
        Ok(())
    }

    /// Tells the upstream of the assignments, and of no others that claim to be ours.
    fn pass_baggage(&self, host: &impl Host, request: &RequestView<'_>) -> Result<(), Failure> {
        let baggage = self.active.plan.baggage(&self.decision, request);
        baggage.map_or(Ok(()), |baggage| set_or_remove(host, "baggage", &baggage))
    }

    /// What was not applied whole is undone, as far as hostcalls allow, and not
    /// claimed: no stamp, no exposure.
    fn take_back(&mut self, host: &impl Host, request: &RequestView<'_>, passed: &Passed<'_>) {
        unmark(host);
        let stamp = (!passed.stamp.is_empty()).then_some((STAMP, &*passed.stamp));
        for (name, value) in passed.routes.iter().copied().chain(stamp) {
            let _ = host.set(Map::Request, name, value);
        }
        for change in self.active.plan.request_headers(&self.decision) {
            if let HeaderChange::Set(name, _) | HeaderChange::Add(name, _) = change
                && self.active.plan.is_ours(name.as_bytes())
            {
                let _ = host.remove(Map::Request, name.as_bytes());
            }
        }
        self.decision.assignments.clear();
        let plan = &self.active.plan;
        if plan.passes_baggage() {
            let without_ours = plan.baggage(&self.decision, request).map(Cow::Owned);
            let baggage = without_ours.or_else(|| request.header_joined("baggage")).unwrap_or_default();
            let _ = set_or_remove(host, "baggage", &baggage);
        }
        for name in [":authority", ":path"] {
            if let Some(value) = request.header(name) {
                let _ = host.set(Map::Request, name, value);
            }
        }
    }

    /// Keeps what the exposures will need of the request.
    fn remember(&mut self, request: &RequestView<'_>) {
        let id = request.header("x-request-id").and_then(|id| std::str::from_utf8(id).ok());
        self.request_id = id.map(ToOwned::to_owned);
        for assignment in &self.decision.assignments {
            if self.units.iter().all(|unit| unit.chain != assignment.chain) {
                let plan = &self.active.plan;
                let once = plan.sinks().once_per_unit;
                self.units.push(Unit {
                    chain: assignment.chain,
                    shown: plan.context_id(&self.decision, assignment, request),
                    hash: if once { plan.unit_hash(&self.decision, assignment, request) } else { None },
                });
            }
        }
    }

    /// Tells the proxy's access loggers what is known before the response.
    fn fill_filter_state(&self, host: &impl Host) {
        // Those of other filters of this proxy, if there are.
        let others = if self.active.plan.is_behind_another() { host.property(&[EXPOSURES]) } else { None };
        let others = others.and_then(|json| String::from_utf8(json).ok());
        let others = others.and_then(|json| Some(json.strip_suffix(']')?.to_owned()));
        let mut all = others.unwrap_or_else(|| String::from("["));
        let served = Served { request_id: self.request_id.as_deref(), ..Served::default() };
        let mut common = Common::default();
        for assignment in &self.decision.assignments {
            let shown = self.unit(assignment).and_then(|unit| unit.shown.as_deref());
            let exposure = self.active.plan.exposure(assignment, shown, self.decided(), &served);
            if all.len() > 1 {
                all.push(',');
            }
            if let Some(exposure) = exposure {
                exposure.push_json(&mut common, &mut all);
            }
        }
        all.push(']');
        if host.set_state(EXPOSURES, all.as_bytes()).is_err() {
            self.active.count(host, Event::Failure, 1);
        }
    }

    /// This pass and those before it, the last first.
    fn passes(&self) -> impl Iterator<Item = &Self> {
        successors(Some(self), |pass| pass.before.as_deref())
    }

    /// When the request was decided on: in the first pass.
    fn decided(&self) -> Timestamp {
        self.passes().last().map_or(self.started, |first| first.started)
    }

    /// The proxy's id of the request.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The namespace of its config.
    pub(crate) fn namespace(&self) -> &str {
        self.active.plan.namespace()
    }

    fn unit(&self, assignment: &Assignment) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.chain == assignment.chain)
    }

    /// Stamps the response, whoever made it, and tells caches and the browser what
    /// they must know. The parts do not depend on each other: one that fails is
    /// counted, the others are done.
    pub fn on_response(&mut self, host: &impl Host) {
        self.responded = true;
        let plan = &self.active.plan;
        let mut failures = 0_u32;
        let mut check =
            |result: Result<(), Failure>| failures = failures.saturating_add(result.is_err().into());
        let stamp = plan.response_stamp(&self.decision);
        if plan.is_in_front_of_another() {
            // Without a stamp of ours, one that the upstream got and sent back goes.
            if !self.decision.assignments.is_empty() {
                check(stamp_beside(host, plan, stamp.as_deref().unwrap_or_default()));
            }
        } else {
            // No application has a say in it.
            match stamp {
                Some(stamp) => check(host.set(Map::Response, STAMP, stamp.as_bytes())),
                None => check(host.remove(Map::Response, STAMP.as_bytes())),
            }
            for name in [CLUSTER, SHADOW, EXPLAIN] {
                check(host.remove(Map::Response, name.as_bytes()));
            }
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

    /// The exchange is over: one exposure record per experiment, and counts.
    pub fn on_log(self: Box<Self>, host: &impl Host, vm: &mut Vm) {
        if self.decision.assignments.is_empty() && self.before.is_none() {
            return;
        }
        // Only a proxy can say this; `x-envoy-original-url` could come from a client.
        if !self.responded
            && host.property(&["response", "code_details"]).is_some_and(|said| said == b"internal_redirect")
        {
            vm.keep_pass(self, host);
            return;
        }
        self.write(host, vm);
    }

    /// Writes the records of a request whose next pass has not come: nobody knows what the client got.
    pub(crate) fn abandon(&self, host: &impl Host, vm: &mut Vm) {
        let served = Served { request_id: self.request_id(), written: Some(host.now()), ..Served::default() };
        let hears = self.passes().any(|pass| pass.active.plan.sinks().log) && host.hears(Level::Info);
        self.tell(&served, hears, host, vm);
    }

    /// Writes the records of this pass, and those of earlier passes for experiments that this one is not
    /// in: the client got one response, and each experiment has one record of it.
    fn write(&self, host: &impl Host, vm: &mut Vm) {
        let hears = self.passes().any(|pass| pass.active.plan.sinks().log) && host.hears(Level::Info);
        // Nobody would read it: what the proxy could say of the exchange need not be asked.
        if !self.passes().any(|pass| pass.active.logs(hears, host) || pass.active.tells()) {
            return;
        }
        let now = host.now();
        let sinks = self.active.plan.sinks();
        // The route's cluster was asked only if one of its hosts was chosen.
        let was_asked = host.property(&["upstream", "address"]).is_some();
        let cluster = if was_asked { host.property(&["xds", "cluster_name"]) } else { None };
        let cluster = cluster.and_then(|name| String::from_utf8(name).ok());
        let status = host.property(&["response", "code"]).and_then(|code| status(&code));
        let asked = sinks.details || status.is_none_or(|status| status >= 500);
        let flags = if asked { host.property(&["response", "flags"]) } else { None };
        let flags = flags.and_then(|bits| number(&bits)).map(flags::names);
        let attempts =
            if sinks.details { host.property(&["upstream", "request_attempt_count"]) } else { None };
        let duration_ms = milliseconds_between(self.decided(), now);
        let served = Served {
            request_id: self.request_id.as_deref(),
            status,
            cluster: cluster.as_deref().filter(|name| !name.is_empty()),
            duration_ms: Some(duration_ms),
            attempts: attempts.and_then(|count| number(&count)),
            flags: flags.as_deref().filter(|flags| !flags.is_empty()),
            rewrite_refused: self.rewrite_refused,
            written: Some(now),
        };
        self.tell(&served, hears, host, vm);
    }

    fn tell(&self, served: &Served<'_>, hears: bool, host: &impl Host, vm: &mut Vm) {
        let decided = self.decided();
        let mut written: SmallVec<[&str; 4]> = SmallVec::new();
        for pass in self.passes() {
            let active = &pass.active;
            let logs = active.logs(hears, host);
            let mut records = Records::new(logs);
            for assignment in &pass.decision.assignments {
                let id =
                    active.plan.experiment(assignment.experiment).map_or("", |experiment| experiment.id());
                // Within one pass, each is there once.
                if self.before.is_some() {
                    if written.contains(&id) {
                        continue;
                    }
                    written.push(id);
                }
                if logs || active.sink.is_some() {
                    pass.record(assignment, served, decided, &mut records, host, vm);
                }
                if let Some(duration_ms) = served.duration_ms.filter(|_| active.counts_service()) {
                    active.count_service(host, assignment, served.status, duration_ms);
                }
            }
            records.flush(host);
        }
    }

    fn record(
        &self,
        assignment: &Assignment,
        served: &Served<'_>,
        decided: Timestamp,
        records: &mut Records,
        host: &impl Host,
        vm: &mut Vm,
    ) {
        let plan = &self.active.plan;
        let unit = self.unit(assignment);
        if let Some(hash) = unit.and_then(|unit| unit.hash)
            && let Some(key) = plan.exposure_key(assignment, hash)
            && !vm.seen.is_new(key)
        {
            return;
        }
        let shown = unit.and_then(|unit| unit.shown.as_deref());
        if let Some(exposure) = plan.exposure(assignment, shown, decided, served) {
            records.add(&exposure, &self.active, host);
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

/// The filter state that has the records of a request, for access loggers.
const EXPOSURES: &str = "splitway_exposures";

/// What others say in a stamp, and what we do.
fn merged(others: &[u8], own: &str) -> Vec<u8> {
    let mut stamp = others.to_vec();
    push_member(&mut stamp, own.as_bytes());
    stamp
}

/// Stamps a response that others have stamped.
fn stamp_beside(host: &impl Host, plan: &Plan, own: &str) -> Result<(), Failure> {
    let block = host.pairs(Map::Response)?;
    let mut stamp = Vec::new();
    for (_, value) in block.iter().filter(|(name, _)| *name == STAMP.as_bytes()) {
        push_member(&mut stamp, value);
    }
    let stamp = merged(&plan.others_in(&stamp), own);
    if stamp.is_empty() {
        host.remove(Map::Response, STAMP.as_bytes())
    } else {
        host.set(Map::Response, STAMP, &stamp)
    }
}

/// Takes the route and the stamp off a request. Best effort: it is called when
/// hostcalls fail.
fn unmark(host: &impl Host) {
    for name in [CLUSTER, SHADOW, STAMP] {
        let _ = host.remove(Map::Request, name.as_bytes());
    }
}

/// An empty value is a header that is not there.
fn set_or_remove(host: &impl Host, name: &str, value: &[u8]) -> Result<(), Failure> {
    if value.is_empty() {
        host.remove(Map::Request, name.as_bytes())
    } else {
        host.set(Map::Request, name, value)
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
fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn status(code: &[u8]) -> Option<u16> {
    u16::try_from(number(code)?).ok().filter(|status| (100..=599).contains(status))
}

fn milliseconds_between(start: Timestamp, end: Timestamp) -> u64 {
    u64::try_from(end.0.saturating_sub(start.0)).unwrap_or(0)
}
