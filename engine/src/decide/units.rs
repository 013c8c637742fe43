//! The units of a request.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::decision::Decision;
use super::trace::{Step, Trace};
use crate::ids::{ChainId, HoldoutId};
use crate::plan::Plan;
use crate::request::{CookieAction, Mint, RequestView, Source};
use crate::time::Timestamp;

/// The units of one request, each looked for once.
pub(super) struct Units<'p, 'r> {
    pub(super) plan: &'p Plan,
    pub(super) request: &'p RequestView<'r>,
    pub(super) now: Timestamp,
    /// The id that was minted for this request.
    pub(super) minted: Option<Box<str>>,
    /// See [`Plan::in_play`].
    pub(super) in_play: Option<bool>,
    /// How many experiments the URL alone rules out, of those that were looked at.
    pub(super) ruled_out: u32,
    /// The unit of the first chain: mostly there is no other.
    pub(super) first: Option<UnitState<'p, 'r>>,
    /// Those of the other chains; on the stack for as many kinds of unit as configs have.
    pub(super) others: SmallVec<[Option<UnitState<'p, 'r>>; 3]>,
}

pub(super) struct UnitState<'p, 'r> {
    pub(super) value: Option<(&'p Source, Cow<'r, str>)>,
    /// Bit n: whether holdout n was looked at, and whether the unit is in it.
    holdouts_known: u64,
    holdouts_in: u64,
}

impl UnitState<'_, '_> {
    pub(super) fn value(&self) -> Option<&str> {
        self.value.as_ref().map(|(_, value)| value.as_ref())
    }

    /// Whether the unit is in one of `holdouts`.
    pub(super) fn held_out(&mut self, holdouts: &[HoldoutId], plan: &Plan, trace: &mut impl Trace) -> bool {
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
    pub(super) fn resolve(
        &mut self,
        chain: ChainId,
        trace: &mut impl Trace,
    ) -> Option<&mut UnitState<'p, 'r>> {
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
    pub(super) fn in_play(&mut self) -> bool {
        if self.ruled_out == self.plan.candidates {
            return false;
        }
        *self.in_play.get_or_insert_with(|| self.plan.in_play(self.request, self.now))
    }

    /// Whether the identity cookie is set, new or again.
    #[inline(never)]
    pub(super) fn settle_cookie(&mut self, mint: &Mint, decision: &mut Decision) {
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
