//! Load by wrk, every request of a unit of its own, and every answer kept: what a client saw, to be compared
//! with what the proxy says.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::poll::eventually;

/// How to get wrk.
pub const MISSING: &str = "no wrk: apt-get install wrk";

/// Seconds after which a generator that nobody stops ends.
const LONGEST: u32 = 3_600;

/// How much.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Begins the unit of every request: `u` makes `u1`, `u2`, … Letters, digits and `-`.
    pub units: String,
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// Milliseconds that a connection waits before its next request; 0 for as many as are answered.
    pub pause_ms: u32,
    /// About how many requests are sent at most, give or take one for each connection; `None` for no bound.
    pub most: Option<u32>,
    /// Keeps every answer. Without, they are only counted.
    pub keeps_answers: bool,
}

/// A running wrk. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Load {
    child: Child,
    folder: TempDir,
}

/// An answer as the client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// `x-request-id`; empty without one.
    pub request_id: String,
    /// `x-splitway`; empty without one.
    pub stamp: String,
}

/// What wrk has seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReport {
    /// Requests written, those that had no answer at the end included: the last of them is unit `sent`.
    pub sent: u64,
    /// Answers.
    pub answered: u64,
    /// Answers with a status of 400 and more.
    pub bad_statuses: u64,
    /// Connections that could not be made, were cut or timed out.
    pub socket_errors: u64,
    /// Latencies in microseconds.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// In the order of their arrival.
    pub answers: Vec<Answered>,
}

impl Load {
    /// Whether wrk is on the PATH.
    #[must_use]
    pub fn is_installed() -> bool {
        Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }

    /// Begins to send `GET /` in one thread, `x-user-id` being a unit that no other request has.
    ///
    /// # Errors
    /// When wrk is missing.
    pub fn start(to: SocketAddr, options: &LoadOptions) -> Result<Self> {
        let folder = TempDir::with_prefix("splitway-load-")?;
        let script = folder.path().join("load.lua");
        fs::write(&script, SCRIPT)?;
        fs::write(folder.path().join(ANSWERS), "")?;
        let child = Command::new("wrk")
            .args(["--threads", "1", "--timeout", "20s"])
            .args(["--connections", &options.connections.to_string()])
            .args(["--duration", &format!("{LONGEST}s"), "--script"])
            .arg(&script)
            .arg(format!("http://{to}/"))
            .arg("--")
            .arg(folder.path())
            .arg(options.pause_ms.to_string())
            .arg(u8::from(options.keeps_answers).to_string())
            .arg(&options.units)
            .arg(options.most.unwrap_or(u32::MAX).to_string())
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.path().join("said"))?)
            .stderr(Stdio::null())
            .spawn()
            .context(MISSING)?;
        Ok(Self { child, folder })
    }

    /// Answers that have been written down so far.
    ///
    /// # Errors
    /// When wrk has ended, or the file cannot be read.
    pub fn answers(&mut self) -> Result<usize> {
        if let Some(status) = self.child.try_wait()? {
            bail!("wrk ended with {status}: {}", self.said());
        }
        Ok(fs::read(self.folder.path().join(ANSWERS))?.iter().filter(|byte| **byte == b'\n').count())
    }

    /// Waits for `more` answers than there are now.
    ///
    /// # Errors
    /// When they do not come.
    pub async fn goes_on(&mut self, more: usize) -> Result<()> {
        let wanted = self.answers()? + more;
        self.has_answered(wanted).await
    }

    /// Waits for `wanted` answers in all.
    ///
    /// # Errors
    /// When they do not come.
    pub async fn has_answered(&mut self, wanted: usize) -> Result<()> {
        eventually("more answers", async || Ok((self.answers()? >= wanted).then_some(()))).await
    }

    /// Ends it. Requests that are on their way get no answer: at most as many as there are connections.
    ///
    /// # Errors
    /// When wrk does not tell what it has seen.
    pub async fn stop(mut self) -> Result<LoadReport> {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-INT", &id]).status()?;
        ensure!(killed.success(), "wrk has ended: {}", self.said());
        let status = eventually("wrk to end", async || Ok(self.child.try_wait()?)).await?;
        ensure!(status.success(), "wrk ended with {status}: {}", self.said());
        report(self.folder.path()).with_context(|| self.said())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn report(folder: &Path) -> Result<LoadReport> {
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("summary"))?)?;
    let number = |name: &str| summary[name].as_u64().with_context(|| format!("no {name} in {summary}"));
    let time = |name: &str| summary[name].as_f64().with_context(|| format!("no {name} in {summary}"));
    let text = fs::read_to_string(folder.join(ANSWERS))?;
    let answers = text.lines().map(|line| answered(line).with_context(|| line.to_owned()));
    Ok(LoadReport {
        sent: number("sent")?,
        answered: number("answered")?,
        bad_statuses: number("bad_statuses")?,
        socket_errors: number("socket_errors")?,
        p50: time("p50")?,
        p99: time("p99")?,
        answers: answers.collect::<Result<_>>()?,
    })
}

fn answered(line: &str) -> Option<Answered> {
    let mut parts = line.splitn(3, ' ');
    let status = parts.next()?.parse().ok()?;
    Some(Answered { status, request_id: parts.next()?.to_owned(), stamp: parts.next()?.to_owned() })
}

const ANSWERS: &str = "answers";

/// wrk has a Lua state for each thread, and one more, in which `done` runs.
const SCRIPT: &str = r#"
local thread
function setup(created)
  thread = created
end

function init(arguments)
  folder, pause, units = arguments[1], tonumber(arguments[2]), arguments[4]
  local bound = tonumber(arguments[5])
  -- wrk asks for one request that it does not send.
  sent = -1
  most = bound < 4294967295 and bound or math.huge
  if pause == 0 and most == math.huge then delay = nil end
  if arguments[3] == "1" then
    local answers = assert(io.open(folder .. "/answers", "w"))
    answers:setvbuf("line")
    function response(status, headers)
      answers:write(status, " ", headers["x-request-id"] or "", " ", headers["x-splitway"] or "", "\n")
    end
  end
end

function request()
  sent = sent + 1
  return "GET / HTTP/1.1\r\nhost: shop.example\r\nx-user-id: " .. units .. sent .. "\r\n\r\n"
end

function delay()
  return sent < most and pause or 3600000
end

function done(summary, latency)
  local errors = summary.errors
  local file = assert(io.open(thread:get("folder") .. "/summary", "w"))
  file:write(string.format(
    '{"sent":%d,"answered":%d,"bad_statuses":%d,"socket_errors":%d,"p50":%d,"p99":%d}',
    thread:get("sent"), summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
  file:close()
end
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Upstream, skip};

    #[tokio::test]
    async fn every_request_is_told() {
        if !Load::is_installed() {
            return skip::skip("every_request_is_told", MISSING);
        }
        let upstream = Upstream::scripted("own", |seen| crate::Reply {
            status: if seen.header("x-user-id") == Some("u2") { 500 } else { 200 },
            headers: vec![(
                "x-request-id".into(),
                seen.header("x-user-id").unwrap_or_default().to_owned().into_bytes().into(),
            )],
            ..crate::Reply::default()
        })
        .expect("an upstream");
        let options = LoadOptions {
            units: "u".to_owned(),
            connections: 4,
            pause_ms: 1,
            most: None,
            keeps_answers: true,
        };
        let mut load = Load::start(upstream.address(), &options).expect("started");
        load.goes_on(50).await.expect("answers");
        let report = load.stop().await.expect("a report");
        assert_eq!((report.bad_statuses, report.socket_errors), (1, 0), "{report:?}");
        assert_eq!(report.answers.len() as u64, report.answered);
        assert!(report.answered >= 50 && report.sent - report.answered <= 4, "{report:?}");
        assert!(report.p99 >= report.p50 && report.p50 > 0.0, "{report:?}");
        let bad: Vec<_> = report.answers.iter().filter(|answer| answer.status != 200).collect();
        let expected = Answered { status: 500, request_id: "u2".to_owned(), stamp: String::new() };
        assert_eq!(bad, [&expected]);
        let units: std::collections::BTreeSet<_> =
            report.answers.iter().map(|a| a.request_id.clone()).collect();
        assert_eq!(units.len(), report.answers.len(), "each unit once");
        let seen = upstream.requests();
        assert!(seen.iter().all(|seen| seen.header("x-user-id") != Some("u0")), "the first is u1");
        let beyond = format!("u{}", report.sent + 1);
        assert!(
            seen.iter().all(|seen| seen.header("x-user-id") != Some(&*beyond)),
            "u{} is the last",
            report.sent
        );
    }

    #[test]
    fn a_line_is_read() {
        let answer = Answered { status: 200, request_id: "a-b".into(), stamp: "e=a, f=b".into() };
        assert_eq!(answered("200 a-b e=a, f=b"), Some(answer));
        let bare = Answered { status: 503, request_id: String::new(), stamp: String::new() };
        assert_eq!(answered("503  "), Some(bare));
        assert_eq!(answered("what"), None);
    }
}
