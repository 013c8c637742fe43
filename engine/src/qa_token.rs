//! Signed, expiring tokens with which testers choose a variant.
//!
//! `v1.<key id>.<payload>.<tag>`: the payload is base64url JSON, the tag
//! base64url HMAC-SHA-256 over everything before the last dot. Nothing of the
//! payload is read before the tag is known to be right. Not a JWT: one
//! algorithm, no negotiation.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;
use splitway_document::{Document, Value};

use crate::request::RequestView;

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

    /// The claims of a token whose tag is right. Tags are compared in constant
    /// time (`Mac::verify_slice`).
    pub(crate) fn verified(&self, token: &[u8]) -> Option<Claims> {
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
