//! The hop: client, filter, upstream and back.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use proxy_wasm_host::{Headers, UpstreamRequest, UpstreamResponse};
use splitway_engine::{SHADOW, STAMP};

use super::App;
use super::board::{Decided, Ended, Record, entered, minted};
use super::filter::Stream;
use super::shadow::{self, Outgoing};
use super::{hosts, page};

/// A response's body: made here, or the upstream's as it comes.
pub(super) type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, hyper::Error>;
/// Connections to upstreams.
pub(super) type Pool = Client<HttpConnector, Outgoing>;

/// Stands for a body that goes around the filter, which looks at headers only. The filter sees
/// that there is one.
const BODY: &[u8] = b"-";

/// Headers that are for one connection (RFC 9110, 7.6.1), besides those that `connection` names.
/// `expect` is answered by the server here.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Answers one request.
pub(super) async fn serve(
    app: Arc<App>,
    client: IpAddr,
    own: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if let Err(host) = hosts::check(&request, own, &app.hosts) {
        let why = format!(
            "splitway dev: it does not answer for the host `{}`; allow it with --host NAME\n",
            host.escape_debug()
        );
        return Ok(text(StatusCode::MISDIRECTED_REQUEST, why));
    }
    let path = request.uri().path();
    if path == page::ROOT || path.starts_with(page::BELOW) {
        return Ok(page::serve(&app, &request));
    }
    Ok(match proxied_request(client, &request) {
        Ok(inner) => forward(app, inner, request).await,
        Err((status, why)) => text(status, format!("splitway dev: {why}\n")),
    })
}

/// A response made here.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

pub(super) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// The request as the filter gets it, with what an edge proxy adds.
fn proxied_request(
    client: IpAddr,
    request: &Request<Incoming>,
) -> Result<proxy_wasm_host::Request, (StatusCode, &'static str)> {
    if request.method() == Method::CONNECT {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "this is not a forward proxy: CONNECT has no route"));
    }
    let uri = request.uri();
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    if !path.starts_with('/') {
        return Err((StatusCode::NOT_FOUND, "there is no route for a path that does not begin with /"));
    }
    let host = request.headers().get(hyper::header::HOST).map(HeaderValue::as_bytes);
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes()).or(host);
    let Some(authority) = authority else {
        return Err((StatusCode::BAD_REQUEST, "the request has no host"));
    };
    let scheme = uri.scheme_str().unwrap_or("http");
    let mut inner = proxy_wasm_host::Request::new(request.method().as_str(), path)
        .header(":authority", authority)
        .header(":scheme", scheme);
    let mut crumbs: Vec<&[u8]> = Vec::new();
    for (name, value) in end_to_end(request.headers()) {
        match name.as_str() {
            "host" | "x-forwarded-proto" => {}
            // HTTP/2 clients send a header for each cookie; they are one again behind the proxy.
            "cookie" if request.version() == Version::HTTP_2 => crumbs.push(value.as_bytes()),
            name => inner = inner.header(name, value.as_bytes()),
        }
    }
    if !crumbs.is_empty() {
        inner = inner.header("cookie", crumbs.join(b"; ".as_slice()));
    }
    inner = inner.header("x-forwarded-for", client.to_string()).header("x-forwarded-proto", "http");
    let has_body = !request.body().is_end_stream();
    Ok(if has_body { inner.chunk(BODY) } else { inner })
}

fn end_to_end(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named: Vec<String> = headers
        .get_all(hyper::header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers.iter().filter(move |(name, _)| {
        let name = name.as_str();
        !HOP_BY_HOP.contains(&name) && !named.iter().any(|known| known == name)
    })
}

async fn forward(
    app: Arc<App>,
    inner: proxy_wasm_host::Request,
    request: Request<Incoming>,
) -> Response<Body> {
    let started = Instant::now();
    let headers = inner.headers().clone();
    let running = app.running();
    let (stream, now, sent) = Stream::open(running, inner);
    let decided = Decided::new(&stream.running().config.plan, &headers, now);
    let cluster = sent.as_ref().map(|sent| sent.cluster.clone());
    let path = request.uri().path_and_query().map_or("", |path| path.as_str()).to_owned();
    let stamp = sent.as_ref().and_then(|sent| sent.headers.text(STAMP));
    let shadow = sent.as_ref().and_then(|sent| sent.headers.text(SHADOW));
    let copied_to = shadow.filter(|cluster| app.upstreams.authority(cluster).is_some());
    let ended = Ended {
        method: request.method().to_string(),
        path,
        status: None,
        cluster,
        copied_to: copied_to.clone(),
        note: None,
        started,
    };
    let mut flight = Flight { app, stream, stamp, state: Some((decided, ended)) };
    let Some(sent) = sent else {
        return flight.answer_from_host();
    };
    let (head, body) = request.into_parts();
    let body = match copied_to {
        None => shadow::plain(body),
        Some(cluster) => {
            let (body, copy) = shadow::twice(body);
            if let Ok(copy) = upstream_request(&flight.app, &cluster, &sent, head.method.clone(), copy) {
                let copy = flight.app.pool.request(copy);
                // What becomes of it is nobody's business.
                tokio::spawn(async move { drop(copy.await) });
            }
            body
        }
    };
    let answer = match upstream_request(&flight.app, &sent.cluster, &sent, head.method, body) {
        Ok(outgoing) => flight.app.pool.request(outgoing).await.map_err(|error| {
            let kind = if error.is_connect() {
                UpstreamResponse::connection_refused()
            } else {
                UpstreamResponse::reset()
            };
            (kind, cause(&error))
        }),
        Err(why) => Err((UpstreamResponse::reset(), why)),
    };
    match answer {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let mut response = UpstreamResponse::status(head.status.as_u16());
            for (name, value) in end_to_end(&head.headers) {
                response = response.header(name.as_str(), value.as_bytes());
            }
            if !body.is_end_stream() {
                response = response.chunk(BODY);
            }
            match flight.stream.answer(response) {
                Some(filtered) if filtered.is_upstreams => flight.pass(&filtered.headers, body),
                _ => flight.answer_from_host(),
            }
        }
        Err((failure, why)) => {
            let address = flight.app.upstreams.authority(&sent.cluster).unwrap_or_default();
            flight.note(format!("{address}: {why}"));
            flight.stream.answer(failure);
            flight.answer_from_host()
        }
    }
}

/// What goes to the server of `cluster`.
fn upstream_request(
    app: &App,
    cluster: &str,
    sent: &UpstreamRequest,
    method: Method,
    body: Outgoing,
) -> Result<Request<Outgoing>, String> {
    let authority = app.upstreams.authority(cluster).ok_or("no server has this name")?;
    let path = sent.headers.text(":path").unwrap_or_default();
    let uri: Uri = format!("http://{authority}{path}").parse().map_err(|error| format!("{path}: {error}"))?;
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = method;
    *outgoing.uri_mut() = uri;
    copy_headers(&sent.headers, outgoing.headers_mut());
    let host = sent.headers.get(":authority").and_then(|host| HeaderValue::from_bytes(host).ok());
    if let Some(host) = host {
        outgoing.headers_mut().insert(hyper::header::HOST, host);
    }
    Ok(outgoing)
}

/// All but pseudo headers; what HTTP cannot carry is left out.
fn copy_headers(from: &Headers, to: &mut HeaderMap) {
    for (name, value) in from.iter().filter(|(name, _)| name.first() != Some(&b':')) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            to.append(name, value);
        }
    }
}

/// The innermost reason, which is the one that helps.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A request between its beginning and its end. However it ends, it is finished in the filter and
/// told once; dropped before, the client has left.
struct Flight {
    app: Arc<App>,
    stream: Stream,
    /// What the upstream was told.
    stamp: Option<String>,
    state: Option<(Decided, Ended)>,
}

impl Flight {
    fn note(&mut self, note: String) {
        if let Some((_, ended)) = &mut self.state {
            ended.note.get_or_insert(note);
        }
    }

    /// The response that the proxy made: the upstream is down, or the module failed.
    fn answer_from_host(mut self) -> Response<Body> {
        let Some(answer) = self.end(None) else {
            return text(
                StatusCode::GATEWAY_TIMEOUT,
                "splitway dev: the filter did not continue the request\n",
            );
        };
        let mut response = Response::new(full(answer.body));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::GATEWAY_TIMEOUT);
        copy_headers(&answer.headers, response.headers_mut());
        response
    }

    /// The upstream's response, with the headers as the filter left them.
    fn pass(mut self, headers: &Headers, body: Incoming) -> Response<Body> {
        let status = headers.text(":status").and_then(|status| status.parse().ok());
        if let Some((_, ended)) = &mut self.state {
            ended.status = status;
        }
        let mut response = Response::new(());
        *response.status_mut() =
            status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_GATEWAY);
        copy_headers(headers, response.headers_mut());
        response.map(|()| Passing { body, flight: self }.boxed_unsync())
    }

    /// Runs the filter's last callbacks and tells what became of the request. Gives the response
    /// as the host has it; nothing if there is none.
    fn end(&mut self, note: Option<&str>) -> Option<proxy_wasm_host::ClientResponse> {
        let (decided, mut ended) = self.state.take()?;
        let finished = self.stream.finish();
        let response = finished.exchange.ok().map(|mut exchange| {
            if let Some(trap) = exchange.trap.take() {
                ended.note.get_or_insert(format!("the filter trapped: {}", trap.reason));
            }
            exchange.response
        });
        if let Some(note) = note {
            ended.note.get_or_insert(note.to_owned());
        }
        let response = response.filter(|response| response.status > 0);
        let is_gone = note == Some(CLIENT_LEFT);
        ended.status = ended.status.or(response.as_ref().map(|r| r.status).filter(|_| !is_gone));
        self.app.output.log(&finished.before);
        if self.app.output.verbose {
            self.app.output.log(&finished.own);
        }
        let plan = &self.stream.running().config.plan;
        let headers = response.as_ref().map(|response| &response.headers);
        let decided = decided.with_minted(plan, headers.and_then(|headers| minted(plan, headers)));
        let stamp = self.stamp.take().or_else(|| headers?.text(STAMP));
        let record =
            Record::new(plan, &decided, entered(stamp.as_deref(), &decided, plan, &finished.own), ended);
        self.app.tell(self.stream.running(), &decided, record);
        response
    }
}

const CLIENT_LEFT: &str = "the client left";

impl Drop for Flight {
    fn drop(&mut self) {
        self.end(Some(CLIENT_LEFT));
    }
}

/// The upstream's body on its way; the request ends with it.
struct Passing {
    body: Incoming,
    flight: Flight,
}

impl hyper::body::Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            None => drop(self.flight.end(None)),
            Some(Err(error)) => drop(self.flight.end(Some(&cause(error)))),
            Some(Ok(_)) if self.body.is_end_stream() => drop(self.flight.end(None)),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // A body that was whole before anybody asked for a piece of it.
        if self.body.is_end_stream() {
            self.flight.end(None);
        }
    }
}
