//! The rules that hold a start or a step: each one a function that gives its reason.

use std::collections::BTreeSet;

use splitway_stats::power::{Design, units_for_means};

use super::Turn;
use crate::event::{Body, Condition, Gate};
use crate::intent::Definition;
use crate::phase::Phase;
use crate::rollout::WHOLE;
use crate::rules::{Reason, Rule};
use crate::state::Experiment;

const DAY_MS: f64 = 86_400_000.0;

/// The logarithm that evidence of harm must exceed: shared by all comparisons of the experiment, and higher after each
/// breach after which a person resumed it.
pub(super) fn limit_of(one: &Experiment, alpha: f64) -> f64 {
    let comparisons =
        f64::from(u16::try_from(one.definition.wire().variants.len()).unwrap_or(u16::MAX).max(2));
    let comparisons = (comparisons - 1.0) * 2.0;
    (comparisons / alpha).ln() * f64::from(one.breaches.saturating_add(1))
}

impl Turn<'_> {
    /// What lets a queued experiment start, or every rule that holds it.
    pub(super) fn start(&mut self, id: &str) -> Result<Body, Vec<Reason>> {
        let Some(one) = self.state.experiment(id).cloned() else { return Err(Vec::new()) };
        let definition = one.definition.clone();
        let rollout = definition.rollout();
        let mut reasons = self.hopeless(id);
        reasons.extend(self.is_killed());
        reasons.extend(self.waits_for(&definition));
        reasons.extend(self.crowded(&definition));
        reasons.extend(self.frozen(&definition, "starts"));
        reasons.extend(self.budget_burns(1, "starts"));
        let asked = rollout.step(0).map_or(0, |step| step.approvals);
        let needed = asked.max(self.state.policies().start_approvals);
        reasons.extend(self.lacks_approvals(&one, Gate::Start, needed));
        let share = rollout.step(0).map_or(WHOLE, |step| step.share);
        let buckets = self.allocate(&definition);
        reasons.extend(buckets.as_ref().err().cloned());
        let owned = buckets.as_ref().map_or(rollout.share, |ranges| size(ranges));
        reasons.extend(self.at_risk(id, part(owned, share)));
        let Ok(buckets) = buckets else { return Err(reasons) };
        let traffic = rollout.step(0).map_or_else(String::new, |step| step.traffic.clone());
        let (experiment, hash) = (id.to_owned(), definition.hash().to_owned());
        // A layer that it owns whole by itself needs no ranges.
        let is_whole = buckets == [[0, WHOLE.saturating_sub(1)]] && definition.wire().buckets.is_empty();
        let buckets = if is_whole { Vec::new() } else { buckets };
        let body = Body::Started { experiment, hash, buckets, traffic };
        // Compiling is the costly rule: it is asked again when another document is wanted, or nothing else holds.
        let wanted = self.state.wanted().map(|wanted| wanted.document.as_str());
        let earlier: Vec<Reason> = one.held.iter().filter(|reason| is_costly(reason.code)).cloned().collect();
        let is_known = !one.held.is_empty() && one.held_under.as_deref() == wanted;
        if is_known && (!reasons.is_empty() || !earlier.is_empty()) {
            reasons.extend(earlier);
        } else {
            reasons.extend(self.meets(id, &body));
        }
        if reasons.is_empty() { Ok(body) } else { Err(reasons) }
    }

    /// What begins the next step, or every rule that holds it. `at_once`: the time that the present step must last is
    /// not waited for.
    pub(super) fn advance(&mut self, id: &str, at_once: bool) -> Result<Body, Vec<Reason>> {
        let Some(one) = self.state.experiment(id).cloned() else { return Err(Vec::new()) };
        let rollout = one.definition.rollout();
        let next = one.step.saturating_add(1);
        if rollout.is_last(one.step) {
            return Err(vec![Reason::new(Rule::LastStep, id, "the last step has no next one")]);
        }
        let (Some(present), Some(step)) = (rollout.step(one.step), rollout.step(next)) else {
            return Err(Vec::new());
        };
        let place = |index: u32, field: &str| format!("rollout.steps[{index}].{field}");
        let mut reasons: Vec<Reason> = self.is_killed().into_iter().collect();
        if !at_once && one.lasted(self.now) < present.hold {
            let until = one.since.plus(present.hold.saturating_sub(one.lasted));
            let help = format!("the step lasts until {until}");
            reasons.push(Reason::new(Rule::Hold, place(one.step, "hold"), help));
        }
        let variants = one.definition.wire().variants.iter();
        let units = variants.map(|variant| self.evidence.units(id, &variant.id)).min().unwrap_or_default();
        if units < present.units_per_arm {
            let help = format!(
                "expected {} units in every arm, found {units}; wait, or raise the traffic by hand",
                present.units_per_arm
            );
            reasons.push(Reason::new(Rule::Units, place(one.step, "until"), help));
        }
        let policies = self.state.policies();
        let by_policy = if step.share > policies.large_step { policies.step_approvals } else { 0 };
        reasons.extend(self.lacks_approvals(&one, Gate::Step(next), step.approvals.max(by_policy)));
        reasons.extend(self.frozen(&one.definition, "grows"));
        reasons.extend(self.budget_burns(2, "grows"));
        reasons.extend(self.no_data());
        reasons.extend(self.at_risk(id, part(owned(&one), step.share)));
        let body =
            Body::Advanced { experiment: id.to_owned(), step: next, traffic: step.traffic.clone(), units };
        if reasons.is_empty() {
            reasons.extend(self.meets(id, &body));
        }
        if reasons.is_empty() { Ok(body) } else { Err(reasons) }
    }

    /// What no waiting will change: why the experiment must not even enter the queue.
    pub(super) fn hopeless(&self, id: &str) -> Vec<Reason> {
        let Some(one) = self.state.experiment(id) else { return Vec::new() };
        let definition = &one.definition;
        let mut reasons = missing_facts(definition, &self.state.policies().facts);
        let policies = self.state.policies();
        let rollout = definition.rollout();
        if let Some(first) = rollout.step(0)
            && first.share > policies.first_step
        {
            let help = format!(
                "expected at most {} in a first step, found {}; begin with less",
                percent(policies.first_step),
                first.traffic
            );
            reasons.push(Reason::new(Rule::BlastRadius, "rollout.steps[0].traffic", help));
        }
        reasons.extend(self.infeasible(definition));
        let waiting =
            self.state.experiments().filter(|(other, one)| one.phase == Phase::Queued && *other != id);
        if let Some(most) = policies.queued
            && one.phase == Phase::Draft
            && waiting.count() >= usize::try_from(most).unwrap_or(usize::MAX)
        {
            reasons.push(Reason::new(Rule::Quota, "concurrency.queued", format!("{most} wait already")));
        }
        reasons
    }

    /// Whether the effect that is worth finding can be found in time with the traffic that there is.
    fn infeasible(&self, definition: &Definition) -> Option<Reason> {
        let policies = self.state.policies();
        let units_per_day = policies.units_per_day?;
        let analysis = definition.wire().analysis.as_ref()?;
        let effect = analysis.minimum_detectable_effect?;
        let design = Design {
            alpha: analysis.alpha.unwrap_or(0.05),
            power: analysis.power.unwrap_or(0.8),
            ratio: 1.0,
        };
        let by_power = units_for_means(effect, (policies.deviation, policies.deviation), &design).ok()?;
        let fewest = analysis.min_units_per_arm.unwrap_or(0) as f64;
        let rollout = definition.rollout();
        let smallest = definition.shares().into_iter().map(|(_, share)| share).fold(1.0, f64::min);
        let last = rollout.steps.last().map_or(WHOLE, |step| step.share);
        let daily = units_per_day as f64 * f64::from(part(rollout.share, last)) / f64::from(WHOLE) * smallest;
        let days = rollout.at_most as f64 / DAY_MS;
        let needed = by_power.max(fewest);
        if daily * days >= needed {
            return None;
        }
        let help = format!(
            "expected {needed:.0} units in the smallest arm for an effect of {effect}, found {:.0} in {days:.0} days; \
             plan more traffic, more time or a larger effect",
            daily * days
        );
        Some(Reason::new(Rule::Feasibility, "rollout.decide.at_most", help))
    }

    fn is_killed(&self) -> Option<Reason> {
        self.state.is_killed().then(|| {
            Reason::new(Rule::Killed, "kill_switch", "everything is switched off; revive it when it is safe")
        })
    }

    fn waits_for(&self, definition: &Definition) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for (index, other) in definition.rollout().after.iter().enumerate() {
            let help = match self.state.experiment(other) {
                None if self.state.archived(other).is_some() => continue,
                None => format!("there is no experiment `{other}`; define it, or take it out of `after`"),
                Some(one) if matches!(one.phase, Phase::Completed | Phase::RolledBack) => continue,
                Some(one) => {
                    format!("`{other}` is {}; this one starts when it has ended", one.phase.as_str())
                }
            };
            reasons.push(Reason::new(Rule::After, format!("rollout.after[{index}]"), help));
        }
        reasons
    }

    fn crowded(&self, definition: &Definition) -> Vec<Reason> {
        let policies = self.state.policies();
        let running: Vec<&Experiment> = self
            .state
            .experiments()
            .map(|(_, one)| one)
            .filter(|one| matches!(one.phase, Phase::Running | Phase::Paused | Phase::Decided))
            .collect();
        let count = |is_alike: &dyn Fn(&Definition) -> bool| {
            running.iter().filter(|one| is_alike(&one.definition)).count()
        };
        let team = definition.team();
        let limits = [
            ("concurrency.total", policies.total, running.len(), String::new()),
            (
                "concurrency.per_team",
                policies.per_team.filter(|_| team.is_some()),
                count(&|other| other.team() == team),
                team.map(|team| format!(" of team {team}")).unwrap_or_default(),
            ),
            (
                "concurrency.per_layer",
                policies.per_layer,
                count(&|other| other.layer() == definition.layer()),
                format!(" in layer {}", definition.layer()),
            ),
        ];
        let mut reasons = Vec::new();
        for (place, most, found, of) in limits {
            if let Some(most) = most.filter(|most| found >= usize::try_from(*most).unwrap_or(usize::MAX)) {
                let help = format!("{found} experiments{of} run, at most {most} may; wait until one ends");
                reasons.push(Reason::new(Rule::Concurrency, place, help));
            }
        }
        reasons
    }

    fn frozen(&self, definition: &Definition, what: &str) -> Option<Reason> {
        let now = self.now;
        let freezes = self.state.policies().freezes.iter().enumerate();
        let is_for = |team: Option<&str>| team.is_none() || team == definition.team();
        let mut held = freezes
            .filter(|(_, freeze)| freeze.from <= now && now < freeze.to && is_for(freeze.team.as_deref()));
        let (index, freeze) = held.next()?;
        let help = format!("nothing {what} until {}: {}", freeze.to, freeze.reason);
        Some(Reason::new(Rule::Freeze, format!("freeze[{index}]"), help))
    }

    fn budget_burns(&self, from: u8, what: &str) -> Vec<Reason> {
        let burning = self.state.budgets().iter().filter(|(_, level)| **level >= from);
        let reason = |(name, level): (&String, &u8)| {
            let help = format!("error budget {name} burns at level {level}; nothing {what} until it is calm");
            Reason::new(Rule::Budget, format!("budgets.{name}"), help)
        };
        burning.map(reason).collect()
    }

    /// No data never pass: why nothing fresh is there.
    fn no_data(&self) -> Option<Reason> {
        let sources = self.state.sources();
        if sources.values().any(|(condition, _)| *condition == Condition::Fresh) {
            return None;
        }
        let Some((source, (condition, since))) = sources.iter().next() else {
            return Some(Reason::new(Rule::NoData, "evidence", "no source of evidence has answered yet"));
        };
        let found = match condition {
            Condition::Fresh => return None,
            Condition::Empty => "answers and holds nothing",
            Condition::NotANumber => "answers with something that is not a number",
            Condition::Gap => "has a gap: its latest data are old",
            Condition::Dead => "does not answer",
        };
        Some(Reason::new(
            Rule::NoData,
            source,
            format!("{source} {found} since {since}; nothing grows until it does"),
        ))
    }

    pub(super) fn lacks_approvals(&self, one: &Experiment, gate: Gate, needed: u32) -> Option<Reason> {
        let (given, is_broken) = one.approvals(gate);
        let missing = usize::try_from(needed).unwrap_or(usize::MAX).saturating_sub(given);
        if missing == 0 || is_broken {
            return None;
        }
        let place = match gate {
            Gate::Start => "start".to_owned(),
            Gate::Step(step) => format!("rollout.steps[{step}]"),
            Gate::Ship => "ship".to_owned(),
        };
        let help = format!(
            "expected {needed} approvals of {}, found {given}; somebody else than {} gives them",
            one.definition.hash(),
            one.author
        );
        Some(Reason::new(Rule::Approval, place, help))
    }

    /// Whether too many units would be in experiments that are not yet decided.
    fn at_risk(&self, id: &str, own: u32) -> Option<Reason> {
        let most = self.state.policies().at_risk;
        let others =
            self.state.experiments().filter(|(other, one)| *other != id && one.phase == Phase::Running);
        let share = |one: &Experiment| {
            let step = one.definition.rollout().step(one.step).map_or(WHOLE, |step| step.share);
            part(owned(one), step)
        };
        let sum = others.map(|(_, one)| share(one)).fold(own, u32::saturating_add);
        if sum <= most {
            return None;
        }
        let help = format!("{} of all units would be at risk, at most {} may", percent(sum), percent(most));
        Some(Reason::new(Rule::BlastRadius, "blast_radius.at_risk", help))
    }

    /// The buckets that it gets, as inclusive ranges.
    fn allocate(&self, definition: &Definition) -> Result<Vec<[u32; 2]>, Reason> {
        let layer = definition.layer();
        let mut taken = vec![false; WHOLE as usize];
        let mut holders = BTreeSet::new();
        let in_layer = self.state.experiments().filter(|(_, one)| {
            one.phase.holds_buckets()
                && one.definition.layer() == layer
                && (one.phase != Phase::Completed || one.shipped.is_some())
        });
        for (id, one) in in_layer {
            holders.insert(id);
            let own = if one.buckets.is_empty() { &one.definition.wire().buckets } else { &one.buckets };
            if own.is_empty() {
                taken.fill(true);
            }
            for [first, last] in own {
                taken.get_mut(*first as usize..=*last as usize).unwrap_or_default().fill(true);
            }
        }
        let place = format!("layer {layer}");
        let who = || holders.iter().copied().collect::<Vec<_>>().join(", ");
        let written = &definition.wire().buckets;
        if !written.is_empty() {
            let collides = written.iter().any(|[first, last]| {
                taken.get(*first as usize..=*last as usize).is_none_or(|range| range.contains(&true))
            });
            if collides {
                let help = format!("its buckets are held by {}; it starts when they are free", who());
                return Err(Reason::new(Rule::Layer, place, help));
            }
            return Ok(written.clone());
        }
        let wanted = definition.rollout().share;
        let (ranges, left) = free(&taken, wanted);
        if left > 0 {
            let found = wanted.saturating_sub(left);
            let help = format!(
                "expected {wanted} free buckets, found {found}; {} holds the others: wait until it is archived or \
                 rolled back, or ask for a smaller `rollout.share`",
                who()
            );
            return Err(Reason::new(Rule::Layer, place, help));
        }
        Ok(ranges)
    }

    /// Whether the document with it compiles, leaves everyone in their variant, and nothing that runs acts on the
    /// same thing.
    fn meets(&mut self, id: &str, body: &Body) -> Vec<Reason> {
        let changes = match self.attempt(body.clone()) {
            Ok(changes) => changes,
            Err(reason) => return vec![reason],
        };
        let mut reasons = Vec::new();
        for change in changes.iter().filter(|change| change.changes_variant > 0.0 || change.leaves > 0.0) {
            let help = format!(
                "{:.4}% of all units would change their variant and {:.4}% would leave",
                change.changes_variant * 100.0,
                change.leaves * 100.0
            );
            reasons.push(Reason::new(Rule::Flip, &change.experiment, help));
        }
        if matches!(body, Body::Started { .. }) {
            reasons.extend(self.contends(id, body));
        }
        reasons
    }

    fn contends(&self, id: &str, body: &Body) -> Vec<Reason> {
        let mut trial = Turn::new(&self.state, self.evidence, self.now);
        trial.emit(&crate::actor::Actor::Schedule, body.clone());
        let Some(document) = trial.document() else { return Vec::new() };
        let plan = document.plan();
        let name = |handle| plan.experiment(handle).map_or("", |experiment| experiment.id());
        let mut reasons = Vec::new();
        for contention in plan.contentions() {
            let (first, second) = (name(contention.first), name(contention.second));
            let other = match (first == id, second == id) {
                (true, _) => second,
                (_, true) => first,
                _ => continue,
            };
            let help = format!(
                "`{other}` runs and acts on the same thing for the same requests: {}; wait until it ends, put both into \
                 one layer, or tell their requests apart by `targeting`",
                contention.things.join(", ")
            );
            reasons.push(Reason::new(Rule::Conflict, other, help));
        }
        reasons
    }
}

/// The rules that need a compiled document.
fn is_costly(code: Rule) -> bool {
    matches!(code, Rule::Conflict | Rule::Compile | Rule::Flip)
}

/// Free ranges that hold `wanted` buckets, and how many are missing. The smallest run that is enough keeps the large
/// ones whole.
fn free(taken: &[bool], wanted: u32) -> (Vec<[u32; 2]>, u32) {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (bucket, _) in (0_u32..).zip(taken).filter(|(_, taken)| !**taken) {
        match runs.last_mut() {
            Some((_, end)) if *end == bucket => *end = bucket.saturating_add(1),
            _ => runs.push((bucket, bucket.saturating_add(1))),
        }
    }
    let length = |run: &(u32, u32)| run.1.saturating_sub(run.0);
    let best = runs.iter().filter(|run| length(run) >= wanted).min_by_key(|run| length(run)).copied();
    let (mut ranges, mut left) = (Vec::new(), wanted);
    for run in best.map_or(runs, |best| vec![best]) {
        if left == 0 {
            break;
        }
        let size = length(&run).min(left);
        left = left.saturating_sub(size);
        ranges.push([run.0, run.0.saturating_add(size).saturating_sub(1)]);
    }
    (ranges, left)
}

fn size(ranges: &[[u32; 2]]) -> u32 {
    let length = |[first, last]: &[u32; 2]| last.saturating_sub(*first).saturating_add(1);
    ranges.iter().map(length).fold(0, u32::saturating_add)
}

/// Buckets of its layer that an experiment holds.
fn owned(one: &Experiment) -> u32 {
    let own = if one.buckets.is_empty() { &one.definition.wire().buckets } else { &one.buckets };
    if own.is_empty() { WHOLE } else { size(own) }
}

/// The part `share` of `of`, in ten thousandths.
fn part(of: u32, share: u32) -> u32 {
    u32::try_from(u64::from(of).saturating_mul(u64::from(share)).div_ceil(u64::from(WHOLE)))
        .unwrap_or(u32::MAX)
}

fn percent(share: u32) -> String {
    let (whole, rest) = (share / 100, share % 100);
    if rest == 0 { format!("{whole}%") } else { format!("{whole}.{rest:02}%") }
}

/// The registry facts that a start needs and that are not written.
pub(crate) fn missing_facts(definition: &Definition, facts: &[String]) -> Vec<Reason> {
    let wire = definition.wire();
    let text = |fact: &Option<String>| fact.as_deref().is_some_and(|text| !text.trim().is_empty());
    let mut reasons = Vec::new();
    for fact in facts {
        let is_there = match fact.as_str() {
            "owner" => text(&wire.owner),
            "team" => text(&wire.team),
            "hypothesis" => text(&wire.hypothesis),
            "on_call" => text(&wire.on_call),
            "runbook" => text(&wire.runbook),
            "rollback_contact" => text(&wire.rollback_contact),
            "metrics" => wire.metrics.as_ref().is_some_and(|metrics| text(&metrics.primary)),
            "guardrails" => {
                !wire.guardrails.is_empty()
                    || wire.metrics.as_ref().is_some_and(|metrics| !metrics.guardrails.is_empty())
            }
            "analysis" => wire.analysis.is_some(),
            "rollout" => wire.rollout.is_some(),
            _ => true,
        };
        if !is_there {
            let help = format!("the launch policy asks for `{fact}`; add it to the experiment");
            reasons.push(Reason::new(Rule::LaunchFacts, fact, help));
        }
    }
    reasons
}
