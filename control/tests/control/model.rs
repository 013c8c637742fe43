//! Random lives: commands, clocks, evidence, crashes and a second writer, in any order.

use proptest::prelude::*;
use splitway_control::{
    Actor, Command, Condition, Gate, Input, Intent, Phase, Policies, Rule, State, Time, Verdict, VerdictCode,
    compose, react,
};

use crate::support::{World, ann, bob, plain, ramp};

const IDS: [&str; 4] = ["one", "two", "three", "four"];

#[derive(Clone, Debug)]
enum Act {
    Command(usize, u8),
    Wait(i64),
    /// The clock is set back.
    Back(i64),
    Crash,
    /// A second controller acts on what it knew before.
    Second(usize, u8),
    Count(usize, u8, u64, u64),
    Source(u8),
    Burn(u8),
    Verdict(usize, u8),
    Policies(u8),
    Edit(u8),
    Confirm(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let id = 0..IDS.len();
    prop_oneof![
        6 => (id.clone(), 0_u8..16).prop_map(|(id, what)| Act::Command(id, what)),
        6 => (1_i64..200_000_000).prop_map(Act::Wait),
        1 => (1_i64..1_000_000).prop_map(Act::Back),
        1 => Just(Act::Crash),
        1 => (id.clone(), 0_u8..16).prop_map(|(id, what)| Act::Second(id, what)),
        2 => (id.clone(), 0_u8..4, 0_u64..5_000, 0_u64..60).prop_map(|(id, arm, units, bad)| {
            Act::Count(id, arm, units, bad.min(units))
        }),
        1 => (0_u8..5).prop_map(Act::Source),
        1 => (0_u8..6).prop_map(Act::Burn),
        1 => (id, 0_u8..4).prop_map(|(id, code)| Act::Verdict(id, code)),
        1 => (0_u8..4).prop_map(Act::Policies),
        1 => (0_u8..3).prop_map(Act::Edit),
        1 => (0_u8..2).prop_map(Act::Confirm),
    ]
}

fn command(state: &State, id: &str, what: u8) -> Command {
    let experiment = id.to_owned();
    let hash = state.experiment(id).map_or_else(String::new, |one| one.definition.hash().to_owned());
    let reason = "because".to_owned();
    match what {
        0..=2 => Command::Enqueue { experiment },
        3 => Command::Dequeue { experiment },
        4 => Command::Approve { experiment, hash, gate: Gate::Start },
        5 => Command::Approve { experiment, hash, gate: Gate::Step(1) },
        6 => Command::BreakGlass { experiment, gate: Gate::Step(1), reason },
        7 => Command::Start { experiment },
        8 => Command::Advance { experiment },
        9 => Command::Pause { experiment, reason },
        10 => Command::Resume { experiment },
        11 => Command::Rollback { experiment, reason },
        12 => Command::Ship { experiment, variant: "b".into() },
        13 => Command::Archive { experiment },
        14 => Command::Kill { reason },
        _ => Command::Revive { reason },
    }
}

fn experiments(edit: u8) -> String {
    let more = if edit == 1 { ", priority: 70" } else { "" };
    let mut text = plain("one")
        + &ramp(
            "two",
            "steps: [{ traffic: 5%, hold: 1h }, { traffic: 50%, approvals: 1 }, { traffic: 100% }], decide: { at_most: 9d }",
        )
        + &format!(
            "  - {{ id: three, layer: page, variants: [{{ id: a }}, {{ id: b }}]{more}, rollout: {{ share: 60%, on_breach: pause, decide: {{ ship: automatic }} }} }}\n"
        );
    if edit != 2 {
        text += "  - { id: four, layer: page, variants: [{ id: a }, { id: b }], rollout: { share: 50%, after: [one], decide: { otherwise: pause } } }\n";
    }
    text
}

const POLICIES: [&str; 4] = [
    "",
    "concurrency: { total: 2 }\nbudgets: [{ name: shop, query: q }]",
    "approvals: { start: 1, ship: 0 }\nblast_radius: { at_risk: 70% }\nbudgets: [{ name: shop, query: q }]",
    "launch: { facts: [owner] }\nhygiene: { paused: 1d }",
];

fn check(world: &World) {
    let document = compose(&world.state).expect("it always compiles").expect("there is a config");
    let wanted = world.state.wanted().expect("a document is wanted");
    assert_eq!(wanted.document, document.hash, "the wanted document is that of the state");
    let plan = document.plan();
    assert_eq!(plan.is_killed(), world.state.is_killed());
    for (id, one) in world.state.experiments() {
        let is_delivered = plan.find(id).is_some();
        let must = one.phase.holds_buckets() && (one.phase != Phase::Completed || one.shipped.is_some());
        assert_eq!(is_delivered, must, "{id} is {:?}", one.phase);
        if one.phase.takes_units() {
            let (_, delivered) = plan.find(id).unwrap();
            let step = one.definition.rollout().step(one.step).unwrap();
            let active = delivered.active_buckets(splitway_engine::Timestamp(world.now.0));
            let owned = delivered.owned_buckets();
            assert!(u64::from(active) * 10_000 <= u64::from(owned) * u64::from(step.share) + 10_000);
        }
        assert!(world.state.archived(id).is_none(), "{id} is in one place");
    }
    assert!(plan.experiments().all(|(_, one)| world.state.experiment(one.id()).is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_life_is_what_its_log_says(acts in prop::collection::vec(act(), 1..60)) {
        let mut world = World::new(&experiments(0));
        let mut earlier = world.state.clone();
        for act in acts {
            let before = world.state.clone();
            match act.clone() {
                Act::Command(id, what) => {
                    let command = command(&world.state, IDS[id], what);
                    let must_pass = matches!(command, Command::Kill { .. }) || matches!(command, Command::Rollback { .. })
                        && before.experiment(IDS[id]).is_some_and(|one| one.phase.holds_buckets());
                    let actor = if what % 2 == 0 { ann() } else { bob() };
                    let reaction = world.input(&actor, Input::Command(command));
                    prop_assert!(!must_pass || reaction.refusal.is_none());
                }
                Act::Wait(milliseconds) => { world.wait(milliseconds); }
                Act::Back(milliseconds) => { world.wait(-milliseconds); }
                Act::Crash => {
                    let folded = State::fold(world.log.clone()).unwrap();
                    prop_assert_eq!(&folded, &world.state);
                    world.state = folded;
                    world.evidence = splitway_control::Evidence::default();
                }
                Act::Second(id, what) => {
                    let command = command(&earlier, IDS[id], what);
                    let reaction = react(&earlier, &world.evidence, &bob(), &Input::Command(command), world.now);
                    if earlier.seq() != world.state.seq() {
                        for sealed in &reaction.events {
                            prop_assert!(world.state.clone().apply(sealed).is_err(), "the place is taken");
                        }
                    }
                }
                Act::Count(id, arm, units, bad) => {
                    let proxy = ["p", "q"][usize::from(arm / 2)];
                    world.count(proxy, IDS[id], ["a", "b"][usize::from(arm % 2)], units, bad);
                }
                Act::Source(condition) => {
                    let condition = [Condition::Fresh, Condition::Empty, Condition::NotANumber, Condition::Gap, Condition::Dead]
                        [usize::from(condition)];
                    world.input(&Actor::Schedule, Input::Source { source: "admin".into(), condition });
                    // Data of whatever condition roll nothing back.
                    for (id, one) in before.experiments() {
                        prop_assert_eq!(world.state.experiment(id).map(|one| one.phase), Some(one.phase));
                    }
                }
                Act::Burn(rate) => {
                    let rate = [Some(0.1), Some(1.6), Some(2.5), Some(9.0), Some(f64::NAN), None][usize::from(rate)];
                    world.input(&Actor::Budget, Input::Burn { budget: "shop".into(), rate });
                }
                Act::Verdict(id, code) => {
                    let code = [VerdictCode::Ship, VerdictCode::DoNotShip, VerdictCode::Inconclusive, VerdictCode::Invalid]
                        [usize::from(code)];
                    let verdict = Verdict { code, variant: Some("b".into()), decision: "So.".into(), inputs: "0".into() };
                    world.input(&Actor::Verdict, Input::Verdict { experiment: IDS[id].into(), verdict });
                }
                Act::Policies(which) => world.policies(POLICIES[usize::from(which)]),
                Act::Edit(which) => world.intend(&experiments(which)),
                Act::Confirm(proxy) => {
                    let document = world.state.wanted().unwrap().document.clone();
                    let proxy = ["p", "q"][usize::from(proxy)].to_owned();
                    world.input(&Actor::Schedule, Input::InForce { proxy, document });
                }
            }
            check(&world);
            prop_assert!(world.state.seq() >= before.seq() && world.state.at() >= before.at());
            for (id, one) in before.archive() {
                prop_assert_eq!(world.state.archived(id), Some(one), "a record stays");
            }
            if world.state.seq().is_multiple_of(7) {
                earlier = before;
            }
        }
        prop_assert_eq!(&State::fold(world.log.clone()).unwrap(), &world.state);
    }

    #[test]
    fn the_same_arguments_give_the_same_reaction(id in 0..IDS.len(), what in 0_u8..16, wait in 0_i64..1_000_000) {
        let mut world = World::new(&experiments(0));
        IDS.iter().for_each(|id| drop(world.input(&ann(), Input::Command(Command::Enqueue { experiment: (*id).into() }))));
        world.wait(1_000);
        let input = Input::Command(command(&world.state, IDS[id], what));
        let now = Time(world.now.0 + wait);
        let of = || react(&world.state, &world.evidence, &ann(), &input, now);
        prop_assert_eq!(of(), of());
    }
}

#[test]
fn texts_of_any_kind_are_refused_or_read_and_never_panic() {
    let texts = [
        "",
        "{",
        "[]",
        "version: 1",
        "experiments: 5",
        "version: 1\nexperiments: [5, {id: x}]",
        "\u{0}",
        "- a\n- b",
    ];
    for text in texts {
        let _ = Intent::from_yaml(text);
        let _ = Policies::from_yaml(text);
        assert!(State::fold([(text.to_owned(), splitway_control::Head::default())]).is_err(), "{text}");
    }
    let none = Rule::Unknown;
    let mut world = World::new("  []\n");
    assert_eq!(
        world.refused(&ann(), Command::Pause { experiment: String::new(), reason: String::new() }),
        [none]
    );
}
