//! Exposures on their way to a collector (OTLP/HTTP, JSON).
//!
//! At least once: an answer that does not come is a failure, and what failed is sent again. What is
//! neither delivered nor still here is counted as dropped, with its reason.

use std::collections::VecDeque;

use splitway_engine::{Common, Exposure, Otlp, Timestamp};

use crate::host::{Background, Level, Log, Metrics};

/// A batch is closed at this size, in bytes.
const BATCH: usize = 262_144;
/// A batch is dropped when it has failed so often: after some four minutes.
const MAX_ATTEMPTS: u32 = 14;
/// Times between attempts, in milliseconds: the first, and the longest.
const BACKOFF_MS: i64 = 250;
const MAX_BACKOFF_MS: i64 = 30_000;

/// The way to one collector.
#[derive(Debug)]
pub struct Sink {
    target: Otlp,
    /// What each batch begins and ends with.
    frame: (String, &'static str),
    /// Oldest first.
    batches: VecDeque<Batch>,
    /// Bytes of all batches.
    bytes: usize,
    /// The oldest batch is on its way: the root context that sent it, and the call's token.
    call: Option<(u32, u32)>,
    /// Of the oldest batch.
    attempts: u32,
    /// Not before; `None` while all is well.
    retry_at: Option<Timestamp>,
    /// Records taken since this was last counted.
    emitted: u32,
    counters: [Option<u32>; 5],
}

#[derive(Debug, Default)]
struct Batch {
    text: String,
    records: u32,
}

/// What can become of a record, in the order of the counters.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Emitted,
    Delivered,
    /// The buffer is full.
    BufferFull,
    /// The collector does not want it.
    Rejected,
    /// The collector could not be reached for too long.
    GaveUp,
}

const COUNTERS: [&str; 5] = [
    "splitway.exposures_emitted",
    "splitway.exposures_delivered",
    "splitway.exposures_dropped.reason.buffer_full",
    "splitway.exposures_dropped.reason.rejected",
    "splitway.exposures_dropped.reason.gave_up",
];

/// How an attempt ended.
enum Outcome {
    /// Taken, but for so many records.
    Taken(u32),
    Refused,
    Failed,
}

impl Sink {
    /// A sink for `target`; records of `namespace`.
    #[must_use]
    pub fn new(target: &Otlp, namespace: &str, host: &impl Metrics) -> Self {
        Self {
            target: target.clone(),
            frame: Otlp::frame(namespace),
            batches: VecDeque::new(),
            bytes: 0,
            call: None,
            attempts: 0,
            retry_at: None,
            emitted: 0,
            counters: COUNTERS.map(|name| host.counter(name).ok()),
        }
    }

    /// Whether it leads to `target` for `namespace`.
    #[must_use]
    pub fn is_for(&self, target: &Otlp, namespace: &str) -> bool {
        self.target == *target && self.frame == Otlp::frame(namespace)
    }

    /// Whether nothing waits and nothing is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether a call of the root context is on its way.
    #[must_use]
    pub fn is_sending_for(&self, root: u32) -> bool {
        self.call.is_some_and(|(sender, _)| sender == root)
    }

    /// Takes a record, or drops it if there is no room; `common` is of its exchange.
    pub fn push(&mut self, exposure: &Exposure<'_>, common: &mut Common, host: &impl Metrics) {
        self.emitted = self.emitted.saturating_add(1);
        if self.bytes >= self.target.buffer() {
            self.count(Fate::BufferFull, 1, host);
            return;
        }
        // What is on its way stays as it is, and so does what may have been received already.
        let is_closed = |batch: &Batch, only: bool| {
            batch.text.len() >= BATCH || only && (self.call.is_some() || self.attempts > 0)
        };
        let only = self.batches.len() == 1;
        if self.batches.back().is_none_or(|last| is_closed(last, only)) {
            self.batches.push_back(Batch { text: self.frame.0.clone(), records: 0 });
        }
        let Some(batch) = self.batches.back_mut() else { return };
        let before = batch.text.len();
        if batch.records > 0 {
            batch.text.push(',');
        }
        exposure.push_otlp(common, &mut batch.text);
        batch.records = batch.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add(batch.text.len().saturating_sub(before));
    }

    /// Sends the oldest batch, if it is time.
    pub fn send(&mut self, root: u32, host: &impl Background) {
        let emitted = std::mem::take(&mut self.emitted);
        self.count(Fate::Emitted, emitted, host);
        if self.call.is_some() || self.batches.is_empty() {
            return;
        }
        if let Some(at) = self.retry_at {
            let wait = at.0.saturating_sub(host.now().0);
            // A clock that was set back must not make it wait for longer.
            if (1..=MAX_BACKOFF_MS).contains(&wait) {
                return;
            }
        }
        let Some(batch) = self.batches.front_mut() else { return };
        let records = batch.text.len();
        batch.text.push_str(self.frame.1);
        let (cluster, timeout) = (self.target.cluster(), self.target.timeout_ms());
        let headers = self.target.headers();
        let sent = host.call(cluster, &headers, batch.text.as_bytes(), timeout);
        batch.text.truncate(records);
        match sent {
            Ok(token) => self.call = Some((root, token)),
            Err(failure) => {
                // Most likely it is not there.
                let status = failure.0.to_string();
                self.complain(&status, host);
                self.end(&Outcome::Failed, host);
            }
        }
    }

    /// Takes the answer to the call `token` of the root context. Gives whether it was this sink's.
    /// `body` is only asked for where it says something.
    pub fn answered(
        &mut self,
        root: u32,
        token: u32,
        host: &impl Background,
        body: impl FnOnce() -> Vec<u8>,
    ) -> bool {
        if self.call != Some((root, token)) {
            return false;
        }
        self.call = None;
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
        self.end(&outcome, host);
        // What has waited meanwhile follows at once, unless there is reason to wait.
        if self.batches.len() > 1 {
            self.send(root, host);
        }
        true
    }

    #[inline(never)]
    fn complain(&self, status: &str, host: &impl Log) {
        let cluster = self.target.cluster();
        host.log(Level::Warn, &format!("splitway: exposures not taken by {cluster}: status {status}"));
    }

    /// The root context is gone, and with it a call that it made.
    pub fn forget(&mut self, root: u32, host: &impl Background) {
        if self.is_sending_for(root) {
            self.call = None;
            self.end(&Outcome::Failed, host);
        }
    }

    fn end(&mut self, outcome: &Outcome, host: &impl Background) {
        let records = self.batches.front().map_or(0, |batch| batch.records);
        match outcome {
            Outcome::Taken(rejected) => {
                let rejected = (*rejected).min(records);
                self.count(Fate::Delivered, records.saturating_sub(rejected), host);
                self.count(Fate::Rejected, rejected, host);
            }
            Outcome::Refused => self.count(Fate::Rejected, records, host),
            Outcome::Failed => {
                self.attempts = self.attempts.saturating_add(1);
                if self.attempts < MAX_ATTEMPTS {
                    let doubled = BACKOFF_MS.checked_shl(self.attempts.saturating_sub(1).min(16));
                    let wait = doubled.unwrap_or(MAX_BACKOFF_MS).min(MAX_BACKOFF_MS);
                    self.retry_at = Some(Timestamp(host.now().0.saturating_add(wait)));
                    return;
                }
                self.count(Fate::GaveUp, records, host);
            }
        }
        self.attempts = 0;
        self.retry_at = None;
        if let Some(batch) = self.batches.pop_front() {
            let size = batch.text.len().saturating_sub(self.frame.0.len());
            self.bytes = self.bytes.saturating_sub(size);
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
