//! A real OTLP receiver: `rotel`, which shows on its output what it has received.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::{Result, bail};
use splitway_envoy::eventually;
use tempfile::TempDir;

use crate::tools;

/// A running receiver. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Collector {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

/// A log record, as the receiver shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The event's name.
    pub event: String,
    /// Names and typed values such as `Str(button)`.
    pub attributes: Vec<(String, String)>,
}

impl Collector {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When it is not installed, or ends before it listens: with its output.
    pub async fn start() -> Result<Self> {
        let binary = tools::rotel()?;
        let folder = tempfile::Builder::new().prefix("splitway-rotel-").tempdir()?;
        // It does not tell which port it got, so it is told one that was free just now.
        let [http, grpc] = [free_port()?, free_port()?];
        let output = File::create(folder.path().join("output"))?;
        let child = Command::new(binary)
            .args([
                "start",
                "--exporter",
                "blackhole",
                "--debug-log",
                "logs",
                "--debug-log-verbosity",
                "detailed",
            ])
            .args(["--otlp-http-endpoint", &http.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()])
            .arg("--pid-file")
            .arg(folder.path().join("pid"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut collector = Self { child, address: http, folder };
        eventually("rotel to listen", async || {
            if let Some(status) = collector.child.try_wait()? {
                bail!("rotel ended with {status}:\n{}", collector.output()?);
            }
            Ok(connects(collector.address).then_some(()))
        })
        .await?;
        Ok(collector)
    }

    /// Where it takes OTLP over HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The records received so far.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub fn records(&self) -> Result<Vec<Record>> {
        let output = self.output()?;
        // What follows the last mark may be half written.
        let whole = output.rsplit_once("Flags:").map_or("", |(whole, _)| whole);
        let mut records: Vec<Record> = Vec::new();
        for line in whole.lines() {
            if line.starts_with("LogRecord #") {
                records.push(Record::default());
            }
            let Some(record) = records.last_mut() else { continue };
            if let Some(name) = line.strip_prefix("EventName: ") {
                name.trim().clone_into(&mut record.event);
            } else if let Some((name, value)) =
                line.trim_start().strip_prefix("-> ").and_then(|pair| pair.split_once(": "))
            {
                record.attributes.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(records)
    }

    fn output(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.folder.path().join("output"))?).into_owned())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

fn connects(address: SocketAddr) -> bool {
    std::net::TcpStream::connect(address).is_ok()
}
