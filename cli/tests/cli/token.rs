//! `splitway token`: what it signs is what the engine accepts.

use splitway_engine::{Decision, Document, NoTrace, RequestView, Timestamp, compile};

use crate::support::{Bench, Ran};

const CONFIG: &str = "\
version: 1
unit: [{ header: x-user-id }]
qa_tokens:
  header: x-qa
  cookie: qa
  keys:
    - { id: \"2025\", secret: an-old-secret-of-at-least-32-characters }
    - { id: \"2026\", secret: a-new-secret-of-at-least-32-characters! }
experiments:
  - id: checkout
    traffic: 0%
    variants: [{ id: control }, { id: one-step }]
";
const NOW: &str = "2026-11-20T00:00:00Z";

fn token(args: &str) -> Ran {
    Bench::new(&[("splitway.yaml", CONFIG)]).run(&format!("token --config splitway.yaml --at {NOW} {args}"))
}

/// The stamp of a request of `user` with the token, some minutes later.
fn stamp(token: &str, user: &str, minutes: i64) -> Option<String> {
    let plan = compile(&Document::from_yaml(CONFIG).unwrap()).unwrap();
    let headers: [(&[u8], &[u8]); 3] =
        [(b":path", b"/"), (b"x-user-id", user.as_bytes()), (b"x-qa", token.trim().as_bytes())];
    let now = Timestamp(Timestamp::parse(NOW).unwrap().0 + minutes * 60_000);
    let mut decision = Decision::default();
    plan.decide_into(&RequestView::new(&headers), now, &mut NoTrace, &mut decision);
    plan.stamp(&decision).map(|stamp| stamp.into_owned())
}

#[test]
fn a_tester_gets_the_variant_until_the_token_ends() {
    let ran = token("--experiment checkout --variant one-step --expires-in 30m");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.out.lines().count(), 1, "only the token is on stdout: {}", ran.all());
    assert!(
        ran.err.contains("valid until 2026-11-20T00:30:00") && ran.err.contains("-H 'x-qa: v1.2026."),
        "{}",
        ran.all()
    );
    assert_eq!(stamp(&ran.out, "u1", 29).as_deref(), Some("checkout=one-step"));
    assert_eq!(stamp(&ran.out, "u1", 31), None);
    assert_ne!(token("--experiment checkout --variant one-step").out, ran.out, "each is unique");
}

#[test]
fn a_subject_and_a_key_can_be_chosen() {
    let ran = token("--experiment checkout --variant control --subject u1 --key 2025 --json");
    let json = ran.json();
    let made = json["token"].as_str().unwrap();
    assert!(made.starts_with("v1.2025."));
    assert_eq!(json["send_as"].as_array().unwrap().len(), 2);
    assert_eq!(stamp(made, "u1", 1).as_deref(), Some("checkout=control"));
    assert_eq!(stamp(made, "u2", 1), None);
    assert_eq!(token("--debug").code, 0);
}

#[test]
fn what_cannot_be_signed_is_told() {
    for (args, why) in [
        ("--experiment checkout --variant one-stp", "did you mean `one-step`?"),
        ("--experiment chekout --variant one-step", "did you mean `checkout`?"),
        ("--experiment checkout --variant control --expires-in soon", "30m or 12h"),
        ("--experiment checkout --variant control --expires-in 2d", "from 1s to 24h"),
        ("--experiment checkout --variant control --expires-in 25h", "from 1s to 24h"),
        ("--experiment checkout --variant control --key 2024", "expected one of 2025, 2026"),
        ("--experiment checkout", "--variant"),
        ("", "give --experiment with --variant, or --debug"),
    ] {
        let ran = token(args);
        assert_eq!(ran.code, 2, "{args}: {}", ran.all());
        assert!(ran.err.contains(why), "{args}: {}", ran.all());
    }
    let bench = Bench::new(&[("splitway.yaml", "version: 1\nunit: [{ cookie: u }]\nexperiments: []\n")]);
    let ran = bench.run("token --config splitway.yaml --debug");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("add `qa_tokens`"), "{}", ran.all());
}
