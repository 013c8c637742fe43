//! Real servers behind a scenario's clusters, for the hosts that speak HTTP.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use splitway_engine::SHADOW;
use splitway_envoy::{Reply, Seen, Upstream as Server};

use super::{AtUpstream, edge};
use crate::wire::{Failing, Upstream};

/// A port on which nothing listens (tcpmux).
const CLOSED: u16 = 1;

/// A server for each name of a cluster, kept from one scenario to the next.
#[derive(Default)]
pub(super) struct Servers(BTreeMap<String, Named>);

/// The server behind all clusters of one name, which answers as the scenario in progress says.
struct Named {
    server: Server,
    reply: Arc<Mutex<Reply>>,
}

/// How many requests each server had seen.
pub(super) struct Mark(BTreeMap<String, usize>);

impl Servers {
    /// The ports of the scenario's clusters.
    pub(super) fn serve(&mut self, clusters: &BTreeMap<String, Upstream>) -> Result<BTreeMap<String, u16>> {
        let mut ports = BTreeMap::new();
        for (name, upstream) in clusters {
            if !self.0.contains_key(name) {
                let reply = Arc::new(Mutex::new(Reply::default()));
                let script = Arc::clone(&reply);
                let server = Server::scripted(name, move |_| {
                    script.lock().unwrap_or_else(PoisonError::into_inner).clone()
                })?;
                self.0.insert(name.clone(), Named { server, reply });
            }
            let named = self.0.get(name).context("just put there")?;
            let headers =
                edge::lines(upstream).into_iter().map(|(name, value)| (Cow::from(name), Cow::from(value)));
            *named.reply.lock().unwrap_or_else(PoisonError::into_inner) = Reply {
                status: upstream.status,
                headers: headers.collect(),
                body: Some(upstream.body.clone().into_bytes()),
                resets: upstream.fails == Some(Failing::Reset),
                delay: Duration::from_millis(upstream.delay_ms),
            };
            let is_closed = upstream.fails == Some(Failing::Refuse);
            ports.insert(name.clone(), if is_closed { CLOSED } else { named.server.address().port() });
        }
        Ok(ports)
    }

    /// Where the servers are now.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.0.iter().map(|(name, named)| (name.clone(), named.server.requests().len())).collect())
    }

    /// The last request that reached a server since then, but no copy that a variant asked for.
    pub(super) fn since(&self, mark: &Mark) -> Option<AtUpstream> {
        let mut upstream = None;
        for (name, named) in &self.0 {
            let before = mark.0.get(name).copied().unwrap_or_default();
            let is_copy = |seen: &Seen| seen.header(SHADOW) == Some(name);
            if let Some(seen) = named.server.requests().into_iter().skip(before).rfind(|seen| !is_copy(seen))
            {
                upstream = Some(AtUpstream {
                    cluster: name.clone(),
                    method: seen.method,
                    path: seen.path,
                    host: seen.host,
                    headers: seen.headers,
                    body: seen.body,
                });
            }
        }
        upstream
    }
}
