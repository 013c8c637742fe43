//! Load generators: wrk for HTTP/1, h2load for HTTP/2.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use splitway_tools::shell;

/// How clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// What a generator saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Latencies in microseconds, with the proxy saturated.
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Connections; on HTTP/2 with [`STREAMS`] requests at a time each.
const CONNECTIONS: &str = "16";
const STREAMS: &str = "4";

/// A browser's headers; the unit comes after them.
const HEADERS: [(&str, &str); 6] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://shop.example/"),
    ("sec-fetch-mode", "navigate"),
];

/// Fails unless the programs are there.
pub(super) fn check() -> Result<()> {
    for (program, package) in [("wrk", "wrk"), ("h2load", "nghttp2-client"), ("taskset", "util-linux")] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output()?;
        ensure!(found.status.success(), "{program} is needed: apt-get install {package}");
    }
    Ok(())
}

/// Sends requests for some seconds, as many as are answered. `core` is where the generator runs.
pub(super) fn send(
    to: SocketAddr,
    protocol: Protocol,
    seconds: u32,
    core: Option<u32>,
    folder: &Path,
) -> Result<Seen> {
    match protocol {
        Protocol::Http1 => wrk(to, seconds, core, folder),
        Protocol::Http2 => h2load(to, seconds, core, folder),
    }
}

fn pinned(program: &str, core: Option<u32>) -> Command {
    match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core.to_string(), program]);
            command
        }
    }
}

fn wrk(to: SocketAddr, seconds: u32, core: Option<u32>, folder: &Path) -> Result<Seen> {
    let script = folder.join("requests.lua");
    fs::write(&script, requests())?;
    let mut command = pinned("wrk", core);
    command.args(["--threads", "1", "--connections", CONNECTIONS, "--latency"]);
    command.args(["--duration", &format!("{seconds}s"), "--script"]).arg(script);
    command.arg(format!("http://{to}/checkout/cart?step=2"));
    let said = shell::output(command)?;
    wrk_said(&said).with_context(|| format!("wrk said:\n{said}"))
}

/// 1,000 units in turn, their requests made beforehand.
fn requests() -> String {
    let headers: String =
        HEADERS.iter().map(|(name, value)| format!("  [\"{name}\"] = \"{value}\",\n")).collect();
    format!(
        r#"local headers = {{
{headers}}}
local requests, next = {{}}, 0
function init()
  for n = 0, 999 do
    headers["cookie"] = string.format("theme=dark; consent=yes; uid=1c9f3a1e-5d1c-4a77-9b8e-%012d", n)
    requests[n] = wrk.format("GET", nil, headers)
  end
end
function request()
  next = (next + 1) % 1000
  return requests[next]
end
"#
    )
}

fn wrk_said(said: &str) -> Result<Seen> {
    let value = |label: &str| said.lines().find_map(|line| Some(line.trim().strip_prefix(label)?.trim()));
    if let Some(bad) = value("Non-2xx or 3xx responses:").or_else(|| value("Socket errors:")) {
        bail!("not every request was answered with 200: {bad}");
    }
    let requests = said.lines().find_map(|line| line.split_once(" requests in "));
    let (requests, _) = requests.context("no number of requests")?;
    Ok(Seen {
        requests: requests.trim().parse()?,
        per_second: value("Requests/sec:").context("no rate")?.parse()?,
        p50: microseconds(value("50%").context("no median")?)?,
        p99: microseconds(value("99%").context("no percentile")?)?,
    })
}

/// `1.23ms` and its like.
fn microseconds(text: &str) -> Result<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = found.with_context(|| format!("{text} is no time"))?;
    Ok(number.parse::<f64>()? * factor)
}

/// h2load sends the same headers always, so there is one unit.
fn h2load(to: SocketAddr, seconds: u32, core: Option<u32>, folder: &Path) -> Result<Seen> {
    let log = folder.join("h2load.log");
    let mut command = pinned("h2load", core);
    command.args(["--clients", CONNECTIONS, "--max-concurrent-streams", STREAMS, "--threads", "1"]);
    command.args(["--duration", &format!("{seconds}s")]);
    for (name, value) in HEADERS {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    command.args(["--header", "cookie: theme=dark; consent=yes; uid=1c9f3a1e-5d1c-4a77-9b8e-0a6f1f3d2c11"]);
    command.arg(format!("--log-file={}", log.display()));
    command.arg(format!("http://{to}/checkout/cart?step=2"));
    let said = shell::output(command)?;
    let latencies = fs::read_to_string(&log)?;
    fs::remove_file(&log)?;
    h2load_said(&said, &latencies).with_context(|| format!("h2load said:\n{said}"))
}

fn h2load_said(said: &str, log: &str) -> Result<Seen> {
    let line = |start: &str| said.lines().find(|line| line.starts_with(start));
    let counts = line("requests:").context("no number of requests")?;
    let count = |label: &str| {
        let before = counts.split(&[' ', ','][..]).collect::<Vec<_>>();
        let at = before.iter().position(|word| *word == label)?;
        before.get(at.checked_sub(1)?)?.parse::<u64>().ok()
    };
    let done = count("done").context("no `done`")?;
    ensure!(count("failed") == Some(0), "not every request was answered: {counts}");
    let statuses = line("status codes:").context("no status codes")?;
    ensure!(statuses.contains(" 0 3xx, 0 4xx, 0 5xx"), "not every answer was 200: {statuses}");
    let rate = line("finished in").and_then(|line| line.split(", ").nth(1)?.strip_suffix(" req/s"));
    let mut latencies: Vec<f64> =
        log.lines().filter_map(|line| line.split('\t').nth(2)?.trim().parse().ok()).collect();
    latencies.sort_by(f64::total_cmp);
    let at = |share: usize| latencies.get(latencies.len() * share / 100).copied().context("no latencies");
    Ok(Seen {
        requests: done,
        per_second: rate.context("no rate")?.trim().parse()?,
        p50: at(50)?,
        p99: at(99)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 16 connections\n  \
        Latency Distribution\n     50%  456.00us\n     75%  500.00us\n     90%  0.90ms\n     99%    1.20ms\n  \
        66000 requests in 2.01s, 9.1MB read\nRequests/sec:  32835.80\nTransfer/sec:      4.5MB\n";

    #[test]
    fn wrks_numbers() {
        let seen = wrk_said(WRK).expect("read");
        assert_eq!(seen, Seen { requests: 66_000, per_second: 32_835.8, p50: 456.0, p99: 1_200.0 });
        assert!(wrk_said(&format!("{WRK}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(wrk_said(&format!("{WRK}  Socket errors: connect 0, read 0, write 0, timeout 1\n")).is_err());
    }

    #[test]
    fn h2loads_numbers() {
        let said = "finished in 2.00s, 40000.50 req/s, 3.1MB/s\n\
            requests: 80001 total, 80065 started, 80001 done, 80001 succeeded, 0 failed, 0 errored, 0 timeout\n\
            status codes: 80001 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        let log: String = (1..=100).map(|n| format!("1700000000\t200\t{n}\n")).collect();
        let seen = h2load_said(said, &log).expect("read");
        assert_eq!(seen, Seen { requests: 80_001, per_second: 40_000.5, p50: 51.0, p99: 100.0 });
        assert!(h2load_said(&said.replace("0 failed", "2 failed"), &log).is_err());
        assert!(h2load_said(&said.replace("0 5xx", "9 5xx"), &log).is_err());
    }
}
