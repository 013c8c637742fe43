//! Everything around the VMs that a host is built with.

use crate::callout::{GrpcReply, GrpcRequest};
use crate::faults::FaultPlan;
use crate::message::{UpstreamRequest, UpstreamResponse};
use crate::route::Route;
use crate::types::{LogLevel, Status};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An upstream cluster: a function from request to response.
pub(crate) type Upstream = Arc<dyn Fn(&UpstreamRequest) -> UpstreamResponse + Send + Sync>;
/// A gRPC upstream.
pub(crate) type GrpcUpstream = Arc<dyn Fn(&GrpcRequest) -> GrpcReply + Send + Sync>;
/// A foreign function.
pub(crate) type ForeignFunction = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync>;

/// What happens to requests after a trap; measured on Envoy 1.40.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// `FAIL_CLOSED`, Envoy's default: the trapping request and all later
    /// ones on that worker get 503, until the next configuration.
    Closed,
    /// `FAIL_OPEN`: the trapping request gets 503, later ones pass by the
    /// filter.
    Open,
    /// `fail_open: true`, the older field: the trapping request passes, too.
    OpenLegacy,
    /// `FAIL_RELOAD`: 503 until the back-off since the last load is over,
    /// then the VM is loaded anew for the next request. The back-off is the
    /// base (1 s in Envoy) and up to half of it again, at random.
    Reload {
        /// `reload_config.backoff.base_interval`
        base: Duration,
    },
}

/// Some seconds of a guest in an optimised build of the host, and a thousand
/// times what a heavy callback needs.
const DEFAULT_CALL_LIMIT: u64 = 5_000_000_000;

/// The configuration of a host, shared by its VMs.
pub(crate) struct World {
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) plugin_name: String,
    pub(crate) vm_configuration: Arc<[u8]>,
    pub(crate) log_level: LogLevel,
    pub(crate) seed: u64,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) routes: Vec<Route>,
    pub(crate) clusters: BTreeMap<String, Upstream>,
    pub(crate) grpc: BTreeMap<String, GrpcUpstream>,
    pub(crate) foreign: BTreeMap<String, ForeignFunction>,
    pub(crate) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) faults: FaultPlan,
    pub(crate) policy: FailurePolicy,
    pub(crate) allow_headers_stop_iteration: bool,
    pub(crate) proxy_headers: bool,
    pub(crate) http2: bool,
    pub(crate) memory_limit: Option<usize>,
    pub(crate) call_limit: u64,
    pub(crate) measure: bool,
}

impl Default for World {
    fn default() -> World {
        World {
            root_id: String::new(),
            vm_id: String::new(),
            plugin_name: String::new(),
            vm_configuration: Arc::default(),
            log_level: LogLevel::Trace,
            seed: 0,
            environment: Vec::new(),
            routes: Vec::new(),
            clusters: BTreeMap::new(),
            grpc: BTreeMap::new(),
            foreign: BTreeMap::new(),
            properties: BTreeMap::new(),
            faults: FaultPlan::new(),
            policy: FailurePolicy::Closed,
            allow_headers_stop_iteration: false,
            proxy_headers: true,
            http2: false,
            memory_limit: None,
            call_limit: DEFAULT_CALL_LIMIT,
            measure: false,
        }
    }
}
