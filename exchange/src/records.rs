//! Records on their way to the sinks.

use splitway_engine::{Common, Exposure};

use crate::host::{Level, Log, Metrics};
use crate::sink::SharedSink;

/// Largest size of one log call, in bytes of records: far below the limits of proxies and log collectors.
const LINES: usize = 32 * 1024;

/// The records of one pass of an exchange, before they are written.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// True if they are logged.
    logs: bool,
    common: Common,
    /// Lines for the log, one per record: each log call makes the proxy write once.
    lines: String,
}

impl Records {
    pub(crate) fn new(logs: bool) -> Self {
        Self { logs, ..Self::default() }
    }

    /// Adds a record to the log and to `sink`, the sink of its plan.
    pub(crate) fn add(
        &mut self,
        exposure: &Exposure<'_>,
        sink: Option<&SharedSink>,
        host: &(impl Metrics + Log),
    ) {
        if self.logs {
            if !self.lines.is_empty() {
                self.lines.push('\n');
            }
            if host.takes_otlp() {
                exposure.push_otlp(&mut self.common, &mut self.lines);
            } else {
                exposure.push_json(&mut self.common, &mut self.lines);
            }
            if host.is_sink() || self.lines.len() >= LINES {
                self.flush(host);
            }
        }
        if let Some(sink) = sink.filter(|_| !host.is_sink()) {
            sink.borrow_mut().push(exposure, &mut self.common, host);
        }
    }

    /// Logs the records that are not logged yet.
    pub(crate) fn flush(&mut self, host: &impl Log) {
        if !self.lines.is_empty() {
            host.log(Level::Info, &self.lines);
            self.lines.clear();
        }
    }
}
