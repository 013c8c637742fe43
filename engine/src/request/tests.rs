//! Requests of many shapes.

use base64ct::{Base64UrlUnpadded, Encoding as _};

use super::text::*;
use super::view::*;

fn pairs<'a>(list: &[(&'a str, &'a [u8])]) -> Vec<(&'a [u8], &'a [u8])> {
    list.iter().map(|(n, v)| (n.as_bytes(), *v)).collect()
}

#[test]
fn cookies_of_all_lines_and_the_first_valid_one() {
    let headers =
        pairs(&[("cookie", b"a=1; uid=\xff\xfe; uidx=no; uid="), ("cookie", b" uid = first ;uid=second")]);
    let view = RequestView::new(&headers);
    assert_eq!(view.cookie("uid"), Some("first"));
    assert_eq!(view.cookie("a"), Some("1"));
    assert_eq!(view.cookie("b"), None);
}

/// With neighbours of the semicolon, which a search by words could take for one.
#[test]
fn semicolons_are_found_wherever_they_are() {
    for length in 0..40 {
        for other in [b'a', 0, b';' - 1, b';' + 1, b';' | 0x80, b';' ^ 1, 0xff] {
            let line = vec![other; length];
            assert_eq!(split_at_semicolon(&line), (&*line, None));
            for first in 0..length {
                for second in first..length {
                    let mut line = line.clone();
                    line[first] = b';';
                    line[second] = b';';
                    let expected = (&line[..first], Some(&line[first + 1..]));
                    assert_eq!(split_at_semicolon(&line), expected, "{line:?}");
                }
            }
        }
    }
}

#[test]
fn a_cookie_is_found_behind_any_number_of_others() {
    for others in [0, 64, 600, 10_000] {
        let mut line = "x=1; ".repeat(others);
        line.push_str("uid=; uid=late; uid=later");
        let headers = pairs(&[("cookie", b"a=b"), ("cookie", line.as_bytes()), ("cookie", b"last=z")]);
        let view = RequestView::new(&headers);
        assert_eq!(view.cookie("uid"), Some("late"), "{others}");
        assert_eq!(view.cookie("a"), Some("b"), "{others}");
        assert_eq!(view.cookie("last"), Some("z"), "{others}");
        assert_eq!(view.cookie("la"), None, "{others}");
    }
    let long = format!("uid={}", "a".repeat(MAX_VALUE + 1));
    let headers = pairs(&[("cookie", long.as_bytes())]);
    assert_eq!(RequestView::new(&headers).cookie("uid"), None);
}

/// One rule for all sources: the first value that can identify a unit.
#[test]
fn the_first_usable_value_counts_in_every_source() {
    for padding in [0, 1_400] {
        let path = format!("/?{}uid=&uid=%ff&uid=u1&uid=u2&e&f=+", "x&".repeat(padding));
        let headers = pairs(&[(":path", path.as_bytes()), ("x", b" "), ("x", b"\xff"), ("x", b"u1")]);
        let view = RequestView::new(&headers);
        assert_eq!(view.query("uid").as_deref(), Some("u1"), "{padding}");
        assert_eq!(view.query("e").as_deref(), Some(""), "{padding}");
        assert_eq!(view.query("f").as_deref(), Some(" "), "{padding}");
        assert_eq!(view.query("g"), None, "{padding}");
        assert_eq!(view.header_text("x"), Some("u1"));
    }
}

#[test]
fn addresses_may_have_ports() {
    for (entry, address) in [
        ("203.0.113.7:51234", Some("203.0.113.7")),
        ("203.0.113.7", Some("203.0.113.7")),
        ("[2001:db8::1]:443", Some("2001:db8::1")),
        ("[2001:db8::1]", Some("2001:db8::1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("::ffff:203.0.113.7", Some("203.0.113.7")),
        ("[::ffff:203.0.113.7]:80", Some("203.0.113.7")),
        ("203.0.113.7:x", None),
        ("203.0.113.7:80:80", None),
        ("[2001:db8::1]x", None),
        ("unknown", None),
        ("", None),
    ] {
        let headers = pairs(&[("x-forwarded-for", entry.as_bytes())]);
        let found = RequestView::new(&headers).client_address(0);
        assert_eq!(found.map(|found| found.to_string()).as_deref(), address, "{entry}");
    }
}

#[test]
fn query_parameters_are_decoded() {
    let headers = pairs(&[(":path", b"/a?x=%zz&uid=j%C3%B6+b%40c&uid=2&e#uid=3")]);
    let view = RequestView::new(&headers);
    assert_eq!(view.query("uid").as_deref(), Some("jö b@c"));
    assert_eq!(view.query("x").as_deref(), Some("%zz"));
    assert_eq!(view.query("e").as_deref(), Some(""));
    assert_eq!(view.path(), b"/a");
}

#[test]
fn the_client_address_counts_hops_from_the_right() {
    let headers =
        pairs(&[("x-forwarded-for", b"6.6.6.6, 203.0.113.9"), ("x-forwarded-for", b"::ffff:10.0.0.1")]);
    let view = RequestView::new(&headers);
    assert_eq!(view.client_address(0).unwrap().to_string(), "10.0.0.1");
    assert_eq!(view.client_address(1).unwrap().to_string(), "203.0.113.9");
    assert_eq!(view.client_address(3), None);
}

#[test]
fn hosts_lose_their_port() {
    for (authority, host) in [
        ("a.example:80", "a.example"),
        ("[::1]:80", "[::1]"),
        ("a", "a"),
        ("a.example.", "a.example"),
        ("a.example.:443", "a.example"),
        ("user:word@a.example:80", "a.example"),
    ] {
        let headers = pairs(&[(":authority", authority.as_bytes())]);
        assert_eq!(RequestView::new(&headers).host(), host.as_bytes());
    }
}

#[test]
fn jwt_claims() {
    let payload = Base64UrlUnpadded::encode_string(br#"{"sub":"u-1","n":7,"f":1.5,"e":""}"#);
    for padding in ["", "=", "=="] {
        let value = format!("{payload}{padding}");
        let headers = pairs(&[("x-jwt", value.as_bytes())]);
        let view = RequestView::new(&headers);
        assert_eq!(view.jwt_claim("x-jwt", "sub").as_deref(), Some("u-1"));
        assert_eq!(view.jwt_claim("x-jwt", "n").as_deref(), Some("7"));
        assert_eq!(view.jwt_claim("x-jwt", "f"), None);
        assert_eq!(view.jwt_claim("x-jwt", "e"), None);
    }
}

#[test]
fn the_jwts_of_a_request_have_one_limit() {
    let filler = "x".repeat(4_000);
    let of = |claim: &str, filler: &str| {
        Base64UrlUnpadded::encode_string(format!("{{\"{claim}\":1,\"filler\":\"{filler}\"}}").as_bytes())
    };
    let values = [of("first", &filler), of("second", &filler), of("small", "")];
    let lines: Vec<(&str, &[u8])> = values.iter().map(|value| ("x-jwt", value.as_bytes())).collect();
    let headers = pairs(&lines);
    let view = RequestView::new(&headers);
    for (claim, found) in [("first", true), ("second", false), ("small", true), ("first", true)] {
        assert_eq!(view.jwt_claim("x-jwt", claim).is_some(), found, "{claim}");
    }
}
