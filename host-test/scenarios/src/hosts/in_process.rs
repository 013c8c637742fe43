//! Splitway's engine and filter logic as a library, with a router of a page around.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::Result;
use proxy_wasm_host::Headers;
use splitway_engine::{Entropy, RequestView, Step, Timestamp, Trace};
use splitway_exchange::host::{self as capability, Failure, HeaderBlock, Level, Map};
use splitway_exchange::{Exchange as FilterExchange, Flow, Store, Vm};

use super::{Exchange, Host, Request, Response, Session, Setup, Verdict, edge, exposures};
use crate::config::Config;
use crate::wire::HostName;

/// The host. It keeps nothing between scenarios.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

impl Host for InProcess {
    fn name(&self) -> HostName {
        HostName::InProcess
    }

    fn open<'h>(&'h mut self, setup: &Setup) -> Result<(Box<dyn Session + 'h>, Verdict)> {
        anyhow::ensure!(setup.wasm.is_none(), "in-process runs Splitway's own logic, no other module");
        let mut run =
            Run { setup: setup.clone(), store: Store::default(), vm: Vm::default(), proxy: Proxy::default() };
        run.proxy.state.borrow_mut().now = setup.now;
        run.proxy.state.borrow_mut().environment = setup.environment.clone();
        // As Envoy's default config: it serves until a good one comes.
        run.store.load(Config::INERT.as_bytes(), &mut run.vm, &run.proxy);
        run.proxy.state.borrow_mut().log.clear();
        let verdict = run.configure(&setup.config)?;
        Ok((Box::new(run), verdict))
    }
}

struct Run {
    setup: Setup,
    store: Store,
    vm: Vm,
    proxy: Proxy,
}

impl Session for Run {
    fn now(&self) -> Timestamp {
        self.proxy.state.borrow().now
    }

    fn move_to(&mut self, offset_ms: i64) -> Result<()> {
        self.proxy.state.borrow_mut().now = Timestamp(self.setup.now.0 + offset_ms);
        // Guardrails are judged on a proxy's ticks; of those in between, one is enough.
        if let Some(active) = self.store.active() {
            let failures = active.guards.merge(&active.plan, &self.proxy);
            anyhow::ensure!(failures == 0, "{failures} guardrails could not be shared");
        }
        Ok(())
    }

    fn configure(&mut self, config: &Config) -> Result<Verdict> {
        let before = self.proxy.state.borrow().log.len();
        let is_accepted = self.store.load(config.text().as_bytes(), &mut self.vm, &self.proxy);
        let log = self.proxy.state.borrow().log.iter().skip(before).cloned().collect();
        Ok(Verdict { is_accepted, log })
    }

    fn send(&mut self, request: &Request) -> Result<Exchange> {
        let mut arrived = match edge::arrive(request, &self.setup) {
            Ok(headers) => headers,
            Err(status) => {
                let response = Response { status, ..Response::default() };
                return Ok(Exchange { response, reasons: Some(BTreeMap::new()), ..Exchange::default() });
            }
        };
        let id =
            format!("00000000-0000-4000-8000-{:012x}", self.setup.seed.wrapping_add(request.number as u64));
        arrived.add("x-request-id", id);
        let proxy = &self.proxy;
        let logged = {
            let mut state = proxy.state.borrow_mut();
            state.request = arrived;
            state.entropy = entropy(self.setup.seed, request.number);
            state.log.len()
        };
        let reasons = self.reasons();
        let mut flow = Flow::Continue;
        let mut exchange = self.store.active().map(FilterExchange::new).map(Box::new);
        if let Some(exchange) = &mut exchange {
            flow = exchange.on_request(proxy, &mut self.vm);
            exchange.on_request_end(true, proxy);
        }
        let sent = proxy.state.borrow().request.clone();
        let answer = match flow {
            Flow::Continue => edge::answer(&self.setup, edge::route(&self.setup, &sent)),
            Flow::Answered => proxy.own_answer(),
        };
        {
            let mut state = proxy.state.borrow_mut();
            state.status = answer.status;
            state.cluster = answer.cluster.unwrap_or_default().to_owned();
            state.response = answer.headers;
        }
        if let Some(mut exchange) = exchange {
            exchange.on_response(proxy);
            exchange.on_log(proxy, &mut self.vm);
        }
        let state = proxy.state.borrow();
        let upstream = answer.cluster.filter(|_| answer.is_reached);
        Ok(Exchange {
            upstream: upstream
                .map(|cluster| edge::at_upstream(cluster, &sent, request.body.clone().unwrap_or_default())),
            response: Response {
                status: answer.status,
                headers: edge::without_pseudo(&state.response),
                body: answer.body,
            },
            exposures: state.log.iter().skip(logged).flat_map(|said| exposures(said)).collect(),
            reasons: Some(reasons),
        })
    }

    fn metrics(&mut self) -> Result<BTreeMap<String, u64>> {
        Ok(self.proxy.state.borrow().counters.iter().cloned().collect())
    }

    fn log(&mut self) -> Result<Vec<String>> {
        Ok(self.proxy.state.borrow().log.clone())
    }
}

impl Run {
    /// Why each experiment was or was not entered, decided as the filter will.
    fn reasons(&self) -> BTreeMap<String, String> {
        #[derive(Default)]
        struct Outcomes(Vec<(splitway_engine::ExperimentId, &'static str)>);
        impl Trace for Outcomes {
            fn step(&mut self, step: Step<'_>) {
                if let Step::Outcome { experiment, reason, .. } = step {
                    self.0.push((experiment, reason.as_str()));
                }
            }
        }
        let Some(active) = self.store.active() else { return BTreeMap::new() };
        let state = self.proxy.state.borrow();
        let pairs: Vec<_> = state.request.iter().filter(|(name, _)| !active.plan.is_ours(name)).collect();
        let mut outcomes = Outcomes::default();
        let request = RequestView::new(&pairs).with_entropy(&self.proxy);
        let tripped = active.guards.tripped();
        let request = match &tripped {
            Some(tripped) => request.with_tripped(tripped),
            None => request,
        };
        active.plan.decide(&request, state.now, &mut outcomes);
        let named =
            |(id, reason): (_, &str)| Some((active.plan.experiment(id)?.id().to_owned(), reason.to_owned()));
        outcomes.0.into_iter().filter_map(named).collect()
    }
}

/// Random bits for one request: every host may have its own, but a scenario's runs must agree.
fn entropy(seed: u64, request: usize) -> [u8; 16] {
    let mut bits = [0; 16];
    for (place, word) in bits.chunks_exact_mut(8).zip([seed, request as u64]) {
        place.copy_from_slice(&word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    }
    bits
}

/// The proxy that the filter's logic talks to.
#[derive(Debug, Default)]
struct Proxy {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Timestamp,
    request: Headers,
    response: Headers,
    status: u16,
    cluster: String,
    entropy: [u8; 16],
    environment: BTreeMap<String, String>,
    /// What the filter answered in the upstream's place.
    local: Option<(u16, Headers)>,
    counters: Vec<(String, u64)>,
    /// Values by key, with their versions.
    shared: BTreeMap<String, (Vec<u8>, u32)>,
    log: Vec<String>,
}

impl State {
    fn map(&mut self, map: Map) -> &mut Headers {
        match map {
            Map::Request => &mut self.request,
            Map::Response => &mut self.response,
        }
    }
}

impl capability::Headers for Proxy {
    fn pairs(&self, map: Map) -> Result<HeaderBlock, Failure> {
        Ok(HeaderBlock::from_pairs(self.state.borrow_mut().map(map).iter()))
    }

    fn set(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure> {
        self.state.borrow_mut().map(map).set(name, value);
        Ok(())
    }

    fn add(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure> {
        self.state.borrow_mut().map(map).add(name, value);
        Ok(())
    }

    fn remove(&self, map: Map, name: &[u8]) -> Result<(), Failure> {
        self.state.borrow_mut().map(map).remove(name);
        Ok(())
    }
}

impl capability::Clock for Proxy {
    fn now(&self) -> Timestamp {
        self.state.borrow().now
    }
}

impl capability::Metrics for Proxy {
    fn counter(&self, name: &str) -> Result<u32, Failure> {
        let counters = &mut self.state.borrow_mut().counters;
        let known = counters.iter().position(|(counter, _)| counter == name);
        let index = known.unwrap_or_else(|| {
            counters.push((name.to_owned(), 0));
            counters.len() - 1
        });
        u32::try_from(index).map_err(|_| Failure(10))
    }

    fn increment(&self, counter: u32, by: u32) {
        if let Some((_, value)) = self.state.borrow_mut().counters.get_mut(counter as usize) {
            *value += u64::from(by);
        }
    }

    fn gauge(&self, name: &str) -> Result<u32, Failure> {
        self.counter(name)
    }

    fn histogram(&self, name: &str) -> Result<u32, Failure> {
        self.counter(name)
    }

    fn record(&self, metric: u32, value: u64) {
        if let Some((_, last)) = self.state.borrow_mut().counters.get_mut(metric as usize) {
            *last = value;
        }
    }
}

/// One worker shares with nobody but the configs that come after.
impl capability::SharedData for Proxy {
    fn shared(&self, key: &str) -> Result<(Vec<u8>, u32), Failure> {
        self.state.borrow().shared.get(key).cloned().ok_or(capability::NOT_FOUND)
    }

    fn set_shared(&self, key: &str, value: &[u8], version: u32) -> Result<(), Failure> {
        let shared = &mut self.state.borrow_mut().shared;
        let last = shared.get(key).map_or(0, |(_, version)| *version);
        if version != 0 && version != last {
            return Err(capability::CAS_MISMATCH);
        }
        shared.insert(key.to_owned(), (value.to_vec(), last + 1));
        Ok(())
    }
}

impl capability::Environment for Proxy {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        self.state.borrow().environment.get(name).map(|value| value.clone().into_bytes())
    }
}

impl capability::Log for Proxy {
    fn log(&self, _level: Level, line: &str) {
        self.state.borrow_mut().log.push(line.to_owned());
    }
}

impl capability::Properties for Proxy {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let state = self.state.borrow();
        match path {
            ["xds", "cluster_name"] | ["upstream", "address"] => {
                Some(state.cluster.clone().into_bytes()).filter(|name| !name.is_empty())
            }
            ["response", "code"] => Some(i64::from(state.status).to_le_bytes().to_vec()),
            ["response", "grpc_status"] => {
                let status = state.response.get("grpc-status")?;
                let status: i64 = std::str::from_utf8(status).ok()?.parse().ok()?;
                Some(status.to_le_bytes().to_vec())
            }
            _ => None,
        }
    }

    fn set_state(&self, _name: &str, _value: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

impl capability::Respond for Proxy {
    fn respond(&self, status: u16, headers: &[(&str, &[u8])]) -> Result<(), Failure> {
        let headers = headers.iter().map(|(name, value)| (*name, value.to_vec())).collect();
        self.state.borrow_mut().local = Some((status, headers));
        Ok(())
    }
}

impl Entropy for Proxy {
    fn bits(&self) -> Option<[u8; 16]> {
        Some(self.state.borrow().entropy)
    }
}

impl Proxy {
    fn own_answer(&self) -> edge::Answer<'static> {
        let (status, headers) = self.state.borrow_mut().local.take().unwrap_or_default();
        edge::Answer { status, headers, body: Vec::new(), cluster: None, is_reached: false }
    }
}
