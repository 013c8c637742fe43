//! What the Cache API keeps: workerd turns `put` into a PUT of a whole HTTP response, and `match` into a
//! GET whose answer says by `cf-cache-status` whether there was one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use splitway_envoy::{Reply, Upstream};

/// A cache without an end: entries stay.
pub struct Cache {
    server: Upstream,
    entries: Entries,
}

type Entries = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

impl Cache {
    /// An empty one.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub fn start() -> Result<Self> {
        let entries = Entries::default();
        let kept = Arc::clone(&entries);
        let server = Upstream::scripted("cache", move |seen| {
            let key = format!("{}{}", seen.host, seen.path);
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.method == "PUT" {
                kept.insert(key, seen.body.clone());
                return Reply { status: 204, body: Some(Vec::new()), ..Reply::default() };
            }
            kept.get(&key).and_then(|entry| reply(entry)).unwrap_or_else(|| {
                let miss = Reply { status: 504, body: Some(Vec::new()), ..Reply::default() };
                miss.header("cf-cache-status", "MISS")
            })
        })?;
        Ok(Self { server, entries })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Entries by key: host, path and query.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The response in an entry: status line, headers, an empty line, body.
fn reply(entry: &[u8]) -> Option<Reply> {
    let end = entry.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&entry[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
        .map(|(name, value)| (Cow::from(name.to_owned()), Cow::from(value.as_bytes().to_vec())))
        .collect();
    let reply = Reply { status, headers, body: Some(entry[end + 4..].to_vec()), ..Reply::default() };
    Some(reply.header("cf-cache-status", "HIT"))
}
