//! A proxy's metrics, from the admin interface of Envoy.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::counters::Report;

/// More than a proxy with 2,000 series answers.
const MAX_ANSWER: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// The admin interface of an Envoy.
#[derive(Clone, Debug)]
pub struct Admin {
    base: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// Why an admin interface gave no report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminError {
    /// It does not answer in time, or not with success.
    Dead(String),
    /// It answers with something else than numbers.
    NotANumber(String),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead(reason) => write!(f, "does not answer: {reason}"),
            Self::NotANumber(reason) => write!(f, "answers with something else than numbers: {reason}"),
        }
    }
}

impl std::error::Error for AdminError {}

impl Admin {
    /// The admin interface at `base`, such as `http://127.0.0.1:9901`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { base: base.trim_end_matches('/').to_owned(), client }
    }

    /// The proxy's name: where its admin interface is.
    #[must_use]
    pub fn name(&self) -> &str {
        self.base.split_once("://").map_or(&self.base, |(_, name)| name)
    }

    /// Reads the counters that the filter keeps, and how long the proxy has been up.
    ///
    /// # Errors
    /// The interface does not answer, or not with numbers.
    pub async fn report(&self) -> Result<Report, AdminError> {
        // Counters first: if the proxy restarts in between, the next report shows it.
        let stats = self.get("/stats?format=json&type=Counters&filter=%5Ewasmcustom%5C.splitway%5C.").await?;
        let gauges = self.get("/stats?format=json&type=Gauges&filter=%5Ewasmcustom%5C.splitway%5C.").await?;
        let info = self.get("/server_info").await?;
        let uptime = info.get("uptime_all_epochs").and_then(Value::as_str).and_then(seconds);
        let uptime = uptime.ok_or_else(|| AdminError::NotANumber("no uptime in /server_info".to_owned()))?;
        let mut report = Report { uptime, ..Report::default() };
        for answer in [&stats, &gauges] {
            let list = answer.get("stats").and_then(Value::as_array);
            let list = list.ok_or_else(|| AdminError::NotANumber("no list in /stats".to_owned()))?;
            for one in list {
                let Some(name) = one.get("name").and_then(Value::as_str) else { continue };
                let value = one.get("value").and_then(Value::as_u64);
                let value = value.ok_or_else(|| AdminError::NotANumber(name.to_owned()))?;
                report.take(name, value);
            }
        }
        Ok(report)
    }

    async fn get(&self, path: &str) -> Result<Value, AdminError> {
        let dead = |reason: String| AdminError::Dead(reason);
        let uri: Uri = format!("{}{path}", self.base).parse().map_err(|error| dead(format!("{error}")))?;
        let answer = async {
            let answer = self.client.get(uri).await.map_err(|error| dead(error.to_string()))?;
            if !answer.status().is_success() {
                return Err(dead(format!("{path} answers {}", answer.status())));
            }
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            Ok(body.map_err(|error| dead(error.to_string()))?.to_bytes())
        };
        let late = |_| dead(format!("no answer within {PATIENCE:?}"));
        let bytes = tokio::time::timeout(PATIENCE, answer).await.map_err(late)??;
        serde_json::from_slice(&bytes).map_err(|error| AdminError::NotANumber(format!("{path}: {error}")))
    }
}

fn seconds(text: &str) -> Option<u64> {
    text.strip_suffix('s')?.parse().ok()
}
