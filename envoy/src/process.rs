//! An Envoy process, whatever its bootstrap: start, admin interface, log, end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Answer, Call, Client};
use crate::poll::eventually;
use splitway_tools::programs as tools;

const LOG: &str = "envoy.log";

/// Exposures are logged at info.
pub(crate) const LOG_LEVELS: &str = "wasm:info,config:info";

/// A running Envoy with a bootstrap of any kind. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    admin: SocketAddr,
    folder: TempDir,
}

impl Process {
    /// Starts Envoy in `folder` and waits until it is ready.
    pub(crate) async fn start(folder: TempDir, bootstrap: &str, workers: u32) -> Result<Self> {
        Self::start_logging(folder, bootstrap, workers, LOG_LEVELS).await
    }

    /// Starts Envoy in `folder`, with the log levels of its components as `--component-log-level`
    /// takes them, and waits until it is ready.
    ///
    /// # Errors
    /// When Envoy is missing or refuses its bootstrap; the error then ends with its log.
    pub async fn start_logging(folder: TempDir, bootstrap: &str, workers: u32, levels: &str) -> Result<Self> {
        Self::start_in(folder, bootstrap, workers, levels, None, &[]).await
    }

    /// The same with a working directory, for a bootstrap with relative paths, and more variables in its
    /// environment.
    pub(crate) async fn start_in(
        folder: TempDir,
        bootstrap: &str,
        workers: u32,
        levels: &str,
        working: Option<&Path>,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let binary = tools::envoy()?;
        fs::write(folder.path().join("bootstrap.yaml"), bootstrap)?;
        let child = spawn(&binary, folder.path(), workers, levels, working, variables)?;
        // From here on a failure drops `process`, and with it the child.
        let mut process = Self { child, admin: SocketAddr::from(([127, 0, 0, 1], 0)), folder };
        if let Err(error) = process.become_ready().await {
            return Err(error.context(format!("Envoy did not start:\n{}", process.log_tail())));
        }
        Ok(process)
    }

    async fn become_ready(&mut self) -> Result<()> {
        let address_file = self.folder.path().join("admin");
        self.admin = eventually("Envoy's admin address", async || {
            self.check_alive()?;
            // The file exists for a moment before its content does.
            Ok(fs::read_to_string(&address_file).ok().and_then(|text| text.trim().parse().ok()))
        })
        .await?;
        let admin = Client::http1(self.admin);
        eventually("Envoy to be ready", async || {
            self.check_alive()?;
            let answer = admin.send(&Call::get("/ready")).await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await
    }

    fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("Envoy ended with {status}"),
        }
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The active listeners: name and address.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn listeners(&self) -> Result<Vec<(String, SocketAddr)>> {
        let listeners = self.json("/listeners?format=json").await?;
        let mut active = Vec::new();
        for status in listeners["listener_statuses"].as_array().context("no listeners")? {
            let port = status["local_address"]["socket_address"]["port_value"].as_u64().context("no port")?;
            let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?));
            active.push((status["name"].as_str().unwrap_or_default().to_owned(), address));
        }
        Ok(active)
    }

    /// Counters and gauges whose names match a regular expression; all for an empty one.
    pub(crate) async fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        let body = self.json(&format!("/stats?format=json&filter={filter}")).await?;
        let stats = body["stats"].as_array().context("no stats")?;
        // Histograms and text readouts have no whole number under "value".
        Ok(stats
            .iter()
            .filter_map(|stat| Some((stat["name"].as_str()?.to_owned(), stat["value"].as_u64()?)))
            .collect())
    }

    async fn json(&self, path: &str) -> Result<Value> {
        let answer = self.get(path).await?;
        serde_json::from_slice(&answer.body).with_context(|| format!("{path} gave no JSON"))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        let answer = Client::http1(self.admin).send(&Call::get(path)).await?;
        if answer.status != 200 {
            bail!("{path} of the admin interface gave {}", answer.status);
        }
        Ok(answer)
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(self.log_from(0)?.0)
    }

    /// What was logged from a byte on, and where it ends.
    pub(crate) fn log_from(&self, start: u64) -> Result<(String, u64)> {
        let mut file = File::open(self.folder.path().join(LOG))?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A client's bytes may be in there.
        Ok((String::from_utf8_lossy(&bytes).into_owned(), start + bytes.len() as u64))
    }

    /// The end of the log, for error messages.
    pub(crate) fn log_tail(&self) -> String {
        const LINES: usize = 30;
        let log = self.log().unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::env::var_os("SPLITWAY_KEEP_FILES").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("kept {}", self.folder.path().display());
        }
    }
}

fn spawn(
    binary: &Path,
    folder: &Path,
    workers: u32,
    levels: &str,
    working: Option<&Path>,
    variables: &[(&str, &str)],
) -> Result<Child> {
    let log = File::create(folder.join(LOG))?;
    let mut command = Command::new(binary);
    if let Some(working) = working {
        command.current_dir(working);
    }
    command
        .envs(variables.iter().copied())
        .arg("--config-path")
        .arg(folder.join("bootstrap.yaml"))
        .arg("--admin-address-path")
        .arg(folder.join("admin"))
        .args(["--concurrency", &workers.to_string()])
        // A listener that is taken away does not linger.
        .args(["--drain-time-s", "1"])
        // Hot restart claims a shared memory region by number, which two Envoys would fight over.
        .arg("--disable-hot-restart")
        .args(["--log-level", "warning"])
        .args(["--component-log-level", levels])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} cannot be run", binary.display()))
}
