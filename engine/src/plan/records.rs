//! Where exposures go, and how they show the unit.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::hex::hex;

/// Where exposures go, and which.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// Once per unit and variant, not once per request.
    pub once_per_unit: bool,
    /// All records tell attempts and response flags.
    pub details: bool,
    /// To the proxy's log.
    pub log: bool,
    /// To the filter state.
    pub filter_state: bool,
    /// To a collector.
    pub otlp: Option<Otlp>,
}

/// How exposures show the unit.
#[derive(Clone)]
pub(crate) enum ExposurePolicy {
    /// Keyed hash; holds the state after the key, so that a request hashes only
    /// its unit.
    Pseudonym(Hmac<Sha256>),
    Raw,
    Nothing,
}

impl std::fmt::Debug for ExposurePolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pseudonym(_) => "Pseudonym(key withheld)",
            Self::Raw => "Raw",
            Self::Nothing => "Nothing",
        })
    }
}

impl ExposurePolicy {
    pub(crate) fn pseudonym(key: &[u8]) -> Self {
        Hmac::<Sha256>::new_from_slice(key).map_or(Self::Nothing, Self::Pseudonym)
    }

    pub(crate) fn show(&self, unit: &str) -> Option<String> {
        match self {
            Self::Pseudonym(keyed) => {
                let mut mac = keyed.clone();
                mac.update(unit.as_bytes());
                Some(hex(&mac.finalize().into_bytes(), 16))
            }
            Self::Raw => Some(unit.to_owned()),
            Self::Nothing => None,
        }
    }
}

/// Where exposures are sent as OTLP/HTTP logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    pub(crate) cluster: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) host: Box<str>,
    pub(crate) headers: Box<[(Box<str>, Box<str>)]>,
    pub(crate) timeout_ms: u32,
    pub(crate) buffer: usize,
}

impl Otlp {
    /// The proxy's cluster that the collector is.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The request's headers, those of HTTP/2 among them.
    #[must_use]
    pub fn headers(&self) -> Vec<(&str, &[u8])> {
        let own: [(&str, &[u8]); 4] = [
            (":method", b"POST"),
            (":path", self.path.as_bytes()),
            (":authority", self.host.as_bytes()),
            ("content-type", b"application/json"),
        ];
        let further = self.headers.iter().map(|(name, value)| (&**name, value.as_bytes()));
        own.into_iter().chain(further).collect()
    }

    /// How long an answer may take, in milliseconds.
    #[must_use]
    pub fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    /// Most bytes that wait.
    #[must_use]
    pub fn buffer(&self) -> usize {
        self.buffer
    }

    /// What stands before and after the records, which are separated by commas.
    #[must_use]
    pub fn frame(namespace: &str) -> (String, &'static str) {
        let before = concat!(
            r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"splitway"}},"#,
            r#"{"key":"service.namespace","value":{"stringValue":""#
        );
        let after = r#""}}]},"scopeLogs":[{"scope":{"name":"splitway"},"logRecords":["#;
        (format!("{before}{namespace}{after}"), "]}]}]}")
    }
}
