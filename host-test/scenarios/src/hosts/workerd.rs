//! The edge build in a real workerd: one process per scenario, because a worker's bindings are fixed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use splitway_engine::{CLUSTER, Timestamp};
use splitway_envoy::{Call, Client};
use splitway_workerd::kv::Kv;
use splitway_workerd::{Binding, Worker, Workerd as Process};
use tokio::runtime::Runtime;

use super::servers::Servers;
use super::{Exchange, Host, Request, Response, Route, Session, Setup, Target, Verdict, edge};
use crate::config::Config;
use crate::wire::HostName;

const WORKER: &str = include_str!("workerd.js");

/// The host.
pub struct Workerd {
    runtime: Runtime,
    servers: Servers,
    kv: Kv,
}

impl Workerd {
    /// A host on the package that `cargo xtask edge` built.
    ///
    /// # Errors
    /// When there is no workerd or no package.
    pub fn start() -> Result<Self> {
        splitway_workerd::tools::workerd()?;
        splitway_workerd::tools::package()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { runtime, servers: Servers::default(), kv: Kv::start()? })
    }
}

impl Host for Workerd {
    fn name(&self) -> HostName {
        HostName::Workerd
    }

    fn open<'h>(&'h mut self, setup: &Setup) -> Result<(Box<dyn Session + 'h>, Verdict)> {
        ensure!(setup.wasm.is_none(), "workerd runs Splitway's edge build, no other module");
        let ports = self.servers.serve(&setup.clusters)?;
        let clusters: Vec<&String> = setup.routes.iter().filter_map(cluster_of_header).collect();
        let scenario = json!({
            "clusters": clusters,
            "routes": setup.routes.iter().map(table_entry).collect::<Vec<_>>(),
        });
        let mut bindings = vec![
            ("SPLITWAY_KV".to_owned(), Binding::Kv(self.kv.address())),
            ("SCENARIO".to_owned(), Binding::Json(scenario)),
        ];
        for (name, value) in &setup.environment {
            bindings.push((name.clone(), Binding::Text(value.clone())));
        }
        for (name, port) in ports {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            bindings.push((format!("cluster {name}"), Binding::Service(address)));
        }
        // As Envoy's default config: it serves until a good one comes.
        self.kv.put("config", Config::INERT);
        let process = Process::start(&Worker { main: WORKER, bindings, ..Worker::default() })?;
        let client = Client::http1(process.address());
        let mut run =
            Run { host: self, process, client, setup: setup.clone(), now: setup.now, log: Vec::new() };
        run.control()?;
        run.log.clear();
        let verdict = run.configure(&setup.config)?;
        Ok((Box::new(run), verdict))
    }
}

/// The cluster of an entry that only asks for the header by which variants choose one.
fn cluster_of_header(route: &Route) -> Option<&String> {
    match (&route.path, &route.prefix, route.headers.as_slice(), &route.target) {
        (None, None, [(name, value)], Target::Cluster(cluster)) if name == CLUSTER && value == cluster => {
            Some(cluster)
        }
        _ => None,
    }
}

fn table_entry(route: &Route) -> Value {
    let mut entry = json!({ "path": route.path, "prefix": route.prefix, "headers": route.headers });
    match &route.target {
        Target::Cluster(cluster) => entry["cluster"] = json!(cluster),
        Target::Direct(status, body) => {
            entry["status"] = json!(status);
            entry["body"] = json!(body);
        }
    }
    entry
}

struct Run<'h> {
    host: &'h mut Workerd,
    process: Process,
    client: Client,
    setup: Setup,
    now: Timestamp,
    log: Vec<String>,
}

/// What the worker tells of itself.
struct Told {
    exposures: Vec<Value>,
    counters: BTreeMap<String, u64>,
}

impl Run<'_> {
    /// Tells the worker the time, lets it look at its KV, and asks what happened since the last call.
    fn control(&mut self) -> Result<Told> {
        let call = Call::post("/").header("x-scenario-control", "1");
        let call = call.body(json!({ "now": self.now.0 }).to_string());
        let answer = self.host.runtime.block_on(self.client.send(&call))?;
        ensure!(answer.status == 200, "the worker gave {}:\n{}", answer.status, self.process.log());
        let mut told: Value = serde_json::from_slice(&answer.body)?;
        let lines: Vec<String> = serde_json::from_value(told["log"].take())?;
        self.log.extend(lines);
        Ok(Told {
            exposures: told["exposures"].as_array().context("no list")?.iter().map(record).collect(),
            counters: serde_json::from_value(told["counters"].take())?,
        })
    }
}

/// The filter's record, from OTLP's.
fn record(otlp: &Value) -> Value {
    let mut fields = Map::new();
    fields.insert("event".to_owned(), otlp["eventName"].clone());
    let nanoseconds: i64 =
        otlp["timeUnixNano"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    fields.insert("timestamp".to_owned(), Timestamp(nanoseconds / 1_000_000).to_string().into());
    for field in otlp["attributes"].as_array().into_iter().flatten() {
        let value = &field["value"];
        let value = match value["intValue"].as_str() {
            Some(number) => number.parse::<i64>().map_or(Value::Null, Value::from),
            None => value["stringValue"].as_str().map_or_else(|| value["boolValue"].clone(), Value::from),
        };
        fields.insert(field["key"].as_str().unwrap_or_default().to_owned(), value);
    }
    Value::Object(fields)
}

impl Session for Run<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn move_to(&mut self, offset_ms: i64) -> Result<()> {
        self.now = Timestamp(self.setup.now.0 + offset_ms);
        self.control().map(|_| ())
    }

    fn configure(&mut self, config: &Config) -> Result<Verdict> {
        let before = self.log.len();
        self.host.kv.put("config", config.text());
        self.control()?;
        let log = self.log[before..].to_vec();
        let is_accepted = !log.iter().any(|line| line.contains("config refused"));
        Ok(Verdict { is_accepted, log })
    }

    fn send(&mut self, request: &Request) -> Result<Exchange> {
        // A CDN puts the client's address there, as Envoy's edge does.
        let arrived = match edge::arrive(request, &self.setup) {
            Ok(headers) => headers,
            Err(status) => {
                return Ok(Exchange {
                    response: Response { status, ..Response::default() },
                    ..Exchange::default()
                });
            }
        };
        let mut call = Call::new(&request.method, &request.path)?.header("host", &request.host);
        let mut cookies: Vec<&[u8]> = Vec::new();
        for (name, value) in arrived.iter().filter(|(name, _)| name.first() != Some(&b':')) {
            if name == b"cookie" {
                cookies.push(value);
            } else {
                call = call.header(&String::from_utf8_lossy(name), value);
            }
        }
        // Several lines are HTTP/2's; before a worker's HTTP/1.1 they are one (RFC 9113, 8.2.3).
        if !cookies.is_empty() {
            call = call.header("cookie", cookies.join(&b"; "[..]));
        }
        if let Some(body) = &request.body {
            call = call.body(body.clone());
        }
        let mark = self.host.servers.mark();
        let answer = self.host.runtime.block_on(self.client.send(&call))?;
        let upstream = self.host.servers.since(&mark);
        let headers =
            answer.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let response =
            Response { status: answer.status, headers: headers.collect(), body: answer.body.to_vec() };
        Ok(Exchange { upstream, response, exposures: self.control()?.exposures, reasons: None })
    }

    fn metrics(&mut self) -> Result<BTreeMap<String, u64>> {
        Ok(self.control()?.counters)
    }

    fn log(&mut self) -> Result<Vec<String>> {
        self.control()?;
        Ok(self.log.clone())
    }
}
