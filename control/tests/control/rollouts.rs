//! Steps, deadlines, verdicts.

use splitway_control::{
    Actor, Body, Command, Condition, Gate, Input, Phase, Reaction, Rule, Verdict, VerdictCode,
};

use crate::support::{DAY, MINUTE, World, ann, bob, plain, ramp};

const STEPS: &str = "steps: [{ traffic: 5%, hold: 30m }, { traffic: 25%, until: { units_per_arm: 100 } }, \
                     { traffic: 100%, approvals: 1 }]";

fn moved(reaction: &Reaction) -> Vec<splitway_control::Moved> {
    let of = reaction.events.iter().rev().find_map(|sealed| match &sealed.event.body {
        Body::Composed { changes, .. } => Some(changes.clone()),
        _ => None,
    });
    of.unwrap()
}

fn verdict(code: VerdictCode, variant: Option<&str>) -> Input {
    let verdict = Verdict {
        code,
        variant: variant.map(str::to_owned),
        decision: "As measured.".into(),
        inputs: "0123456789abcdef".into(),
    };
    Input::Verdict { experiment: "button".into(), verdict }
}

#[test]
fn a_ramp_grows_step_by_step_and_nobody_flips() {
    let mut world = World::new(&ramp("button", STEPS));
    world.enqueue("button");
    let started = moved(&world.wait(1_000));
    assert_eq!((started[0].enters, started[0].in_after), (0.05, 0.05));
    assert_eq!(world.delivered("button").as_deref(), Some("running 5%"));
    world.wait(29 * MINUTE);
    assert_eq!(world.delivered("button").as_deref(), Some("running 5%"));
    assert_eq!(world.held("button"), [Rule::Hold]);
    let grown = moved(&world.wait(2 * MINUTE));
    assert_eq!((grown[0].enters, grown[0].changes_variant, grown[0].leaves), (0.2, 0.0, 0.0));
    assert!(grown[0].exact);
    assert_eq!(world.delivered("button").as_deref(), Some("running 25%"));
    world.count("p", "button", "a", 500, 0);
    world.count("p", "button", "b", 99, 0);
    world.wait(MINUTE);
    assert_eq!(world.held("button"), [Rule::Units, Rule::Approval]);
    world.count("q", "button", "b", 1, 0);
    world.wait(MINUTE);
    assert_eq!(world.held("button"), [Rule::Approval]);
    world.approve(&bob(), "button", Gate::Step(2));
    let last = moved(&world.wait(MINUTE));
    assert_eq!((last[0].enters, last[0].in_after), (0.75, 1.0));
    assert_eq!(world.delivered("button").as_deref(), Some("running 100%"));
    assert_eq!(world.refused(&ann(), Command::Advance { experiment: "button".into() }), [Rule::LastStep]);
}

#[test]
fn a_person_may_cut_the_time_short_and_nothing_else() {
    let mut world = World::new(&ramp("button", STEPS));
    world.enqueue("button");
    world.wait(1_000);
    world.ask(&ann(), Command::Advance { experiment: "button".into() });
    assert_eq!(world.delivered("button").as_deref(), Some("running 25%"));
    let refused = world.refused(&ann(), Command::Advance { experiment: "button".into() });
    assert_eq!(refused, [Rule::Units, Rule::Approval]);
}

#[test]
fn a_pause_stops_the_clock_of_its_step() {
    let mut world = World::new(&ramp("button", "steps: [{ traffic: 5%, hold: 30m }, { traffic: 50% }]"));
    world.enqueue("button");
    world.wait(1_000);
    world.wait(20 * MINUTE);
    world.ask(&ann(), Command::Pause { experiment: "button".into(), reason: String::new() });
    world.wait(60 * MINUTE);
    assert_eq!(world.delivered("button").as_deref(), Some("paused 5%"));
    world.ask(&ann(), Command::Resume { experiment: "button".into() });
    world.wait(9 * MINUTE);
    assert_eq!(world.delivered("button").as_deref(), Some("running 5%"));
    world.wait(2 * MINUTE);
    assert_eq!(world.delivered("button").as_deref(), Some("running 50%"));
}

#[test]
fn no_data_hold_and_are_told_apart() {
    for (condition, words) in [
        (Condition::Empty, "answers and holds nothing"),
        (Condition::NotANumber, "not a number"),
        (Condition::Gap, "has a gap"),
        (Condition::Dead, "does not answer"),
    ] {
        let mut world = World::new(&ramp("button", "steps: [{ traffic: 5% }, { traffic: 50% }]"));
        world.enqueue("button");
        world.input(&Actor::Schedule, Input::Source { source: "admin".into(), condition });
        world.wait(1_000);
        world.wait(DAY);
        assert_eq!(world.phase("button"), Phase::Running, "never rolled back");
        assert_eq!(world.delivered("button").as_deref(), Some("running 5%"), "never passed");
        assert_eq!(world.held("button"), [Rule::NoData]);
        let help = &world.state.experiment("button").unwrap().held[0].help;
        assert!(help.contains(words), "{help}");
        world.input(&Actor::Schedule, Input::Source { source: "admin".into(), condition: Condition::Fresh });
        world.wait(1_000);
        assert_eq!(world.delivered("button").as_deref(), Some("running 50%"));
    }
}

#[test]
fn a_deadline_ends_what_is_undecided() {
    let mut world = World::new(&ramp("button", "decide: { at_most: 2d }"));
    world.enqueue("button");
    world.wait(1_000);
    world.wait(2 * DAY - 1);
    assert_eq!(world.phase("button"), Phase::Running);
    world.wait(1);
    assert_eq!(world.phase("button"), Phase::RolledBack);
}

#[test]
fn what_is_paused_and_forgotten_is_rolled_back() {
    let mut world = World::new(&plain("button"));
    world.policies("hygiene: { paused: 3d }");
    world.enqueue("button");
    world.wait(1_000);
    world.ask(&ann(), Command::Pause { experiment: "button".into(), reason: String::new() });
    world.wait(3 * DAY);
    assert_eq!(world.phase("button"), Phase::RolledBack);
}

#[test]
fn shipping_waits_for_a_person_and_is_served_until_archived() {
    let mut world = World::new(&ramp("button", "steps: [{ traffic: 50% }]"));
    world.enqueue("button");
    world.wait(1_000);
    world.input(&Actor::Verdict, verdict(VerdictCode::Inconclusive, None));
    assert_eq!(world.phase("button"), Phase::Running);
    world.input(&Actor::Verdict, verdict(VerdictCode::Ship, Some("b")));
    assert_eq!(world.phase("button"), Phase::Decided);
    let before = world.state.seq();
    world.input(&Actor::Verdict, verdict(VerdictCode::Ship, Some("b")));
    assert_eq!(world.state.seq(), before, "the same verdict again is nothing new");
    let ship = |variant: &str| Command::Ship { experiment: "button".into(), variant: variant.into() };
    assert_eq!(world.refused(&ann(), ship("a")), [Rule::Verdict, Rule::Approval]);
    assert_eq!(world.refused(&ann(), ship("b")), [Rule::Approval]);
    world.approve(&bob(), "button", Gate::Ship);
    world.ask(&ann(), ship("b"));
    let document = splitway_control::compose(&world.state).unwrap().unwrap();
    let (_, served) = document.plan().find("button").unwrap();
    let variants: Vec<&str> = served.variants().iter().map(|variant| variant.id()).collect();
    assert_eq!((variants, served.shares()), (vec!["b"], vec![1.0]));
    world.ask(&ann(), Command::Archive { experiment: "button".into() });
    assert_eq!(world.delivered("button"), None);
}

#[test]
fn a_verdict_decides_as_the_rollout_has_it() {
    for (rollout, code, phase) in [
        ("decide: { ship: automatic }", VerdictCode::Ship, Phase::Completed),
        ("decide: { ship: approval }", VerdictCode::Ship, Phase::Decided),
        ("decide: { otherwise: rollback }", VerdictCode::DoNotShip, Phase::RolledBack),
        ("decide: { otherwise: pause }", VerdictCode::DoNotShip, Phase::Paused),
        ("steps: []", VerdictCode::Invalid, Phase::RolledBack),
        ("decide: { otherwise: pause }", VerdictCode::Invalid, Phase::Paused),
        ("decide: { ship: automatic }", VerdictCode::Inconclusive, Phase::Running),
    ] {
        let mut world = World::new(&ramp("button", rollout));
        world.enqueue("button");
        world.wait(1_000);
        world.input(&Actor::Verdict, verdict(code, Some("b")));
        assert_eq!(world.phase("button"), phase, "{rollout} {code:?}");
    }
}

#[test]
fn delivery_is_confirmed_by_proxies_and_reported_when_late() {
    let mut world = World::new(&plain("button"));
    let proxy = |name: &str, document: &str| Input::InForce { proxy: name.into(), document: document.into() };
    world.input(&Actor::Schedule, proxy("p", "old"));
    world.input(&Actor::Schedule, proxy("q", "old"));
    world.enqueue("button");
    world.wait(1_000);
    let wanted = world.state.wanted().unwrap().document.clone();
    world.input(&Actor::Schedule, proxy("p", &wanted));
    assert_eq!(world.state.lacking().collect::<Vec<_>>(), ["q"]);
    world.wait(9_000);
    let late = world.wait(1_000);
    assert!(matches!(&late.events[0].event.body, Body::Stuck { proxies, .. } if proxies == &["q"]));
    assert!(world.wait(1_000).events.is_empty(), "reported once");
    let refused = Input::Refused { proxy: "q".into(), document: wanted, reason: "version skew".into() };
    world.input(&Actor::Schedule, refused);
    assert_eq!(world.state.lacking().count(), 0, "never sent there again");
}

#[test]
fn a_config_around_that_breaks_what_runs_is_refused_and_what_runs_stays() {
    let targeted = "  - { id: button, targeting: { attribute: { name: plan, equals: pro } }, variants: [{ id: a }, { id: b }] }\n";
    let text = |attributes: &str| {
        format!("version: 1\nunit: [{{ cookie: uid }}]\n{attributes}experiments:\n{targeted}")
    };
    let mut world = World::new("  []\n");
    let with =
        splitway_control::Intent::from_yaml(&text("attributes: { plan: { header: x-plan } }\n")).unwrap();
    world.input(&ann(), Input::Intent(with));
    world.enqueue("button");
    world.wait(1_000);
    let wanted = world.state.wanted().cloned();
    let without =
        splitway_control::Intent::from_yaml("version: 1\nunit: [{ cookie: uid }]\nexperiments: []\n")
            .unwrap();
    world.input(&ann(), Input::Intent(without.clone()));
    assert_eq!(world.state.wanted().cloned(), wanted);
    assert_eq!(world.state.broken().0.len(), 1);
    let before = world.state.seq();
    world.input(&ann(), Input::Intent(without));
    assert_eq!(world.state.seq(), before, "the same mistake is one event");
}
