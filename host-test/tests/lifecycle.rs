//! Life cycle: configuration, timers, failure policies, callouts, threads.

mod support;

use proxy_wasm_host::{
    FailurePolicy, GrpcReply, Host, HostBuilder, HostError, LogSource, MetricValue, Peer, Phase, Request,
    Route, SharedState, Status, UpstreamResponse, VmId,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn builder(script: &str) -> HostBuilder {
    Host::builder(&support::probe())
        .configuration(script)
        .default_route("up")
        .upstream("up", |_| UpstreamResponse::ok("up"))
}

fn start(script: &str) -> Host {
    builder(script).start().unwrap_or_else(|error| panic!("{error}"))
}

/// What the guest said, with the VM that said it.
fn said(host: &Host) -> Vec<(VmId, String)> {
    let spoken = host.logs().into_iter().filter(|line| line.source == LogSource::Guest);
    spoken.map(|line| (line.vm, line.message)).collect()
}

fn lines(host: &mut Host) -> Vec<String> {
    let spoken = host.take_logs().into_iter().filter(|line| line.source == LogSource::Guest);
    spoken.map(|line| line.message).filter(|line| !line.ends_with(" = ")).collect()
}

#[test]
fn configure_runs_in_the_canary_the_main_vm_and_every_worker() {
    let host = builder("configure: facts").workers(3).start().expect("it starts");
    let vms: Vec<VmId> = said(&host).into_iter().map(|(vm, _)| vm).collect();
    assert_eq!(vms, [VmId::Canary, VmId::Main, VmId::Worker(0), VmId::Worker(1), VmId::Worker(2)]);
}

#[test]
fn vm_start_comes_before_configure_with_its_own_configuration() {
    let script = "
        create: facts
        configure: buffer 6 0 100
        configure: buffer 7 0 9
        configure: env NAME";
    let host = builder(script)
        .vm_configuration("vm config")
        .environment("NAME", "value")
        .start()
        .expect("it starts");
    let main: Vec<String> =
        said(&host).into_iter().filter(|(vm, _)| *vm == VmId::Main).map(|(_, line)| line).collect();
    assert_eq!(
        main,
        [
            "configure buffer 6 0 100 = 0 vm config",
            "configure buffer 7 0 9 = 0 \n        ",
            "configure env NAME = value"
        ]
    );
}

#[test]
fn a_refused_configuration_stops_at_the_canary_and_the_old_one_serves() {
    let mut host = builder("request_headers: set 0 x-version 1").workers(2).start().expect("it starts");
    host.take_logs();
    let error = host.reconfigure("configure: say no\nconfigure: return 0").expect_err("refused");
    assert!(matches!(error, HostError::ConfigurationRefused { vm: VmId::Canary, .. }), "{error}");
    assert_eq!(host.logs().iter().filter(|line| line.source == LogSource::Stdout).count(), 1);
    let exchange = host.send(Request::get("/")).expect("served");
    assert_eq!(exchange.request_headers.text("x-version").as_deref(), Some("1"));
    assert_eq!((host.stats().configured, host.stats().config_refused), (1, 1));
}

#[test]
fn an_invalid_first_configuration_does_not_start() {
    let error = builder("configure: return 0").start().expect_err("refused");
    assert!(matches!(error, HostError::ConfigurationRefused { vm: VmId::Canary, .. }), "{error}");
    let error = builder("configure: trap").start().expect_err("trapped");
    let HostError::Trapped(trap) = error else { panic!("{error}") };
    assert_eq!(trap.export, "proxy_on_configure");
    assert!(trap.last_words.iter().any(|line| line.contains("the script says so")), "{trap}");
    assert!(!trap.backtrace.is_empty(), "{trap}");
}

#[test]
fn a_new_configuration_makes_a_new_root_context_in_the_same_vm() {
    let mut host = start("request_headers: sharedget memory");
    host.take_logs();
    host.reconfigure("create: facts\nconfigure: facts\ndone: facts\ndelete: facts").expect("accepted");
    // The script is the VM's, so the old root's end is told by the new one.
    let main: Vec<String> =
        said(&host).into_iter().filter(|(vm, _)| *vm == VmId::Main).map(|(_, line)| line).collect();
    assert_eq!(main, ["configure facts = 2 56", "done facts = 1", "delete facts = 1"]);
    host.take_logs();
    host.reconfigure("create: facts\nconfigure: facts\ndone: facts\ndelete: facts").expect("nothing to do");
    assert!(said(&host).is_empty());
}

#[test]
fn a_root_that_is_not_done_lives_until_it_says_so() {
    let mut host = start(
        "configure: tick 1000\ndone: facts\ndone: proxydone\ndone: return 0\ntick: proxydone\ndelete: facts",
    );
    host.take_logs();
    host.reconfigure("configure: tick 0\ndone: return 0\ntick: proxydone\ndelete: facts").expect("accepted");
    assert!(said(&host).iter().all(|(_, line)| !line.starts_with("delete")));
    host.advance(Duration::from_secs(1));
    let main: Vec<String> =
        said(&host).into_iter().filter(|(vm, _)| *vm == VmId::Main).map(|(_, line)| line).collect();
    assert_eq!(main, ["configure tick 0 = 0", "tick proxydone = 0", "delete facts = 1"]);
}

#[test]
fn an_open_stream_outlives_a_configuration_swap() {
    let mut host = start("request_headers: call up / 1000\nrequest_headers: return 1");
    let stream = host.open(Request::get("/"));
    assert!(!host.is_done(stream));
    host.reconfigure("done: return 1\nhttp_call_response: effective 2\nhttp_call_response: continue 0")
        .expect("accepted");
    // The old root context lives as long as its last stream, and so do its callouts.
    assert_eq!(host.finish(stream).expect("resumed").response.status, 200);
    assert!(matches!(host.finish(stream), Err(HostError::UnknownStream)));
}

#[test]
fn ticks_run_in_the_main_vm_and_the_workers_on_the_virtual_clock() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut host = builder("configure: tick 250\ntick: time\ntick: clock")
        .workers(2)
        .now(now)
        .start()
        .expect("it starts");
    host.take_logs();
    host.advance(Duration::from_millis(600));
    let ticks = said(&host);
    assert_eq!(ticks.len(), 2 * 2 * 3);
    let first = |vm: VmId| ticks.iter().find(|(who, _)| *who == vm).map(|(_, line)| line.clone());
    assert_eq!(first(VmId::Main).as_deref(), Some("tick time = 0 1800000000250000000"));
    assert!(first(VmId::Worker(1)).is_some());
    assert_eq!(ticks[1].1, "tick clock = 1800000000250000000");
    assert_eq!(host.now(), now + Duration::from_millis(600));
}

#[test]
fn a_clock_jump_moves_time_but_runs_nothing() {
    let mut host = start("configure: tick 1000\ntick: time\nrequest_headers: time");
    host.take_logs();
    let yesterday = host.now() - Duration::from_secs(86_400);
    host.jump_to(yesterday);
    assert!(lines(&mut host).is_empty());
    host.advance(Duration::from_secs(1));
    assert_eq!(lines(&mut host).len(), 2);
    assert_eq!(host.now(), yesterday + Duration::from_secs(1));
}

#[test]
fn fail_reload_waits_for_the_back_off_and_loads_anew() {
    let policy = FailurePolicy::Reload { base: Duration::from_secs(1) };
    let mut host = builder("request_headers: get 0 x-trap\nresponse_headers: trap")
        .failure_policy(policy)
        .start()
        .expect("it starts");
    let trapped = host.send(Request::get("/")).expect("answered");
    assert_eq!(trapped.response.status, 503);
    assert_eq!(trapped.trap.as_ref().map(|trap| trap.export), Some("proxy_on_response_headers"));
    assert_eq!(host.traps().len(), 1);
    let early = host.send(Request::get("/")).expect("answered");
    assert_eq!(
        (early.response.status, early.trap.is_none(), early.details.as_str()),
        (503, true, "wasm_fail_stream")
    );
    host.advance(Duration::from_millis(1500));
    assert!(
        host.send(Request::get("/")).expect("answered").trap.is_some(),
        "it was loaded and trapped again"
    );
    let stats = host.stats();
    assert_eq!((stats.reload_success, stats.reload_backoff), (1, 1));
}

#[test]
fn fail_closed_ends_with_the_next_configuration() {
    let mut host = start("request_headers: trap");
    for _ in 0..3 {
        assert_eq!(host.send(Request::get("/")).expect("answered").response.status, 503);
    }
    host.advance(Duration::from_secs(3600));
    assert_eq!(host.send(Request::get("/")).expect("answered").response.status, 503);
    host.reconfigure("request_headers: facts").expect("accepted");
    assert_eq!(host.send(Request::get("/")).expect("answered").response.status, 200);
}

#[test]
fn a_trap_stays_on_its_worker() {
    let mut host = builder("request_body: trap").workers(2).start().expect("it starts");
    assert_eq!(host.send(Request::post("/", "x").on_worker(0)).expect("answered").response.status, 503);
    assert_eq!(host.send(Request::get("/").on_worker(0)).expect("answered").response.status, 503);
    assert_eq!(host.send(Request::get("/").on_worker(1)).expect("answered").response.status, 200);
}

#[test]
fn callouts_answer_late_never_and_with_a_reset() {
    let script = "
        request_headers: call slow / 100
        request_headers: call reset / 100
        request_headers: call late / 1000
        request_headers: return 1
        http_call_response: time
        http_call_response: get 6 :status
        http_call_response: status
        http_call_response: facts
        http_call_response: effective 2
        http_call_response: continue 0";
    let mut host = builder(script)
        .now(UNIX_EPOCH)
        .upstream("slow", |_| UpstreamResponse::hang())
        .upstream("reset", |_| UpstreamResponse::ok("part").torn())
        .upstream("late", |_| {
            UpstreamResponse::ok("body").trailer("t", "1").after(Duration::from_millis(700))
        })
        .start()
        .expect("it starts");
    host.take_logs();
    let exchange = host.send(Request::get("/")).expect("answered");
    assert_eq!(exchange.callouts.len(), 3);
    assert_eq!(exchange.callouts[0].request.headers.text(":path").as_deref(), Some("/"));
    host.advance(Duration::from_secs(1));
    let said: Vec<String> =
        lines(&mut host).into_iter().filter(|line| line.starts_with("http_call_response")).collect();
    let answers: Vec<&[String]> = said.chunks(6).collect();
    assert_eq!(
        answers[0][..4],
        [
            "http_call_response time = 0 0",
            "http_call_response get 6 :status = 2 -",
            "http_call_response status = 0 reset code 11",
            "http_call_response facts = 1 8 0 0 0",
        ]
    );
    assert_eq!(
        answers[1][..2],
        ["http_call_response time = 0 100000000", "http_call_response get 6 :status = 0 504"]
    );
    assert_eq!(
        answers[2][..2],
        ["http_call_response time = 0 700000000", "http_call_response get 6 :status = 0 200"]
    );
    assert_eq!(answers[2][3], "http_call_response facts = 1 12 1 4 1");
}

#[test]
fn upstreams_time_out_refuse_and_are_tried_again() {
    let tries = std::sync::atomic::AtomicU32::new(0);
    let mut host = builder("log: integer upstream/request_attempt_count")
        .route(Route::path("/hang").to("hang").timeout(Duration::from_secs(2)))
        .route(Route::path("/refuse").to("refuse"))
        .route(Route::path("/retry").to("flaky").retries(2))
        .upstream("hang", |_| UpstreamResponse::hang())
        .upstream("refuse", |_| UpstreamResponse::connection_refused())
        .upstream("flaky", move |_| {
            let before = tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            UpstreamResponse::status(if before < 2 { 503 } else { 200 })
        })
        .start()
        .expect("it starts");
    let hang = host.send(Request::get("/hang")).expect("answered");
    assert_eq!(
        (hang.response.status, hang.flags.as_str(), hang.duration),
        (504, "UT", Duration::from_secs(2))
    );
    let refuse = host.send(Request::get("/refuse")).expect("answered");
    assert_eq!((refuse.response.status, refuse.flags.as_str()), (503, "UF"));
    host.take_logs();
    let retry = host.send(Request::get("/retry")).expect("answered");
    assert_eq!((retry.response.status, retry.upstream.len()), (200, 3));
    assert_eq!(lines(&mut host), ["log integer upstream/request_attempt_count = 0 3"]);
}

#[test]
fn an_internal_redirect_runs_the_filter_twice_with_one_request_id() {
    let script = "request_headers: get 0 x-request-id\nrequest_headers: get 0 x-envoy-original-url";
    let mut host = builder(script)
        .route(Route::path("/old").to("old").internal_redirects(1))
        .upstream("old", |_| UpstreamResponse::status(302).header("location", "http://other.test/new"))
        .start()
        .expect("it starts");
    host.take_logs();
    let exchange = host.send(Request::get("/old").header("x-request-id", "id-1")).expect("answered");
    assert_eq!(exchange.response.status, 200);
    let paths: Vec<_> =
        exchange.upstream.iter().map(|request| request.headers.text(":path").unwrap_or_default()).collect();
    assert_eq!(paths, ["/old", "/new"]);
    assert_eq!(
        lines(&mut host),
        [
            "request_headers get 0 x-request-id = 0 id-1",
            "request_headers get 0 x-envoy-original-url = 1 -",
            "request_headers get 0 x-request-id = 0 id-1",
            "request_headers get 0 x-envoy-original-url = 0 http://example.com/old",
        ]
    );
}

#[test]
fn a_pause_that_nothing_ends_is_an_error_that_says_where() {
    let mut host = start("request_body: return 1");
    let error = host.send(Request::post("/", "x")).expect_err("stuck");
    assert!(matches!(error, HostError::Stuck { phase: Phase::RequestBody, .. }), "{error}");
    let mut host = start("response_headers: return 1");
    let error = host.send(Request::get("/")).expect_err("stuck");
    assert!(error.to_string().contains("ResponseHeaders"), "{error}");
}

#[test]
fn bodies_are_buffered_while_paused_and_trailers_follow() {
    let script = "
        request_body: facts
        request_body: return 1
        request_trailers: facts
        request_trailers: buffer 0 0 100
        request_trailers: get 1 t
        request_trailers: add 1 u 2";
    let mut host = start(script);
    host.take_logs();
    let request = Request::post("/", "ab").chunk("cd").trailer("t", "1");
    let exchange = host.send(request).expect("served");
    let upstream = exchange.upstream_request().expect("upstream");
    assert_eq!(upstream.body, b"abcd");
    assert_eq!(upstream.trailers.as_ref().map(proxy_wasm_host::Headers::len), Some(2));
    assert_eq!(
        lines(&mut host),
        [
            "request_body facts = 2 2 0",
            "request_body facts = 2 4 0",
            "request_trailers facts = 2 1",
            "request_trailers buffer 0 0 100 = 0 abcd",
            "request_trailers get 1 t = 0 1",
            "request_trailers add 1 u 2 = 0",
        ]
    );
}

#[test]
fn headers_alone_stop_only_where_the_plugin_may() {
    let script = "request_headers: return 1\nrequest_body: set 0 x-body seen\nrequest_body: facts";
    let mut host = builder(script).allow_on_headers_stop_iteration(true).start().expect("it starts");
    let exchange = host.send(Request::post("/", "x")).expect("the body's continue lets the headers go");
    assert_eq!(
        exchange.upstream_request().and_then(|request| request.headers.text("x-body")).as_deref(),
        Some("seen")
    );
    assert!(matches!(start(script).send(Request::post("/", "x")), Err(HostError::Stuck { .. })));
}

#[test]
fn queues_tell_the_vm_that_registered_last() {
    let script = "
        configure: register q
        request_headers: enqueue 1 hello
        queue_ready: facts
        queue_ready: dequeue 1";
    let mut host = builder(script).workers(2).start().expect("it starts");
    host.take_logs();
    host.send(Request::get("/").on_worker(0)).expect("served");
    let told: Vec<(VmId, String)> =
        said(&host).into_iter().filter(|(_, line)| line.starts_with("queue_ready")).collect();
    assert_eq!(
        told,
        [
            (VmId::Worker(1), "queue_ready facts = 1 1".to_owned()),
            (VmId::Worker(1), "queue_ready dequeue 1 = 0 hello".to_owned()),
        ]
    );
}

#[test]
fn shared_state_joins_hosts_and_scopes_data_by_vm_id() {
    let shared = SharedState::new();
    let one = builder("configure: sharedset k v 0\nconfigure: register q")
        .vm_id("one")
        .shared(&shared)
        .start()
        .expect("it starts");
    let mut two = builder("request_headers: sharedget k\nrequest_headers: resolve one q")
        .vm_id("two")
        .shared(&shared)
        .start()
        .expect("it starts");
    two.take_logs();
    two.send(Request::get("/")).expect("served");
    assert_eq!(
        lines(&mut two),
        ["request_headers sharedget k = 1 - cas none", "request_headers resolve one q = 0 1"]
    );
    assert_eq!(one.shared().data("one", "k").map(|(value, _)| value), Some(b"v".to_vec()));
    assert_eq!(shared.queue_len("one", "q"), Some(0));
}

#[test]
fn metrics_are_shared_by_name_and_live_through_a_swap() {
    let script = "configure: define 0 requests\nrequest_headers: increment 4 1\nconfigure: define 2 sizes\nrequest_headers: record 6 7";
    let mut host = builder(script).workers(2).start().expect("it starts");
    for _ in 0..4 {
        host.send(Request::get("/")).expect("served");
    }
    host.reconfigure(format!("{script}\n")).expect("accepted");
    assert_eq!(host.metric("requests"), 4);
    assert_eq!(host.metrics().get("sizes"), Some(&MetricValue::Histogram { values: vec![7; 4], count: 4 }));
}

#[test]
fn grpc_calls_and_streams() {
    let script = "
        request_headers: grpccall greeter Hello 1000 ping
        request_headers: grpcstream greeter Chat
        request_headers: grpcsend 6 one 0
        request_headers: grpccall greeter Fail 1000 x
        grpc_initial: facts
        grpc_initial: get 4 i
        grpc_receive: facts
        grpc_receive: buffer 5 0 100
        grpc_trailing: get 5 t
        grpc_close: facts
        grpc_close: status";
    let mut host = builder(script)
        .grpc("greeter", |request| match (request.method.as_str(), &request.message) {
            ("Hello", Some(message)) => GrpcReply::ok([b"re:", message.as_slice()].concat()),
            ("Chat", None) => GrpcReply::silent().initial_metadata("i", "1"),
            ("Chat", Some(message)) => {
                GrpcReply::message(message.clone()).trailing_metadata("t", "2").close(0, "bye")
            }
            _ => GrpcReply::error(7, "no"),
        })
        .start()
        .expect("it starts");
    let exchange = host.send(Request::get("/")).expect("served");
    assert_eq!(exchange.callouts.iter().map(|callout| callout.token).collect::<Vec<_>>(), [5, 6, 9]);
    host.take_logs();
    host.advance(Duration::ZERO);
    assert_eq!(
        lines(&mut host),
        [
            "grpc_receive facts = 1 5 7",
            "grpc_receive buffer 5 0 100 = 0 re:ping",
            "grpc_initial facts = 1 6 3",
            "grpc_initial get 4 i = 0 1",
            "grpc_receive facts = 1 6 3",
            "grpc_receive buffer 5 0 100 = 0 one",
            "grpc_trailing get 5 t = 0 2",
            "grpc_close facts = 1 6 0",
            "grpc_close status = 0 bye{via_upstream} code 0",
            "grpc_close facts = 1 9 7",
            "grpc_close status = 0 no{via_upstream} code 7",
        ]
    );
}

#[test]
fn tcp_connections() {
    let script = "
        downstream_data: facts
        downstream_data: buffer 2 0 100
        downstream_data: setbuffer 2 max 0 !
        upstream_data: buffer 3 0 100
        upstream_close: facts
        downstream_close: facts
        done: facts
        log: facts
        delete: facts";
    let mut host = start(script);
    host.take_logs();
    let mut connection = host.connect(0);
    assert!(connection.allowed());
    connection.client_sends("ping", false);
    assert_eq!(connection.upstream_received(), b"ping!");
    connection.upstream_sends("pong", true);
    assert_eq!(connection.client_received(), b"pong");
    connection.close(Peer::Remote);
    assert_eq!(
        lines(&mut host),
        [
            "downstream_data facts = 2 4 0",
            "downstream_data buffer 2 0 100 = 0 ping",
            "downstream_data setbuffer 2 max 0 ! = 0",
            "upstream_data buffer 3 0 100 = 0 pong",
            "upstream_close facts = 2 0",
            "downstream_close facts = 2 2",
            "done facts = 2",
            "log facts = 2",
            "delete facts = 2",
        ]
    );
}

#[test]
fn foreign_functions_both_ways() {
    let script = "request_headers: foreign double ab\nrequest_headers: foreign fail x\nforeign: facts\nforeign: buffer 8 0 100";
    let mut host = builder(script)
        .foreign_function("double", |args| Ok(args.repeat(2)))
        .foreign_function("fail", |_| Err(Status::Unimplemented))
        .start()
        .expect("it starts");
    host.take_logs();
    host.send(Request::get("/")).expect("served");
    assert_eq!(
        lines(&mut host),
        ["request_headers foreign double ab = 0 abab", "request_headers foreign fail x = 12 (empty)"]
    );
    host.call_foreign(42, "data");
    assert_eq!(lines(&mut host), ["foreign facts = 1 42 4", "foreign buffer 8 0 100 = 0 data"].repeat(2));
}

#[test]
fn a_request_that_the_codec_rejects_only_reaches_the_log() {
    let script = "request_headers: facts\nresponse_headers: facts\nlog: get 0 :path\nlog: integer response/code\ndelete: facts";
    let mut host = start(script);
    host.take_logs();
    let exchange = host.send(Request::get("/").rejected_by_codec(431)).expect("answered");
    assert_eq!(exchange.response.status, 431);
    assert_eq!(
        lines(&mut host),
        ["log get 0 :path = 1 -", "log integer response/code = 0 431", "delete facts = 2"]
    );
}

#[test]
fn properties_can_be_fixed() {
    let script = "request_headers: property node/id\nrequest_headers: property source/address";
    let mut host = builder(script).property(["node", "id"], "edge-1").start().expect("it starts");
    host.take_logs();
    host.send(Request::get("/").property(["source", "address"], "10.0.0.1:4000")).expect("served");
    assert_eq!(
        lines(&mut host),
        [
            "request_headers property node/id = 0 edge-1",
            "request_headers property source/address = 0 10.0.0.1:4000"
        ]
    );
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_differs() {
    let run = |seed| {
        let mut host =
            builder("request_headers: get 0 x-request-id").seed(seed).workers(2).start().expect("it starts");
        (0..4).map(|_| host.send(Request::get("/")).expect("served").request_headers).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn workers_can_run_on_threads_of_their_own() {
    let script = "configure: define 0 requests\nrequest_headers: increment 4 1";
    let mut host = builder(script).workers(4).start().expect("it starts");
    std::thread::scope(|scope| {
        for worker in host.workers_mut() {
            scope.spawn(move || {
                for _ in 0..250 {
                    assert_eq!(worker.send(Request::get("/")).expect("served").response.status, 200);
                }
            });
        }
    });
    assert_eq!(host.metric("requests"), 1000);
    assert_eq!(host.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600));
}

#[test]
fn memory_stays_flat_and_can_be_limited() {
    let mut host = start("request_headers: pairs 0\nrequest_headers: get 0 :path");
    for _ in 0..100 {
        host.send(Request::get("/")).expect("served");
    }
    let before = host.memory_bytes();
    for _ in 0..2000 {
        host.send(Request::get("/")).expect("served");
    }
    assert_eq!(host.memory_bytes(), before);
    assert!(matches!(builder("").memory_limit(64 * 1024).start(), Err(HostError::Instantiate(_))));
}

#[test]
fn exit_is_a_trap_that_tells_the_code() {
    let mut host = start("request_headers: exit");
    let exchange = host.send(Request::get("/")).expect("answered");
    let trap = exchange.trap.expect("a trap");
    assert!(trap.reason.contains("proc_exit(3)"), "{trap}");
    assert_eq!(trap.vm, VmId::Worker(0));
}

#[test]
fn a_guest_that_loops_for_ever_traps() {
    let mut host = builder("request_headers: loop\ntick: say unused")
        .call_limit(10_000_000)
        .start()
        .expect("configuring needs less");
    let exchange = host.send(Request::get("/")).expect("answered");
    assert_eq!(exchange.response.status, 503);
    let trap = exchange.trap.expect("a trap");
    assert_eq!(trap.export, "proxy_on_request_headers");
    assert!(trap.reason.contains("10000000 instructions"), "{trap}");
    let error = builder("").call_limit(10).start().expect_err("too little to start");
    assert!(error.to_string().contains("call_limit"), "{error}");
}
