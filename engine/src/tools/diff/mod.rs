//! Who moves between two configs.
//!
//! A unit's place in an experiment is a function of independent buckets: one
//! per holdout, the layer's, the experiment's. So shares are products of counts
//! over 10,000 buckets, exact wherever both configs use the same hash. Where a
//! hash changed, the old bucket says nothing about the new one, and the product
//! of the two shares takes the place of the joint one: right on average over
//! hashes, so it is marked as an estimate.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};
use splitway_document::Document;

use crate::bucketing::{BUCKETS, SaltedHash};
use crate::compile::read_wire;
use crate::plan::{Experiment, Plan};
use crate::request::Source;
use crate::time::Timestamp;
use crate::wire;

/// Shares are multiples of 10^-8 (two divisions by 10,000): what is below this
/// is rounding of floats.
pub const NOTHING: f64 = 1e-12;

/// Compares two configs at `now` and at each later boundary of a schedule or ramp: one change for each experiment of
/// either, in order of their ids. `units` made-up units stand for all where another dialect than Splitway's decides.
#[must_use]
pub fn diff(old: &Side, new: &Side, now: Timestamp, units: u32) -> Vec<Change> {
    let ids: BTreeSet<&str> = old.ids().chain(new.ids()).collect();
    ids.into_iter().map(|id| change(old, new, id, now, units)).collect()
}

/// What happens to one experiment between two configs; see [`diff`].
#[must_use]
pub fn change(old: &Side, new: &Side, id: &str, now: Timestamp, units: u32) -> Change {
    Comparison { old, new, now, units }.over_time(id)
}

/// A config that is compared.
#[derive(Clone, Debug)]
pub struct Side {
    plan: Plan,
    config: wire::Config,
    /// The config as it is written.
    written: Value,
}

impl Side {
    /// The config of `document`, which compiled to `plan`.
    #[must_use]
    pub fn new(document: &Document, plan: Plan) -> Self {
        let written = serde_json::from_str(&document.to_json()).unwrap_or_default();
        Self { plan, config: read_wire(document), written }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.plan.experiments().map(|(_, experiment)| experiment.id())
    }

    /// A variant as it is written.
    fn variant(&self, id: &str, variant: &str) -> Option<&Value> {
        fn named<'v>(list: &'v Value, id: &str) -> Option<&'v Value> {
            list.as_array()?.iter().find(|entry| entry.get("id").and_then(Value::as_str) == Some(id))
        }
        named(named(self.written.get("experiments")?, id)?.get("variants")?, variant)
    }

    fn wire(&self, id: &str) -> Option<&wire::Experiment> {
        self.config.experiments.iter().find(|experiment| experiment.id == id)
    }

    fn sources(&self, experiment: &Experiment) -> &[Source] {
        let layer = self.plan.layer(experiment.layer());
        layer.map(|layer| self.plan.sources(layer.chain())).unwrap_or_default()
    }
}

/// What happens to an experiment; shares are of all units.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its id.
    pub experiment: String,
    /// In before and after, in another variant.
    pub changes_variant: f64,
    /// Out before, in after.
    pub enters: f64,
    /// In before, out after.
    pub leaves: f64,
    /// In the same variant before and after, which does something else.
    pub served_otherwise: f64,
    /// All four.
    pub moved: f64,
    /// What `changes_variant` is made of, the largest first.
    pub changes: Vec<Flow>,
    /// In it before.
    pub in_before: f64,
    /// In it after.
    pub in_after: f64,
    /// False: an estimate, for the reasons in `notes`.
    pub exact: bool,
    /// What the shares do not show.
    pub notes: Vec<String>,
    /// A variant of the same id does something else, whether units are in it or not; `notes` says what.
    #[serde(skip)]
    pub has_other_effects: bool,
    /// What moves at later times, from each boundary of a schedule or ramp on at which another share moves than before it.
    pub later: Vec<Later>,
}

/// A [`Change`] at a later time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Later {
    /// From when on.
    pub from: String,
    /// In before and after, in another variant.
    pub changes_variant: f64,
    /// Out before, in after.
    pub enters: f64,
    /// In before, out after.
    pub leaves: f64,
    /// In the same variant before and after, which does something else.
    pub served_otherwise: f64,
    /// All four.
    pub moved: f64,
    /// In it before.
    pub in_before: f64,
    /// In it after.
    pub in_after: f64,
}

/// Units that were in one variant and are in another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flow {
    /// From which variant.
    pub from: String,
    /// To which variant.
    pub to: String,
    /// The share of all units.
    pub share: f64,
}

impl Later {
    /// A change at `at`.
    #[must_use]
    pub fn of(at: Timestamp, change: &Change) -> Self {
        Self {
            from: at.to_string(),
            changes_variant: change.changes_variant,
            enters: change.enters,
            leaves: change.leaves,
            served_otherwise: change.served_otherwise,
            moved: change.moved,
            in_before: change.in_before,
            in_after: change.in_after,
        }
    }

    /// What changes variant, enters, leaves, is served otherwise.
    #[must_use]
    pub fn shares(&self) -> [f64; 4] {
        [self.changes_variant, self.enters, self.leaves, self.served_otherwise]
    }
}

impl Change {
    /// The largest share that moves, now or later.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.later.iter().map(|later| later.moved).fold(self.moved, f64::max)
    }
}

/// A value as a person reads it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Hands over the places in which two values differ, as deep as both are mappings.
fn differences(place: &str, before: &Value, after: &Value, take: &mut dyn FnMut(&str, &Value, &Value)) {
    let empty = Map::new();
    let fields = |value: &'_ Value| match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Null => Some(empty.clone()),
        _ => None,
    };
    match (fields(before), fields(after)) {
        _ if before == after => {}
        (Some(was), Some(is)) => {
            for name in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
                let inner = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                differences(&inner, &of(&was), &of(&is), take);
            }
        }
        _ => take(place, before, after),
    }
}

/// Shares of units by membership.
#[derive(Clone, Copy)]
struct Joint {
    both: f64,
    before: f64,
    after: f64,
}

impl Joint {
    fn independent(before: f64, after: f64) -> Self {
        Self { both: before * after, before, after }
    }

    /// Both conditions, which are independent of each other.
    fn and(self, other: Self) -> Self {
        Self {
            both: self.both * other.both,
            before: self.before * other.before,
            after: self.after * other.after,
        }
    }
}

struct Comparison<'s> {
    old: &'s Side,
    new: &'s Side,
    now: Timestamp,
    units: u32,
}

impl Comparison<'_> {
    /// Now, and from each later boundary of the experiment on.
    fn over_time(&self, id: &str) -> Change {
        let mut change = self.of(id);
        let mut before = Later::of(self.now, &change).shares();
        let wires = [self.old.wire(id), self.new.wire(id)];
        let boundaries: BTreeSet<Timestamp> = wires.into_iter().flatten().flat_map(boundaries).collect();
        for at in boundaries.into_iter().filter(|at| *at > self.now) {
            let later = Later::of(at, &Comparison { now: at, ..*self }.of(id));
            let is_other =
                later.shares().iter().zip(before).any(|(one, other)| (one - other).abs() > NOTHING);
            if is_other {
                before = later.shares();
                change.later.push(later);
            }
        }
        change
    }

    /// In which parts a variant does something else, for a note: `: route.cluster is three, was two`.
    fn parts(&self, id: &str, variant: &str) -> String {
        let (Some(before), Some(after)) = (self.old.variant(id, variant), self.new.variant(id, variant))
        else {
            return String::new();
        };
        let mut parts = Vec::new();
        differences("", before, after, &mut |place, before, after| {
            if !["weight", "buckets", "control"].contains(&place) {
                parts.push(format!("{place} is {}, was {}", shown(after), shown(before)));
            }
        });
        if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) }
    }

    /// The variants that do something else under the same id.
    fn effects(&self, id: &str) -> Vec<String> {
        let (Some(before), Some(after)) = (self.old.wire(id), self.new.wire(id)) else { return Vec::new() };
        // What it does; how many get it is told apart.
        let does = |variant: &wire::Variant| wire::Variant {
            weight: None,
            buckets: Vec::new(),
            control: None,
            ..variant.clone()
        };
        let is_other = |variant: &&wire::Variant| {
            let was = before.variants.iter().find(|was| was.id == variant.id);
            was.is_some_and(|was| does(was) != does(variant))
        };
        after.variants.iter().filter(is_other).map(|variant| variant.id.clone()).collect()
    }

    fn of(&self, id: &str) -> Change {
        let find = |side: &'_ Side| side.plan.find(id).map(|(_, experiment)| experiment.clone());
        let (old, new) = (find(self.old), find(self.new));
        let mut notes = Vec::new();
        let mut exact = true;
        let mut joint = self.held_in(old.as_ref(), new.as_ref());
        joint = joint.and(self.included(old.as_ref(), new.as_ref(), &mut exact, &mut notes));
        let mut changes = Vec::new();
        let (mut served_otherwise, mut has_other_effects) = (0.0, false);
        match (&old, &new) {
            (Some(old), Some(new)) => {
                let is_redrawn = self.old.sources(old) != self.new.sources(new);
                if is_redrawn {
                    exact = false;
                    joint = Joint::independent(joint.before, joint.after);
                    notes.push("the unit changed: everyone is drawn anew".to_owned());
                }
                let split = self.split(id, old, new, is_redrawn, &mut exact, &mut notes);
                changes = split.flows(joint.both);
                for variant in self.effects(id) {
                    served_otherwise += joint.both * split.stays.get(&variant).copied().unwrap_or(0.0);
                    has_other_effects = true;
                    let parts = self.parts(id, &variant);
                    notes.push(format!("{variant}: what it does changed{parts}"));
                }
                joint = joint.and(split.joint);
                self.compare_rest(id, &mut notes);
            }
            (None, Some(_)) => notes.push("a new experiment".to_owned()),
            _ => notes.push("no longer there".to_owned()),
        }
        let changed: f64 = changes.iter().map(|flow| flow.share).sum();
        let (enters, leaves) = (joint.after - joint.both, joint.before - joint.both);
        let tidy = |share: f64| if share.abs() <= NOTHING { 0.0 } else { share };
        Change {
            experiment: id.to_owned(),
            changes_variant: tidy(changed),
            enters: tidy(enters),
            leaves: tidy(leaves),
            served_otherwise: tidy(served_otherwise),
            moved: tidy(changed + enters + leaves + served_otherwise),
            changes,
            in_before: joint.before,
            in_after: joint.after,
            exact,
            notes,
            has_other_effects,
            later: Vec::new(),
        }
    }

    /// Not held out, before and after.
    fn held_in(&self, old: Option<&Experiment>, new: Option<&Experiment>) -> Joint {
        let holdouts = |side: &Side, experiment: Option<&Experiment>| -> Vec<(SaltedHash, u32)> {
            let layer = experiment.and_then(|experiment| side.plan.layer(experiment.layer()));
            let ids = layer.map(|layer| layer.holdouts()).unwrap_or_default();
            ids.iter().filter_map(|id| side.plan.holdout(*id)).collect()
        };
        let (before, after) = (holdouts(self.old, old), holdouts(self.new, new));
        let of = |all: &[(SaltedHash, u32)], hash: SaltedHash| {
            all.iter().filter(|(own, _)| *own == hash).map(|(_, buckets)| *buckets).max().unwrap_or(0)
        };
        let hashes: BTreeSet<SaltedHash> = before.iter().chain(&after).map(|(hash, _)| *hash).collect();
        let left = |held: u32| f64::from(BUCKETS.saturating_sub(held)) / f64::from(BUCKETS);
        hashes.into_iter().fold(Joint { both: 1.0, before: 1.0, after: 1.0 }, |joint, hash| {
            let (old, new) = (of(&before, hash), of(&after, hash));
            joint.and(Joint { both: left(old.max(new)), before: left(old), after: left(new) })
        })
    }

    /// In an owned and active bucket of the layer, before and after.
    fn included(
        &self,
        old: Option<&Experiment>,
        new: Option<&Experiment>,
        exact: &mut bool,
        notes: &mut Vec<String>,
    ) -> Joint {
        let before = self.active(self.old, old);
        let after = self.active(self.new, new);
        let count = |active: &[bool]| active.iter().filter(|active| **active).count() as f64;
        let all = f64::from(BUCKETS);
        let hash =
            |side: &Side, experiment: Option<&Experiment>| Some(side.plan.layer(experiment?.layer())?.hash());
        let (share_before, share_after) = (count(&before) / all, count(&after) / all);
        // All or none: the hash decides nothing, so a new one changes nothing.
        let is_trivial = |share: f64| share == 0.0 || share == 1.0;
        let is_same = hash(self.old, old) == hash(self.new, new);
        if !is_same && !is_trivial(share_before) && !is_trivial(share_after) {
            *exact = false;
            notes.push("the layer's salt changed: who is in is drawn anew".to_owned());
        }
        if !is_same {
            return Joint::independent(share_before, share_after);
        }
        let both = before.iter().zip(&after).filter(|(before, after)| **before && **after).count();
        Joint { both: both as f64 / all, before: share_before, after: share_after }
    }

    /// By layer bucket, whether a unit there is in now, whatever is targeted.
    fn active(&self, side: &Side, experiment: Option<&Experiment>) -> Vec<bool> {
        let mut active = vec![false; BUCKETS as usize];
        let Some(experiment) = experiment.filter(|e| e.is_live(self.now) && !side.plan.is_killed()) else {
            return active;
        };
        let now_active = experiment.active_buckets(self.now);
        let runs = side.plan.layer(experiment.layer()).into_iter().flat_map(|layer| layer.owned());
        for run in runs {
            let Some((owner, offset)) = run.owner else { continue };
            if side.plan.experiment(owner).is_none_or(|owner| owner.id() != experiment.id()) {
                continue;
            }
            let length =
                now_active.saturating_sub(offset).min(run.buckets.end.saturating_sub(run.buckets.start));
            let start = run.buckets.start as usize;
            let end = start.saturating_add(length as usize);
            active.get_mut(start..end).unwrap_or_default().fill(true);
        }
        active
    }

    fn split(
        &self,
        id: &str,
        old: &Experiment,
        new: &Experiment,
        is_redrawn: bool,
        exact: &mut bool,
        notes: &mut Vec<String>,
    ) -> SplitChange {
        let name =
            |e: &Experiment, v| e.variant(v).map(|variant| variant.id().to_owned()).unwrap_or_default();
        if let (Some(before), Some(after)) = (old.hash(), new.hash()) {
            let by_bucket = |e: &Experiment| -> Vec<String> {
                e.variant_ranges().flat_map(|(run, v)| vec![name(e, v); run.len()]).collect()
            };
            let (old_variants, new_variants) = (by_bucket(old), by_bucket(new));
            let all = f64::from(BUCKETS);
            let mut split = SplitChange::all_in();
            if before == after && !is_redrawn {
                for pair in old_variants.iter().zip(&new_variants) {
                    split.add(pair, 1.0 / all);
                }
                return split;
            }
            let shares = |variants: &[String]| -> BTreeMap<String, f64> {
                let mut shares = BTreeMap::new();
                variants.iter().for_each(|id| *shares.entry(id.clone()).or_default() += 1.0 / all);
                shares
            };
            for (was, share_before) in &shares(&old_variants) {
                for (is, share_after) in &shares(&new_variants) {
                    split.add((was, is), share_before * share_after);
                }
            }
            if !split.changes.is_empty() && before != after {
                *exact = false;
                notes.push("the experiment's salt changed: variants are drawn anew".to_owned());
            }
            return split;
        }
        let parts = |side: &Side| {
            let experiment = side.wire(id)?;
            let weights: Vec<_> =
                experiment.variants.iter().map(|v| (v.id.clone(), v.weight, v.buckets.clone())).collect();
            Some((experiment.bucketing.clone(), weights))
        };
        let is_same = parts(self.old) == parts(self.new);
        *exact = false;
        notes.push(format!(
            "{}: shares are counted over {} made-up units",
            if is_same { "another dialect than Splitway's" } else { "the bucketing changed" },
            self.units
        ));
        self.counted(old, new)
    }

    /// What the dialects do with made-up units.
    fn counted(&self, old: &Experiment, new: &Experiment) -> SplitChange {
        let (mut both, mut before, mut after) = (0_u32, 0_u32, 0_u32);
        let mut split = SplitChange::all_in();
        for unit in 0..self.units {
            let unit = format!("unit-{unit}");
            let id = |e: &'_ Experiment| -> Option<String> {
                let (variant, _) = e.pick(&unit).ok()?;
                e.variant(variant).map(|variant| variant.id().to_owned())
            };
            let (was, is) = (id(old), id(new));
            before = before.saturating_add(u32::from(was.is_some()));
            after = after.saturating_add(u32::from(is.is_some()));
            if let (Some(was), Some(is)) = (was, is) {
                both = both.saturating_add(1);
                split.add((&was, &is), 1.0 / f64::from(self.units));
            }
        }
        let share = |count: u32| f64::from(count) / f64::from(self.units);
        split.joint = Joint { both: share(both), before: share(before), after: share(after) };
        split
    }

    /// What decides besides buckets.
    fn compare_rest(&self, id: &str, notes: &mut Vec<String>) {
        let (Some(before), Some(after)) = (self.old.wire(id), self.new.wire(id)) else { return };
        if before.targeting != after.targeting {
            notes.push("targeting changed: shares are of requests eligible before and after".to_owned());
        }
        if before.priority != after.priority {
            notes.push(
                "the priority changed: conflicts with other experiments are not in the shares".to_owned(),
            );
        }
        if before.overrides != after.overrides {
            notes.push("allow-lists changed: their units are not in the shares".to_owned());
        }
    }
}

struct SplitChange {
    /// In by the dialect's own allocation.
    joint: Joint,
    /// By variants before and after, which differ: the share of units that are in before and after.
    changes: BTreeMap<(String, String), f64>,
    /// By variants that are the same before and after, in the same unit.
    stays: BTreeMap<String, f64>,
}

/// When what is in an experiment changes by itself.
fn boundaries(experiment: &wire::Experiment) -> Vec<Timestamp> {
    let schedule = experiment.schedule.iter().flat_map(|schedule| [&schedule.start, &schedule.end]).flatten();
    let steps = experiment.ramp.iter().map(|step| &step.at);
    schedule.chain(steps).filter_map(|instant| Timestamp::parse(&instant.0)).collect()
}

impl SplitChange {
    fn all_in() -> Self {
        Self {
            joint: Joint { both: 1.0, before: 1.0, after: 1.0 },
            changes: BTreeMap::new(),
            stays: BTreeMap::new(),
        }
    }

    fn add(&mut self, (was, is): (&String, &String), share: f64) {
        if was != is {
            *self.changes.entry((was.clone(), is.clone())).or_default() += share;
        } else if let Some(sum) = self.stays.get_mut(is) {
            *sum += share;
        } else {
            self.stays.insert(is.clone(), share);
        }
    }

    /// What moves of `both`, the share of units that reach this split before and after.
    fn flows(&self, both: f64) -> Vec<Flow> {
        let mut flows: Vec<Flow> = self
            .changes
            .iter()
            .map(|((from, to), share)| Flow { from: from.clone(), to: to.clone(), share: both * share })
            .filter(|flow| flow.share > NOTHING)
            .collect();
        flows.sort_by(|a, b| b.share.total_cmp(&a.share));
        flows
    }
}
