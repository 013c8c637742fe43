//! A real OpenTelemetry collector (rotel), which tells what it has received.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::poll::eventually;
use splitway_tools::programs as tools;

/// A running collector. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Collector {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

/// A log record as the collector has understood it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRecord {
    /// `event_name`.
    pub event: String,
    /// The body, if it is a text.
    pub body: String,
    /// Kind and value of the attributes: `Str(control)`, `Int(200)`, `Bool(true)`.
    pub attributes: BTreeMap<String, String>,
}

impl Collector {
    /// A loopback address that nobody listens on: where a collector can start, and start again.
    ///
    /// # Errors
    /// When no port is free.
    pub fn free_address() -> Result<SocketAddr> {
        Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
    }

    /// Starts one that takes OTLP/HTTP at `address`.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        const TELLS: [&str; 6] =
            ["--debug-log", "logs", "--debug-log", "traces", "--debug-log-verbosity", "detailed"];
        Self::start_with(address, &TELLS).await
    }

    /// Starts one that tells nothing of what it takes, for millions of records.
    ///
    /// # Errors
    /// As [`Collector::start`].
    pub async fn start_silent(address: SocketAddr) -> Result<Self> {
        Self::start_with(address, &[]).await
    }

    async fn start_with(address: SocketAddr, more: &[&str]) -> Result<Self> {
        let folder = TempDir::with_prefix("splitway-collector-")?;
        let log = File::create(folder.path().join("log"))?;
        let child = Command::new(tools::collector()?)
            .args(["start", "--exporter", "blackhole"])
            .args(more)
            .args(["--otlp-http-endpoint", &address.to_string()])
            .args(["--otlp-grpc-endpoint", &Self::free_address()?.to_string()])
            .arg("--pid-file")
            .arg(folder.path().join("pid"))
            .arg("--log-file")
            .arg(folder.path().join("agent.log"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the collector cannot be run")?;
        let mut collector = Self { child, address, folder };
        eventually("the collector to listen", async || {
            if let Some(status) = collector.child.try_wait()? {
                anyhow::bail!("the collector ended with {status}: {}", collector.log()?);
            }
            Ok(tokio::net::TcpStream::connect(address).await.ok().map(drop))
        })
        .await?;
        Ok(collector)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it; gives what it has told until then.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub fn kill(mut self) -> Result<Vec<LogRecord>> {
        self.child.kill()?;
        self.child.wait()?;
        self.records()
    }

    /// All that it has received and shown, as it shows it: for what [`Collector::records`] has not.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub fn shown(&self) -> Result<String> {
        self.log()
    }

    fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log"))?).into_owned())
    }

    /// Every log record received so far, in no order.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub fn records(&self) -> Result<Vec<LogRecord>> {
        let mut records: Vec<LogRecord> = Vec::new();
        for line in self.log()?.lines() {
            if line.starts_with("LogRecord #") {
                records.push(LogRecord::default());
            }
            let Some(record) = records.last_mut() else { continue };
            if let Some(event) = line.strip_prefix("EventName: ") {
                event.clone_into(&mut record.event);
            } else if let Some(body) = line.strip_prefix("Body: ") {
                let inner = body.strip_prefix("Str(").and_then(|rest| rest.strip_suffix(')'));
                inner.unwrap_or(body).clone_into(&mut record.body);
            } else if let Some((name, value)) =
                line.trim_start().strip_prefix("-> ").and_then(|attribute| attribute.split_once(": "))
            {
                record.attributes.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(records)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
