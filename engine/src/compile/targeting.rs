//! Targeting rules of the document -> compiled rules.

use std::net::IpAddr;

use ipnet::IpNet;
use regex_lite::{Regex, RegexBuilder};

use super::Compiler;
use crate::bucketing::{BUCKETS, SaltedHash};
use crate::document::describe_text;
use crate::problem::{Code, Place, Problem};
use crate::targeting::{Bounds, Rule, Subject, Test, Text};
use crate::version::Version;
use crate::wire;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;
/// Most patterns in a document: together they may take [`MAX_PROGRAM`] times this.
const MAX_PATTERNS: usize = 256;
/// Largest compiled pattern, in bytes.
const MAX_PROGRAM: usize = 256 * 1024;
/// Deepest nesting inside a pattern.
const MAX_PATTERN_DEPTH: u32 = 32;

impl<'c> Compiler<'c> {
    #[inline(never)]
    pub(super) fn rule(&mut self, at: Place<'_>, rule: &'c wire::Rule) -> Option<Rule> {
        match rule {
            wire::Rule::All(rules) => self.rules(at.key("all"), rules).map(Rule::All),
            wire::Rule::Any(rules) => {
                let at = at.key("any");
                if rules.is_empty() {
                    self.error(at, Code::InvalidValue, "at least one rule", "none: it never holds");
                }
                self.rules(at, rules).map(Rule::Any)
            }
            wire::Rule::Not(rule) => self.rule(at.key("not"), rule).map(|rule| Rule::Not(Box::new(rule))),
            wire::Rule::Method(test) => self.value(at.key("method"), Subject::Method, &named(test)),
            wire::Rule::Path(test) => self.value(at.key("path"), Subject::Path, &named(test)),
            wire::Rule::Host(test) => self.value(at.key("host"), Subject::Host, &named(test)),
            wire::Rule::Unit(test) => self.value(at.key("unit"), Subject::Unit, &named(test)),
            wire::Rule::Header(test) => {
                let at = at.key("header");
                let name = self.read_header(at.key("name"), &test.name)?;
                self.value(at, Subject::Header(name), test)
            }
            wire::Rule::Cookie(test) => {
                let at = at.key("cookie");
                let name = self.cookie_name(at.key("name"), &test.name)?;
                self.value(at, Subject::Cookie(name), test)
            }
            wire::Rule::Query(test) => {
                let at = at.key("query");
                let name = self.text(at.key("name"), &test.name)?;
                self.value(at, Subject::Query(name), test)
            }
            wire::Rule::Attribute(test) => self.attribute(at.key("attribute"), test),
            wire::Rule::ClientAddress(test) => self.address(at.key("client_address"), test),
            wire::Rule::Sample(sample) => self.sample(at.key("sample"), sample),
        }
    }

    fn rules(&mut self, at: Place<'_>, rules: &'c [wire::Rule]) -> Option<Box<[Rule]>> {
        let compiled: Vec<_> =
            rules.iter().enumerate().map(|(index, rule)| self.rule(at.index(index), rule)).collect();
        compiled.into_iter().collect()
    }

    fn attribute(&mut self, at: Place<'_>, test: &wire::NamedMatch) -> Option<Rule> {
        if let Some((_, source)) = self.attributes.iter().find(|(name, _)| *name == test.name) {
            let source = source.clone();
            return self.value(at, Subject::Attribute(source), test);
        }
        let names = self.config.attributes.iter().map(|(name, _)| name);
        let problem = Problem::error(
            at.key("name").path(),
            Code::UnknownReference,
            "an attribute declared under `attributes`",
            &describe_text(&test.name),
        );
        self.problems.push(problem.suggest_near(&test.name, names));
        None
    }

    #[inline(never)]
    fn address(&mut self, at: Place<'_>, test: &wire::AddressMatch) -> Option<Rule> {
        self.reads_address = true;
        let list = at.key("one_of");
        if test.one_of.is_empty() {
            self.error(list, Code::MissingField, "at least one address range", "none");
        }
        let mut ranges = Vec::with_capacity(test.one_of.len());
        for (index, text) in test.one_of.iter().enumerate() {
            let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            match parsed {
                Some(range) => ranges.push(range),
                None => {
                    let expected = "an address range such as 10.0.0.0/8";
                    self.error(list.index(index), Code::InvalidValue, expected, &describe_text(text));
                }
            }
        }
        Some(Rule::Address { ranges: ranges.into(), trusted_hops: test.trusted_hops.unwrap_or(0) })
    }

    fn sample(&mut self, at: Place<'_>, sample: &wire::Sample) -> Option<Rule> {
        let salt = self.text(at.key("salt"), &sample.salt);
        let share = self.share(at.key("share"), &sample.share);
        let hash = SaltedHash::new(&self.own_salt("sample", &salt?));
        Some(Rule::Sample { hash, buckets: share?.of(BUCKETS) })
    }

    fn value(&mut self, at: Place<'_>, subject: Subject, test: &wire::NamedMatch) -> Option<Rule> {
        let segments = matches!(subject, Subject::Path);
        let test = self.test(at, test, segments)?;
        Some(Rule::Value { subject, test })
    }

    /// The one operator of `test`. `segments`: a prefix ends at a `/`.
    #[inline(never)]
    fn test(&mut self, at: Place<'_>, test: &wire::NamedMatch, segments: bool) -> Option<Test> {
        let ignore_case = test.ignore_case.unwrap_or(false);
        let text = |value: &str| Text { value: value.as_bytes().into(), ignore_case };
        let mut tests: Vec<Option<Test>> = Vec::new();
        let literal =
            |value: &Option<String>, make: fn(Text) -> Test| value.as_deref().map(|v| Some(make(text(v))));
        tests.extend(literal(&test.equals, Test::Equals));
        if !test.one_of.is_empty() {
            tests.push(Some(Test::OneOf(test.one_of.iter().map(|value| text(value)).collect())));
        }
        tests.extend(literal(&test.prefix, if segments { Test::PathPrefix } else { Test::Prefix }));
        tests.extend(literal(&test.suffix, Test::Suffix));
        tests.extend(literal(&test.contains, Test::Contains));
        if let Some(glob) = &test.glob {
            let regex = self.regex(at.key("glob"), glob, &glob_to_regex(glob), ignore_case);
            tests.push(regex.map(|regex| Test::Regex(Box::new(regex))));
        }
        if let Some(regex) = &test.regex {
            let regex = self.regex(at.key("regex"), regex, regex, ignore_case);
            tests.push(regex.map(|regex| Test::Regex(Box::new(regex))));
        }
        tests.extend(test.exists.map(|exists| Some(Test::Exists(exists))));
        if let Some(range) = &test.number {
            tests.push(self.number(at.key("number"), range));
        }
        if let Some(range) = &test.version {
            tests.push(self.version(at.key("version"), range));
        }
        let count = tests.len();
        if let (Some(only), 1) = (tests.pop(), count) {
            return only;
        }
        let expected =
            "exactly one of equals, one_of, prefix, suffix, contains, glob, regex, exists, number, version";
        let found = if count == 0 { "none".to_owned() } else { format!("{count} of them") };
        self.error(at, Code::InvalidValue, expected, &found);
        None
    }

    pub(super) fn regex(
        &mut self,
        at: Place<'_>,
        written: &str,
        pattern: &str,
        ignore_case: bool,
    ) -> Option<Regex> {
        self.patterns = self.patterns.saturating_add(1);
        if self.patterns > MAX_PATTERNS {
            let expected = format!("at most {MAX_PATTERNS} patterns in the document");
            self.error(at, Code::Limit, &expected, "more");
            return None;
        }
        if written.len() > MAX_PATTERN {
            let expected = format!("a pattern of at most {MAX_PATTERN} bytes");
            self.error(at, Code::Limit, &expected, &format!("{} bytes", written.len()));
            return None;
        }
        let built = RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .size_limit(MAX_PROGRAM)
            .nest_limit(MAX_PATTERN_DEPTH)
            .build();
        match built {
            Ok(regex) => Some(regex),
            Err(error) => {
                let error = error.to_string();
                let found = format!("{}: {error}", describe_text(written));
                // The library tells its limits from other mistakes by their texts alone.
                if error.ends_with("size limit") {
                    let expected = format!("a pattern of at most {MAX_PROGRAM} bytes when compiled");
                    self.error(at, Code::Limit, &expected, &found);
                } else if error.ends_with("too much nesting") {
                    let expected = format!("at most {MAX_PATTERN_DEPTH} levels of nesting in a pattern");
                    self.error(at, Code::Limit, &expected, &found);
                } else {
                    self.error(at, Code::InvalidValue, "a regular expression (without look-around)", &found);
                }
                None
            }
        }
    }

    #[inline(never)]
    fn number(&mut self, at: Place<'_>, range: &wire::NumberRange) -> Option<Test> {
        let bounds = Bounds { eq: range.eq, gt: range.gt, gte: range.gte, lt: range.lt, lte: range.lte };
        let given = [bounds.eq, bounds.gt, bounds.gte, bounds.lt, bounds.lte];
        if given.iter().all(Option::is_none) {
            self.error(at, Code::MissingField, "at least one of eq, gt, gte, lt, lte", "none");
            return None;
        }
        Some(Test::Number(bounds))
    }

    #[inline(never)]
    fn version(&mut self, at: Place<'_>, range: &wire::VersionRange) -> Option<Test> {
        let fields = [
            ("eq", &range.eq),
            ("gt", &range.gt),
            ("gte", &range.gte),
            ("lt", &range.lt),
            ("lte", &range.lte),
        ];
        if fields.iter().all(|(_, text)| text.is_none()) {
            self.error(at, Code::MissingField, "at least one of eq, gt, gte, lt, lte", "none");
            return None;
        }
        let mut parse = |name: &str, text: &Option<String>| match text {
            None => Some(None),
            Some(text) => match Version::parse(text) {
                Some(version) => Some(Some(version)),
                None => {
                    self.error(
                        at.key(name),
                        Code::InvalidValue,
                        "a version such as 2.1.0",
                        &describe_text(text),
                    );
                    None
                }
            },
        };
        let [eq, gt, gte, lt, lte] = fields.map(|(name, text)| parse(name, text));
        Some(Test::Version(Box::new(Bounds { eq: eq?, gt: gt?, gte: gte?, lt: lt?, lte: lte? })))
    }
}

/// The operators, whether they come with a name or not.
fn named(test: &wire::Match) -> wire::NamedMatch {
    let test = test.clone();
    wire::NamedMatch {
        name: String::new(),
        equals: test.equals,
        one_of: test.one_of,
        prefix: test.prefix,
        suffix: test.suffix,
        contains: test.contains,
        glob: test.glob,
        regex: test.regex,
        exists: test.exists,
        number: test.number,
        version: test.version,
        ignore_case: test.ignore_case,
    }
}

/// `*`: anything but `/`; `**`: anything; `?`: one character but `/`.
fn glob_to_regex(glob: &str) -> String {
    let mut pattern = String::from("(?s)^");
    let mut rest = glob.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => pattern.push_str(".*"),
            '*' => pattern.push_str("[^/]*"),
            '?' => pattern.push_str("[^/]"),
            c => pattern.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern.push('$');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, yes, no) in [
            ("/a/*", "/a/b", "/a/b/c"),
            ("/a/**", "/a/b/c", "/b"),
            ("*.example", "www.example", "www.example.org"),
            ("/?", "/x", "/xy"),
        ] {
            let regex = regex_lite::Regex::new(&glob_to_regex(glob)).unwrap();
            assert!(regex.is_match(yes), "{glob} {yes}");
            assert!(!regex.is_match(no), "{glob} {no}");
        }
    }
}
