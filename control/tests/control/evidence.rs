//! Counters of several proxies, and what is made of them.

use fastrand::Rng;
use splitway_control::{Actor, Body, Cause, Command, Evidence, Measure, Phase, Sample, Tally};

use crate::support::{DAY, World, ann, plain, ramp};

fn sample(proxy: &str, boot: &str, variant: &str, units: u64, bad: u64) -> Sample {
    Sample {
        proxy: proxy.into(),
        boot: boot.into(),
        version: "v".into(),
        experiment: "button".into(),
        variant: variant.into(),
        measure: Measure::Errors,
        tally: Tally { units, bad },
    }
}

#[test]
fn lost_doubled_late_and_restarted_counters_add_up() {
    let mut seen = Evidence::default();
    for one in [
        sample("p", "1", "b", 10, 1),
        sample("p", "1", "b", 30, 2),
        sample("p", "1", "b", 30, 2),
        sample("p", "1", "b", 20, 1),
        sample("p", "2", "b", 5, 0),
        sample("q", "1", "b", 7, 4),
    ] {
        seen.observe(one);
    }
    assert_eq!(seen.total("button", Measure::Errors, "b"), Tally { units: 42, bad: 6 });
    assert_eq!(seen.total("button", Measure::Latency, "b"), Tally::default());
    assert_eq!(seen.units("button", "b"), 42);
}

#[test]
fn strata_multiply_and_speak_against_each_other() {
    let mut seen = Evidence::default();
    seen.observe(sample("p", "1", "a", 1_000, 10));
    seen.observe(sample("p", "1", "b", 1_000, 40));
    let one = seen.against("button", Measure::Errors, "b", "a", 0.5);
    seen.observe(sample("q", "1", "a", 1_000, 10));
    seen.observe(sample("q", "1", "b", 1_000, 40));
    let two = seen.against("button", Measure::Errors, "b", "a", 0.5);
    assert!(one > 3.0 && two > 2.0 * one - 2.0_f64.ln(), "{one} {two}");
    seen.observe(sample("r", "1", "a", 1_000, 30));
    seen.observe(sample("r", "1", "b", 1_000, 30));
    assert!(seen.against("button", Measure::Errors, "b", "a", 0.5) < two);
}

#[test]
fn harm_on_several_proxies_rolls_back_though_none_sees_enough() {
    let mut world =
        World::new(&ramp("button", "steps: [{ traffic: 50%, hold: 1d }, { traffic: 100%, approvals: 1 }]"));
    world.enqueue("button");
    world.wait(1_000);
    for proxy in ["p", "q", "r", "s"] {
        world.count(proxy, "button", "a", 500, 1);
        world.count(proxy, "button", "b", 500, 8);
    }
    let mut alone = Evidence::default();
    alone.observe(sample("p", "1", "a", 500, 1));
    alone.observe(sample("p", "1", "b", 500, 8));
    assert!(alone.against("button", Measure::Errors, "b", "a", 0.5) < (2.0_f64 / 0.001).ln());
    // It waits for an approval: it is watched all the same.
    let reaction = world.wait(DAY);
    assert_eq!(world.phase("button"), Phase::RolledBack);
    let Body::Breached { variant, evidence, control, arm, proxies, .. } = &reaction.events[0].event.body
    else {
        panic!("{:?}", reaction.events[0]);
    };
    assert_eq!((variant.as_str(), proxies.len()), ("b", 4));
    assert_eq!((control.bad, arm.bad), (4, 32));
    assert!(evidence.unwrap() > (2.0_f64 / 0.001).ln());
    assert_eq!(reaction.events[0].event.actor, Actor::Guardrail);
    assert_eq!(world.delivered("button"), None);
}

#[test]
fn a_trip_on_one_proxy_is_one_of_the_fleet() {
    let mut world = World::new(&plain("button"));
    world.enqueue("button");
    world.wait(1_000);
    world.evidence.observe_trip("q", "button", "b", true);
    let reaction = world.wait(1_000);
    assert!(matches!(&reaction.events[0].event.body,
        Body::Breached { evidence: None, proxies, .. } if proxies == &["q"]));
    assert!(matches!(&reaction.events[1].event.body,
        Body::RolledBack { cause: Cause::Breach { variant }, .. } if variant == "b"));
}

#[test]
fn few_bad_units_are_not_enough_and_a_shared_outage_harms_nobody() {
    let mut world = World::new(&plain("button"));
    world.enqueue("button");
    world.count("p", "button", "a", 100_000, 0);
    world.count("p", "button", "b", 100_000, 9);
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Running);
    world.count("p", "button", "a", 200_000, 90_000);
    world.count("p", "button", "b", 200_000, 90_100);
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Running);
}

#[test]
fn a_breach_may_pause_and_who_resumes_asks_for_more_evidence() {
    let mut world = World::new(&ramp("button", "on_breach: pause"));
    world.enqueue("button");
    world.wait(1_000);
    world.count("p", "button", "a", 1_000, 5);
    world.count("p", "button", "b", 1_000, 35);
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Paused);
    world.ask(&ann(), Command::Resume { experiment: "button".into() });
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Running, "what a person has seen is not news");
    world.count("p", "button", "b", 2_000, 150);
    world.wait(1_000);
    assert_eq!(world.phase("button"), Phase::Paused);
}

#[test]
fn a_kill_while_everything_waits_is_at_once() {
    let mut world = World::new(&ramp("button", "steps: [{ traffic: 5%, hold: 9d }, { traffic: 100% }]"));
    world.enqueue("button");
    world.wait(1_000);
    let before = world.now;
    world.ask(&ann(), Command::Kill { reason: "fire".into() });
    assert_eq!(world.now, before);
    assert!(splitway_control::compose(&world.state).unwrap().unwrap().plan().is_killed());
}

/// Fleets of alike arms: proxies of unequal traffic, restarts, looks every day. Some units fail far more than others,
/// and a proxy's share of failures drifts.
fn false_trips(fleets: u64, alpha: f64) -> u32 {
    let mut trips = 0;
    for fleet in 0..fleets {
        let mut random = Rng::with_seed(fleet);
        let mut seen = Evidence::default();
        let proxies = 1 + random.usize(..4);
        let mut boots = vec![0_u32; proxies];
        let mut counts = vec![[Tally::default(); 2]; proxies];
        let share = [0.5, 0.2, 0.8][random.usize(..3)];
        let limit = (1.0 / alpha).ln();
        let mut has_tripped = false;
        for day in 0..40 {
            for proxy in 0..proxies {
                if random.u8(..20) == 0 {
                    boots[proxy] += 1;
                    counts[proxy] = [Tally::default(); 2];
                }
                let failing = if day % 7 == proxy { 0.2 } else { 0.01 };
                for _ in 0..(4 << proxy) {
                    let arm = usize::from(random.f64() < share);
                    counts[proxy][arm].units += 1;
                    counts[proxy][arm].bad += u64::from(random.f64() < failing);
                }
                for (arm, variant) in ["a", "b"].into_iter().enumerate() {
                    let mut one = sample(&proxy.to_string(), &boots[proxy].to_string(), variant, 0, 0);
                    one.tally = counts[proxy][arm];
                    seen.observe(one);
                }
            }
            has_tripped |= seen.against("button", Measure::Errors, "b", "a", share) > limit;
        }
        trips += u32::from(has_tripped);
    }
    trips
}

#[test]
fn alike_arms_trip_at_most_at_the_stated_rate() {
    let trips = false_trips(400, 0.05);
    // 20 are expected at the very most; 34 are beyond three standard deviations.
    assert!(trips <= 33, "{trips} of 400");
}

#[test]
fn ten_thousand_fleets_trip_at_most_at_the_stated_rate() {
    let trips = false_trips(10_000, 0.05);
    println!("{trips} of 10,000 fleets tripped at alpha 0.05");
    assert!(trips <= 565, "{trips} of 10,000");
}
