//! Scalars of the wire that have a grammar of their own.

use splitway_document::{ADVICE, Code, Place, Problem, describe_text, parse_duration, prose};

use super::compiler::Compiler;
use crate::bucketing::BUCKETS;
use crate::time::Timestamp;
use crate::wire;

/// A share in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parts(u32);

impl Parts {
    pub(super) const ALL: Self = Self(1_000_000);

    /// This share of `count`, rounded to the nearest (half up).
    pub(super) fn of(self, count: u32) -> u32 {
        let product = u64::from(self.0).saturating_mul(u64::from(count)).saturating_add(500_000);
        u32::try_from(product / 1_000_000).unwrap_or(count)
    }

    /// From 0 to 1.
    pub(super) fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    fn is_lost(self) -> bool {
        self.0 > 0 && self.of(BUCKETS) == 0
    }
}

/// How a time that is none may be meant.
fn advice_on_time(text: &str) -> Option<String> {
    let is_time = |text: &str| Timestamp::parse(text).is_some();
    if let Some(mended) =
        ["T00:00:00Z", "Z"].iter().map(|end| format!("{text}{end}")).find(|text| is_time(text))
    {
        return Some(format!("write {mended}"));
    }
    // 01.12.2026
    if let [day, month, year] = text.split('.').collect::<Vec<_>>().as_slice() {
        let mended = format!("{year}-{month:0>2}-{day:0>2}T00:00:00Z");
        return is_time(&mended).then(|| format!("write {mended}"));
    }
    // A day that the month does not have.
    let (month, rest) = text.split_at_checked(8)?;
    let (_, time) = rest.split_at_checked(2)?;
    let days = (28..=31).rev().find(|days| is_time(&format!("{month}{days}{time}")))?;
    Some(format!("{} has {days} days", month.trim_end_matches('-')))
}

impl Compiler<'_> {
    pub(super) fn share(&mut self, at: Place<'_>, share: &wire::Share) -> Option<Parts> {
        let Some(parts) = parse_share(&share.0) else {
            let mut problem = Problem::error(
                at.path(),
                Code::InvalidValue,
                "a percentage from 0% to 100% with at most four decimals",
                &describe_text(&share.0),
            );
            if ADVICE && parse_share(&format!("{}%", share.0)).is_some() {
                problem = problem.suggest(|| format!("write {}%", share.0));
            }
            self.problems.push(problem);
            return None;
        };
        if ADVICE && parts.is_lost() {
            let problem = Problem::error(at.path(), Code::OutOfRange, "0% or at least 0.005%", &share.0);
            self.problems.push(
                problem.warning().suggest(|| "there are 10,000 buckets: this rounds to none".to_owned()),
            );
        }
        Some(parts)
    }

    pub(super) fn instant(&mut self, at: Place<'_>, instant: &wire::Instant) -> Option<Timestamp> {
        let time = Timestamp::parse(&instant.0);
        if time.is_none() {
            let mut problem = Problem::error(
                at.path(),
                Code::InvalidValue,
                "a time such as 2026-11-20T00:00:00Z",
                &describe_text(&instant.0),
            );
            if let Some(advice) = ADVICE.then(|| advice_on_time(&instant.0)).flatten() {
                problem = problem.suggest(|| advice);
            }
            self.problems.push(problem);
        }
        time
    }

    /// A duration in milliseconds.
    pub(super) fn period(&mut self, at: Place<'_>, period: Option<&wire::Period>, default: u64) -> u64 {
        let Some(period) = period else { return default };
        parse_duration(&period.0).unwrap_or_else(|| {
            self.error(at, Code::InvalidValue, "a duration such as 30s", &describe_text(&period.0));
            default
        })
    }

    /// Checks an id: it travels in headers, metrics and logs unescaped.
    pub(super) fn id(&mut self, at: Place<'_>, id: &str) {
        let well_formed = !id.is_empty()
            && id.len() <= 64
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        if well_formed {
            return;
        }
        let problem = Problem::error(
            at.path(),
            Code::InvalidValue,
            "1 to 64 of a-z, 0-9, `-` and `_`",
            &describe_text(id),
        );
        let mended = |id: &str| -> String {
            let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
            id.to_ascii_lowercase().chars().map(fit).collect()
        };
        self.problems.push(if (1..=64).contains(&id.chars().count()) {
            problem.suggest(|| format!("write `{}`", mended(id)))
        } else {
            problem
        });
    }

    /// Text that must not be empty.
    pub(super) fn text(&mut self, at: Place<'_>, text: &str) -> Option<Box<str>> {
        if text.is_empty() {
            self.error(at, Code::InvalidValue, "text", "nothing");
            return None;
        }
        Some(text.into())
    }

    /// A cookie name (RFC 6265: a token).
    pub(super) fn cookie_name(&mut self, at: Place<'_>, name: &str) -> Option<Box<str>> {
        let token = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b));
        if !token {
            self.error(at, Code::InvalidValue, "a cookie name", &describe_text(name));
            return None;
        }
        self.reads_cookies = true;
        Some(name.into())
    }

    /// Inclusive bucket ranges as `(start, end exclusive)`; `None` if one is bad.
    pub(super) fn ranges(&mut self, at: Place<'_>, ranges: &[[u32; 2]]) -> Option<Vec<(u32, u32)>> {
        let mut good = Vec::with_capacity(ranges.len());
        for (index, [first, last]) in ranges.iter().enumerate() {
            if first > last || *last >= BUCKETS {
                let found = prose!("[{first}, {last}]");
                let expected = "[first, last] with 0 <= first <= last <= 9999";
                self.error(at.index(index), Code::OutOfRange, expected, &found);
            } else {
                good.push((*first, last.saturating_add(1)));
            }
        }
        (good.len() == ranges.len()).then_some(good)
    }
}

fn parse_share(text: &str) -> Option<Parts> {
    let number = text.strip_suffix('%')?.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || fraction.len() > 4 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let parts = format!("{whole}{fraction:0<4}").parse::<u32>().ok()?;
    (parts <= Parts::ALL.0).then_some(Parts(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact() {
        for (text, parts) in [
            ("5%", 50_000),
            ("0.5%", 5_000),
            ("33.3333%", 333_333),
            ("100%", 1_000_000),
            ("0%", 0),
            ("12 %", 120_000),
        ] {
            assert_eq!(parse_share(text), Some(Parts(parts)), "{text}");
        }
        for text in ["5", "%", "101%", "-1%", "1.23456%", "1e1%", ".5%", "100.1%"] {
            assert_eq!(parse_share(text), None, "{text}");
        }
        assert_eq!(Parts(333_333).of(10_000), 3_333);
        assert_eq!(Parts::ALL.of(10_000), 10_000);
    }
}
