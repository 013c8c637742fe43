//! `cargo xtask bench chaos`: collector and upstreams are killed, configs good and bad are swapped in, at random,
//! while requests come; then every count must add up.
//!
//! Three independent accounts are compared: what the client saw of each request (wrk), what Envoy's own access log
//! says of it, and what the filter says: records in the log, counters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use fastrand::Rng;
use serde_json::{Value, json};
use splitway_engine::Document;
use splitway_envoy::load::Answered;
use splitway_envoy::{
    Additions, Collector, Envoy, Exposure, Load, LoadOptions, LoadReport, Origin, eventually, within,
};
use tempfile::TempDir;

use crate::record::{date, keep, machine};
use crate::rig;

/// How long, and which run.
#[derive(Args)]
pub(crate) struct Options {
    /// Minutes of chaos.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Seed of what happens. The same seed gives the same order of events, at times that are not quite the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Milliseconds that each of wrk's 8 connections waits between requests.
    #[arg(long, default_value_t = 8)]
    pause: u32,
    /// Tests the filter that is built already.
    #[arg(long)]
    no_build: bool,
}

const CONNECTIONS: u32 = 8;
/// Least and most milliseconds between two events.
const PAUSES: std::ops::Range<u64> = 50..800;

/// Runs it, prints and keeps what came of it; fails if an invariant does not hold.
pub(super) fn run(options: &Options) -> Result<()> {
    rig::prepare(options.no_build)?;
    let (outcome, events) = chaos(options)?;
    let report = format!(
        "# Chaos, {}\n\nCommand: `cargo xtask bench chaos --minutes {} --seed {} --pause {}`\n\nMachine: {}\n\n{}",
        date()?,
        options.minutes,
        options.seed,
        options.pause,
        machine(),
        outcome.table()
    );
    keep("chaos.csv", &events)?;
    let file = keep("chaos.md", &report)?;
    print!("{report}");
    println!("\n{} and chaos.csv beside it", file.display());
    let broken = outcome.broken();
    ensure!(broken.is_empty(), "these do not hold: {}", broken.join("; "));
    Ok(())
}

/// The whole run: what came of it, and what was done, as CSV.
fn chaos(options: &Options) -> Result<(Outcome, String)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut world = World::start(options.seed).await?;
        let load = LoadOptions {
            units: "u".to_owned(),
            connections: CONNECTIONS,
            pause_ms: options.pause,
            most: None,
            keeps_answers: true,
        };
        let mut load = Load::start(world.envoy.address(), &load)?;
        let length = Duration::from_secs_f64(options.minutes * 60.0);
        while world.began.elapsed() < length {
            let acted = world.act().await;
            acted.with_context(|| world.events.clone())?;
            // The pace of events, and nothing that is waited for.
            tokio::time::sleep(Duration::from_millis(world.random.u64(PAUSES))).await;
        }
        world.recover().await?;
        load.goes_on(100).await?;
        let seen = load.stop().await?;
        let outcome = world.judge(&seen).await?;
        Ok((outcome, world.events))
    })
}

/// An upstream that can be killed.
struct Service {
    name: &'static str,
    address: SocketAddr,
    running: Option<Origin>,
}

struct World {
    envoy: Envoy,
    services: [Service; 2],
    collector_at: SocketAddr,
    collector: Option<Collector>,
    random: Rng,
    began: Instant,
    /// Access log of Envoy.
    folder: TempDir,
    /// Versions of the configs that send to the collector.
    with_collector: BTreeSet<String>,
    /// Of the last good config.
    version: String,
    accepted: u64,
    refused: u64,
    kills: BTreeMap<&'static str, u64>,
    /// Request ids of what collectors have told, in the order of their end.
    told: Vec<String>,
    events: String,
}

const ACCESS_LOG: &str = "access.log";

fn access_log(path: &Path) -> String {
    format!(
        r#"- name: envoy.access_loggers.file
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: {path:?}
    log_format:
      text_format_source:
        inline_string: "%REQ(X-REQUEST-ID)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
"#
    )
}

/// The numbered document; every number is another version.
fn document(number: u64) -> Value {
    let mut document = rig::document();
    document["service_metrics"] = true.into();
    document["exposure"] = json!({ "unit": "raw", "log": true, "otlp": { "cluster": rig::COLLECTOR } });
    document["experiments"][0]["description"] = number.to_string().into();
    document["experiments"][0]["guardrails"] =
        json!([{ "metric": "http_5xx_rate", "max_increase": "1%", "min_requests": 200 }]);
    document
}

/// What a config does to its version: a hash of its content.
fn version(document: &Value) -> Result<String> {
    let document = Document::from_json(document.to_string().as_bytes());
    Ok(splitway_engine::content_hash(&document.map_err(|problems| anyhow::anyhow!("{problems}"))?))
}

impl World {
    async fn start(seed: u64) -> Result<Self> {
        let folder = TempDir::with_prefix("splitway-chaos-")?;
        let collector_at = Collector::free_address()?;
        let collector = Collector::start(collector_at).await?;
        let (v1, v2) = rig::origins().await?;
        let first = document(0);
        let additions = Additions {
            access_logs: vec![access_log(&folder.path().join(ACCESS_LOG))],
            clusters: vec![(rig::COLLECTOR.to_owned(), collector_at)],
            ..Additions::default()
        };
        let envoy = rig::envoy(&first, &v1, &v2, additions).await?;
        let service =
            |name, origin: Origin| Service { name, address: origin.address(), running: Some(origin) };
        let version = version(&first)?;
        Ok(Self {
            envoy,
            services: [service("checkout-v1", v1), service("checkout-v2", v2)],
            collector_at,
            collector: Some(collector),
            random: Rng::with_seed(seed),
            began: Instant::now(),
            folder,
            with_collector: BTreeSet::from([version.clone()]),
            version,
            accepted: 1,
            refused: 0,
            kills: BTreeMap::new(),
            told: Vec::new(),
            events: "ms,event\n".to_owned(),
        })
    }

    fn note(&mut self, event: &str) {
        let _ = writeln!(self.events, "{},{event}", self.began.elapsed().as_millis());
    }

    async fn act(&mut self) -> Result<()> {
        match self.random.u32(0..10) {
            0 => self.toggle_service(0).await,
            1 | 2 => self.toggle_service(1).await,
            3 | 4 => self.toggle_collector().await,
            5..8 => self.good_config().await,
            _ => self.bad_config().await,
        }
    }

    async fn toggle_service(&mut self, index: usize) -> Result<()> {
        let service = &mut self.services[index];
        let name = service.name;
        let event = if service.running.take().is_some() {
            *self.kills.entry(name).or_default() += 1;
            "killed"
        } else {
            service.running = Some(Origin::start(service.address).await?);
            "started"
        };
        self.note(&format!("{name} {event}"));
        Ok(())
    }

    async fn toggle_collector(&mut self) -> Result<()> {
        let event = if let Some(collector) = self.collector.take() {
            *self.kills.entry("collector").or_default() += 1;
            self.told.extend(request_ids(collector)?);
            "killed"
        } else {
            self.collector = Some(Collector::start(self.collector_at).await?);
            "started"
        };
        self.note(&format!("collector {event}"));
        Ok(())
    }

    async fn good_config(&mut self) -> Result<()> {
        let mut next = document(self.accepted);
        let experiment = &mut next["experiments"][0];
        let what = match self.random.u32(0..7) {
            0 => {
                experiment["variants"][1]["weight"] = 20.into();
                experiment["variants"][0]["weight"] = 80.into();
                "other weights"
            }
            1 => {
                next["kill_switch"] = true.into();
                "killed"
            }
            2 => {
                experiment["status"] = "rolled_back".into();
                "rolled back"
            }
            3 => {
                experiment["traffic"] = "30%".into();
                "less traffic"
            }
            4 => {
                next["exposure"] = json!({ "unit": "raw", "log": true });
                "no collector"
            }
            5 => {
                experiment["guardrails"] = json!([]);
                "no guardrail"
            }
            _ => "another description",
        };
        self.swap(&next, what).await
    }

    async fn swap(&mut self, next: &Value, what: &str) -> Result<()> {
        self.envoy.swap_accepted(&next.to_string()).await?;
        self.version = version(next)?;
        if next["exposure"]["otlp"].is_object() {
            self.with_collector.insert(self.version.clone());
        }
        self.accepted += 1;
        self.note(&format!("good config: {what}"));
        Ok(())
    }

    async fn bad_config(&mut self) -> Result<()> {
        // Envoy does not try what it has just refused, and counts it as a success.
        let number = self.refused;
        let mut next = document(u64::MAX - number);
        let (what, text) = match self.random.u32(0..5) {
            0 => ("no JSON", format!("{{ not json {number}")),
            1 => ("half of one", next.to_string().split_at(next.to_string().len() / 2).0.to_owned()),
            2 => {
                next["experiments"][0]["varaints"] = json!([]);
                ("unknown field", next.to_string())
            }
            3 => {
                next["version"] = 99.into();
                ("another format", next.to_string())
            }
            _ => {
                next["experiments"][0]["variants"][0]["weight"] = (-1).into();
                ("negative weight", next.to_string())
            }
        };
        self.envoy.swap_refused(&text).await?;
        self.refused += 1;
        self.note(&format!("bad config: {what}"));
        Ok(())
    }

    /// Everything runs, under a config with everything on.
    async fn recover(&mut self) -> Result<()> {
        for index in 0..self.services.len() {
            if self.services[index].running.is_none() {
                self.toggle_service(index).await?;
            }
        }
        if self.collector.is_none() {
            self.toggle_collector().await?;
        }
        self.swap(&document(self.accepted), "the last").await
    }

    async fn judge(&mut self, seen: &LoadReport) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let log_phases = |stats: &BTreeMap<String, u64>| -> u64 {
            let own = stats.iter().filter(|(name, _)| name.starts_with("wasmcustom.splitway.responses"));
            own.map(|(_, count)| count).sum()
        };
        eventually("requests on their way to end", async || {
            let stats = self.envoy.stats().await?;
            Ok((log_phases(&stats) == rig::counts(&stats)[0]).then_some(()))
        })
        .await?;
        let records = self.records()?;
        let emitted =
            records.iter().filter(|record| self.with_collector.contains(&record.version)).count() as u64;
        // Batches wait for up to 30 s before they are tried again.
        let settled = within(Duration::from_secs(90), "records to be delivered or dropped", async || {
            let [_, counted, delivered, dropped] = rig::counts(&self.envoy.stats().await?);
            Ok((counted >= emitted && delivered + dropped == counted).then_some(()))
        })
        .await;
        let stats = self.envoy.stats().await?;
        let lines = self.access_log().await?;

        outcome.happened(&self.kills, self.accepted, self.refused, seen);
        outcome.statuses(&lines);
        outcome.answers(seen, &lines);
        outcome.exposures(seen, &lines, &records);
        outcome.deliveries(&stats, emitted, records.len() as u64, settled.is_ok());
        let last = self.collector.take().context("it was started again")?;
        self.told.extend(request_ids(last)?);
        outcome.collector(&self.told, &records, &self.with_collector, &stats);
        self.config(&mut outcome, &stats).await?;
        Ok(outcome)
    }

    async fn config(&self, outcome: &mut Outcome, stats: &BTreeMap<String, u64>) -> Result<()> {
        let shown =
            stats.get("wasmcustom.splitway.config_version.namespace.shop").copied().unwrap_or_default();
        let expected = u64::from_str_radix(self.version.get(..12).unwrap_or_default(), 16)?;
        outcome.must(
            "the gauge of the config's version is that of the last good config",
            shown == expected,
            format!("{shown:012x}, version {}", self.version),
        );
        let updates = self.envoy.updates().await?;
        outcome.must(
            "every good config was accepted, every bad one refused and counted",
            (updates.accepted, updates.refused) == (self.accepted, self.refused),
            format!("{} and {}", updates.accepted, updates.refused),
        );
        let of = |part: &str| -> u64 {
            stats.iter().filter(|(name, _)| name.contains(part)).map(|(_, count)| count).sum()
        };
        let (reloads, failures) = (of("vm_reload"), of("hostcall_failures"));
        outcome.must(
            "no VM was started again, no hostcall failed",
            (reloads, failures) == (0, 0) && !self.envoy.log()?.contains("panicked"),
            format!("{reloads} and {failures}"),
        );
        Ok(())
    }

    /// The records in Envoy's log.
    fn records(&self) -> Result<Vec<Record>> {
        Ok(self
            .envoy
            .log()?
            .lines()
            .filter_map(Exposure::in_line)
            .map(|exposure| Record::of(&exposure))
            .collect())
    }

    /// All of Envoy's access log, by request id.
    async fn access_log(&self) -> Result<BTreeMap<String, Line>> {
        self.envoy.flush_access_logs().await?;
        eventually("all of the access log", async || {
            let text = std::fs::read_to_string(self.folder.path().join(ACCESS_LOG))?;
            let total = self.envoy.stats().await?.get("http.ingress.downstream_rq_total").copied();
            if total.is_none_or(|total| text.lines().count() as u64 != total) {
                return Ok(None);
            }
            text.lines()
                .map(|line| Line::read(line).with_context(|| line.to_owned()))
                .collect::<Result<_>>()
                .map(Some)
        })
        .await
    }
}

/// What a collector has told until it was killed.
fn request_ids(collector: Collector) -> Result<Vec<String>> {
    let id = |record: &splitway_envoy::collector::LogRecord| {
        let shown = record.attributes.get("splitway.request_id")?;
        Some(shown.trim_start_matches("Str(").trim_end_matches(')').to_owned())
    };
    Ok(collector.kill()?.iter().filter_map(id).collect())
}

/// Of an exposure record, what is compared.
struct Record {
    request_id: String,
    stamp: String,
    version: String,
    unit: String,
    status: u16,
}

impl Record {
    fn of(exposure: &Exposure) -> Self {
        let status = exposure.get("http.response.status_code").as_u64().unwrap_or_default();
        Self {
            request_id: exposure.text("splitway.request_id").to_owned(),
            stamp: format!("{}={}", exposure.experiment(), exposure.variant()),
            version: exposure.text("feature_flag.version").to_owned(),
            unit: exposure.text("feature_flag.context.id").to_owned(),
            status: u16::try_from(status).unwrap_or_default(),
        }
    }
}

/// A line of the access log.
struct Line {
    status: u16,
    flags: String,
    /// Without what stands in braces.
    details: String,
}

impl Line {
    fn read(line: &str) -> Option<(String, Self)> {
        let mut words = line.splitn(4, ' ');
        let (id, status) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let flags = words.next()?.to_owned();
        let details = words.next()?.split('{').next()?.to_owned();
        Some((id, Self { status, flags, details }))
    }

    /// Whether an upstream that was not there explains it.
    fn is_upstreams(&self) -> bool {
        let is_gone = ["UF", "UC", "UH"].contains(&self.flags.as_str());
        is_gone
            && (self.details.starts_with("upstream_reset_before_response_started")
                || self.details == "no_healthy_upstream")
    }
}

/// What is known at the end.
#[derive(Default)]
struct Outcome {
    text: String,
    /// What must be, whether it is, and the numbers.
    invariants: Vec<(&'static str, bool, String)>,
}

impl Outcome {
    fn must(&mut self, what: &'static str, holds: bool, numbers: impl Into<String>) {
        self.invariants.push((what, holds, numbers.into()));
    }

    fn broken(&self) -> Vec<String> {
        self.invariants
            .iter()
            .filter(|(_, holds, _)| !holds)
            .map(|(what, _, n)| format!("{what} ({n})"))
            .collect()
    }

    fn table(&self) -> String {
        let mut text = format!("{}\n| | | |\n|---|---|---|\n", self.text);
        for (what, holds, numbers) in &self.invariants {
            let verdict = if *holds { "holds" } else { "**broken**" };
            let _ = writeln!(text, "| {what} | {verdict} | {numbers} |");
        }
        text
    }

    fn happened(&mut self, kills: &BTreeMap<&str, u64>, accepted: u64, refused: u64, seen: &LoadReport) {
        let kills: Vec<String> = kills.iter().map(|(name, count)| format!("{name} {count} times")).collect();
        let _ = writeln!(
            self.text,
            "Killed: {}. {accepted} good configs, {refused} bad ones. {} requests answered by wrk's account, p50 {:.0} us, \
             p99 {:.0} us, {} socket errors.\n",
            kills.join(", "),
            seen.answered,
            seen.p50,
            seen.p99,
            seen.socket_errors
        );
    }

    fn statuses(&mut self, lines: &BTreeMap<String, Line>) {
        let mut kinds: BTreeMap<(u16, &str, &str), u64> = BTreeMap::new();
        for line in lines.values() {
            *kinds.entry((line.status, &line.flags, &line.details)).or_default() += 1;
        }
        self.text
            .push_str("Envoy's access log:\n\n| status | flags | details | requests |\n|--:|---|---|--:|\n");
        for ((status, flags, details), count) in kinds {
            let _ = writeln!(self.text, "| {status} | {flags} | {details} | {count} |");
        }
        let server_errors: Vec<&Line> = lines.values().filter(|line| line.status >= 500).collect();
        let ours = server_errors.iter().filter(|line| !line.is_upstreams()).count();
        self.must(
            "no 5xx of ours: each is Envoy's own, for an upstream that was not there",
            ours == 0,
            format!("{} of upstreams, {ours} others", server_errors.len() - ours),
        );
    }

    fn answers(&mut self, seen: &LoadReport, lines: &BTreeMap<String, Line>) {
        let told = |answer: &&Answered| {
            lines.get(&answer.request_id).is_some_and(|line| line.status == answer.status)
        };
        let agreed = seen.answers.iter().filter(told).count();
        self.must(
            "client and access log agree on the status of every request",
            agreed == seen.answers.len() && agreed as u64 == seen.answered,
            format!("{agreed} of {}", seen.answered),
        );
    }

    fn exposures(&mut self, seen: &LoadReport, lines: &BTreeMap<String, Line>, records: &[Record]) {
        let by_id: BTreeMap<&str, &Record> =
            records.iter().map(|record| (record.request_id.as_str(), record)).collect();
        let units: BTreeSet<&str> = records.iter().map(|record| record.unit.as_str()).collect();
        self.must(
            "no request and no unit has two records",
            by_id.len() == records.len() && units.len() == records.len(),
            format!("{} records", records.len()),
        );
        let is_told = |answer: &Answered| match by_id.get(answer.request_id.as_str()) {
            None => answer.stamp.is_empty(),
            Some(record) => record.stamp == answer.stamp && record.status == answer.status,
        };
        let wrong = seen.answers.iter().filter(|answer| !is_told(answer)).count();
        let stamped = seen.answers.iter().filter(|answer| !answer.stamp.is_empty()).count();
        self.must(
            "each request with a stamp has one record, of that variant and status, others have none",
            wrong == 0,
            format!("{stamped} with, {} without, {wrong} wrong", seen.answers.len() - stamped),
        );
        let answered: BTreeSet<&str> = seen.answers.iter().map(|answer| answer.request_id.as_str()).collect();
        let unread: Vec<&str> = by_id.keys().filter(|id| !answered.contains(*id)).copied().collect();
        let known = unread.iter().all(|id| lines.contains_key(*id));
        self.must(
            "records beyond that are of requests whose answer wrk did not read",
            known && unread.len() as u64 <= u64::from(CONNECTIONS) + seen.socket_errors,
            format!("{}", unread.len()),
        );
    }

    fn deliveries(&mut self, stats: &BTreeMap<String, u64>, expected: u64, records: u64, settled: bool) {
        let [assigned, emitted, delivered, dropped] = rig::counts(stats);
        self.must("as many records as assignments", assigned == records, format!("{records} and {assigned}"));
        self.must(
            "emitted: the records of configs with a collector",
            emitted == expected,
            format!("{emitted} of {expected}"),
        );
        let reasons: Vec<String> = stats
            .iter()
            .filter_map(|(name, count)| {
                let reason = name.strip_prefix("wasmcustom.splitway.exposures_dropped.reason.")?;
                (*count > 0).then(|| format!("{count} {reason}"))
            })
            .collect();
        self.must(
            "emitted = delivered + dropped, each drop with a reason, nothing held back",
            settled && emitted == delivered + dropped,
            format!("{emitted} = {delivered} + {dropped} ({})", reasons.join(", ")),
        );
    }

    /// A collector that is killed may have taken records that it has not told, or told some that it had no time to
    /// acknowledge; those are sent again.
    fn collector(
        &mut self,
        told: &[String],
        records: &[Record],
        versions: &BTreeSet<String>,
        stats: &BTreeMap<String, u64>,
    ) {
        let sent: BTreeSet<&str> = records
            .iter()
            .filter(|record| versions.contains(&record.version))
            .map(|record| record.request_id.as_str())
            .collect();
        let unique: BTreeSet<&str> = told.iter().map(String::as_str).collect();
        self.must(
            "collectors have told of no record that was not emitted",
            unique.is_subset(&sent),
            format!(
                "{} told, {} of them twice; {} acknowledged",
                unique.len(),
                told.len() - unique.len(),
                rig::counts(stats)[2]
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitway_envoy::{load, skip, tools};

    #[test]
    fn twenty_seconds_of_chaos() {
        const NAME: &str = "twenty_seconds_of_chaos";
        if !Load::is_installed() {
            return skip::skip(NAME, load::MISSING);
        }
        if let Err(error) = tools::collector() {
            return skip::skip(NAME, &format!("{error:#}"));
        }
        let options = Options { minutes: 1.0 / 3.0, seed: 7, pause: 8, no_build: true };
        let (outcome, events) = chaos(&options).expect("a run");
        println!("{}\n{events}", outcome.table());
        assert_eq!(outcome.broken(), Vec::<String>::new());
        // It was chaos.
        for event in ["checkout-v2 killed", "collector killed", "good config", "bad config"] {
            assert!(events.contains(event), "no {event}:\n{events}");
        }
    }

    #[test]
    fn an_error_of_ours_is_not_taken_for_an_upstreams() {
        let (id, line) =
            Line::read("a-1 503 UF upstream_reset_before_response_started{remote_connection_failure|x y}")
                .expect("a line");
        assert_eq!((id.as_str(), line.details.as_str()), ("a-1", "upstream_reset_before_response_started"));
        assert!(line.is_upstreams());
        for ours in ["a 503 - wasm_fail_stream", "a 500 - via_upstream", "a 503 NC cluster_not_found"] {
            assert!(!Line::read(ours).expect("a line").1.is_upstreams(), "{ours}");
        }
    }

    #[test]
    fn what_does_not_add_up_is_told() {
        let answer = |id: &str, stamp: &str| Answered {
            status: 200,
            request_id: id.to_owned(),
            stamp: stamp.to_owned(),
        };
        let record = |id: &str, unit: &str| Record {
            request_id: id.to_owned(),
            stamp: "e=a".to_owned(),
            version: String::new(),
            unit: unit.to_owned(),
            status: 200,
        };
        let line = || Line { status: 200, flags: "-".to_owned(), details: "via_upstream".to_owned() };
        let lines = BTreeMap::from([("1".to_owned(), line()), ("2".to_owned(), line())]);
        let broken = |answers: Vec<Answered>, records: &[Record]| {
            let seen = LoadReport { answers, ..LoadReport::default() };
            let mut outcome = Outcome::default();
            outcome.exposures(&seen, &lines, records);
            outcome.broken().len()
        };
        assert_eq!(broken(vec![answer("1", "e=a"), answer("2", "")], &[record("1", "u1")]), 0);
        assert_eq!(broken(vec![answer("1", "e=a")], &[]), 1, "lost");
        assert_eq!(broken(vec![answer("1", "e=a")], &[record("1", "u1"), record("1", "u1")]), 1, "doubled");
        assert_eq!(broken(vec![answer("1", "e=b")], &[record("1", "u1")]), 1, "of another variant");
        assert_eq!(broken(vec![answer("1", "")], &[record("1", "u1")]), 1, "of nobody");
        assert_eq!(broken(vec![], &[record("3", "u1")]), 1, "of a request that Envoy does not know");
    }
}
