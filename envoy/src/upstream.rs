//! Real upstream servers on free loopback ports, which say who they are and what they saw.

use std::borrow::Cow;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// The response header in which an upstream names itself.
pub const NAME_HEADER: &str = "x-upstream";

/// A request as an upstream saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `host` header or `:authority`.
    pub host: String,
    /// Every header line in order: name, and value as bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; empty in what [`Seen`] of an echo says.
    pub body: Vec<u8>,
}

impl Seen {
    /// Every value of a header, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// The only value of a header as text; `None` when it is absent, repeated or not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.values(name).as_slice() {
            [value] => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }

    /// As the JSON body of the default reply. A header value is a text with one character per
    /// byte (Latin-1), so that no byte is lost.
    fn to_json(&self, upstream: &str) -> Value {
        let headers: Vec<Value> = self
            .headers
            .iter()
            .map(|(name, value)| json!([name, value.iter().copied().map(char::from).collect::<String>()]))
            .collect();
        json!({
            "upstream": upstream,
            "method": self.method,
            "path": self.path,
            "host": self.host,
            "headers": headers,
        })
    }

    /// Reads what [`Seen::to_json`] wrote; `None` for any other JSON.
    pub(crate) fn from_json(body: &Value) -> Option<Self> {
        let text = |key: &str| body[key].as_str().map(str::to_owned);
        let headers = body["headers"].as_array()?.iter().map(|line| {
            let value = line[1].as_str()?.chars();
            let bytes = value.map(u8::try_from).collect::<Result<Vec<_>, _>>().ok()?;
            Some((line[0].as_str()?.to_owned(), bytes))
        });
        Some(Self {
            method: text("method")?,
            path: text("path")?,
            host: text("host")?,
            headers: headers.collect::<Option<Vec<_>>>()?,
            body: Vec::new(),
        })
    }
}

/// What an upstream answers. Unless it has a body of its own, that is the echo of what was seen.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Further header lines; names may repeat.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, [u8]>)>,
    /// The body in place of the echo; the upstream then does not name itself either.
    pub body: Option<Vec<u8>>,
    /// Closes the connection in place of answering.
    pub resets: bool,
    /// How long the upstream thinks before it answers.
    pub delay: Duration,
}

impl Default for Reply {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new(), body: None, resets: false, delay: Duration::ZERO }
    }
}

impl Reply {
    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: &'static str) -> Self {
        self.headers.push((name.into(), Cow::Borrowed(value.as_bytes())));
        self
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A running upstream. It stops when dropped.
pub struct Upstream {
    name: String,
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Starts a server that answers 200 to everything.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub fn start(name: &str) -> Result<Self> {
        Self::scripted(name, |_| Reply::default())
    }

    /// Starts a server that answers what `script` says.
    ///
    /// It has a thread and a runtime of its own, so it outlives the test that happened to start
    /// it and can be shared.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub fn scripted(name: &str, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free loopback port")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Arc::default();
        let server =
            Arc::new(Server { name: name.to_owned(), script: Box::new(script), seen: Arc::clone(&seen) });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name(format!("upstream {name}"))
            .spawn(move || runtime.block_on(serve(listener, server, stopped)))?;
        Ok(Self { name: name.to_owned(), address, seen, stop: Some(stop), thread: Some(thread) })
    }

    /// Its name: the value of its `x-upstream` response header.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request it has seen so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may be gone already; then there is nothing to stop.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Server {
    name: String,
    script: Box<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Accepts until told to stop; open connections end with the runtime.
async fn serve(listener: TcpListener, server: Arc<Server>, mut stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let stream = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let server = Arc::clone(&server);
                async move { server.answer(request).await }
            });
            // A client that hangs up is not the upstream's error.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let mut seen = Seen::of(&request);
        seen.body = request.into_body().collect().await?.to_bytes().to_vec();
        let reply = (self.script)(&seen);
        let echo = seen.to_json(&self.name).to_string();
        lock(&self.seen).push(seen);
        tokio::time::sleep(reply.delay).await;
        // For hyper an error in place of a response is a connection to close.
        ensure!(!reply.resets, "closed as the script says");

        let mut response = Response::builder().status(reply.status);
        if reply.body.is_none() {
            response = response.header(NAME_HEADER, &self.name).header("content-type", "application/json");
        }
        for (name, value) in reply.headers {
            response = response.header(name.as_ref(), value.as_ref());
        }
        // A script with an impossible status or header is seen as this upstream's own 500.
        let body = reply.body.unwrap_or_else(|| echo.into_bytes());
        Ok(response.body(Full::from(body)).unwrap_or_else(|error| {
            let mut response = Response::new(Full::from(error.to_string()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }))
    }
}

impl Seen {
    fn of(request: &Request<Incoming>) -> Self {
        let headers: Vec<(String, Vec<u8>)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        let authority = request.uri().authority().map(ToString::to_string);
        let host = || {
            let value = request.headers().get("host")?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            method: request.method().to_string(),
            path: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
            host: authority.or_else(host).unwrap_or_default(),
            headers,
            body: Vec::new(),
        }
    }
}

/// A panic in a script poisons the list, but what it holds is still what was seen.
fn lock(seen: &Mutex<Vec<Seen>>) -> std::sync::MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
