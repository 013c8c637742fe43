//! Requests through the whole host: routing, the guest's callbacks, upstream,
//! response, log phase.
//!
//! `cargo bench -p proxy-wasm-host` also prints how long a million requests
//! take and which share of that the guest has.

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proxy_wasm_host::{Host, HostBuilder, Request, Route, UpstreamResponse};
use std::hint::black_box;
use std::time::{Duration, Instant};

const REQUESTS: u32 = 1_000_000;

fn splitway(experiments: usize) -> HostBuilder {
    let experiment = |id: usize| {
        let routed = if id == 0 { r#", "route": { "cluster": "v2" }"# } else { "" };
        format!(r#"{{ "id": "e{id}", "variants": [{{ "id": "a" }}, {{ "id": "b"{routed} }}] }}"#)
    };
    let experiments: Vec<String> = (0..experiments).map(experiment).collect();
    let config = format!(
        r#"{{ "version": 1, "unit": [{{ "cookie": "uid" }}], "experiments": [{}] }}"#,
        experiments.join(",")
    );
    with_routes(Host::builder(&support::splitway()).configuration(config))
}

/// A filter whose callbacks do nothing.
fn no_op() -> HostBuilder {
    let module = support::wat(
        r#"(module (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
            (func (export "proxy_on_context_create") (param i32 i32))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
            (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
            (func (export "proxy_on_log") (param i32))
            (func (export "proxy_on_delete") (param i32)))"#,
    );
    with_routes(Host::builder(&module))
}

fn with_routes(builder: HostBuilder) -> HostBuilder {
    builder
        .log_capacity(0)
        .route(Route::header("x-splitway-cluster", "v2").to("v2"))
        .default_route("v1")
        .upstream("v1", |_| UpstreamResponse::status(200))
        .upstream("v2", |_| UpstreamResponse::status(200))
}

/// Ten headers, as a browser sends.
fn request(user: u32) -> Request {
    Request::get("/checkout?step=1")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("accept-language", "en-US,en;q=0.5")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("cookie", format!("theme=dark; uid=user-{user}; consent=yes"))
        .header("x-request-id", "7c2f6f0e-3d0d-4b7e-8a69-0f6c4c0f6d0a")
}

fn start(builder: HostBuilder) -> Host {
    builder.start().unwrap_or_else(|error| panic!("{error}"))
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(3));
    let mut measure = |name: &str, mut host: Host| {
        let mut user = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                user += 1;
                black_box(host.send(request(user)).expect("served"))
            });
        });
    };
    measure("no-op filter", start(no_op()));
    measure("splitway, 1 experiment", start(splitway(1)));
    measure("splitway, 10 experiments", start(splitway(10)));
    group.finish();
}

fn hosts(c: &mut Criterion) {
    let _ = support::splitway();
    c.bench_function("start a host with splitway, 1 worker", |b| b.iter(|| start(splitway(1))));
}

fn million(_: &mut Criterion) {
    for (name, builder) in [("no-op filter", no_op()), ("splitway, 1 experiment", splitway(1))] {
        let mut host = start(builder);
        let started = Instant::now();
        for user in 0..REQUESTS {
            black_box(host.send(request(user)).expect("served"));
        }
        println!("{name}: {REQUESTS} requests in {:.2?}, one thread", started.elapsed());
    }
    let mut host = start(splitway(1).workers(2));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for worker in host.workers_mut() {
            scope.spawn(|| {
                (0..REQUESTS / 2).for_each(|user| drop(worker.send(request(user)).expect("served")))
            });
        }
    });
    println!("splitway, 1 experiment: {REQUESTS} requests in {:.2?}, two threads", started.elapsed());
    let mut host = start(splitway(1).measure(true));
    let started = Instant::now();
    (0..REQUESTS / 10).for_each(|user| drop(host.send(request(user)).expect("served")));
    let (total, (inside, hostcalls)) = (started.elapsed(), host.times());
    let share = |part: Duration| 100.0 * part.as_secs_f64() / total.as_secs_f64();
    println!(
        "splitway, 1 experiment, measured: guest {:.0} %, its hostcalls {:.0} %, host {:.0} % of {total:.2?}",
        share(inside.saturating_sub(hostcalls)),
        share(hostcalls),
        share(total.saturating_sub(inside)),
    );
}

criterion_group!(benches, requests, hosts, million);
criterion_main!(benches);
