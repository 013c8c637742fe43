//! The rig: the npm package of the edge build in a real workerd, all on loopback.
//!
//! Beside `splitway_envoy`, whose upstream servers and client it uses: a worker's KV namespace and cache are
//! servers too, as far as workerd is concerned ([`kv`], [`cache`]).

pub mod cache;
pub mod kv;
pub mod tools;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

/// Compatibility date of the workers: what a new project would write.
pub const COMPATIBILITY_DATE: &str = "2026-11-01";

/// What is for other runtimes is no module of a worker.
const ELSEWHERE: [&str; 5] = ["cloudflare-node.js", "edge-light.js", "middleware.js", "module.js", "node.js"];

const LOG: &str = "workerd.log";

/// Something that a worker finds in its `env`.
#[derive(Debug, Clone)]
pub enum Binding {
    /// A text.
    Text(String),
    /// A value.
    Json(Value),
    /// A server as a service binding (`env.NAME.fetch`).
    Service(SocketAddr),
    /// A server as a KV namespace.
    Kv(SocketAddr),
}

/// A worker to run.
#[derive(Debug, Clone, Default)]
pub struct Worker<'a> {
    /// The main module; the package's files are at `./pkg/`.
    pub main: &'a str,
    /// More modules, by name.
    pub modules: Vec<(&'a str, &'a str)>,
    /// Its bindings by name.
    pub bindings: Vec<(String, Binding)>,
    /// The server that keeps the Cache API's entries.
    pub cache: Option<SocketAddr>,
    /// Its compatibility date in place of [`COMPATIBILITY_DATE`].
    pub compatibility_date: Option<&'a str>,
}

/// A running workerd. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Workerd {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Workerd {
    /// Starts `worker` and waits until it listens.
    ///
    /// # Errors
    /// When there is no workerd or no package, or it ends before it listens: with its log.
    pub fn start(worker: &Worker<'_>) -> Result<Self> {
        let binary = tools::workerd()?;
        let package = tools::package()?;
        let folder = tempfile::Builder::new().prefix("splitway-workerd-").tempdir()?;
        let modules = copy(&package, &folder.path().join("pkg"))?;
        fs::write(folder.path().join("worker.js"), worker.main)?;
        for (name, text) in &worker.modules {
            fs::write(folder.path().join(name), text)?;
        }
        fs::write(folder.path().join("config.capnp"), config(worker, &modules))?;
        let mut log = File::create(folder.path().join(LOG))?;
        let mut child = Command::new(&binary)
            .args(["serve", "config.capnp", "--control-fd=1"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .spawn()
            .with_context(|| format!("{} cannot be run", binary.display()))?;
        let mut output = BufReader::new(child.stdout.take().context("workerd has no output")?);
        let port = port(&mut output);
        // What workers log comes the same way.
        std::thread::spawn(move || std::io::copy(&mut output, &mut log));
        let Some(port) = port else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("workerd did not start:\n{}", read_log(folder.path()));
        };
        Ok(Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), folder })
    }

    /// Where the worker listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What workerd and the worker have written so far.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(self.folder.path())
    }
}

impl Drop for Workerd {
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

fn read_log(folder: &Path) -> String {
    fs::read(folder.join(LOG)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The port in the first line such as `{"event":"listen","socket":"http","port":8080}`.
fn port(output: &mut impl BufRead) -> Option<u16> {
    output.lines().map_while(Result::ok).find_map(|line| {
        let event: Value = serde_json::from_str(&line).ok()?;
        (event["event"] == "listen").then(|| event["port"].as_u64()).flatten()?.try_into().ok()
    })
}

/// Copies the package's modules; gives their names.
fn copy(package: &Path, folder: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(folder)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(package)? {
        let path = entry?.path();
        let name = path.file_name().context("a file without a name")?.to_string_lossy().into_owned();
        if (name.ends_with(".js") || name.ends_with(".wasm")) && !ELSEWHERE.contains(&&*name) {
            fs::copy(&path, folder.join(&name))?;
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The configuration, in workerd's language (Cap'n Proto text).
fn config(worker: &Worker<'_>, modules: &[String]) -> String {
    let mut services = String::new();
    let mut bindings = String::new();
    let mut external = |name: &str, address: SocketAddr| {
        // A `String` takes everything.
        let _ = writeln!(services, "    (name = {name:?}, external = (address = \"{address}\", http = ())),");
    };
    for (name, binding) in &worker.bindings {
        let value = match binding {
            Binding::Text(text) => format!("text = {}", text_literal(text)),
            Binding::Json(value) => format!("json = {}", text_literal(&value.to_string())),
            Binding::Service(address) => {
                external(name, *address);
                format!("service = {name:?}")
            }
            Binding::Kv(address) => {
                external(name, *address);
                format!("kvNamespace = {name:?}")
            }
        };
        let _ = writeln!(bindings, "        (name = {name:?}, {value}),");
    }
    let mut cache = "";
    if let Some(address) = worker.cache {
        external("cache", address);
        cache = "cacheApiOutbound = \"cache\",";
    }
    let mut files = String::new();
    for (name, _) in &worker.modules {
        let _ = writeln!(files, "        (name = {name:?}, esModule = embed {name:?}),");
    }
    for name in modules {
        let kind = if name.ends_with(".wasm") { "wasm" } else { "esModule" };
        let _ = writeln!(files, "        (name = \"pkg/{name}\", {kind} = embed \"pkg/{name}\"),");
    }
    let date = worker.compatibility_date.unwrap_or(COMPATIBILITY_DATE);
    format!(
        r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [
        (name = "worker.js", esModule = embed "worker.js"),
{files}      ],
      compatibilityDate = "{date}",
      {cache}
      bindings = [
{bindings}      ],
    )),
    (name = "internet", network = (allow = ["public", "private"])),
{services}  ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ],
);
"#
    )
}

/// A text in Cap'n Proto's text format.
fn text_literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' => literal.push_str("\\\""),
            b'\\' => literal.push_str("\\\\"),
            0x20..=0x7e => literal.push(char::from(byte)),
            _ => {
                let _ = write!(literal, "\\x{byte:02x}");
            }
        }
    }
    literal + "\""
}
