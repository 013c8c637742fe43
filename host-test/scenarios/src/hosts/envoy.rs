//! The compiled filter, or any module, in a real Envoy: one process for all scenarios.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use splitway_engine::Timestamp;
use splitway_envoy::{Call, Client, Reply, Scene, SceneConfig, Stage, Upstream as Server};
use tokio::runtime::Runtime;

use super::{
    AtUpstream, Exchange, Host, Request, Response, Route, Session, Setup, Target, Verdict, edge, exposure,
};
use crate::config::Config;
use crate::wire::{Failing, HostName, Upstream};

/// Worker threads of the process; scenarios with more workers make do with these.
const WORKERS: u32 = 2;

/// A port on which nothing listens (tcpmux).
const CLOSED: u16 = 1;

/// The host.
pub struct Envoy {
    // Dropped first: it speaks to the servers.
    stage: Stage,
    runtime: Runtime,
    servers: BTreeMap<String, Named>,
}

/// The server behind all clusters of one name, which answers as the scenario in progress says.
struct Named {
    server: Server,
    reply: Arc<Mutex<Reply>>,
}

impl Envoy {
    /// Starts Envoy; `splitway` is the compiled filter.
    ///
    /// # Errors
    /// When there is no Envoy, or it does not start.
    pub fn start(splitway: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stage = runtime.block_on(Stage::start(splitway, WORKERS))?;
        Ok(Self { stage, runtime, servers: BTreeMap::new() })
    }

    /// The ports of the scenario's clusters.
    fn serve(&mut self, clusters: &BTreeMap<String, Upstream>) -> Result<BTreeMap<String, u16>> {
        let mut ports = BTreeMap::new();
        for (name, upstream) in clusters {
            if !self.servers.contains_key(name) {
                let reply = Arc::new(Mutex::new(Reply::default()));
                let script = Arc::clone(&reply);
                let server = Server::scripted(name, move |_| {
                    script.lock().unwrap_or_else(PoisonError::into_inner).clone()
                })?;
                self.servers.insert(name.clone(), Named { server, reply });
            }
            let named = self.servers.get(name).context("just put there")?;
            let headers =
                edge::lines(upstream).into_iter().map(|(name, value)| (Cow::from(name), Cow::from(value)));
            *named.reply.lock().unwrap_or_else(PoisonError::into_inner) = Reply {
                status: upstream.status,
                headers: headers.collect(),
                body: Some(upstream.body.clone().into_bytes()),
                resets: upstream.fails == Some(Failing::Reset),
                delay: Duration::from_millis(upstream.delay_ms),
            };
            let is_closed = upstream.fails == Some(Failing::Refuse);
            ports.insert(name.clone(), if is_closed { CLOSED } else { named.server.address().port() });
        }
        Ok(ports)
    }
}

impl Host for Envoy {
    fn name(&self) -> HostName {
        HostName::Envoy
    }

    fn open<'h>(&'h mut self, setup: &Setup) -> Result<(Box<dyn Session + 'h>, Verdict)> {
        let clusters = self.serve(&setup.clusters)?;
        let shift = real_now().0 - setup.now.0;
        let routes = Value::Array(setup.routes.iter().map(table_entry).collect());
        let scene = self.runtime.block_on(self.stage.open(&SceneConfig {
            wasm: setup.wasm.as_deref(),
            configuration: &setup.config.shifted(shift),
            routes: &routes,
            clusters: &clusters,
            allow_underscores: setup.allow_underscores,
        }))?;
        let verdict =
            Verdict { is_accepted: scene.is_accepted, log: self.stage.module_log(scene.log_start)? };
        let in_force = scene.is_accepted.then(|| setup.config.clone());
        Ok((Box::new(Run { host: self, scene, in_force, start: setup.now, offset: 0 }), verdict))
    }
}

struct Run<'h> {
    host: &'h mut Envoy,
    scene: Scene,
    in_force: Option<Config>,
    start: Timestamp,
    offset: i64,
}

impl Run<'_> {
    fn swap(&mut self, config: &Config) -> Result<Verdict> {
        let shifted = config.shifted(real_now().0 - self.start.0 - self.offset);
        let before = self.host.stage.log_end()?;
        let is_accepted = self.host.runtime.block_on(self.host.stage.configure(&self.scene, &shifted))?;
        Ok(Verdict { is_accepted, log: self.host.stage.module_log(before)? })
    }
}

impl Session for Run<'_> {
    fn now(&self) -> Timestamp {
        real_now()
    }

    /// Envoy's clock cannot be moved, so the times in the config are.
    fn move_to(&mut self, offset_ms: i64) -> Result<()> {
        if offset_ms == self.offset {
            return Ok(());
        }
        self.offset = offset_ms;
        if let Some(config) = self.in_force.clone().filter(Config::has_times) {
            let verdict = self.swap(&config)?;
            anyhow::ensure!(verdict.is_accepted, "refused when moved in time: {}", verdict.log.join("\n"));
        }
        Ok(())
    }

    fn configure(&mut self, config: &Config) -> Result<Verdict> {
        let verdict = self.swap(config)?;
        if verdict.is_accepted {
            self.in_force = Some(config.clone());
        }
        Ok(verdict)
    }

    fn send(&mut self, request: &Request) -> Result<Exchange> {
        let mut call = Call::new(&request.method, &request.path)?.header("host", &request.host);
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        if let Some(body) = &request.body {
            call = call.body(body.clone());
        }
        let seen: BTreeMap<String, usize> = self
            .host
            .servers
            .iter()
            .map(|(name, named)| (name.clone(), named.server.requests().len()))
            .collect();
        let logged = self.host.stage.log_end()?;
        let client = Client::http1(self.scene.address());
        let answer = self.host.runtime.block_on(client.send_alone(&call))?;
        let mut upstream = None;
        for (name, named) in &self.host.servers {
            let before = seen.get(name).copied().unwrap_or_default();
            if let Some(seen) = named.server.requests().into_iter().skip(before).last() {
                upstream = Some(AtUpstream {
                    cluster: name.clone(),
                    method: seen.method,
                    path: seen.path,
                    host: seen.host,
                    headers: seen.headers,
                    body: seen.body,
                });
            }
        }
        let headers =
            answer.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let response =
            Response { status: answer.status, headers: headers.collect(), body: answer.body.to_vec() };
        let exposures =
            self.host.stage.module_log(logged)?.iter().filter_map(|line| exposure(line)).collect();
        Ok(Exchange { upstream, response, exposures, reasons: None })
    }

    fn metrics(&mut self) -> Result<BTreeMap<String, u64>> {
        self.host.runtime.block_on(self.host.stage.metrics())
    }

    fn log(&mut self) -> Result<Vec<String>> {
        self.host.stage.module_log(self.scene.log_start)
    }
}

fn real_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn table_entry(route: &Route) -> Value {
    let mut matched = match (&route.path, &route.prefix) {
        (Some(path), _) => json!({ "path": path }),
        (None, prefix) => json!({ "prefix": prefix.as_deref().unwrap_or("/") }),
    };
    if !route.headers.is_empty() {
        let exact =
            |(name, value): &(String, String)| json!({ "name": name, "string_match": { "exact": value } });
        matched["headers"] = route.headers.iter().map(exact).collect();
    }
    match &route.target {
        Target::Cluster(cluster) => json!({ "match": matched, "route": { "cluster": cluster } }),
        Target::Direct(status, body) if body.is_empty() => {
            json!({ "match": matched, "direct_response": { "status": status } })
        }
        Target::Direct(status, body) => {
            json!({ "match": matched, "direct_response": { "status": status, "body": { "inline_string": body } } })
        }
    }
}
