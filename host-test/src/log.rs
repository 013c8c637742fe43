//! Log lines, ordered over all VMs.

use crate::types::LogLevel;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Where a log line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VmId {
    /// The VM that tries a configuration before the others get it.
    Canary,
    /// The main thread's VM, which ticks and never sees a request.
    Main,
    /// A worker's VM, counted from 0.
    Worker(usize),
}

/// Who wrote a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogSource {
    /// `proxy_log`.
    Guest,
    /// The guest's standard output.
    Stdout,
    /// The guest's standard error; a Rust panic message arrives here.
    Stderr,
    /// This host, about the guest.
    Host,
}

/// One log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Position over all VMs, from 0.
    pub sequence: u64,
    /// Virtual time, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The VM.
    pub vm: VmId,
    /// Severity.
    pub level: LogLevel,
    /// Who wrote it.
    pub source: LogSource,
    /// The text, with invalid UTF-8 replaced.
    pub message: String,
}

/// The newest log lines, up to a fixed number.
#[derive(Debug)]
pub(crate) struct LogBook {
    inner: Mutex<Lines>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Lines {
    next: u64,
    lines: VecDeque<LogEntry>,
}

impl LogBook {
    pub(crate) fn new(capacity: usize) -> LogBook {
        LogBook { inner: Mutex::default(), capacity }
    }

    pub(crate) fn push(&self, time_ns: u64, vm: VmId, level: LogLevel, source: LogSource, message: &[u8]) {
        let mut inner = crate::lock::lock(&self.inner);
        let sequence = inner.next;
        inner.next += 1;
        if self.capacity == 0 {
            return;
        }
        if inner.lines.len() >= self.capacity {
            inner.lines.pop_front();
        }
        let message = String::from_utf8_lossy(message).into_owned();
        inner.lines.push_back(LogEntry { sequence, time_ns, vm, level, source, message });
    }

    /// The sequence number that the next line gets.
    pub(crate) fn position(&self) -> u64 {
        crate::lock::lock(&self.inner).next
    }

    /// Lines from `position` on, of one VM or of all.
    pub(crate) fn since(&self, position: u64, vm: Option<VmId>) -> Vec<LogEntry> {
        let inner = crate::lock::lock(&self.inner);
        if inner.next == position {
            return Vec::new();
        }
        let wanted = |line: &&LogEntry| line.sequence >= position && vm.is_none_or(|vm| vm == line.vm);
        let skip = inner.lines.partition_point(|line| line.sequence < position);
        inner.lines.range(skip..).filter(wanted).cloned().collect()
    }

    pub(crate) fn take(&self) -> Vec<LogEntry> {
        crate::lock::lock(&self.inner).lines.drain(..).collect()
    }
}
