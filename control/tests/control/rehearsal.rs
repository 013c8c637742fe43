//! Game days show what would happen, and let nothing happen.

use splitway_control::{Body, Condition, Incident, rehearse};

use crate::support::{World, ramp};

fn growing() -> World {
    let mut world = World::new(&ramp("button", "steps: [{ traffic: 5%, hold: 5m }, { traffic: 50% }]"));
    world.enqueue("button");
    world.wait(1_000);
    world
}

fn kinds(world: &World, incident: &Incident, seconds: u32) -> Vec<(i64, String)> {
    let before = (world.state.clone(), world.evidence.clone());
    let events = rehearse(&world.state, &world.evidence, incident, world.now, seconds);
    assert_eq!((&world.state, &world.evidence), (&before.0, &before.1));
    let kind = |body: &Body| serde_json::to_value(body).unwrap()["kind"].as_str().unwrap().to_owned();
    let seconds = |at: i64| (at - world.now.0) / 1_000;
    events.iter().map(|sealed| (seconds(sealed.event.at.0), kind(&sealed.event.body))).collect()
}

#[test]
fn a_breach_shows_after_how_many_seconds_it_is_rolled_back() {
    let breach = |failing| Incident::Breach {
        experiment: "button".into(),
        variant: "b".into(),
        units_per_second: 20,
        failing,
    };
    let events = kinds(&growing(), &breach(3_000), 60);
    let rolled = events.iter().find(|(_, kind)| kind == "rolled_back").unwrap();
    assert!((1..=5).contains(&rolled.0), "{events:?}");
    assert!(events.iter().all(|(_, kind)| kind != "advanced"));
    assert!(!kinds(&growing(), &breach(0), 60).iter().any(|(_, kind)| kind == "rolled_back"));
}

#[test]
fn a_gap_holds_the_ramp_that_would_have_grown() {
    let fine = kinds(&growing(), &Incident::RefusingProxy("p".into()), 400);
    assert!(
        fine.iter().any(|(_, kind)| kind == "advanced")
            && fine.iter().any(|(_, kind)| kind == "proxy_refused")
    );
    let gap = kinds(&growing(), &Incident::DataGap(Condition::Gap), 400);
    assert!(gap.iter().all(|(_, kind)| kind != "advanced" && kind != "rolled_back"), "{gap:?}");
    assert_eq!(gap.iter().filter(|(_, kind)| kind == "source_changed").count(), 1);
}
