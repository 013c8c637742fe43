//! Exposures on their way to a collector (OTLP/HTTP, JSON).
//!
//! Delivery is at least once: a missing answer is a failure, and failed batches are sent again. Records that are
//! neither delivered nor buffered any more are counted as dropped, with the reason.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use splitway_engine::{Common, Exposure, Otlp, Timestamp};

use crate::host::{Background, Level, Log, Metrics};
use crate::names::named;

/// A sink that the exchanges of one or more configs fill.
pub type SharedSink = Rc<RefCell<Sink>>;

/// A batch is full at this size, in bytes: with its last record, it has room in 256 KiB.
const BATCH: usize = 245_760;
/// Largest number of batches in flight.
const MAX_CALLS: usize = 8;
/// A batch is dropped after this many failures: after about four minutes.
const MAX_ATTEMPTS: u32 = 14;
/// Shortest and longest time between attempts, in milliseconds.
const BACKOFF_MS: i64 = 250;
const MAX_BACKOFF_MS: i64 = 30_000;
/// Smallest size of a record, in bytes.
const SMALLEST: usize = 256;

/// The queue of batches for one collector.
///
/// While the collector answers, several batches may be in flight, and a full one is sent without
/// waiting for a tick. While it fails, one batch at a time is tried, at growing intervals.
#[derive(Debug)]
pub struct Sink {
    target: Otlp,
    /// Start and end of each batch.
    frame: (String, &'static str),
    /// Batches, oldest first. Only the last can take records.
    batches: VecDeque<Batch>,
    /// Bytes of the records in all batches.
    bytes: usize,
    /// The current failure of the collector; `None` while it answers.
    trouble: Option<Retry>,
    /// Records taken since this was last counted.
    emitted: u32,
    counters: [Option<u32>; 5],
}

#[derive(Debug, Default)]
struct Batch {
    text: String,
    records: u32,
    /// Root context and token of the call in flight.
    call: Option<(u32, u32)>,
    /// The last failure. The collector may have received the batch all the same.
    failed: Option<Retry>,
}

/// A failure, and when to try again.
#[derive(Clone, Copy, Debug)]
struct Retry {
    /// Failures in a row.
    failures: u32,
    /// Earliest time of the next attempt.
    at: Timestamp,
}

impl Retry {
    /// Returns the state after one more failure.
    fn after(before: Option<Self>, now: Timestamp) -> Self {
        let failures = before.map_or(0, |before| before.failures);
        let wait = BACKOFF_MS.checked_shl(failures.min(16)).unwrap_or(MAX_BACKOFF_MS);
        let at = Timestamp(now.0.saturating_add(wait.min(MAX_BACKOFF_MS)));
        Self { failures: failures.saturating_add(1), at }
    }

    /// Returns true while it is too early. A clock that was set back must not prolong the wait.
    fn waits(self, now: Timestamp) -> bool {
        (1..=MAX_BACKOFF_MS).contains(&self.at.0.saturating_sub(now.0))
    }
}

impl Batch {
    /// Returns true if the batch takes records: one that is in flight or may already have been received
    /// stays as it is.
    fn is_open(&self) -> bool {
        self.call.is_none() && self.failed.is_none() && !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.text.len() >= BATCH
    }

    fn failures(&self) -> u32 {
        self.failed.map_or(0, |retry| retry.failures)
    }
}

/// Selects the batches to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    All,
    Full,
}

/// What can happen to a record, in the order of the counters.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Emitted,
    Delivered,
    /// The buffer is full.
    BufferFull,
    /// The collector refuses it.
    Rejected,
    /// The collector could not be reached for too long.
    GaveUp,
}

const COUNTERS: [&str; 5] = [
    "exposures_emitted",
    "exposures_delivered",
    "exposures_dropped.reason.buffer_full",
    "exposures_dropped.reason.rejected",
    "exposures_dropped.reason.gave_up",
];

/// How an attempt ended.
enum Outcome {
    /// Accepted, except for this many records.
    Taken(u32),
    Refused,
    Failed,
}

impl Sink {
    /// Creates a sink for `target` that takes records of `namespace`.
    #[must_use]
    pub fn new(target: &Otlp, namespace: &str, host: &impl Metrics) -> Self {
        Self {
            target: target.clone(),
            frame: Otlp::frame(namespace),
            batches: VecDeque::new(),
            bytes: 0,
            trouble: None,
            emitted: 0,
            counters: COUNTERS.map(|name| host.counter(&named(namespace, name)).ok()),
        }
    }

    /// Returns true if the sink leads to `target` for `namespace`.
    #[must_use]
    pub fn is_for(&self, target: &Otlp, namespace: &str) -> bool {
        self.target == *target && self.frame == Otlp::frame(namespace)
    }

    /// Returns true if no records wait and no call is in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns true if a call of the root context is in flight.
    #[must_use]
    pub fn is_sending_for(&self, root: u32) -> bool {
        self.batches.iter().any(|batch| batch.call.is_some_and(|(sender, _)| sender == root))
    }

    /// Returns true if a batch is full and may be sent at once. While the collector
    /// fails, only ticks try it.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.trouble.is_none()
            && self
                .batches
                .iter()
                .any(|batch| batch.is_full() && batch.call.is_none() && batch.failed.is_none())
            && self.calls() < MAX_CALLS
    }

    fn calls(&self) -> usize {
        self.batches.iter().filter(|batch| batch.call.is_some()).count()
    }

    /// Takes a record, or drops it if there is no room; `common` belongs to its exchange.
    pub fn push(&mut self, exposure: &Exposure<'_>, common: &mut Common, host: &impl Metrics) {
        self.emitted = self.emitted.saturating_add(1);
        let room = self.target.buffer().saturating_sub(self.bytes);
        if room < SMALLEST {
            self.count(Fate::BufferFull, 1, host);
            return;
        }
        if !self.batches.back().is_some_and(Batch::is_open) {
            // Doubled, it comes to the room of a full batch.
            let mut text = String::with_capacity(1024);
            text.push_str(&self.frame.0);
            self.batches.push_back(Batch { text, ..Batch::default() });
        }
        let Some(batch) = self.batches.back_mut() else { return };
        let before = batch.text.len();
        if batch.records > 0 {
            batch.text.push(',');
        }
        exposure.push_otlp(common, &mut batch.text);
        let size = batch.text.len().saturating_sub(before);
        if size > room {
            batch.text.truncate(before);
            if batch.records == 0 {
                self.batches.pop_back();
            }
            self.count(Fate::BufferFull, 1, host);
            return;
        }
        batch.records = batch.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size);
    }

    /// Sends all waiting batches that are due.
    pub fn send(&mut self, root: u32, host: &impl Background) {
        self.dispatch(What::All, root, host);
    }

    /// Sends the batches that are full.
    pub fn send_full(&mut self, root: u32, host: &impl Background) {
        self.dispatch(What::Full, root, host);
    }

    fn dispatch(&mut self, what: What, root: u32, host: &impl Background) {
        let emitted = std::mem::take(&mut self.emitted);
        self.count(Fate::Emitted, emitted, host);
        while let Some(index) = self.next(what, host) {
            let Some(batch) = self.batches.get_mut(index) else { return };
            let records = batch.text.len();
            batch.text.push_str(self.frame.1);
            let (cluster, timeout) = (self.target.cluster(), self.target.timeout_ms());
            let headers = self.target.headers();
            let sent = host.call(cluster, &headers, batch.text.as_bytes(), timeout);
            batch.text.truncate(records);
            match sent {
                Ok(token) => batch.call = Some((root, token)),
                Err(failure) => {
                    // Most likely the cluster does not exist.
                    let status = failure.0.to_string();
                    self.complain(&status, host);
                    self.end(index, &Outcome::Failed, host);
                    return;
                }
            }
        }
    }

    /// Returns the batch to send next, if one is due.
    fn next(&self, what: What, host: &impl Background) -> Option<usize> {
        let calls = self.calls();
        if calls == self.batches.len() || calls >= MAX_CALLS {
            return None;
        }
        let now = host.now();
        // One attempt shows if the collector works again.
        if self.trouble.is_some_and(|trouble| calls > 0 || trouble.waits(now)) {
            return None;
        }
        let is_due = |batch: &Batch| {
            batch.call.is_none()
                && (what == What::All || batch.is_full())
                && batch.failed.is_none_or(|retry| !retry.waits(now))
        };
        // A batch that fails for its own reasons must not delay others. One that still takes
        // records comes last, so that a failing collector does not cause many small ones.
        let due = self.batches.iter().enumerate().filter(|(_, batch)| is_due(batch));
        due.min_by_key(|(_, batch)| (batch.is_open(), batch.failures())).map(|(index, _)| index)
    }

    /// Takes the answer to the call `token` of the root context. Returns true if the call was this sink's.
    /// `body` is read only where it matters; an `ending` root context sends all that is left.
    pub fn answered(
        &mut self,
        (root, token): (u32, u32),
        ending: bool,
        host: &impl Background,
        body: impl FnOnce() -> Vec<u8>,
    ) -> bool {
        let Some(index) = self.batches.iter().position(|batch| batch.call == Some((root, token))) else {
            return false;
        };
        let block = host.answer().unwrap_or_default();
        let status = block.iter().find(|(name, _)| *name == b":status").map(|(_, value)| value);
        let outcome = match status {
            Some([b'2', ..]) => Outcome::Taken(rejected(&body())),
            Some(b"408" | b"429") => Outcome::Failed,
            Some([b'4', ..]) => Outcome::Refused,
            _ => Outcome::Failed,
        };
        if !matches!(outcome, Outcome::Taken(_)) {
            let status = status.and_then(|status| std::str::from_utf8(status).ok());
            self.complain(status.unwrap_or("none"), host);
        }
        self.end(index, &outcome, host);
        // Batches that waited for this one follow at once, unless there is a reason to wait.
        self.dispatch(if ending { What::All } else { What::Full }, root, host);
        true
    }

    #[inline(never)]
    fn complain(&self, status: &str, host: &impl Log) {
        let cluster = self.target.cluster();
        host.log(Level::Warn, &format!("splitway: exposures not taken by {cluster}: status {status}"));
    }

    /// Forgets a root context that has ended, and the calls that it made.
    pub fn forget(&mut self, root: u32, host: &impl Background) {
        let is_lost = |batch: &Batch| batch.call.is_some_and(|(sender, _)| sender == root);
        while let Some(index) = self.batches.iter().position(is_lost) {
            self.end(index, &Outcome::Failed, host);
        }
    }

    /// Ends an attempt to send the batch at `index`.
    fn end(&mut self, index: usize, outcome: &Outcome, host: &impl Background) {
        let Some(batch) = self.batches.get_mut(index) else { return };
        batch.call = None;
        let records = batch.records;
        let is_over = match outcome {
            Outcome::Taken(_) | Outcome::Refused => {
                self.trouble = None;
                true
            }
            Outcome::Failed => {
                let now = host.now();
                // Calls that were in flight together fail for one reason.
                if !self.trouble.is_some_and(|trouble| trouble.waits(now)) {
                    self.trouble = Some(Retry::after(self.trouble, now));
                }
                let retry = Retry::after(batch.failed, now);
                batch.failed = Some(retry);
                retry.failures >= MAX_ATTEMPTS
            }
        };
        if !is_over {
            return;
        }
        if let Some(batch) = self.batches.remove(index) {
            let size = batch.text.len().saturating_sub(self.frame.0.len());
            self.bytes = self.bytes.saturating_sub(size);
        }
        match outcome {
            Outcome::Taken(rejected) => {
                let rejected = (*rejected).min(records);
                self.count(Fate::Delivered, records.saturating_sub(rejected), host);
                self.count(Fate::Rejected, rejected, host);
            }
            Outcome::Refused => self.count(Fate::Rejected, records, host),
            Outcome::Failed => self.count(Fate::GaveUp, records, host),
        }
    }

    fn count(&self, fate: Fate, by: u32, host: &impl Metrics) {
        let counter = self.counters.get(fate as usize).copied().flatten();
        if let Some(counter) = counter.filter(|_| by > 0) {
            host.increment(counter, by);
        }
    }
}

/// `partialSuccess.rejectedLogRecords` of an answer: a 64-bit number, so OTLP's JSON has it in quotes.
fn rejected(body: &[u8]) -> u32 {
    const NAME: &[u8] = b"\"rejectedLogRecords\"";
    let Some(start) = body.windows(NAME.len()).position(|window| window == NAME) else { return 0 };
    let rest = body.get(start.saturating_add(NAME.len())..).unwrap_or_default();
    let rest = rest.iter().skip_while(|b| matches!(b, b' ' | b':' | b'"'));
    rest.take_while(|b| b.is_ascii_digit())
        .fold(0, |sum: u32, b| sum.saturating_mul(10).saturating_add(u32::from(b.saturating_sub(b'0'))))
}

#[cfg(test)]
mod tests {
    use super::rejected;

    #[test]
    fn rejected_records_are_read() {
        for (body, expected) in [
            (r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#, 3),
            (r#"{"partialSuccess": {"rejectedLogRecords": 12}}"#, 12),
            (r#"{"partialSuccess":null}"#, 0),
            (r#"{"partialSuccess":{"rejectedLogRecords"#, 0),
            (r#"{"partialSuccess":{"rejectedLogRecords":"#, 0),
            ("", 0),
        ] {
            assert_eq!(rejected(body.as_bytes()), expected, "{body}");
        }
    }
}
