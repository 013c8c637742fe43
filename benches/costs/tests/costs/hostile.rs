//! The dearest requests that a client can send (`splitway_benches::hostile`), counted.

use proxy_wasm_host::{Host, Request, UpstreamResponse};
use splitway_benches::hostile::cases;

use crate::measure;

/// Most instructions of the module for one request. The budget is 5 ms; `cargo xtask bench hostile` times the same
/// requests in an Envoy, where so many take less than one.
const MOST: u64 = 10_000_000;

/// Every case that costs more than it may, and how much.
pub(crate) fn too_dear() -> Option<Vec<String>> {
    let (module, _) = measure::shipped()?;
    let mut dear = Vec::new();
    for case in cases() {
        let name = case.name;
        let mut host = Host::builder(&module)
            .configuration(case.document.to_string())
            .log_capacity(0)
            .measure(true)
            .default_route("v1")
            .upstream("v1", |_| UpstreamResponse::status(200))
            .start()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        host.take_costs();
        let request = case
            .headers
            .iter()
            .fold(Request::get(&case.path), |request, (name, value)| request.header(name, value));
        let exchange = host.send(request).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((exchange.response.status, exchange.trap), (200, None), "{name}");
        let instructions: u64 = host.take_costs().values().map(|cost| cost.instructions).sum();
        println!("{name}: {instructions} instructions");
        if instructions > MOST {
            dear.push(format!("{name}: {instructions} instructions, at most {MOST}"));
        }
    }
    Some(dear)
}
