//! Putting a host together.

use crate::callout::{GrpcReply, GrpcRequest};
use crate::config::{FailurePolicy, World};
use crate::error::HostError;
use crate::faults::FaultPlan;
use crate::host::Host;
use crate::message::{UpstreamRequest, UpstreamResponse};
use crate::module::FilterModule;
use crate::route::Route;
use crate::shared::SharedState;
use crate::types::{LogLevel, Status};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2026-01-01T00:00:00Z, so that a host that was told no time has one that
/// does not change from run to run.
const DEFAULT_NOW: Duration = Duration::from_secs(1_767_225_600);

/// Builds a [`Host`]. Every setting has a default: one worker, no routes but
/// one to the first upstream, the clock at 2026-01-01, seed 0.
pub struct HostBuilder {
    module: FilterModule,
    world: World,
    workers: usize,
    now: Duration,
    configuration: Arc<[u8]>,
    shared: Option<SharedState>,
    log_capacity: usize,
    default_route: Option<Route>,
}

impl Host {
    /// Starts to put a host together.
    pub fn builder(module: &FilterModule) -> HostBuilder {
        HostBuilder::new(module)
    }
}

impl HostBuilder {
    pub(crate) fn new(module: &FilterModule) -> HostBuilder {
        HostBuilder {
            module: module.clone(),
            world: World::default(),
            workers: 1,
            now: DEFAULT_NOW,
            configuration: Arc::default(),
            shared: None,
            log_capacity: 100_000,
            default_route: None,
        }
    }

    /// The plugin's root id, which `plugin_root_id` shows.
    #[must_use]
    pub fn root_id(mut self, root_id: impl Into<String>) -> HostBuilder {
        self.world.root_id = root_id.into();
        self
    }

    /// The VM's id, which scopes shared data and queues.
    #[must_use]
    pub fn vm_id(mut self, vm_id: impl Into<String>) -> HostBuilder {
        self.world.vm_id = vm_id.into();
        self
    }

    /// The plugin's name, which `plugin_name` shows.
    #[must_use]
    pub fn plugin_name(mut self, name: impl Into<String>) -> HostBuilder {
        self.world.plugin_name = name.into();
        self
    }

    /// The plugin configuration.
    #[must_use]
    pub fn configuration(mut self, configuration: impl AsRef<[u8]>) -> HostBuilder {
        self.configuration = configuration.as_ref().into();
        self
    }

    /// The VM configuration, readable in `proxy_on_vm_start`.
    #[must_use]
    pub fn vm_configuration(mut self, configuration: impl AsRef<[u8]>) -> HostBuilder {
        self.world.vm_configuration = configuration.as_ref().into();
        self
    }

    /// How many workers; at least 1.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> HostBuilder {
        self.workers = workers.max(1);
        self
    }

    /// Seed of all randomness: `random_get`, request ids, back-off, garbage.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> HostBuilder {
        self.world.seed = seed;
        self
    }

    /// What the clock shows at the start. Times before 1970 become 1970.
    #[must_use]
    pub fn now(mut self, now: SystemTime) -> HostBuilder {
        self.now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self
    }

    /// The lowest level that is logged, which `proxy_get_log_level` shows.
    #[must_use]
    pub fn log_level(mut self, level: LogLevel) -> HostBuilder {
        self.world.log_level = level;
        self
    }

    /// How many of the newest log lines are kept; 0 keeps none. Ignored when
    /// [`HostBuilder::shared`] is given.
    #[must_use]
    pub fn log_capacity(mut self, lines: usize) -> HostBuilder {
        self.log_capacity = lines;
        self
    }

    /// Adds a route; the first that matches is taken, the default one last.
    #[must_use]
    pub fn route(mut self, route: Route) -> HostBuilder {
        self.world.routes.push(route);
        self
    }

    /// Routes what no other route takes to this cluster. Without a default
    /// route, and without other routes, everything goes to the first cluster
    /// by name; with other routes only, the rest gets 404.
    #[must_use]
    pub fn default_route(mut self, cluster: impl Into<String>) -> HostBuilder {
        self.default_route = Some(Route::any().to(cluster).named("default"));
        self
    }

    /// An upstream cluster, for routes and HTTP callouts.
    #[must_use]
    pub fn upstream(
        mut self,
        cluster: impl Into<String>,
        answer: impl Fn(&UpstreamRequest) -> UpstreamResponse + Send + Sync + 'static,
    ) -> HostBuilder {
        self.world.clusters.insert(cluster.into(), Arc::new(answer));
        self
    }

    /// An upstream cluster that answers 200 to everything.
    #[must_use]
    pub fn cluster(self, cluster: impl Into<String>) -> HostBuilder {
        self.upstream(cluster, |_| UpstreamResponse::status(200))
    }

    /// An upstream for gRPC callouts. It is asked once for a unary call, and
    /// on a stream at its opening, at each message and at its closing.
    #[must_use]
    pub fn grpc(
        mut self,
        cluster: impl Into<String>,
        answer: impl Fn(&GrpcRequest) -> GrpcReply + Send + Sync + 'static,
    ) -> HostBuilder {
        self.world.grpc.insert(cluster.into(), Arc::new(answer));
        self
    }

    /// A foreign function.
    #[must_use]
    pub fn foreign_function(
        mut self,
        name: impl Into<String>,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync + 'static,
    ) -> HostBuilder {
        self.world.foreign.insert(name.into(), Arc::new(function));
        self
    }

    /// Fixes a property for all streams and the root contexts, such as
    /// `property(["node", "id"], "edge-1")`.
    #[must_use]
    pub fn property<'a>(
        mut self,
        path: impl IntoIterator<Item = &'a str>,
        value: impl Into<Vec<u8>>,
    ) -> HostBuilder {
        self.world.properties.insert(crate::pairs::path_key(path), value.into());
        self
    }

    /// An environment variable that the guest sees.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> HostBuilder {
        self.world.environment.push((name.into(), value.into()));
        self
    }

    /// What happens after a trap.
    #[must_use]
    pub fn failure_policy(mut self, policy: FailurePolicy) -> HostBuilder {
        self.world.policy = policy;
        self
    }

    /// Faults from the very first call on, configuration included.
    #[must_use]
    pub fn faults(mut self, faults: FaultPlan) -> HostBuilder {
        self.world.faults = faults;
        self
    }

    /// Envoy's `allow_on_headers_stop_iteration`: `PAUSE` in headers lets the
    /// body callbacks run.
    #[must_use]
    pub fn allow_on_headers_stop_iteration(mut self, allow: bool) -> HostBuilder {
        self.world.allow_headers_stop_iteration = allow;
        self
    }

    /// Whether the host adds what Envoy adds before the filter sees it:
    /// `x-request-id` and `x-forwarded-proto` to requests,
    /// `x-envoy-upstream-service-time` to responses. On at first.
    #[must_use]
    pub fn proxy_headers(mut self, add: bool) -> HostBuilder {
        self.world.proxy_headers = add;
        self
    }

    /// Whether bodies end as in HTTP/2, with a mark on the last chunk. At
    /// first they end as in HTTP/1, with an empty chunk after the last one.
    #[must_use]
    pub fn http2(mut self, http2: bool) -> HostBuilder {
        self.world.http2 = http2;
        self
    }

    /// The most memory that a guest may have, in bytes.
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> HostBuilder {
        self.world.memory_limit = Some(bytes);
        self
    }

    /// How many wasm instructions one call into the guest may execute, hostcalls
    /// not counted, before it traps; 5 thousand million at first. The count is
    /// exact, so that a run stays the same on any machine. It also holds for
    /// the start of the module.
    #[must_use]
    pub fn call_limit(mut self, instructions: u64) -> HostBuilder {
        self.world.call_limit = instructions;
        self
    }

    /// Shares data, queues, metrics, log and clock with other hosts. The
    /// clock is set to this host's start.
    #[must_use]
    pub fn shared(mut self, shared: &SharedState) -> HostBuilder {
        self.shared = Some(shared.clone());
        self
    }

    /// Measures time in guest and hostcalls, for [`Host::times`].
    #[must_use]
    pub fn measure(mut self, measure: bool) -> HostBuilder {
        self.world.measure = measure;
        self
    }

    /// Starts the host as Envoy does: the configuration is tried in a canary
    /// VM, then taken to the main VM and to each worker.
    ///
    /// # Errors
    /// [`HostError`] when the module does not instantiate, traps, or refuses.
    pub fn start(mut self) -> Result<Host, HostError> {
        let fallback = || {
            let cluster = self.world.clusters.keys().next().cloned()?;
            self.world.routes.is_empty().then(|| Route::any().to(cluster).named("default"))
        };
        if let Some(route) = self.default_route.take().or_else(fallback) {
            self.world.routes.push(route);
        }
        let shared = self.shared.unwrap_or_else(|| SharedState::with_log_capacity(self.log_capacity));
        shared.0.set_now_ns(u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX));
        Host::start(self.module, self.world, shared, self.workers, self.configuration)
    }
}

impl std::fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostBuilder").field("workers", &self.workers).finish_non_exhaustive()
    }
}
