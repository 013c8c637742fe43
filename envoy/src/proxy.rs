//! Envoy with `bootstrap.yaml`: start it, change its config under load, ask it, read its log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use splitway_deploy::FailurePolicy;
use tempfile::TempDir;

use crate::client::{Call, Client};
use crate::config_dir::ConfigDir;
use crate::exposure::Exposure;
use crate::poll::eventually;
use crate::process::Process;
use crate::render::{self, Additions, Bootstrap};
use crate::upstream::Upstream;
use splitway_tools::programs as tools;

/// What an Envoy is started with.
#[derive(Debug, Clone)]
pub struct EnvoyConfig {
    /// The experiment document as JSON: the first content of `ecds.yaml`.
    pub document: String,
    /// Where cluster `checkout-v1` is.
    pub v1: SocketAddr,
    /// Where cluster `checkout-v2` is.
    pub v2: SocketAddr,
    /// Worker threads, each with a VM of its own.
    pub workers: u32,
    /// What happens when the filter traps.
    pub failure_policy: FailurePolicy,
    /// The compiled filter; `None` takes the one `cargo xtask build-wasm` left.
    pub wasm: Option<PathBuf>,
    /// What it has besides `bootstrap.yaml`.
    pub additions: Additions,
}

impl EnvoyConfig {
    /// Two workers and FAIL_RELOAD between a client and two upstreams.
    #[must_use]
    pub fn new(document: impl Into<String>, v1: &Upstream, v2: &Upstream) -> Self {
        Self {
            document: document.into(),
            v1: v1.address(),
            v2: v2.address(),
            workers: 2,
            failure_policy: FailurePolicy::default(),
            wasm: None,
            additions: Additions::default(),
        }
    }
}

/// A running Envoy that is ready for traffic. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    listener: SocketAddr,
    config: ConfigDir,
    wasm: PathBuf,
    failure_policy: FailurePolicy,
}

impl Envoy {
    /// Starts Envoy in a folder of its own, on free ports, and waits until it is ready.
    ///
    /// # Errors
    /// When a tool is missing, or Envoy refuses its config; the error then ends with its log.
    pub async fn start(config: EnvoyConfig) -> Result<Self> {
        let wasm = match config.wasm {
            Some(wasm) => wasm,
            None => tools::filter_wasm()?,
        };
        let folder = TempDir::with_prefix("splitway-envoy-")?;
        let first = render::ecds(&config.document, &wasm, config.failure_policy)?;
        let config_dir = ConfigDir::create(&folder.path().join("cm"), &first)?;
        let bootstrap = render::bootstrap(&Bootstrap {
            wasm: &wasm,
            watched_dir: config_dir.path(),
            v1: config.v1,
            v2: config.v2,
            failure_policy: config.failure_policy,
            additions: &config.additions,
        })?;
        let process = Process::start(folder, &bootstrap, config.workers).await?;
        let listeners = process.listeners().await?;
        let listener = listeners.first().context("no listener")?.1;
        Ok(Self { process, listener, config: config_dir, wasm, failure_policy: config.failure_policy })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener
    }

    /// Where the admin interface is.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.process.admin()
    }

    /// The id of Envoy's process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// A new HTTP/1.1 client of this proxy.
    #[must_use]
    pub fn http1(&self) -> Client {
        Client::http1(self.listener)
    }

    /// A new HTTP/2 client of this proxy.
    #[must_use]
    pub fn http2(&self) -> Client {
        Client::http2(self.listener)
    }

    /// Replaces the document in the watched folder; returns when the rename was done. Envoy takes
    /// some milliseconds to follow: see [`Envoy::swap_accepted`] and [`Envoy::swap_refused`].
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn swap(&self, document: &str) -> Result<Instant> {
        let ecds = render::ecds(document, &self.wasm, self.failure_policy)?;
        self.config.replace(&ecds)
    }

    /// Replaces the document and waits until Envoy counts it as accepted. Workers follow a moment
    /// later, each on its own: await the behaviour where that matters.
    ///
    /// # Errors
    /// When Envoy refuses it or does not notice.
    pub async fn swap_accepted(&self, document: &str) -> Result<()> {
        let before = self.updates().await?;
        self.swap(document)?;
        eventually("the new config to be accepted", async || {
            let now = self.updates().await?;
            if now.refused > before.refused {
                bail!("the new config was refused:\n{}", self.log_tail());
            }
            Ok((now.accepted > before.accepted).then_some(()))
        })
        .await
    }

    /// Replaces the document and waits until Envoy counts it as refused.
    ///
    /// # Errors
    /// When Envoy accepts it or does not notice.
    pub async fn swap_refused(&self, document: &str) -> Result<()> {
        let before = self.updates().await?;
        self.swap(document)?;
        eventually("the new config to be refused", async || {
            let now = self.updates().await?;
            if now.accepted > before.accepted {
                bail!("the new config was accepted");
            }
            Ok((now.refused > before.refused).then_some(()))
        })
        .await
    }

    /// How many updates of the filter's config Envoy has accepted and refused so far.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn updates(&self) -> Result<Updates> {
        let stats = self.stats().await?;
        let count = |name: &str| {
            let name = format!("extension_config_discovery.http_filter.splitway.{name}");
            stats.get(&name).copied().unwrap_or_default()
        };
        // Not `config_reload`: Envoy counts that before it knows whether the filter accepts.
        Ok(Updates {
            accepted: count("update_success"),
            refused: count("update_rejected") + count("update_failure"),
        })
    }

    /// Every counter and gauge by name.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn stats(&self) -> Result<BTreeMap<String, u64>> {
        self.process.stats("").await
    }

    /// `/stats/prometheus`.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn prometheus(&self) -> Result<String> {
        Ok(self.process.get("/stats/prometheus").await?.text())
    }

    /// What Envoy and the filter have logged so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }

    /// Every exposure logged so far, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn exposures(&self) -> Result<Vec<Exposure>> {
        Ok(self.log()?.lines().filter_map(Exposure::in_line).collect())
    }

    /// The exposures of one request, by the `x-request-id` of its response, once there are
    /// `expected` of them: the log phase runs after the client has its answer.
    ///
    /// # Errors
    /// When fewer arrive.
    pub async fn exposures_of(&self, request_id: &str, expected: usize) -> Result<Vec<Exposure>> {
        eventually(&format!("{expected} exposures of request {request_id}"), async || {
            let mut found = self.exposures()?;
            found.retain(|exposure| exposure.text("splitway.request_id") == request_id);
            Ok((found.len() >= expected).then_some(found))
        })
        .await
    }

    /// Has access logs written to their files now.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn flush_access_logs(&self) -> Result<()> {
        let answer = Client::http1(self.admin_address()).send(&Call::post("/reopen_logs")).await?;
        anyhow::ensure!(answer.status == 200, "/reopen_logs gave {}", answer.status);
        Ok(())
    }

    /// The end of the log, for error messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// How often Envoy's config discovery has changed the filter, or refused to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updates {
    /// Configs put into effect.
    pub accepted: u64,
    /// Configs that the filter or Envoy refused.
    pub refused: u64,
}
