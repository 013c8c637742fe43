//! What requests cost the compiled filter in wasmtime, counted and not timed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use proxy_wasm_host::{CallCost, FilterModule, Host, Request, Route, UpstreamResponse};
use serde_json::Value;
use splitway_envoy::tools;

/// Requests that a mean is taken over, each of a unit of its own.
pub(crate) const REQUESTS: u32 = 200;

/// A filter with a document, warm.
pub(crate) struct Warm {
    host: Host,
    user: u32,
}

/// What happened over [`REQUESTS`] requests.
pub(crate) struct Costs {
    pub(crate) phases: BTreeMap<&'static str, CallCost>,
    /// Of the requests and their responses, when the module counts them.
    pub(crate) allocations: Option<u64>,
}

impl Warm {
    pub(crate) fn start(module: &FilterModule, document: &Value) -> Self {
        let host = Host::builder(module)
            .configuration(document.to_string())
            .log_capacity(0)
            .measure(true)
            .route(Route::header("x-splitway-cluster", "v2").to("v2"))
            .default_route("v1")
            .upstream("v1", |_| UpstreamResponse::status(200))
            .upstream("v2", |_| UpstreamResponse::status(200))
            .start()
            .unwrap_or_else(|error| panic!("{error}"));
        let mut warm = Self { host, user: 0 };
        (0..20).for_each(|_| warm.send());
        warm
    }

    /// Ten headers, as a browser sends.
    pub(crate) fn send(&mut self) {
        self.user += 1;
        let cookie =
            format!("theme=dark; consent=yes; uid=1c9f3a1e-5d1c-4a77-9b8e-{:012}", self.user % 1_000);
        let request = Request::get("/checkout/cart?step=2")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
            .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
            .header("accept-language", "en-GB,en;q=0.7,de;q=0.3")
            .header("accept-encoding", "gzip, deflate, br, zstd")
            .header("cookie", cookie)
            .header("x-request-id", "7c2f6f0e-3d0d-4b7e-8a69-0f6c4c0f6d0a");
        let exchange = self.host.send(request).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((exchange.response.status, exchange.trap), (200, None));
    }

    pub(crate) fn costs(&mut self) -> Costs {
        let before = self.host.read_export("splitway_allocations");
        self.host.take_costs();
        (0..REQUESTS).for_each(|_| self.send());
        let phases = self.host.take_costs();
        let after = self.host.read_export("splitway_allocations");
        Costs { phases, allocations: after.zip(before).map(|(after, before)| after - before) }
    }

    /// Of one VM, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.host.memory_bytes().last().copied().unwrap_or_default()
    }
}

impl Costs {
    pub(crate) fn instructions(&self) -> u64 {
        self.phases.values().map(|cost| cost.instructions).sum()
    }

    pub(crate) fn hostcalls(&self) -> u64 {
        self.phases.values().flat_map(|cost| cost.hostcalls.values()).sum()
    }
}

/// The filter as it is shipped, and its size in bytes; `None` unless `cargo xtask build-wasm` left it.
pub(crate) fn shipped() -> Option<(FilterModule, u64)> {
    let file = tools::filter_wasm().ok()?;
    let bytes = std::fs::metadata(&file).ok()?.len();
    Some((load(file), bytes))
}

/// The same filter, counting allocations; not optimised by wasm-opt, which takes none away. It is
/// built in a folder of its own, so that it never lies where the shipped one is looked for.
pub(crate) fn counting() -> FilterModule {
    let target = tools::target_dir().expect("a target directory").join("counting");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["rustc", "--quiet", "--profile", "wasm", "--target", "wasm32-wasip1"])
        .args(["--package", "splitway-filter", "--features", "count-allocations"])
        .args(["--lib", "--crate-type", "cdylib", "--target-dir"])
        .arg(&target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "cargo: {status}");
    load(target.join("wasm32-wasip1/wasm/splitway_filter.wasm"))
}

fn load(file: PathBuf) -> FilterModule {
    FilterModule::from_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
