//! A proxy process around one plugin: main VM, worker VMs, clock.

use crate::callout::CalloutRecord;
use crate::config::World;
use crate::error::{HostError, Trap};
use crate::exchange::Exchange;
use crate::faults::{FaultPlan, Hostcall};
use crate::headers::Headers;
use crate::http::HttpStream;
use crate::log::{LogEntry, VmId};
use crate::message::{Request, UpstreamRequest, UpstreamResponse};
use crate::metrics::MetricValue;
use crate::module::FilterModule;
use crate::shared::SharedState;
use crate::vm::{CallCost, Vm};
use crate::worker::{Stats, StreamId, Worker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A running host.
pub struct Host {
    module: FilterModule,
    world: Arc<World>,
    shared: SharedState,
    main: Vm,
    workers: Vec<Worker>,
    next_worker: usize,
    configuration: Arc<[u8]>,
    stats: Stats,
}

impl Host {
    pub(crate) fn start(
        module: FilterModule,
        world: World,
        shared: SharedState,
        workers: usize,
        configuration: Arc<[u8]>,
    ) -> Result<Host, HostError> {
        let world = Arc::new(world);
        try_in_canary(&module, &world, &shared, &configuration)?;
        let load = |id| -> Result<Vm, HostError> {
            let mut vm = Vm::load(&module, id, &world, &shared.0)?;
            vm.configure(&configuration)?;
            vm.settle();
            Ok(vm)
        };
        let main = load(VmId::Main)?;
        let worker = |index| {
            let vm = load(VmId::Worker(index))?;
            Ok(Worker::new(vm, index, &module, &world, &shared.0, &configuration))
        };
        let workers = (0..workers).map(worker).collect::<Result<Vec<Worker>, HostError>>()?;
        let stats = Stats { configured: 1, ..Stats::default() };
        let mut host = Host { module, world, shared, main, workers, next_worker: 0, configuration, stats };
        host.settle();
        Ok(host)
    }

    /// Sends a request to the next worker in turn, or the one it names, and
    /// runs it to its end. Ticks and answers that come due meanwhile run in
    /// every VM.
    ///
    /// # Errors
    /// [`HostError::Stuck`] when the guest pauses and nothing resumes it. A
    /// trap is not an error here: the failure policy answers the client, and
    /// [`Exchange::trap`] tells.
    pub fn send(&mut self, request: Request) -> Result<Exchange, HostError> {
        let stream = self.open(request);
        self.finish(stream)
    }

    /// Opens a stream and moves it until it waits or ends. Several can be
    /// open at once.
    pub fn open(&mut self, request: Request) -> StreamId {
        let turn = request.worker.unwrap_or_else(|| {
            self.next_worker = self.next_worker.wrapping_add(1);
            self.next_worker.wrapping_sub(1)
        });
        let index = turn % self.workers.len();
        self.workers[index].open(request)
    }

    /// Runs an open stream to its end.
    ///
    /// # Errors
    /// As [`Host::send`], and [`HostError::UnknownStream`].
    pub fn finish(&mut self, stream: StreamId) -> Result<Exchange, HostError> {
        let worker = self.workers.get_mut(stream.worker).ok_or(HostError::UnknownStream)?;
        let before = self.shared.0.now_ns();
        let result = worker.finish(stream);
        if self.shared.0.now_ns() != before {
            self.catch_up();
        }
        self.settle();
        result
    }

    /// Whether an open stream has come to its end and only its last callbacks
    /// (log, done, delete) are left for [`Host::finish`].
    pub fn is_done(&mut self, stream: StreamId) -> bool {
        self.workers.get_mut(stream.worker).is_none_or(|worker| worker.is_done(stream))
    }

    /// The request that an open stream sent to an upstream which has not
    /// answered; `None` before and after. With [`UpstreamResponse::hang`] and
    /// a route without timeout this is where a real network takes over:
    /// forward it, then give the answer to [`Host::answer`].
    pub fn upstream_request(&mut self, stream: StreamId) -> Option<&UpstreamRequest> {
        let stream = self.stream(stream).filter(|stream| !stream.done && stream.pending.is_some())?;
        stream.attempts.last()
    }

    /// Answers in place of an upstream that has not; the stream moves until
    /// it waits again or ends.
    ///
    /// # Errors
    /// [`HostError::UnknownStream`], also when no upstream is waited for.
    pub fn answer(&mut self, stream: StreamId, response: UpstreamResponse) -> Result<(), HostError> {
        let worker = self.workers.get_mut(stream.worker).ok_or(HostError::UnknownStream)?;
        if !worker.answer(stream, response) {
            return Err(HostError::UnknownStream);
        }
        self.settle();
        Ok(())
    }

    /// The response headers of an open stream once they went past the filter,
    /// and why it is what it is, as in [`Exchange::details`].
    pub fn response_headers(&mut self, stream: StreamId) -> Option<(&Headers, &str)> {
        let stream = self.stream(stream).filter(|stream| stream.encode.forwarded)?;
        Some((&stream.encode.headers, &stream.details))
    }

    /// The client went away: ends an open stream without the rest of its
    /// response. [`Host::finish`] then runs its last callbacks.
    pub fn reset(&mut self, stream: StreamId) {
        if self.stream(stream).is_some()
            && let Some(worker) = self.workers.get_mut(stream.worker)
        {
            worker.vm.reset_stream(stream.context);
        }
    }

    /// Takes a new plugin configuration as Envoy does: a canary VM tries it;
    /// if that accepts, each VM gets a new root context with it, and the old
    /// root context is done and deleted. VMs and their memory live on, and so
    /// do metrics and shared data. The same bytes again change nothing.
    ///
    /// # Errors
    /// [`HostError::ConfigurationRefused`] and the like; the last good
    /// configuration then keeps serving.
    pub fn reconfigure(&mut self, configuration: impl AsRef<[u8]>) -> Result<(), HostError> {
        let configuration: Arc<[u8]> = configuration.as_ref().into();
        if configuration == self.configuration && self.traps().is_empty() {
            return Ok(());
        }
        if let Err(error) = try_in_canary(&self.module, &self.world, &self.shared, &configuration) {
            self.stats.config_refused += 1;
            return Err(error);
        }
        let mut result = self.configure_main(&configuration);
        for worker in &mut self.workers {
            let taken = worker.configure(&configuration);
            result = result.and(taken);
        }
        self.configuration = configuration;
        self.stats.configured += 1;
        self.settle();
        result
    }

    fn configure_main(&mut self, configuration: &Arc<[u8]>) -> Result<(), HostError> {
        if self.main.state().failed.is_some() {
            self.main = Vm::load(&self.module, VmId::Main, &self.world, &self.shared.0)?;
        }
        self.main.configure(configuration)
    }

    /// Lets virtual time pass: ticks, callout answers and upstream answers
    /// run in order of time, in all VMs.
    pub fn advance(&mut self, time: Duration) {
        let end = crate::calls::later(self.shared.0.now_ns(), time);
        loop {
            self.settle();
            let main = self.main.next_event().map(|(due, _)| (due, None));
            let workers = self
                .workers
                .iter()
                .filter_map(|worker| Some((worker.vm.next_event()?.0, Some(worker.index))));
            let Some((due, who)) =
                main.into_iter().chain(workers).min_by_key(|(due, _)| *due).filter(|(due, _)| *due <= end)
            else {
                break;
            };
            self.shared.0.reach_ns(due);
            let vm = match who {
                None => &mut self.main,
                Some(index) => &mut self.workers[index].vm,
            };
            if let Some((_, event)) = vm.next_event() {
                vm.run_event(event);
            }
        }
        self.shared.0.reach_ns(end);
    }

    /// Sets the clock, forwards or backwards, without running what would have
    /// come due: a clock jump. Ticks keep their distance from now.
    pub fn jump_to(&mut self, now: SystemTime) {
        let now =
            u64::try_from(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        let before = self.shared.0.now_ns();
        self.shared.0.set_now_ns(now);
        for vm in self.vms_mut() {
            vm.shift_time(before, now);
        }
    }

    /// Ticks every VM that has a timer now, whether or not it is due.
    pub fn tick(&mut self) {
        for vm in self.vms_mut() {
            vm.tick_all();
        }
        self.settle();
    }

    /// Calls `proxy_on_foreign_function` in the main VM and each worker.
    pub fn call_foreign(&mut self, function: u32, data: impl AsRef<[u8]>) {
        for vm in self.vms_mut() {
            vm.foreign(function, data.as_ref().to_vec());
        }
        self.settle();
    }

    /// Replaces the faults of the main VM and the workers, and counts calls
    /// from 1 again. VMs that are loaded later have the builder's faults.
    pub fn set_faults(&mut self, faults: &FaultPlan) {
        for vm in self.vms_mut() {
            let state = vm.state_mut();
            state.faults = faults.clone();
            state.counts.fill(0);
        }
    }

    /// How often each hostcall was made, over main VM and workers, since the
    /// start or the last [`Host::set_faults`]; only those that were.
    pub fn hostcall_counts(&self) -> BTreeMap<Hostcall, u64> {
        let mut counts = BTreeMap::new();
        for vm in self.vms() {
            for (hostcall, &count) in
                Hostcall::ALL.iter().zip(vm.state().counts.iter()).filter(|(_, count)| **count > 0)
            {
                *counts.entry(*hostcall).or_default() += count;
            }
        }
        counts
    }

    /// The workers, to run them on threads of their own. Each sees the shared
    /// clock, data and metrics; queue notices for other VMs and their ticks
    /// wait until the host runs again.
    pub fn workers_mut(&mut self) -> &mut [Worker] {
        &mut self.workers
    }

    /// Metrics by name, without the `wasmcustom.` that Envoy puts before it.
    pub fn metrics(&self) -> BTreeMap<String, MetricValue> {
        self.shared.0.metrics.snapshot()
    }

    /// The number of a metric, 0 when it does not exist.
    pub fn metric(&self, name: &str) -> u64 {
        self.metrics().get(name).map_or(0, MetricValue::number)
    }

    /// The log lines that are kept.
    pub fn logs(&self) -> Vec<LogEntry> {
        self.shared.0.log.since(0, None)
    }

    /// Takes the log lines and leaves none.
    pub fn take_logs(&mut self) -> Vec<LogEntry> {
        self.shared.0.log.take()
    }

    /// Takes the callouts made since the last time, main VM first.
    pub fn take_callouts(&mut self) -> Vec<(VmId, CalloutRecord)> {
        let mut taken = Vec::new();
        for vm in self.vms_mut() {
            let state = vm.state_mut();
            state.callouts_taken += state.callouts.len();
            let id = state.vm;
            taken.extend(state.callouts.drain(..).map(|callout| (id, callout)));
        }
        taken
    }

    /// The traps of VMs that are failed now.
    pub fn traps(&self) -> Vec<Trap> {
        self.vms().filter_map(|vm| vm.state().failed.clone()).collect()
    }

    /// Counters about configurations and reloads.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        for worker in &self.workers {
            stats.reload_success += worker.stats.reload_success;
            stats.reload_failure += worker.stats.reload_failure;
            stats.reload_backoff += worker.stats.reload_backoff;
        }
        stats
    }

    /// Guest memory in bytes, of the main VM and then of each worker.
    pub fn memory_bytes(&self) -> Vec<usize> {
        self.vms().map(Vm::memory_bytes).collect()
    }

    /// Time inside calls into the guest, and the part of it that its
    /// hostcalls took, when [`crate::HostBuilder::measure`] is on.
    pub fn times(&self) -> (Duration, Duration) {
        self.vms().map(Vm::times).fold(Default::default(), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// What the calls into the guests cost since the start or since they were
    /// taken last, by export, when [`crate::HostBuilder::measure`] is on.
    pub fn take_costs(&mut self) -> BTreeMap<&'static str, CallCost> {
        let mut costs: BTreeMap<&'static str, CallCost> = BTreeMap::new();
        for vm in self.vms_mut() {
            for (name, cost) in std::mem::take(&mut vm.costs) {
                let sum = costs.entry(name).or_default();
                sum.calls += cost.calls;
                sum.instructions += cost.instructions;
                for (hostcall, count) in cost.hostcalls {
                    *sum.hostcalls.entry(hostcall).or_default() += count;
                }
            }
        }
        costs
    }

    /// The sum over all VMs of what an exported function `() -> i64` of the
    /// guest gives, such as a counter that a filter keeps for its tests; `None`
    /// when one does not export it or traps in it.
    pub fn read_export(&mut self, name: &str) -> Option<u64> {
        self.vms_mut().map(|vm| vm.read_export(name)).sum()
    }

    /// Virtual time.
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.shared.0.now_ns())
    }

    /// Data, queues, metrics, log and clock.
    pub fn shared(&self) -> &SharedState {
        &self.shared
    }

    /// The configuration that serves.
    pub fn configuration(&self) -> &[u8] {
        &self.configuration
    }

    fn stream(&mut self, stream: StreamId) -> Option<&mut HttpStream> {
        self.workers.get_mut(stream.worker)?.stream(stream)
    }

    pub(crate) fn worker_vm(&mut self, index: usize) -> &mut Vm {
        let index = index % self.workers.len();
        &mut self.workers[index].vm
    }

    /// Runs what has come due in every VM.
    fn catch_up(&mut self) {
        let now = self.shared.0.now_ns();
        while let Some((due, event)) = self.main.next_event() {
            if due > now {
                break;
            }
            self.main.run_event(event);
        }
        for worker in &mut self.workers {
            worker.catch_up();
        }
    }

    /// Delivers queue notices until there are none.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut any = false;
            for vm in self.vms_mut() {
                any |= vm.notify();
            }
            if !any {
                return;
            }
        }
    }

    fn vms(&self) -> impl Iterator<Item = &Vm> {
        std::iter::once(&self.main).chain(self.workers.iter().map(|worker| &worker.vm))
    }

    fn vms_mut(&mut self) -> impl Iterator<Item = &mut Vm> {
        std::iter::once(&mut self.main).chain(self.workers.iter_mut().map(|worker| &mut worker.vm))
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

/// A VM of its own tries the configuration and is thrown away.
fn try_in_canary(
    module: &FilterModule,
    world: &Arc<World>,
    shared: &SharedState,
    configuration: &Arc<[u8]>,
) -> Result<(), HostError> {
    let mut canary = Vm::load(module, VmId::Canary, world, &shared.0)?;
    canary.configure(configuration)?;
    canary.settle();
    Ok(())
}
