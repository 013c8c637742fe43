//! A validated, compiled config. Only [`crate::compile`] makes one, so whoever
//! holds a `Plan` need not check anything.
//!
//! Ids are small integers that index boxed slices; names are for output.

use std::collections::BTreeSet;

use splitway_document::Problems;

use crate::actions::{Claim, VariantActions};
use crate::bucketing::{BUCKETS, Dialect, SaltedHash};
use crate::cache::CacheSafety;
use crate::decide::Decision;
use crate::exposure::{ExposurePolicy, Otlp};
use crate::guardrail::Guardrail;
use crate::headers::OurHeaders;
pub(crate) use crate::ids::{ChainId, ExperimentId, HoldoutId, LayerId, VariantId};
use crate::neighbours::Neighbours;
use crate::partition::Partition;
use crate::qa_token::TokenPolicy;
use crate::request::{Identity, RequestView, Rule, Source};
use crate::time::Timestamp;

/// The namespace of configs that name none.
pub const DEFAULT_NAMESPACE: &str = "splitway";

/// A compiled config.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) namespace: Box<str>,
    pub(crate) content_hash: Box<str>,
    pub(crate) kill_switch: bool,
    pub(crate) clock_skew_ms: u64,
    pub(crate) chains: Box<[Box<[Source]>]>,
    pub(crate) holdouts: Box<[Holdout]>,
    pub(crate) layers: Box<[Layer]>,
    pub(crate) experiments: Box<[Experiment]>,
    /// Some experiments have claims.
    pub(crate) contested: bool,
    /// How many of them some request can be in at some time.
    pub(crate) candidates: u32,
    pub(crate) ours: OurHeaders,
    pub(crate) exposure: ExposurePolicy,
    pub(crate) sinks: Sinks,
    pub(crate) service_metrics: bool,
    /// In order of their experiments.
    pub(crate) guardrails: Box<[Guardrail]>,
    pub(crate) tokens: Option<TokenPolicy>,
    pub(crate) identity: Identity,
    pub(crate) cache: Option<CacheSafety>,
    pub(crate) reads: Box<str>,
    pub(crate) baggage: bool,
    pub(crate) filter_state: bool,
    pub(crate) neighbours: Neighbours,
    pub(crate) warnings: Problems,
}

/// Where exposures go, and which.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// Once per unit and variant, not once per request.
    pub once_per_unit: bool,
    /// All records tell attempts and response flags.
    pub details: bool,
    /// To the proxy's log.
    pub log: bool,
    /// To the filter state.
    pub filter_state: bool,
    /// To a collector.
    pub otlp: Option<Otlp>,
}

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

impl Plan {
    /// The namespace: prefix of every salt.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The names of the headers that decisions depend on, separated by blanks: no other changes one.
    #[must_use]
    pub fn reads(&self) -> &str {
        &self.reads
    }

    /// The config version (see [`crate::content_hash`]).
    #[must_use]
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// What is probably not as meant, though it works.
    #[must_use]
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }

    /// The experiments, ordered by id, with their handles.
    pub fn experiments(&self) -> impl Iterator<Item = (ExperimentId, &Experiment)> {
        (0_u16..).map(ExperimentId).zip(&self.experiments)
    }

    /// An experiment by its handle.
    #[must_use]
    pub fn experiment(&self, id: ExperimentId) -> Option<&Experiment> {
        self.experiments.get(id.index())
    }

    /// An experiment by its id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<(ExperimentId, &Experiment)> {
        let index = self.experiments.binary_search_by(|e| (*e.id).cmp(id)).ok()?;
        let handle = ExperimentId(u16::try_from(index).ok()?);
        self.experiments.get(index).map(|experiment| (handle, experiment))
    }

    /// A layer by its handle.
    #[must_use]
    pub fn layer(&self, id: LayerId) -> Option<&Layer> {
        self.layers.get(id.index())
    }

    /// A holdout's id by its handle.
    #[must_use]
    pub fn holdout_id(&self, id: HoldoutId) -> &str {
        self.holdouts.get(id.index()).map_or("", |holdout| &holdout.id)
    }

    /// Whether a header of the request is a copy of ours that only a client can
    /// have sent; it must be removed before anything reads the request.
    /// `-` and `_` count as the same. `name` is lower-case.
    #[must_use]
    pub fn is_ours(&self, name: &[u8]) -> bool {
        self.ours.contains(name)
    }

    /// The names of request headers beyond `x-splitway…` that are ours, because only variants set them.
    pub fn own_headers(&self) -> impl Iterator<Item = &str> {
        self.ours.names()
    }

    /// The clusters that variants route or mirror to.
    #[must_use]
    pub fn clusters(&self) -> BTreeSet<&str> {
        let variants = self.experiments.iter().flat_map(|e| &e.variants);
        variants.flat_map(|v| [v.actions.cluster.as_deref(), v.actions.shadow.as_deref()]).flatten().collect()
    }

    /// The value of `Vary` for the response, if it depends on who asks.
    #[must_use]
    pub fn vary(&self, decision: &Decision) -> Option<&str> {
        let cache = self.cache.as_ref().filter(|_| decision.varies)?;
        Some(&*cache.vary).filter(|names| !names.is_empty())
    }

    /// The identity cookie's `Set-Cookie` value for the response at `now`, if it is
    /// new, renewed or deleted.
    #[must_use]
    pub fn set_cookie(&self, decision: &Decision, now: Timestamp) -> Option<String> {
        self.identity.mint.as_ref()?.set_cookie(&decision.cookie, now)
    }

    /// The name of the identity cookie, if units are minted.
    #[must_use]
    pub fn minted_cookie(&self) -> Option<&str> {
        self.identity.mint.as_ref().map(|mint| &*mint.cookie)
    }

    /// Where exposures go.
    #[must_use]
    pub fn sinks(&self) -> &Sinks {
        &self.sinks
    }

    /// Whether responses and durations are counted for each variant.
    #[must_use]
    pub fn has_service_metrics(&self) -> bool {
        self.service_metrics
    }

    /// The guardrails, in order of their experiments.
    #[must_use]
    pub fn guardrails(&self) -> &[Guardrail] {
        &self.guardrails
    }

    /// Whether the proxy wants the stamp in its filter state.
    #[must_use]
    pub fn fills_filter_state(&self) -> bool {
        self.filter_state
    }
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
