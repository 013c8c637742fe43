//! The compiled filter, or any module, in `proxy-wasm-host`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use proxy_wasm_host::{
    FilterModule, Host as Proxy, HostError, LogLevel, LogSource, Request as Sent, Route as ProxyRoute,
    UpstreamResponse,
};
use splitway_engine::Timestamp;

use super::{Exchange, Host, Request, Response, Route, Session, Setup, Target, Verdict, edge, exposures};
use crate::config::Config;
use crate::wire::{Failing, HostName, Upstream};

/// The host: compiled modules, which scenarios share.
#[derive(Debug)]
pub struct Wasmtime {
    splitway: PathBuf,
    modules: BTreeMap<PathBuf, FilterModule>,
}

impl Wasmtime {
    /// A host whose Splitway filter is at `splitway`.
    #[must_use]
    pub fn new(splitway: PathBuf) -> Self {
        Self { splitway, modules: BTreeMap::new() }
    }

    /// Compiles Splitway's filter now, and not with the first scenario.
    ///
    /// # Errors
    /// When the file is no proxy-wasm module.
    pub fn load(&mut self) -> Result<()> {
        self.module(&self.splitway.clone()).map(drop)
    }

    fn module(&mut self, path: &Path) -> Result<FilterModule> {
        if let Some(module) = self.modules.get(path) {
            return Ok(module.clone());
        }
        let module = FilterModule::from_file(path).with_context(|| format!("{}", path.display()))?;
        self.modules.insert(path.to_owned(), module.clone());
        Ok(module)
    }
}

impl Host for Wasmtime {
    fn name(&self) -> HostName {
        HostName::Wasmtime
    }

    fn open<'h>(&'h mut self, setup: &Setup) -> Result<(Box<dyn Session + 'h>, Verdict)> {
        let is_ours = setup.wasm.is_none();
        let path = setup.wasm.clone().unwrap_or_else(|| self.splitway.clone());
        let module = self.module(&path)?;
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(setup.now.0).unwrap_or_default());
        let mut builder = Proxy::builder(&module)
            .root_id("splitway")
            .plugin_name("splitway")
            .vm_id("splitway")
            .log_level(LogLevel::Info)
            .seed(setup.seed)
            .workers(setup.workers)
            .now(now);
        for (name, value) in &setup.environment {
            builder = builder.environment(name, value);
        }
        for (name, upstream) in &setup.clusters {
            let upstream = upstream.clone();
            builder = builder.upstream(name, move |_| reply(&upstream));
        }
        for route in &setup.routes {
            builder = builder.route(table_entry(route));
        }
        // As Envoy's default config: it serves until a good one comes.
        let first = if is_ours { Config::INERT } else { setup.config.text() };
        let started = builder.configuration(first).start();
        let (proxy, verdict) = match started {
            Ok(proxy) if is_ours => (proxy, None),
            Ok(proxy) => (proxy, Some(Verdict { is_accepted: true, log: Vec::new() })),
            Err(error) => {
                let log = refusal(error)?;
                let plain = Plain { setup: setup.clone(), offset: 0, log: log.clone() };
                return Ok((Box::new(plain), Verdict { is_accepted: false, log }));
            }
        };
        let mut run = Run { setup: setup.clone(), proxy, log: Vec::new() };
        let verdict = match verdict {
            Some(verdict) => verdict,
            None => {
                run.proxy.take_logs();
                run.configure(&setup.config)?
            }
        };
        Ok((Box::new(run), verdict))
    }
}

fn reply(upstream: &Upstream) -> UpstreamResponse {
    let response = match upstream.fails {
        Some(Failing::Refuse) => UpstreamResponse::connection_refused(),
        Some(Failing::Reset) => UpstreamResponse::reset(),
        None => edge::lines(upstream)
            .into_iter()
            .fold(UpstreamResponse::status(upstream.status), |response, (name, value)| {
                response.header(name, value)
            })
            .chunk(upstream.body.as_bytes()),
    };
    response.after(Duration::from_millis(upstream.delay_ms))
}

fn table_entry(route: &Route) -> ProxyRoute {
    let mut entry = ProxyRoute::any();
    if let Some(path) = &route.path {
        entry = entry.and(ProxyRoute::path(path));
    }
    if let Some(prefix) = &route.prefix {
        entry = entry.and(ProxyRoute::prefix(prefix));
    }
    for (name, value) in &route.headers {
        entry = entry.and(ProxyRoute::header(name, value));
    }
    match &route.target {
        Target::Cluster(cluster) => entry.to(cluster),
        Target::Direct(status, body) => entry.direct_response(*status, body.as_str()),
    }
}

/// The log lines of a refusal; other errors are errors.
fn refusal(error: HostError) -> Result<Vec<String>> {
    match error {
        HostError::ConfigurationRefused { logs, .. } => Ok(logs),
        other => Err(other.into()),
    }
}

struct Run {
    setup: Setup,
    proxy: Proxy,
    log: Vec<String>,
}

impl Run {
    fn gather(&mut self) {
        let lines = self.proxy.take_logs();
        self.log
            .extend(lines.into_iter().filter(|line| line.source != LogSource::Host).map(|line| line.message));
    }
}

impl Session for Run {
    fn now(&self) -> Timestamp {
        let since = self.proxy.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn move_to(&mut self, offset_ms: i64) -> Result<()> {
        let left = self.setup.now.0 + offset_ms - self.now().0;
        self.proxy.advance(Duration::from_millis(u64::try_from(left).unwrap_or_default()));
        Ok(())
    }

    fn configure(&mut self, config: &Config) -> Result<Verdict> {
        self.gather();
        let before = self.log.len();
        let taken = self.proxy.reconfigure(config.text());
        self.gather();
        let log = self.log[before..].to_vec();
        match taken {
            Ok(()) => Ok(Verdict { is_accepted: true, log }),
            Err(error) => refusal(error).map(|_| Verdict { is_accepted: false, log }),
        }
    }

    fn send(&mut self, request: &Request) -> Result<Exchange> {
        let arrived = match edge::arrive(request, &self.setup) {
            Ok(headers) => headers,
            Err(status) => {
                return Ok(Exchange {
                    response: Response { status, ..Response::default() },
                    ..Exchange::default()
                });
            }
        };
        let mut sent = Sent::new(&request.method, &request.path).on_worker(request.number);
        for (name, value) in arrived.iter() {
            sent = sent.header(name, value);
        }
        if let Some(body) = &request.body {
            sent = sent.chunk(body.as_slice());
        }
        let exchange = self.proxy.send(sent)?;
        if let Some(trap) = exchange.trap {
            bail!("{trap}");
        }
        let refused = |cluster: &str| {
            self.setup.clusters.get(cluster).is_some_and(|upstream| upstream.fails == Some(Failing::Refuse))
        };
        // An upstream that accepts no connection has seen nothing.
        let upstream = exchange.upstream.last().filter(|request| !refused(&request.cluster));
        let headers = edge::without_pseudo(&exchange.response.headers);
        let exposures = exchange.logs.iter().flat_map(|line| exposures(&line.message)).collect();
        Ok(Exchange {
            upstream: upstream
                .map(|request| edge::at_upstream(&request.cluster, &request.headers, request.body.clone())),
            response: Response { status: exchange.response.status, headers, body: exchange.response.body },
            exposures,
            reasons: None,
        })
    }

    fn metrics(&mut self) -> Result<BTreeMap<String, u64>> {
        Ok(self.proxy.metrics().into_iter().map(|(name, value)| (name, value.number())).collect())
    }

    fn log(&mut self) -> Result<Vec<String>> {
        self.gather();
        Ok(self.log.clone())
    }
}

/// A proxy whose only plugin refused its first config: requests pass it.
struct Plain {
    setup: Setup,
    offset: i64,
    log: Vec<String>,
}

impl Session for Plain {
    fn now(&self) -> Timestamp {
        Timestamp(self.setup.now.0 + self.offset)
    }

    fn move_to(&mut self, offset_ms: i64) -> Result<()> {
        self.offset = offset_ms;
        Ok(())
    }

    fn configure(&mut self, _config: &Config) -> Result<Verdict> {
        bail!("a module whose first configuration was refused cannot be given another in wasmtime")
    }

    fn send(&mut self, request: &Request) -> Result<Exchange> {
        let arrived = match edge::arrive(request, &self.setup) {
            Ok(headers) => headers,
            Err(status) => {
                return Ok(Exchange {
                    response: Response { status, ..Response::default() },
                    ..Exchange::default()
                });
            }
        };
        let answer = edge::answer(&self.setup, edge::route(&self.setup, &arrived));
        let upstream = answer.cluster.filter(|_| answer.is_reached);
        Ok(Exchange {
            upstream: upstream.map(|cluster| {
                edge::at_upstream(cluster, &arrived, request.body.clone().unwrap_or_default())
            }),
            response: Response {
                status: answer.status,
                headers: edge::without_pseudo(&answer.headers),
                body: answer.body,
            },
            ..Exchange::default()
        })
    }

    fn metrics(&mut self) -> Result<BTreeMap<String, u64>> {
        Ok(BTreeMap::new())
    }

    fn log(&mut self) -> Result<Vec<String>> {
        Ok(self.log.clone())
    }
}
