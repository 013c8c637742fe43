//! `cargo xtask bench kill`: how long it takes until the last worker serves without a variant: from the new file of
//! the kill switch, and from the request that lets a guardrail judge.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use splitway_envoy::{
    Additions, Call, Client, Collector, DEADLINE, Envoy, Load, LoadOptions, Origin, eventually,
};
use tokio::task::JoinSet;

use crate::numbers::percentile;
use crate::record::{date, keep, machine};
use crate::rig;

/// How often.
#[derive(Args)]
pub(crate) struct Options {
    /// Kills, every other one of them of one experiment, the others of all.
    #[arg(long, default_value_t = 50)]
    swaps: u32,
    /// Guardrails that trip.
    #[arg(long, default_value_t = 20)]
    trips: u32,
    /// Milliseconds that each of wrk's 16 connections waits between requests; 0 saturates the machine.
    #[arg(long, default_value_t = 4)]
    pause: u32,
    /// Measures the filter that is built already.
    #[arg(long)]
    no_build: bool,
}

/// Connections that watch. So many that both workers have some, which is checked.
const PROBES: usize = 16;
/// Between two requests of a probe.
const PAUSE: Duration = Duration::from_millis(1);

/// One kill, in milliseconds from the rename.
struct Kill {
    kind: &'static str,
    /// Until the first connection had an answer without the variant.
    first: f64,
    /// Until the last one had.
    last: f64,
}

/// Measures, prints and keeps the table.
pub(super) fn run(options: &Options) -> Result<()> {
    rig::prepare(options.no_build)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (kills, seen) = runtime.block_on(measure(options))?;
    let trips = runtime.block_on(measure_trips(options))?;
    let report = format!(
        "# Kill by file swap, {}\n\nCommand: `cargo xtask bench kill --swaps {} --trips {} --pause {}`\n\nMachine: {}\n\n{}{}",
        date()?,
        options.swaps,
        options.trips,
        options.pause,
        machine(),
        table(&kills, &seen),
        table_of_trips(&trips)
    );
    let mut csv = String::from("swap,kind,first_ms,last_ms\n");
    for (number, kill) in kills.iter().enumerate() {
        let _ = writeln!(csv, "{number},{},{:.3},{:.3}", kill.kind, kill.first, kill.last);
    }
    for (number, trip) in trips.iter().enumerate() {
        let _ = writeln!(csv, "{number},guardrail,,{trip:.3}");
    }
    keep("kill.csv", &csv)?;
    let file = keep("kill.md", &report)?;
    print!("{report}");
    println!("\n{} and kill.csv beside it", file.display());
    Ok(())
}

/// What the load had.
struct Seen {
    answered: u64,
    per_second: f64,
    probed: u64,
}

fn table(kills: &[Kill], seen: &Seen) -> String {
    let mut text = format!(
        "Envoy with 2 workers under {:.0} requests/s of wrk. From the rename of the new file until each of {PROBES} \
         connections, some on either worker, has its first answer without the variant; they ask every \
         millisecond. {} requests of wrk and {} of the connections, every one answered with 200.\n\n\
         | kills | p50 ms | p99 ms | max ms | first worker, p50 ms |\n|---|--:|--:|--:|--:|\n",
        seen.per_second, seen.answered, seen.probed
    );
    for (name, kind) in
        [("all", None), ("`kill_switch: true`", Some(ALL)), ("`status: rolled_back`", Some(ONE))]
    {
        let of = |value: fn(&Kill) -> f64| -> Vec<f64> {
            kills.iter().filter(|kill| kind.is_none_or(|kind| kill.kind == kind)).map(value).collect()
        };
        let last = of(|kill| kill.last);
        let _ = writeln!(
            text,
            "| {} {name} | {:.1} | {:.1} | {:.1} | {:.1} |",
            last.len(),
            percentile(&last, 50.0),
            percentile(&last, 99.0),
            percentile(&last, 100.0),
            percentile(&of(|kill| kill.first), 50.0),
        );
    }
    text
}

const ALL: &str = "kill_switch";
const ONE: &str = "rolled_back";

/// The document with everything, or the experiment, switched off.
fn killed(kind: &str, number: u32) -> Value {
    let mut document = numbered(number);
    match kind {
        ALL => document["kill_switch"] = true.into(),
        _ => document["experiments"][0]["status"] = "rolled_back".into(),
    }
    document
}

/// No two configs are the same.
fn numbered(number: u32) -> Value {
    let mut document = rig::document();
    document["experiments"][0]["description"] = number.to_string().into();
    document
}

async fn measure(options: &Options) -> Result<(Vec<Kill>, Seen)> {
    let (v1, v2) = rig::origins().await?;
    let envoy = rig::envoy(&numbered(0), &v1, &v2, Additions::default()).await?;
    let call = treated(&envoy).await?;
    let clients: Vec<Client> = (0..PROBES).map(|_| envoy.http1()).collect();
    for client in &clients {
        client.send(&call).await?;
    }
    ensure!(
        workers_met(&envoy).await? == BTreeSet::from([0, 1]),
        "a worker has none of {PROBES} connections"
    );
    let began = Instant::now();
    let load = LoadOptions {
        units: "u".to_owned(),
        connections: 16,
        pause_ms: options.pause,
        most: None,
        keeps_answers: false,
    };
    let load = Load::start(envoy.address(), &load)?;
    let mut kills = Vec::new();
    let mut probed = 0;
    for number in 0..options.swaps {
        let kind = if number % 2 == 0 { ALL } else { ONE };
        envoy.swap_accepted(&numbered(number).to_string()).await?;
        for client in &clients {
            eventually("the variant on every connection", async || {
                Ok((variant(client, &call).await?.as_deref() == Some("one-step")).then_some(()))
            })
            .await?;
        }
        let mut probes = JoinSet::new();
        for client in &clients {
            probes.spawn(until_killed(client.clone(), call.clone()));
        }
        let since = envoy.swap(&killed(kind, number).to_string())?;
        let mut delays = Vec::new();
        while let Some(done) = probes.join_next().await {
            let (at, asked) = done??;
            delays.push(at.saturating_duration_since(since).as_secs_f64() * 1e3);
            probed += asked;
        }
        kills.push(Kill { kind, first: percentile(&delays, 0.0), last: percentile(&delays, 100.0) });
    }
    let elapsed = began.elapsed().as_secs_f64();
    let seen = load.stop().await?;
    ensure!(seen.bad_statuses == 0 && seen.socket_errors == 0, "requests failed: {seen:?}");
    #[allow(clippy::cast_precision_loss, reason = "requests of a minute")]
    let per_second = seen.answered as f64 / elapsed;
    Ok((kills, Seen { answered: seen.answered, per_second, probed }))
}

/// Requests of the variant that a guardrail waits for.
const MINIMUM: u64 = 200;
/// Of a hundred requests of the variant, so many fail.
const FAILING: u32 = 30;

fn table_of_trips(trips: &[f64]) -> String {
    format!(
        "\nGuardrail `http_5xx_rate`, `max_increase: 1%`, `min_requests: {MINIMUM}`, a variant with {FAILING} % errors, the same \
         load: from the variant's request number {MINIMUM} until every connection is served without it.\n\n\
         | trips | p50 ms | p99 ms | max ms |\n|--:|--:|--:|--:|\n| {} | {:.0} | {:.0} | {:.0} |\n",
        trips.len(),
        percentile(trips, 50.0),
        percentile(trips, 99.0),
        percentile(trips, 100.0)
    )
}

/// Milliseconds of each trip.
async fn measure_trips(options: &Options) -> Result<Vec<f64>> {
    let document = |number: u32| {
        let mut document = numbered(number);
        document["experiments"][0]["guardrails"] =
            json!([{ "metric": "http_5xx_rate", "max_increase": "1%", "min_requests": MINIMUM }]);
        document
    };
    let v1 = rig::origin().await?;
    let v2 = Origin::failing(Collector::free_address()?, FAILING).await?;
    let mut paused = document(0);
    paused["experiments"][0]["status"] = "paused".into();
    let envoy = rig::envoy(&numbered(0), &v1, &v2, Additions::default()).await?;
    let call = treated(&envoy).await?;
    envoy.swap_accepted(&paused.to_string()).await?;
    let clients: Vec<Client> = (0..PROBES).map(|_| envoy.http1()).collect();
    for client in &clients {
        eventually("nobody to have the variant", async || {
            Ok((stamped(client, &call).await?.is_none()).then_some(()))
        })
        .await?;
    }
    ensure!(
        workers_met(&envoy).await? == BTreeSet::from([0, 1]),
        "a worker has none of {PROBES} connections"
    );
    let load = LoadOptions {
        units: "u".to_owned(),
        connections: 16,
        pause_ms: options.pause,
        most: None,
        keeps_answers: false,
    };
    let load = Load::start(envoy.address(), &load)?;
    let assigned = async || -> Result<u64> {
        let name = format!(
            "wasmcustom.splitway.assignments.experiment.{}.variant.one-step.namespace.shop",
            rig::EXPERIMENT
        );
        Ok(envoy.stats().await?.get(&name).copied().unwrap_or_default())
    };
    let mut trips = Vec::new();
    for number in 1..=options.trips {
        let before = assigned().await?;
        let mut probes = JoinSet::new();
        for client in &clients {
            probes.spawn(until_tripped(client.clone(), call.clone()));
        }
        envoy.swap(&document(number).to_string())?;
        // The last moment at which there were certainly fewer.
        let mut since = Instant::now();
        eventually("as many requests as it takes", async || {
            let asked = Instant::now();
            if assigned().await? - before >= MINIMUM {
                return Ok(Some(()));
            }
            since = asked;
            Ok(None)
        })
        .await?;
        let mut last = since;
        while let Some(done) = probes.join_next().await {
            last = last.max(done??);
        }
        trips.push(last.saturating_duration_since(since).as_secs_f64() * 1e3);
    }
    load.stop().await?;
    let told = envoy.log()?.matches(r#""event":"splitway.guardrail""#).count();
    ensure!(told == trips.len(), "{told} events of {} trips", trips.len());
    Ok(trips)
}

/// Asks until the variant has come and is gone again: when the first answer without it came.
async fn until_tripped(client: Client, call: Call) -> Result<Instant> {
    let began = Instant::now();
    let mut has_come = false;
    while began.elapsed() < DEADLINE {
        match stamped(&client, &call).await?.as_deref() {
            Some("one-step") => has_come = true,
            _ if has_come => return Ok(Instant::now()),
            _ => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("the guardrail did not trip within {DEADLINE:?}")
}

/// The variant, whatever the status.
async fn stamped(client: &Client, call: &Call) -> Result<Option<String>> {
    Ok(client.send(call).await?.variant(rig::EXPERIMENT).map(str::to_owned))
}

/// Asks until the variant is gone: when that answer came, and how many there were.
async fn until_killed(client: Client, call: Call) -> Result<(Instant, u64)> {
    let mut asked = 0;
    let began = Instant::now();
    while began.elapsed() < DEADLINE {
        asked += 1;
        if variant(&client, &call).await?.as_deref() != Some("one-step") {
            return Ok((Instant::now(), asked));
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("the variant was still served {DEADLINE:?} after the kill")
}

async fn variant(client: &Client, call: &Call) -> Result<Option<String>> {
    let answer = client.send(call).await?;
    ensure!(answer.status == 200, "status {}", answer.status);
    Ok(answer.variant(rig::EXPERIMENT).map(str::to_owned))
}

/// A request of a unit that has the variant.
async fn treated(envoy: &Envoy) -> Result<Call> {
    let client = envoy.http1();
    for user in 0..100 {
        let call = Call::get("/").header("x-user-id", format!("probe-{user}"));
        if stamped(&client, &call).await?.as_deref() == Some("one-step") {
            return Ok(call);
        }
    }
    bail!("none of 100 units has the variant")
}

/// Numbers of the workers that have connections.
async fn workers_met(envoy: &Envoy) -> Result<BTreeSet<u32>> {
    let mut met = BTreeSet::new();
    for (name, count) in envoy.stats().await? {
        if !name.starts_with("listener.") || !name.ends_with(".downstream_cx_active") || count == 0 {
            continue;
        }
        let Some((_, rest)) = name.split_once(".worker_") else { continue };
        let (number, _) = rest.split_once('.').context("the name of a worker's counter")?;
        met.insert(number.parse()?);
    }
    Ok(met)
}
