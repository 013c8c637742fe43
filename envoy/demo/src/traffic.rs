//! The demo's load: 1,000 units, 3 requests each, over real HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use splitway_envoy::{Answer, Call, Envoy};

pub(crate) const UNITS: usize = 1_000;
pub(crate) const ROUNDS: usize = 3;
const CONNECTIONS: usize = 8;

/// A user of the demo's shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unit(pub(crate) usize);

impl Unit {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..UNITS).map(Self)
    }

    /// The header that carries the unit: every second user is known by a cookie only.
    pub(crate) fn header(self) -> (&'static str, String) {
        let Self(number) = self;
        if number.is_multiple_of(2) {
            ("x-user-id", format!("user-{number:04}"))
        } else {
            ("cookie", format!("theme=dark; uid=visitor-{number:04}"))
        }
    }

    pub(crate) fn call(self) -> Call {
        let (name, value) = self.header();
        Call::get("/checkout/cart").header(name, value)
    }
}

/// A request and what came of it; the error is text so that the list can be shared.
pub(crate) struct Sent {
    pub(crate) unit: Unit,
    pub(crate) answer: Result<Answer, String>,
}

impl Sent {
    /// The answer, unless the request failed or was answered with anything but 200.
    pub(crate) fn success(&self) -> Option<&Answer> {
        self.answer.as_ref().ok().filter(|answer| answer.status == 200)
    }
}

/// Sends every unit's requests, a round of all units at a time, over a few connections.
pub(crate) async fn send(envoy: &Envoy) -> Result<Vec<Sent>> {
    let total = UNITS * ROUNDS;
    // Drawn on standard error, and only on a terminal.
    let bar = ProgressBar::new(total as u64)
        .with_style(ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} requests, {per_sec}")?);
    bar.set_message("splitting traffic");

    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let (client, next, bar) = (envoy.http1(), Arc::clone(&next), bar.clone());
        workers.push(tokio::spawn(async move {
            let mut sent = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return sent;
                }
                let unit = Unit(number % UNITS);
                let answer = client.send(&unit.call()).await;
                let answer = answer.map_err(|error| format!("{error:#}"));
                sent.push(Sent { unit, answer });
                bar.inc(1);
            }
        }));
    }
    let mut sent = Vec::with_capacity(total);
    for worker in workers {
        sent.extend(worker.await?);
    }
    bar.finish_and_clear();
    Ok(sent)
}
