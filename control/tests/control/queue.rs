//! What waits, and why.

use splitway_control::{Command, Phase, Rule, Time};

use crate::support::{World, ann, bob, plain, ramp};

fn layered(id: &str, share: &str, more: &str) -> String {
    format!(
        "  - {{ id: {id}, layer: page, variants: [{{ id: a }}, {{ id: b }}], {more} rollout: {{ share: {share} }} }}\n"
    )
}

#[test]
fn a_layer_is_shared_without_overlap() {
    let mut world = World::new(
        &(layered("one", "50%", "") + &layered("two", "30%", "") + &layered("three", "30%", "priority: 10,")),
    );
    for id in ["one", "two", "three"] {
        world.enqueue(id);
    }
    world.wait(1_000);
    assert_eq!(world.phase("one"), Phase::Running);
    assert_eq!(world.phase("two"), Phase::Running);
    assert_eq!(world.held("three"), [Rule::Layer]);
    let help = world.state.experiment("three").unwrap().held[0].help.clone();
    assert!(help.contains("expected 3000 free buckets, found 2000") && help.contains("one, two"), "{help}");
    let buckets = |world: &World, id: &str| world.state.experiment(id).unwrap().buckets.clone();
    assert_eq!(buckets(&world, "one"), [[0, 4_999]]);
    assert_eq!(buckets(&world, "two"), [[5_000, 7_999]]);
    world.ask(&ann(), Command::Rollback { experiment: "one".into(), reason: String::new() });
    world.wait(1_000);
    assert_eq!(world.phase("three"), Phase::Running);
    // The smallest run that is enough: the first 5,000 are left whole but for what is missing.
    assert_eq!(buckets(&world, "three"), [[0, 2_999]]);
}

#[test]
fn the_higher_priority_starts_first() {
    let mut world =
        World::new(&(layered("low", "100%", "priority: 1,") + &layered("top", "100%", "priority: 99,")));
    world.enqueue("low");
    world.enqueue("top");
    world.wait(1_000);
    assert_eq!((world.phase("low"), world.phase("top")), (Phase::Queued, Phase::Running));
    assert_eq!(world.held("low"), [Rule::Layer]);
}

#[test]
fn written_buckets_wait_for_who_holds_them() {
    let one = |id: &str, buckets: &str| {
        format!(
            "  - {{ id: {id}, layer: page, buckets: [{buckets}], variants: [{{ id: a }}, {{ id: b }}] }}\n"
        )
    };
    let mut world =
        World::new(&(one("x", "[0, 5999]") + &one("y", "[5000, 9999]") + &one("z", "[6000, 6999]")));
    for id in ["x", "y", "z"] {
        world.enqueue(id);
    }
    world.wait(1_000);
    assert_eq!(
        (world.phase("x"), world.phase("y"), world.phase("z")),
        (Phase::Running, Phase::Queued, Phase::Running)
    );
    assert_eq!(world.held("y"), [Rule::Layer]);
}

#[test]
fn after_another_has_ended() {
    let mut world = World::new(&(plain("first") + &ramp("second", "after: [first, nobody]")));
    world.enqueue("first");
    world.enqueue("second");
    world.wait(1_000);
    assert_eq!(world.held("second"), [Rule::After, Rule::After]);
    world.intend(&(plain("first") + &ramp("second", "after: [first]")));
    world.wait(1_000);
    assert_eq!(world.held("second"), [Rule::After]);
    world.ask(&ann(), Command::Complete { experiment: "first".into() });
    world.ask(&ann(), Command::Archive { experiment: "first".into() });
    world.wait(1_000);
    assert_eq!(world.phase("second"), Phase::Running);
}

#[test]
fn two_that_act_on_the_same_thing_wait_for_each_other() {
    let one = |id: &str, what: &str, path: &str| {
        format!(
            "  - {{ id: {id}, targeting: {{ path: {{ prefix: {path} }} }}, variants: [{{ id: a }}, {{ id: b, {what} }}] }}\n"
        )
    };
    let route = "route: { cluster: next }";
    let header = "request_headers: { set: { x-new: 'yes' } }";
    let mut world = World::new(
        &(one("a", route, "/shop")
            + &one("b", route, "/shop/cart")
            + &one("c", route, "/blog")
            + &one("d", header, "/shop")
            + &one("e", header, "/")),
    );
    for id in ["a", "b", "c", "d", "e"] {
        world.enqueue(id);
        world.wait(1_000);
    }
    let phases: Vec<Phase> = ["a", "b", "c", "d", "e"].iter().map(|id| world.phase(id)).collect();
    assert_eq!(phases, [Phase::Running, Phase::Queued, Phase::Running, Phase::Running, Phase::Queued]);
    let held = &world.state.experiment("b").unwrap().held;
    assert_eq!((held[0].code, held[0].place.as_str()), (Rule::Conflict, "a"));
    assert!(held[0].help.contains("cluster"), "{}", held[0].help);
    let held = &world.state.experiment("e").unwrap().held;
    assert_eq!((held[0].code, held[0].place.as_str()), (Rule::Conflict, "d"));
    world.ask(&ann(), Command::Rollback { experiment: "a".into(), reason: String::new() });
    world.wait(1_000);
    assert_eq!(world.phase("b"), Phase::Running);
}

#[test]
fn a_waiting_one_lists_every_rule_that_holds_it() {
    let mut world = World::new(
        &(plain("busy") + &ramp("held", "after: [busy], steps: [{ traffic: 10%, approvals: 1 }]")),
    );
    world.enqueue("busy");
    world.wait(1_000);
    let end = Time(world.now.0 + 5_000);
    world.policies(&format!(
        "concurrency: {{ total: 1 }}\nfreeze: [{{ from: '{}', to: '{end}', reason: the sale }}]\n\
         budgets: [{{ name: shop, query: up }}]",
        world.now
    ));
    let burn = |rate| splitway_control::Input::Burn { budget: "shop".into(), rate };
    world.input(&splitway_control::Actor::Budget, burn(Some(1.6)));
    world.input(&splitway_control::Actor::Budget, burn(Some(f64::NAN)));
    world.input(&splitway_control::Actor::Budget, burn(None));
    world.enqueue("held");
    world.wait(1_000);
    let rules = [Rule::After, Rule::Concurrency, Rule::Freeze, Rule::Budget, Rule::Approval];
    assert_eq!(world.held("held"), rules);
    for reason in &world.state.experiment("held").unwrap().held {
        assert!(!reason.place.is_empty() && reason.help.len() > 20, "{reason:?}");
    }
    // Asking for it at once gives the same reasons.
    assert_eq!(world.refused(&ann(), Command::Start { experiment: "held".into() }), rules);
    // The same reasons are one event, however often they are looked at.
    let before = world.state.seq();
    world.wait(1_000);
    world.wait(1_000);
    assert_eq!(world.state.seq(), before);
    world.ask(&ann(), Command::Complete { experiment: "busy".into() });
    world.input(&splitway_control::Actor::Budget, burn(Some(0.5)));
    world.approve(&bob(), "held", splitway_control::Gate::Start);
    world.wait(10_000);
    assert_eq!(world.phase("held"), Phase::Running);
}

#[test]
fn what_leaves_the_folder_leaves_the_queue_and_what_runs_stays() {
    let mut world = World::new(&(plain("runs") + &plain("waits")));
    world.enqueue("runs");
    world.wait(1_000);
    world.enqueue("waits");
    world.intend("  []\n");
    assert_eq!((world.phase("runs"), world.phase("waits")), (Phase::Running, Phase::Archived));
}
