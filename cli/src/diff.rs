//! `splitway diff`: who moves between two configs.
//!
//! A unit's place in an experiment is a function of independent buckets: one
//! per holdout, the layer's, the experiment's. So shares are products of counts
//! over 10,000 buckets, exact wherever both configs use the same hash. Where a
//! hash changed, the old bucket says nothing about the new one, and the product
//! of the two shares takes the place of the joint one: right on average over
//! hashes, so it is marked as an estimate.
//!
//! Both configs are compared at the time asked for and at every later start, end and ramp step of either. A unit that keeps its
//! variant, but gets something else by it, moves as well.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use splitway_engine::bucketing::{BUCKETS, SaltedHash};
use splitway_engine::{Experiment, Plan, Timestamp, read_wire, wire};

use crate::args::Diff;
use crate::input::{self, Input};
use crate::outcome::{Exit, Outcome, print, print_answer};
use crate::style::Style;

/// Shares are multiples of 10^-8 (two divisions by 10,000): what is below this
/// is rounding of floats.
const NOTHING: f64 = 1e-12;

pub(crate) fn run(args: &Diff) -> Outcome {
    let (old, new) = (Side::read(&args.old)?, Side::read(&args.new)?);
    let now = input::at(args.asked.at);
    let ids: BTreeSet<&str> = old.ids().chain(new.ids()).collect();
    let changes: Vec<Change> = ids
        .into_iter()
        .map(|id| Comparison { old: &old, new: &new, now, units: args.units }.of(id))
        .collect();
    let largest = changes.iter().map(Change::largest).fold(0.0, f64::max);
    let is_over = args.max_moved.is_some_and(|most| largest > most + NOTHING);
    if args.asked.json {
        print_answer(&serde_json::json!({
            "at": now.to_string(),
            "old": old.plan.content_hash(),
            "new": new.plan.content_hash(),
            "largest_moved": largest,
            "max_moved": args.max_moved,
            "experiments": changes,
        }))?;
    } else {
        let mut lines: Vec<String> = changes.iter().map(Change::line).collect();
        if let Some(most) = args.max_moved.filter(|_| is_over) {
            let is_later = changes.iter().all(|change| change.now.moved <= most + NOTHING);
            let when = if is_later { "will move" } else { "move" };
            let text =
                format!("{} {when} in one experiment, at most {} may", percent(largest), percent(most));
            lines.push(Style::stdout().red(&text));
        }
        if lines.is_empty() {
            lines.push("no experiments".to_owned());
        }
        print(&lines.join("\n"))?;
    }
    Ok(if is_over { Exit::Problems } else { Exit::Fine })
}

struct Side {
    plan: Plan,
    config: wire::Config,
    /// The config as it is written.
    written: Value,
}

impl Side {
    fn read(path: &std::path::Path) -> Result<Self, crate::outcome::Failure> {
        let (document, plan) = Input::read(path)?.plan()?;
        let written = serde_json::from_str(&document.to_json())?;
        Ok(Self { plan, config: read_wire(&document), written })
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.plan.experiments().map(|(_, experiment)| experiment.id())
    }

    fn wire(&self, id: &str) -> Option<&wire::Experiment> {
        self.config.experiments.iter().find(|experiment| experiment.id == id)
    }

    /// What a variant does: all that is written of it besides its id and its share.
    fn effect(&self, id: &str, variant: &str) -> Option<Value> {
        let named = |list: &'_ Value, id: &str| {
            list.as_array()?.iter().find(|entry| entry["id"].as_str() == Some(id)).cloned()
        };
        let mut found = named(&named(&self.written["experiments"], id)?["variants"], variant)?;
        for name in ["id", "weight", "buckets", "control"] {
            found.as_object_mut()?.remove(name);
        }
        Some(found)
    }

    /// When an experiment's own times change who is in it.
    fn boundaries(&self, id: &str) -> Vec<Timestamp> {
        let Some(experiment) = self.wire(id) else { return Vec::new() };
        let schedule = experiment.schedule.iter().flat_map(|schedule| [&schedule.start, &schedule.end]);
        let steps = experiment.ramp.iter().map(|step| &step.at);
        schedule.flatten().chain(steps).filter_map(|at| Timestamp::parse(&at.0)).collect()
    }

    fn sources(&self, experiment: &Experiment) -> &[splitway_engine::Source] {
        let layer = self.plan.layer(experiment.layer());
        layer.map(|layer| self.plan.sources(layer.chain())).unwrap_or_default()
    }
}

/// What happens to an experiment.
#[derive(Debug, Serialize)]
struct Change {
    experiment: String,
    /// At the time asked for.
    #[serde(flatten)]
    now: Moves,
    /// At each later start, end and ramp step of either config.
    later: Vec<Later>,
    /// What variants of the same id do otherwise.
    effects: Vec<Effect>,
    /// False: an estimate, for the reasons in `notes`.
    exact: bool,
    notes: Vec<String>,
}

/// From a time on.
#[derive(Debug, Serialize)]
struct Later {
    at: String,
    #[serde(flatten)]
    moves: Moves,
}

/// What happens to units at one time; shares are of all units.
#[derive(Debug, PartialEq, Serialize)]
struct Moves {
    /// In before and after, in another variant.
    changes_variant: f64,
    /// In the same variant before and after, which does something else.
    changes_effect: f64,
    /// Out before, in after.
    enters: f64,
    /// In before, out after.
    leaves: f64,
    /// All four.
    moved: f64,
    /// What `changes_variant` is made of, the largest first.
    changes: Vec<Flow>,
    in_before: f64,
    in_after: f64,
}

/// A part of what a variant does, before and after; null where there is none.
#[derive(Debug, Serialize)]
struct Effect {
    variant: String,
    field: String,
    before: Value,
    after: Value,
}

/// Units that were in one variant and are in another.
#[derive(Debug, PartialEq, Serialize)]
struct Flow {
    from: String,
    to: String,
    share: f64,
}

impl Change {
    /// The largest share that moves, now or later.
    fn largest(&self) -> f64 {
        self.later.iter().map(|later| later.moves.moved).fold(self.now.moved, f64::max)
    }

    fn line(&self) -> String {
        let style = Style::stdout();
        let name = style.bold(&self.experiment);
        let is_all = self.effects.is_empty() && self.largest() == 0.0;
        let nobody = if is_all { "nobody moves" } else { "nobody moves now" };
        let mut text = format!("{name}: {}", self.now.line(self.exact, nobody, "were"));
        self.push_flows(&self.now, "  ", &mut text);
        let mut before = &self.now;
        for Later { at, moves } in &self.later {
            // What both configs do at that time is no difference of theirs.
            if moves.is_other_than(before) {
                let line = moves.line(self.exact, "nobody moves", "in the old config");
                text.push_str(&format!("\n  from {at} on: {line}"));
                self.push_flows(moves, "    ", &mut text);
            }
            before = moves;
        }
        for Effect { variant, field, before, after } in &self.effects {
            text.push_str(&format!("\n  {variant}: {field} is {}, was {}", shown(after), shown(before)));
        }
        for note in &self.notes {
            text.push_str(&format!("\n  {}", style.dim(note)));
        }
        text
    }

    fn push_flows(&self, moves: &Moves, indent: &str, text: &mut String) {
        let sign = if self.exact { "" } else { "~" };
        for Flow { from, to, share } in &moves.changes {
            text.push_str(&format!("\n{indent}{from} -> {to}: {sign}{}", percent(*share)));
        }
    }
}

impl Moves {
    fn line(&self, is_exact: bool, nobody: &str, were: &str) -> String {
        let sign = if is_exact { "" } else { "~" };
        let parts = [
            (self.changes_variant, "get another variant"),
            (self.changes_effect, "get something else by the same variant"),
            (self.enters, "come in"),
            (self.leaves, "leave"),
        ];
        let moves: Vec<String> = parts
            .into_iter()
            .filter(|(share, _)| *share > 0.0)
            .map(|(share, what)| format!("{sign}{} of all units {what}", percent(share)))
            .collect();
        let now = percent(self.in_after);
        let now = match (moves.is_empty(), percent(self.in_before)) {
            (true, _) => format!("{now} are in it"),
            (_, before) if before == now => format!("{now} are in it, as before"),
            (_, before) => format!("{now} are in it, {before} {were}"),
        };
        let moves = if moves.is_empty() { nobody.to_owned() } else { moves.join(", ") };
        format!("{moves}; {now}")
    }

    /// Whether other units move than before; how many are in it alone is no difference.
    fn is_other_than(&self, before: &Self) -> bool {
        let moves = |of: &Self| [of.changes_variant, of.changes_effect, of.enters, of.leaves].map(percent);
        moves(self) != moves(before)
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

/// The parts in which two values differ, by their places.
fn differences(place: &str, before: &Value, after: &Value, found: &mut impl FnMut(&str, &Value, &Value)) {
    let is_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    };
    if before == after || is_nothing(before) && is_nothing(after) {
        return;
    }
    let empty = serde_json::Map::new();
    let fields = |value: &'_ Value| match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Null => Some(empty.clone()),
        _ => None,
    };
    match (fields(before), fields(after)) {
        (Some(was), Some(is)) => {
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for name in names {
                let at = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                let of =
                    |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                differences(&at, &of(&was), &of(&is), found);
            }
        }
        _ => found(place, before, after),
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.6}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
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
    fn of(&self, id: &str) -> Change {
        let find = |side: &'_ Side| side.plan.find(id).map(|(_, experiment)| experiment.clone());
        let (old, new) = (find(self.old), find(self.new));
        let mut notes = Vec::new();
        let mut exact = true;
        let mut joint = self.held_in(old.as_ref(), new.as_ref());
        let (mut split, mut effects) = (None, Vec::new());
        let mut is_redrawn = false;
        match (&old, &new) {
            (Some(old), Some(new)) => {
                is_redrawn = self.old.sources(old) != self.new.sources(new);
                if is_redrawn {
                    exact = false;
                    joint = Joint::independent(joint.before, joint.after);
                    notes.push("the unit changed: everyone is drawn anew".to_owned());
                }
                split = Some(self.split(id, old, new, is_redrawn, &mut exact, &mut notes));
                effects = self.effects(id, new);
                self.compare_rest(id, &mut notes);
            }
            (None, Some(_)) => notes.push("a new experiment".to_owned()),
            _ => notes.push("no longer there".to_owned()),
        }
        let mut moves = |at: Timestamp| {
            let mut included = self.included(at, old.as_ref(), new.as_ref(), &mut exact, &mut notes);
            if is_redrawn {
                included = Joint::independent(included.before, included.after);
            }
            Moves::of(joint.and(included), split.as_ref(), &effects)
        };
        let now = moves(self.now);
        let boundaries = [self.old, self.new].into_iter().flat_map(|side| side.boundaries(id));
        let boundaries: BTreeSet<Timestamp> = boundaries.filter(|at| *at > self.now).collect();
        let later = boundaries.into_iter().map(|at| Later { at: at.to_string(), moves: moves(at) }).collect();
        Change { experiment: id.to_owned(), now, later, effects, exact, notes }
    }

    /// What the variants that both configs have do otherwise.
    fn effects(&self, id: &str, new: &Experiment) -> Vec<Effect> {
        let mut effects = Vec::new();
        for variant in new.variants() {
            let variant = variant.id();
            let (Some(before), Some(after)) = (self.old.effect(id, variant), self.new.effect(id, variant))
            else {
                continue;
            };
            differences("", &before, &after, &mut |field, before, after| {
                effects.push(Effect {
                    variant: variant.to_owned(),
                    field: field.to_owned(),
                    before: before.clone(),
                    after: after.clone(),
                });
            });
        }
        effects
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
        let left = |held: u32| f64::from(BUCKETS - held.min(BUCKETS)) / f64::from(BUCKETS);
        hashes.into_iter().fold(Joint { both: 1.0, before: 1.0, after: 1.0 }, |joint, hash| {
            let (old, new) = (of(&before, hash), of(&after, hash));
            joint.and(Joint { both: left(old.max(new)), before: left(old), after: left(new) })
        })
    }

    /// In an owned and active bucket of the layer, before and after.
    fn included(
        &self,
        at: Timestamp,
        old: Option<&Experiment>,
        new: Option<&Experiment>,
        exact: &mut bool,
        notes: &mut Vec<String>,
    ) -> Joint {
        let before = active(at, self.old, old);
        let after = active(at, self.new, new);
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
            let note = "the layer's salt changed: who is in is drawn anew";
            if !notes.iter().any(|known| known == note) {
                notes.push(note.to_owned());
            }
        }
        if !is_same {
            return Joint::independent(share_before, share_after);
        }
        let both = before.iter().zip(&after).filter(|(before, after)| **before && **after).count();
        Joint { both: both as f64 / all, before: share_before, after: share_after }
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
            before += u32::from(was.is_some());
            after += u32::from(is.is_some());
            if let (Some(was), Some(is)) = (was, is) {
                both += 1;
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
        if control(before) != control(after) {
            notes.push("another variant is the control: metrics and guardrails compare with it".to_owned());
        }
        if before.overrides != after.overrides {
            notes.push("allow-lists changed: their units are not in the shares".to_owned());
        }
    }
}

/// By layer bucket, whether a unit there is in at a time, whatever is targeted.
fn active(at: Timestamp, side: &Side, experiment: Option<&Experiment>) -> Vec<bool> {
    let mut active = vec![false; BUCKETS as usize];
    let Some(experiment) = experiment.filter(|e| e.is_live(at) && !side.plan.is_killed()) else {
        return active;
    };
    let now_active = experiment.active_buckets(at);
    let runs = side.plan.layer(experiment.layer()).into_iter().flat_map(|layer| layer.owned());
    for run in runs {
        let Some((owner, offset)) = run.owner else { continue };
        if side.plan.experiment(owner).is_none_or(|owner| owner.id() != experiment.id()) {
            continue;
        }
        let length = now_active.saturating_sub(offset).min(run.buckets.end - run.buckets.start);
        let start = run.buckets.start as usize;
        active[start..start + length as usize].fill(true);
    }
    active
}

impl Moves {
    /// Of the units that reach the split by `included`. Without a split there is nothing to compare: one of both is missing.
    fn of(included: Joint, split: Option<&SplitChange>, effects: &[Effect]) -> Self {
        let changes = split.map(|split| split.flows(included.both)).unwrap_or_default();
        let is_other = |variant: &&String| effects.iter().any(|effect| effect.variant == **variant);
        let kept = split.map(|split| &split.kept).into_iter().flatten();
        let other: f64 = kept.filter(|(variant, _)| is_other(variant)).map(|(_, share)| share).sum();
        let changes_effect = included.both * other;
        let joint = split.map_or(included, |split| included.and(split.joint));
        let changes_variant: f64 = changes.iter().map(|flow| flow.share).sum();
        let (enters, leaves) = (joint.after - joint.both, joint.before - joint.both);
        let tidy = |share: f64| if share.abs() <= NOTHING { 0.0 } else { share };
        Self {
            changes_variant: tidy(changes_variant),
            changes_effect: tidy(changes_effect),
            enters: tidy(enters),
            leaves: tidy(leaves),
            moved: tidy(changes_variant + changes_effect + enters + leaves),
            changes,
            in_before: joint.before,
            in_after: joint.after,
        }
    }
}

fn control(experiment: &wire::Experiment) -> Option<&str> {
    let marked = experiment.variants.iter().find(|variant| variant.control == Some(true));
    marked.or(experiment.variants.first()).map(|variant| variant.id.as_str())
}

struct SplitChange {
    /// In by the dialect's own allocation.
    joint: Joint,
    /// By variants before and after, which differ: the share of units that are in before and after.
    changes: BTreeMap<(String, String), f64>,
    /// By variant, the share of these units that keep it.
    kept: BTreeMap<String, f64>,
}

impl SplitChange {
    fn all_in() -> Self {
        let joint = Joint { both: 1.0, before: 1.0, after: 1.0 };
        Self { joint, changes: BTreeMap::new(), kept: BTreeMap::new() }
    }

    fn add(&mut self, (was, is): (&String, &String), share: f64) {
        if was == is {
            *self.kept.entry(was.clone()).or_default() += share;
        } else {
            *self.changes.entry((was.clone(), is.clone())).or_default() += share;
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
