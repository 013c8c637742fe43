//! What the filter needs of a proxy, one narrow trait per capability.

use std::ops::Range;

use smallvec::SmallVec;
use splitway_engine::{Entropy, Timestamp};

/// A hostcall did not do what was asked; the status it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub u32);

/// Which headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// Of the request.
    Request,
    /// Of the response.
    Response,
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Exposures and news of the config.
    Info,
    /// Something is wrong with the config.
    Warn,
    /// A config was refused.
    Error,
}

/// Reading and changing headers.
pub trait Headers {
    /// All headers, in wire order, duplicates and non-UTF-8 values included.
    ///
    /// # Errors
    /// When the host does not give them, or gives bytes that are no header map.
    fn pairs(&self, map: Map) -> Result<HeaderBlock, Failure>;
    /// Replaces all values of `name`, or creates it.
    ///
    /// # Errors
    /// When the host refuses.
    fn set(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure>;
    /// Appends a value.
    ///
    /// # Errors
    /// When the host refuses.
    fn add(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure>;
    /// Removes all values of `name`.
    ///
    /// # Errors
    /// When the host refuses.
    fn remove(&self, map: Map, name: &[u8]) -> Result<(), Failure>;
}

/// The time.
pub trait Clock {
    /// Now; the epoch if the host does not say.
    fn now(&self) -> Timestamp;
}

/// Counters, gauges, histograms.
pub trait Metrics {
    /// The handle of the counter `name`, created if needed.
    ///
    /// # Errors
    /// When the host refuses.
    fn counter(&self, name: &str) -> Result<u32, Failure>;
    /// Adds to a counter; a failure is not worth telling.
    fn increment(&self, counter: u32, by: u32);
    /// The handle of the gauge `name`, created if needed.
    ///
    /// # Errors
    /// When the host refuses.
    fn gauge(&self, name: &str) -> Result<u32, Failure>;
    /// The handle of the histogram `name`, created if needed.
    ///
    /// # Errors
    /// When the host refuses.
    fn histogram(&self, name: &str) -> Result<u32, Failure>;
    /// Sets a gauge, or adds a value to a histogram; a failure is not worth telling.
    fn record(&self, metric: u32, value: u64);
}

/// Data that all workers of the proxy share.
pub trait SharedData {
    /// Whether any other worker sees what one sets: without, no guardrail is judged.
    const IS_SHARED: bool = true;

    /// The value of `key`, and its version.
    ///
    /// # Errors
    /// [`NOT_FOUND`] without one; when the host refuses.
    fn shared(&self, key: &str) -> Result<(Vec<u8>, u32), Failure>;
    /// Replaces the value of `key` if it still has that version; 0 replaces any.
    ///
    /// # Errors
    /// [`CAS_MISMATCH`] when it has another; when the host refuses.
    fn set_shared(&self, key: &str, value: &[u8], version: u32) -> Result<(), Failure>;
}

/// `PROXY_RESULT_NOT_FOUND`.
pub const NOT_FOUND: Failure = Failure(1);
/// `PROXY_RESULT_CAS_MISMATCH`.
pub const CAS_MISMATCH: Failure = Failure(8);

/// What the operator gives the filter besides its config: secrets.
pub trait Environment {
    /// The bytes of the variable `name`; `None` if it is not set.
    fn variable(&self, name: &str) -> Option<Vec<u8>>;
}

/// HTTP requests of our own.
pub trait Callout {
    /// Sends a request to a cluster. Gives the token that the answer will carry.
    ///
    /// # Errors
    /// When the host refuses, for example because it does not know the cluster.
    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        timeout_ms: u32,
    ) -> Result<u32, Failure>;
    /// The headers of the answer that has just arrived.
    ///
    /// # Errors
    /// When there is none.
    fn answer(&self) -> Result<HeaderBlock, Failure>;
}

/// The proxy's log.
pub trait Log {
    /// Writes one line.
    fn log(&self, level: Level, line: &str);

    /// Whether lines of this level go anywhere.
    fn hears(&self, _level: Level) -> bool {
        true
    }

    /// Whether the host takes every exposure by [`Self::log`] and sends it on itself, whatever sinks the
    /// config names.
    fn is_sink(&self) -> bool {
        false
    }

    /// Whether it takes them as log records of OTLP, for a collector, and not as lines of a log.
    fn takes_otlp(&self) -> bool {
        false
    }
}

/// What the proxy knows about the exchange.
pub trait Properties {
    /// The value at `path`, as the host encodes it.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// Sets the value of the filter state `name`.
    ///
    /// # Errors
    /// When the host refuses.
    fn set_state(&self, name: &str, value: &[u8]) -> Result<(), Failure>;
}

/// Answering in the upstream's place.
pub trait Respond {
    /// Ends the request with `status` and `headers`, without a body.
    ///
    /// # Errors
    /// When the host refuses; the request then goes on.
    fn respond(&self, status: u16, headers: &[(&str, &[u8])]) -> Result<(), Failure>;
}

/// All that a request needs.
pub trait Host: Headers + Clock + Metrics + Log + Properties + Respond + Entropy {}
impl<T: Headers + Clock + Metrics + Log + Properties + Respond + Entropy> Host for T {}

/// All that is needed beside requests.
pub trait Background: Clock + Metrics + Log + SharedData + Callout {}
impl<T: Clock + Metrics + Log + SharedData + Callout> Background for T {}

/// All that is needed to take a config into force.
pub trait Setup: Clock + Metrics + Log + SharedData + Environment + Entropy {}
impl<T: Clock + Metrics + Log + SharedData + Environment + Entropy> Setup for T {}

/// Where a name and a value are.
type Entry = (Range<u32>, Range<u32>);

/// A header map as the host gave it: one buffer, and where in it each name and
/// value is. Copies nothing.
#[derive(Clone, Debug, Default)]
pub struct HeaderBlock {
    bytes: Vec<u8>,
    entries: SmallVec<[Entry; 32]>,
}

/// Most headers that are read.
const MAX_HEADERS: u32 = 10_000;

impl HeaderBlock {
    /// Reads the proxy-wasm encoding of a header map: a count; per header the
    /// lengths of name and value; then each name and value, followed by a zero
    /// byte (all numbers 32 bits, little-endian).
    ///
    /// # Errors
    /// For bytes that do not add up.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Failure> {
        let entries = entries(&bytes).ok_or(Failure(MALFORMED))?;
        Ok(Self { bytes, entries })
    }

    /// A block of `pairs`.
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

    /// The headers in order.
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

/// The proxy-wasm encoding of a header map, as [`HeaderBlock::parse`] reads it.
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

/// `PROXY_RESULT_PARSE_FAILURE`, for what the host gave.
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
