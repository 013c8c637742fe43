//! Targeting, compiled: which requests an experiment is for.
//!
//! A missing value (absent, or not UTF-8 where text is needed) matches nothing
//! but `exists: false`; so `not: { header: { name: a, equals: b } }` holds for a
//! request without `a`.

use std::borrow::Cow;

use ipnet::IpNet;
use regex_lite::Regex;
use splitway_document::Document;

use super::source::Source;
use super::text::MAX_VALUE;
use super::version::Version;
use super::view::RequestView;
use crate::bucketing::SaltedHash;

/// A compiled rule.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    All(Box<[Rule]>),
    Any(Box<[Rule]>),
    Not(Box<Rule>),
    Value {
        subject: Subject,
        test: Test,
    },
    Address {
        ranges: Box<[IpNet]>,
        trusted_hops: u8,
    },
    /// The unit's bucket under a salt of its own lies below `buckets`.
    Sample {
        hash: SaltedHash,
        buckets: u32,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Method,
    Path,
    Host,
    Header(Box<str>),
    Cookie(Box<str>),
    Query(Box<str>),
    Attribute(Source),
    Unit,
}

#[derive(Clone, Debug)]
pub(crate) enum Test {
    Equals(Text),
    OneOf(Box<[Text]>),
    Prefix(Text),
    /// At a `/` boundary: `/a` is a prefix of `/a` and `/a/b`, not of `/ab`.
    PathPrefix(Text),
    Suffix(Text),
    Contains(Text),
    Regex(Box<Regex>),
    Exists(bool),
    Number(Bounds<f64>),
    Version(Box<Bounds<Version>>),
}

/// Text to compare with, and how.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) value: Box<[u8]>,
    pub(crate) ignore_case: bool,
}

/// Bounds that must all hold.
#[derive(Clone, Debug)]
pub(crate) struct Bounds<T> {
    pub(crate) eq: Option<T>,
    pub(crate) gt: Option<T>,
    pub(crate) gte: Option<T>,
    pub(crate) lt: Option<T>,
    pub(crate) lte: Option<T>,
}

impl Rule {
    /// Whether `request`, of `unit`, is eligible.
    pub(crate) fn holds(&self, request: &RequestView<'_>, unit: &str) -> bool {
        match self {
            Self::All(rules) => rules.iter().all(|rule| rule.holds(request, unit)),
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(request, unit)),
            Self::Not(rule) => !rule.holds(request, unit),
            Self::Value { subject, test } => test.of(subject, request, unit),
            Self::Address { ranges, trusted_hops } => request
                .client_address(*trusted_hops)
                .is_some_and(|address| ranges.iter().any(|range| range.contains(&address))),
            Self::Sample { hash, buckets } => hash.bucket(unit) < *buckets,
        }
    }
}

impl Subject {
    fn is_of_url(&self) -> bool {
        matches!(self, Self::Path | Self::Host | Self::Query(_))
    }
}

/// What a rule can come to for a URL, whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Possible {
    holds: bool,
    fails: bool,
}

impl Rule {
    /// Whether the rule can hold for some request for this URL: what is not part
    /// of the URL is taken as unknown.
    pub(crate) fn may_hold(&self, request: &RequestView<'_>) -> bool {
        self.possible(request, Subject::is_of_url).holds
    }

    /// Whether the rule can hold for somebody's request like this one: what it says of URL and method holds, and
    /// what it says of people (headers, cookies, attributes, addresses, units) is taken as unknown.
    pub(crate) fn may_hold_for_somebody(&self, request: &RequestView<'_>) -> bool {
        self.possible(request, |subject| subject.is_of_url() || matches!(subject, Subject::Method)).holds
    }

    /// Whether the rule looks at nothing but the URL.
    pub(crate) fn is_for_urls(&self) -> bool {
        match self {
            Self::All(rules) | Self::Any(rules) => rules.iter().all(Self::is_for_urls),
            Self::Not(rule) => rule.is_for_urls(),
            Self::Value { subject, .. } => subject.is_of_url(),
            Self::Address { .. } | Self::Sample { .. } => false,
        }
    }

    fn possible(&self, request: &RequestView<'_>, is_known: fn(&Subject) -> bool) -> Possible {
        match self {
            Self::All(rules) => rules.iter().fold(Possible { holds: true, fails: false }, |all, rule| {
                let one = rule.possible(request, is_known);
                Possible { holds: all.holds && one.holds, fails: all.fails || one.fails }
            }),
            Self::Any(rules) => rules.iter().fold(Possible { holds: false, fails: true }, |any, rule| {
                let one = rule.possible(request, is_known);
                Possible { holds: any.holds || one.holds, fails: any.fails && one.fails }
            }),
            Self::Not(rule) => {
                let one = rule.possible(request, is_known);
                Possible { holds: one.fails, fails: one.holds }
            }
            Self::Value { subject, test } if is_known(subject) => {
                let holds = test.of(subject, request, "");
                Possible { holds, fails: !holds }
            }
            Self::Value { .. } | Self::Address { .. } | Self::Sample { .. } => {
                Possible { holds: true, fails: true }
            }
        }
    }
}

impl Subject {
    fn read<'r>(&self, request: &'r RequestView<'_>, unit: &'r str) -> Option<Cow<'r, [u8]>> {
        match self {
            Self::Method => Some(Cow::Borrowed(request.method())),
            Self::Path => Some(Cow::Borrowed(request.normal_path())),
            Self::Host => Some(lower(request.host())),
            Self::Header(name) => request.header_joined(name),
            Self::Cookie(name) => request.cookie(name).map(|value| Cow::Borrowed(value.as_bytes())),
            Self::Query(name) => request.query(name).map(bytes),
            Self::Attribute(source) => source.read(request).map(bytes),
            Self::Unit => Some(Cow::Borrowed(unit.as_bytes())),
        }
    }
}

pub(crate) fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn lower(host: &[u8]) -> Cow<'_, [u8]> {
    if host.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

impl Test {
    fn of(&self, subject: &Subject, request: &RequestView<'_>, unit: &str) -> bool {
        // Asked of every value, and no reason to put its lines together.
        if let (Self::Exists(expected), Subject::Header(name)) = (self, subject) {
            return request.header(name).is_some() == *expected;
        }
        let value = subject.read(request, unit);
        let may = |value: &[u8]| match self {
            Self::Regex(_) => request.may_match(value.len()),
            Self::Contains(_) => request.may_search(value.len()),
            _ => true,
        };
        self.holds(value.as_deref().filter(|value| value.len() > MAX_VALUE || may(value)))
    }

    /// Whether it holds for `value`. Of one that is longer than [`MAX_VALUE`] only the beginning is looked
    /// at: a client may send 60 kB, and there may be hundreds of tests.
    pub(crate) fn holds(&self, value: Option<&[u8]>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::Exists(false));
        };
        let is_long = value.len() > MAX_VALUE;
        match self {
            Self::Prefix(text) => text.begins(value).is_some(),
            Self::PathPrefix(text) => text
                .begins(value)
                .is_some_and(|rest| text.value.ends_with(b"/") || matches!(rest.first(), None | Some(b'/'))),
            Self::Exists(expected) => *expected,
            _ if is_long => false,
            Self::Equals(text) => text.same(value),
            Self::OneOf(texts) => texts.iter().any(|text| text.same(value)),
            Self::Suffix(text) => text.ends(value),
            Self::Contains(text) => text.within(value),
            Self::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text)),
            Self::Number(bounds) => number(value).is_some_and(|number| bounds.hold(&number)),
            Self::Version(bounds) => version(value).is_some_and(|version| bounds.hold(&version)),
        }
    }
}

impl Text {
    fn same(&self, value: &[u8]) -> bool {
        if self.ignore_case { self.value.eq_ignore_ascii_case(value) } else { *self.value == *value }
    }

    /// What follows, if `value` begins with this.
    fn begins<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let (head, rest) = value.split_at_checked(self.value.len())?;
        self.same(head).then_some(rest)
    }

    fn ends(&self, value: &[u8]) -> bool {
        let start = value.len().checked_sub(self.value.len());
        start.and_then(|start| value.get(start..)).is_some_and(|tail| self.same(tail))
    }

    fn within(&self, value: &[u8]) -> bool {
        let [Some(first), Some(last)] = [self.value.first(), self.value.last()] else { return true };
        let same = |a: u8, b: u8| a == b || self.ignore_case && a.eq_ignore_ascii_case(&b);
        // Most places have not both ends: they are passed over without a comparison of the whole.
        value.windows(self.value.len()).any(|window| {
            let [Some(head), Some(tail)] = [window.first(), window.last()] else { return false };
            same(*head, *first) && same(*tail, *last) && self.same(window)
        })
    }
}

impl<T: PartialOrd> Bounds<T> {
    fn hold(&self, value: &T) -> bool {
        self.eq.as_ref().is_none_or(|bound| value == bound)
            && self.gt.as_ref().is_none_or(|bound| value > bound)
            && self.gte.as_ref().is_none_or(|bound| value >= bound)
            && self.lt.as_ref().is_none_or(|bound| value < bound)
            && self.lte.as_ref().is_none_or(|bound| value <= bound)
    }
}

/// A number as JSON has it. (The standard library's parser would cost the
/// filter 16 kB.)
fn number(value: &[u8]) -> Option<f64> {
    Document::from_json(value.trim_ascii()).ok()?.number()
}

fn version(value: &[u8]) -> Option<Version> {
    Version::parse(std::str::from_utf8(value).ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str, ignore_case: bool) -> Text {
        Text { value: value.as_bytes().into(), ignore_case }
    }

    #[test]
    fn path_prefixes_end_at_a_segment() {
        let test = Test::PathPrefix(text("/checkout", false));
        for (path, expected) in
            [("/checkout", true), ("/checkout/a", true), ("/checkouts", false), ("/", false)]
        {
            assert_eq!(test.holds(Some(path.as_bytes())), expected, "{path}");
        }
        assert!(Test::PathPrefix(text("/a/", false)).holds(Some(b"/a/b")));
    }

    #[test]
    fn a_rule_may_hold_unless_the_url_rules_it_out() {
        let path = |value| Rule::Value { subject: Subject::Path, test: Test::PathPrefix(text(value, false)) };
        let cookie = || Rule::Value { subject: Subject::Cookie("a".into()), test: Test::Exists(true) };
        let headers: [(&[u8], &[u8]); 1] = [(b":path", b"/checkout?x=1")];
        let request = RequestView::new(&headers);
        for (rule, expected) in [
            (path("/checkout"), true),
            (path("/other"), false),
            (cookie(), true),
            (Rule::Not(Box::new(cookie())), true),
            (Rule::Not(Box::new(path("/checkout"))), false),
            (Rule::All([path("/checkout"), cookie()].into()), true),
            (Rule::All([path("/other"), cookie()].into()), false),
            (Rule::Any([path("/other"), cookie()].into()), true),
            (Rule::Any([path("/other"), path("/b")].into()), false),
            (Rule::Not(Box::new(Rule::All([path("/checkout"), cookie()].into()))), true),
        ] {
            assert_eq!(rule.may_hold(&request), expected, "{rule:?}");
        }
    }

    #[test]
    fn a_missing_value_matches_only_exists_false() {
        assert!(Test::Exists(false).holds(None));
        assert!(!Test::Exists(true).holds(None));
        assert!(!Test::Equals(text("", false)).holds(None));
        assert!(!Test::Exists(false).holds(Some(b"")));
    }

    #[test]
    fn case_is_ignored_on_demand() {
        assert!(Test::Contains(text("BOT", true)).holds(Some(b"Googlebot/2.1")));
        assert!(!Test::Contains(text("BOT", false)).holds(Some(b"Googlebot/2.1")));
        assert!(Test::Suffix(text(".PDF", true)).holds(Some(b"/a.pdf")));
        assert!(!Test::Suffix(text("longer", true)).holds(Some(b"er")));
    }

    #[test]
    fn of_a_long_value_only_the_beginning_is_looked_at() {
        let long = [b"a/".to_vec(), vec![b'x'; MAX_VALUE], b"/z".to_vec()].concat();
        let holds = |test: Test| test.holds(Some(&long));
        assert!(holds(Test::Prefix(text("a/x", false))) && holds(Test::Exists(true)));
        assert!(!holds(Test::Contains(text("/z", false))) && !holds(Test::Suffix(text("/z", false))));
    }

    #[test]
    fn regular_expressions_of_one_request_look_at_so_much() {
        let value = "a".repeat(MAX_VALUE);
        let headers: [(&[u8], &[u8]); 1] = [(b"x", value.as_bytes())];
        let request = RequestView::new(&headers);
        let rule = Rule::Value {
            subject: Subject::Header("x".into()),
            test: Test::Regex(Box::new(Regex::new("a$").unwrap())),
        };
        let held = (0..20).filter(|_| rule.holds(&request, "")).count();
        assert_eq!(held, 1);
    }

    #[test]
    fn versions_compare_by_precedence() {
        let bounds = Bounds {
            eq: None,
            gt: None,
            gte: Version::parse("2.10"),
            lt: Version::parse("3.0.0-beta.2"),
            lte: None,
        };
        let test = Test::Version(Box::new(bounds));
        for (value, expected) in [
            ("2.9.9", false),
            ("2.10.0", true),
            ("v2.10", true),
            ("3.0.0-beta.1", true),
            ("3.0.0-beta.10", false),
            ("3", false),
            ("abc", false),
        ] {
            assert_eq!(test.holds(Some(value.as_bytes())), expected, "{value}");
        }
    }

    #[test]
    fn non_utf8_matches_bytes_but_no_regex() {
        assert!(Test::Prefix(text("a", false)).holds(Some(b"a\xff")));
        assert!(!Test::Regex(Box::new(Regex::new("a").unwrap())).holds(Some(b"a\xff")));
    }
}
