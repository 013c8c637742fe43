//! What a guest sees of each hostcall, by the probe's scripts.

mod cases;
mod support;

use cases::{Answer, Case, HELD, Observed, Refusal, Sent, Speaker, Step, differences, shown};
use proxy_wasm_host::{
    ClientResponse, Exchange, FailurePolicy, GrpcReply, GrpcRequest, Headers, Host, HostBuilder, HostError,
    LogLevel, LogSource, Peer, Request, Route, StreamId, UpstreamRequest, UpstreamResponse, VmId,
};
use std::time::Duration;

/// The most virtual time that a step waits.
const PATIENCE: Duration = Duration::from_secs(10);

fn builder(case: &Case) -> HostBuilder {
    let policy = match case.policy.split_once(' ') {
        Some((_, base)) => {
            FailurePolicy::Reload { base: Duration::from_millis(base.parse().expect("milliseconds")) }
        }
        None if case.policy == "FAIL_OPEN" => FailurePolicy::Open,
        None if case.policy == "fail_open" => FailurePolicy::OpenLegacy,
        None => FailurePolicy::Closed,
    };
    let answer = |request: &UpstreamRequest| {
        UpstreamResponse::ok(request.cluster.as_str())
            .header("content-type", "text/plain")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("vary", "accept")
    };
    Host::builder(&support::probe())
        .root_id("root")
        .vm_id("vm")
        .plugin_name("probe")
        .log_level(LogLevel::Info)
        .failure_policy(policy)
        .configuration(trimmed(case.script))
        .route(Route::path("/direct").direct_response(201, "direct").named("direct"))
        .route(Route::header("x-route", "alt").to("alt").named("alt"))
        .route(Route::header("x-route", "down").to("down").named("down"))
        .route(Route::header("x-route", "torn").to("torn").named("torn"))
        .route(Route::header("x-route", "nowhere").to("nowhere").named("nowhere"))
        .route(Route::path("/o/flaky").to("origin").retries(2).named("flaky"))
        .route(Route::path("/o/moved").to("origin").internal_redirects(1).named("moved"))
        .route(Route::prefix("/o/").to("origin").named("origin"))
        .route(Route::prefix("/p").to("up").named("main"))
        .route(Route::prefix("/q").to("up").named("main"))
        .upstream("up", answer)
        .upstream("alt", answer)
        .upstream("down", |_| UpstreamResponse::connection_refused())
        .upstream("origin", origin)
        .upstream("torn", |request| match request.headers.get(":path") {
            Some(b"/reset") => UpstreamResponse::reset(),
            _ => UpstreamResponse::ok("part").header("content-length", "10").torn(),
        })
        .grpc("origin", grpc_origin)
}

/// As it stands in Envoy's configuration.
fn trimmed(script: &str) -> String {
    script.lines().map(|line| format!("{}\n", line.trim())).collect()
}

fn origin(request: &UpstreamRequest) -> UpstreamResponse {
    let path = request.headers.text(":path").unwrap_or_default();
    match path.strip_prefix("/o/").unwrap_or_default() {
        "trailers" => UpstreamResponse::ok("body").trailer("t", "1"),
        "echo" => {
            let trailer = request.trailers.as_ref().and_then(|trailers| trailers.text("t"));
            let body = String::from_utf8_lossy(&request.body);
            UpstreamResponse::ok(format!("{body} t={}", trailer.as_deref().unwrap_or("-")))
        }
        "hang" => UpstreamResponse::hang(),
        "slow" => UpstreamResponse::ok("slow").after(Duration::from_secs(1)),
        "flaky" if request.attempt < 3 => UpstreamResponse::status(503),
        "flaky" => UpstreamResponse::ok("third"),
        "moved" => UpstreamResponse::status(302).header("location", "http://probe.test/p"),
        _ => UpstreamResponse::reset(),
    }
}

fn grpc_origin(request: &GrpcRequest) -> GrpcReply {
    match (request.method.as_str(), &request.message) {
        ("Hello", Some(message)) => GrpcReply::ok([b"re:", message.as_slice()].concat()),
        ("Chat", message) => {
            let reply = match message {
                Some(message) => GrpcReply::message(message.clone()),
                None => GrpcReply::silent(),
            };
            let reply = if request.end { reply.trailing_metadata("t", "2").close(0, "bye") } else { reply };
            if message.is_none() && !request.end { reply.initial_metadata("i", "1") } else { reply }
        }
        ("Fail", None) if !request.end => GrpcReply::silent(),
        ("Fail", _) => GrpcReply::error(7, "no"),
        _ => GrpcReply::hang(),
    }
}

fn request(sent: &Sent) -> Request {
    let method = if sent.body.is_empty() { "GET" } else { "POST" };
    let mut request = Request::new(method, sent.path).header(":authority", "probe.test");
    for (name, value) in sent.headers {
        request = request.header(name, value);
    }
    if !sent.body.is_empty() {
        if sent.trailers.is_empty() {
            request = request.header("content-length", sent.body.len().to_string());
        }
        request = request.chunk(sent.body);
    }
    for (name, value) in sent.trailers {
        request = request.trailer(name, value);
    }
    match sent.refused {
        None => request,
        Some(Refusal::NoHost) => request.without(":authority").header("connection", "close"),
        Some(Refusal::TooLarge) => request.rejected_by_codec(431),
    }
}

fn answer(exchange: Exchange) -> Answer {
    let ClientResponse { status, headers, body, trailers, .. } = exchange.response;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = |headers: &Headers| headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    Answer {
        status,
        body: text(&body),
        headers: pairs(&headers),
        trailers: trailers.as_ref().map(pairs).unwrap_or_default(),
    }
}

fn said(host: &Host, case: &Case) -> Vec<String> {
    let vm = if case.vm == Speaker::Main { VmId::Main } else { VmId::Worker(0) };
    let lines = host
        .logs()
        .into_iter()
        .filter(|line| line.vm == vm && matches!(line.source, LogSource::Guest | LogSource::Stdout));
    shown(lines.map(|line| line.message))
}

fn wait_for(host: &mut Host, case: &Case, wanted: &str, observed: &mut Observed) {
    let end = host.now() + PATIENCE;
    while !said(host, case).iter().any(|line| line.starts_with(wanted)) {
        if host.now() >= end {
            observed.trouble.push(format!("the guest never said {wanted:?}"));
            return;
        }
        host.advance(Duration::from_millis(10));
    }
}

fn talk(host: &mut Host, turns: &[(&str, &str)], observed: &mut Observed) {
    let mut connection = host.connect(0);
    let (mut sent, mut received) = (0, 0);
    let (mut half, mut bye) = (false, false);
    for (says, hears) in turns {
        half |= says.is_empty();
        connection.client_sends(says, says.is_empty());
        let arrived = connection.upstream_received().split_off(sent);
        sent += arrived.len();
        bye |= arrived == b"bye";
        if bye {
            connection.upstream_sends("", true);
        } else if !arrived.is_empty() && arrived != b"!" {
            connection.upstream_sends([b"re:", arrived.as_slice()].concat(), false);
        }
        let back = connection.client_received().split_off(received);
        received += back.len();
        let heard = if *hears == HELD { HELD.into() } else { String::from_utf8_lossy(&back).into_owned() };
        observed.received.push(heard);
    }
    if !half {
        connection.client_sends("", true);
    }
    if !bye {
        connection.upstream_sends("", true);
    }
    connection.close(if bye { Peer::Remote } else { Peer::Local });
}

fn take(result: Result<Exchange, HostError>, observed: &mut Observed) {
    match result {
        Ok(exchange) => observed.answers.push(answer(exchange)),
        Err(error) => observed.trouble.push(error.to_string()),
    }
}

fn observe(case: &Case) -> Observed {
    let mut host = builder(case).start().unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut observed = Observed::default();
    let mut open: Option<StreamId> = None;
    for step in case.steps {
        match step {
            Step::Send(sent) => take(host.send(request(sent)), &mut observed),
            Step::Open(sent, said) => {
                open = Some(host.open(request(sent)));
                wait_for(&mut host, case, said, &mut observed);
            }
            Step::Finish => {
                take(host.finish(open.take().expect("an open stream")), &mut observed);
            }
            Step::Configure(script) => {
                if let Err(error) = host.reconfigure(trimmed(script)) {
                    observed.trouble.push(format!("refused: {error}"));
                }
            }
            Step::Refuse(script) => {
                if host.reconfigure(trimmed(script)).is_ok() {
                    observed.trouble.push("accepted".into());
                }
            }
            Step::Await(said) => wait_for(&mut host, case, said, &mut observed),
            Step::Elapse => host.advance(Duration::from_millis(10)),
            Step::Talk(turns) => talk(&mut host, turns, &mut observed),
        }
    }
    observed.log = said(&host, case);
    observed
}

#[test]
fn every_case() {
    let only = std::env::var("CASE").unwrap_or_default();
    let found: String = cases::cases()
        .filter(|case| case.name.contains(&only))
        .map(|case| differences(case, &observe(case)))
        .collect();
    assert!(found.is_empty(), "{found}");
}
