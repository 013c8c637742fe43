//! Semantic versions, read for comparing.
//!
//! Not the crate `semver`: of a version only the precedence is needed, and it costs the filter 3 kB.

use std::cmp::Ordering;

/// A semantic version (semver.org, 2.0.0), without its build metadata. Two that differ in build
/// metadata alone are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    numbers: [u64; 3],
    /// Empty for a release.
    pre_release: Box<str>,
}

impl Version {
    /// Reads one; `2` and `2.1` count as `2.0.0` and `2.1.0`, and a leading `v` is passed over.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = split(text, '+');
        let (core, pre_release) = split(text, '-');
        let mut numbers = [0; 3];
        let mut slots = numbers.iter_mut();
        for part in core.split('.') {
            *slots.next()? = number(part).filter(|_| !has_leading_zero(part))?;
        }
        let pre_good = |p: &str| is_identifier(p) && (number(p).is_none() || !has_leading_zero(p));
        let good = pre_release.is_none_or(|list| list.split('.').all(pre_good))
            && build.is_none_or(|list| list.split('.').all(is_identifier));
        good.then(|| Self { numbers, pre_release: pre_release.unwrap_or_default().into() })
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

fn is_identifier(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn has_leading_zero(part: &str) -> bool {
    part.len() > 1 && part.starts_with('0')
}

/// `None` for what has other characters than digits, or is beyond 64 bits.
fn number(part: &str) -> Option<u64> {
    if part.is_empty() {
        return None;
    }
    part.bytes().try_fold(0_u64, |sum, b| {
        let digit = b.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.pre_release.is_empty(), other.pre_release.is_empty()) {
                (false, false) => compare_pre_releases(&self.pre_release, &other.pre_release),
                (this, that) => this.cmp(&that),
            }
        }))
    }
}

/// Field by field: numbers by value and before words, words by their bytes; the
/// longer list is later.
fn compare_pre_releases(this: &str, that: &str) -> Ordering {
    let mut others = that.split('.');
    for part in this.split('.') {
        let Some(other) = others.next() else { return Ordering::Greater };
        let order = match (is_number(part), is_number(other)) {
            // Without leading zeros, the longer number is the larger.
            (true, true) => part.len().cmp(&other.len()).then_with(|| part.cmp(other)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => part.cmp(other),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    if others.next().is_some() { Ordering::Less } else { Ordering::Equal }
}

fn is_number(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The crate `semver` as the oracle.
    #[test]
    fn precedence_is_that_of_the_reference() {
        let texts = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0+build.01",
            "2.10.0",
            "2.9.99",
            "0.0.0",
            "1.0.0-1",
            "1.0.0-99999999999999999999999",
            "1.0.0-a-b",
            "1.0.0--",
            "18446744073709551615.0.0",
            // Refused by both.
            "01.0.0",
            "1.0.0-01",
            "1.0.0-",
            "1.0.0-a..b",
            "1.0.0+",
            "1.0.0.0",
            "a.b.c",
            "",
            "1..0",
            "-1.0.0",
            "1.0.0-\u{e4}",
            "18446744073709551616.0.0",
        ];
        for a in texts {
            assert_eq!(Version::parse(a).is_some(), semver::Version::parse(a).is_ok(), "{a}");
            for b in texts {
                let (Ok(x), Ok(y)) = (semver::Version::parse(a), semver::Version::parse(b)) else { continue };
                let ours = Version::parse(a).unwrap().partial_cmp(&Version::parse(b).unwrap());
                assert_eq!(ours, Some(x.cmp_precedence(&y)), "{a} {b}");
            }
        }
    }

    #[test]
    fn missing_numbers_are_zero() {
        assert_eq!(Version::parse("v2.1"), Version::parse("2.1.0"));
        assert_eq!(Version::parse("2-rc.1"), Version::parse("2.0.0-rc.1"));
    }
}
