//! Rolls the experiment back in the config file while requests are running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use splitway_envoy::{Answer, Client, Envoy, eventually};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::oracle::Oracle;
use crate::traffic::Unit;
use crate::working_copy::{DEFAULT_CLUSTER, WorkingCopy};

/// Several connections, so that every worker of Envoy has some.
const CONNECTIONS: usize = 8;

/// Requests sent before the edit, and again after it is everywhere.
const BEFORE: usize = 400;
const AFTER: usize = 400;

/// One request of the load.
struct Probe {
    sent: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Stamped with the treatment and served by its cluster.
    Treated,
    /// Without the experiment's stamp and served by the default cluster.
    RolledBack,
    /// Anything else: the proxy was neither in the old state nor in the new one.
    Failed,
}

/// What the swap did to the traffic.
pub(crate) struct Swap {
    experiment: String,
    requests: usize,
    /// Requests that failed or were served by a mixture of old and new config.
    pub(crate) failed: u64,
    /// From the rename of the config to the sending of the first request from which on none was
    /// treated any more, on any worker.
    delay_ms: f64,
}

/// Sends the treatment's units in a loop, edits the config, and waits until no worker treats them.
pub(crate) async fn kill_under_load(envoy: &Envoy, oracle: &Oracle, config: &WorkingCopy) -> Result<Swap> {
    let target = oracle.routed().context("no variant of the demo's config has a route")?;
    let units: Vec<Unit> = oracle.units_of(&target.experiment, &target.variant)?;
    let load = Arc::new(Load {
        experiment: target.experiment.clone(),
        variant: target.variant,
        cluster: target.cluster,
        units,
        stopped: AtomicBool::new(false),
    });
    let (report, mut reports) = unbounded_channel();
    let mut workers = Vec::new();
    for number in 0..CONNECTIONS {
        let (load, client, report) = (Arc::clone(&load), envoy.http1(), report.clone());
        workers.push(tokio::spawn(async move {
            load.send(number, &client, &report).await;
        }));
    }
    drop(report);

    let mut probes = Vec::new();
    let flow = swap(envoy, config, &mut reports, &mut probes).await;
    load.stopped.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await?;
    }
    let swapped = flow?;
    while let Ok(probe) = reports.try_recv() {
        probes.push(probe);
    }
    Ok(measure(target.experiment, &mut probes, swapped))
}

/// Returns when the new config was in place in the file system.
async fn swap(
    envoy: &Envoy,
    config: &WorkingCopy,
    reports: &mut UnboundedReceiver<Probe>,
    probes: &mut Vec<Probe>,
) -> Result<Instant> {
    eventually("the load to run", async || {
        drain(reports, probes);
        Ok((probes.len() >= BEFORE).then_some(()))
    })
    .await?;
    let edited = Oracle::new(&config.roll_back()?)?;
    let swapped = envoy.swap(edited.document())?;
    eventually("the rollback to reach every worker", async || {
        drain(reports, probes);
        let quiet = probes.iter().rev().take_while(|probe| probe.state != State::Treated);
        Ok((quiet.count() >= AFTER).then_some(()))
    })
    .await?;
    Ok(swapped)
}

fn drain(reports: &mut UnboundedReceiver<Probe>, probes: &mut Vec<Probe>) {
    while let Ok(probe) = reports.try_recv() {
        probes.push(probe);
    }
}

fn measure(experiment: String, probes: &mut [Probe], swapped: Instant) -> Swap {
    probes.sort_by_key(|probe| probe.sent);
    let count = |state| probes.iter().filter(|probe| probe.state == state).count();
    let last_treated = probes.iter().rposition(|probe| probe.state == State::Treated);
    let first_after = last_treated.map_or(0, |index| index + 1);
    let settled = probes.get(first_after).map_or(swapped, |probe| probe.sent);
    Swap {
        experiment,
        requests: probes.len(),
        failed: count(State::Failed) as u64,
        delay_ms: settled.saturating_duration_since(swapped).as_secs_f64() * 1e3,
    }
}

impl Swap {
    pub(crate) fn print(&self) {
        println!(
            "\n{} rolled back in the config file under load: everywhere after {:.1} ms, \
             {} requests, {} failed",
            self.experiment, self.delay_ms, self.requests, self.failed
        );
    }

    /// Milliseconds, to a microsecond.
    pub(crate) fn delay_ms(&self) -> f64 {
        (self.delay_ms * 1e3).round() / 1e3
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        if self.failed == 0 {
            return Vec::new();
        }
        vec![format!("{} requests failed during the swap", self.failed)]
    }
}

/// What the connections send, and what they expect before the swap.
struct Load {
    experiment: String,
    variant: String,
    cluster: String,
    units: Vec<Unit>,
    stopped: AtomicBool,
}

impl Load {
    async fn send(&self, start: usize, client: &Client, report: &UnboundedSender<Probe>) {
        for unit in self.units.iter().cycle().skip(start) {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let sent = Instant::now();
            let state = match client.send(&unit.call()).await {
                Ok(answer) => self.state(&answer),
                Err(_) => State::Failed,
            };
            // Nobody listens any more once the demo has failed.
            let _ = report.send(Probe { sent, state });
        }
    }

    fn state(&self, answer: &Answer) -> State {
        let stamped = answer.variant(&self.experiment);
        match (answer.status, stamped, answer.upstream()) {
            (200, Some(variant), Some(cluster)) if variant == self.variant && cluster == self.cluster => {
                State::Treated
            }
            (200, None, Some(DEFAULT_CLUSTER)) => State::RolledBack,
            _ => State::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_delay_ends_with_the_first_request_after_the_last_treated_one() {
        let start = Instant::now();
        let probe = |ms, state| Probe { sent: start + Duration::from_millis(ms), state };
        // In the order in which the answers came: one worker lags behind the other.
        let mut probes = [
            probe(0, State::Treated),
            probe(14, State::RolledBack),
            probe(12, State::RolledBack),
            probe(13, State::Treated),
            probe(20, State::Failed),
        ];
        let swapped = start + Duration::from_millis(10);
        let swap = measure("e".to_owned(), &mut probes, swapped);
        assert_eq!((swap.requests, swap.failed), (5, 1));
        assert!((swap.delay_ms() - 4.0).abs() < 1e-6, "{}", swap.delay_ms());
        assert_eq!(swap.problems().len(), 1);
    }
}
