//! Envoy with any bootstrap: what `splitway render` makes is started like this.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::client::Client;
use crate::process::Process;
use splitway_tools::programs as tools;

/// A running Envoy. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Standalone {
    process: Process,
    listener: SocketAddr,
}

impl Standalone {
    /// Starts Envoy with `bootstrap` in the working directory `folder` and waits until it is ready. Its
    /// admin interface should have port 0.
    ///
    /// # Errors
    /// When Envoy is missing or refuses the bootstrap; the error then ends with its log.
    pub async fn start(folder: &Path, bootstrap: &str) -> Result<Self> {
        Self::start_with(folder, bootstrap, &[]).await
    }

    /// The same with more variables in Envoy's environment: names and values.
    ///
    /// # Errors
    /// As [`Standalone::start`].
    pub async fn start_with(folder: &Path, bootstrap: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let own = TempDir::with_prefix("splitway-standalone-")?;
        let levels = crate::process::LOG_LEVELS;
        let process = Process::start_in(own, bootstrap, 1, levels, Some(folder), variables).await?;
        let listener = process.listeners().await?.first().context("no listener")?.1;
        Ok(Self { process, listener })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener
    }

    /// Everything that the admin interface shows of the configuration, as it shows it.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn config_dump(&self) -> Result<String> {
        Ok(self.process.get("/config_dump").await?.text())
    }

    /// A new HTTP/1.1 client of this proxy.
    #[must_use]
    pub fn http1(&self) -> Client {
        Client::http1(self.listener)
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
}

/// Runs `envoy --mode validate` on `file` in `folder`.
///
/// # Errors
/// When Envoy is missing, or refuses the file; with what it says.
pub fn validate(folder: &Path, file: &str) -> Result<()> {
    let output = Command::new(tools::envoy()?)
        .args(["--mode", "validate", "--config-path", file])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("{file}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
