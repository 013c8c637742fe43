//! The chain of hashes over the log: a change is found by whoever knows the head.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::Event;

/// The SHA-256 over the previous head and the event's text: 64 hex digits as a text. The default stands before the
/// first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Head(pub [u8; 32]);

impl Head {
    fn next(&self, text: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(text.as_bytes());
        Self(digest.finalize().into())
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}

impl TryFrom<String> for Head {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const EXPECTED: &str = "expected 64 lower-case hex digits";
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
            b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
            _ => None,
        };
        let mut bytes = [0_u8; 32];
        if text.len() != 64 {
            return Err(EXPECTED);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let (Some(high), Some(low)) = (pair.first().and_then(digit), pair.get(1).and_then(digit)) else {
                return Err(EXPECTED);
            };
            *byte = (high << 4) | low;
        }
        Ok(Self(bytes))
    }
}

/// An event with its text, as it is stored, and the head after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// The event.
    pub event: Event,
    /// Its canonical JSON: what is stored and hashed.
    pub text: String,
    /// The head before it.
    pub previous: Head,
    /// The head after it.
    pub head: Head,
}

impl Sealed {
    /// Puts an event behind `previous`.
    #[must_use]
    pub fn seal(previous: &Head, event: Event) -> Self {
        let text = event.to_text();
        let head = previous.next(&text);
        Self { event, text, previous: *previous, head }
    }

    /// Reads a stored event and checks that it follows `previous`.
    ///
    /// # Errors
    /// The text is not an event, or another one than was stored under `head`.
    pub fn open(previous: &Head, text: String, head: Head) -> Result<Self, Corrupt> {
        let event: Event = serde_json::from_str(&text)
            .map_err(|error| Corrupt { seq: None, reason: format!("expected an event: {error}") })?;
        if previous.next(&text) != head {
            let reason = "the hash does not fit the event and the one before it".to_owned();
            return Err(Corrupt { seq: Some(event.seq), reason });
        }
        Ok(Self { event, text, previous: *previous, head })
    }
}

/// The log is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The event, where it can be read.
    pub seq: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seq {
            Some(seq) => write!(f, "event {seq}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for Corrupt {}
