//! The log: what is folded is what was, and what is changed is found.

use splitway_control::{Command, Head, Sealed, State};

use crate::support::{World, ann, plain, ramp};

fn lived() -> World {
    let mut world =
        World::new(&(plain("one") + &ramp("two", "steps: [{ traffic: 5% }, { traffic: 50%, hold: 1h }]")));
    world.policies("concurrency: { total: 1 }");
    world.enqueue("one");
    world.enqueue("two");
    world.wait(1_000);
    world.ask(&ann(), Command::Complete { experiment: "one".into() });
    world.wait(1_000);
    world.wait(1_000);
    world
}

#[test]
fn the_fold_of_the_log_is_the_state() {
    let world = lived();
    let folded = State::fold(world.log.clone()).unwrap();
    assert_eq!(folded, world.state);
    assert_eq!(folded.head(), world.log.last().unwrap().1);
}

#[test]
fn an_event_is_written_as_it_is_read() {
    let world = lived();
    let mut head = Head::default();
    for (text, after) in &world.log {
        let sealed = Sealed::open(&head, text.clone(), *after).unwrap();
        assert_eq!(sealed.event.to_text(), *text);
        head = *after;
    }
}

#[test]
fn every_changed_bit_is_found() {
    let world = lived();
    for (index, (text, _)) in world.log.iter().enumerate() {
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let mut log = world.log[..=index].to_vec();
            log[index].0 = changed;
            // From the state before, so that the test stays short.
            let previous = index.checked_sub(1).map_or_else(Head::default, |before| world.log[before].1);
            let (text, head) = log[index].clone();
            assert!(Sealed::open(&previous, text, head).is_err(), "event {index}, byte {at}");
        }
    }
}

#[test]
fn what_is_left_out_doubled_or_swapped_is_found_and_a_cut_tail_by_its_head() {
    let world = lived();
    for index in 0..world.log.len() - 1 {
        let mut without = world.log.clone();
        without.remove(index);
        assert!(State::fold(without).is_err(), "without {index}");
        let mut twice = world.log.clone();
        twice.insert(index, world.log[index].clone());
        assert!(State::fold(twice).is_err(), "twice {index}");
        let mut swapped = world.log.clone();
        swapped.swap(index, index + 1);
        assert!(State::fold(swapped).is_err(), "swapped {index}");
    }
    let cut = State::fold(world.log[..world.log.len() - 1].to_vec()).unwrap();
    assert_ne!(cut.head(), world.state.head());
}

#[test]
fn of_two_writers_one_finds_the_place_taken() {
    let world = lived();
    let mut other = World {
        state: world.state.clone(),
        evidence: world.evidence.clone(),
        log: Vec::new(),
        now: world.now,
    };
    let mut world = world;
    world.ask(&ann(), Command::Pause { experiment: "two".into(), reason: "one".into() });
    other.ask(&ann(), Command::Pause { experiment: "two".into(), reason: "other".into() });
    let before = State::fold(world.log[..world.log.len() - 2].to_vec()).unwrap();
    let mut head = before.head();
    for (text, after) in other.log {
        let late = Sealed::open(&head, text, after).unwrap();
        assert!(world.state.clone().apply(&late).is_err());
        head = after;
    }
}
