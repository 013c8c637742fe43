//! State that outlives a config: a swap creates a new root context in the same VM.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use splitway_engine::{Plan, Seen, Timestamp};

use crate::host::{Background, Host, Metrics, Properties};
use crate::sink::{SharedSink, Sink};

/// A pass of a request that the proxy is redirecting to itself.
pub trait Pass: Sized {
    /// The namespace of its config.
    fn namespace(&self) -> &str;

    /// The proxy's id of the request.
    fn request_id(&self) -> Option<&str>;

    /// Writes the pass's records, because no next pass has come.
    fn abandon(&self, host: &impl Host, vm: &mut Vm<Self>);
}

/// The state of one VM, that is, of one worker.
#[derive(Debug)]
pub struct Vm<P> {
    /// Passes of requests that the proxy is redirecting to itself, oldest first. Filters in front of this
    /// one may take their time, so the next pass need not be the next request.
    passes: VecDeque<Kept<P>>,
    pub(crate) seen: Seen,
    sinks: Vec<SharedSink>,
}

/// Largest number of passes that wait for the next one.
const MAX_PASSES: usize = 1_000;
/// After this many milliseconds without a next pass, the request was answered in front of the filter.
const LONGEST_WAIT_MS: i64 = 60_000;

impl<P> Default for Vm<P> {
    fn default() -> Self {
        Self { passes: VecDeque::new(), seen: Seen::default(), sinks: Vec::new() }
    }
}

/// A pass of a request that continues in a later pass.
#[derive(Debug)]
struct Kept<P> {
    exchange: Box<P>,
    /// The client's connection, as the proxy numbers it: a client that chooses its request ids can only
    /// confuse its own requests.
    connection: Option<Vec<u8>>,
    since: Timestamp,
}

fn connection(host: &impl Properties) -> Option<Vec<u8>> {
    host.property(&["connection", "id"])
}

impl<P> Vm<P> {
    /// Returns the sink that `plan` asks for: the existing one, with its records, or a new one.
    pub fn sink(&mut self, plan: &Plan, host: &impl Metrics) -> Option<SharedSink> {
        let target = plan.sinks().otlp.as_ref()?;
        let namespace = plan.namespace();
        // Sinks that no config uses are removed once they are empty.
        self.sinks.retain(|sink| Rc::strong_count(sink) > 1 || !sink.borrow().is_idle());
        let known = self.sinks.iter().find(|sink| sink.borrow().is_for(target, namespace));
        let sink = known.map(Rc::clone).unwrap_or_else(|| {
            let sink = Rc::new(RefCell::new(Sink::new(target, namespace, host)));
            self.sinks.push(Rc::clone(&sink));
            sink
        });
        Some(sink)
    }

    /// Sends all waiting records, in the name of the root context.
    pub fn send(&self, root: u32, host: &impl Background) {
        for sink in &self.sinks {
            sink.borrow_mut().send(root, host);
        }
    }

    /// Returns true if a batch is full and may be sent at once.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.sinks.iter().any(|sink| sink.borrow().is_due())
    }

    /// Sends the batches that are full, in the name of the root context.
    pub fn send_full(&self, root: u32, host: &impl Background) {
        for sink in &self.sinks {
            sink.borrow_mut().send_full(root, host);
        }
    }

    /// Takes the answer to a call, given as root context and token; see [`Sink::answered`].
    pub fn answered(
        &self,
        call: (u32, u32),
        ending: bool,
        host: &impl Background,
        body: impl Fn() -> Vec<u8>,
    ) {
        for sink in &self.sinks {
            if sink.borrow_mut().answered(call, ending, host, &body) {
                return;
            }
        }
    }

    /// Returns true if the root context may end: none of its calls is in flight and, if it is the last,
    /// no records wait.
    #[must_use]
    pub fn may_end(&self, root: u32, is_last: bool) -> bool {
        self.sinks.iter().all(|sink| {
            let sink = sink.borrow();
            !sink.is_sending_for(root) && (!is_last || sink.is_idle())
        })
    }

    /// Forgets a root context that has ended.
    pub fn forget(&self, root: u32, host: &impl Background) {
        for sink in &self.sinks {
            sink.borrow_mut().forget(root, host);
        }
    }
}

impl<P: Pass> Vm<P> {
    /// Keeps a pass until the next one of its request comes.
    pub(crate) fn keep_pass(&mut self, exchange: Box<P>, host: &impl Host) {
        if self.passes.len() >= MAX_PASSES
            && let Some(oldest) = self.passes.pop_front()
        {
            oldest.exchange.abandon(host, self);
        }
        self.passes.push_back(Kept { exchange, connection: connection(host), since: host.now() });
    }

    /// Returns the pass before this one, if there was one: from a filter with the same namespace, on the
    /// same connection, with the same request id. `None` for an id that cannot be read.
    pub(crate) fn earlier_pass(
        &mut self,
        namespace: &str,
        id: Option<&[u8]>,
        host: &impl Properties,
    ) -> Option<Box<P>> {
        let is_alike = |pass: &Kept<P>| {
            let own = pass.exchange.request_id().unwrap_or_default().as_bytes();
            pass.exchange.namespace() == namespace && id.is_none_or(|id| id == own)
        };
        if !self.passes.iter().any(is_alike) {
            return None;
        }
        let connection = connection(host);
        let index = self.passes.iter().position(|pass| is_alike(pass) && pass.connection == connection)?;
        self.passes.remove(index).map(|pass| pass.exchange)
    }

    /// Writes and drops passes that have waited for too long.
    pub fn give_up(&mut self, now: Timestamp, host: &impl Host) {
        let has_waited = |pass: &Kept<P>| now.0.saturating_sub(pass.since.0) > LONGEST_WAIT_MS;
        while self.passes.front().is_some_and(has_waited) {
            if let Some(oldest) = self.passes.pop_front() {
                oldest.exchange.abandon(host, self);
            }
        }
    }
}
