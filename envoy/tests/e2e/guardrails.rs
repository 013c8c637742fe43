//! What trips a guardrail on a real Envoy, and what must not: one client's errors and slowness, long exchanges, clients
//! that leave; and gRPC, whose errors are HTTP 200.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use splitway_envoy::{Call, Client, Envoy, Reply, Upstream, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::shop::{start, with_experiments};

/// Two ticks of the filter, and some more: what has to come has come.
const TICKS: Duration = Duration::from_millis(800);

/// A 50:50 experiment with the treatment in `cluster`, and these guardrails.
fn guarded(cluster: &str, guardrails: &Value) -> Value {
    with_experiments(&json!([{
        "id": "e",
        "variants": [{ "id": "control" }, { "id": "new", "route": { "cluster": cluster } }],
        "guardrails": guardrails,
    }]))
}

fn visit(path: &str, user: usize) -> Call {
    Call::get(path).header("x-user-id", format!("u{user}"))
}

/// The lines of guardrails that tripped.
fn trips(envoy: &Envoy) -> Vec<Value> {
    let log = envoy.log().expect("a log");
    let lines = log.lines().filter_map(|line| Some(&line[line.find(r#"{"event":"splitway.guardrail""#)?..]));
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn trip(envoy: &Envoy) -> Value {
    eventually("a trip", async || Ok(trips(envoy).first().cloned())).await.expect("a trip")
}

/// A user of the variant `new`.
async fn treated(client: &Client) -> usize {
    for user in 0.. {
        let answer = client.send(&visit("/", user)).await.expect("an answer");
        if answer.variant("e") == Some("new") {
            return user;
        }
    }
    unreachable!("half of all users are")
}

/// Sends `head`, and after a while `rest`; gives when it was answered.
async fn slow_post(proxy: SocketAddr, user: usize, hold: Duration) {
    let mut stream = TcpStream::connect(proxy).await.expect("connected");
    let head = format!(
        "POST / HTTP/1.1\r\nhost: shop\r\nx-user-id: u{user}\r\nconnection: close\r\ncontent-length: 4\r\n\r\nab"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    tokio::time::sleep(hold).await;
    stream.write_all(b"cd").await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("answered");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

/// The attacks: errors of one unit, and uploads that many clients hold back. Then what guardrails are for.
#[tokio::test]
async fn one_client_and_slow_clients_trip_nothing_and_a_bad_variant_does() {
    let broken = Arc::new(AtomicU16::new(200));
    let (v1, of_all) = (Upstream::start("checkout-v1").expect("v1"), Arc::clone(&broken));
    let v2 = Upstream::scripted("checkout-v2", move |seen| Reply {
        status: if seen.path == "/broken" { 503 } else { of_all.load(Ordering::Relaxed) },
        ..Reply::default()
    })
    .expect("v2");
    let document = guarded(
        "checkout-v2",
        &json!([
            { "metric": "http_5xx_rate", "max_increase": "1%", "min_requests": 100 },
            { "metric": "latency", "slower_than": "200ms", "min_requests": 100 },
        ]),
    );
    let envoy = start(&document, &v1, &v2, |_| {}).await;
    let client = envoy.http1();
    for user in 0..200 {
        client.send(&visit("/", user)).await.expect("an answer");
    }
    let attacker = treated(&client).await;
    for _ in 0..400 {
        let answer = client.send(&visit("/broken", attacker)).await.expect("an answer");
        assert_eq!((answer.status, answer.variant("e")), (503, Some("new")));
    }
    for _ in 0..4 {
        let mut posts = JoinSet::new();
        (0..100)
            .for_each(|user| drop(posts.spawn(slow_post(envoy.address(), user, Duration::from_millis(250)))));
        posts.join_all().await;
    }
    tokio::time::sleep(TICKS).await;
    assert_eq!(trips(&envoy), Vec::<Value>::new());

    broken.store(500, Ordering::Relaxed);
    for user in 0..300 {
        client.send(&visit("/", user)).await.expect("an answer");
    }
    let found = trip(&envoy).await;
    assert_eq!((&found["metric"], &found["variant"]), (&json!("http_5xx_rate"), &json!("new")));
    assert!(found["bad_units"].as_u64() > Some(15), "{found}");
    eventually("the control for all", async || {
        for user in 0..20 {
            if client.send(&visit("/", user)).await?.variant("e") != Some("control") {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
    .expect("off");
}

/// Sends the head of a request and leaves after `wait`.
async fn leave_after(proxy: SocketAddr, user: usize, wait: Duration) {
    let mut stream = TcpStream::connect(proxy).await.expect("connected");
    let head = format!("GET / HTTP/1.1\r\nhost: shop\r\nx-user-id: u{user}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // What the control answers is read and dropped; an answer of the other would come after a minute.
    let mut answer = [0; 4096];
    let _ = tokio::time::timeout(wait, stream.read(&mut answer)).await;
}

async fn all_leave_after(envoy: &Envoy, wait: Duration) {
    let mut clients = JoinSet::new();
    (0..160).for_each(|user| drop(clients.spawn(leave_after(envoy.address(), user, wait))));
    clients.join_all().await;
}

#[tokio::test]
async fn a_variant_that_hangs_until_clients_give_up_is_switched_off() {
    let v1 = Upstream::start("checkout-v1").expect("v1");
    let v2 =
        Upstream::scripted("checkout-v2", |_| Reply { delay: Duration::from_secs(60), ..Reply::default() })
            .expect("v2");
    let rail = json!([{ "metric": "http_5xx_rate", "min_requests": 20, "abandoned_after": "2s" }]);
    let envoy = start(&guarded("checkout-v2", &rail), &v1, &v2, |_| {}).await;
    // Who leaves at once says nothing about the variant.
    all_leave_after(&envoy, Duration::from_millis(10)).await;
    tokio::time::sleep(TICKS).await;
    assert_eq!(trips(&envoy), Vec::<Value>::new());
    all_leave_after(&envoy, Duration::from_millis(2_100)).await;
    assert_eq!(trip(&envoy).await["metric"], "http_5xx_rate");
    assert!(
        envoy.exposures().expect("a log").iter().any(|record| record.text("splitway.response_flags") == "DC")
    );
}

/// An upstream that keeps what it answers going for a second: a WebSocket on `/ws`, and else a stream of events.
async fn streams() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let is_upgrade = head[..read].starts_with(b"GET /ws");
                let answer: &[u8] = if is_upgrade {
                    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
                } else {
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n"
                };
                let _ = stream.write_all(answer).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                let _ = stream.write_all(b"data: 2\n\n").await;
            });
        }
    });
    address
}

/// Keeps an exchange going until the server ends it. Gives the status line.
async fn hold(proxy: SocketAddr, path: &'static str, user: usize) -> String {
    let mut stream = TcpStream::connect(proxy).await.expect("connected");
    let upgrade = if path == "/ws" {
        "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    } else {
        ""
    };
    let head = format!("GET {path} HTTP/1.1\r\nhost: shop\r\nx-user-id: u{user}\r\n{upgrade}\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).await.expect("an answer");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn long_exchanges_are_judged_by_the_time_to_their_head() {
    let (v1, v2) = (Upstream::start("checkout-v1").expect("v1"), Upstream::start("checkout-v2").expect("v2"));
    let rail = json!([{ "metric": "latency", "slower_than": "900ms", "min_requests": 20, "max": "1%" }]);
    let streams = streams().await;
    let envoy = start(&guarded("streams", &rail), &v1, &v2, |config| {
        config.additions.clusters = vec![("streams".to_owned(), streams)];
        config.additions.routes = vec![json!({
            "match": { "prefix": "/", "headers": [{ "name": "x-splitway-cluster", "string_match": { "exact": "streams" } }] },
            "route": { "cluster": "streams" },
        })];
    })
    .await;
    let mut statuses = Vec::new();
    for path in ["/ws", "/events"] {
        let mut clients = JoinSet::new();
        (0..150).for_each(|user| drop(clients.spawn(hold(envoy.address(), path, user))));
        statuses.extend(clients.join_all().await);
    }
    assert!(statuses.iter().filter(|status| status.contains(" 101 ")).count() > 40, "{statuses:?}");
    eventually("every record", async || Ok((envoy.exposures()?.len() >= 300).then_some(())))
        .await
        .expect("records");
    tokio::time::sleep(TICKS).await;
    assert_eq!(trips(&envoy), Vec::<Value>::new());
    let records = envoy.exposures().expect("a log");
    let long = records.iter().filter(|record| record.get("splitway.duration_ms").as_u64() > Some(900));
    assert!(long.count() > 80, "the exchanges were long");
}

/// A gRPC server: status 14 in the trailers, or for `/head` in the response's head; status 0 where the path begins with `/ok`.
async fn grpc() -> SocketAddr {
    type Body = BoxBody<Bytes, Infallible>;
    async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
        let path = request.uri().path().to_owned();
        request.into_body().collect().await?;
        let status = HeaderValue::from_static(if path.starts_with("/ok") { "0" } else { "14" });
        let mut response = Response::new(Full::new(Bytes::new()).boxed());
        if path == "/head" {
            response.headers_mut().insert("grpc-status", status);
        } else {
            let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), status)]);
            let message = Full::new(Bytes::from_static(&[0; 5]));
            *response.body_mut() = message.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
        }
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        Ok(response)
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}

fn call(path: &str, user: usize) -> Call {
    let call = Call::post(path).header("x-user-id", format!("u{user}")).body(&[0_u8; 5][..]);
    call.header("content-type", "application/grpc").header("te", "trailers")
}

#[tokio::test]
async fn grpc_is_judged_by_its_own_status() {
    let (v1, v2) = (Upstream::start("checkout-v1").expect("v1"), Upstream::start("checkout-v2").expect("v2"));
    let server = grpc().await;
    let nobody = splitway_envoy::Collector::free_address().expect("a port");
    let mut document =
        guarded("grpc", &json!([{ "metric": "http_5xx_rate", "max_increase": "1%", "min_requests": 100 }]));
    document["service_metrics"] = true.into();
    let envoy = start(&document, &v1, &v2, |config| {
        config.additions.clusters = vec![("grpc".to_owned(), server), ("nobody".to_owned(), nobody)];
        config.additions.http2 = vec!["grpc".to_owned()];
        let to = |path: &str, cluster: &str| {
            let header = json!({ "name": "x-splitway-cluster", "string_match": { "exact": "grpc" } });
            json!({ "match": { "prefix": path, "headers": [header] }, "route": { "cluster": cluster } })
        };
        config.additions.routes = vec![
            to("/nobody", "nobody"),
            to("/", "grpc"),
            // The control's calls go well.
            json!({ "match": { "prefix": "/" }, "route": { "cluster": "grpc", "prefix_rewrite": "/ok" } }),
        ];
    })
    .await;
    let client = Client::http2(envoy.address());
    let user = treated(&envoy.http1()).await;
    for (path, expected) in [("/ok", 0), ("/trailers", 14), ("/head", 14), ("/nobody", 14)] {
        let before = envoy.exposures().expect("a log").len();
        let answer = client.send(&call(path, user)).await.expect("an answer");
        assert_eq!((answer.status, answer.variant("e")), (200, Some("new")), "{path}");
        let record = eventually("the record", async || Ok(envoy.exposures()?.into_iter().nth(before)))
            .await
            .expect("a record");
        assert_eq!(record.get("rpc.grpc.status_code"), expected, "{path} {record:?}");
        assert_eq!(record.get("http.response.status_code"), 200, "{path}");
    }
    let mut calls = JoinSet::new();
    for user in 0..300 {
        let client = client.clone();
        calls.spawn(async move { client.send(&call("/trailers", user)).await.expect("an answer").status });
    }
    assert_eq!(calls.join_all().await, [200; 300]);
    assert_eq!(trip(&envoy).await["variant"], "new");
    let metrics = envoy.prometheus().await.expect("metrics");
    let failed = metrics.lines().find(|line| {
        ["splitway_responses{", r#"class="5xx""#, r#"variant="new""#].iter().all(|part| line.contains(part))
    });
    let count = failed.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    assert!(count > Some(50), "{failed:?}");
}
