//! Guardrails: their configs, their place in the decision, and how often they trip by chance.

use splitway_engine::guardrail::{Count, Finding, Guardrail, Tally, Tripped, Window};
use splitway_engine::{
    Document, NoTrace, Plan, Reason, RequestView, Step, Timestamp, Trace, VariantId, compile,
};

fn plan(guardrail: &str, variants: &str) -> Plan {
    let text = format!(
        r#"{{"version":1,"unit":[{{"header":"x-user-id"}}],
            "experiments":[{{"id":"e","variants":{variants},"guardrails":[{guardrail}]}}]}}"#
    );
    compile(&Document::from_json(text.as_bytes()).unwrap()).unwrap_or_else(|problems| panic!("{problems}"))
}

const TWO: &str = r#"[{"id":"a"},{"id":"b"}]"#;

fn rail(plan: &Plan) -> &Guardrail {
    &plan.guardrails()[0]
}

/// xorshift64*: any generator with a fixed seed.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform on 0 to 1.
    fn next(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn hash(&mut self) -> u32 {
        (self.word() >> 32) as u32
    }
}

/// The guardrail of `plan` at work.
struct World<'p> {
    rail: &'p Guardrail,
    window: Window,
    tallies: Vec<Tally>,
}

impl<'p> World<'p> {
    fn new(plan: &'p Plan) -> Self {
        let (_, experiment) = plan.find("e").unwrap();
        let tallies = vec![Tally::default(); experiment.variants().len()];
        Self { rail: rail(plan), window: rail(plan).window(), tallies }
    }

    fn add(&mut self, variant: usize, hash: u32, is_bad: bool) {
        self.tallies[variant].add(hash, is_bad, self.rail.capacity());
    }

    /// What the tick at `now` (milliseconds) finds.
    fn judge(&mut self, now: i64) -> Vec<Finding> {
        self.rail.add_to(&mut self.window, &self.tallies, Timestamp(now));
        self.tallies.iter_mut().for_each(Tally::clear);
        self.rail.judge(&mut self.window)
    }

    /// One request of each of so many new units, of which a share of `rate` is bad.
    fn visits(&mut self, variant: usize, units: u32, rate: f64, random: &mut Random) {
        for _ in 0..units {
            let (hash, is_bad) = (random.hash(), random.next() < rate);
            self.add(variant, hash, is_bad);
        }
    }
}

/// How units behave that are treated alike.
#[derive(Clone, Copy)]
struct Traffic {
    name: &'static str,
    /// The variant's share of the units.
    variant: f64,
    units: u32,
    /// The chance that a request of a unit fails, for a uniform number that is the unit's own.
    rate: fn(f64) -> f64,
    /// Requests of a unit in a tick, for another such number.
    requests: fn(f64) -> f64,
    /// The chance that all requests of a tick fail, whoever's.
    stalls: f64,
}

const ALIKE: Traffic =
    Traffic { name: "units alike", variant: 0.5, units: 160, rate: |_| 0.02, requests: |_| 0.4, stalls: 0.0 };

const TRAFFICS: [Traffic; 7] = [
    ALIKE,
    Traffic { name: "rare errors", rate: |_| 0.001, ..ALIKE },
    Traffic { name: "many errors", rate: |_| 0.3, ..ALIKE },
    // 0.05 * 0.38 = 0.95 * 0.02 of the errors.
    Traffic {
        name: "5 % of the units have 95 % of the errors",
        rate: |u| if u < 0.05 { 0.38 } else { 0.001 },
        ..ALIKE
    },
    // Pareto: 1 % of the units make half of the requests.
    Traffic { name: "few units ask most", requests: |u| (0.05 / u.max(0.001)).min(30.0), ..ALIKE },
    Traffic {
        name: "arms 95:5, clustered",
        variant: 0.05,
        rate: |u| if u < 0.05 { 0.38 } else { 0.001 },
        ..ALIKE
    },
    Traffic { name: "everything stands still now and then", stalls: 0.01, ..ALIKE },
];

/// Trips in so many windows of traffic without a pause, judged at 24 moments of each window. In each window other units
/// come. A window that trips is begun anew.
fn trips(plan: &Plan, windows: u32, traffic: &Traffic, random: &mut Random) -> u32 {
    let (mut world, mut trips) = (World::new(plan), 0);
    for window in 0..windows {
        let units: Vec<_> = (0..traffic.units)
            .map(|_| {
                let variant = usize::from(random.next() < traffic.variant);
                (random.hash(), variant, (traffic.rate)(random.next()), (traffic.requests)(random.next()))
            })
            .collect();
        for tick in 0..24 {
            let stands_still = random.next() < traffic.stalls;
            for (hash, variant, rate, requests) in &units {
                let whole = requests.floor();
                let count = whole as u32 + u32::from(random.next() < requests - whole);
                for _ in 0..count {
                    world.add(*variant, *hash, stands_still || random.next() < *rate);
                }
            }
            if !world.judge(i64::from(window * 24 + tick) * 2_500).is_empty() {
                trips += 1;
                world = World::new(plan);
            }
        }
    }
    trips
}

/// Two arms whose planned shares are those of the traffic; `more` guardrails besides leave less room for units.
fn compared(traffic: &Traffic, guardrail: &str, more: usize) -> Plan {
    let weights = [1.0 - traffic.variant, traffic.variant];
    let variants = format!(r#"[{{"id":"a","weight":{}}},{{"id":"b","weight":{}}}]"#, weights[0], weights[1]);
    plan(&[guardrail].repeat(more + 1).join(","), &variants)
}

/// The numbers of the docs: `cargo test -p splitway-engine --test guardrails -- --nocapture`. A bound that is met at
/// 0.05 within a thousand windows would be seen to fail there.
#[test]
fn windows_of_equal_traffic_trip_at_most_as_often_as_alpha() {
    let mut random = Random(20_261_121);
    const WINDOWS: u32 = 1_000;
    for (alpha, most) in [("0.001", 1), ("0.05", 50)] {
        for traffic in &TRAFFICS {
            // With room for all units, and for 64 of each variant.
            for more in [0, 255] {
                let guardrail = format!(
                    r#"{{"metric":"http_5xx_rate","min_requests":20,"min_bad_units":1,"alpha":{alpha}}}"#
                );
                let plan = compared(traffic, &guardrail, more);
                let trips = trips(&plan, WINDOWS, traffic, &mut random);
                let room = rail(&plan).capacity();
                println!(
                    "alpha {alpha}, {}, room for {room}: {trips} of {WINDOWS} windows tripped",
                    traffic.name
                );
                assert!(trips <= most, "alpha {alpha}, {}, room for {room}: {trips}", traffic.name);
            }
        }
    }
}

/// The same for a fixed limit, of traffic whose units are bad within a window with just that chance.
#[test]
fn windows_at_the_limit_trip_at_most_as_often_as_alpha() {
    let mut random = Random(7);
    const WINDOWS: u32 = 1_000;
    // A unit of which every request fails, if any.
    let rate = |u: f64| if u < 0.1 { 0.3 } else { 0.0 };
    let traffic = Traffic { name: "a tenth of the units", rate, ..ALIKE };
    for more in [0, 255] {
        let guardrail =
            r#"{"metric":"http_5xx_rate","min_requests":20,"min_bad_units":1,"max":"10%","alpha":0.05}"#;
        let trips = trips(&compared(&traffic, guardrail, more), WINDOWS, &traffic, &mut random);
        println!(
            "alpha 0.05, limit 10 %, {}, {more} more: {trips} of {WINDOWS} windows tripped",
            traffic.name
        );
        assert!(trips <= 50, "{trips}");
    }
}

#[test]
fn a_bad_variant_trips_with_its_minimum_requests() {
    let plan = plan(r#"{"metric":"http_5xx_rate","max_increase":"1%","min_requests":500}"#, TWO);
    let mut random = Random(7);
    for run in 0..50 {
        let mut world = World::new(&plan);
        // Ten minutes of good traffic first must not hide what happens now.
        for tick in 0..240 {
            world.visits(0, 40, 0.01, &mut random);
            world.visits(1, 40, 0.01, &mut random);
            assert!(world.judge(tick * 2_500).is_empty());
        }
        let mut units = 0;
        for tick in 240.. {
            units += 40;
            world.visits(0, 40, 0.01, &mut random);
            world.visits(1, 40, 0.3, &mut random);
            if let Some(finding) = world.judge(tick * 2_500).first() {
                assert_eq!((finding.variant, finding.limit), (VariantId(1), false));
                break;
            }
            assert!(units <= 520, "run {run}: still on after {units} requests");
        }
    }
}

/// A page that fails for all who open it, after many requests that do not.
#[test]
fn one_failing_request_among_many_is_found() {
    let plan = plan(r#"{"metric":"http_5xx_rate","max_increase":"5%","min_requests":500}"#, TWO);
    let (mut world, mut random) = (World::new(&plan), Random(3));
    for unit in 0..200 {
        let hash = random.hash();
        for request in 0..50 {
            world.add(unit % 2, hash, unit % 2 == 1 && request == 49);
        }
    }
    let findings = world.judge(0);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].requests, findings[0].seen), (5_000, Count { units: 100, bad: 100 }));
}

/// Whatever few clients do, it stays theirs.
#[test]
fn few_units_trip_nothing_however_much_they_ask() {
    for guardrail in [
        r#"{"metric":"http_5xx_rate"}"#,
        r#"{"metric":"http_5xx_rate","max":"1%","min_requests":1}"#,
        r#"{"metric":"http_5xx_rate","max_increase":"0%","min_requests":1,"alpha":0.1}"#,
    ] {
        let plan = plan(guardrail, TWO);
        for attackers in [1, 9] {
            let (mut world, mut random) = (World::new(&plan), Random(11));
            for tick in 0..100 {
                world.visits(0, 20, 0.0, &mut random);
                world.visits(1, 20, 0.0, &mut random);
                for request in 0..2_000 {
                    world.add(1, request % attackers, true);
                }
                assert!(world.judge(tick * 2_500).is_empty(), "{guardrail}: {attackers} units");
            }
        }
    }
}

#[test]
fn nothing_trips_below_the_minima_or_twice() {
    let plan = plan(r#"{"metric":"http_5xx_rate","min_requests":100,"min_bad_units":60}"#, TWO);
    let mut world = World::new(&plan);
    (0..500).for_each(|unit| world.add(0, unit, false));
    (0..99).for_each(|unit| world.add(1, unit, true));
    assert_eq!(world.judge(0).len(), 0, "99 requests");
    world.add(1, 0, true);
    assert_eq!((world.judge(0).len(), world.judge(0).len()), (1, 0));
    assert!(world.window.has_tripped(1) && !world.window.has_tripped(0));
    let mut world = World::new(&plan);
    (0..500).for_each(|unit| world.add(0, unit, false));
    (0..500).for_each(|unit| world.add(1, unit % 59, true));
    assert_eq!(world.judge(0).len(), 0, "59 bad units");
    world.add(1, 59, true);
    assert_eq!(world.judge(0).len(), 1);
}

#[test]
fn a_limit_holds_for_one_armed_rollouts_and_spares_the_control() {
    let limit = r#"{"metric":"latency","slower_than":"500ms","max":"10%","min_requests":50}"#;
    let bad = |world: &mut World<'_>, variant: usize| {
        (0..200).for_each(|unit| world.add(variant, unit, unit % 5 < 2));
    };
    let alone = plan(limit, r#"[{"id":"on"}]"#);
    let mut world = World::new(&alone);
    bad(&mut world, 0);
    let findings = world.judge(0);
    assert_eq!(findings.iter().map(|f| (f.variant, f.limit)).collect::<Vec<_>>(), [(VariantId(0), true)]);
    // Both are slow: the variant is above its limit, and the control is what is left.
    let two = plan(limit, TWO);
    let mut world = World::new(&two);
    bad(&mut world, 0);
    bad(&mut world, 1);
    let findings = world.judge(0);
    assert_eq!(findings.iter().map(|f| f.variant).collect::<Vec<_>>(), [VariantId(1)]);
}

/// What is trusted for the trip: another experiment's edit, a new owner, more traffic change nothing.
#[test]
fn a_guardrail_is_that_of_what_decides_its_experiment() {
    let digest = |change: fn(&mut serde_json::Value)| {
        let mut document = serde_json::json!({
            "version": 1, "unit": [{"header": "u"}], "layers": [{"id": "l"}, {"id": "m"}, {"id": "n"}],
            "experiments": [
                {"id": "e", "layer": "l", "targeting": {"path": {"prefix": "/a"}},
                 "variants": [{"id": "a"}, {"id": "b", "route": {"cluster": "b"}}],
                 "guardrails": [{"metric": "http_5xx_rate"}]},
                {"id": "f", "layer": "m", "variants": [{"id": "a"}, {"id": "b"}]},
            ],
        });
        change(&mut document);
        let text = document.to_string();
        let plan = compile(&Document::from_json(text.as_bytes()).unwrap());
        let plan = plan.unwrap_or_else(|problems| panic!("{problems}"));
        rail(&plan).digest()
    };
    let own = digest(|_| ());
    for unrelated in [
        (|document| document["experiments"][1]["id"] = "other".into()) as fn(&mut serde_json::Value),
        |document| document["experiments"][0]["owner"] = "me@shop.example".into(),
        |document| document["experiments"][0]["traffic"] = "50%".into(),
        |document| document["experiments"][0]["status"] = "paused".into(),
        |document| document["layers"].as_array_mut().unwrap().push(serde_json::json!({"id": "o"})),
        |document| document["experiments"].as_array_mut().unwrap().swap(0, 1),
        |document| {
            let more = serde_json::json!({"metric": "latency", "slower_than": "1s"});
            document["experiments"][0]["guardrails"].as_array_mut().unwrap().push(more);
        },
    ] {
        assert_eq!(digest(unrelated), own);
    }
    for related in [
        (|document| document["experiments"][0]["variants"][1]["route"]["cluster"] = "c".into())
            as fn(&mut serde_json::Value),
        |document| {
            document["experiments"][0]["variants"][1]["request_headers"] =
                serde_json::json!({"set": {"x": "1"}})
        },
        |document| document["experiments"][0]["targeting"]["path"]["prefix"] = "/b".into(),
        |document| document["experiments"][0]["unit"] = serde_json::json!([{"cookie": "u"}]),
        |document| document["unit"] = serde_json::json!([{"cookie": "u"}]),
        |document| document["experiments"][0]["layer"] = "n".into(),
        |document| {
            document["experiments"][0]["bucketing"] =
                serde_json::json!({"dialect": "splitway", "salt": "new"})
        },
        |document| document["experiments"][0]["guardrails"][0]["max_increase"] = "2%".into(),
    ] {
        assert_ne!(digest(related), own);
    }
}

#[derive(Default)]
struct Outcome(Option<(Reason, Option<VariantId>)>);

impl Trace for Outcome {
    fn step(&mut self, step: Step<'_>) {
        if let Step::Outcome { reason, variant, .. } = step {
            self.0 = Some((reason, variant));
        }
    }
}

#[test]
fn a_tripped_variant_gets_the_control_and_says_why() {
    let plan = plan(r#"{"metric":"http_5xx_rate"}"#, TWO);
    let (id, _) = plan.find("e").unwrap();
    let mut tripped = Tripped::default();
    assert!(tripped.add(id, VariantId(1)) && !tripped.add(id, VariantId(1)));
    let mut both = tripped.clone();
    both.add(id, VariantId(0));
    let mut moved = 0;
    for unit in 0..100 {
        let unit = format!("u{unit}");
        let headers: [(&[u8], &[u8]); 1] = [(b"x-user-id", unit.as_bytes())];
        let request = RequestView::new(&headers);
        let before = plan.decide(&request, Timestamp(0), &mut NoTrace).assignments[0];
        let mut outcome = Outcome::default();
        let after =
            plan.decide(&request.clone().with_tripped(&tripped), Timestamp(0), &mut outcome).assignments[0];
        assert_eq!((after.variant, after.bucket), (VariantId(0), before.bucket));
        let reason = if before.variant == VariantId(1) { Reason::Guardrail } else { Reason::Split };
        assert_eq!((after.reason, outcome.0), (reason, Some((reason, Some(VariantId(0))))));
        moved += u32::from(reason == Reason::Guardrail);
        // With the control itself off, as a one-armed rollout may be, it is recorded and nothing is applied.
        let none = plan.decide(&request.clone().with_tripped(&both), Timestamp(0), &mut outcome);
        if before.variant == VariantId(0) {
            assert_eq!(outcome.0, Some((Reason::Guardrail, None)));
            assert_eq!(
                none.assignments.iter().map(|a| (a.withheld, a.reason)).collect::<Vec<_>>(),
                [(true, Reason::Guardrail)]
            );
            assert_eq!((plan.stamp(&none), after.withheld), (None, false));
        }
    }
    assert!((30..70).contains(&moved), "{moved}");
}

#[test]
fn mistakes_are_told() {
    let problems = |guardrail: &str, variants: &str| -> Vec<String> {
        let text = format!(
            r#"{{"version":1,"unit":[{{"cookie":"u"}}],
                "experiments":[{{"id":"e","variants":{variants},"guardrails":[{guardrail}]}}]}}"#
        );
        compile(&Document::from_json(text.as_bytes()).unwrap())
            .err()
            .map(|problems| problems.iter().map(|p| format!("{} {}", p.path, p.code.as_str())).collect())
            .unwrap_or_default()
    };
    let at = |rest: &str| vec![format!("experiments[0].guardrails[0].{rest}")];
    for (guardrail, variants, expected) in [
        (r#"{"metric":"latency"}"#, TWO, "slower_than missing_field"),
        (r#"{"metric":"http_5xx_rate","slower_than":"1s"}"#, TWO, "slower_than conflict"),
        (r#"{"metric":"http_5xx_rate"}"#, r#"[{"id":"on"}]"#, "max missing_field"),
        (r#"{"metric":"http_5xx_rate","min_requests":0}"#, TWO, "min_requests out_of_range"),
        (r#"{"metric":"http_5xx_rate","min_bad_units":0}"#, TWO, "min_bad_units out_of_range"),
        (r#"{"metric":"http_5xx_rate","min_bad_units":65}"#, TWO, "min_bad_units out_of_range"),
        (
            r#"{"metric":"latency","slower_than":"1s","abandoned_after":"1s"}"#,
            TWO,
            "abandoned_after conflict",
        ),
        (r#"{"metric":"http_5xx_rate","window":"5s"}"#, TWO, "window out_of_range"),
        (r#"{"metric":"http_5xx_rate","alpha":0}"#, TWO, "alpha out_of_range"),
        (r#"{"metric":"http_5xx_rate","alpha":0.2}"#, TWO, "alpha out_of_range"),
        (r#"{"metric":"http_5xx_rate","max":"101%"}"#, TWO, "max invalid_value"),
        (r#"{"metric":"errors"}"#, TWO, "metric invalid_value"),
    ] {
        assert_eq!(problems(guardrail, variants), at(expected), "{guardrail}");
    }
    let many = vec![r#"{"metric":"http_5xx_rate"}"#; 257].join(",");
    assert_eq!(problems(&many, TWO), ["experiments limit"]);
}
