//! The compiled filter, or any module, in a real Envoy: one process for all scenarios.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::{Value, json};
use splitway_engine::Timestamp;
use splitway_envoy::{Call, Client, Scene, SceneConfig, Stage};
use tokio::runtime::Runtime;

use super::servers::Servers;
use super::{Exchange, Host, Request, Response, Route, Session, Setup, Target, Verdict, exposures};
use crate::config::Config;
use crate::wire::HostName;

/// Worker threads of the process; scenarios with more workers make do with these.
const WORKERS: u32 = 2;

/// The host.
pub struct Envoy {
    // Dropped first: it speaks to the servers.
    stage: Stage,
    runtime: Runtime,
    servers: Servers,
}

impl Envoy {
    /// Starts Envoy; `splitway` is the compiled filter.
    ///
    /// # Errors
    /// When there is no Envoy, or it does not start.
    pub fn start(splitway: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stage = runtime.block_on(Stage::start(splitway, WORKERS))?;
        Ok(Self { stage, runtime, servers: Servers::default() })
    }
}

impl Host for Envoy {
    fn name(&self) -> HostName {
        HostName::Envoy
    }

    fn open<'h>(&'h mut self, setup: &Setup) -> Result<(Box<dyn Session + 'h>, Verdict)> {
        let clusters = self.servers.serve(&setup.clusters)?;
        let shift = real_now().0 - setup.now.0;
        let routes = Value::Array(setup.routes.iter().map(table_entry).collect());
        let scene = self.runtime.block_on(self.stage.open(&SceneConfig {
            wasm: setup.wasm.as_deref(),
            configuration: &setup.config.shifted(shift),
            routes: &routes,
            clusters: &clusters,
            environment: &setup.environment,
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
        let mark = self.host.servers.mark();
        let logged = self.host.stage.log_end()?;
        let client = Client::http1(self.scene.address());
        let answer = self.host.runtime.block_on(client.send_alone(&call))?;
        let upstream = self.host.servers.since(&mark);
        let headers =
            answer.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let response =
            Response { status: answer.status, headers: headers.collect(), body: answer.body.to_vec() };
        let exposures = self.host.stage.module_log(logged)?.iter().flat_map(|said| exposures(said)).collect();
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
