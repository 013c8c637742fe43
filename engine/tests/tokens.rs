//! QA tokens: who may choose a variant, for how long, and that nothing forged
//! gets in.

use serde_json::{Value, json};
use splitway_engine::qa_token::{Choice, Claims, MAX_LIFETIME_MS, TokenOutcome, sign};
use splitway_engine::{Decision, Document, NoTrace, Plan, Reason, RequestView, Timestamp, compile};

const NOW: Timestamp = Timestamp(1_795_262_400_000);
const OLD: (&str, &[u8]) = ("2025", b"an-old-secret-of-at-least-32-characters");
const NEW: (&str, &[u8]) = ("2026", b"a-new-secret-of-at-least-32-characters!");

fn config() -> Value {
    let key =
        |(id, secret): (&str, &[u8])| json!({ "id": id, "secret": std::str::from_utf8(secret).unwrap() });
    json!({
        "version": 1,
        "unit": [{ "header": "x-user" }],
        "qa_tokens": { "header": "x-qa", "cookie": "qa", "query": "qa", "keys": [key(OLD), key(NEW)] },
        "layers": [{ "id": "shared" }],
        "experiments": [
            { "id": "e", "layer": "shared", "buckets": [[0, 4999]], "variants": [{ "id": "a" }, { "id": "b" }] },
            { "id": "f", "layer": "shared", "buckets": [[5000, 9999]], "variants": [{ "id": "a" }] },
            { "id": "g", "unit": [{ "cookie": "device" }], "variants": [{ "id": "a" }, { "id": "b" }] },
        ],
    })
}

fn plan(config: &Value) -> Plan {
    compile(&Document::from_json(config.to_string().as_bytes()).unwrap()).unwrap()
}

fn claims(experiment: &str, variant: &str) -> Claims {
    Claims {
        choice: Some(Choice { experiment: experiment.to_owned(), variant: variant.to_owned() }),
        debug: false,
        subject: None,
        expires: NOW.0 / 1000 + 60,
        nonce: "n-1".to_owned(),
    }
}

fn token(claims: &Claims) -> String {
    sign(claims, NEW.0, NEW.1)
}

fn decide(plan: &Plan, headers: &[(&str, &[u8])], now: Timestamp) -> Decision {
    let pairs: Vec<(&[u8], &[u8])> = headers.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
    plan.decide(&RequestView::new(&pairs), now, &mut NoTrace)
}

fn outcome(token: &[u8], now: Timestamp) -> TokenOutcome {
    let decision = decide(&plan(&config()), &[("x-user", b"u"), ("x-qa", token)], now);
    let chosen = decision.assignments.iter().any(|assignment| assignment.reason == Reason::QaToken);
    assert_eq!(chosen, decision.token == TokenOutcome::Accepted);
    decision.token
}

#[test]
fn a_good_token_chooses_in_header_cookie_and_query_and_needs_no_unit() {
    let plan = plan(&config());
    let token = token(&claims("e", "b"));
    let (cookie, query) = (format!("a=b; qa={token}"), format!("/?qa={token}&x"));
    let places = [("x-qa", token.as_str()), ("cookie", &cookie), (":path", &query)];
    for (name, value) in places {
        for unit in [&[][..], &[("x-user", &b"unit-1"[..])]] {
            let headers = [unit, &[(name, value.as_bytes())]].concat();
            let decision = decide(&plan, &headers, NOW);
            assert_eq!(decision.token, TokenOutcome::Accepted, "{name}");
            let chosen = decision.assignments[0];
            assert_eq!((chosen.variant.index(), chosen.reason, chosen.bucket), (1, Reason::QaToken, 0));
            assert_eq!(plan.stamp(&decision).unwrap(), "e=b", "it takes the whole layer");
        }
    }
}

#[test]
fn a_token_changes_no_other_layer_and_no_other_request() {
    let plan = plan(&config());
    let token = token(&claims("e", "b"));
    for n in 0..500 {
        let (user, device) = (format!("unit-{n}"), format!("device=d-{n}"));
        let plain = [("x-user", user.as_bytes()), ("cookie", device.as_bytes())];
        let free = decide(&plan, &plain, NOW);
        let with = decide(&plan, &[&plain[..], &[("x-qa", token.as_bytes())]].concat(), NOW);
        let (g, _) = plan.find("g").unwrap();
        let of_g = |decision: &Decision| decision.assignments.iter().find(|a| a.experiment == g).copied();
        assert_eq!(of_g(&with), of_g(&free));
        assert_eq!(with.assignments.len(), 2);
        assert_eq!(decide(&plan, &plain, NOW), free, "nothing is remembered");
    }
}

#[test]
fn it_expires_at_its_second_and_may_live_a_day() {
    let claims = claims("e", "b");
    let (token, end) = (token(&claims), claims.expires * 1000);
    for (now, expected) in [
        (end - MAX_LIFETIME_MS - 1, TokenOutcome::Expired),
        (end - MAX_LIFETIME_MS, TokenOutcome::Accepted),
        (end - 1, TokenOutcome::Accepted),
        (end, TokenOutcome::Expired),
        (i64::MAX, TokenOutcome::Expired),
        (i64::MIN, TokenOutcome::Expired),
    ] {
        assert_eq!(outcome(token.as_bytes(), Timestamp(now)), expected, "{}", now.wrapping_sub(end));
    }
    for expires in [i64::MAX, i64::MIN, 0, -1] {
        let token = sign(&Claims { expires, ..claims.clone() }, NEW.0, NEW.1);
        assert_eq!(outcome(token.as_bytes(), NOW), TokenOutcome::Expired, "{expires}");
    }
}

#[test]
fn both_live_keys_sign_and_no_other() {
    let claims = claims("e", "b");
    for ((id, secret), expected) in [
        (OLD, TokenOutcome::Accepted),
        (NEW, TokenOutcome::Accepted),
        ((OLD.0, NEW.1), TokenOutcome::Forged),
        ((NEW.0, OLD.1), TokenOutcome::Forged),
        (("2024", OLD.1), TokenOutcome::Forged),
        (("", OLD.1), TokenOutcome::Forged),
        ((NEW.0, b""), TokenOutcome::Forged),
    ] {
        assert_eq!(outcome(sign(&claims, id, secret).as_bytes(), NOW), expected, "{id}");
    }
}

#[test]
fn every_changed_byte_is_rejected() {
    let good = token(&Claims { subject: Some("u".to_owned()), ..claims("e", "b") }).into_bytes();
    assert_eq!(outcome(&good, NOW), TokenOutcome::Accepted);
    let plan = plan(&config());
    let rejected = |token: &[u8]| {
        let decision = decide(&plan, &[("x-user", b"u"), ("x-qa", token)], NOW);
        assert_eq!(decision.token, TokenOutcome::Forged, "{:?}", String::from_utf8_lossy(token));
    };
    for position in 0..good.len() {
        let mut changed = good.clone();
        for bit in 0..8 {
            changed[position] = good[position] ^ (1 << bit);
            // Blanks around a header's value are not part of it, and leave a shorter token.
            rejected(&changed);
        }
        changed.remove(position);
        rejected(&changed);
        changed.insert(position, good[position]);
        changed.insert(position, b'A');
        rejected(&changed);
    }
    for cut in 1..good.len() {
        rejected(&good[..cut]);
        rejected(&good[cut..]);
    }
    for other in [&b"v1..."[..], b"v1.2026..", b".", &[b'.'; 2000], &[b'a'; 70_000], b"\xff", b"v1.2026.e30."]
    {
        rejected(other);
    }
}

#[test]
fn a_signed_payload_that_is_no_claims_is_rejected() {
    // Parts of one token with those of another: the tag covers all.
    let (one, other) = (token(&claims("e", "b")), token(&claims("e", "a")));
    let (head, _) = one.rsplit_once('.').unwrap();
    let (_, tag) = other.rsplit_once('.').unwrap();
    assert_eq!(outcome(format!("{head}.{tag}").as_bytes(), NOW), TokenOutcome::Forged);
}

#[test]
fn unknown_names_and_other_subjects_are_told_apart() {
    let subject = |name: &str| Claims { subject: Some(name.to_owned()), ..claims("e", "b") };
    for (claims, expected) in [
        (claims("nope", "b"), TokenOutcome::Unknown),
        (claims("e", "nope"), TokenOutcome::Unknown),
        (claims("", ""), TokenOutcome::Unknown),
        (subject("u"), TokenOutcome::Accepted),
        (subject("v"), TokenOutcome::WrongSubject),
        (subject(""), TokenOutcome::WrongSubject),
        (subject("u "), TokenOutcome::WrongSubject),
    ] {
        assert_eq!(outcome(token(&claims).as_bytes(), NOW), expected, "{claims:?}");
    }
    let decision = decide(&plan(&config()), &[("x-qa", token(&subject("u")).as_bytes())], NOW);
    assert_eq!(decision.token, TokenOutcome::WrongSubject, "a subject needs a unit");
}

/// A tester of an experiment that randomises devices is a device.
#[test]
fn the_subject_is_a_unit_of_the_tokens_own_experiment() {
    let subject = |name: &str| token(&Claims { subject: Some(name.to_owned()), ..claims("g", "b") });
    let plan = plan(&config());
    for (name, expected) in [("d", TokenOutcome::Accepted), ("u", TokenOutcome::WrongSubject)] {
        let token = subject(name);
        let headers: [(&str, &[u8]); 3] =
            [("x-user", b"u"), ("cookie", b"device=d"), ("x-qa", token.as_bytes())];
        assert_eq!(decide(&plan, &headers, NOW).token, expected, "{name}");
    }
}

#[test]
fn a_token_enters_drafts_and_stays_out_of_what_is_stopped() {
    for (status, enters) in
        [("draft", true), ("running", true), ("paused", false), ("completed", false), ("rolled_back", false)]
    {
        let mut config = config();
        config["experiments"][2]["status"] = json!(status);
        let token = token(&claims("g", "b"));
        let decision = decide(&plan(&config), &[("x-qa", token.as_bytes())], NOW);
        assert_eq!(decision.assignments.len(), usize::from(enters), "{status}");
    }
}

#[test]
fn without_keys_nothing_is_looked_at() {
    let mut config = config();
    config.as_object_mut().unwrap().remove("qa_tokens");
    let token = token(&claims("e", "b"));
    let decision = decide(&plan(&config), &[("x-user", b"u"), ("x-qa", token.as_bytes())], NOW);
    assert_eq!(decision.token, TokenOutcome::None);
}
