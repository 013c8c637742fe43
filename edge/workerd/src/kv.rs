//! A KV namespace: workerd turns `get` into a GET of the key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use splitway_envoy::{Reply, Upstream};

/// A namespace.
pub struct Kv {
    server: Upstream,
    values: Values,
}

type Values = Arc<Mutex<BTreeMap<String, Stored>>>;

/// What reading a key gives.
#[derive(Debug, Clone)]
enum Stored {
    Value(String),
    Failure,
    /// No answer while a test runs.
    Silence,
}

impl Kv {
    /// An empty one.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub fn start() -> Result<Self> {
        let values = Values::default();
        let stored = Arc::clone(&values);
        let server = Upstream::scripted("kv", move |seen| {
            let key = seen.path.trim_start_matches('/').split('?').next().unwrap_or_default();
            let stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
            let (status, body) = match stored.get(key) {
                None => (404, String::new()),
                Some(Stored::Failure | Stored::Silence) => (500, "no".to_owned()),
                Some(Stored::Value(value)) => (200, value.clone()),
            };
            let is_silent = matches!(stored.get(key), Some(Stored::Silence));
            let delay = if is_silent { Duration::from_secs(600) } else { Duration::ZERO };
            Reply { status, body: Some(body.into_bytes()), delay, ..Reply::default() }
        })?;
        Ok(Self { server, values })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Puts a value.
    pub fn put(&self, key: &str, value: &str) {
        self.lock().insert(key.to_owned(), Stored::Value(value.to_owned()));
    }

    /// Removes a value.
    pub fn delete(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Lets reads of a key fail.
    pub fn fail(&self, key: &str) {
        self.lock().insert(key.to_owned(), Stored::Failure);
    }

    /// Lets reads of a key wait for longer than any test runs.
    pub fn hang(&self, key: &str) {
        self.lock().insert(key.to_owned(), Stored::Silence);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Stored>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
