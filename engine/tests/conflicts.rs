//! Experiments of different layers that act on the same thing.
#![cfg(feature = "yaml")]

use splitway_engine::guardrail::Tripped;
use splitway_engine::{
    Document, ExperimentId, NoTrace, Plan, Reason, RequestView, Step, Timestamp, Trace, compile,
};

fn plan(experiments: &str) -> Plan {
    let yaml = format!("version: 1\nunit: [{{ header: u }}]\nexperiments:\n{experiments}");
    compile(&Document::from_yaml(&yaml).unwrap()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn warnings(experiments: &str) -> String {
    plan(experiments).warnings().to_string()
}

const FIRST: &str =
    "  - { id: first, traffic: 50%, variants: [{ id: control }, { id: on, route: { cluster: a } }] }\n";
const SECOND: &str =
    "  - { id: second, variants: [{ id: control }, { id: on, route: { cluster: b } }, { id: third }] }\n";

/// By variant of `first` (0: not in it, 1, 2) and of `second` (0: not in it, 1, 2, 3), how many of 30,000 units.
fn counts(plan: &Plan) -> [[u32; 4]; 3] {
    let mut counts = [[0; 4]; 3];
    let of = |id: &str| plan.find(id).unwrap().0;
    let (first, second) = (of("first"), of("second"));
    for unit in 0..30_000 {
        let unit = format!("unit-{unit}");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"u", unit.as_bytes())];
        let decision = plan.decide(&RequestView::new(&headers), Timestamp(0), &mut NoTrace);
        let place = |id| {
            let mut all = decision.assignments.iter();
            all.find(|a| a.experiment == id).map_or(0, |a| usize::from(a.variant.0) + 1)
        };
        assert_eq!(decision.conflicts > 0, place(first) > 0);
        counts[place(first)][place(second)] += 1;
    }
    counts
}

#[test]
fn who_is_left_out_does_not_depend_on_variants() {
    let counts = counts(&plan(&format!("{FIRST}{SECOND}")));
    // Whoever is in the first, in whichever variant, is not in the second.
    for variant in [1, 2] {
        assert_eq!(counts[variant][1..], [0, 0, 0]);
        assert!(counts[variant][0] > 7_000, "{counts:?}");
    }
    // Of the others, the variants have equal shares: five standard deviations of 5,000.
    for variant in [1, 2, 3] {
        assert!(counts[0][variant].abs_diff(5_000) < 300, "{counts:?}");
    }
}

#[test]
fn the_priority_decides_and_the_id_only_on_a_tie() {
    let prior = SECOND.replace("id: second,", "id: second, priority: 51,");
    let counts = counts_of_second_first(&plan(&format!("{FIRST}{prior}")));
    assert_eq!(counts, 0);
}

/// How many units are in the first although the second, which takes everybody, comes first.
fn counts_of_second_first(plan: &Plan) -> u32 {
    let first = plan.find("first").unwrap().0;
    let is_in = |unit: &u32| {
        let unit = format!("unit-{unit}");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"u", unit.as_bytes())];
        let decision = plan.decide(&RequestView::new(&headers), Timestamp(0), &mut NoTrace);
        decision.assignments.iter().any(|a| a.experiment == first)
    };
    u32::try_from((0..1_000).filter(is_in).count()).unwrap()
}

/// What a guardrail has switched off acts on nothing, so it keeps nobody out; and whom it would not have got, its records
/// do not count.
#[test]
fn what_is_withheld_pushes_nobody_out() {
    let alone = "  - { id: alone, variants: [{ id: on, route: { cluster: a } }] }\n";
    let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"u", b"unit-1")];
    for (second, expected) in [
        (SECOND.to_owned(), vec![("alone", Reason::Guardrail), ("second", Reason::Split)]),
        (
            SECOND.replace("id: second,", "id: second, priority: 51,"),
            vec![("alone", Reason::Conflict), ("second", Reason::Split)],
        ),
    ] {
        let plan = plan(&format!("{alone}{second}"));
        let alone = plan.find("alone").unwrap().0;
        let mut tripped = Tripped::default();
        tripped.add(alone, plan.experiment(alone).unwrap().control());
        let mut told = Told::default();
        let request = RequestView::new(&headers).with_tripped(&tripped);
        let decision = plan.decide(&request, Timestamp(0), &mut told);
        let id = |id| plan.experiment(id).unwrap().id();
        let mut said: Vec<_> = told.0.iter().map(|(experiment, reason)| (id(*experiment), *reason)).collect();
        said.sort_unstable_by_key(|(experiment, _)| *experiment);
        assert_eq!(said, expected, "one outcome for each experiment");
        let entered: Vec<_> = decision.assignments.iter().map(|a| (id(a.experiment), a.reason)).collect();
        let stays = expected.iter().filter(|(_, reason)| *reason != Reason::Conflict);
        assert_eq!(entered, stays.copied().collect::<Vec<_>>());
        assert!(plan.cluster(&decision).is_none_or(|cluster| cluster == "b"), "`alone` is off");
    }
}

/// What came out for each experiment.
#[derive(Default)]
struct Told(Vec<(ExperimentId, Reason)>);

impl Trace for Told {
    fn step(&mut self, step: Step<'_>) {
        if let Step::Outcome { experiment, reason, .. } = step {
            self.0.push((experiment, reason));
        }
    }
}

#[test]
fn priorities_have_bounds() {
    let yaml =
        "version: 1\nunit: [{ header: u }]\nexperiments: [{ id: e, priority: 1001, variants: [{ id: a }] }]";
    let problems = compile(&Document::from_yaml(yaml).unwrap()).unwrap_err().to_string();
    assert!(problems.contains("experiments[0].priority: expected 0 to 1000"), "{problems}");
}

#[test]
fn warned_is_only_where_both_can_hold_for_one_request() {
    let warned = warnings(&format!("{FIRST}{SECOND}"));
    assert!(warned.contains("experiments[1].variants"), "{warned}");
    assert!(warned.contains("`first` (priority 50) acts on it, too: cluster"), "{warned}");
    let targeted = |first: &str, second: &str| {
        let with = |experiment: &str, rule: &str| {
            experiment.replace(", variants", &format!(", targeting: {{ {rule} }}, variants"))
        };
        !warnings(&format!("{}{}", with(FIRST, first), with(SECOND, second))).is_empty()
    };
    for (first, second, meets) in [
        ("path: { prefix: /checkout }", "path: { prefix: /catalog }", false),
        ("path: { prefix: /checkout }", "path: { prefix: /checkout/pay }", true),
        ("path: { prefix: /a }", "path: { prefix: /ab }", false),
        ("path: { equals: /a/b }", "path: { prefix: /a }", true),
        ("path: { equals: /a }", "path: { one_of: [/b, /c] }", false),
        ("path: { glob: /a/* }", "path: { prefix: /b }", true),
        ("host: { equals: a.example }", "host: { suffix: .org }", false),
        ("method: { equals: GET }", "not: { method: { equals: GET } }", false),
        ("not: { path: { prefix: /a } }", "path: { prefix: /a/b }", false),
        ("not: { path: { prefix: /a/b } }", "path: { prefix: /a }", true),
        ("header: { name: x, exists: true }", "header: { name: x, exists: false }", false),
        ("header: { name: x, equals: a }", "header: { name: y, equals: b }", true),
        (
            "header: { name: v, version: { lt: 2.0.0 } }",
            "header: { name: v, version: { gte: 2.0.0 } }",
            false,
        ),
        ("header: { name: v, number: { lte: 2 } }", "header: { name: v, number: { gte: 2 } }", true),
        (
            "all: [path: { prefix: /a }, cookie: { name: c, exists: true }]",
            "any: [path: { prefix: /b }, path: { prefix: /c }]",
            false,
        ),
        ("any: [path: { prefix: /a }, path: { prefix: /b }]", "path: { prefix: /b }", true),
        ("client_address: { one_of: [10.0.0.0/8] }", "client_address: { one_of: [10.1.0.0/16] }", true),
        ("client_address: { one_of: [10.0.0.0/8] }", "client_address: { one_of: [11.0.0.0/8] }", false),
    ] {
        assert_eq!(targeted(first, second), meets, "{first} | {second}");
    }
}

#[test]
fn rewrites_schedules_and_layers_tell_experiments_apart() {
    let rewriting = |id: &str, more: &str, prefix: &str| {
        format!(
            "  - {{ id: {id}, {more} variants: [{{ id: on, route: {{ path: {{ prefix: {prefix}, replace_prefix: /v2 }} }} }}] }}\n"
        )
    };
    let pair = |a: String, b: String| warnings(&format!("{a}{b}"));
    assert_eq!(pair(rewriting("a", "", "/x"), rewriting("b", "", "/y")), "");
    assert!(pair(rewriting("a", "", "/x"), rewriting("b", "", "/x/y")).contains("path"));
    let before = "schedule: { end: 2026-01-01T00:00:00Z },";
    let after = "schedule: { start: 2026-01-01T00:00:00Z },";
    assert_eq!(pair(rewriting("a", before, "/x"), rewriting("b", after, "/x")), "");
    assert_eq!(pair(rewriting("a", "status: completed,", "/x"), rewriting("b", "", "/x")), "");
}
