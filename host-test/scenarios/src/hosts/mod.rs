//! Where scenarios run.

mod edge;
#[cfg(feature = "envoy")]
pub mod envoy;
pub mod in_process;
#[cfg(feature = "envoy")]
mod servers;
pub mod wasmtime;
#[cfg(feature = "workerd")]
pub mod workerd;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;
use splitway_engine::Timestamp;

use crate::config::Config;
use crate::wire::{HostName, Upstream};

/// Something that can run scenarios, one after the other.
pub trait Host {
    /// Which one.
    fn name(&self) -> HostName;

    /// Starts one scenario with its first config. Its time, clusters and routes hold until the
    /// session is dropped.
    ///
    /// # Errors
    /// When the host itself does not work; a config that is refused is no error.
    fn open<'h>(&'h mut self, setup: &Setup) -> Result<(Box<dyn Session + 'h>, Verdict)>;
}

/// A scenario in progress.
pub trait Session {
    /// What the host's clock shows.
    fn now(&self) -> Timestamp;

    /// Moves to so many milliseconds after the scenario's beginning.
    ///
    /// # Errors
    /// When the host does not work.
    fn move_to(&mut self, offset_ms: i64) -> Result<()>;

    /// Swaps the config.
    ///
    /// # Errors
    /// When the host does not work; a config that is refused is no error.
    fn configure(&mut self, config: &Config) -> Result<Verdict>;

    /// Sends a request and waits for all that it causes.
    ///
    /// # Errors
    /// When the host does not work, or the module traps.
    fn send(&mut self, request: &Request) -> Result<Exchange>;

    /// Counters by name, without Envoy's prefix.
    ///
    /// # Errors
    /// When the host does not work.
    fn metrics(&mut self) -> Result<BTreeMap<String, u64>>;

    /// All lines that the module has logged in this scenario, oldest first.
    ///
    /// # Errors
    /// When the host does not work.
    fn log(&mut self) -> Result<Vec<String>>;
}

/// What became of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It is in force.
    pub is_accepted: bool,
    /// What was logged meanwhile.
    pub log: Vec<String>,
}

/// What a scenario begins with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Another module than Splitway's filter.
    pub wasm: Option<PathBuf>,
    /// The first config.
    pub config: Config,
    /// The module's environment.
    pub environment: BTreeMap<String, String>,
    /// The time at the beginning.
    pub now: Timestamp,
    /// Seed of randomness.
    pub seed: u64,
    /// How many workers.
    pub workers: usize,
    /// Whether header names with `_` pass.
    pub allow_underscores: bool,
    /// All clusters.
    pub clusters: BTreeMap<String, Upstream>,
    /// The route table; the last one takes everything.
    pub routes: Vec<Route>,
}

/// An entry of the route table. Each condition that is there must hold.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The whole path, without the query.
    pub path: Option<String>,
    /// The beginning of the path.
    pub prefix: Option<String>,
    /// Headers with exactly these values.
    pub headers: Vec<(String, String)>,
    /// Where it leads.
    pub target: Target,
}

/// Where a route leads.
#[derive(Clone, Debug)]
pub enum Target {
    /// To a cluster.
    Cluster(String),
    /// Nowhere: the proxy answers with this status and body.
    Direct(u16, String),
}

impl Default for Target {
    fn default() -> Self {
        Self::Direct(404, String::new())
    }
}

/// A request as the client sends it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The host.
    pub host: String,
    /// Header lines in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; `None`: there is none.
    pub body: Option<Vec<u8>>,
    /// The number of requests before it in the scenario.
    pub number: usize,
}

/// What came of a request.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The request at its upstream, if it reached one.
    pub upstream: Option<AtUpstream>,
    /// The response at the client.
    pub response: Response,
    /// Its exposure records.
    pub exposures: Vec<Value>,
    /// Reasons by experiment, where the host can tell.
    pub reasons: Option<BTreeMap<String, String>>,
}

/// A request at its upstream.
#[derive(Clone, Debug, Default)]
pub struct AtUpstream {
    /// The cluster.
    pub cluster: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The host.
    pub host: String,
    /// Header lines in order, names in lower case, without pseudo headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A response at the client.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Header lines in order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The exposure records in what was logged at once, a line each.
pub(crate) fn exposures(logged: &str) -> impl Iterator<Item = Value> {
    let values = logged.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.filter(|value| value["event"] == "feature_flag.evaluation")
}
