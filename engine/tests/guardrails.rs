//! Guardrails: their configs, their place in the decision, and how often they trip by chance.

use splitway_engine::guardrail::{Count, Guardrail, Tripped, Window};
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
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn count(&mut self, requests: u32, rate: f64) -> Count {
        let bad = (0..requests).filter(|_| self.next() < rate).count();
        Count { requests, bad: u32::try_from(bad).unwrap() }
    }
}

/// Trips in so many windows of traffic without a pause, judged at 24 moments of each window. A window
/// that trips is begun anew.
fn trips(plan: &Plan, windows: u32, per_tick: u32, rates: [f64; 2], random: &mut Random) -> u32 {
    let (_, experiment) = plan.find("e").unwrap();
    let (mut window, mut trips) = (Window::new(2), 0);
    for tick in 0..windows * 24 {
        let now = Timestamp(i64::from(tick) * 2_500);
        let counts = rates.map(|rate| random.count(per_tick, rate));
        rail(plan).add_to(&mut window, &counts, now);
        if !rail(plan).judge(experiment, &mut window, now).is_empty() {
            trips += 1;
            window = Window::new(2);
        }
    }
    trips
}

/// The numbers of the docs: `cargo test -p splitway-engine --test guardrails -- --nocapture`.
#[test]
fn ten_thousand_windows_of_equal_traffic() {
    let mut random = Random(20_261_121);
    for (alpha, most) in [("0.001", 10), ("0.05", 500)] {
        let plan = plan(&format!(r#"{{"metric":"http_5xx_rate","min_requests":100,"alpha":{alpha}}}"#), TWO);
        for rate in [0.001, 0.02, 0.3] {
            let trips = trips(&plan, 10_000, 40, [rate, rate], &mut random);
            println!("alpha {alpha}, rate {rate}: {trips} of 10,000 windows of equal traffic tripped");
            assert!(trips <= most, "alpha {alpha}, rate {rate}: {trips}");
        }
    }
}

#[test]
fn a_bad_variant_trips_with_its_minimum_requests() {
    let plan = plan(r#"{"metric":"http_5xx_rate","max_increase":"1%","min_requests":500}"#, TWO);
    let (_, experiment) = plan.find("e").unwrap();
    let mut random = Random(7);
    for run in 0..200 {
        let mut window = Window::new(2);
        let mut requests = 0;
        // Ten minutes of good traffic first must not hide what happens now.
        for tick in 0..240 {
            rail(&plan).add_to(
                &mut window,
                &[random.count(40, 0.01), random.count(40, 0.01)],
                Timestamp(tick * 2_500),
            );
            assert!(rail(&plan).judge(experiment, &mut window, Timestamp(tick * 2_500)).is_empty());
        }
        for tick in 240.. {
            requests += 40;
            rail(&plan).add_to(
                &mut window,
                &[random.count(40, 0.01), random.count(40, 0.3)],
                Timestamp(tick * 2_500),
            );
            let findings = rail(&plan).judge(experiment, &mut window, Timestamp(tick * 2_500));
            if let Some(finding) = findings.first() {
                assert_eq!((finding.variant, finding.limit), (VariantId(1), false));
                break;
            }
            assert!(requests <= 520, "run {run}: still on after {requests} requests");
        }
    }
}

#[test]
fn nothing_trips_below_the_minimum_or_twice() {
    let plan = plan(r#"{"metric":"http_5xx_rate","min_requests":100}"#, TWO);
    let (_, experiment) = plan.find("e").unwrap();
    let mut window = Window::new(2);
    let judge = |window: &mut Window| rail(&plan).judge(experiment, window, Timestamp(0)).len();
    rail(&plan).add_to(
        &mut window,
        &[Count { requests: 99, bad: 0 }, Count { requests: 99, bad: 99 }],
        Timestamp(0),
    );
    assert_eq!(judge(&mut window), 0);
    rail(&plan).add_to(&mut window, &[Count::default(), Count { requests: 1, bad: 1 }], Timestamp(0));
    assert_eq!((judge(&mut window), judge(&mut window)), (1, 0));
    assert!(window.has_tripped(1) && !window.has_tripped(0));
}

#[test]
fn a_limit_holds_for_one_armed_rollouts_and_spares_the_control() {
    let limit = r#"{"metric":"latency","slower_than":"500ms","max":"10%","min_requests":50}"#;
    let bad = Count { requests: 200, bad: 80 };
    let alone = plan(limit, r#"[{"id":"on"}]"#);
    let mut window = Window::new(1);
    rail(&alone).add_to(&mut window, &[bad], Timestamp(0));
    let findings = rail(&alone).judge(alone.find("e").unwrap().1, &mut window, Timestamp(0));
    assert_eq!(findings.iter().map(|f| (f.variant, f.limit)).collect::<Vec<_>>(), [(VariantId(0), true)]);
    // Both are slow: the variant is above its limit, and the control is what is left.
    let two = plan(limit, TWO);
    let mut window = Window::new(2);
    rail(&two).add_to(&mut window, &[bad, bad], Timestamp(0));
    let findings = rail(&two).judge(two.find("e").unwrap().1, &mut window, Timestamp(0));
    assert_eq!(findings.iter().map(|f| f.variant).collect::<Vec<_>>(), [VariantId(1)]);
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
        // With the control itself off, as a one-armed rollout may be, nobody is in.
        let none = plan.decide(&request.clone().with_tripped(&both), Timestamp(0), &mut outcome);
        if before.variant == VariantId(0) {
            assert_eq!((none.assignments.len(), outcome.0), (0, Some((Reason::Guardrail, None))));
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
