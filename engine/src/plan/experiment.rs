//! Layers, experiments, variants: what a unit can get.

use super::actions::{Claim, VariantActions};
use super::partition::Partition;
use crate::bucketing::{BUCKETS, Dialect, SaltedHash};
use crate::ids::{ChainId, ExperimentId, HoldoutId, LayerId, VariantId};
use crate::request::{RequestView, Rule};
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(crate) struct Holdout {
    pub(crate) id: Box<str>,
    pub(crate) hash: SaltedHash,
    /// Units whose bucket lies below this are held out.
    pub(crate) buckets: u32,
}

/// A layer of the plan.
#[derive(Clone, Debug)]
pub struct Layer {
    pub(crate) id: Box<str>,
    pub(crate) hash: SaltedHash,
    pub(crate) chain: ChainId,
    pub(crate) holdouts: Box<[HoldoutId]>,
    pub(crate) experiments: Box<[ExperimentId]>,
    /// Who owns each bucket.
    pub(crate) owners: Partition<Option<Slot>>,
    /// The one experiment, if it owns every bucket and all of it is active,
    /// always: the layer's hash decides nothing.
    pub(crate) sole: Option<ExperimentId>,
    /// Some experiment of the layer has an allow-list.
    pub(crate) has_overrides: bool,
}

/// A run of buckets that an experiment owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) experiment: ExperimentId,
    /// How many owned buckets come before this run.
    pub(crate) offset: u32,
}

/// An experiment of the plan.
#[derive(Clone, Debug)]
pub struct Experiment {
    pub(crate) id: Box<str>,
    pub(crate) layer: LayerId,
    /// Of two that act on the same thing, the one with more is entered.
    pub(crate) priority: u16,
    /// What it acts on that an experiment of another layer acts on, too.
    pub(crate) claims: Box<[Claim]>,
    pub(crate) gate: Gate,
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    pub(crate) traffic: Traffic,
    /// Buckets of the layer that it owns.
    pub(crate) owned: u32,
    pub(crate) targeting: Option<Rule>,
    /// Some variant answers with a redirect.
    pub(crate) redirects: bool,
    /// The targeting looks at nothing but the URL.
    pub(crate) is_for_urls: bool,
    pub(crate) split: Split,
    pub(crate) variants: Box<[Variant]>,
    pub(crate) control: VariantId,
    /// Sorted by unit.
    pub(crate) overrides: Box<[(Box<str>, VariantId)]>,
}

/// What an experiment's status allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    OverridesOnly,
    Closed,
}

/// How many owned buckets are active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    Fixed(u32),
    /// From each time on, so many; none before the first.
    Ramp(Box<[(Timestamp, u32)]>),
}

/// How a unit of the experiment gets its variant.
#[derive(Clone, Debug)]
pub(crate) enum Split {
    Splitway { hash: SaltedHash, variants: Partition<VariantId> },
    Dialect(Box<Dialect>),
}

/// A variant of the plan.
#[derive(Clone, Debug)]
pub struct Variant {
    pub(crate) id: Box<str>,
    /// `experiment=variant`, an RFC 9651 dictionary member.
    pub(crate) stamp: Box<str>,
    /// Clients do not get the stamp.
    pub(crate) hides_stamp: bool,
    pub(crate) actions: VariantActions,
}

impl Layer {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The sources of its unit.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// Its experiments, ordered by id.
    #[must_use]
    pub fn experiments(&self) -> &[ExperimentId] {
        &self.experiments
    }
}

impl Experiment {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its priority, 0 to 1000.
    #[must_use]
    pub fn priority(&self) -> u16 {
        self.priority
    }

    /// Its layer.
    #[must_use]
    pub fn layer(&self) -> LayerId {
        self.layer
    }

    /// Its variants, in document order.
    #[must_use]
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// A variant by its handle.
    #[must_use]
    pub fn variant(&self, id: VariantId) -> Option<&Variant> {
        self.variants.get(id.index())
    }

    /// The control.
    #[must_use]
    pub fn control(&self) -> VariantId {
        self.control
    }

    /// The planned share of each variant among the experiment's units, from 0 to 1, in the order of
    /// [`Self::variants`]. They follow from the ranges that decide.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let count = self.variants.len();
        let variants = match &self.split {
            Split::Dialect(dialect) => return dialect.shares(count),
            Split::Splitway { variants, .. } => variants,
        };
        let mut buckets = vec![0_u32; count];
        let mut start = 0;
        while let Some(run) = variants.at(start) {
            if let Some(sum) = buckets.get_mut(run.owner.index()) {
                *sum = sum.saturating_add(run.end.saturating_sub(start));
            }
            start = run.end;
        }
        buckets.into_iter().map(|sum| f64::from(sum) / f64::from(BUCKETS)).collect()
    }

    /// Buckets of its layer that it owns.
    #[must_use]
    pub fn owned_buckets(&self) -> u32 {
        self.owned
    }

    /// How many of the owned buckets are active at `now`, whatever status and
    /// schedule say.
    #[must_use]
    pub fn active_buckets(&self, now: Timestamp) -> u32 {
        match &self.traffic {
            Traffic::Fixed(active) => *active,
            Traffic::Ramp(steps) => {
                steps.iter().rev().find(|(at, _)| *at <= now).map_or(0, |(_, active)| *active)
            }
        }
    }

    /// The variant of `unit` and its bucket, or the bucket that left it out:
    /// the split alone, whatever layers, traffic and targeting say.
    ///
    /// # Errors
    /// The bucket, for a unit that the dialect's own allocation leaves out.
    pub fn pick(&self, unit: &str) -> Result<(VariantId, u32), u32> {
        self.split.pick(unit)
    }

    /// Whether an override can put a unit into it; `by_token` is whether the plan has
    /// token keys.
    pub(crate) fn is_overridable(&self, by_token: bool) -> bool {
        self.gate != Gate::Closed && (by_token || !self.overrides.is_empty())
    }

    /// Whether some request can be in it at some time; `by_token` as above.
    pub(crate) fn can_be_entered(&self, by_token: bool) -> bool {
        self.gate == Gate::Open || self.is_overridable(by_token)
    }

    /// Whether the request is of a kind that the experiment can act on: gRPC calls and protocol upgrades fail on a
    /// redirect, so an experiment in which a variant redirects takes none of them, for no variant.
    pub(crate) fn can_serve(&self, request: &RequestView<'_>) -> bool {
        !self.redirects || !request.is_grpc() && !request.is_upgrade()
    }

    /// Whether its status lets units in, whatever the schedule is.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.gate == Gate::Open
    }

    /// Whether its status and schedule let units in at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.gate == Gate::Open
            && self.start.is_none_or(|start| now >= start)
            && self.end.is_none_or(|end| now < end)
    }
}

impl Variant {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it asks for another path.
    #[must_use]
    pub fn rewrites_path(&self) -> bool {
        self.actions.path.is_some()
    }

    /// The cluster its requests are routed to, if it names one.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.actions.cluster.as_deref()
    }

    /// The cluster that gets a copy of its requests, if it names one.
    #[must_use]
    pub fn shadow(&self) -> Option<&str> {
        self.actions.shadow.as_deref()
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
    pub(crate) fn near_boundary(&self, now: Timestamp, skew_ms: u64) -> bool {
        let near = |at: Timestamp| now.is_near(at, skew_ms);
        let in_ramp = match &self.traffic {
            Traffic::Fixed(_) => false,
            Traffic::Ramp(steps) => steps.iter().any(|(at, _)| near(*at)),
        };
        skew_ms > 0 && (self.start.is_some_and(near) || self.end.is_some_and(near) || in_ramp)
    }
}
