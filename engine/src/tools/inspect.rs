//! What a plan is made of, for tools that compare, simulate and explain.
//!
//! Apart from `plan` because no proxy needs it: what nothing calls is not in
//! the filter.

use std::ops::Range;

use crate::bucketing::{BUCKETS, SaltedHash};
use crate::ids::{ChainId, ExperimentId, HoldoutId, VariantId};
use crate::plan::{Experiment, Layer, Plan, Split};
use crate::request::Source;

/// A run of a layer's buckets with one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The run.
    pub buckets: Range<u32>,
    /// Its owner and how many of the owner's buckets come before the run.
    pub owner: Option<(ExperimentId, u32)>,
}

impl Plan {
    /// The sources of a chain; none for a chain that the plan has not.
    #[must_use]
    pub fn sources(&self, chain: ChainId) -> &[Source] {
        self.chains.get(chain.index()).map_or(&[], |sources| sources)
    }

    /// Every chain's sources, the document's first.
    pub fn chains(&self) -> impl Iterator<Item = &[Source]> {
        self.chains.iter().map(|sources| &**sources)
    }

    /// The layers, ordered by id.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Whether it mints units into a cookie.
    #[must_use]
    pub fn mints(&self) -> bool {
        self.identity.mint.is_some()
    }

    /// Whether everything is switched off.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.kill_switch
    }

    /// A holdout's hash and how many buckets (from 0) it holds out.
    #[must_use]
    pub fn holdout(&self, id: HoldoutId) -> Option<(SaltedHash, u32)> {
        self.holdouts.get(id.index()).map(|holdout| (holdout.hash, holdout.buckets))
    }

    /// The same plan with every request eligible and no allow-lists: what
    /// hashes alone do. Without targeting, conflicts are not known, so none is settled.
    #[must_use]
    pub fn hashes_only(mut self) -> Self {
        for experiment in &mut self.experiments {
            experiment.targeting = None;
            experiment.overrides = Box::default();
            experiment.claims = Box::default();
        }
        for layer in &mut self.layers {
            layer.has_overrides = false;
        }
        self
    }
}

impl Layer {
    /// Its hash. Two layers with one hash depend on each other.
    #[must_use]
    pub fn hash(&self) -> SaltedHash {
        self.hash
    }

    /// The holdouts that hold for it.
    #[must_use]
    pub fn holdouts(&self) -> &[HoldoutId] {
        &self.holdouts
    }

    /// The run of buckets that holds `bucket`; `None` beyond 9,999.
    #[must_use]
    pub fn owned_at(&self, bucket: u32) -> Option<Owned> {
        let segment = self.owners.at(bucket)?;
        let owner = segment.owner.map(|slot| (slot.experiment, slot.offset));
        Some(Owned { buckets: segment.start..segment.end, owner })
    }

    /// Every run, in order.
    pub fn owned(&self) -> impl Iterator<Item = Owned> {
        std::iter::successors(self.owned_at(0), |run| self.owned_at(run.buckets.end))
    }
}

impl Experiment {
    /// Its hash under the default dialect; `None` under another.
    #[must_use]
    pub fn hash(&self) -> Option<SaltedHash> {
        match &self.split {
            Split::Splitway { hash, .. } => Some(*hash),
            Split::Dialect(_) => None,
        }
    }

    /// The run of buckets that holds `bucket`, and its variant. `None` beyond
    /// 9,999 and under another dialect than the default.
    #[must_use]
    pub fn variant_at(&self, bucket: u32) -> Option<(Range<u32>, VariantId)> {
        match &self.split {
            Split::Splitway { variants, .. } => {
                variants.at(bucket).map(|segment| (segment.start..segment.end, segment.owner))
            }
            Split::Dialect(_) => None,
        }
    }

    /// Every run of buckets and its variant, in order; none under another
    /// dialect than the default.
    pub fn variant_ranges(&self) -> impl Iterator<Item = (Range<u32>, VariantId)> {
        std::iter::successors(self.variant_at(0), |(run, _)| self.variant_at(run.end))
    }

    /// Whether only some requests are eligible.
    #[must_use]
    pub fn is_targeted(&self) -> bool {
        self.targeting.is_some()
    }

    /// How many units its allow-lists name.
    #[must_use]
    pub fn override_count(&self) -> usize {
        self.overrides.len()
    }

    /// Whether every unit gets this experiment's layer whole: no bucket of the
    /// layer is looked at.
    #[must_use]
    pub fn owns_all(&self) -> bool {
        self.owned == BUCKETS
    }
}
