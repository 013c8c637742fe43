//! Every policy holds what it should and lets the rest pass.

use splitway_control::{Actor, Body, Command, Input, Intent, Phase, Policies, Rule, Time};

use crate::support::{DAY, World, ann, bob, plain, ramp};

#[test]
fn every_mistake_in_policies_has_its_place() {
    let text = "version: 2\nconcurency: {}\nlaunch: { facts: [ownr] }\nblast_radius: { first_step: 5 }\n\
                freeze: [{ from: monday, to: '2026-01-01T00:00:00Z', reason: x }]\n\
                budgets: [{ name: a, query: q, block: 0 }, { name: a, query: q }]\n\
                hygiene: { paused: soon }\nbreach: { alpha: 2 }\n";
    let problems = Policies::from_yaml(text).unwrap_err();
    let places: Vec<String> = problems.iter().map(|problem| problem.path.to_string()).collect();
    for place in [
        "version",
        "concurency",
        "launch.facts[0]",
        "blast_radius.first_step",
        "freeze[0].from",
        "budgets[0].block",
        "budgets[1].name",
        "hygiene.paused",
        "breach.alpha",
    ] {
        assert!(places.iter().any(|known| known == place), "{place} in {places:?}");
    }
    assert!(problems.iter().all(|problem| problem.span.is_some()));
}

#[test]
fn every_mistake_in_a_rollout_has_its_place() {
    let text = "version: 1\nunit: [{ cookie: uid }]\nexperiments:\n  - id: x\n    variants: [{ id: a }, { id: b }]\n    \
                rollout: { after: [x], share: 0%, steps: [{ traffic: 50%, hold: 3d }, { traffic: 5%, hold: never }], \
                decide: { at_most: 1d } }\n";
    let problems = Intent::from_yaml(text).unwrap_err();
    let places: Vec<String> = problems.iter().map(|problem| problem.path.to_string()).collect();
    for place in ["steps[1].traffic", "steps[1].hold", "share", "decide.at_most", "after"] {
        let place = format!("experiments[0].rollout.{place}");
        assert!(places.contains(&place), "{place} in {places:?}");
    }
    assert!(problems.iter().all(|problem| problem.span.is_some()));
}

#[test]
fn broken_policies_leave_those_in_force() {
    let mut world = World::new(&plain("button"));
    world.policies("concurrency: { total: 0 }");
    world.input(&ann(), Input::BrokenPolicies(vec!["line 1".into()]));
    assert_eq!(world.state.policies().total, Some(0));
    assert_eq!(world.state.broken().1, ["line 1"]);
    world.policies("concurrency: { total: 0 }");
    assert!(world.state.broken().1.is_empty());
}

#[test]
fn concurrency_by_total_team_and_layer() {
    let one = |id: &str, team: &str, layer: &str| {
        format!(
            "  - {{ id: {id}, team: {team}, layer: {layer}, variants: [{{ id: a }}, {{ id: b }}], rollout: {{ share: 10% }} }}\n"
        )
    };
    let all = one("a", "x", "l") + &one("b", "x", "m") + &one("c", "y", "l") + &one("d", "z", "n");
    for (policy, running) in [
        ("concurrency: { total: 2 }", vec!["a", "b"]),
        ("concurrency: { per_team: 1 }", vec!["a", "c", "d"]),
        ("concurrency: { per_layer: 1 }", vec!["a", "b", "d"]),
    ] {
        let mut world = World::new(&all);
        world.policies(policy);
        for id in ["a", "b", "c", "d"] {
            world.enqueue(id);
            world.wait(1_000);
        }
        let found: Vec<&str> =
            ["a", "b", "c", "d"].into_iter().filter(|id| world.phase(id) == Phase::Running).collect();
        assert_eq!(found, running, "{policy}");
    }
}

#[test]
fn launch_facts_refuse_an_enqueue_and_name_what_is_missing() {
    let mut world = World::new(
        &(plain("bare")
            + "  - { id: full, owner: ann, runbook: 'https://wiki/full', on_call: shop, rollback_contact: bob, \
               variants: [{ id: a }, { id: b }] }\n"),
    );
    world.policies("launch: { facts: [owner, runbook, on_call, rollback_contact] }");
    let refused = world.refused(&ann(), Command::Enqueue { experiment: "bare".into() });
    assert_eq!(refused, [Rule::LaunchFacts; 4]);
    world.enqueue("full");
    assert_eq!(world.state.hygiene(world.now).incomplete, ["bare"]);
}

#[test]
fn blast_radius_of_a_first_step_and_of_all() {
    let mut world = World::new(
        &(ramp("large", "steps: [{ traffic: 20% }]")
            + &ramp("small", "steps: [{ traffic: 5% }, { traffic: 40% }]")
            + &ramp("other", "steps: [{ traffic: 5% }, { traffic: 40% }]")),
    );
    world.policies("blast_radius: { first_step: 10%, at_risk: 50% }");
    assert_eq!(world.refused(&ann(), Command::Enqueue { experiment: "large".into() }), [Rule::BlastRadius]);
    world.enqueue("small");
    world.enqueue("other");
    world.wait(1_000);
    world.wait(1_000);
    let traffic: Vec<_> = ["small", "other"].iter().map(|id| world.delivered(id)).collect();
    assert!(traffic.contains(&Some("running 40%".into())) && traffic.contains(&Some("running 5%".into())));
    world.wait(1_000);
    assert_eq!(traffic, ["small", "other"].iter().map(|id| world.delivered(id)).collect::<Vec<_>>());
}

#[test]
fn large_steps_need_the_approvals_of_the_policy() {
    let mut world =
        World::new(&ramp("button", "steps: [{ traffic: 5% }, { traffic: 20% }, { traffic: 60% }]"));
    world.policies("approvals: { above: 50%, step: 1 }");
    world.enqueue("button");
    for _ in 0..5 {
        world.wait(1_000);
    }
    assert_eq!(world.delivered("button").as_deref(), Some("running 20%"));
    assert_eq!(world.held("button"), [Rule::Approval]);
    world.approve(&bob(), "button", splitway_control::Gate::Step(2));
    world.wait(1_000);
    assert_eq!(world.delivered("button").as_deref(), Some("running 60%"));
}

#[test]
fn a_freeze_holds_its_team_and_ends() {
    let one = |id: &str, team: &str| {
        format!("  - {{ id: {id}, team: {team}, variants: [{{ id: a }}, {{ id: b }}] }}\n")
    };
    let mut world = World::new(&(one("a", "x") + &one("b", "y")));
    let end = Time(world.now.0 + DAY);
    world.policies(&format!("freeze: [{{ from: '{}', to: '{end}', reason: audit, team: x }}]", world.now));
    world.enqueue("a");
    world.enqueue("b");
    world.wait(1_000);
    assert_eq!(world.held("a"), [Rule::Freeze]);
    assert_eq!(world.phase("b"), Phase::Running);
    world.wait(DAY);
    assert_eq!(world.phase("a"), Phase::Running);
}

#[test]
fn a_budget_that_burns_blocks_starts_then_rolls_ramps_back() {
    let mut world = World::new(
        &(ramp("ramping", "steps: [{ traffic: 5%, hold: 9d }, { traffic: 50% }]")
            + &plain("whole")
            + &plain("waits")),
    );
    world.policies("budgets: [{ name: shop, query: 'slo:current_burn_rate:ratio' }]");
    world.enqueue("ramping");
    world.enqueue("whole");
    world.wait(1_000);
    let burn = |rate| Input::Burn { budget: "shop".into(), rate: Some(rate) };
    world.input(&Actor::Budget, burn(1.7));
    world.enqueue("waits");
    world.wait(1_000);
    assert_eq!(world.held("waits"), [Rule::Budget]);
    assert_eq!(world.phase("ramping"), Phase::Running);
    let reaction = world.input(&Actor::Budget, burn(2.5));
    assert!(matches!(reaction.events[0].event.body, Body::BudgetChanged { level: 2, .. }));
    assert_eq!((world.phase("ramping"), world.phase("whole")), (Phase::RolledBack, Phase::Running));
    world.input(&Actor::Budget, burn(0.1));
    world.wait(1_000);
    assert_eq!(world.phase("waits"), Phase::Running);
}

#[test]
fn an_impossible_plan_is_refused_with_the_numbers() {
    let one = |id: &str, effect: &str, at_most: &str| {
        format!(
            "  - {{ id: {id}, variants: [{{ id: a }}, {{ id: b }}], analysis: {{ minimum_detectable_effect: {effect} }}, \
             rollout: {{ steps: [{{ traffic: 50% }}], decide: {{ at_most: {at_most} }} }} }}\n"
        )
    };
    let mut world =
        World::new(&(one("small", "0.001", "14d") + &one("large", "0.2", "14d") + &plain("unplanned")));
    world.policies("feasibility: { units_per_day: 1000, deviation: 1.0 }");
    assert_eq!(world.refused(&ann(), Command::Enqueue { experiment: "small".into() }), [Rule::Feasibility]);
    world.enqueue("large");
    world.enqueue("unplanned");
}

#[test]
fn a_queue_has_a_quota() {
    let mut world = World::new(&(plain("a") + &plain("b")));
    world.policies("concurrency: { queued: 1, total: 0 }");
    world.enqueue("a");
    assert_eq!(world.refused(&ann(), Command::Enqueue { experiment: "b".into() }), [Rule::Quota]);
}

#[test]
fn the_programme_counts_what_the_log_has() {
    let mut world = World::new(&(plain("a") + &plain("b") + &plain("c")));
    world.policies("hygiene: { undecided: 10d, cleanup: 5d }");
    for id in ["a", "b"] {
        world.enqueue(id);
    }
    world.wait(1_000);
    world.wait(4 * DAY);
    let verdict = splitway_control::Verdict {
        code: splitway_control::VerdictCode::Ship,
        variant: Some("b".into()),
        decision: "It won.".into(),
        inputs: "00".into(),
    };
    world.input(&Actor::Verdict, Input::Verdict { experiment: "a".into(), verdict });
    world.approve(&bob(), "a", splitway_control::Gate::Ship);
    world.ask(&ann(), Command::Ship { experiment: "a".into(), variant: "b".into() });
    world.ask(&ann(), Command::Rollback { experiment: "b".into(), reason: String::new() });
    world.ask(&ann(), Command::Archive { experiment: "b".into() });
    let figures = world.state.programme(world.now);
    assert_eq!((figures.started, figures.started_in_30_days, figures.ended_in_30_days), (2, 2, 2));
    assert_eq!((figures.mean_days_to_decide, figures.p90_days_to_decide), (Some(4.0), Some(4.0)));
    assert_eq!((figures.shipped, figures.rollbacks_per_hundred), (1, Some(50.0)));
    world.enqueue("c");
    world.wait(1_000);
    world.wait(11 * DAY);
    let hygiene = world.state.hygiene(world.now);
    assert_eq!((hygiene.undecided, hygiene.not_cleaned_up), (vec!["c".to_owned()], vec!["a".to_owned()]));
}
