//! Targeting rules of the document -> compiled rules.

use std::net::IpAddr;

use ipnet::IpNet;
use regex_lite::{Regex, RegexBuilder};
use splitway_document::{Code, Place, Problem, describe_text, prose};

use super::compiler::Compiler;
use crate::bucketing::{BUCKETS, SaltedHash};
use crate::request::{Bounds, Rule, Subject, Test, Text, Version};
use crate::wire;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;
/// Most patterns in a document: together they may take [`MAX_PROGRAM`] times this.
const MAX_PATTERNS: usize = 256;
/// Largest compiled pattern, in bytes.
const MAX_PROGRAM: usize = 256 * 1024;
/// Deepest nesting inside a pattern.
const MAX_PATTERN_DEPTH: u32 = 32;

/// Makes a test of what it compares with.
type Make = fn(Text) -> Test;

/// The operators of a test, whether they come with a name or not.
struct Operators<'t> {
    texts: [(&'t Option<String>, Make); 4],
    one_of: &'t [String],
    glob: &'t Option<String>,
    regex: &'t Option<String>,
    exists: Option<bool>,
    number: &'t Option<wire::NumberRange>,
    version: &'t Option<wire::VersionRange>,
    ignore_case: Option<bool>,
}

macro_rules! operators {
    ($test:expr) => {
        &Operators {
            texts: [
                (&$test.equals, Test::Equals),
                (&$test.prefix, Test::Prefix),
                (&$test.suffix, Test::Suffix),
                (&$test.contains, Test::Contains),
            ],
            one_of: &$test.one_of,
            glob: &$test.glob,
            regex: &$test.regex,
            exists: $test.exists,
            number: &$test.number,
            version: &$test.version,
            ignore_case: $test.ignore_case,
        }
    };
}

impl<'c> Compiler<'c> {
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
            wire::Rule::Method(test) => self.value(at.key("method"), Subject::Method, operators!(test)),
            wire::Rule::Path(test) => self.value(at.key("path"), Subject::Path, operators!(test)),
            wire::Rule::Host(test) => self.value(at.key("host"), Subject::Host, operators!(test)),
            wire::Rule::Unit(test) => self.value(at.key("unit"), Subject::Unit, operators!(test)),
            wire::Rule::Header(test) => {
                let at = at.key("header");
                let name = self.read_header(at.key("name"), &test.name)?;
                self.value(at, Subject::Header(name), operators!(test))
            }
            wire::Rule::Cookie(test) => {
                let at = at.key("cookie");
                let name = self.cookie_name(at.key("name"), &test.name)?;
                self.value(at, Subject::Cookie(name), operators!(test))
            }
            wire::Rule::Query(test) => {
                let at = at.key("query");
                let name = self.text(at.key("name"), &test.name)?;
                self.value(at, Subject::Query(name), operators!(test))
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
            return self.value(at, Subject::Attribute(source), operators!(test));
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

    fn address(&mut self, at: Place<'_>, test: &wire::AddressMatch) -> Option<Rule> {
        self.reads_address = true;
        let list = at.key("one_of");
        if test.one_of.is_empty() {
            self.error(list, Code::MissingField, "at least one address range", "none");
        }
        let mut ranges = Vec::with_capacity(test.one_of.len());
        for (index, text) in test.one_of.iter().enumerate() {
            match address_range(text) {
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

    fn value(&mut self, at: Place<'_>, subject: Subject, test: &Operators<'_>) -> Option<Rule> {
        let segments = matches!(subject, Subject::Path);
        let test = self.test(at, test, segments)?;
        Some(Rule::Value { subject, test })
    }

    /// The one operator of `test`. `segments`: a prefix ends at a `/`.
    fn test(&mut self, at: Place<'_>, test: &Operators<'_>, segments: bool) -> Option<Test> {
        let ignore_case = test.ignore_case.unwrap_or(false);
        let text = |value: &String| Text { value: value.as_bytes().into(), ignore_case };
        // What begins a path is compared with paths in their normal form.
        let normal = |text: Text| {
            let value = if segments { crate::request::normal::path(&text.value).into() } else { text.value };
            Text { value, ignore_case }
        };
        let mut tests: Vec<Option<Test>> = Vec::new();
        for (value, make) in &test.texts {
            tests.extend(value.as_ref().map(|value| match make(text(value)) {
                Test::Prefix(text) if segments => Some(Test::PathPrefix(normal(text))),
                Test::Equals(text) => Some(Test::Equals(normal(text))),
                test => Some(test),
            }));
        }
        if !test.one_of.is_empty() {
            tests.push(Some(Test::OneOf(test.one_of.iter().map(text).map(normal).collect())));
        }
        if let Some(glob) = test.glob {
            let regex = self.regex(at.key("glob"), glob, &glob_to_regex(glob), ignore_case);
            tests.push(regex.map(|regex| Test::Regex(Box::new(regex))));
        }
        if let Some(regex) = test.regex {
            let regex = self.regex(at.key("regex"), regex, regex, ignore_case);
            tests.push(regex.map(|regex| Test::Regex(Box::new(regex))));
        }
        tests.extend(test.exists.map(|exists| Some(Test::Exists(exists))));
        if let Some(range) = test.number {
            tests.push(self.number(at.key("number"), range));
        }
        if let Some(range) = test.version {
            tests.push(self.version(at.key("version"), range));
        }
        let count = tests.len();
        if let (Some(only), 1) = (tests.pop(), count) {
            return only;
        }
        let expected = "exactly one of equals, one_of (with a value at least), prefix, suffix, contains, glob, regex, exists, number, version";
        match count {
            0 => self.error(at, Code::MissingField, expected, "none"),
            _ => self.error(at, Code::InvalidValue, expected, &prose!("{count} of them")),
        }
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
            let expected = prose!("at most {MAX_PATTERNS} patterns in the document");
            self.error(at, Code::Limit, &expected, "more");
            return None;
        }
        if written.len() > MAX_PATTERN {
            let expected = prose!("a pattern of at most {MAX_PATTERN} bytes");
            self.error(at, Code::Limit, &expected, &prose!("{} bytes", written.len()));
            return None;
        }
        if has_foreign_name(pattern) {
            let expected = "names of groups in ASCII";
            self.error(at, Code::InvalidValue, expected, &describe_text(written));
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
                let found = prose!("{}: {error}", describe_text(written));
                // The library tells its limits from other mistakes by their texts alone.
                if error.ends_with("size limit") {
                    let expected = prose!("a pattern of at most {MAX_PROGRAM} bytes when compiled");
                    self.error(at, Code::Limit, &expected, &found);
                } else if error.ends_with("too much nesting") {
                    let expected = prose!("at most {MAX_PATTERN_DEPTH} levels of nesting in a pattern");
                    self.error(at, Code::Limit, &expected, &found);
                } else {
                    self.error(at, Code::InvalidValue, "a regular expression (without look-around)", &found);
                }
                None
            }
        }
    }

    fn number(&mut self, at: Place<'_>, range: &wire::NumberRange) -> Option<Test> {
        let bounds = Bounds { eq: range.eq, gt: range.gt, gte: range.gte, lt: range.lt, lte: range.lte };
        let given = [bounds.eq, bounds.gt, bounds.gte, bounds.lt, bounds.lte];
        if given.iter().all(Option::is_none) {
            self.error(at, Code::MissingField, "at least one of eq, gt, gte, lt, lte", "none");
            return None;
        }
        Some(Test::Number(bounds))
    }

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

/// An address, or `address/prefix`. (`IpNet`'s own parser has one for addresses, too: 2 kB.)
fn address_range(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse().ok().map(|address: IpAddr| address.to_canonical().into());
    };
    let is_number = prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix: u8 = prefix.parse().ok().filter(|_| is_number)?;
    let address: IpAddr = address.parse().ok()?;
    // Addresses are compared as IPv4 ones where they are IPv4-mapped, so ranges are, too.
    match (address.to_canonical(), prefix.checked_sub(96)) {
        (canonical @ IpAddr::V4(_), Some(inner)) if address.is_ipv6() => IpNet::new(canonical, inner).ok(),
        _ => IpNet::new(address, prefix).ok(),
    }
}

/// Whether a group has a name beyond ASCII. (The table of all alphabets would cost the filter 3 kB, so `cargo xtask`
/// takes it out.)
fn has_foreign_name(pattern: &str) -> bool {
    let mut rest = pattern.chars();
    let mut in_class = 0_u32;
    while let Some(c) = rest.next() {
        match c {
            '\\' => drop(rest.next()),
            '[' => in_class = in_class.saturating_add(1),
            ']' => in_class = in_class.saturating_sub(1),
            '(' if in_class == 0 => {
                let name = rest.as_str().strip_prefix("?P<").or_else(|| rest.as_str().strip_prefix("?<"));
                if let Some(name) = name {
                    let (name, after) = name.split_once('>').unwrap_or((name, ""));
                    if !name.is_ascii() {
                        return true;
                    }
                    rest = after.chars();
                }
            }
            _ => {}
        }
    }
    false
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
    fn groups_are_named_in_ascii() {
        for (pattern, foreign) in [
            ("(?<é>a)", true),
            ("a(b(?P<x_ß>a))", true),
            ("(?<a>é)", false),
            (r"\(?<é>", false),
            ("[(?<é>]", false),
            (r"[\]](?<é>a)", true),
            ("é", false),
            ("(?<", false),
        ] {
            assert_eq!(has_foreign_name(pattern), foreign, "{pattern}");
        }
    }

    #[test]
    fn address_ranges() {
        for (mapped, range) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(address_range(mapped), range.parse().ok(), "{mapped}");
        }
        for text in ["10.0.0.0/8", "10.0.0.1", "2001:db8::/32", "::1", "::/0", "0.0.0.0/0"] {
            let known = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            assert_eq!(address_range(text), known, "{text}");
            assert!(known.is_some(), "{text}");
        }
        for text in
            ["", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/129", "10.0.0.0/8/8", "a/8"]
        {
            assert_eq!(address_range(text), None, "{text}");
        }
        // Octal to some, decimal to others.
        assert_eq!(address_range("010.0.0.0/8"), None);
    }

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
