//! The evaluator: the only place that decides.

use smallvec::SmallVec;

use super::decision::Decision;
use super::layer::LayerPass;
use super::reason::Reason;
use super::tokens::Grant;
use super::trace::{Step, Trace, not_entered};
use super::units::Units;
use crate::ids::LayerId;
use crate::plan::Plan;
use crate::qa_token::{TokenOutcome, TokenPolicy};
use crate::request::{CookieAction, Identity, Mint, RequestView};
use crate::time::Timestamp;

/// The variants that tokens choose.
type Grants = SmallVec<[Grant; 2]>;

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
    pub(super) fn in_play(&self, request: &RequestView<'_>, now: Timestamp) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::NoTrace;
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
