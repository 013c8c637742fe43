//! A worker: one VM that serves requests, and its failure policy.

use crate::config::{FailurePolicy, World};
use crate::error::HostError;
use crate::exchange::Exchange;
use crate::http::HttpStream;
use crate::log::VmId;
use crate::message::{Request, UpstreamResponse};
use crate::module::FilterModule;
use crate::rng::Rng;
use crate::shared::Shared;
use crate::vm::Vm;
use std::sync::Arc;
use std::time::Duration;

/// Envoy's stream idle timeout: how long a paused stream may wait.
const IDLE: Duration = Duration::from_secs(300);

/// A worker thread's share of a host. [`crate::Host`] drives its workers one
/// after the other; with [`crate::Host::workers_mut`] each can run on a
/// thread of its own.
pub struct Worker {
    pub(crate) vm: Vm,
    pub(crate) index: usize,
    module: FilterModule,
    world: Arc<World>,
    shared: Arc<Shared>,
    configuration: Arc<[u8]>,
    rng: Rng,
    pub(crate) stats: Stats,
}

/// Counters of the host about its VMs, named as Envoy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// `vm_reload_success`
    pub reload_success: u64,
    /// `vm_reload_failure`
    pub reload_failure: u64,
    /// `vm_reload_backoff`: requests that came too early for a reload.
    pub reload_backoff: u64,
    /// Accepted configurations, the first one included.
    pub configured: u64,
    /// Refused configurations.
    pub config_refused: u64,
}

/// A stream that was opened and not yet finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId {
    pub(crate) worker: usize,
    pub(crate) vm: u64,
    pub(crate) context: u32,
}

impl Worker {
    pub(crate) fn new(
        vm: Vm,
        index: usize,
        module: &FilterModule,
        world: &Arc<World>,
        shared: &Arc<Shared>,
        configuration: &Arc<[u8]>,
    ) -> Worker {
        Worker {
            vm,
            index,
            module: module.clone(),
            world: Arc::clone(world),
            shared: Arc::clone(shared),
            configuration: Arc::clone(configuration),
            rng: Rng::new(world.seed, 0x5757 + index as u64),
            stats: Stats::default(),
        }
    }

    /// Its number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Sends a request and runs the stream to its end. Virtual time passes
    /// as far as callouts and upstreams make it wait; ticks of this worker's
    /// VM that come due meanwhile are run.
    ///
    /// # Errors
    /// [`HostError::Stuck`] when the guest pauses and nothing resumes it.
    pub fn send(&mut self, request: Request) -> Result<Exchange, HostError> {
        let stream = self.open(request);
        self.finish(stream)
    }

    /// Opens a stream and moves it until it waits or ends.
    pub fn open(&mut self, mut request: Request) -> StreamId {
        self.reload_if_needed();
        if self.world.proxy_headers && request.headers.contains(":authority") {
            if !request.headers.contains("x-forwarded-proto") {
                request.headers.add("x-forwarded-proto", "http");
            }
            if !request.headers.contains("x-request-id") {
                let id = self.rng.uuid();
                request.headers.add("x-request-id", id);
            }
        }
        let root = self.vm.root;
        let context = self.vm.open_http(root, request);
        self.vm.pump(context);
        self.vm.settle();
        StreamId { worker: self.index, vm: self.vm.state().key, context }
    }

    /// Runs an open stream to its end.
    ///
    /// # Errors
    /// [`HostError::Stuck`] as for [`Worker::send`], and
    /// [`HostError::UnknownStream`].
    pub fn finish(&mut self, stream: StreamId) -> Result<Exchange, HostError> {
        if stream.vm != self.vm.state().key {
            return Err(HostError::UnknownStream);
        }
        let mut context = stream.context;
        let mut earlier: Vec<Exchange> = Vec::new();
        loop {
            self.run_to_end(context)?;
            let (mut exchange, redirect) =
                self.vm.finish_http(context, self.index).ok_or(HostError::UnknownStream)?;
            let Some(request) = redirect else {
                for before in earlier.drain(..).rev() {
                    exchange.upstream.splice(0..0, before.upstream);
                    exchange.logs.splice(0..0, before.logs);
                    exchange.callouts.splice(0..0, before.callouts);
                    exchange.duration += before.duration;
                }
                return Ok(exchange);
            };
            earlier.push(exchange);
            let root = self.vm.root;
            context = self.vm.open_http(root, request);
            if let Some(stream) = self.vm.state_mut().http_by_id(context) {
                stream.redirects = u32::try_from(earlier.len()).unwrap_or(u32::MAX);
            }
            self.vm.pump(context);
        }
    }

    /// Whether an open stream has come to its end and waits for
    /// [`Worker::finish`] to run its last callbacks.
    pub fn is_done(&mut self, stream: StreamId) -> bool {
        self.vm.state_mut().http_by_id(stream.context).is_none_or(|stream| stream.done)
    }

    /// An open stream of the VM that serves now.
    pub(crate) fn stream(&mut self, stream: StreamId) -> Option<&mut HttpStream> {
        let state = self.vm.state_mut();
        if stream.vm == state.key { state.http_by_id(stream.context) } else { None }
    }

    /// Gives a stream the answer that its upstream owes it. False when none
    /// is owed.
    pub(crate) fn answer(&mut self, stream: StreamId, response: UpstreamResponse) -> bool {
        if self.stream(stream).is_none_or(|stream| stream.done || stream.pending.is_none()) {
            return false;
        }
        self.vm.answer(stream.context, response);
        self.vm.pump(stream.context);
        self.vm.settle();
        true
    }

    fn run_to_end(&mut self, context: u32) -> Result<(), HostError> {
        let start = self.shared.now_ns();
        let limit = crate::calls::later(start, IDLE);
        loop {
            self.vm.settle();
            match self.vm.state_mut().http_by_id(context) {
                None => return Err(HostError::UnknownStream),
                Some(stream) if stream.done => return Ok(()),
                Some(_) => {}
            }
            if self.vm.notify() {
                continue;
            }
            match self.vm.next_event() {
                Some((due, event)) if due <= limit => {
                    self.shared.reach_ns(due);
                    self.vm.run_event(event);
                }
                _ => return Err(self.give_up(context, start)),
            }
        }
    }

    /// Takes a stuck stream down and says where it waited.
    fn give_up(&mut self, context: u32, start: u64) -> HostError {
        let phase = self.vm.stream(context).phase();
        self.vm.reset_stream(context);
        self.vm.finish_http(context, self.index);
        HostError::Stuck { phase, waited: Duration::from_nanos(self.shared.now_ns().saturating_sub(start)) }
    }

    /// Runs everything that is due by now.
    pub(crate) fn catch_up(&mut self) {
        let now = self.shared.now_ns();
        while let Some((due, event)) = self.vm.next_event() {
            if due > now {
                break;
            }
            self.vm.run_event(event);
        }
    }

    /// Takes a new configuration. A failed VM is replaced by a fresh one.
    pub(crate) fn configure(&mut self, configuration: &Arc<[u8]>) -> Result<(), HostError> {
        self.configuration = Arc::clone(configuration);
        if self.vm.state().failed.is_some() {
            self.vm = self.fresh()?;
            return Ok(());
        }
        self.vm.configure(configuration)?;
        self.vm.settle();
        Ok(())
    }

    /// `FAIL_RELOAD`: a failed VM is loaded anew for the first request after
    /// the back-off, which counts from the last load.
    fn reload_if_needed(&mut self) {
        let FailurePolicy::Reload { base } = self.world.policy else {
            return;
        };
        if self.vm.state().failed.is_none() {
            return;
        }
        let base_ms = u64::try_from(base.as_millis()).unwrap_or(u64::MAX);
        let jitter = self.rng.next() % (base_ms / 2).max(1);
        let back_off = Duration::from_millis(base_ms.saturating_add(jitter));
        let now = self.shared.now_ns();
        if now < crate::calls::later(self.vm.loaded_ns, back_off) {
            self.stats.reload_backoff += 1;
            return;
        }
        self.vm.loaded_ns = now;
        match self.fresh() {
            Ok(vm) => {
                self.vm = vm;
                self.stats.reload_success += 1;
            }
            Err(_) => self.stats.reload_failure += 1,
        }
    }

    fn fresh(&self) -> Result<Vm, HostError> {
        let mut vm = Vm::load(&self.module, VmId::Worker(self.index), &self.world, &self.shared)?;
        vm.configure(&self.configuration)?;
        vm.settle();
        Ok(vm)
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("index", &self.index).finish_non_exhaustive()
    }
}
