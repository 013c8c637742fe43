//! What Splitway needs from a proxy: one narrow trait per capability.

use std::ops::Range;

use smallvec::SmallVec;
use splitway_engine::{Entropy, Timestamp};

/// A failed hostcall, with the status that it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub u32);

/// Selects a header map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// The request's headers.
    Request,
    /// The response's headers.
    Response,
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Exposures and changes of the config.
    Info,
    /// Something is wrong with the config.
    Warn,
    /// A config was refused.
    Error,
}

/// Reading and changing headers.
pub trait Headers {
    /// Returns all headers in wire order, duplicates and non-UTF-8 values included.
    ///
    /// # Errors
    /// If the host refuses, or returns bytes that are not a header map.
    fn pairs(&self, map: Map) -> Result<HeaderBlock, Failure>;
    /// Replaces all values of `name`, or creates it.
    ///
    /// # Errors
    /// If the host refuses.
    fn set(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure>;
    /// Appends a value.
    ///
    /// # Errors
    /// If the host refuses.
    fn add(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure>;
    /// Removes all values of `name`.
    ///
    /// # Errors
    /// If the host refuses.
    fn remove(&self, map: Map, name: &[u8]) -> Result<(), Failure>;
}

/// The time.
pub trait Clock {
    /// Returns the current time; the epoch if the host has none.
    fn now(&self) -> Timestamp;
}

/// Counters, gauges and histograms.
pub trait Metrics {
    /// Returns the handle of the counter `name`, created if needed.
    ///
    /// # Errors
    /// If the host refuses.
    fn counter(&self, name: &str) -> Result<u32, Failure>;
    /// Adds to a counter; failures are ignored.
    fn increment(&self, counter: u32, by: u32);
    /// Returns the handle of the gauge `name`, created if needed.
    ///
    /// # Errors
    /// If the host refuses.
    fn gauge(&self, name: &str) -> Result<u32, Failure>;
    /// Returns the handle of the histogram `name`, created if needed.
    ///
    /// # Errors
    /// If the host refuses.
    fn histogram(&self, name: &str) -> Result<u32, Failure>;
    /// Sets a gauge, or adds a value to a histogram; failures are ignored.
    fn record(&self, metric: u32, value: u64);
}

/// Data that all workers of the proxy share.
pub trait SharedData {
    /// True if other workers see what one sets. Without it, no guardrail is judged.
    const IS_SHARED: bool = true;

    /// Returns the value of `key` and its version.
    ///
    /// # Errors
    /// [`NOT_FOUND`] if there is none; another status if the host refuses.
    fn shared(&self, key: &str) -> Result<(Vec<u8>, u32), Failure>;
    /// Replaces the value of `key` if its version is still `version`; 0 replaces any.
    ///
    /// # Errors
    /// [`CAS_MISMATCH`] if the version differs; another status if the host refuses.
    fn set_shared(&self, key: &str, value: &[u8], version: u32) -> Result<(), Failure>;
}

/// `PROXY_RESULT_NOT_FOUND`.
pub const NOT_FOUND: Failure = Failure(1);
/// `PROXY_RESULT_CAS_MISMATCH`.
pub const CAS_MISMATCH: Failure = Failure(8);

/// Variables that the operator sets besides the config: secrets.
pub trait Environment {
    /// Returns the bytes of the variable `name`; `None` if it is not set.
    fn variable(&self, name: &str) -> Option<Vec<u8>>;
}

/// Outgoing HTTP requests.
pub trait Callout {
    /// Sends a request to a cluster. Returns the token that the answer will carry.
    ///
    /// # Errors
    /// If the host refuses, for example because it does not know the cluster.
    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        timeout_ms: u32,
    ) -> Result<u32, Failure>;
    /// Returns the headers of the answer that has just arrived.
    ///
    /// # Errors
    /// If there is no answer.
    fn answer(&self) -> Result<HeaderBlock, Failure>;
}

/// The proxy's log.
pub trait Log {
    /// Writes one line.
    fn log(&self, level: Level, line: &str);

    /// Returns true if lines of this level are written anywhere.
    fn hears(&self, _level: Level) -> bool {
        true
    }

    /// Returns true if the host takes every exposure through [`Self::log`] and exports it itself, whatever sinks
    /// the config names.
    fn is_sink(&self) -> bool {
        false
    }

    /// Returns true if the host takes exposures as OTLP log records, for a collector, not as log lines.
    fn takes_otlp(&self) -> bool {
        false
    }
}

/// Properties of the exchange that the proxy knows.
pub trait Properties {
    /// Returns the value at `path`, in the host's encoding.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// Sets the value of the filter state `name`.
    ///
    /// # Errors
    /// If the host refuses.
    fn set_state(&self, name: &str, value: &[u8]) -> Result<(), Failure>;
}

/// Answering in the upstream's place.
pub trait Respond {
    /// Ends the request with `status` and `headers`, without a body.
    ///
    /// # Errors
    /// If the host refuses; the request then goes on.
    fn respond(&self, status: u16, headers: &[(&str, &[u8])]) -> Result<(), Failure>;
}

/// All capabilities that a request needs.
pub trait Host: Headers + Clock + Metrics + Log + Properties + Respond + Entropy {}
impl<T: Headers + Clock + Metrics + Log + Properties + Respond + Entropy> Host for T {}

/// All capabilities that work outside requests needs.
pub trait Background: Clock + Metrics + Log + SharedData + Callout {}
impl<T: Clock + Metrics + Log + SharedData + Callout> Background for T {}

/// All capabilities that loading a config needs.
pub trait Setup: Clock + Metrics + Log + SharedData + Environment + Entropy {}
impl<T: Clock + Metrics + Log + SharedData + Environment + Entropy> Setup for T {}

/// Positions of a name and a value.
type Entry = (Range<u32>, Range<u32>);

/// A header map as the host returned it: one buffer, and the position of each name and
/// value in it. Nothing is copied.
#[derive(Clone, Debug, Default)]
pub struct HeaderBlock {
    bytes: Vec<u8>,
    entries: SmallVec<[Entry; 32]>,
}

/// Largest number of headers that are read.
const MAX_HEADERS: u32 = 10_000;

impl HeaderBlock {
    /// Reads the proxy-wasm encoding of a header map: a count; per header the
    /// lengths of name and value; then each name and value, followed by a zero
    /// byte (all numbers 32 bits, little-endian).
    ///
    /// # Errors
    /// If lengths and bytes do not match.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Failure> {
        let entries = entries(&bytes).ok_or(Failure(MALFORMED))?;
        Ok(Self { bytes, entries })
    }

    /// Encodes `pairs` as a block.
    #[must_use]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut block = Self::default();
        for (name, value) in pairs {
            let mut put = |piece: &[u8]| {
                let start = u32::try_from(block.bytes.len()).unwrap_or(u32::MAX);
                block.bytes.extend_from_slice(piece);
                start..u32::try_from(block.bytes.len()).unwrap_or(u32::MAX)
            };
            let entry = (put(name), put(value));
            block.entries.push(entry);
        }
        block
    }

    /// Iterates over the headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(name, value)| (self.slice(name), self.slice(value)))
    }

    fn slice(&self, range: &Range<u32>) -> &[u8] {
        let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else {
            return &[];
        };
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// Encodes headers as proxy-wasm does and [`HeaderBlock::parse`] reads.
#[must_use]
pub fn encode_pairs(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = number(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend(number(name.len()));
        bytes.extend(number(value.len()));
    }
    for (name, value) in pairs {
        for piece in [name.as_bytes(), value] {
            bytes.extend_from_slice(piece);
            bytes.push(0);
        }
    }
    bytes
}

/// `PROXY_RESULT_PARSE_FAILURE`, for bytes from the host that cannot be read.
const MALFORMED: u32 = 4;

fn entries(bytes: &[u8]) -> Option<SmallVec<[Entry; 32]>> {
    let mut entries = SmallVec::new();
    if bytes.is_empty() {
        return Some(entries);
    }
    let (count, mut lengths) = number(bytes)?;
    if count > MAX_HEADERS {
        return None;
    }
    let mut position = count.checked_mul(8)?.checked_add(4)?;
    let total = u32::try_from(bytes.len()).ok()?;
    for _ in 0..count {
        let (name_length, rest) = number(lengths)?;
        let (value_length, rest) = number(rest)?;
        lengths = rest;
        let name = position..position.checked_add(name_length)?;
        let value_start = name.end.checked_add(1)?;
        let value = value_start..value_start.checked_add(value_length)?;
        position = value.end.checked_add(1)?;
        if position > total {
            return None;
        }
        entries.push((name, value));
    }
    Some(entries)
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*first), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read_without_loss() {
        let pairs: [(&str, &[u8]); 3] = [("cookie", b"a=1"), ("cookie", b"\xff\xfe"), (":path", b"")];
        let block = HeaderBlock::parse(encode_pairs(&pairs)).unwrap();
        let pairs = pairs.map(|(name, value)| (name.as_bytes(), value));
        assert_eq!(block.iter().collect::<Vec<_>>(), pairs);
        let same = HeaderBlock::from_pairs(pairs);
        assert_eq!(same.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(HeaderBlock::parse(Vec::new()).unwrap().iter().count(), 0);
    }

    #[test]
    fn truncated_and_lying_maps_are_failures() {
        let whole = encode_pairs(&[("a", b"b"), ("cd", b"ef")]);
        for end in 1..whole.len() {
            assert!(HeaderBlock::parse(whole[..end].to_vec()).is_err(), "{end}");
        }
        assert!(HeaderBlock::parse(vec![0xff; 64]).is_err());
        assert!(
            HeaderBlock::parse([1_u32, u32::MAX, u32::MAX].iter().flat_map(|n| n.to_le_bytes()).collect())
                .is_err()
        );
    }
}
