//! `cargo xtask bench envoy`: what a filter costs a real Envoy, side by side.
//!
//! Every repetition starts every case's Envoy anew, so that a busy minute of the machine, or an
//! unlucky layout of memory, hits one sample of each case and not all samples of one. What a case
//! adds is compared within a repetition; the tables have medians over the repetitions.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use splitway_envoy::{Call, Client, Process};
use tempfile::TempDir;

use crate::cases::{self, Answer, Case};
use crate::load::{self, Protocol};
use crate::numbers::median;
use crate::record::{date, keep, machine};
use crate::{process, svg};
use splitway_tools::{setup, shell, wasm};

/// How long and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// Repetitions of all cases.
    #[arg(long, default_value_t = 5)]
    repetitions: u32,
    /// Seconds of load for each sample.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Only cases whose names contain this, and those they are compared to.
    #[arg(long)]
    only: Option<String>,
    /// Measures the filter that is built already.
    #[arg(long)]
    no_build: bool,
}

/// One measurement.
struct Sample {
    repetition: u32,
    case: &'static str,
    protocol: Protocol,
    workers: u32,
    seen: load::Seen,
    /// Processor time of the whole process per request, in microseconds.
    cpu: f64,
    /// Time its threads waited for a processor, in microseconds per request: how busy the machine
    /// was with other things.
    waited: f64,
    /// KiB, after the load.
    resident: u64,
    /// From the start of the process to its being ready.
    ready: Duration,
    load: f64,
}

/// Measures everything and keeps tables, raw numbers and a picture.
pub(super) fn run(options: &Options) -> Result<()> {
    load::check()?;
    setup::setup()?;
    if !options.no_build {
        setup::wasm_target(setup::TARGET)?;
        wasm::build()?;
    }
    let started = Instant::now();
    let mut all = cases::all()?;
    if let Some(only) = &options.only {
        let base = [cases::NOTHING, cases::NO_OP, cases::LUA, cases::SPLITWAY];
        all.retain(|case| case.name.contains(only.as_str()) || base.contains(&case.name));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let samples = runtime.block_on(measure(&all, options))?;
    let command = shown(options);
    let head = format!(
        "Command: `{command}` ({:.0} s)\n\nMachine: {}\n",
        started.elapsed().as_secs_f64(),
        machine()
    );
    let report = format!("# Envoy bench, {}\n\n{head}\n{}", date()?, tables(&all, &samples, options));
    keep("envoy.csv", &csv(&samples))?;
    keep("envoy.svg", &picture(&all, &samples))?;
    let file = keep("envoy.md", &report)?;
    println!("{report}");
    println!("{} and envoy.csv, envoy.svg beside it", file.display());
    Ok(())
}

fn shown(options: &Options) -> String {
    let mut command = format!(
        "cargo xtask bench envoy --repetitions {} --seconds {}",
        options.repetitions, options.seconds
    );
    if let Some(only) = &options.only {
        let _ = write!(command, " --only '{only}'");
    }
    command
}

async fn measure(all: &[Case], options: &Options) -> Result<Vec<Sample>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let server = start(&cases::server().to_string(), 1, "wasm:warning").await?;
    if cores > 1 {
        pin(server.id(), 1)?;
    }
    let upstream = server.listeners().await?.first().context("no listener")?.1.port();
    let mut samples = Vec::new();
    for repetition in 0..options.repetitions {
        for case in all {
            for &workers in case.workers {
                let taken = sample(case, workers, upstream, options, repetition, cores > 1).await;
                samples.extend(taken.with_context(|| case.name)?);
            }
        }
    }
    Ok(samples)
}

async fn start(bootstrap: &str, workers: u32, levels: &str) -> Result<Process> {
    Process::start_logging(TempDir::with_prefix("splitway-bench-")?, bootstrap, workers, levels).await
}

/// All threads of a process on one core.
fn pin(process: u32, core: u32) -> Result<()> {
    let mut command = std::process::Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", &core.to_string(), &process.to_string()]);
    shell::output(command).map(drop)
}

/// One Envoy: both protocols with one worker, HTTP/1 with more.
async fn sample(
    case: &Case,
    workers: u32,
    upstream: u16,
    options: &Options,
    repetition: u32,
    pinned: bool,
) -> Result<Vec<Sample>> {
    let bootstrap = case.bootstrap(upstream).to_string();
    let before = Instant::now();
    let envoy = start(&bootstrap, workers, case.log_levels()).await?;
    let ready = before.elapsed();
    // One worker has a core for itself, the generator the other; two workers share both with it.
    let core = (pinned && workers == 1).then_some(1);
    if core.is_some() {
        pin(envoy.id(), 0)?;
    }
    let address = envoy.listeners().await?.first().context("no listener")?.1;
    check(case, address).await?;
    let folder = TempDir::with_prefix("splitway-bench-load-")?;
    // V8 compiles what is hot anew, in the background.
    load::send(address, Protocol::Http1, 1, core, folder.path())?;
    let protocols: &[Protocol] =
        if workers == 1 { &[Protocol::Http1, Protocol::Http2] } else { &[Protocol::Http1] };
    let mut samples = Vec::new();
    for &protocol in protocols {
        let (on, waiting) = process::cpu(envoy.id())?;
        let seen = load::send(address, protocol, options.seconds, core, folder.path())?;
        let (on_after, waiting_after) = process::cpu(envoy.id())?;
        #[allow(clippy::cast_precision_loss, reason = "nanoseconds of a few seconds")]
        let per_request =
            |before: u64, after: u64| after.saturating_sub(before) as f64 / 1e3 / seen.requests as f64;
        let sample = Sample {
            repetition,
            case: case.name,
            protocol,
            workers,
            seen,
            cpu: per_request(on, on_after),
            waited: per_request(waiting, waiting_after),
            resident: process::resident(envoy.id())?,
            ready,
            load: process::load(),
        };
        eprintln!(
            "{}/{} {}, {}, {workers} workers: {:.2} us CPU, {:.2} us waited",
            repetition + 1,
            options.repetitions,
            case.name,
            protocol.name(),
            sample.cpu,
            sample.waited
        );
        samples.push(sample);
    }
    Ok(samples)
}

/// One request, to see that the case does what is measured.
async fn check(case: &Case, address: SocketAddr) -> Result<()> {
    let call = Call::get("/checkout/cart?step=2").header("cookie", "theme=dark; uid=u-1");
    let answer = Client::http1(address).send(&call).await?;
    ensure!(answer.status == 200, "status {}", answer.status);
    let stamp = answer.header("x-splitway").unwrap_or_default();
    let stamps = stamp.matches('=').count();
    ensure!(stamps == case.stamps, "{stamps} experiments and not {} in the stamp `{stamp}`", case.stamps);
    Ok(())
}

fn csv(samples: &[Sample]) -> String {
    let mut text = String::from(
        "repetition,case,protocol,workers,requests,requests_per_second,cpu_us_per_request,\
         waited_us_per_request,p50_us,p99_us,resident_kib,ready_ms,load\n",
    );
    for s in samples {
        let _ = writeln!(
            text,
            "{},\"{}\",{},{},{},{:.0},{:.3},{:.3},{:.0},{:.0},{},{:.0},{:.2}",
            s.repetition,
            s.case,
            s.protocol.name(),
            s.workers,
            s.seen.requests,
            s.seen.per_second,
            s.cpu,
            s.waited,
            s.seen.p50,
            s.seen.p99,
            s.resident,
            s.ready.as_secs_f64() * 1e3,
            s.load
        );
    }
    text
}

/// Samples of one protocol and number of workers.
struct View<'a> {
    samples: Vec<&'a Sample>,
    bases: [&'static str; 2],
}

impl<'a> View<'a> {
    fn new(all: &[Case], samples: &'a [Sample], protocol: Protocol, workers: u32) -> Self {
        let base = |answer: Answer| {
            all.iter().find(|case| case.answer == answer).map_or(cases::NOTHING, |case| case.name)
        };
        Self {
            samples: samples.iter().filter(|s| s.protocol == protocol && s.workers == workers).collect(),
            bases: [base(Answer::Direct), base(Answer::Upstream)],
        }
    }

    fn median(&self, case: &str, value: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().filter(|s| s.case == case).map(|s| value(s)).collect())
    }

    /// What the case costs more than its base, compared within each repetition. Microseconds.
    fn added(&self, case: &str, answer: Answer) -> f64 {
        self.difference(case, self.bases[usize::from(answer == Answer::Upstream)])
    }

    fn difference(&self, case: &str, other: &str) -> f64 {
        let of = |name: &str, repetition| {
            self.samples.iter().find(|s| s.case == name && s.repetition == repetition).map(|s| s.cpu)
        };
        let pairs = self.samples.iter().filter(|s| s.case == case);
        median(pairs.filter_map(|s| Some(s.cpu - of(other, s.repetition)?)).collect())
    }
}

fn tables(all: &[Case], samples: &[Sample], options: &Options) -> String {
    let waited = median(samples.iter().map(|s| s.waited / s.cpu).collect());
    let mut text = format!(
        "Medians of {} repetitions of {} s each. CPU: processor time of the whole Envoy per request, by the \
         scheduler's own counters; \"over\" is what the case adds to the one without a filter. Latency and \
         rate: 16 connections that ask again as soon as they are answered, so the proxy is saturated. With \
         one worker, Envoy has one core and the load generator another; two workers share both with it. \
         Envoy's threads waited {:.0} % as long for a processor as they had one; on a quiet machine that is \
         next to nothing.\n",
        options.repetitions,
        options.seconds,
        100.0 * waited
    );
    for (protocol, workers) in [(Protocol::Http1, 1), (Protocol::Http2, 1), (Protocol::Http1, 2)] {
        let view = View::new(all, samples, protocol, workers);
        let no_op = view.added(cases::NO_OP, Answer::Direct);
        let lua = view.added(cases::LUA, Answer::Direct);
        let plural = if workers == 1 { "" } else { "s" };
        let _ = write!(
            text,
            "\n## {}, {workers} worker{plural}\n\n\
             | case | CPU us | over us | x no-op | x Lua | p50 us | p99 us | requests/s |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|\n",
            protocol.name()
        );
        for case in all.iter().filter(|case| case.workers.contains(&workers)) {
            let added = view.added(case.name, case.answer);
            let ratio = |to: f64| {
                let base = view.bases.contains(&case.name);
                if base || case.answer == Answer::Upstream {
                    String::new()
                } else {
                    format!("{:.2}", added / to)
                }
            };
            let _ = writeln!(
                text,
                "| {} | {:.1} | {:+.1} | {} | {} | {:.0} | {:.0} | {:.0} |",
                case.name,
                view.median(case.name, |s| s.cpu),
                added,
                ratio(no_op),
                ratio(lua),
                view.median(case.name, |s| s.seen.p50),
                view.median(case.name, |s| s.seen.p99),
                view.median(case.name, |s| s.seen.per_second),
            );
        }
    }
    text + &start_table(all, samples)
}

fn start_table(all: &[Case], samples: &[Sample]) -> String {
    let mut text = String::from(
        "\n## Memory and start, 1 worker\n\n\
         Ready: from the start of the process until its admin interface says so. Memory: resident, after \
         the load.\n\n| case | ready ms | over ms | MiB | over MiB |\n|---|--:|--:|--:|--:|\n",
    );
    let view = View::new(all, samples, Protocol::Http2, 1);
    for case in all {
        let ready = |name: &str| view.median(name, |s| s.ready.as_secs_f64() * 1e3);
        #[allow(clippy::cast_precision_loss, reason = "KiB of a process")]
        let memory = |name: &str| view.median(name, |s| s.resident as f64 / 1024.0);
        let base = view.bases[usize::from(case.answer == Answer::Upstream)];
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:+.0} | {:.1} | {:+.1} |",
            case.name,
            ready(case.name),
            ready(case.name) - ready(base),
            memory(case.name),
            memory(case.name) - memory(base),
        );
    }
    text
}

fn picture(all: &[Case], samples: &[Sample]) -> String {
    let view = View::new(all, samples, Protocol::Http1, 1);
    let bars: Vec<svg::Bar<'_>> = all
        .iter()
        .filter(|case| !view.bases.contains(&case.name))
        .map(|case| svg::Bar {
            label: case.name,
            value: view.added(case.name, case.answer),
            ours: case.name.starts_with("Splitway"),
        })
        .collect();
    svg::bars("Envoy CPU added per request, microseconds (HTTP/1, 1 worker)", &bars)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(repetition: u32, case: &'static str, cpu: f64) -> Sample {
        Sample {
            repetition,
            case,
            protocol: Protocol::Http1,
            workers: 1,
            seen: load::Seen { requests: 1, per_second: 1.0, p50: 1.0, p99: 1.0 },
            cpu,
            waited: 0.0,
            resident: 1,
            ready: Duration::ZERO,
            load: 0.0,
        }
    }

    #[test]
    fn what_is_added_is_compared_within_a_repetition() {
        // The second repetition ran on a machine twice as slow.
        let samples = [
            sample(0, cases::NOTHING, 10.0),
            sample(0, cases::NO_OP, 16.0),
            sample(1, cases::NOTHING, 20.0),
            sample(1, cases::NO_OP, 32.0),
            sample(2, cases::NOTHING, 10.0),
            sample(2, cases::NO_OP, 16.5),
        ];
        let view = View::new(&[], &samples, Protocol::Http1, 1);
        assert_eq!(view.added(cases::NO_OP, Answer::Direct), 6.5);
        assert_eq!(view.added(cases::NOTHING, Answer::Direct), 0.0);
        assert_eq!(view.median(cases::NO_OP, |s| s.cpu), 16.5);
    }
}
