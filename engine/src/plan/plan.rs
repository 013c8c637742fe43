//! A validated, compiled config. Only [`crate::compile`] makes one, so whoever
//! holds a `Plan` need not check anything.
//!
//! Ids are small integers that index boxed slices; names are for output.

use std::collections::BTreeSet;

use splitway_document::Problems;

use super::experiment::{Experiment, Holdout, Layer};
use super::headers::OurHeaders;
use super::records::{ExposurePolicy, Sinks};
use super::surroundings::{CacheSafety, Neighbours};
use crate::guardrail::Guardrail;
use crate::ids::{ExperimentId, HoldoutId, LayerId};
use crate::qa_token::TokenPolicy;
use crate::request::{Identity, Source};

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
