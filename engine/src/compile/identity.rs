//! Minted units, consent, bots, and what caches must know of them.

use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use splitway_document::{Code, Place, describe_text};

use super::compiler::Compiler;
use crate::request::{BOTS, ConsentPolicy, Mint, Provisional, Rule, Source, Subject, Test, Text};
use crate::wire;

const DAY_MS: u64 = 86_400_000;
/// Longest life of the identity cookie: 13 months, what regulators accept; browsers cap at 400 days.
const MAX_AGE_MS: u64 = 395 * DAY_MS;
/// Shortest secret key, in bytes.
const MIN_KEY: usize = 16;

impl<'c> Compiler<'c> {
    pub(super) fn mint(&mut self, at: Place<'_>, mint: &'c wire::Mint) -> Option<Mint> {
        let cookie = mint.cookie.as_deref().unwrap_or("__Host-splitway");
        let name = self.cookie_name(at.key("cookie"), cookie)?;
        if !name.starts_with("__Host-") {
            // Without it, a sibling domain could plant an id.
            let expected = "a name that begins with `__Host-`";
            self.error_in(&at, "cookie", Code::InvalidValue, expected, &describe_text(cookie));
        }
        let max_age = self.period(at.key("max_age"), mint.max_age.as_ref(), 390 * DAY_MS);
        if !(DAY_MS..=MAX_AGE_MS).contains(&max_age) {
            let found = mint.max_age.as_ref().map_or("", |period| &period.0);
            self.error_in(&at, "max_age", Code::OutOfRange, "1d to 395d", found);
        }
        let renew_before = self.period(at.key("renew_before"), mint.renew_before.as_ref(), max_age / 4);
        if renew_before >= max_age {
            let found = mint.renew_before.as_ref().map_or("", |period| &period.0);
            self.error_in(&at, "renew_before", Code::OutOfRange, "less than max_age", found);
        }
        let days = max_age.saturating_sub(renew_before) / DAY_MS;
        Some(Mint {
            cookie: name,
            max_age: max_age / 1000,
            renew_after: i64::try_from(days).unwrap_or(i64::MAX).max(1),
            enters_when_returning: mint.enter == Some(wire::MintEntry::Returning),
            plain_http: mint.plain_http.unwrap_or(false),
            provisional: match &mint.provisional {
                Some(provisional) => self.provisional(at.key("provisional"), provisional),
                None => None,
            },
        })
    }

    fn provisional(&mut self, at: Place<'_>, provisional: &'c wire::Provisional) -> Option<Provisional> {
        let key = self.secret(at.key("key"), &provisional.key, MIN_KEY);
        if provisional.traits.is_empty() {
            let expected = "what tells browsers apart, such as `- client_address: {}`";
            self.error_in(&at, "traits", Code::MissingField, expected, "none");
        }
        let window = self.period(at.key("window"), provisional.window.as_ref(), 10_000);
        if !(1_000..=600_000).contains(&window) {
            let found = provisional.window.as_ref().map_or("", |period| &period.0);
            self.error_in(&at, "window", Code::OutOfRange, "1s to 10m", found);
        }
        Some(Provisional {
            traits: self.sources(at.key("traits"), &provisional.traits),
            window_ms: i64::try_from(window).unwrap_or(i64::MAX),
            keyed: Hmac::<Sha256>::new_from_slice(&key?).ok()?,
        })
    }

    pub(super) fn consent(&mut self, at: Place<'_>, consent: &'c wire::Consent) -> Option<ConsentPolicy> {
        let mode = consent.mode.unwrap_or(wire::ConsentMode::Required);
        let granted = match &consent.granted {
            Some(rule) => Some(self.rule(at.key("granted"), rule)?),
            None => None,
        };
        if mode == wire::ConsentMode::Off {
            return None;
        }
        if consent.granted.is_none() {
            let expected = "how a request shows consent, such as `cookie: { name: consent, equals: yes }`";
            self.error_in(&at, "granted", Code::MissingField, expected, "nothing");
        }
        Some(ConsentPolicy {
            required: mode == wire::ConsentMode::Required,
            granted,
            gpc_denies: consent.gpc.unwrap_or(wire::Gpc::Deny) == wire::Gpc::Deny,
        })
    }

    pub(super) fn bots(&mut self, at: Place<'_>) -> Option<Rule> {
        let config = self.config;
        let bots = config.bots.as_ref();
        let mut rules = Vec::new();
        // Only such units does a machine carry that does not mean to.
        let is_address = |source: &Source| matches!(source, Source::ClientAddress { .. });
        let machines = config.mint.is_some() || self.chains.iter().flatten().any(is_address);
        let defaults = bots.map_or(machines, |bots| bots.defaults.unwrap_or(true));
        if defaults {
            rules.extend(BOTS.iter().map(|part| Rule::Value {
                subject: Subject::Header("user-agent".into()),
                test: Test::Contains(Text { value: part.as_bytes().into(), ignore_case: true }),
            }));
        }
        if let Some(rule) = bots.and_then(|bots| bots.also.as_ref()) {
            rules.extend(self.rule(at.key("also"), rule));
        }
        (!rules.is_empty()).then(|| Rule::Any(rules.into()))
    }

    /// The headers that the config reads, each once. Bots' user agents are not among them: what they get is
    /// private where it matters.
    pub(super) fn reads(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let cookie = self.reads_cookies.then_some("cookie");
        let gpc = self.config.consent.is_some().then_some("sec-gpc");
        let read = self.read_headers.iter().map(|(_, name)| &**name);
        for name in cookie.into_iter().chain(gpc).chain(read) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
