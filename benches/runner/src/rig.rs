//! What kill, soak and chaos have in common: a real Envoy with two workers in front of two upstreams that are
//! processes of their own, and the document of an experiment.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use splitway_envoy::{Additions, Collector, Envoy, EnvoyConfig, FailurePolicy, Load, Origin, load};

use splitway_tools::{setup, wasm};

/// The experiment of [`document`].
pub(super) const EXPERIMENT: &str = "checkout-button";
/// The name of the collector's cluster.
pub(super) const COLLECTOR: &str = "otel-collector";
/// Worker threads of Envoy.
const WORKERS: u32 = 2;

/// What these benches need: Envoy, the collector, the filter as the sources have it, wrk.
pub(super) fn prepare(is_built: bool) -> Result<()> {
    ensure!(Load::is_installed(), load::MISSING);
    setup::setup()?;
    if is_built {
        return Ok(());
    }
    setup::wasm_target(setup::TARGET)?;
    wasm::build()
}

/// One 50:50 experiment, whose variant `one-step` goes to the cluster `checkout-v2`.
pub(super) fn document() -> Value {
    json!({
        "version": 1,
        "namespace": "shop",
        "unit": [{ "header": "x-user-id" }],
        "exposure": { "log": false },
        "experiments": [{
            "id": EXPERIMENT,
            "variants": [{ "id": "control" }, { "id": "one-step", "route": { "cluster": "checkout-v2" } }],
        }],
    })
}

/// Envoy before two upstreams.
pub(super) async fn envoy(document: &Value, v1: &Origin, v2: &Origin, additions: Additions) -> Result<Envoy> {
    let envoy = Envoy::start(EnvoyConfig {
        document: document.to_string(),
        v1: v1.address(),
        v2: v2.address(),
        workers: WORKERS,
        failure_policy: FailurePolicy::Reload,
        wasm: None,
        additions,
    })
    .await?;
    ensure!(envoy.updates().await?.accepted == 1, "the first config is refused:\n{}", envoy.log_tail());
    Ok(envoy)
}

/// Assignments; records emitted, delivered, and dropped for whatever reason.
pub(super) fn counts(stats: &BTreeMap<String, u64>) -> [u64; 4] {
    ["assignments", "exposures_emitted", "exposures_delivered", "exposures_dropped"].map(|name| {
        let start = format!("wasmcustom.splitway.{name}");
        stats.iter().filter(|(name, _)| name.starts_with(&start)).map(|(_, count)| count).sum()
    })
}

/// An upstream at a free address.
pub(super) async fn origin() -> Result<Origin> {
    Origin::start(Collector::free_address()?).await
}

/// Two of them.
pub(super) async fn origins() -> Result<(Origin, Origin)> {
    tokio::try_join!(origin(), origin())
}
