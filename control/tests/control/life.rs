//! Commands, phases, approvals.

use splitway_control::{Actor, Command, Gate, Phase, Rule, Time};

use crate::support::{World, ann, bob, plain, ramp};

fn id(text: &str) -> String {
    text.to_owned()
}

#[test]
fn from_draft_to_archive() {
    let mut world = World::new(&plain("button"));
    assert_eq!(world.phase("button"), Phase::Draft);
    assert_eq!(world.delivered("button"), None);
    world.enqueue("button");
    assert_eq!(world.phase("button"), Phase::Queued);
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Running);
    assert_eq!(world.delivered("button").as_deref(), Some("running 100%"));
    world.ask(&ann(), Command::Pause { experiment: id("button"), reason: id("lunch") });
    assert_eq!(world.delivered("button").as_deref(), Some("paused 100%"));
    world.ask(&ann(), Command::Resume { experiment: id("button") });
    world.ask(&ann(), Command::Complete { experiment: id("button") });
    assert_eq!(world.delivered("button"), None);
    world.ask(&ann(), Command::Archive { experiment: id("button") });
    assert_eq!(world.phase("button"), Phase::Archived);
    let kinds: Vec<String> = world
        .log
        .iter()
        .map(|(text, _)| {
            let event: serde_json::Value = serde_json::from_str(text).unwrap();
            event["body"]["kind"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "base_set",
            "defined",
            "composed",
            "source_changed",
            "enqueued",
            "started",
            "composed",
            "paused",
            "composed",
            "resumed",
            "composed",
            "completed",
            "composed",
            "archived"
        ]
    );
}

#[test]
fn an_id_is_used_once() {
    let mut world = World::new(&plain("button"));
    world.enqueue("button");
    world.wait(1_000);
    world.ask(&ann(), Command::Rollback { experiment: id("button"), reason: id("broken") });
    assert_eq!(world.refused(&ann(), Command::Enqueue { experiment: id("button") }), [Rule::Transition]);
    world.ask(&ann(), Command::Archive { experiment: id("button") });
    assert_eq!(world.refused(&ann(), Command::Enqueue { experiment: id("button") }), [Rule::Rerun]);
    // It is still in the folder, and stays what it is.
    world.intend(&plain("button"));
    assert_eq!(world.phase("button"), Phase::Archived);
    assert_eq!(world.refused(&ann(), Command::Enqueue { experiment: id("nobody") }), [Rule::Unknown]);
}

#[test]
fn an_approval_is_of_exactly_this_content_and_not_of_its_author() {
    let mut world = World::new(&plain("button"));
    world.policies("approvals: { start: 1 }");
    world.enqueue("button");
    world.wait(1_000);
    assert_eq!(world.held("button"), [Rule::Approval]);
    let hash = world.state.experiment("button").unwrap().definition.hash().to_owned();
    let approve =
        |hash: &str| Command::Approve { experiment: id("button"), hash: hash.into(), gate: Gate::Start };
    let author = Actor::person("gitta").unwrap();
    assert_eq!(world.refused(&author, approve(&hash)), [Rule::Approval]);
    assert_eq!(world.refused(&Actor::Schedule, approve(&hash)), [Rule::Approval]);
    assert_eq!(world.refused(&bob(), approve("0000000000000000")), [Rule::Stale]);
    world.ask(&bob(), approve(&hash));
    // An edit voids it.
    world.intend("  - { id: button, variants: [{ id: a }, { id: b }, { id: c }] }\n");
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Queued);
    assert_eq!(world.held("button"), [Rule::Approval]);
    world.approve(&bob(), "button", Gate::Start);
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Running);
}

#[test]
fn approvals_count_people_and_not_clicks() {
    let mut world = World::new(&plain("button"));
    world.policies("approvals: { start: 2 }");
    world.enqueue("button");
    world.approve(&bob(), "button", Gate::Start);
    world.approve(&bob(), "button", Gate::Start);
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Queued);
    world.approve(&ann(), "button", Gate::Start);
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Running);
}

#[test]
fn broken_glass_needs_a_reason_and_is_marked() {
    let mut world = World::new(&plain("button"));
    world.policies("approvals: { start: 3 }");
    world.enqueue("button");
    let glass = |reason: &str| Command::BreakGlass {
        experiment: id("button"),
        gate: Gate::Start,
        reason: reason.into(),
    };
    assert_eq!(world.refused(&ann(), glass(" ")), [Rule::Reason]);
    world.ask(&ann(), glass("the shop is down"));
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Running);
    let marked = &world.state.experiment("button").unwrap().approvals[0];
    assert_eq!((marked.broken_glass.as_deref(), &marked.by), (Some("the shop is down"), &ann()));
}

#[test]
fn rollback_and_kill_wait_for_nothing() {
    let mut world = World::new(
        &(ramp("one", "steps: [{ traffic: 5%, hold: 1d }, { traffic: 100%, approvals: 2 }]") + &plain("two")),
    );
    world.enqueue("one");
    world.enqueue("two");
    world.wait(1_000);
    let now = world.now;
    world.policies(&format!(
        "freeze: [{{ from: '{}', to: '{}', reason: holidays }}]\napprovals: {{ start: 9, ship: 9 }}",
        Time(now.0 - 1),
        Time(now.0 + 1_000_000)
    ));
    world.ask(&bob(), Command::Rollback { experiment: id("one"), reason: String::new() });
    assert_eq!(world.phase("one"), Phase::RolledBack);
    assert_eq!(world.delivered("one"), None);
    world.ask(&bob(), Command::Kill { reason: String::new() });
    let document = splitway_control::compose(&world.state).unwrap().unwrap();
    assert!(document.plan().is_killed());
    assert_eq!(world.refused(&bob(), Command::Revive { reason: String::new() }), [Rule::Reason]);
    world.ask(&bob(), Command::Revive { reason: id("it was the cache") });
    assert!(!splitway_control::compose(&world.state).unwrap().unwrap().plan().is_killed());
}

#[test]
fn what_is_not_in_the_table_is_refused() {
    let mut world = World::new(&plain("button"));
    let all = |experiment: String| {
        [
            Command::Dequeue { experiment: experiment.clone() },
            Command::Start { experiment: experiment.clone() },
            Command::Advance { experiment: experiment.clone() },
            Command::Pause { experiment: experiment.clone(), reason: String::new() },
            Command::Resume { experiment: experiment.clone() },
            Command::Rollback { experiment: experiment.clone(), reason: String::new() },
            Command::Ship { experiment: experiment.clone(), variant: id("b") },
            Command::Complete { experiment },
        ]
    };
    for command in all(id("button")) {
        assert_eq!(world.refused(&ann(), command.clone()), [Rule::Transition], "{command:?}");
    }
}

#[test]
fn a_running_experiment_keeps_its_definition() {
    let mut world = World::new(&plain("button"));
    world.enqueue("button");
    world.wait(1_000);
    let wanted = world.state.wanted().cloned();
    world.intend("  - { id: button, variants: [{ id: a, weight: 90 }, { id: b, weight: 10 }] }\n");
    let one = world.state.experiment("button").unwrap();
    assert!(one.edited.is_some());
    assert_eq!(world.state.wanted().cloned(), wanted);
    // Nothing new: no event.
    let before = world.state.seq();
    world.intend("  - { id: button, variants: [{ id: a, weight: 90 }, { id: b, weight: 10 }] }\n");
    assert_eq!(world.state.seq(), before);
}
