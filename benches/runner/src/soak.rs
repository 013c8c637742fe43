//! `cargo xtask bench soak`: whether memory and latency of an Envoy stay where they are when it runs for long,
//! with everything on that keeps state: `once_per: unit`, guardrails, service metrics, a collector.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use splitway_envoy::{Additions, Collector, Envoy, Load, LoadOptions, LoadReport, within};

use crate::numbers::median;
use crate::record::{date, keep, machine};
use crate::{process, rig};

/// How long.
#[derive(Args)]
pub(crate) struct Options {
    /// Minutes of load.
    #[arg(long, default_value_t = 10)]
    minutes: u32,
    /// Milliseconds that each of wrk's 16 connections waits between requests; 0 saturates the machine.
    #[arg(long, default_value_t = 4)]
    pause: u32,
    /// Measures the filter that is built already.
    #[arg(long)]
    no_build: bool,
}

/// Of what the first minute had, memory may move by so much over the whole run and still be called flat.
const MEMORY: f64 = 0.02;
/// The same for latencies.
const LATENCY: f64 = 0.20;

/// After each minute.
struct Minute {
    load: LoadReport,
    /// KiB.
    resident: u64,
    /// KiB of each VM, the smallest first.
    guests: Vec<u64>,
    /// Assignments, emitted, delivered, dropped.
    counts: [u64; 4],
    busy: f64,
}

/// Measures, prints and keeps the table.
pub(super) fn run(options: &Options) -> Result<()> {
    ensure!(options.minutes >= 3, "a slope needs two minutes after the first");
    rig::prepare(options.no_build)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let minutes = runtime.block_on(measure(options))?;
    let report = format!(
        "# Soak, {}\n\nCommand: `cargo xtask bench soak --minutes {} --pause {}`\n\nMachine: {}\n\n{}",
        date()?,
        options.minutes,
        options.pause,
        machine(),
        table(&minutes)
    );
    keep("soak.csv", &csv(&minutes))?;
    let file = keep("soak.md", &report)?;
    print!("{report}");
    println!("\n{} and soak.csv beside it", file.display());
    Ok(())
}

/// Every request is an exposure, because its unit is new.
fn document() -> Value {
    let mut document = rig::document();
    document["service_metrics"] = true.into();
    document["exposure"] = json!({ "log": false, "once_per": "unit", "otlp": { "cluster": rig::COLLECTOR } });
    document["experiments"][0]["guardrails"] = json!([
        { "metric": "http_5xx_rate", "max_increase": "1%", "min_requests": 500 },
        { "metric": "latency", "slower_than": "50ms", "min_requests": 500 },
    ]);
    document
}

async fn measure(options: &Options) -> Result<Vec<Minute>> {
    let collector = Collector::start_silent(Collector::free_address()?).await?;
    // One for both variants: two processes on a busy machine are not equally fast, and a guardrail would say so.
    let origin = rig::origin().await?;
    let additions = Additions {
        clusters: vec![(rig::COLLECTOR.to_owned(), collector.address())],
        ..Additions::default()
    };
    let envoy = rig::envoy(&document(), &origin, &origin, additions).await?;
    let mut minutes = Vec::new();
    for number in 1..=options.minutes {
        let load = LoadOptions {
            units: format!("m{number}-u"),
            connections: 16,
            pause_ms: options.pause,
            most: None,
            keeps_answers: false,
        };
        let load = Load::start(envoy.address(), &load)?;
        // The run's own length, and nothing that is waited for.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let load = load.stop().await?;
        ensure!(load.bad_statuses == 0 && load.socket_errors == 0, "requests failed: {load:?}");
        let minute = Minute {
            load,
            resident: process::resident(envoy.process_id())?,
            guests: process::guests(envoy.process_id())?,
            counts: rig::counts(&envoy.stats().await?),
            busy: process::load(),
        };
        eprintln!("minute {number}: {} requests, {} KiB", minute.load.answered, minute.resident);
        minutes.push(minute);
    }
    check(&envoy).await?;
    Ok(minutes)
}

/// Nothing was lost, nothing tripped, nothing was started again.
async fn check(envoy: &Envoy) -> Result<()> {
    let mut last = [0; 4];
    let stats = within(Duration::from_secs(90), "the last records to be delivered", async || {
        let stats = envoy.stats().await?;
        last = rig::counts(&stats);
        let [assigned, emitted, delivered, dropped] = last;
        Ok((emitted == assigned && delivered + dropped == emitted).then_some(stats))
    })
    .await;
    let [assigned, emitted, delivered, dropped] = last;
    let stats = stats.with_context(|| {
        format!("{assigned} assigned, {emitted} emitted, {delivered} delivered, {dropped} dropped")
    })?;
    ensure!(rig::counts(&stats)[3] == 0, "records were dropped: {:?}", of(&stats, "exposures_dropped"));
    for name in ["guardrail_tripped", "hostcall_failures", "vm_reload"] {
        let found = of(&stats, name);
        ensure!(found.values().all(|count| *count == 0), "{found:?}");
    }
    Ok(())
}

fn of(stats: &BTreeMap<String, u64>, part: &str) -> BTreeMap<String, u64> {
    stats.iter().filter(|(name, _)| name.contains(part)).map(|(name, count)| (name.clone(), *count)).collect()
}

fn csv(minutes: &[Minute]) -> String {
    let mut text = String::from(
        "minute,requests,p50_us,p99_us,resident_kib,guest_kib,assigned,emitted,delivered,dropped,load\n",
    );
    for (number, m) in (1..).zip(minutes) {
        let guests: Vec<String> = m.guests.iter().map(ToString::to_string).collect();
        let [assigned, emitted, delivered, dropped] = m.counts;
        let _ = writeln!(
            text,
            "{number},{},{:.0},{:.0},{},{},{assigned},{emitted},{delivered},{dropped},{:.2}",
            m.load.answered,
            m.load.p50,
            m.load.p99,
            m.resident,
            guests.join("+"),
            m.busy,
        );
    }
    text
}

fn table(minutes: &[Minute]) -> String {
    let requests: u64 = minutes.iter().map(|m| m.load.answered).sum();
    let mut text = format!(
        "Envoy with 2 workers, `once_per: unit`, two guardrails, `service_metrics`, exposures to a collector (rotel). \
         {requests} requests, each of a unit of its own, every one answered with 200; no record dropped, no \
         guardrail tripped, no VM started again. Guest memory: the linear memory of each VM (a template, the main \
         thread's, one for each worker). Load: of the machine, all that ran on it.\n\n\
         | minute | requests | p50 us | p99 us | Envoy's RSS, KiB | guest memory, KiB | load |\n\
         |--:|--:|--:|--:|--:|---|--:|\n"
    );
    for (number, m) in (1..).zip(minutes) {
        let guests: Vec<String> = m.guests.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "| {number} | {} | {:.0} | {:.0} | {} | {} | {:.1} |",
            m.load.answered,
            m.load.p50,
            m.load.p99,
            m.resident,
            guests.join(" + "),
            m.busy,
        );
    }
    let _ = writeln!(
        text,
        "\nSlope: the median of the slopes between any two minutes, the first left out (Theil and Sen). Flat: over the \
         whole run it moves memory by at most {:.0} %, latency by at most {:.0} %. Where it moves more, Mann and Kendall's \
         test at 5 % says whether that is a trend.\n\n\
         | | slope a minute | over the run | |\n|---|--:|--:|---|",
        100.0 * MEMORY,
        100.0 * LATENCY
    );
    #[allow(clippy::cast_precision_loss, reason = "KiB of a process")]
    let rows: [(&str, f64, Vec<f64>); 4] = [
        ("RSS, KiB", MEMORY, minutes.iter().map(|m| m.resident as f64).collect()),
        ("guest memory, KiB", MEMORY, minutes.iter().map(|m| m.guests.iter().sum::<u64>() as f64).collect()),
        ("p50, us", LATENCY, minutes.iter().map(|m| m.load.p50).collect()),
        ("p99, us", LATENCY, minutes.iter().map(|m| m.load.p99).collect()),
    ];
    for (name, tolerated, values) in rows {
        let Trend { slope, moved, is_told } = trend(&values);
        let verdict = match moved {
            moved if moved.abs() <= tolerated => "flat",
            _ if !is_told => "no trend that stands out from the noise",
            moved if moved > 0.0 => "**rises**",
            _ => "falls",
        };
        let _ = writeln!(text, "| {name} | {slope:+.1} | {:+.1} % | {verdict} |", 100.0 * moved);
    }
    text
}

/// Of a series without its first value.
#[derive(Debug, PartialEq)]
struct Trend {
    /// A step.
    slope: f64,
    /// What that makes over the run, as a share of the median.
    moved: f64,
    /// By Mann and Kendall's test: pairs that rise less those that fall, by its normal approximation.
    is_told: bool,
}

fn trend(values: &[f64]) -> Trend {
    let rest = values.get(1..).unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "minutes")]
    let float = |number: usize| number as f64;
    let pairs = (0..rest.len()).flat_map(|to| (0..to).map(move |from| (from, to)));
    let slopes: Vec<f64> = pairs.map(|(from, to)| (rest[to] - rest[from]) / float(to - from)).collect();
    let surplus: f64 = slopes.iter().filter(|slope| **slope != 0.0).map(|slope| slope.signum()).sum();
    let n = float(rest.len());
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let slope = median(slopes);
    Trend {
        slope,
        moved: slope * (n - 1.0).max(0.0) / median(rest.to_vec()),
        is_told: surplus.abs() - 1.0 > 1.96 * deviation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trends() {
        let short = trend(&[900.0, 100.0, 110.0, 120.0]);
        assert_eq!(short, Trend { slope: 10.0, moved: 20.0 / 110.0, is_told: false });
        let spike = trend(&[900.0, 100.0, 100.0, 250.0, 100.0]);
        assert_eq!((spike.slope, spike.moved), (0.0, 0.0));
        let leak: Vec<f64> = (0..10).map(|minute| 100.0 + f64::from(minute)).collect();
        assert!(trend(&leak).is_told && trend(&leak).slope == 1.0);
        let noise = [0.0, 17.6, 27.9, 19.9, 13.6, 21.7, 32.4, 34.0, 31.5, 13.8];
        assert!(!trend(&noise).is_told);
    }
}
