//! The upstreams of `tests/envoy.rs` that a direct response cannot stand for:
//! an HTTP/2 server, gRPC included, an HTTP/1 one that breaks off, and a TCP
//! server. Their behaviour is described in `tests/cases/mod.rs`.

use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Running servers; they end with it.
pub(crate) struct Origin {
    pub(crate) http: u16,
    pub(crate) tcp: u16,
    pub(crate) torn: u16,
    state: Arc<State>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct State {
    tries: AtomicU32,
    slow: Notify,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Reply = Result<Response<Body>, io::Error>;

impl Origin {
    pub(crate) fn start() -> Origin {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let (http, tcp, torn) = (bind(), bind(), bind());
        let ports = [&http, &tcp, &torn].map(|listener| listener.local_addr().expect("bound").port());
        let state = Arc::new(State::default());
        runtime.spawn(serve_http(http, Arc::clone(&state)));
        runtime.spawn(serve_each(tcp, talk));
        runtime.spawn(serve_each(torn, tear));
        Origin { http: ports[0], tcp: ports[1], torn: ports[2], state, _runtime: runtime }
    }

    /// Lets the `slow` answer go, now or when it is asked for.
    pub(crate) fn release(&self) {
        self.state.slow.notify_one();
    }
}

async fn serve_http(listener: TcpListener, state: Arc<State>) {
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&state)));
            // A connection ends when Envoy does.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Reply {
    let path = request.uri().path().to_owned();
    if let Some(method) = path.strip_prefix("/svc/") {
        return grpc(method, request).await;
    }
    match path.strip_prefix("/o/").unwrap_or_default() {
        "trailers" => Ok(whole(200, "body".into(), Some(("t", "1")))),
        "echo" => {
            let collected = request.into_body().collect().await.map_err(io::Error::other)?;
            let trailer = collected.trailers().and_then(|trailers| trailers.get("t")).cloned();
            let trailer = trailer.as_ref().and_then(|value| value.to_str().ok()).unwrap_or("-");
            let body = String::from_utf8_lossy(&collected.to_bytes()).into_owned();
            Ok(whole(200, format!("{body} t={trailer}"), None))
        }
        "hang" => std::future::pending().await,
        "slow" => {
            state.slow.notified().await;
            Ok(whole(200, "slow".into(), None))
        }
        "flaky" if state.tries.fetch_add(1, Ordering::Relaxed) < 2 => Ok(whole(503, "".into(), None)),
        "flaky" => Ok(whole(200, "third".into(), None)),
        "moved" => {
            let mut response = whole(302, "".into(), None);
            response.headers_mut().insert("location", HeaderValue::from_static("http://probe.test/p"));
            Ok(response)
        }
        _ => Err(io::Error::other("reset")),
    }
}

async fn grpc(method: &str, request: Request<Incoming>) -> Reply {
    let mut requests = request.into_body();
    let (mut sender, body) = Channel::new(4);
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    match method {
        "Hello" => {
            let message = message(&mut requests).await.unwrap_or_default();
            tokio::spawn(async move {
                let _ = sender.send_data(framed(&[b"re:", message.as_slice()].concat())).await;
                let _ = sender.send_trailers(status("0", None)).await;
            });
        }
        "Chat" => {
            response.headers_mut().insert("i", HeaderValue::from_static("1"));
            tokio::spawn(chat(requests, sender));
        }
        "Fail" => {
            while message(&mut requests).await.is_some() {}
            // A status alone comes with the headers.
            response.headers_mut().extend(status("7", Some("no")));
            *response.body_mut() = Empty::new().boxed_unsync();
        }
        _ => std::future::pending::<()>().await,
    }
    Ok(response)
}

async fn chat(mut requests: Incoming, mut sender: Sender<Bytes>) {
    while let Some(message) = message(&mut requests).await {
        let _ = sender.send_data(framed(&message)).await;
    }
    let mut trailers = status("0", Some("bye"));
    trailers.insert("t", HeaderValue::from_static("2"));
    let _ = sender.send_trailers(trailers).await;
}

/// The next message; those of the tests come in one frame each.
async fn message(body: &mut Incoming) -> Option<Vec<u8>> {
    loop {
        let data = body.frame().await?.ok()?.into_data().ok()?;
        if let Some(message) = data.get(5..) {
            return Some(message.to_vec());
        }
    }
}

fn framed(message: &[u8]) -> Bytes {
    let size = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[0], size.as_slice(), message].concat().into()
}

fn status(code: &'static str, message: Option<&'static str>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    if let Some(message) = message {
        trailers.insert("grpc-message", HeaderValue::from_static(message));
    }
    trailers
}

fn whole(status: u16, body: String, trailer: Option<(&'static str, &'static str)>) -> Response<Body> {
    let (mut sender, channel) = Channel::new(4);
    tokio::spawn(async move {
        if !body.is_empty() {
            let _ = sender.send_data(body.into()).await;
        }
        if let Some((name, value)) = trailer {
            let trailers = [(name, value)]
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let _ = sender.send_trailers(trailers.into_iter().collect()).await;
        }
    });
    let mut response = Response::new(channel.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

async fn serve_each<F: Future<Output = io::Result<()>> + Send + 'static>(
    listener: TcpListener,
    serve: fn(TcpStream) -> F,
) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(socket));
    }
}

/// Answers `re:` and what came, nothing to `!`, and ends at `bye`.
async fn talk(mut socket: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let size = socket.read(&mut buffer).await?;
        match &buffer[..size] {
            b"" => return Ok(()),
            b"!" => {}
            b"bye" => {
                socket.shutdown().await?;
                // Until the other end closes, too.
                return socket.read(&mut buffer).await.map(|_| ());
            }
            said => socket.write_all(&[b"re:", said].concat()).await?,
        }
    }
}

/// Breaks off a response in the middle of its body.
async fn tear(mut socket: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let size = socket.read(&mut buffer).await?;
    if !buffer[..size].starts_with(b"GET /reset ") {
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart").await?;
    }
    socket.shutdown().await
}
