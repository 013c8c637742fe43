//! Many short experiments on one Envoy: each scene is a listener that comes and goes, with a filter
//! config, routes and clusters of its own.
//!
//! Listeners and clusters come from files that Envoy watches. The listener is `bootstrap.yaml`'s, so
//! that what is tested is what a reader copies. An anchor listener keeps Splitway's VM alive
//! between scenes: loading it anew would take most of their time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config_dir::ConfigDir;
use crate::poll::eventually;
use crate::process::Process;
use crate::render::{self, SceneListener};

const ANCHOR: &str = "anchor";
const INERT: &str = r#"{"version":1,"experiments":[]}"#;

/// An Envoy for scenes.
#[derive(Debug)]
pub struct Stage {
    process: Process,
    wasm: PathBuf,
    listeners: ConfigDir,
    clusters: ConfigDir,
    anchor: String,
    /// What was last written.
    known: BTreeMap<String, u16>,
    scenes: u64,
}

/// What a scene begins with.
#[derive(Debug)]
pub struct SceneConfig<'a> {
    /// Another module than Splitway's filter.
    pub wasm: Option<&'a Path>,
    /// The plugin configuration.
    pub configuration: &'a str,
    /// Envoy's `routes`.
    pub routes: &'a Value,
    /// Loopback ports of clusters.
    pub clusters: &'a BTreeMap<String, u16>,
    /// The module's environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Lets request headers pass that have `_` in their name.
    pub allow_underscores: bool,
}

/// A scene that is ready for traffic.
#[derive(Debug)]
pub struct Scene {
    name: String,
    address: SocketAddr,
    ecds: ConfigDir,
    wasm: PathBuf,
    environment: BTreeMap<String, String>,
    owns_vm: bool,
    /// Whether the first configuration is in force.
    pub is_accepted: bool,
    /// Where in the log it begins.
    pub log_start: u64,
}

impl Scene {
    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Stage {
    /// Starts an Envoy with so many workers and without scenes; `wasm` is Splitway's filter.
    ///
    /// # Errors
    /// When there is no Envoy, or it does not start.
    pub async fn start(wasm: &Path, workers: u32) -> Result<Self> {
        let wasm = wasm.canonicalize().with_context(|| format!("{}", wasm.display()))?;
        let folder = TempDir::with_prefix("splitway-stage-")?;
        let ecds = render::scene_ecds(ANCHOR, INERT, &wasm, &BTreeMap::new(), false)?;
        let anchor_dir = ConfigDir::create(&folder.path().join(ANCHOR), &ecds)?;
        let anchor = render::scene_listener(&SceneListener {
            name: ANCHOR,
            wasm: &wasm,
            watched_dir: anchor_dir.path(),
            routes: &json!([]),
            allow_underscores: true,
        })?;
        let listeners = ConfigDir::create(&folder.path().join("lds"), &format!("resources:\n{anchor}"))?;
        let clusters = ConfigDir::create(&folder.path().join("cds"), "resources: []\n")?;
        let bootstrap = render::scene_bootstrap(listeners.path(), clusters.path())?;
        let process = Process::start(folder, &bootstrap, workers).await?;
        let stage = Self { process, wasm, listeners, clusters, anchor, known: BTreeMap::new(), scenes: 0 };
        stage.listener(ANCHOR).await.with_context(|| stage.process.log_tail())?;
        Ok(stage)
    }

    /// Opens a scene in place of the one before.
    ///
    /// # Errors
    /// When Envoy refuses its listener or clusters; a refused plugin configuration is no error.
    pub async fn open(&mut self, config: &SceneConfig<'_>) -> Result<Scene> {
        self.scenes += 1;
        let name = format!("scene-{}", self.scenes);
        let log_start = self.process.log_from(0)?.1;
        self.connect(config.clusters).await?;
        let wasm = match config.wasm {
            Some(wasm) => wasm.canonicalize().with_context(|| format!("{}", wasm.display()))?,
            None => self.wasm.clone(),
        };
        // A VM that exists keeps the environment that it was started with.
        let owns_vm = config.wasm.is_some() || !config.environment.is_empty();
        let first = render::scene_ecds(&name, config.configuration, &wasm, config.environment, owns_vm)?;
        let ecds = ConfigDir::create(&self.process.folder().join(&name), &first)?;
        let listener = render::scene_listener(&SceneListener {
            name: &name,
            wasm: &self.wasm,
            watched_dir: ecds.path(),
            routes: config.routes,
            allow_underscores: config.allow_underscores,
        })?;
        self.listeners.replace(&format!("resources:\n{}{listener}", self.anchor))?;
        let address = self.listener(&name).await.with_context(|| self.process.log_tail())?;
        let is_accepted = self.updates(&name).await?.0 > 0;
        let environment = config.environment.clone();
        Ok(Scene { name, address, ecds, wasm, environment, owns_vm, is_accepted, log_start })
    }

    /// Gives a scene another plugin configuration; whether it was accepted.
    ///
    /// # Errors
    /// When Envoy does not notice.
    pub async fn configure(&self, scene: &Scene, configuration: &str) -> Result<bool> {
        let before = self.updates(&scene.name).await?;
        let ecds =
            render::scene_ecds(&scene.name, configuration, &scene.wasm, &scene.environment, scene.owns_vm)?;
        scene.ecds.replace(&ecds)?;
        // Envoy counts an update when it has posted it to the workers; they take posts before
        // whatever arrives later.
        eventually("the new config to be taken or refused", async || {
            let now = self.updates(&scene.name).await?;
            Ok((now != before).then_some(now.0 > before.0))
        })
        .await
    }

    /// The plugins' counters and gauges, without Envoy's prefix.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn metrics(&self) -> Result<BTreeMap<String, u64>> {
        const PREFIX: &str = "wasmcustom.";
        let stats = self.process.stats("^wasmcustom").await?;
        let short = |name: String| name.strip_prefix(PREFIX).map(str::to_owned);
        Ok(stats.into_iter().filter_map(|(name, value)| Some((short(name)?, value))).collect())
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log_end(&self) -> Result<u64> {
        Ok(self.process.log_from(0)?.1)
    }

    /// What modules logged from there on, without Envoy's prefixes.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn module_log(&self, start: u64) -> Result<Vec<String>> {
        let (text, _) = self.process.log_from(start)?;
        // `[…][info][wasm] [source/…:1234] wasm log splitway splitway splitway: what it said`
        let said = |line: &str| {
            let (_, logged) = line.split_once("] wasm log")?;
            logged.split_once(": ").map(|(_, said)| said.to_owned())
        };
        let mut all: Vec<String> = Vec::new();
        for line in text.lines() {
            match (said(line), all.last_mut()) {
                (Some(said), _) => all.push(said),
                // What was said at once, and has more lines.
                (None, Some(last)) if !line.starts_with('[') => *last += &format!("\n{line}"),
                (None, _) => {}
            }
        }
        Ok(all)
    }

    /// The end of Envoy's log, for error messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    async fn connect(&mut self, clusters: &BTreeMap<String, u16>) -> Result<()> {
        let mut wanted = self.known.clone();
        wanted.extend(clusters.iter().map(|(name, port)| (name.clone(), *port)));
        if wanted == self.known {
            return Ok(());
        }
        let resource = |(name, port): (&String, &u16)| {
            json!({
                "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                "name": name,
                "type": "STATIC",
                "connect_timeout": "1s",
                "load_assignment": {
                    "cluster_name": name,
                    "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                        "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } },
                    }}]}],
                },
            })
        };
        let resources: Vec<Value> = wanted.iter().map(resource).collect();
        let updates = async || -> Result<(u64, u64)> {
            let stats = self.process.stats("^cluster_manager.cds.update_").await?;
            let count =
                |name: &str| stats.get(&format!("cluster_manager.cds.{name}")).copied().unwrap_or_default();
            Ok((count("update_success"), count("update_rejected") + count("update_failure")))
        };
        let before = updates().await?;
        self.clusters.replace(&json!({ "resources": resources }).to_string())?;
        eventually("the clusters", async || {
            let now = updates().await?;
            if now.1 > before.1 {
                bail!("Envoy refuses the clusters:\n{}", self.process.log_tail());
            }
            Ok((now.0 > before.0).then_some(()))
        })
        .await?;
        self.known = wanted;
        Ok(())
    }

    /// The address of a listener, once it is active.
    async fn listener(&self, name: &str) -> Result<SocketAddr> {
        let rejected = async || -> Result<u64> {
            let stats = self.process.stats("^listener_manager.lds.update_rejected").await?;
            Ok(stats.values().sum())
        };
        let before = rejected().await?;
        eventually("the listener", async || {
            let found = self.process.listeners().await?.into_iter().find(|(known, _)| known == name);
            if found.is_none() && rejected().await? > before {
                bail!("Envoy refuses the listener");
            }
            Ok(found.map(|(_, address)| address))
        })
        .await
    }

    /// How many plugin configurations of a scene were accepted and refused.
    async fn updates(&self, name: &str) -> Result<(u64, u64)> {
        let prefix = format!("extension_config_discovery.http_filter.{name}.");
        let stats = self.process.stats(&format!("^{prefix}update_")).await?;
        let count = |name: &str| stats.get(&format!("{prefix}{name}")).copied().unwrap_or_default();
        Ok((count("update_success"), count("update_rejected") + count("update_failure")))
    }
}
