//! Layers, the buckets that experiments own in them, and holdouts.

use splitway_document::{Code, Place, Problem, did_you_mean, prose};

use super::compiler::Compiler;
use super::draft::Draft;
use super::limits::MAX_LAYERS;
use super::values::Parts;
use crate::bucketing::{BUCKETS, SaltedHash};
use crate::ids::{ChainId, HoldoutId, LayerId};
use crate::plan::{Experiment, Holdout, Layer, Partition, Slot, Traffic};
use crate::wire;

impl<'c> Compiler<'c> {
    /// Holdouts, in document order.
    pub(super) fn holdouts(&mut self) -> Box<[Holdout]> {
        let config = self.config;
        let mut seen: Vec<&str> = Vec::new();
        let mut compiled = Vec::new();
        for (index, holdout) in config.holdouts.iter().enumerate() {
            let list = Place::Root.key("holdouts");
            let at = list.index(index);
            self.id(at.key("id"), &holdout.id);
            if seen.contains(&holdout.id.as_str()) {
                let found = prose!("`{}` again", holdout.id);
                self.error_in(&at, "id", Code::DuplicateId, "each holdout id once", &found);
            }
            seen.push(&holdout.id);
            let layers_at = at.key("layers");
            self.limit(layers_at, "layers", holdout.layers.len(), MAX_LAYERS);
            for (i, layer) in holdout.layers.iter().take(MAX_LAYERS).enumerate() {
                self.known_layer(layers_at.index(i), layer);
            }
            let share = self.share(at.key("share"), &holdout.share).unwrap_or(Parts::ALL);
            let salt = holdout.salt.clone().unwrap_or_else(|| self.own_salt("holdout", &holdout.id));
            let hash = self.hash(at.key("salt"), &salt);
            compiled.push(Holdout { id: holdout.id.as_str().into(), hash, buckets: share.of(BUCKETS) });
        }
        compiled.into()
    }

    /// `namespace:kind:id`, the salt that ids give.
    pub(super) fn own_salt(&self, kind: &str, id: &str) -> String {
        format!("{}:{kind}:{id}", self.namespace)
    }

    /// A layer is declared, or is an experiment's own.
    pub(super) fn known_layer(&mut self, at: Place<'_>, id: &str) {
        let config = self.config;
        let declared = || config.layers.iter().map(|layer| layer.id.as_str());
        let own = || config.experiments.iter().filter(|e| e.layer.is_none()).map(|e| e.id.as_str());
        if declared().chain(own()).any(|known| known == id) {
            return;
        }
        let problem = Problem::error(
            at.path(),
            Code::UnknownReference,
            "a layer declared under `layers`",
            &splitway_document::describe_text(id),
        );
        let advice = || match did_you_mean(id, declared().chain(own())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `- id: {id}` under `layers`"),
        };
        self.problems.push(problem.suggest(advice));
    }

    /// Layers ordered by id, and the experiments (ordered by id) that now know
    /// theirs.
    pub(super) fn layers(&mut self, drafts: Vec<Draft<'c>>) -> (Box<[Layer]>, Box<[Experiment]>) {
        let config = self.config;
        // Ordered by id.
        let mut members: Vec<(&str, Vec<usize>)> = Vec::new();
        for (index, layer) in config.layers.iter().enumerate() {
            let list = Place::Root.key("layers");
            let at = list.index(index);
            self.id(at.key("id"), &layer.id);
            match members.binary_search_by(|(id, _)| (*id).cmp(&layer.id)) {
                Ok(_) => {
                    let found = prose!("`{}` again", layer.id);
                    self.error_in(&at, "id", Code::DuplicateId, "each layer id once", &found);
                }
                Err(position) => members.insert(position, (&layer.id, Vec::new())),
            }
        }
        for (index, draft) in drafts.iter().enumerate() {
            match members.binary_search_by(|(id, _)| (*id).cmp(draft.layer)) {
                Ok(position) => {
                    if let Some((_, indices)) = members.get_mut(position) {
                        indices.push(index);
                    }
                }
                Err(position) => members.insert(position, (draft.layer, vec![index])),
            }
        }
        let mut drafts: Vec<Draft<'c>> = drafts;
        let mut layers = Vec::with_capacity(members.len());
        for (id, members) in members {
            let handle = LayerId(u16::try_from(layers.len()).unwrap_or(u16::MAX));
            layers.push(self.layer(id, handle, &members, &mut drafts));
        }
        (layers.into(), drafts.into_iter().map(|draft| draft.experiment).collect())
    }

    fn layer(&mut self, id: &str, handle: LayerId, members: &[usize], drafts: &mut [Draft<'c>]) -> Layer {
        let chain = self.common_unit(members, drafts);
        let owners = self.owners(members, drafts);
        let mut has_overrides = false;
        let mut experiments = Vec::with_capacity(members.len());
        for member in members {
            if let Some(draft) = drafts.get_mut(*member) {
                draft.experiment.layer = handle;
                has_overrides |= !draft.experiment.overrides.is_empty();
                experiments.push(draft.handle);
            }
        }
        let only = match members {
            [only] => drafts.get(*only),
            _ => None,
        };
        let sole = only.filter(|draft| {
            draft.experiment.owned == BUCKETS && draft.experiment.traffic == Traffic::Fixed(BUCKETS)
        });
        let sole = sole.map(|draft| draft.handle);
        Layer {
            id: id.into(),
            hash: self.layer_hash(id, members, drafts),
            chain,
            holdouts: self.holdouts_of(id),
            experiments: experiments.into(),
            owners,
            sole,
            has_overrides,
        }
    }

    fn layer_hash(&mut self, id: &str, members: &[usize], drafts: &[Draft<'c>]) -> SaltedHash {
        let list = Place::Root.key("layers");
        let declared = self.config.layers.iter().enumerate().find(|(_, layer)| layer.id == id);
        let own = self.own_salt("layer", id);
        if let Some((index, layer)) = declared {
            let at = list.index(index);
            return self.hash(at.key("salt"), layer.salt.as_deref().unwrap_or(&own));
        }
        let list = Place::Root.key("experiments");
        let index = members.first().and_then(|member| drafts.get(*member)).map_or(0, |draft| draft.position);
        self.hash(list.index(index).key("layer"), &own)
    }

    fn holdouts_of(&self, layer: &str) -> Box<[HoldoutId]> {
        let holdouts = (0_u16..).map(HoldoutId).zip(&self.config.holdouts);
        let holding = |holdout: &wire::Holdout| {
            holdout.layers.is_empty() || holdout.layers.iter().any(|named| named == layer)
        };
        holdouts.filter(|(_, holdout)| holding(holdout)).map(|(id, _)| id).collect()
    }

    /// Experiments of one layer exclude each other only if they randomise the
    /// same unit.
    fn common_unit(&mut self, members: &[usize], drafts: &[Draft<'c>]) -> ChainId {
        let mut members = members.iter().filter_map(|member| drafts.get(*member));
        let Some(first) = members.next() else { return ChainId(0) };
        for other in members {
            if other.chain != first.chain {
                let list = Place::Root.key("experiments");
                let found = prose!("another than `{}`'s", first.experiment.id);
                let expected = prose!("one unit for all experiments of layer `{}`", first.layer);
                self.error(list.index(other.position).key("unit"), Code::Conflict, &expected, &found);
            }
        }
        first.chain
    }

    /// Who owns each bucket of a layer. One that takes or may take units owns
    /// all if it is alone among such; else each states its own.
    fn owners(&mut self, members: &[usize], drafts: &mut [Draft<'c>]) -> Partition<Option<Slot>> {
        let count = |wanted: fn(&Draft<'c>) -> bool| {
            members.iter().filter_map(|m| drafts.get(*m)).filter(|draft| wanted(draft)).count()
        };
        let alone = count(|draft| !draft.is_over || draft.stated.is_some()) <= 1;
        let mut claims = Vec::new();
        for member in members {
            let Some(draft) = drafts.get_mut(*member) else { continue };
            let ranges = match draft.stated.take() {
                Some(ranges) => ranges,
                None if draft.is_over => Vec::new(),
                None if alone => vec![(0, BUCKETS)],
                None => {
                    let list = Place::Root.key("experiments");
                    let expected = "buckets, because the layer has several experiments";
                    let problem = Problem::error(
                        list.index(draft.position).key("buckets").path(),
                        Code::MissingField,
                        expected,
                        "none",
                    );
                    self.problems.push(
                        problem.suggest(|| "`splitway allocate` finds free ones and writes them".to_owned()),
                    );
                    continue;
                }
            };
            let mut offset = 0_u32;
            for (start, end) in ranges {
                claims.push((start, end, Some(Slot { experiment: draft.handle, offset })));
                offset = offset.saturating_add(end.saturating_sub(start));
            }
            draft.experiment.owned = offset;
            draft.experiment.traffic = draft.traffic.of(offset);
        }
        Partition::new(claims, None).unwrap_or_else(|overlap| {
            self.overlapping(overlap.first, overlap.second, overlap.bucket, drafts);
            Partition::whole(None)
        })
    }

    fn overlapping(&mut self, first: Option<Slot>, second: Option<Slot>, bucket: u32, drafts: &[Draft<'c>]) {
        let draft = |slot: Option<Slot>| {
            slot.and_then(|slot| drafts.iter().find(|draft| draft.handle == slot.experiment))
        };
        let (Some(first), Some(second)) = (draft(first), draft(second)) else { return };
        let list = Place::Root.key("experiments");
        let found = prose!("bucket {bucket}, which `{}` owns", first.experiment.id);
        self.error(
            list.index(second.position).key("buckets"),
            Code::Overlap,
            &prose!("buckets of layer `{}` that no other experiment owns", second.layer),
            &found,
        );
    }
}
