//! Records on their way to the sinks.

use splitway_engine::{Common, Exposure};

use crate::host::{Level, Log, Metrics};
use crate::sink::SharedSink;

/// Bytes of records that one log call has: far below what a proxy or a collector of logs takes.
const LINES: usize = 32 * 1024;

/// Records on their way out of one pass of an exchange.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Whether they are logged.
    logs: bool,
    common: Common,
    /// For the log, a line each: every call makes the proxy write once.
    lines: String,
}

impl Records {
    pub(crate) fn new(logs: bool) -> Self {
        Self { logs, ..Self::default() }
    }

    /// Gives a record to the log and to `sink`, the sinks of its plan.
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

    /// Logs what is not logged yet.
    pub(crate) fn flush(&mut self, host: &impl Log) {
        if !self.lines.is_empty() {
            host.log(Level::Info, &self.lines);
            self.lines.clear();
        }
    }
}
