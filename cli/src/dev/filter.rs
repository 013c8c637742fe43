//! The compiled filter, on a real clock and between real connections.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use proxy_wasm_host::{
    Exchange, FailurePolicy, FilterModule, Headers, Host, HostError, LoadError, LogEntry, Request, Route,
    StreamId, UpstreamRequest, UpstreamResponse,
};
use splitway_engine::{CLUSTER, Timestamp};

use super::config::Config;

/// A guard, also after a panic elsewhere: what these locks guard is whole between any two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The compiled module.
pub(super) struct Filter {
    module: FilterModule,
    seed: u64,
}

/// The filter with one config in force. Requests keep the one they began with.
pub(super) struct Running {
    pub(super) config: Config,
    host: Mutex<Host>,
}

impl Filter {
    pub(super) fn load(wasm: &Path, seed: Option<u64>) -> Result<Self, LoadError> {
        let seed = seed.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
        });
        Ok(Self { module: FilterModule::from_file(wasm)?, seed })
    }

    /// Starts VMs with `config`. `generation` counts configs, so that request ids do not come twice.
    /// The route table is the bootstrap's: an exact match per cluster, else the default.
    pub(super) fn start(
        &self,
        config: Config,
        generation: u64,
        clusters: &[String],
        default: &str,
    ) -> Result<Running, HostError> {
        // The network outside answers, and it alone decides how long that takes.
        let route = |route: Route, cluster: &str| route.to(cluster).named(cluster).timeout(Duration::ZERO);
        let mut builder = Host::builder(&self.module)
            .root_id("splitway")
            .vm_id("splitway")
            .plugin_name("splitway")
            .configuration(&config.json)
            .failure_policy(FailurePolicy::Reload { base: Duration::from_secs(1) })
            .seed(self.seed.wrapping_add(generation))
            .now(SystemTime::now());
        for (name, value) in &config.environment {
            builder = builder.environment(name, value);
        }
        for cluster in clusters {
            builder = builder.route(route(Route::header(CLUSTER, cluster), cluster));
            builder = builder.upstream(cluster, |_| UpstreamResponse::hang());
        }
        let host = builder.route(route(Route::any(), default)).start()?;
        Ok(Running { config, host: Mutex::new(host) })
    }
}

impl Running {
    /// What the filter counts besides assignments, without zeros.
    pub(super) fn counters(&self) -> Vec<(String, u64)> {
        let host = lock(&self.host);
        let own = |name: &str| !name.contains(".assignments.") && !name.contains(".config_");
        let metrics = host.metrics().into_iter().map(|(name, value)| (name, value.number()));
        metrics.filter(|(name, number)| own(name) && *number > 0).collect()
    }

    /// What the filter logged outside of requests.
    pub(super) fn take_logs(&self) -> Vec<LogEntry> {
        lock(&self.host).take_logs()
    }
}

/// One request and its response in the filter. When dropped before its end, the client is gone.
pub(super) struct Stream {
    running: Arc<Running>,
    id: StreamId,
}

/// What came out of the filter's response phase.
pub(super) struct Head {
    pub(super) headers: Headers,
    /// The body is the upstream's, not one that the proxy made.
    pub(super) is_upstreams: bool,
}

/// The end of a stream.
pub(super) struct Finished {
    pub(super) exchange: Result<Exchange, HostError>,
    /// The filter's log lines of other moments since the last time.
    pub(super) before: Vec<LogEntry>,
    /// Those of this stream's last callbacks: its exposures.
    pub(super) own: Vec<LogEntry>,
}

impl Stream {
    /// Runs the request phase. Gives the time at which it was decided, and what is to be sent
    /// upstream; nothing if the proxy answers by itself.
    pub(super) fn open(
        running: Arc<Running>,
        request: Request,
    ) -> (Self, Timestamp, Option<UpstreamRequest>) {
        let mut host = lock(&running.host);
        follow_clock(&mut host);
        let now = host.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp::from_nanoseconds(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        let id = host.open(request);
        let sent = host.upstream_request(id).cloned();
        drop(host);
        (Self { running, id }, now, sent)
    }

    /// Runs the response phase for what the upstream answered; nothing if the module was loaded
    /// anew since, or paused.
    pub(super) fn answer(&self, response: UpstreamResponse) -> Option<Head> {
        let mut host = lock(&self.running.host);
        follow_clock(&mut host);
        host.answer(self.id, response).ok()?;
        let (headers, details) = host.response_headers(self.id)?;
        Some(Head { headers: headers.clone(), is_upstreams: details == "via_upstream" })
    }

    /// Runs the last callbacks.
    pub(super) fn finish(&self) -> Finished {
        let mut host = lock(&self.running.host);
        follow_clock(&mut host);
        if !host.is_done(self.id) {
            host.reset(self.id);
        }
        let before = host.take_logs();
        let exchange = host.finish(self.id);
        Finished { exchange, before, own: host.take_logs() }
    }

    pub(super) fn running(&self) -> &Running {
        &self.running
    }
}

/// The host's clock follows the real one; a real one that was set back makes it wait.
fn follow_clock(host: &mut Host) {
    if let Ok(passed) = SystemTime::now().duration_since(host.now()) {
        host.advance(passed);
    }
}
