//! A small HTTP client that sends header bytes as they are, over HTTP/1.1 or HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Version};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client as Pool};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::upstream::{NAME_HEADER, Seen};

/// Past this a request counts as failed, so that a hung proxy cannot hang its caller.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A pool of connections to one address. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    version: Version,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// Speaks HTTP/1.1 with keep-alive.
    #[must_use]
    pub fn http1(address: SocketAddr) -> Self {
        Self::new(address, Version::HTTP_11)
    }

    /// Speaks HTTP/2 from the first byte on (prior knowledge, no TLS).
    #[must_use]
    pub fn http2(address: SocketAddr) -> Self {
        Self::new(address, Version::HTTP_2)
    }

    fn new(address: SocketAddr, version: Version) -> Self {
        let pool = Builder::new(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            // A request that fails must be seen to fail.
            .retry_canceled_requests(false)
            .build_http();
        Self { address, version, pool }
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails, the answer takes longer than 20 s, or `call` holds bytes that
    /// HTTP does not allow in a header.
    pub async fn send(&self, call: &Call) -> Result<Answer> {
        let request = call.request(&format!("http://{}{}", self.address, call.path), self.version)?;
        let exchange = async { read(self.pool.request(request).await?).await };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .with_context(|| format!("{} took longer than {TIMEOUT:?}", call.path))?
            .with_context(|| format!("{} {}", call.method, call.path))
    }

    /// Sends one request over an HTTP/1.1 connection of its own and waits until the server has closed
    /// it. A proxy does that when it is through with the request, so its log has everything then.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_alone(&self, call: &Call) -> Result<Answer> {
        let mut request = call.request(&call.path, Version::HTTP_11)?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        if !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, HeaderValue::from_str(&self.address.to_string())?);
        }
        let exchange = async {
            let stream = tokio::net::TcpStream::connect(self.address).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let answer = async { read(sender.send_request(request).await?).await };
            let (answer, closed) = tokio::join!(answer, connection);
            let answer = answer?;
            closed?;
            anyhow::Ok(answer)
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .with_context(|| format!("{} took longer than {TIMEOUT:?}", call.path))?
            .with_context(|| format!("{} {}", call.method, call.path))
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// A request to send. Header lines may repeat and hold any byte that HTTP lets through.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Call {
    /// A GET of `path`, which starts with `/`.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::with_method(Method::GET, path)
    }

    /// An empty POST to `path`.
    #[must_use]
    pub fn post(path: &str) -> Self {
        Self::with_method(Method::POST, path)
    }

    /// A request with any method.
    ///
    /// # Errors
    /// When `method` is none.
    pub fn new(method: &str, path: &str) -> Result<Self> {
        Ok(Self::with_method(Method::from_bytes(method.as_bytes())?, path))
    }

    fn with_method(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    /// Gives it a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    fn request(&self, uri: &str, version: Version) -> Result<Request<Full<Bytes>>> {
        let body = Full::new(self.body.clone());
        let mut request = Request::builder().method(&self.method).version(version).uri(uri).body(body)?;
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            request.headers_mut().append(name, HeaderValue::from_bytes(value)?);
        }
        Ok(request)
    }

    /// Adds a header line after those already there.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header lines.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// Every value of a header as text, in order; a value that is not UTF-8 is shown lossily.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    /// The first value of a header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Which upstream answered; `None` when Envoy itself did.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        self.header(NAME_HEADER)
    }

    /// The variant that the `x-splitway` response header gives for an experiment.
    #[must_use]
    pub fn variant(&self, experiment: &str) -> Option<&str> {
        stamped(self.header("x-splitway")?, experiment)
    }

    /// What the upstream saw of the request.
    ///
    /// # Errors
    /// When the body is not an upstream's echo.
    pub fn seen(&self) -> Result<Seen> {
        let body = || String::from_utf8_lossy(&self.body).into_owned();
        let value = serde_json::from_slice(&self.body).with_context(body)?;
        Seen::from_json(&value).with_context(body)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The value of `key` in a stamp such as `checkout-button=one-step, search=control`.
#[must_use]
pub fn stamped<'a>(stamp: &'a str, key: &str) -> Option<&'a str> {
    stamp
        .split(',')
        .filter_map(|member| member.trim().split_once('='))
        .find(|(known, _)| *known == key)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_by_experiment() {
        let stamp = "checkout-button=one-step, search=control";
        assert_eq!(stamped(stamp, "checkout-button"), Some("one-step"));
        assert_eq!(stamped(stamp, "search"), Some("control"));
        assert_eq!(stamped(stamp, "button"), None);
    }
}
