//! `splitway render google`: the plugin config for Google Cloud Service Extensions, if the filter
//! with it fits what they give a plugin.

use std::time::SystemTime;

use proxy_wasm_host::{FilterModule, Host, HostError, LogLevel, Request, Route, UpstreamResponse};
use serde_json::Value;
use splitway_engine::Source;

use super::Sources;
use super::args::Google;
use crate::carrier::Carrier;
use crate::outcome::{Failure, Outcome, print};

/// Module and config together.
const BYTES: usize = 5 << 20;
/// Memory of a VM.
const MEMORY: usize = 16 << 20;
/// What 1 ms of processor time for a request is, at 1 ns for an instruction with its share of hostcalls. Our own
/// Envoy takes half of that (docs/performance.md); nobody says how fast their machines are.
const INSTRUCTIONS: u64 = 1_000_000;
/// Units whose requests are tried; the dearest one counts.
const UNITS: usize = 50;

pub(super) fn run(args: &Google) -> Outcome {
    let sources = Sources::read(&args.source)?;
    if !sources.variables.is_empty() {
        return Err(Failure::Problems(format!(
            "Google Cloud Service Extensions give a plugin no environment, and the config takes secrets from it: {}",
            sources.variables.join(", ")
        )));
    }
    let (module, config) = (sources.module.bytes.len(), sources.json.len());
    let mut too_much = Vec::new();
    if module + config > BYTES {
        too_much.push(format!("module and config have {} bytes; the limit is {BYTES}", module + config));
    }
    let cost = Cost::of(&sources)?;
    if cost.instructions > INSTRUCTIONS {
        too_much.push(format!(
            "a request takes {} wasm instructions if every experiment applies; 1 ms allows {INSTRUCTIONS}",
            cost.instructions
        ));
    }
    if cost.memory > MEMORY {
        too_much.push(format!("a VM takes {} bytes of memory; the limit is {MEMORY}", cost.memory));
    }
    if !too_much.is_empty() {
        return Err(Failure::Problems(format!(
            "the config exceeds the limits of Google Cloud Service Extensions: {}",
            too_much.join("; ")
        )));
    }
    eprintln!(
        "module {module} + config {config} of {BYTES} bytes; a request {} of {INSTRUCTIONS} wasm instructions (1 ms); \
         a VM {} of {MEMORY} bytes",
        cost.instructions, cost.memory
    );
    print(&sources.json)
}

/// What the compiled filter takes, counted in wasmtime: the same on every machine.
struct Cost {
    /// Of the dearest request and its response.
    instructions: u64,
    /// Of a VM, in bytes.
    memory: usize,
}

impl Cost {
    fn of(sources: &Sources) -> Result<Self, Failure> {
        let broken = |error: HostError| Failure::Usage(format!("the filter does not start: {error}"));
        let module = FilterModule::from_bytes(&sources.module.bytes)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let mut host = Host::builder(&module)
            .root_id("splitway")
            .configuration(for_everybody(&sources.json)?)
            .log_level(LogLevel::Info)
            .now(SystemTime::now())
            .measure(true)
            .route(Route::any().to("default"))
            .upstream("default", |_| UpstreamResponse::status(200))
            .start()
            .map_err(broken)?;
        let firsts: Vec<&Source> = sources.plan.chains().filter_map(<[_]>::first).collect();
        let mut carrier = Carrier::new(firsts);
        let mut instructions = 0;
        for unit in 0..UNITS {
            let (path, headers) = carrier.request(&format!("unit-{unit}"));
            let request =
                headers.iter().fold(Request::get(path), |request, (name, value)| request.header(name, value));
            host.take_costs();
            host.send(request).map_err(broken)?;
            // The first one also grows memory, which the others find.
            let cost: u64 = host.take_costs().values().map(|cost| cost.instructions).sum();
            instructions = if unit == 0 { 0 } else { cost.max(instructions) };
        }
        Ok(Self { instructions, memory: host.memory_bytes().into_iter().max().unwrap_or_default() })
    }
}

/// The document without targeting, so that every experiment may apply.
fn for_everybody(json: &str) -> Result<String, Failure> {
    let mut document: Value = serde_json::from_str(json)?;
    for experiment in document["experiments"].as_array_mut().into_iter().flatten() {
        experiment.as_object_mut().map(|fields| fields.remove("targeting"));
    }
    Ok(document.to_string())
}
