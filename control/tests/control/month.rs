//! A month in the life of twenty people: thirty experiments that conflict, breach, lose their data and crash the
//! controller. Each ends as its truth has it, or is held for a stated reason.

use std::collections::BTreeMap;

use fastrand::Rng;
use splitway_control::{
    Actor, Body, Cause, Command, Condition, Event, Evidence, Input, Phase, Rule, State, Verdict, VerdictCode,
};

use crate::support::{DAY, World, ann, bob};

const HOURS: i64 = 3 * 3_600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    /// It helps.
    Good,
    /// It changes nothing.
    Null,
    /// Its variant fails.
    Broken,
    /// It cannot be decided in time.
    Impossible,
    /// It waits for somebody who never comes.
    Unapproved,
}

fn truth(number: usize) -> Truth {
    match number % 10 {
        0..=3 => Truth::Good,
        4..=6 => Truth::Null,
        7 => Truth::Broken,
        8 => Truth::Impossible,
        _ => Truth::Unapproved,
    }
}

fn id(number: usize) -> String {
    format!("exp-{number}")
}

fn definition(number: usize) -> String {
    let approvals = if truth(number) == Truth::Unapproved { 1 } else { 0 };
    let effect = if truth(number) == Truth::Impossible { "0.0005" } else { "0.1" };
    // A third shares one layer, a sixth acts on the same cluster, the others are alone.
    let (layer, route, share) = match number % 6 {
        0 | 3 => ("layer: page, ", "", "share: 40%, "),
        1 => ("", ", route: { cluster: next }", ""),
        _ => ("", "", ""),
    };
    format!(
        "  - {{ id: {}, team: team-{}, owner: person-{number}, {layer}variants: [{{ id: a }}, {{ id: b{route} }}], \
         analysis: {{ minimum_detectable_effect: {effect} }}, rollout: {{ {share}steps: [{{ traffic: 5%, hold: 4h }}, \
         {{ traffic: 25%, hold: 8h, until: {{ units_per_arm: 50 }} }}, {{ traffic: 100%, approvals: {approvals} }}], \
         decide: {{ at_most: 14d, ship: automatic }} }} }}\n",
        id(number),
        number % 7,
    )
}

/// Three hours of traffic of what runs, on two proxies; the totals are what the proxies' counters show.
fn traffic(
    world: &mut World,
    random: &mut Rng,
    totals: &mut BTreeMap<(String, &'static str, &'static str), [u64; 2]>,
) {
    let running: Vec<(String, u32)> = world
        .state
        .experiments()
        .filter(|(_, one)| one.phase.takes_units())
        .map(|(id, one)| (id.to_owned(), one.definition.rollout().step(one.step).unwrap().share))
        .collect();
    for (id, share) in running {
        let number: usize = id.trim_start_matches("exp-").parse().unwrap();
        for proxy in ["p", "q"] {
            for variant in ["a", "b"] {
                let failing = if truth(number) == Truth::Broken && variant == "b" { 0.15 } else { 0.01 };
                let total = totals.entry((id.clone(), proxy, variant)).or_default();
                let units = u64::from(share) / 50 + 1;
                total[0] += units;
                total[1] += (0..units).filter(|_| random.f64() < failing).count() as u64;
                let [units, bad] = *total;
                world.count(proxy, &id, variant, units, bad);
            }
        }
    }
}

#[test]
fn every_experiment_ends_as_its_truth_has_it() {
    let mut random = Rng::with_seed(2_026);
    let mut world = World::new("  []\n");
    world.policies(
        "launch: { facts: [owner, team] }\nconcurrency: { total: 12, per_team: 3 }\n\
         feasibility: { units_per_day: 20000, deviation: 1.0 }\nblast_radius: { first_step: 10% }",
    );
    let all: String = (0..30).map(definition).collect();
    world.intend(&all);
    let mut refused = 0;
    for number in 0..30 {
        let reaction = world.input(&ann(), Input::Command(Command::Enqueue { experiment: id(number) }));
        let is_impossible = truth(number) == Truth::Impossible;
        let rules: Vec<Rule> =
            reaction.refusal.iter().flat_map(|all| &all.reasons).map(|one| one.code).collect();
        assert_eq!(rules, if is_impossible { vec![Rule::Feasibility] } else { vec![] }, "{number}");
        refused += usize::from(is_impossible);
    }
    assert_eq!(refused, 3);
    let mut totals = BTreeMap::new();
    for turn in 0..90 * 8 {
        // Some days the data are missing, and some hours the controller dies.
        let condition = match turn % 97 {
            0..=5 => Condition::Gap,
            6..=8 => Condition::Dead,
            _ => Condition::Fresh,
        };
        world.input(&Actor::Schedule, Input::Source { source: "admin".into(), condition });
        if random.u8(..50) == 0 {
            world.state = State::fold(world.log.clone()).unwrap();
            world.evidence = Evidence::default();
        }
        traffic(&mut world, &mut random, &mut totals);
        world.wait(HOURS);
        // A week at full traffic decides.
        let decided: Vec<String> = world
            .state
            .experiments()
            .filter(|(_, one)| {
                one.phase == Phase::Running && one.step == 2 && one.lasted(world.now) >= 7 * DAY as u64
            })
            .map(|(id, _)| id.to_owned())
            .collect();
        for experiment in decided {
            let number: usize = experiment.trim_start_matches("exp-").parse().unwrap();
            let is_good = truth(number) == Truth::Good;
            let verdict = Verdict {
                code: if is_good { VerdictCode::Ship } else { VerdictCode::DoNotShip },
                variant: is_good.then(|| "b".to_owned()),
                decision: "By the analysis.".into(),
                inputs: format!("{number:016x}"),
            };
            world.input(&Actor::Verdict, Input::Verdict { experiment, verdict });
        }
        let over: Vec<String> = world
            .state
            .experiments()
            .filter(|(_, one)| matches!(one.phase, Phase::Completed | Phase::RolledBack))
            .map(|(id, _)| id.to_owned())
            .collect();
        for experiment in over {
            world.ask(&bob(), Command::Archive { experiment });
        }
    }
    let mut causes: BTreeMap<String, Cause> = BTreeMap::new();
    for (text, _) in &world.log {
        let event: Event = serde_json::from_str(text).unwrap();
        if let Body::RolledBack { experiment, cause } = event.body {
            causes.insert(experiment, cause);
        }
    }
    for number in 0..30 {
        let id = id(number);
        let cause = causes.get(&id);
        let shipped = world.state.archived(&id).and_then(|one| one.shipped.as_deref());
        match truth(number) {
            Truth::Good => assert_eq!((shipped, cause), (Some("b"), None), "{id}"),
            Truth::Null => assert_eq!((shipped, cause), (None, Some(&Cause::Verdict)), "{id}"),
            Truth::Broken => {
                assert_eq!((shipped, cause), (None, Some(&Cause::Breach { variant: "b".into() })), "{id}");
            }
            Truth::Impossible => assert_eq!(world.phase(&id), Phase::Draft, "{id}"),
            // Its last step lacks an approval, and its time ran out.
            Truth::Unapproved => assert_eq!((shipped, cause), (None, Some(&Cause::Deadline)), "{id}"),
        }
    }
    assert_eq!(State::fold(world.log.clone()).unwrap(), world.state);
    let figures = world.state.programme(world.now);
    assert_eq!((figures.started, figures.shipped), (27, 12));
}
