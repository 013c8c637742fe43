//! Who a request is from: minted units, consent, bots.
//!
//! A minted unit is 128 random bits in a cookie, `<32 hex digits>.<day of issue>`. The day lets the
//! cookie be renewed before it ends; whoever forges it changes when that happens, and nothing else.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::minted::MintedCookie;
use super::source::Source;
use super::targeting::Rule;
use super::view::RequestView;
use crate::hex::hex;
use crate::time::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// Mints, renews and deletes the identity cookie.
#[derive(Clone, Debug)]
pub(crate) struct Mint {
    pub(crate) cookie: Box<str>,
    /// Seconds.
    pub(crate) max_age: u64,
    /// Age in days from which the cookie is renewed.
    pub(crate) renew_after: i64,
    /// The request that gets the cookie is in no experiment yet.
    pub(crate) enters_when_returning: bool,
    /// Plain HTTP gets the cookie, too.
    pub(crate) plain_http: bool,
    pub(crate) provisional: Option<Provisional>,
}

/// Ids for requests that come before the cookie is there.
#[derive(Clone)]
pub(crate) struct Provisional {
    pub(crate) keyed: Hmac<Sha256>,
    pub(crate) window_ms: i64,
    pub(crate) traits: Box<[Source]>,
}

impl std::fmt::Debug for Provisional {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provisional({} ms, {:?}, key withheld)", self.window_ms, self.traits)
    }
}

/// Who may be in experiments, and where units come from that requests do not carry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) mint: Option<Mint>,
    pub(crate) consent: Option<ConsentPolicy>,
    pub(crate) bots: Option<Rule>,
}

impl Identity {
    /// Whether the unit of `request` must not be shown in exposures.
    pub(crate) fn hides_unit(&self, request: &RequestView<'_>) -> bool {
        self.consent.as_ref().is_some_and(|consent| !consent.required && !consent.is_granted(request))
    }
}

/// What is asked of a request before it may be in an experiment.
#[derive(Clone, Debug)]
pub(crate) struct ConsentPolicy {
    /// Without consent: no experiment (`true`), or no unit in exposures (`false`).
    pub(crate) required: bool,
    pub(crate) granted: Option<Rule>,
    pub(crate) gpc_denies: bool,
}

impl ConsentPolicy {
    pub(crate) fn is_granted(&self, request: &RequestView<'_>) -> bool {
        if self.gpc_denies && request.header_values("sec-gpc").any(denies) {
            return false;
        }
        self.granted.as_ref().is_some_and(|rule| rule.holds(request, ""))
    }
}

/// Whether a value of `Sec-GPC` denies consent: any but `0`, alone or in a list. In doubt it does.
fn denies(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|member| !matches!(member.trim_ascii(), b"0" | b""))
}

/// What happens to the identity cookie in the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CookieAction {
    /// It stays as it is.
    #[default]
    None,
    /// It is set to this id, new or renewed.
    Set(Box<str>),
    /// It is deleted: consent is missing.
    Expire,
}

impl Mint {
    /// A new id; `None` without randomness.
    pub(crate) fn id(&self, request: &RequestView<'_>, now: Timestamp) -> Option<String> {
        match &self.provisional {
            Some(provisional) => Some(provisional.id(request, now)),
            None => Some(hex(&request.random_bits()?, 16)),
        }
    }

    /// Whether the cookie of `request` is old enough to be renewed. One from the
    /// future, which only a client can have made, is.
    pub(crate) fn is_due(&self, request: &RequestView<'_>, now: Timestamp) -> bool {
        let minted = request.cookie(&self.cookie).and_then(MintedCookie::parse);
        minted.is_some_and(|minted| !(0..self.renew_after).contains(&day(now).saturating_sub(minted.day)))
    }

    /// The `Set-Cookie` value for `action`.
    pub(crate) fn set_cookie(&self, action: &CookieAction, now: Timestamp) -> Option<String> {
        let (value, max_age) = match action {
            CookieAction::None => return None,
            CookieAction::Set(id) => (format!("{id}.{}", day(now)), self.max_age),
            CookieAction::Expire => (String::new(), 0),
        };
        let name = &self.cookie;
        Some(format!("{name}={value}; Max-Age={max_age}; Path=/; Secure; HttpOnly; SameSite=Lax"))
    }
}

fn day(now: Timestamp) -> i64 {
    now.0.div_euclid(DAY_MS)
}

impl Provisional {
    fn id(&self, request: &RequestView<'_>, now: Timestamp) -> String {
        let mut mac = self.keyed.clone();
        mac.update(&now.0.checked_div_euclid(self.window_ms).unwrap_or_default().to_be_bytes());
        for source in &self.traits {
            // Lengths keep two traits from being read as another two.
            let value = source.read(request).unwrap_or_default();
            mac.update(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(value.as_bytes());
        }
        hex(&mac.finalize().into_bytes(), 16)
    }
}

/// Parts of the user agents of health checks, crawlers, link previews, monitors and test browsers, in lower case.
/// Short on purpose: who crawls without saying so is not found by any list.
pub(crate) const BOTS: [&str; 23] = [
    "kube-probe/",
    "elb-healthchecker/",
    "googlehc/",
    "route53-health-check",
    "envoy/hc",
    "prometheus/",
    "bot/",
    "bot;",
    "bot)",
    "bot-",
    "bots",
    "crawl",
    "spider",
    "slurp",
    "archiver",
    "facebookexternalhit",
    "mediapartners-google",
    "headlesschrome",
    "lighthouse",
    "pingdom",
    "uptime",
    "statuscake",
    "site24x7",
];

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn mint() -> Mint {
        Mint {
            cookie: "__Host-s".into(),
            max_age: 864_000,
            renew_after: 7,
            enters_when_returning: false,
            plain_http: false,
            provisional: None,
        }
    }

    fn due(cookie: &str, day: i64) -> bool {
        let line = format!("__Host-s={cookie}");
        let headers: [(&[u8], &[u8]); 1] = [(b"cookie", line.as_bytes())];
        mint().is_due(&RequestView::new(&headers), Timestamp(day * DAY_MS))
    }

    #[test]
    fn in_doubt_gpc_denies() {
        for (value, expected) in [
            ("1", true),
            ("1, 1", true),
            ("0, 1", true),
            ("?1", true),
            ("true", true),
            ("0", false),
            ("0, 0", false),
            ("", false),
        ] {
            assert_eq!(denies(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn renewed_when_due() {
        let cookie = format!("{ID}.100");
        assert!(!due(&cookie, 100) && !due(&cookie, 106));
        assert!(due(&cookie, 107) && due(&cookie, 99));
        assert!(!due("other", 107));
    }

    #[test]
    fn safe_attributes() {
        let at = Timestamp(5 * DAY_MS + 1);
        assert_eq!(mint().set_cookie(&CookieAction::None, at), None);
        assert_eq!(
            mint().set_cookie(&CookieAction::Set(ID.into()), at).unwrap(),
            format!("__Host-s={ID}.5; Max-Age=864000; Path=/; Secure; HttpOnly; SameSite=Lax")
        );
        assert_eq!(
            mint().set_cookie(&CookieAction::Expire, at).unwrap(),
            "__Host-s=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
    }
}
