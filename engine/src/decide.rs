//! The evaluator: the only place that decides.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::plan::{
    ChainId, Experiment, ExperimentId, Gate, HoldoutId, Layer, LayerId, Plan, Split, Traffic, VariantId,
};
use crate::qa_token::{Grant, TokenOutcome, TokenPolicy};
use crate::request::{CookieAction, Identity, Mint, RequestView, Source};
use crate::time::Timestamp;

/// Why a unit did or did not enter an experiment. Closed: `explain`, metrics
/// and exposures all use these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Everything is switched off.
    KillSwitch,
    /// The request is a bot's.
    Bot,
    /// Consent is required and not there.
    NoConsent,
    /// The request carries no unit.
    NoUnit,
    /// The experiment's status takes no units.
    NotRunning,
    /// Before its schedule.
    NotStarted,
    /// After its schedule.
    Ended,
    /// The unit is held out.
    Holdout,
    /// An override put the unit into another experiment of the layer.
    OtherExperiment,
    /// The unit's bucket of the layer belongs to another experiment, or none.
    OutsideBuckets,
    /// The experiment owns the bucket, but it is not active yet.
    OutsideTraffic,
    /// The request is not eligible.
    NotTargeted,
    /// The dialect's own allocation leaves the unit out.
    DialectExcluded,
    /// Another experiment that is entered acts on the same thing, and comes first.
    Conflict,
    /// Entered: an allow-list names the unit.
    Override,
    /// Entered: a valid QA token names the variant.
    QaToken,
    /// Its variant was switched off by a guardrail. Entered, with the control;
    /// where that is what is off, only to be recorded (see [`Assignment::withheld`]).
    Guardrail,
    /// Entered: by its bucket.
    Split,
}

impl Reason {
    /// Every reason, in the order in which `decide` can give them.
    pub const ALL: [Self; 18] = [
        Self::KillSwitch,
        Self::Bot,
        Self::NoConsent,
        Self::NoUnit,
        Self::NotRunning,
        Self::NotStarted,
        Self::Ended,
        Self::Holdout,
        Self::OtherExperiment,
        Self::OutsideBuckets,
        Self::OutsideTraffic,
        Self::NotTargeted,
        Self::DialectExcluded,
        Self::Conflict,
        Self::Override,
        Self::QaToken,
        Self::Guardrail,
        Self::Split,
    ];

    /// The stable spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitch => "kill_switch",
            Self::Bot => "bot",
            Self::NoConsent => "no_consent",
            Self::NoUnit => "no_unit",
            Self::NotRunning => "not_running",
            Self::NotStarted => "not_started",
            Self::Ended => "ended",
            Self::Holdout => "holdout",
            Self::OtherExperiment => "other_experiment",
            Self::OutsideBuckets => "outside_buckets",
            Self::OutsideTraffic => "outside_traffic",
            Self::NotTargeted => "not_targeted",
            Self::DialectExcluded => "dialect_excluded",
            Self::Conflict => "conflict",
            Self::Override => "override",
            Self::QaToken => "qa_token",
            Self::Guardrail => "guardrail",
            Self::Split => "split",
        }
    }

    /// Whether a person chose the variant, not the hash: such exposures are
    /// left out of the analysis.
    #[must_use]
    pub fn is_override(self) -> bool {
        matches!(self, Self::Override | Self::QaToken)
    }
}

/// One experiment that the unit is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The experiment.
    pub experiment: ExperimentId,
    /// Its variant for this unit.
    pub variant: VariantId,
    /// The bucket that chose the variant; 0 for overrides.
    pub bucket: u32,
    /// How it was entered.
    pub reason: Reason,
    /// The sources of the unit.
    pub chain: ChainId,
    /// Decided within the clock skew of a schedule or ramp boundary.
    pub clock_edge: bool,
    /// A guardrail has switched the variant off, and there is no other: nothing of it is applied or stamped, but the
    /// analysis must know.
    pub withheld: bool,
}

/// What was decided for a request. Reuse one to decide without allocating.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The experiments that the unit is in, ordered by experiment.
    pub assignments: SmallVec<[Assignment; 4]>,
    /// What became of the QA tokens: [`TokenOutcome::Accepted`] if one was accepted, and else the first one's outcome.
    pub token: TokenOutcome,
    /// How many QA tokens chose a variant, or asked for the steps of the decision.
    pub tokens_accepted: u32,
    /// How many QA tokens were refused.
    pub tokens_rejected: u32,
    /// How many experiments were not entered because of [`Reason::Conflict`].
    pub conflicts: u32,
    /// No source of some layer's unit had a value.
    pub unit_missing: bool,
    /// Why the request is in no experiment whatever its unit: [`Reason::Bot`] or
    /// [`Reason::NoConsent`].
    pub barred: Option<Reason>,
    /// What happens to the identity cookie.
    pub cookie: CookieAction,
    /// The cookie's id was minted for this request.
    pub minted: bool,
    /// Exposures must not show the unit: there is no consent.
    pub unit_hidden: bool,
    /// The response depends on who asks, so caches must be told.
    pub varies: bool,
    /// The response must not be shared by a cache.
    pub private: bool,
    /// The request is a preflight or a prefetch: assignments are acted on, so that what a browser keeps for its user
    /// is that user's variant, but nobody has seen it yet: no exposure, no count, no minted unit.
    pub quiet: bool,
    /// A valid QA token asks for the steps of the decision.
    pub debug: bool,
}

impl Decision {
    /// Nothing decided, memory kept.
    fn clear(&mut self) {
        // Taken apart, so that a new field cannot be forgotten; field by field, because copying the
        // assignments to and fro shows.
        let Self {
            assignments,
            token,
            tokens_accepted,
            tokens_rejected,
            conflicts,
            unit_missing,
            barred,
            cookie,
            minted,
            unit_hidden,
            varies,
            private,
            quiet,
            debug,
        } = self;
        assignments.clear();
        (*token, *barred, *cookie) = (TokenOutcome::None, None, CookieAction::None);
        for count in [tokens_accepted, tokens_rejected, conflicts] {
            *count = 0;
        }
        for flag in [unit_missing, minted, unit_hidden, varies, private, quiet, debug] {
            *flag = false;
        }
    }

    #[inline(always)]
    fn add(&mut self, assignment: Assignment) {
        // Layers come in order of their ids, so mostly experiments do.
        let in_order = self.assignments.last().is_none_or(|last| last.experiment < assignment.experiment);
        self.assignments.push(assignment);
        if !in_order {
            self.move_last_into_place();
        }
    }

    #[inline(never)]
    fn move_last_into_place(&mut self) {
        let Some(last) = self.assignments.pop() else { return };
        let position = self.assignments.partition_point(|other| other.experiment < last.experiment);
        self.assignments.insert(position, last);
    }
}

/// A step of the evaluation, for those who want to see it.
#[derive(Debug)]
pub enum Step<'a> {
    /// Everything is off.
    KillSwitch,
    /// A unit was looked for.
    Unit {
        /// Where.
        chain: ChainId,
        /// What was found, and which source had it.
        found: Option<(&'a Source, &'a str)>,
    },
    /// The request is in no experiment, whatever its unit.
    Barred(Reason),
    /// The unit was minted for this request.
    Minted,
    /// A QA token was looked at.
    Token(TokenOutcome),
    /// A holdout was looked at.
    Holdout {
        /// Which.
        holdout: HoldoutId,
        /// The unit's bucket in it.
        bucket: u32,
        /// Buckets below this are held out.
        below: u32,
    },
    /// A layer's bucket was computed.
    Layer {
        /// Which.
        layer: LayerId,
        /// The unit's bucket in it.
        bucket: u32,
        /// Who owns the bucket.
        owner: Option<ExperimentId>,
    },
    /// An experiment owns the unit's bucket.
    Traffic {
        /// Which.
        experiment: ExperimentId,
        /// The bucket's position among those owned.
        position: u32,
        /// Positions below this are active now.
        active: u32,
        /// How many it owns.
        owned: u32,
    },
    /// An experiment's targeting was evaluated.
    Targeting {
        /// Which.
        experiment: ExperimentId,
        /// Whether the request is eligible.
        eligible: bool,
    },
    /// What came out for an experiment.
    Outcome {
        /// Which.
        experiment: ExperimentId,
        /// Why.
        reason: Reason,
        /// The variant, if it was entered.
        variant: Option<VariantId>,
        /// The last bucket computed for it: the variant's if it was entered.
        bucket: Option<u32>,
    },
}

/// Watches an evaluation.
pub trait Trace {
    /// Whether it wants to know of experiments that do not own the unit's
    /// bucket. Without it they are not looked at.
    #[inline]
    fn wants_all(&self) -> bool {
        true
    }

    /// Takes note of a step.
    fn step(&mut self, step: Step<'_>);
}

/// Watches nothing, at no cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    #[inline]
    fn wants_all(&self) -> bool {
        false
    }

    #[inline]
    fn step(&mut self, _step: Step<'_>) {}
}

impl Plan {
    /// Decides for `request` at `now`. The order:
    ///
    /// 1. kill switch;
    /// 2. the QA tokens, if keys are configured and some are there;
    /// 3. per layer: the unit; then
    /// 4. an override: a token's (it needs no unit unless it names one), or
    ///    an allow-list's, where what the experiment's targeting says of URL and method
    ///    can hold; it takes the whole layer;
    /// 5. per experiment of the layer: status and schedule, holdouts, the
    ///    layer's bucket, traffic, targeting, the variant's bucket, and whether
    ///    a guardrail has switched that variant off;
    /// 6. of experiments of different layers that act on the same thing: overrides
    ///    first, then the one with the highest priority; the others are not entered.
    ///
    /// At most one experiment of a layer is entered: an override takes the
    /// layer, and else only the owner of the unit's bucket gets past step 5.
    /// Step 6 looks at what experiments act on in any variant, never at the variants
    /// that were drawn: those who are left out are the same share of each variant.
    pub fn decide(&self, request: &RequestView<'_>, now: Timestamp, trace: &mut impl Trace) -> Decision {
        let mut decision = Decision::default();
        self.decide_into(request, now, trace, &mut decision);
        decision
    }

    /// As [`Self::decide`], into a decision that is reused: then header and
    /// cookie units allocate nothing.
    pub fn decide_into(
        &self,
        request: &RequestView<'_>,
        now: Timestamp,
        trace: &mut impl Trace,
        decision: &mut Decision,
    ) {
        decision.clear();
        if self.kill_switch {
            trace.step(Step::KillSwitch);
            self.enter_none(Reason::KillSwitch, trace);
            return;
        }
        if let Some(reason) = self.identity.bars(request) {
            self.bar(request, now, reason, trace, decision);
            return;
        }
        let mut units = Units {
            plan: self,
            request,
            now,
            first: None,
            others: SmallVec::new(),
            minted: None,
            in_play: None,
            ruled_out: 0,
        };
        let grants =
            self.tokens.as_ref().map(|policy| self.read_tokens(policy, request, now, trace, decision));
        let grants = grants.as_deref().unwrap_or_default();
        for (index, layer) in (0_u16..).map(LayerId).zip(&self.layers) {
            if layer.experiments.is_empty() {
                continue;
            }
            let pass = LayerPass { plan: self, request, now, index, layer, grants };
            pass.run(&mut units, decision, trace);
        }
        if self.contested {
            self.settle_conflicts(request, decision, trace);
        }
        if let Some(mint) = &self.identity.mint {
            units.settle_cookie(mint, decision);
        }
        if let Some(cache) = &self.cache {
            decision.varies = !decision.assignments.is_empty() || units.in_play();
            decision.private = decision.cookie != CookieAction::None
                || decision.token == TokenOutcome::Accepted
                || decision.varies && cache.private;
        }
        decision.unit_hidden = self.identity.hides_unit(request);
        decision.quiet = !decision.assignments.is_empty() && request.is_quiet();
    }

    /// The decision for a request that is in no experiment, whatever its unit.
    #[inline(never)]
    fn bar(
        &self,
        request: &RequestView<'_>,
        now: Timestamp,
        reason: Reason,
        trace: &mut impl Trace,
        decision: &mut Decision,
    ) {
        trace.step(Step::Barred(reason));
        self.enter_none(reason, trace);
        decision.barred = Some(reason);
        let carries_cookie = |mint: &Mint| request.cookie(&mint.cookie).is_some();
        if reason == Reason::NoConsent && self.identity.mint.as_ref().is_some_and(carries_cookie) {
            decision.cookie = CookieAction::Expire;
        }
        decision.varies = self.cache.is_some() && self.in_play(request, now);
        // From a shared cache it would be served to people, who then never get an id.
        decision.private =
            decision.cookie != CookieAction::None || decision.varies && self.identity.mint.is_some();
    }

    fn enter_none(&self, reason: Reason, trace: &mut impl Trace) {
        for (experiment, _) in self.experiments() {
            trace.step(not_entered(experiment, reason, None));
        }
    }

    /// Whether some request for this URL can be in an experiment now.
    fn in_play(&self, request: &RequestView<'_>, now: Timestamp) -> bool {
        self.experiments
            .iter()
            .filter(|experiment| experiment.is_live(now) || experiment.is_overridable(self.tokens.is_some()))
            .any(|experiment| experiment.targeting.as_ref().is_none_or(|rule| rule.may_hold(request)))
    }

    #[inline(never)]
    fn read_tokens(
        &self,
        policy: &TokenPolicy,
        request: &RequestView<'_>,
        now: Timestamp,
        trace: &mut impl Trace,
        decision: &mut Decision,
    ) -> Grants {
        let mut grants = Grants::new();
        policy.each(request, |token| {
            let checked = policy.check(token, request, now, self, |experiment| {
                let chain = self.layer(experiment.layer)?.chain;
                self.unit(chain, request).map(|(_, unit)| unit)
            });
            let outcome = match checked {
                Ok(granted) => {
                    decision.debug |= granted.debug;
                    grants.extend(granted.grant);
                    TokenOutcome::Accepted
                }
                Err(outcome) => outcome,
            };
            match outcome {
                TokenOutcome::Accepted => {
                    decision.tokens_accepted = decision.tokens_accepted.saturating_add(1)
                }
                TokenOutcome::None | TokenOutcome::Elsewhere => {}
                _ => decision.tokens_rejected = decision.tokens_rejected.saturating_add(1),
            }
            if decision.token == TokenOutcome::None || outcome == TokenOutcome::Accepted {
                decision.token = outcome;
            }
            trace.step(Step::Token(outcome));
        });
        if decision.token == TokenOutcome::None {
            trace.step(Step::Token(TokenOutcome::None));
        }
        grants
    }

    /// Step 6 of [`Self::decide`].
    #[inline(never)]
    fn settle_conflicts(&self, request: &RequestView<'_>, decision: &mut Decision, trace: &mut impl Trace) {
        let contested = |assignment: &Assignment| {
            self.experiment(assignment.experiment).filter(|experiment| !experiment.claims.is_empty())
        };
        // Those who come first are told first, and ids are in order already.
        let mut ranked: SmallVec<[(bool, u16, Assignment); 4]> = SmallVec::new();
        for assignment in &decision.assignments {
            let Some(experiment) = contested(assignment) else { continue };
            let rank = (assignment.reason.is_override(), experiment.priority);
            let place = ranked.partition_point(|(by_person, priority, _)| (*by_person, *priority) >= rank);
            ranked.insert(place, (rank.0, rank.1, *assignment));
        }
        let mut kept: SmallVec<[&Experiment; 4]> = SmallVec::new();
        for (_, _, assignment) in &ranked {
            let Some(experiment) = contested(assignment) else { continue };
            if kept.iter().any(|other| self.contend(other, experiment, request)) {
                decision.conflicts = decision.conflicts.saturating_add(1);
                decision.assignments.retain(|other| other.experiment != assignment.experiment);
                let bucket = (!assignment.reason.is_override()).then_some(assignment.bucket);
                trace.step(not_entered(assignment.experiment, Reason::Conflict, bucket));
            } else {
                // What is off acts on nothing.
                if !assignment.withheld {
                    kept.push(experiment);
                }
                trace.step(outcome(assignment));
            }
        }
    }
}

impl Identity {
    /// Why `request` may be in no experiment, if so.
    pub(crate) fn bars(&self, request: &RequestView<'_>) -> Option<Reason> {
        if self.bots.as_ref().is_some_and(|rule| rule.holds(request, "")) {
            return Some(Reason::Bot);
        }
        let consent = self.consent.as_ref().filter(|consent| consent.required)?;
        (!consent.is_granted(request)).then_some(Reason::NoConsent)
    }
}

/// The variants that tokens choose.
type Grants = SmallVec<[Grant; 2]>;

fn not_entered(experiment: ExperimentId, reason: Reason, bucket: Option<u32>) -> Step<'static> {
    Step::Outcome { experiment, reason, variant: None, bucket }
}

/// The units of one request, each looked for once.
struct Units<'p, 'r> {
    plan: &'p Plan,
    request: &'p RequestView<'r>,
    now: Timestamp,
    /// The id that was minted for this request.
    minted: Option<Box<str>>,
    /// See [`Plan::in_play`].
    in_play: Option<bool>,
    /// How many experiments the URL alone rules out, of those that were looked at.
    ruled_out: u32,
    /// The unit of the first chain: mostly there is no other.
    first: Option<UnitState<'p, 'r>>,
    /// Those of the other chains; on the stack for as many kinds of unit as configs have.
    others: SmallVec<[Option<UnitState<'p, 'r>>; 3]>,
}

struct UnitState<'p, 'r> {
    value: Option<(&'p Source, Cow<'r, str>)>,
    /// Bit n: whether holdout n was looked at, and whether the unit is in it.
    holdouts_known: u64,
    holdouts_in: u64,
}

impl UnitState<'_, '_> {
    fn value(&self) -> Option<&str> {
        self.value.as_ref().map(|(_, value)| value.as_ref())
    }

    /// Whether the unit is in one of `holdouts`.
    fn held_out(&mut self, holdouts: &[HoldoutId], plan: &Plan, trace: &mut impl Trace) -> bool {
        let Some((_, unit)) = &self.value else { return false };
        for id in holdouts {
            let bit = 1_u64.wrapping_shl(u32::from(id.0));
            if self.holdouts_known & bit == 0
                && let Some(holdout) = plan.holdouts.get(id.index())
            {
                let bucket = holdout.hash.bucket(unit);
                trace.step(Step::Holdout { holdout: *id, bucket, below: holdout.buckets });
                self.holdouts_known |= bit;
                if bucket < holdout.buckets {
                    self.holdouts_in |= bit;
                }
            }
            if self.holdouts_in & bit != 0 {
                return true;
            }
        }
        false
    }
}

impl<'p, 'r> Units<'p, 'r> {
    /// The unit of `chain`; `None` only for a chain that the plan has not.
    fn resolve(&mut self, chain: ChainId, trace: &mut impl Trace) -> Option<&mut UnitState<'p, 'r>> {
        let Self { plan, request, now, minted, in_play, first, others, .. } = self;
        let (plan, request, now) = (*plan, *request, *now);
        let slot = match chain.index().checked_sub(1) {
            None => first,
            Some(index) => {
                others.resize_with(others.len().max(chain.index()), || None);
                others.get_mut(index)?
            }
        };
        Some(slot.get_or_insert_with(|| {
            let value = plan.unit(chain, request).or_else(|| {
                let mint = plan.identity.mint.as_ref().filter(|_| chain == ChainId(0))?;
                // What is set there would come back from nobody.
                if request.is_quiet() || !mint.plain_http && !request.keeps_secure_cookies() {
                    return None;
                }
                // A cookie on what no experiment can touch would only keep it from caches.
                let in_play = *in_play.get_or_insert_with(|| plan.in_play(request, now));
                let id = if in_play { mint.id(request, now)? } else { return None };
                *minted = Some(id.as_str().into());
                trace.step(Step::Minted);
                // Whoever does not keep the cookie will not be back as the same unit.
                if mint.enters_when_returning {
                    return None;
                }
                Some((plan.chains.first()?.last()?, Cow::Owned(id)))
            });
            let found = value.as_ref().map(|(source, value)| (*source, value.as_ref()));
            trace.step(Step::Unit { chain, found });
            UnitState { value, holdouts_known: 0, holdouts_in: 0 }
        }))
    }

    /// See [`Plan::in_play`]. Rules are asked again only if the pass over the layers left it open.
    #[inline(never)]
    fn in_play(&mut self) -> bool {
        if self.ruled_out == self.plan.candidates {
            return false;
        }
        *self.in_play.get_or_insert_with(|| self.plan.in_play(self.request, self.now))
    }

    /// Whether the identity cookie is set, new or again.
    #[inline(never)]
    fn settle_cookie(&mut self, mint: &Mint, decision: &mut Decision) {
        if let Some(id) = self.minted.take() {
            decision.minted = true;
            decision.cookie = CookieAction::Set(id);
            return;
        }
        let Some(UnitState { value: Some((Source::Minted(_), id)), .. }) = &self.first else { return };
        if mint.is_due(self.request, self.now) && !self.request.is_quiet() {
            decision.cookie = CookieAction::Set(id.as_ref().into());
        }
    }
}

impl Plan {
    /// The unit of `chain` in `request`: the first source that has a value.
    #[must_use]
    #[inline]
    pub fn unit<'r>(&self, chain: ChainId, request: &RequestView<'r>) -> Option<(&Source, Cow<'r, str>)> {
        let sources = self.chains.get(chain.index())?;
        sources.iter().find_map(|source| source.read(request).map(|value| (source, value)))
    }
}

/// One layer of one evaluation.
struct LayerPass<'p, 'r> {
    plan: &'p Plan,
    request: &'p RequestView<'r>,
    now: Timestamp,
    index: LayerId,
    layer: &'p Layer,
    grants: &'p [Grant],
}

impl<'p> LayerPass<'p, '_> {
    fn run(&self, units: &mut Units<'_, '_>, decision: &mut Decision, trace: &mut impl Trace) {
        let Some(unit) = units.resolve(self.layer.chain, trace) else { return };
        let allowed = || if self.layer.has_overrides { self.allow_list(unit.value()?) } else { None };
        let chosen = self.token_override().or_else(allowed);
        if let Some(assignment) = chosen {
            for id in &self.layer.experiments {
                if *id == assignment.experiment {
                    self.tell(&assignment, trace);
                } else {
                    trace.step(not_entered(*id, Reason::OtherExperiment, None));
                }
            }
            return decision.add(assignment);
        }
        if unit.value.is_none() {
            decision.unit_missing = true;
            for id in &self.layer.experiments {
                trace.step(not_entered(*id, Reason::NoUnit, None));
            }
            return;
        }
        let mut layer_bucket = None;
        let mut ruled_out = 0_u32;
        if trace.wants_all() {
            for id in &self.layer.experiments {
                let out = self.consider(*id, unit, &mut layer_bucket, decision, trace);
                ruled_out = ruled_out.wrapping_add(out.into());
            }
        } else if let Some(id) = self.candidate(unit, &mut layer_bucket, trace) {
            ruled_out = self.consider(id, unit, &mut layer_bucket, decision, trace).into();
        }
        units.ruled_out = units.ruled_out.wrapping_add(ruled_out);
    }

    /// The only experiment of the layer that the unit can enter by its bucket.
    #[inline(always)]
    fn candidate(
        &self,
        unit: &UnitState<'_, '_>,
        layer_bucket: &mut Option<u32>,
        trace: &mut impl Trace,
    ) -> Option<ExperimentId> {
        if self.layer.sole.is_some() {
            return self.layer.sole;
        }
        let bucket = self.layer_bucket(unit.value().unwrap_or_default(), trace);
        *layer_bucket = Some(bucket);
        Some(self.layer.owners.at(bucket)?.owner?.experiment)
    }

    /// Adds the experiment to the decision if the unit enters it. Whether the URL alone rules it out.
    #[inline(always)]
    fn consider(
        &self,
        id: ExperimentId,
        unit: &mut UnitState<'_, '_>,
        layer_bucket: &mut Option<u32>,
        decision: &mut Decision,
        trace: &mut impl Trace,
    ) -> bool {
        let Some(experiment) = self.plan.experiment(id) else { return false };
        match self.enter(id, experiment, unit, layer_bucket, trace) {
            // Put together only here: passed on in pieces smaller than a word, it costs more than
            // the hash.
            Ok((variant, bucket)) => {
                let off = self.request.tripped().is_some_and(|tripped| tripped.has(id, variant));
                let withheld = off && variant == experiment.control;
                let (variant, reason) =
                    if off { (experiment.control, Reason::Guardrail) } else { (variant, Reason::Split) };
                let assignment = Assignment {
                    experiment: id,
                    variant,
                    bucket,
                    reason,
                    chain: self.layer.chain,
                    clock_edge: experiment.near_boundary(self.now, self.plan.clock_skew_ms),
                    withheld,
                };
                self.tell(&assignment, trace);
                decision.add(assignment);
                false
            }
            Err((reason, bucket)) => {
                trace.step(not_entered(id, reason, bucket));
                reason == Reason::NotTargeted && experiment.is_for_urls && experiment.can_serve(self.request)
            }
        }
    }

    fn experiments(&self) -> impl Iterator<Item = (ExperimentId, &'p Experiment)> {
        let plan = self.plan;
        self.layer.experiments.iter().filter_map(|id| plan.experiment(*id).map(|e| (*id, e)))
    }

    /// Tells what came out for an experiment, unless a conflict may still keep it out.
    #[inline(always)]
    fn tell(&self, assignment: &Assignment, trace: &mut impl Trace) {
        let is_settled = |experiment: &Experiment| experiment.claims.is_empty();
        if !self.plan.contested || self.plan.experiment(assignment.experiment).is_none_or(is_settled) {
            trace.step(outcome(assignment));
        }
    }

    fn token_override(&self) -> Option<Assignment> {
        let in_layer = |grant: &&Grant| {
            self.plan.experiment(grant.experiment).is_some_and(|experiment| {
                experiment.layer == self.index && experiment.can_serve(self.request)
            })
        };
        let grant = self.grants.iter().find(in_layer)?;
        Some(self.overridden(grant.experiment, grant.variant, Reason::QaToken))
    }

    fn allow_list(&self, unit: &str) -> Option<Assignment> {
        let takes =
            |experiment: &Experiment| experiment.gate != Gate::Closed && experiment.can_serve(self.request);
        self.experiments().filter(|(_, experiment)| takes(experiment)).find_map(|(id, experiment)| {
            let index = experiment.overrides.binary_search_by(|(u, _)| (**u).cmp(unit)).ok()?;
            let (_, variant) = experiment.overrides.get(index)?;
            let applies = experiment.applies_to_somebody(self.request);
            applies.then(|| self.overridden(id, *variant, Reason::Override))
        })
    }

    fn overridden(&self, experiment: ExperimentId, variant: VariantId, reason: Reason) -> Assignment {
        let chain = self.layer.chain;
        Assignment { experiment, variant, bucket: 0, reason, chain, clock_edge: false, withheld: false }
    }

    /// Step 5 of [`Plan::decide`]: the variant and its bucket, or why not and
    /// the last bucket that was computed.
    fn enter(
        &self,
        id: ExperimentId,
        experiment: &Experiment,
        unit: &mut UnitState<'_, '_>,
        layer_bucket: &mut Option<u32>,
        trace: &mut impl Trace,
    ) -> Result<(VariantId, u32), (Reason, Option<u32>)> {
        let out = |reason| Err((reason, None));
        if experiment.gate != Gate::Open {
            return out(Reason::NotRunning);
        }
        if experiment.start.is_some_and(|start| self.now < start) {
            return out(Reason::NotStarted);
        }
        if experiment.end.is_some_and(|end| self.now >= end) {
            return out(Reason::Ended);
        }
        if !self.layer.holdouts.is_empty() && unit.held_out(&self.layer.holdouts, self.plan, trace) {
            return out(Reason::Holdout);
        }
        let value = unit.value().unwrap_or_default();
        if self.layer.sole.is_none() {
            let bucket = *layer_bucket.get_or_insert_with(|| self.layer_bucket(value, trace));
            self.check_traffic(id, experiment, bucket, trace).map_err(|reason| (reason, Some(bucket)))?;
        }
        if !experiment.can_serve(self.request) {
            trace.step(Step::Targeting { experiment: id, eligible: false });
            return Err((Reason::NotTargeted, *layer_bucket));
        }
        if let Some(rule) = &experiment.targeting {
            let eligible = rule.holds(self.request, value);
            trace.step(Step::Targeting { experiment: id, eligible });
            if !eligible {
                return Err((Reason::NotTargeted, *layer_bucket));
            }
        }
        experiment.split.pick(value).map_err(|bucket| (Reason::DialectExcluded, Some(bucket)))
    }

    fn layer_bucket(&self, unit: &str, trace: &mut impl Trace) -> u32 {
        let bucket = self.layer.hash.bucket(unit);
        let owner = self.layer.owners.at(bucket).and_then(|segment| segment.owner);
        let owner = owner.map(|slot| slot.experiment);
        trace.step(Step::Layer { layer: self.index, bucket, owner });
        bucket
    }

    fn check_traffic(
        &self,
        id: ExperimentId,
        experiment: &Experiment,
        bucket: u32,
        trace: &mut impl Trace,
    ) -> Result<(), Reason> {
        let segment = self.layer.owners.at(bucket).ok_or(Reason::OutsideBuckets)?;
        let slot = segment.owner.filter(|slot| slot.experiment == id).ok_or(Reason::OutsideBuckets)?;
        let position = slot.offset.saturating_add(bucket.saturating_sub(segment.start));
        let active = experiment.active_buckets(self.now);
        trace.step(Step::Traffic { experiment: id, position, active, owned: experiment.owned });
        if position < active { Ok(()) } else { Err(Reason::OutsideTraffic) }
    }
}

fn outcome(assignment: &Assignment) -> Step<'static> {
    Step::Outcome {
        experiment: assignment.experiment,
        reason: assignment.reason,
        variant: (!assignment.withheld).then_some(assignment.variant),
        bucket: (!assignment.reason.is_override()).then_some(assignment.bucket),
    }
}

impl Split {
    /// The variant of `unit` and its bucket, or the bucket that left it out.
    #[inline]
    pub(crate) fn pick(&self, unit: &str) -> Result<(VariantId, u32), u32> {
        match self {
            Self::Splitway { hash, variants } => {
                let bucket = hash.bucket(unit);
                variants.at(bucket).map(|segment| (segment.owner, bucket)).ok_or(bucket)
            }
            Self::Dialect(dialect) => {
                let pick = dialect.pick(unit);
                let variant = pick.index().and_then(|index| u16::try_from(index).ok()).map(VariantId);
                variant.map(|variant| (variant, pick.bucket())).ok_or(pick.bucket())
            }
        }
    }
}

impl Experiment {
    /// Whether the targeting can hold for somebody's request for this URL with this method.
    pub(crate) fn applies_to_somebody(&self, request: &RequestView<'_>) -> bool {
        self.targeting.as_ref().is_none_or(|rule| rule.may_hold_for_somebody(request))
    }

    #[inline]
    fn near_boundary(&self, now: Timestamp, skew_ms: u64) -> bool {
        let near = |at: Timestamp| now.is_near(at, skew_ms);
        let in_ramp = match &self.traffic {
            Traffic::Fixed(_) => false,
            Traffic::Ramp(steps) => steps.iter().any(|(at, _)| near(*at)),
        };
        skew_ms > 0 && (self.start.is_some_and(near) || self.end.is_some_and(near) || in_ramp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, compile};

    /// Whether a request for `path` from a unit in no experiment is told to vary.
    fn varies(experiments: &str, path: &str) -> bool {
        let json = format!(r#"{{"version":1,"unit":[{{"header":"u"}}],"experiments":[{experiments}]}}"#);
        let plan = compile(&Document::from_json(json.as_bytes()).unwrap()).unwrap();
        let headers: [(&[u8], &[u8]); 2] = [(b":path", path.as_bytes()), (b"u", b"user-1")];
        let decision = plan.decide(&RequestView::new(&headers), Timestamp(0), &mut NoTrace);
        assert!(decision.assignments.is_empty(), "{experiments}");
        decision.varies
    }

    #[test]
    fn a_response_varies_where_somebody_could_be_in_an_experiment() {
        const AT_A: &str = r#"{"id":"a","targeting":{"path":{"prefix":"/a"}},"variants":[{"id":"on"}]}"#;
        const OF_HEADER: &str =
            r#"{"id":"h","targeting":{"header":{"name":"x","exists":true}},"variants":[{"id":"on"}]}"#;
        const LATER: &str =
            r#"{"id":"l","schedule":{"start":"2026-01-01T00:00:00Z"},"variants":[{"id":"on"}]}"#;
        const DRAFT: &str =
            r#"{"id":"d","status":"draft","overrides":{"on":["user-2"]},"variants":[{"id":"on"}]}"#;
        assert!(!varies(AT_A, "/b"));
        assert!(!varies(&format!("{AT_A},{LATER}"), "/b"));
        assert!(varies(&format!("{AT_A},{OF_HEADER}"), "/b"));
        assert!(varies(&format!("{AT_A},{DRAFT}"), "/b"), "the draft's user-2 could ask");
    }
}
