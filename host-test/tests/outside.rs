//! A network outside the host in place of an upstream closure.

use proxy_wasm_host::{FilterModule, Host, HostError, Request, Route, UpstreamResponse};
use std::time::Duration;

/// Adds `x-seen: yes` to every response, and logs at the stream's end.
const STAMPS: &str = r#"(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "x-seenyes")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_log") (param i32) (drop (call $log (i32.const 2) (i32.const 6) (i32.const 3))))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $add (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 3))))"#;

fn host() -> Host {
    let module = FilterModule::from_bytes(wat::parse_str(STAMPS).expect("valid WAT")).expect("a module");
    Host::builder(&module)
        .route(Route::any().to("outside").timeout(Duration::ZERO))
        .upstream("outside", |_| UpstreamResponse::hang())
        .start()
        .expect("it starts")
}

#[test]
fn streams_wait_for_their_own_answer() {
    let mut host = host();
    let (first, second) = (host.open(Request::post("/1", "body")), host.open(Request::get("/2")));
    host.advance(Duration::from_secs(3600));
    let path = |host: &mut Host, stream| host.upstream_request(stream).and_then(|r| r.headers.text(":path"));
    assert_eq!(path(&mut host, first).as_deref(), Some("/1"));
    assert_eq!(path(&mut host, second).as_deref(), Some("/2"));
    assert!(host.response_headers(second).is_none() && !host.is_done(second));

    host.answer(second, UpstreamResponse::status(204)).expect("it waits");
    let (headers, details) = host.response_headers(second).expect("answered");
    assert_eq!((headers.text("x-seen").as_deref(), details), (Some("yes"), "via_upstream"));
    assert!(host.is_done(second) && !host.is_done(first));
    assert!(host.upstream_request(second).is_none());
    let again = host.answer(second, UpstreamResponse::status(200));
    assert!(matches!(again, Err(HostError::UnknownStream)), "{again:?}");
    assert_eq!(host.finish(second).expect("done").response.status, 204);
    assert_eq!(host.take_logs().len(), 1);

    host.answer(first, UpstreamResponse::connection_refused()).expect("it waits");
    let (headers, details) = host.response_headers(first).expect("answered");
    assert_eq!(headers.text(":status").as_deref(), Some("503"));
    assert_eq!(headers.text("x-seen").as_deref(), Some("yes"));
    assert!(details.contains("remote_connection_failure"), "{details}");
    assert_eq!(host.finish(first).expect("done").duration, Duration::from_secs(3600));
}

#[test]
fn a_stream_whose_client_left_ends_with_its_last_callbacks() {
    let mut host = host();
    let stream = host.open(Request::get("/"));
    host.reset(stream);
    assert!(host.upstream_request(stream).is_none());
    let exchange = host.finish(stream).expect("done");
    assert!(exchange.response.reset);
    assert_eq!(exchange.logs.len(), 1);
    host.reset(stream);
    assert!(matches!(host.finish(stream), Err(HostError::UnknownStream)));
}
