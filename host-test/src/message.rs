//! What goes in and out of a host: requests, upstream replies, and the record
//! of one exchange.

use crate::headers::Headers;
use std::collections::BTreeMap;
use std::time::Duration;

/// A request as the client sends it.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) headers: Headers,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Option<Headers>,
    pub(crate) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) worker: Option<usize>,
    pub(crate) rejected: Option<u16>,
}

impl Request {
    /// A request with this method and path, to authority `example.com`.
    pub fn new(method: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Request {
        let mut headers = Headers::new();
        headers.add(":authority", "example.com");
        headers.add(":path", path);
        headers.add(":method", method);
        headers.add(":scheme", "http");
        Request {
            headers,
            chunks: Vec::new(),
            trailers: None,
            properties: BTreeMap::new(),
            worker: None,
            rejected: None,
        }
    }

    /// A `GET`.
    pub fn get(path: impl AsRef<[u8]>) -> Request {
        Request::new("GET", path)
    }

    /// A `POST` with a body in one chunk.
    pub fn post(path: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Request {
        Request::new("POST", path).chunk(body)
    }

    /// Adds a header; a repeated name stays repeated. A pseudo header
    /// (`:authority`) is replaced.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Request {
        if name.as_ref().first() == Some(&b':') {
            self.headers.set(name, value);
        } else {
            self.headers.add(name, value);
        }
        self
    }

    /// Adds a body chunk; the filter sees each chunk in its own call.
    #[must_use]
    pub fn chunk(mut self, chunk: impl Into<Vec<u8>>) -> Request {
        self.chunks.push(chunk.into());
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Request {
        self.trailers.get_or_insert_default().add(name, value);
        self
    }

    /// Fixes a property for this stream, such as
    /// `property(["source", "address"], "10.0.0.1:4000")`.
    #[must_use]
    pub fn property<'a>(
        mut self,
        path: impl IntoIterator<Item = &'a str>,
        value: impl Into<Vec<u8>>,
    ) -> Request {
        self.properties.insert(crate::pairs::path_key(path), value.into());
        self
    }

    /// Sends it to this worker instead of the next one in turn. Counted from
    /// 0; a number past the last worker wraps around.
    #[must_use]
    pub fn on_worker(mut self, worker: usize) -> Request {
        self.worker = Some(worker);
        self
    }

    /// Takes a header away. Without `:authority` the proxy answers 400, and the
    /// filter gets a context and `on_log` only.
    #[must_use]
    pub fn without(mut self, name: impl AsRef<[u8]>) -> Request {
        self.headers.remove(name);
        self
    }

    /// A request that the codec rejects with `status`, such as 431 for too
    /// large headers: the filter gets a context and `on_log`, and no headers.
    #[must_use]
    pub fn rejected_by_codec(mut self, status: u16) -> Request {
        self.rejected = Some(status);
        self
    }

    /// The headers so far.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}

/// A request as an upstream cluster gets it.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    /// The cluster that the route or the callout named.
    pub cluster: String,
    /// Headers, pseudo headers included.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
    /// Trailers, when the request had any.
    pub trailers: Option<Headers>,
    /// 1 for the first attempt, 2 for the first retry.
    pub attempt: u32,
}

/// What an upstream does with a request.
#[derive(Clone, Debug)]
pub struct UpstreamResponse {
    pub(crate) kind: UpstreamKind,
    pub(crate) delay: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum UpstreamKind {
    Response(Message),
    ConnectionRefused,
    Reset,
    Hang,
}

/// Headers, body chunks and trailers of a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) headers: Headers,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Option<Headers>,
    /// A reset comes in place of the end.
    pub(crate) torn: bool,
}

impl Message {
    /// HTTP/1 announces the end of a body by itself, with an empty last chunk;
    /// HTTP/2 marks the last chunk. Measured on Envoy 1.40.
    pub(crate) fn framed(mut self, http2: bool) -> Message {
        if !http2 && !self.chunks.is_empty() && self.trailers.is_none() && !self.torn {
            self.chunks.push(Vec::new());
        }
        self
    }
}

impl UpstreamResponse {
    /// A response with this status and no body.
    pub fn status(status: u16) -> UpstreamResponse {
        let mut headers = Headers::new();
        headers.add(":status", status.to_string());
        UpstreamResponse::of(UpstreamKind::Response(Message { headers, ..Message::default() }))
    }

    /// A 200 with a body in one chunk; an empty one means no body.
    pub fn ok(body: impl Into<Vec<u8>>) -> UpstreamResponse {
        UpstreamResponse::status(200).chunk(body)
    }

    /// The cluster does not accept the connection: the client gets 503, a
    /// callout gets a 503 response.
    pub fn connection_refused() -> UpstreamResponse {
        UpstreamResponse::of(UpstreamKind::ConnectionRefused)
    }

    /// The connection breaks before a response: the client or the callout gets
    /// 503.
    pub fn reset() -> UpstreamResponse {
        UpstreamResponse::of(UpstreamKind::Reset)
    }

    /// Never answers: the client or the callout gets 504 after its timeout.
    pub fn hang() -> UpstreamResponse {
        UpstreamResponse::of(UpstreamKind::Hang)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> UpstreamResponse {
        if let UpstreamKind::Response(message) = &mut self.kind {
            message.headers.add(name, value);
        }
        self
    }

    /// Adds a body chunk.
    #[must_use]
    pub fn chunk(mut self, chunk: impl Into<Vec<u8>>) -> UpstreamResponse {
        let chunk = chunk.into();
        if let UpstreamKind::Response(message) = &mut self.kind
            && !chunk.is_empty()
        {
            message.chunks.push(chunk);
        }
        self
    }

    /// Resets the stream after headers and body, instead of ending it: the
    /// client's stream is reset, too, and a callout fails.
    #[must_use]
    pub fn torn(mut self) -> UpstreamResponse {
        if let UpstreamKind::Response(message) = &mut self.kind {
            message.torn = true;
        }
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> UpstreamResponse {
        if let UpstreamKind::Response(message) = &mut self.kind {
            message.trailers.get_or_insert_default().add(name, value);
        }
        self
    }

    /// Answers after this much virtual time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> UpstreamResponse {
        self.delay = delay;
        self
    }

    fn of(kind: UpstreamKind) -> UpstreamResponse {
        UpstreamResponse { kind, delay: Duration::ZERO }
    }
}
