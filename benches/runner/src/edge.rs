//! Decisions in JavaScript beside GrowthBook's own, on workerd and Node; and what takes the module's bytes.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use splitway_envoy::{Call, Client};
use splitway_workerd::{Worker, Workerd, tools};

use crate::numbers::median;
use crate::record::{date, keep, machine};
use crate::size;
use splitway_tools::{edge, setup, shell};

const CONTENDERS: [&str; 5] = [
    "nothing",
    "splitway, decide",
    "splitway, a whole exchange",
    "growthbook, one client for all",
    "growthbook, one per request",
];
const RUNS: usize = 15;
/// Runs before: a runtime compiles what is hot again, in threads of its own.
const WARM: usize = 8;
/// Decisions of a run: some tens of milliseconds.
const COUNT: u32 = 5_000;

const LIBRARY: &str = include_str!("../../edge/contenders.js");
const WORKER: &str = include_str!("../../edge/worker.js");
const SERVER: &str = include_str!("../../edge/server.js");

pub(super) fn run() -> Result<()> {
    setup::wasm_target(setup::EDGE_TARGET)?;
    shell::npm("edge/npm", "edge")?;
    let modules = shell::npm("benches/edge", "edge-bench")?;
    let named = edge::build_named()?;
    let weights = edge::build()?;
    let growthbook = fs::read_to_string(modules.join("@growthbook/growthbook/dist/bundles/esm.min.js"))?;
    let modules = vec![("contenders.js", LIBRARY), ("growthbook.js", growthbook.as_str())];
    let workerd = Workerd::start(&Worker { main: WORKER, modules, ..Worker::default() })?;
    let folder = tempfile::tempdir()?;
    let node = Node::start(folder.path(), &growthbook)?;
    let measured = tokio::runtime::Runtime::new()?
        .block_on(measure(&[("workerd", workerd.address()), ("Node", node.address)]))?;

    let mut text = format!("# The edge build, {}\n\nCommand: `cargo xtask bench edge`\n\n", date()?);
    let _ = writeln!(text, "Machine: {}\n", machine());
    let _ = writeln!(
        text,
        "{COUNT} requests with ten headers a run, {RUNS} runs of each, in turn, timed from outside; the time of \
         `nothing` is taken off the others. Microseconds a request. Both decide by the same hash, and every run checks \
         that they chose the same variants. A whole exchange is what the others leave to their caller: changes to \
         request and response, the stamp, counters, exposure records.\n"
    );
    text.push_str("| runtime | experiments | | fastest | median | slowest |\n|---|--:|---|--:|--:|--:|\n");
    text.push_str(&measured);
    let _ = writeln!(text, "\n## What ships\n\n```text\n{weights}```");
    text.push_str(&size::breakdown(&named)?);
    let file = keep("edge.md", &text)?;
    println!("{measured}\n{}", file.display());
    Ok(())
}

/// Table rows.
async fn measure(runtimes: &[(&str, SocketAddr)]) -> Result<String> {
    let mut rows = String::new();
    for experiments in [1, 10] {
        let mut times = vec![[(); CONTENDERS.len()].map(|()| Vec::new()); runtimes.len()];
        // Interleaved, so that a busy moment meets all.
        for round in 0..WARM + RUNS {
            for ((_, address), times) in runtimes.iter().zip(&mut times) {
                let client = Client::http1(*address);
                let mut chosen: Option<Value> = None;
                for (contender, times) in CONTENDERS.iter().zip(times) {
                    let order = json!({ "contender": contender, "experiments": experiments, "count": COUNT });
                    let start = Instant::now();
                    let answer = client.send(&Call::post("/").body(order.to_string())).await?;
                    let took = start.elapsed();
                    ensure!(answer.status == 200, "{contender}: {}", answer.text());
                    let seen: Value = serde_json::from_slice(&answer.body)?;
                    if *contender != "nothing" {
                        let first = chosen.get_or_insert_with(|| seen.clone());
                        ensure!(*first == seen, "{contender} chose {seen}, another {first}");
                    }
                    if round >= WARM {
                        times.push(took.as_secs_f64() * 1e6 / f64::from(COUNT));
                    }
                }
            }
        }
        for ((runtime, _), times) in runtimes.iter().zip(times) {
            let [nothing, ..] = &times;
            let nothing = median(nothing.clone());
            for (contender, times) in CONTENDERS.iter().zip(&times).skip(1) {
                let least = times.iter().copied().fold(f64::INFINITY, f64::min);
                let most = times.iter().copied().fold(0.0, f64::max);
                let middle = median(times.clone());
                let _ = writeln!(
                    rows,
                    "| {runtime} | {experiments} | {contender} | {:.2} | {:.2} | {:.2} |",
                    least - nothing,
                    middle - nothing,
                    most - nothing
                );
            }
        }
    }
    Ok(rows)
}

/// A running Node. Dropping it kills it and waits for its end.
struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    fn start(folder: &Path, growthbook: &str) -> Result<Self> {
        let package = folder.join("pkg");
        fs::create_dir(&package)?;
        for entry in fs::read_dir(tools::package()?)? {
            let path = entry?.path();
            if path.is_file() {
                fs::copy(&path, package.join(path.file_name().context("a name")?))?;
            }
        }
        for (name, text) in [
            ("package.json", "{\"type\": \"module\"}"),
            ("contenders.js", LIBRARY),
            ("growthbook.js", growthbook),
            ("server.js", SERVER),
        ] {
            fs::write(folder.join(name), text)?;
        }
        let mut command = Command::new("node");
        command.arg("server.js").current_dir(folder).stdout(Stdio::piped());
        let mut child = command.spawn().context("node cannot be run")?;
        let output = child.stdout.take().context("no output")?;
        let mut node = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let line = BufReader::new(output).lines().next().context("node ended")??;
        node.address.set_port(line.trim().parse().with_context(|| line.clone())?);
        Ok(node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
