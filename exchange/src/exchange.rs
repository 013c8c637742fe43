//! One request and its response.

use std::borrow::Cow;
use std::cell::Cell;
use std::iter::successors;
use std::rc::Rc;

use smallvec::SmallVec;
use splitway_engine::guardrail::Outcome;
use splitway_engine::{
    Asked, Assignment, CLUSTER, ChainId, Common, CookieAction, Decision, EXPLAIN, Entropy, HeaderChange,
    Plan, Reason, Redirection, RequestView, Rewrite, SHADOW, STAMP, Served, Timestamp,
    overrides_cache_control, private_cache_control, push_member,
};

use crate::config::{Active, Event};
use crate::flags;
use crate::host::{Clock, Failure, Host, Level, Map, Properties};
use crate::records::Records;
use crate::vm::{self, Pass};

/// The state of one VM, that is, of one worker.
pub type Vm = vm::Vm<Exchange>;

/// The state of one exchange, from request to log.
#[derive(Debug)]
pub struct Exchange {
    /// The root context that the exchange belongs to.
    root: u32,
    active: Rc<Active>,
    decision: Decision,
    started: Timestamp,
    request_id: Option<String>,
    /// The units, in the form that exposures need.
    units: SmallVec<[Unit; 1]>,
    rewrite_refused: bool,
    /// The client's URL, where the upstream gets another one.
    asked: Option<Box<Asked>>,
    /// True once response headers have arrived.
    responded: bool,
    /// When the whole request had arrived; `None` before.
    sent_at: Option<Timestamp>,
    /// Milliseconds from `sent_at` to the response headers (see [`Outcome::waited_ms`]).
    waited_ms: Option<u64>,
    /// True for a gRPC call that is in an experiment.
    is_grpc: bool,
    /// An earlier pass of the same request, which the proxy redirected to itself.
    before: Option<Box<Exchange>>,
    /// The decision's steps, if a tester asked for them.
    steps: Option<String>,
    /// The random bits of a minted unit: all passes of one request mint the same unit.
    drawn: Option<[u8; 16]>,
}

/// An entropy source that draws once and then repeats.
#[derive(Debug)]
struct OneDraw<'h, H> {
    drawn: Cell<Option<[u8; 16]>>,
    host: &'h H,
}

impl<H: Entropy> Entropy for OneDraw<'_, H> {
    fn bits(&self) -> Option<[u8; 16]> {
        let bits = self.drawn.get().or_else(|| self.host.bits());
        self.drawn.set(bits);
        bits
    }
}

/// The unit that one chain of sources yielded.
#[derive(Debug)]
struct Unit {
    chain: ChainId,
    /// The unit as exposures show it.
    shown: Option<String>,
    /// The unit's hash, for `once_per: unit` and for guardrails.
    hash: Option<u64>,
    /// True if the unit was minted for this request: nobody knows yet if the client returns it.
    is_new: bool,
}

/// What other Splitways in front have added to the request.
#[derive(Debug, Default)]
struct Passed<'r> {
    stamp: Vec<u8>,
    /// Names and values of the headers that select routes.
    routes: SmallVec<[(&'static str, &'r [u8]); 2]>,
}

impl<'r> Passed<'r> {
    /// Keeps the header and returns true if it is a stamp or a route.
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

/// What happens to a request next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// The request goes on to the upstream.
    #[default]
    Continue,
    /// The request was answered here.
    Answered,
}

impl Exchange {
    /// Starts an exchange under `active`; it keeps that config to its end.
    #[must_use]
    pub fn new(active: Rc<Active>) -> Self {
        Self::of(0, active)
    }

    /// Starts an exchange that belongs to the root context `root`.
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
            asked: None,
            responded: false,
            sent_at: None,
            waited_ms: None,
            is_grpc: false,
            before: None,
            steps: None,
            drawn: None,
        }
    }

    /// Returns the root context that the exchange belongs to; 0 for hosts without root contexts.
    #[must_use]
    pub fn root(&self) -> u32 {
        self.root
    }

    /// Returns the decision.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Returns true if [`Self::on_response`] needs the response's headers.
    #[must_use]
    pub fn reads_response(&self) -> bool {
        self.decision.private || self.asked.is_some() || self.is_grpc
    }

    /// Returns true for a gRPC call that is in an experiment.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    /// Decides for the request and applies the decision.
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
        let tripped = active.guards.tripped();
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
        let id = request_id(&RequestView::new(&headers)).unwrap_or_default();
        self.before = vm.earlier_pass(plan.namespace(), Some(id.as_bytes()), host);
        if let Some(before) = &self.before {
            self.request_id = before.request_id.clone();
            self.drawn = before.drawn;
            self.forget_routes(&mut passed, host);
        } else {
            // On a later pass, our headers come from the pass before it.
            active.count(host, Event::Stripped, stripped);
        }
        let entropy = OneDraw { drawn: Cell::new(self.drawn), host };
        let mut request = RequestView::new(&headers).with_entropy(&entropy);
        if let Some(tripped) = &tripped {
            request = request.with_tripped(tripped);
        }
        let mut steps = plan.steps(&request);
        plan.decide_into(&request, self.started, &mut steps, &mut self.decision);
        self.drawn = entropy.drawn.get();
        self.count_decision(host);
        self.steps = steps.filter(|_| self.decision.debug).map(String::from);
        let path = self.take_tokens(host, &request);
        let path = path.as_deref().unwrap_or_else(|| request.path_and_query());
        if self.decision.assignments.is_empty() {
            if self.pass_baggage(host, &request).is_err() {
                active.count(host, Event::Failure, 1);
            }
            return Flow::Continue;
        }
        let applied = self.redirect(host, &request).and_then(|flow| match flow {
            Flow::Continue => self.apply(host, &request, path, &passed).map(|()| flow),
            Flow::Answered => Ok(flow),
        });
        let Ok(flow) = applied else {
            self.take_back(host, &request, path, &passed);
            active.count(host, Event::Failure, 1);
            return Flow::Continue;
        };
        if self.decision.quiet {
            return flow;
        }
        self.remember(&request);
        for assignment in &self.decision.assignments {
            if !assignment.withheld && !self.was_entered_before(assignment) {
                active.count_assignment(host, assignment);
            }
        }
        if plan.sinks().filter_state {
            self.fill_filter_state(host);
        }
        flow
    }

    /// Drops the routes that an earlier pass of this request has set: they look as if others had set them.
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
                // A client that is in another variant later must not follow a cached redirect.
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
        self.active.count(host, Event::TokenAccepted, self.decision.tokens_accepted);
        self.active.count(host, Event::TokenRejected, self.decision.tokens_rejected);
        self.active.count(host, Event::Conflict, self.decision.conflicts);
        match self.decision.barred {
            None => {}
            Some(Reason::Bot) => self.active.count(host, Event::Bot, 1),
            Some(_) => self.active.count(host, Event::NoConsent, 1),
        }
    }

    /// Removes QA tokens from the request: whoever could read them upstream could use them. Returns the path and query
    /// without tokens if they contained some.
    fn take_tokens(&self, host: &impl Host, request: &RequestView<'_>) -> Option<Vec<u8>> {
        let without = self.active.plan.without_tokens(request)?;
        let mut failures = 0_u32;
        let mut check =
            |result: Result<(), Failure>| failures = failures.saturating_add(result.is_err().into());
        if let Some(name) = without.header {
            check(host.remove(Map::Request, name.as_bytes()));
        }
        if let Some(lines) = without.cookies {
            check(host.remove(Map::Request, b"cookie"));
            lines.iter().for_each(|line| check(host.add(Map::Request, "cookie", line)));
        }
        if let Some(path) = &without.path {
            check(host.set(Map::Request, ":path", path));
        }
        self.active.count(host, Event::Failure, failures);
        without.path
    }

    /// Routes, rewrites and stamps the request; `path` is its path and query without tokens.
    fn apply(
        &mut self,
        host: &impl Host,
        request: &RequestView<'_>,
        path: &[u8],
        passed: &Passed<'_>,
    ) -> Result<(), Failure> {
        let plan = &self.active.plan;
        if let Some(cluster) = plan.cluster(&self.decision) {
            host.set(Map::Request, CLUSTER, cluster.as_bytes())?;
        }
        if let Some(authority) = plan.host(&self.decision) {
            host.set(Map::Request, ":authority", authority.as_bytes())?;
        }
        let mut rewritten = None;
        match plan.path(&self.decision, path) {
            Rewrite::None => {}
            Rewrite::To(path) => {
                host.set(Map::Request, ":path", &path)?;
                rewritten = Some(path);
            }
            Rewrite::Refused => {
                self.rewrite_refused = true;
                self.active.count(host, Event::RewriteRefused, 1);
            }
        }
        if plan.changes_url(&self.decision) {
            // An earlier pass has replaced the client's host by its variant's.
            let first = self.before.as_ref().and_then(|before| before.asked.as_ref());
            let authority =
                first.map_or_else(|| request.authority().to_vec(), |asked| asked.authority.clone());
            self.asked = Some(Box::new(Asked { authority, path: path.to_vec(), rewritten }));
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
            // Last, because filter state cannot be removed.
            if plan.fills_filter_state() && host.set_state("splitway", &stamp).is_err() {
                // Only tracing lacks a tag; the request has all it needs.
                self.active.count(host, Event::Failure, 1);
            }
        }
        Ok(())
    }

    /// Passes our assignments on in `baggage`, and removes entries that only pretend to be ours.
    fn pass_baggage(&self, host: &impl Host, request: &RequestView<'_>) -> Result<(), Failure> {
        let baggage = self.active.plan.baggage(&self.decision, request);
        baggage.map_or(Ok(()), |baggage| set_or_remove(host, "baggage", &baggage))
    }

    /// Undoes a decision that was applied only in part, as far as hostcalls allow. It is not
    /// claimed: no stamp, no exposure.
    fn take_back(&mut self, host: &impl Host, request: &RequestView<'_>, path: &[u8], passed: &Passed<'_>) {
        unmark(host);
        self.asked = None;
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
        for (name, value) in [(":authority", request.header(":authority")), (":path", Some(path))] {
            if let Some(value) = value {
                let _ = host.set(Map::Request, name, value);
            }
        }
    }

    /// Keeps what the exposures need of the request.
    fn remember(&mut self, request: &RequestView<'_>) {
        self.request_id = request_id(request).map(ToOwned::to_owned);
        self.is_grpc = request.is_grpc();
        if !self.active.guards.is_empty() && request.is_upgrade() {
            // What follows on its head is for the protocol after it.
            self.sent_at = Some(self.started);
        }
        for assignment in &self.decision.assignments {
            if self.units.iter().all(|unit| unit.chain != assignment.chain) {
                let plan = &self.active.plan;
                let hashes = plan.sinks().once_per_unit || !self.active.guards.is_empty();
                self.units.push(Unit {
                    chain: assignment.chain,
                    shown: plan.context_id(&self.decision, assignment, request),
                    hash: if hashes { plan.unit_hash(&self.decision, assignment, request) } else { None },
                    is_new: self.decision.minted && assignment.chain == ChainId(0),
                });
            }
        }
    }

    /// Exports to the proxy's access loggers what is known before the response.
    fn fill_filter_state(&self, host: &impl Host) {
        // Records of other filters of this proxy, if there are any.
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

    /// Iterates over this pass and those before it, the latest first.
    fn passes(&self) -> impl Iterator<Item = &Self> {
        successors(Some(self), |pass| pass.before.as_deref())
    }

    /// Returns true if an earlier pass of the request was in the experiment of `assignment`, under any config.
    fn was_entered_before(&self, assignment: &Assignment) -> bool {
        let id = |pass: &'_ Self, of: &Assignment| {
            pass.active.plan.experiment(of.experiment).map(|experiment| experiment.id().to_owned())
        };
        self.before.is_some()
            && self.passes().skip(1).any(|pass| {
                let mut entered = pass.decision.assignments.iter().filter(|other| !other.withheld);
                entered.any(|other| id(pass, other) == id(self, assignment))
            })
    }

    /// Returns when the request was decided: in its first pass.
    fn decided(&self) -> Timestamp {
        self.passes().last().map_or(self.started, |first| first.started)
    }

    fn unit(&self, assignment: &Assignment) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.chain == assignment.chain)
    }

    /// Notes that the whole request has arrived: with its headers, or with the last piece of its body.
    pub fn on_request_end(&mut self, is_with_head: bool, host: &impl Clock) {
        // Only guardrails need it.
        if self.sent_at.is_none() && !self.active.guards.is_empty() {
            self.sent_at = Some(if is_with_head { self.started } else { host.now() });
        }
    }

    /// Returns the milliseconds since the whole request had arrived.
    fn waited(&self, host: &impl Clock) -> Option<u64> {
        self.sent_at.map(|sent| milliseconds_between(sent, host.now()))
    }

    /// Returns the outcome of the exchange, for guardrails and metrics.
    fn outcome(&self, status: Option<u16>, host: &impl Host) -> Outcome {
        let waited_ms = if self.responded { self.waited_ms } else { self.waited(host) };
        Outcome { status, grpc_status: self.grpc_status(host), waited_ms }
    }

    /// Returns the status of a gRPC call. Where there is none, Envoy derives one from the HTTP status, UNKNOWN for 200:
    /// that is right if the upstream broke off, but not if the client did.
    fn grpc_status(&self, host: &impl Properties) -> Option<u64> {
        const UNKNOWN: u64 = 2;
        if !self.is_grpc {
            return None;
        }
        let status = number(&host.property(&["response", "grpc_status"])?)?;
        let flags = || host.property(&["response", "flags"]).and_then(|bits| number(&bits)).unwrap_or(0);
        (status != UNKNOWN || flags() & flags::CLIENT_LEFT == 0).then_some(status)
    }

    /// Stamps the response, whoever made it, and sets the headers that caches and the
    /// browser need. The parts do not depend on each other: a failed one is
    /// counted, the others are still done.
    pub fn on_response(&mut self, host: &impl Host) {
        self.responded = true;
        self.waited_ms = self.waited(host);
        let plan = &self.active.plan;
        let mut failures = 0_u32;
        let mut check =
            |result: Result<(), Failure>| failures = failures.saturating_add(result.is_err().into());
        let stamp = plan.response_stamp(&self.decision);
        if plan.is_in_front_of_another() {
            // Without a stamp of ours, remove one that the upstream received and sent back.
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
        if let Some(asked) = &self.asked {
            check(self.restore_location(host, asked));
        }
        // Before the cookie: a shared cache that stores a response with a cookie does more harm.
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

    /// Maps a redirect's target back to the client's own URLs.
    fn restore_location(&self, host: &impl Host, asked: &Asked) -> Result<(), Failure> {
        let block = host.pairs(Map::Response)?;
        let Some((_, location)) = block.iter().find(|(name, _)| *name == b"location") else { return Ok(()) };
        match self.active.plan.client_location(&self.decision, asked, location) {
            Some(own) => host.set(Map::Response, "location", &own),
            None => Ok(()),
        }
    }

    /// Ends the exchange: writes one exposure record per experiment, and counts.
    pub fn on_log(self: Box<Self>, host: &impl Host, vm: &mut Vm) {
        if self.decision.quiet || self.decision.assignments.is_empty() && self.before.is_none() {
            return;
        }
        // Only the proxy can set this; `x-envoy-original-url` could come from a client.
        if !self.responded
            && host.property(&["response", "code_details"]).is_some_and(|said| said == b"internal_redirect")
        {
            vm.keep_pass(self, host);
            return;
        }
        self.write(host, vm);
    }

    /// Writes the records of this pass, and those of earlier passes for experiments that this pass is not
    /// in: the client got one response, so each experiment gets one record of it.
    fn write(&self, host: &impl Host, vm: &mut Vm) {
        let hears = self.passes().any(|pass| pass.active.plan.sinks().log) && host.hears(Level::Info);
        // Without a reader, do not ask the proxy for properties.
        if !self.passes().any(|pass| pass.active.logs(hears, host) || pass.active.tells()) {
            return;
        }
        let now = host.now();
        let sinks = self.active.plan.sinks();
        // A route's cluster answered only if one of its hosts was chosen.
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
        let outcome = self.outcome(status, host);
        let served = Served {
            request_id: self.request_id.as_deref(),
            status,
            cluster: cluster.as_deref().filter(|name| !name.is_empty()),
            duration_ms: Some(duration_ms),
            attempts: attempts.and_then(|count| number(&count)),
            flags: flags.as_deref().filter(|flags| !flags.is_empty()),
            rewrite_refused: self.rewrite_refused,
            grpc_status: outcome.grpc_status,
            written: Some(now),
        };
        self.tell(&served, Some(&outcome), hears, host, vm);
    }

    fn tell(
        &self,
        served: &Served<'_>,
        outcome: Option<&Outcome>,
        hears: bool,
        host: &impl Host,
        vm: &mut Vm,
    ) {
        let decided = self.decided();
        let mut written: SmallVec<[&str; 4]> = SmallVec::new();
        for pass in self.passes() {
            let active = &pass.active;
            let logs = active.logs(hears, host);
            let mut records = Records::new(logs);
            for assignment in &pass.decision.assignments {
                let id =
                    active.plan.experiment(assignment.experiment).map_or("", |experiment| experiment.id());
                // Within one pass, each experiment occurs once.
                if self.before.is_some() {
                    if written.contains(&id) {
                        continue;
                    }
                    written.push(id);
                }
                if logs || active.sink.is_some() {
                    pass.record(assignment, served, decided, &mut records, host, vm);
                }
                if let (Some(outcome), Some(duration_ms)) = (outcome, served.duration_ms)
                    && active.counts_service()
                    && !assignment.withheld
                {
                    let unit = pass.unit(assignment).filter(|unit| !unit.is_new).and_then(|unit| unit.hash);
                    active.count_service(host, assignment, unit, outcome, duration_ms);
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
        if plan.sinks().once_per_unit
            && let Some(hash) = unit.and_then(|unit| unit.hash)
            && let Some(key) = plan.exposure_key(assignment, hash)
            && !vm.seen.is_new(key)
        {
            return;
        }
        let shown = unit.and_then(|unit| unit.shown.as_deref());
        if let Some(exposure) = plan.exposure(assignment, shown, decided, served) {
            records.add(&exposure, self.active.sink.as_ref(), host);
        }
    }
}

impl Pass for Exchange {
    fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    fn namespace(&self) -> &str {
        self.active.plan.namespace()
    }

    /// Writes the records of a pass whose response is unknown.
    fn abandon(&self, host: &impl Host, vm: &mut Vm) {
        let served = Served { request_id: self.request_id(), written: Some(host.now()), ..Served::default() };
        let hears = self.passes().any(|pass| pass.active.plan.sinks().log) && host.hears(Level::Info);
        self.tell(&served, None, hears, host, vm);
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
        } else if overrides_cache_control(name) {
            host.remove(Map::Response, name)?;
        }
    }
    host.set(Map::Response, "cache-control", &private_cache_control(&existing))
}

/// Filter state that holds the records of a request, for access loggers.
const EXPOSURES: &str = "splitway_exposures";

/// Joins the stamps of others with our own.
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

/// Removes the routes and the stamp from a request. Best effort: it is called when
/// hostcalls fail.
fn unmark(host: &impl Host) {
    for name in [CLUSTER, SHADOW, STAMP] {
        let _ = host.remove(Map::Request, name.as_bytes());
    }
}

/// Longest part of a request id that is kept, in bytes: every record contains it, and a client may send 60 kB.
const MAX_REQUEST_ID: usize = 128;

/// Returns the id that the proxy gave the request.
fn request_id<'a>(request: &RequestView<'a>) -> Option<&'a str> {
    let id = request.header("x-request-id")?;
    std::str::from_utf8(id.get(..MAX_REQUEST_ID).unwrap_or(id)).ok()
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
