//! What a guest sees of each hostcall, by the probe's scripts.

#[path = "support/cases.rs"]
mod cases;
mod support;

use cases::{Answer, CASES, Case, Observed, Sent, differences, shown};
use proxy_wasm_host::{
    ClientResponse, FailurePolicy, Host, HostBuilder, LogSource, Request, Route, UpstreamRequest,
    UpstreamResponse, VmId,
};

fn builder(case: &Case) -> HostBuilder {
    let policy = match case.policy {
        "FAIL_OPEN" => FailurePolicy::Open,
        "fail_open" => FailurePolicy::OpenLegacy,
        _ => FailurePolicy::Closed,
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
        .failure_policy(policy)
        .configuration(case.script)
        .route(Route::path("/direct").direct_response(201, "direct").named("direct"))
        .route(Route::header("x-route", "alt").to("alt").named("alt"))
        .route(Route::header("x-route", "nowhere").to("nowhere").named("nowhere"))
        .route(Route::prefix("/p").to("up").named("main"))
        .route(Route::prefix("/q").to("up").named("main"))
        .upstream("up", answer)
        .upstream("alt", answer)
        .upstream("down", |_| UpstreamResponse::connection_refused())
}

fn request(sent: &Sent) -> Request {
    let method = if sent.body.is_empty() { "GET" } else { "POST" };
    let mut request = Request::new(method, sent.path).header(":authority", "probe.test");
    for (name, value) in sent.headers {
        request = request.header(name, value);
    }
    if !sent.body.is_empty() {
        request = request.header("content-length", sent.body.len().to_string()).chunk(sent.body);
    }
    request
}

fn observe(case: &Case) -> Observed {
    let mut host = builder(case).start().unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut observed = Observed::default();
    for sent in case.requests {
        let exchange = host.send(request(sent)).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let ClientResponse { status, headers, body, .. } = exchange.response;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = headers.iter().map(|(name, value)| (text(name), text(value))).collect();
        observed.answers.push(Answer { status, body: text(&body), headers });
    }
    let lines = host.logs().into_iter().filter(|line| {
        line.vm == VmId::Worker(0) && matches!(line.source, LogSource::Guest | LogSource::Stdout)
    });
    observed.log = lines.map(|line| line.message).filter(|line| shown(line)).collect();
    observed
}

#[test]
fn every_case() {
    let found: String = CASES.iter().map(|case| differences(case, &observe(case))).collect();
    assert!(found.is_empty(), "{found}");
}
