//! Signed, expiring tokens with which testers choose a variant.
//!
//! `v1.<key id>.<payload>.<tag>`: the payload is base64url JSON, the tag
//! base64url HMAC-SHA-256 over everything before the last dot. Nothing of the
//! payload is read before the tag is known to be right. Not a JWT: one
//! algorithm, no negotiation.

use std::borrow::Cow;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;
use splitway_document::{Document, Value};

use crate::plan::{Experiment, ExperimentId, Gate, Plan, VariantId};
use crate::request::{RequestView, Syntax};
use crate::time::Timestamp;

/// Longest time from now to a token's expiry.
pub const MAX_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;
/// Most tokens of a request that are looked at.
const MAX_TOKENS: u32 = 16;
/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 1024;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The experiment and variant it chooses, by their ids. May be left out of a
    /// token that asks for the steps of the decision.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// Asks for the steps of the decision in the response.
    #[serde(rename = "d", skip_serializing_if = "std::ops::Not::not")]
    pub debug: bool,
    /// The only unit of the experiment it holds for; without one, it holds for any.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Seconds since 1970 at which it ends (exclusive).
    #[serde(rename = "x")]
    pub expires: i64,
    /// Makes tokens unique, so that one can be told from another in logs.
    #[serde(rename = "n")]
    pub nonce: String,
}

/// The variant that a token chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Experiment id.
    #[serde(rename = "e")]
    pub experiment: String,
    /// Variant id.
    #[serde(rename = "v")]
    pub variant: String,
}

impl Claims {
    fn from_json(json: &[u8]) -> Option<Self> {
        let document = Document::from_json(json).ok()?;
        let text = |name| match document.field(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let expires = match document.field("x") {
            Some(Value::Int(expires)) => *expires,
            _ => return None,
        };
        let subject = match document.field("s") {
            None => None,
            Some(_) => Some(text("s")?),
        };
        let debug = match document.field("d") {
            None => false,
            Some(Value::Bool(debug)) => *debug,
            Some(_) => return None,
        };
        let choice = match (document.field("e"), document.field("v")) {
            (None, None) if debug => None,
            _ => Some(Choice { experiment: text("e")?, variant: text("v")? }),
        };
        Some(Self { choice, debug, subject, expires, nonce: text("n")? })
    }
}

/// What became of a request's token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TokenOutcome {
    /// There was none.
    #[default]
    None,
    /// It chose a variant.
    Accepted,
    /// It is not a token, or nothing signed with a known key.
    Forged,
    /// It has expired, or lives longer than [`MAX_LIFETIME_MS`].
    Expired,
    /// It is for another unit than the request has for its experiment.
    WrongSubject,
    /// It names an experiment or variant that does not exist.
    Unknown,
    /// Its experiment is paused or over: not even overrides enter.
    NotRunning,
    /// What its experiment's targeting says of path, query, host and method does not hold for the request.
    Elsewhere,
}

impl TokenOutcome {
    /// The stable spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Accepted => "accepted",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::WrongSubject => "wrong_subject",
            Self::Unknown => "unknown",
            Self::NotRunning => "not_running",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// What a valid token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) grant: Option<Grant>,
    pub(crate) debug: bool,
}

/// The variant that a valid token chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) experiment: ExperimentId,
    pub(crate) variant: VariantId,
}

/// Where tokens are looked for and which keys are live.
#[derive(Clone, Debug)]
pub(crate) struct TokenPolicy {
    pub(crate) header: Option<Box<str>>,
    pub(crate) cookie: Option<Box<str>>,
    pub(crate) query: Option<Box<str>>,
    pub(crate) keys: Box<[Key]>,
}

/// A signing key.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: Box<str>,
    pub(crate) secret: Box<[u8]>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({}, secret withheld)", self.id)
    }
}

/// A request without its tokens: what has to be changed for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithoutTokens<'p> {
    /// A header that carried some.
    pub header: Option<&'p str>,
    /// The `cookie` lines that are left, if cookies carried some.
    pub cookies: Option<Vec<Vec<u8>>>,
    /// Path and query, if the query carried some.
    pub path: Option<Vec<u8>>,
}

impl Plan {
    /// What has to be changed to take the QA tokens off `request`; `None` if it carries none. All else stays byte for
    /// byte.
    #[must_use]
    pub fn without_tokens(&self, request: &RequestView<'_>) -> Option<WithoutTokens<'_>> {
        let policy = self.tokens.as_ref().filter(|policy| policy.is_carried(request))?;
        let header = policy.header.as_deref().filter(|name| request.header(name).is_some());
        let cookie = policy.cookie.as_deref();
        let query = policy.query.as_deref();
        Some(WithoutTokens {
            header,
            cookies: cookie.and_then(|name| cookies_without(request, name)),
            path: query.and_then(|name| path_without(request.path_and_query(), name)),
        })
    }
}

/// The cookie lines without the cookie `name`; `None` if it is not there.
fn cookies_without(request: &RequestView<'_>, name: &str) -> Option<Vec<Vec<u8>>> {
    let mut found = false;
    let lines = request.header_values("cookie").map(|line| {
        let (rest, removed) = without(line, b';', |pair| Syntax::Cookie.parts(pair).0 == name.as_bytes());
        found |= removed;
        if removed { rest.trim_ascii().to_vec() } else { rest }
    });
    let lines: Vec<Vec<u8>> = lines.filter(|line| !line.is_empty()).collect();
    found.then_some(lines)
}

/// Path and query without the parameter `name`; `None` if it is not there.
fn path_without(path_and_query: &[u8], name: &str) -> Option<Vec<u8>> {
    let start = path_and_query.iter().position(|byte| *byte == b'?')?;
    let (path, query) = path_and_query.split_at_checked(start)?;
    let query = query.get(1..)?;
    let end = query.iter().position(|byte| *byte == b'#').unwrap_or(query.len());
    let (query, fragment) = query.split_at_checked(end)?;
    let is_token = |pair: &[u8]| Syntax::Query.names(Syntax::Query.parts(pair).0, name.as_bytes());
    let (query, removed) = without(query, b'&', is_token);
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    removed.then(|| [path, mark, &query, fragment].concat())
}

/// The text without the pairs that are to go, and whether there were any.
fn without(text: &[u8], separator: u8, goes: impl Fn(&[u8]) -> bool) -> (Vec<u8>, bool) {
    let mut rest = Vec::with_capacity(text.len());
    let mut removed = false;
    let mut first = true;
    for pair in text.split(|byte| *byte == separator) {
        if goes(pair) {
            removed = true;
            continue;
        }
        if !first {
            rest.push(separator);
        }
        first = false;
        rest.extend_from_slice(pair);
    }
    (rest, removed)
}

/// Signs `claims` with the key `key_id`, `secret`.
#[cfg(feature = "advice")]
#[must_use]
pub fn sign(claims: &Claims, key_id: &str, secret: &[u8]) -> String {
    let payload = Base64UrlUnpadded::encode_string(&serde_json::to_vec(claims).unwrap_or_default());
    let signed = format!("v1.{key_id}.{payload}");
    let tag = mac(secret, signed.as_bytes())
        .map(|mac| Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes()))
        .unwrap_or_default();
    format!("{signed}.{tag}")
}

fn mac(secret: &[u8], signed: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(signed);
    Some(mac)
}

impl TokenPolicy {
    /// Calls `see` with every token of `request`: the headers', the cookies', the query's. At most
    /// [`MAX_TOKENS`] are looked at.
    pub(crate) fn each(&self, request: &RequestView<'_>, mut see: impl FnMut(&[u8])) {
        let mut left = MAX_TOKENS;
        // What is none is shown as a whole, so that it is counted as refused.
        let mut split = |value: &[u8]| {
            let pieces = value.split(|byte| matches!(byte, b',' | b'|')).map(<[u8]>::trim_ascii);
            for token in pieces.filter(|token| !token.is_empty()) {
                if let Some(rest) = left.checked_sub(1) {
                    left = rest;
                    see(token);
                }
            }
        };
        if let Some(name) = &self.header {
            request.header_values(name).for_each(&mut split);
        }
        if let Some(name) = &self.cookie {
            request.each_cookie(name, &mut split);
        }
        if let Some(name) = &self.query {
            request.each_parameter(name, &mut split);
        }
    }

    /// Whether the request carries a token, or something in a token's place.
    pub(crate) fn is_carried(&self, request: &RequestView<'_>) -> bool {
        let mut any = false;
        self.each(request, |_| any = true);
        any
    }

    /// What `token` grants. `unit`, the request's unit for an experiment, is asked only for tokens that name a
    /// subject.
    pub(crate) fn check<'r>(
        &self,
        token: &[u8],
        request: &RequestView<'_>,
        now: Timestamp,
        plan: &Plan,
        unit: impl FnOnce(&Experiment) -> Option<Cow<'r, str>>,
    ) -> Result<Granted, TokenOutcome> {
        let claims = self.verified(token).ok_or(TokenOutcome::Forged)?;
        let left = claims.expires.saturating_mul(1000).saturating_sub(now.0);
        if left <= 0 || left > MAX_LIFETIME_MS {
            return Err(TokenOutcome::Expired);
        }
        let debug = claims.debug;
        let Some(choice) = &claims.choice else { return Ok(Granted { grant: None, debug }) };
        let (id, experiment) = plan.find(&choice.experiment).ok_or(TokenOutcome::Unknown)?;
        let index = experiment.variants.iter().position(|v| *v.id == *choice.variant);
        let variant = index.and_then(|i| u16::try_from(i).ok()).ok_or(TokenOutcome::Unknown)?;
        if let Some(subject) = &claims.subject
            && unit(experiment).as_deref() != Some(subject)
        {
            return Err(TokenOutcome::WrongSubject);
        }
        if experiment.gate == Gate::Closed {
            return Err(TokenOutcome::NotRunning);
        }
        if !experiment.applies_to_somebody(request) {
            return Err(TokenOutcome::Elsewhere);
        }
        Ok(Granted { grant: Some(Grant { experiment: id, variant: VariantId(variant) }), debug })
    }

    /// The claims of a token whose tag is right. Tags are compared in constant
    /// time (`Mac::verify_slice`).
    fn verified(&self, token: &[u8]) -> Option<Claims> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let token = std::str::from_utf8(token).ok()?;
        let (signed, tag) = token.rsplit_once('.')?;
        let (key_id, payload) = signed.strip_prefix("v1.")?.split_once('.')?;
        let key = self.keys.iter().find(|key| *key.id == *key_id)?;
        let tag = Base64UrlUnpadded::decode_vec(tag).ok()?;
        mac(&key.secret, signed.as_bytes())?.verify_slice(&tag).ok()?;
        Claims::from_json(&Base64UrlUnpadded::decode_vec(payload).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_without_tokens_is_as_it_was() {
        for (sent, left) in [
            ("/a?qa=t", Some("/a")),
            ("/a?x=%2F&qa=t&y=+#f", Some("/a?x=%2F&y=+#f")),
            ("/a?qa=t&x", Some("/a?x")),
            ("/a?q%61=t&qa&&x", Some("/a?&x")),
            ("/a?qab=t", None),
            ("/a", None),
        ] {
            let without = path_without(sent.as_bytes(), "qa");
            assert_eq!(without.as_deref(), left.map(str::as_bytes), "{sent}");
        }
        let headers: [(&[u8], &[u8]); 3] =
            [(b"cookie", b"a=1; qa=t; b=\xff "), (b"cookie", b"qa=t"), (b"cookie", b" c=3")];
        let left = cookies_without(&RequestView::new(&headers), "qa").unwrap();
        assert_eq!(left, [b"a=1; b=\xff".to_vec(), b" c=3".to_vec()]);
        assert_eq!(cookies_without(&RequestView::new(&headers), "d"), None);
    }
}
