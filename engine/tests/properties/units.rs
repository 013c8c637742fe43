//! Where the unit comes from, in requests that are as hostile as they like.

use proptest::prelude::*;
use serde_json::json;
use splitway_engine::{MAX_VALUE, Plan, RequestView, Source, Timestamp};

use crate::configs::{NOON, fixed, plan, simple};
use crate::requests::Request;

fn cookie_unit(request: &Request) -> Option<String> {
    Source::Cookie("uid".into()).read(&RequestView::new(&request.pairs())).map(Into::into)
}

/// What RFC 6265 says of a `cookie` line, by way of strings: the reference.
fn reference(lines: &[Vec<u8>]) -> Option<String> {
    let pairs = lines.iter().flat_map(|line| line.split(|b| *b == b';'));
    for pair in pairs {
        let Some(equals) = pair.iter().position(|b| *b == b'=') else { continue };
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        if name != b"uid" || value.is_empty() || value.len() > MAX_VALUE {
            continue;
        }
        if let Ok(value) = String::from_utf8(value.to_vec()) {
            return Some(value);
        }
    }
    None
}

const PIECES: &[&[u8]] = &[
    b"uid",
    b"=",
    b"=",
    b";",
    b"; ",
    b" ",
    b"\t",
    b"uidx=1",
    b"a=b",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"\"x\"",
    b"unit-7",
    b"%41",
    b"UID=u",
    b",",
];

/// Lines in which everything that matters to a cookie is frequent.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(PIECES);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..fixed(7) })]

    #[test]
    fn cookies_are_read_like_the_reference(lines in prop::collection::vec(line(), 0..4)) {
        let request = lines.iter().fold(Request::default(), |request, line| request.with("cookie", line));
        prop_assert_eq!(cookie_unit(&request), reference(&lines));
    }

    #[test]
    fn any_bytes_are_survived(
        headers in prop::collection::vec(
            (
                prop::sample::select(&["cookie", "x-user", ":path", ":authority", "x-forwarded-for", "x-jwt"]),
                prop::collection::vec(any::<u8>(), 0..64),
            ),
            0..6,
        ),
    ) {
        let mut config = simple(1);
        config["unit"] = json!([
            { "jwt_claim": { "header": "x-jwt", "claim": "sub" } }, { "query": "u" }, { "cookie": "uid" },
            { "header": "x-user" }, { "client_address": { "trusted_hops": 1 } },
        ]);
        let plan = plan(&config);
        let request = headers.into_iter().fold(Request::default(), |request, (name, value)| request.with(name, value));
        let decision = request.decide(&plan, Timestamp(NOON));
        prop_assert_eq!(decision.unit_missing, decision.assignments.is_empty());
    }
}

fn is_in(plan: &Plan, request: &Request) -> bool {
    !request.decide(plan, Timestamp(NOON)).assignments.is_empty()
}

#[test]
fn duplicate_foreign_and_huge_cookies() {
    let with = |lines: &[&[u8]]| {
        cookie_unit(&lines.iter().fold(Request::default(), |request, line| request.with("cookie", line)))
    };
    let pad = |count: usize| "x=1;".repeat(count).into_bytes();
    let long = |bytes: usize| [b"uid=".to_vec(), vec![b'a'; bytes]].concat();
    assert_eq!(with(&[b"uid=one; uid=two", b"uid=three"]).as_deref(), Some("one"));
    assert_eq!(with(&[b"uid=\xff\xfe", b"uid=two"]).as_deref(), Some("two"));
    assert_eq!(with(&[b"uid=\"quoted\""]).as_deref(), Some("\"quoted\""));
    assert_eq!(with(&[&long(MAX_VALUE)]).map(|unit| unit.len()), Some(MAX_VALUE));
    assert_eq!(with(&[&long(MAX_VALUE + 1)]), None);
    assert_eq!(with(&[&long(MAX_VALUE + 1), b"uid=short"]).as_deref(), Some("short"));
    for others in [63, 64, 10_000] {
        assert_eq!(with(&[&[pad(others), b"uid=last".to_vec()].concat()]).as_deref(), Some("last"));
    }
    assert_eq!(with(&[&vec![b';'; 1 << 20]]), None);
}

#[test]
fn a_chain_falls_back_in_its_order() {
    let mut config = simple(1);
    config["unit"] = json!([{ "header": "x-user" }, { "cookie": "uid" }]);
    let plan = plan(&config);
    let variant = |request: &Request| request.entered(&plan, Timestamp(NOON))["e0"].clone();
    // An unusable value is as good as none.
    for first in [&b""[..], b"   ", b"\xff", &[b'a'; MAX_VALUE + 1]] {
        let request = Request::default().with("x-user", first).with("cookie", "uid=unit-5");
        assert_eq!(variant(&request), variant(&Request::of("unit-5")));
    }
    assert!(!is_in(&plan, &Request::default().with("cookie", "UID=unit-5")));
}
