//! `splitway diff`: who moves between two configs.
//!
//! A unit's place in an experiment is a function of independent buckets: one
//! per holdout, the layer's, the experiment's. So shares are products of counts
//! over 10,000 buckets, exact wherever both configs use the same hash. Where a
//! hash changed, the old bucket says nothing about the new one, and the product
//! of the two shares takes the place of the joint one: right on average over
//! hashes, so it is marked as an estimate.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
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
    let largest = changes.iter().map(|change| change.moved).fold(0.0, f64::max);
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
            let text = format!("{} move in one experiment, at most {} may", percent(largest), percent(most));
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
}

impl Side {
    fn read(path: &std::path::Path) -> Result<Self, crate::outcome::Failure> {
        let (document, plan) = Input::read(path)?.plan()?;
        Ok(Self { plan, config: read_wire(&document) })
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.plan.experiments().map(|(_, experiment)| experiment.id())
    }

    fn wire(&self, id: &str) -> Option<&wire::Experiment> {
        self.config.experiments.iter().find(|experiment| experiment.id == id)
    }

    fn sources(&self, experiment: &Experiment) -> &[splitway_engine::Source] {
        let layer = self.plan.layer(experiment.layer());
        layer.map(|layer| self.plan.sources(layer.chain())).unwrap_or_default()
    }
}

/// What happens to an experiment; shares are of all units.
#[derive(Debug, Serialize)]
struct Change {
    experiment: String,
    /// In before and after, in another variant.
    changes_variant: f64,
    /// Out before, in after.
    enters: f64,
    /// In before, out after.
    leaves: f64,
    /// All three.
    moved: f64,
    /// What `changes_variant` is made of, the largest first.
    changes: Vec<Flow>,
    in_before: f64,
    in_after: f64,
    /// False: an estimate, for the reasons in `notes`.
    exact: bool,
    notes: Vec<String>,
}

/// Units that were in one variant and are in another.
#[derive(Debug, Serialize)]
struct Flow {
    from: String,
    to: String,
    share: f64,
}

impl Change {
    fn line(&self) -> String {
        let style = Style::stdout();
        let name = style.bold(&self.experiment);
        let sign = if self.exact { "" } else { "~" };
        let parts =
            [(self.changes_variant, "get another variant"), (self.enters, "come in"), (self.leaves, "leave")];
        let moves: Vec<String> = parts
            .into_iter()
            .filter(|(share, _)| *share > 0.0)
            .map(|(share, what)| format!("{sign}{} of all units {what}", percent(share)))
            .collect();
        let now = percent(self.in_after);
        let now = match (moves.is_empty(), percent(self.in_before)) {
            (true, _) => format!("{now} are in it"),
            (_, before) if before == now => format!("{now} are in it, as before"),
            (_, before) => format!("{now} are in it, {before} were"),
        };
        let moves = if moves.is_empty() { "nobody moves".to_owned() } else { moves.join(", ") };
        let mut text = format!("{name}: {moves}; {now}");
        for Flow { from, to, share } in &self.changes {
            text.push_str(&format!("\n  {from} -> {to}: {sign}{}", percent(*share)));
        }
        for note in &self.notes {
            text.push_str(&format!("\n  {}", style.dim(note)));
        }
        text
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
        joint = joint.and(self.included(old.as_ref(), new.as_ref(), &mut exact, &mut notes));
        let mut changes = Vec::new();
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
            moved: tidy(changed + enters + leaves),
            changes,
            in_before: joint.before,
            in_after: joint.after,
            exact,
            notes,
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
        let left = |held: u32| f64::from(BUCKETS - held.min(BUCKETS)) / f64::from(BUCKETS);
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
            let length = now_active.saturating_sub(offset).min(run.buckets.end - run.buckets.start);
            let start = run.buckets.start as usize;
            active[start..start + length as usize].fill(true);
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
}

impl SplitChange {
    fn all_in() -> Self {
        Self { joint: Joint { both: 1.0, before: 1.0, after: 1.0 }, changes: BTreeMap::new() }
    }

    fn add(&mut self, (was, is): (&String, &String), share: f64) {
        if was != is {
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
