//! Corners of the raw ABI that a well-made guest does not reach: modules
//! that must not load, and guests that lie.

mod support;

use proxy_wasm_host::{
    AbiVersion, EngineOptions, Fault, FaultPlan, FilterModule, Host, HostError, Hostcall, LoadError,
    LogLevel, LogSource, Request, Status, SweepOptions, UpstreamResponse, When, sweep,
};
use support::{try_wat, wat};

/// A module with the marker, memory and an allocator, and what is added.
fn module(body: &str) -> String {
    format!(
        r#"(module
            {body}
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024)))"#
    )
}

/// A guest that makes one call for each request and answers with its result
/// as the status of a local response.
fn answering(import: &str, call: &str) -> FilterModule {
    wat(&module(&format!(
        r#"{import}
        (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $reply (i32.add (i32.const 200) {call})
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#
    )))
}

fn answer(module: &FilterModule) -> u16 {
    let mut host = Host::builder(module).cluster("up").start().expect("it starts");
    let exchange = host.send(Request::get("/")).expect("answered");
    assert_eq!(exchange.trap, None);
    exchange.response.status
}

#[test]
fn an_unknown_import_is_named() {
    let error = try_wat(&module(r#"(import "env" "proxy_time_travel" (func (param i32) (result i32)))"#))
        .expect_err("refused");
    assert!(matches!(&error, LoadError::UnknownImport { name, .. } if name == "proxy_time_travel"));
    let text = error.to_string();
    assert!(
        text.contains("env.proxy_time_travel") && text.contains("(func (param i32) (result i32))"),
        "{text}"
    );
    let wrong_place = try_wat(&module(r#"(import "env" "fd_write" (func))"#)).expect_err("refused");
    assert!(wrong_place.to_string().contains("env.fd_write"), "{wrong_place}");
}

#[test]
fn an_import_of_another_type_is_named() {
    let error = try_wat(&module(r#"(import "env" "proxy_log" (func (param i64)))"#)).expect_err("refused");
    assert!(matches!(error, LoadError::ImportType(_)));
    assert!(error.to_string().contains("proxy_log"), "{error}");
}

#[test]
fn an_export_of_another_type_is_named() {
    let module = wat(&module(r#"(func (export "proxy_on_log") (param i64))"#));
    let error = Host::builder(&module).start().expect_err("refused");
    assert!(error.to_string().contains("proxy_on_log"), "{error}");
}

#[test]
fn modules_without_a_known_abi_do_not_load() {
    let none = try_wat(r#"(module (memory (export "memory") 1))"#).expect_err("refused");
    assert!(none.to_string().contains("not a Proxy-Wasm module"), "{none}");
    let old = try_wat(r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_1_0")))"#)
        .expect_err("refused");
    assert!(old.to_string().contains("found proxy_abi_version_0_1_0"), "{old}");
    let no_allocator =
        try_wat(r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1")))"#)
            .expect_err("refused");
    assert!(no_allocator.to_string().contains("proxy_on_memory_allocate"), "{no_allocator}");
    let no_memory = try_wat(r#"(module (func (export "proxy_abi_version_0_2_1")))"#).expect_err("refused");
    assert!(no_memory.to_string().contains("memory"), "{no_memory}");
    assert!(matches!(FilterModule::from_bytes(b"not wasm"), Err(LoadError::Invalid(_))));
    assert!(matches!(FilterModule::from_file("no/such/file.wasm"), Err(LoadError::Read { .. })));
}

#[test]
fn the_older_abi_and_malloc_will_do() {
    let module = wat(r#"(module (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_0"))
            (func (export "malloc") (param i32) (result i32) (i32.const 1024)))"#);
    assert_eq!(module.abi_version(), AbiVersion::V0_2_0);
    let mut host =
        Host::builder(&module).upstream("up", |_| UpstreamResponse::ok("hi")).start().expect("it starts");
    assert_eq!(host.send(Request::get("/")).expect("served").response.body, b"hi");
}

#[test]
fn start_runs_without_initialize_and_main_after_it() {
    let log = |text: &str, at: u32| {
        format!(r#"(call $log (i32.const 2) (i32.const {at}) (i32.const {}))"#, text.len())
    };
    let import = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (data (i32.const 0) "initmainstart")"#;
    let reactor = format!(
        r#"{import}
        (func (export "main") (param i32 i32) (result i32) {})
        (func (export "_initialize") (drop {}))
        (func (export "_start") (drop {}))"#,
        log("main", 4),
        log("init", 0),
        log("start", 8)
    );
    let said = |text: &str| -> Vec<String> {
        let host = Host::builder(&wat(&module(text))).start().expect("it starts");
        host.logs()
            .into_iter()
            .filter(|line| line.source == LogSource::Guest)
            .map(|line| line.message)
            .collect()
    };
    // Canary, main VM, one worker.
    assert_eq!(said(&reactor), ["init", "main"].repeat(3));
    let command = format!(r#"{import} (func (export "_start") (drop {}))"#, log("start", 8));
    assert_eq!(said(&command), ["start"].repeat(3));
}

#[test]
fn a_start_section_may_call_the_host() {
    let text = module(
        r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (data (i32.const 0) "early")
        (func $early (drop (call $log (i32.const 3) (i32.const 0) (i32.const 5))))
        (start $early)"#,
    );
    let host = Host::builder(&wat(&text)).start().expect("it starts");
    assert_eq!(
        host.logs().first().map(|line| (line.level, line.message.as_str())),
        Some((LogLevel::Warn, "early"))
    );
}

#[test]
fn pointers_outside_memory_are_a_status() {
    let log = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;
    for (pointer, size) in [(65_535, 2), (-1, 1), (-1, -1), (0, -1), (65_536, 1)] {
        let call = format!("(call $log (i32.const 2) (i32.const {pointer}) (i32.const {size}))");
        assert_eq!(answer(&answering(log, &call)), 206, "{pointer} {size}");
    }
    let time = r#"(import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))"#;
    assert_eq!(answer(&answering(time, "(call $time (i32.const 65530))")), 206);
    assert_eq!(answer(&answering(time, "(call $time (i32.const 65528))")), 200);
    let get = r#"(import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (data (i32.const 0) ":path")"#;
    let call = |data: u32, size: u32| {
        format!("(call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const {data}) (i32.const {size}))")
    };
    assert_eq!(answer(&answering(get, &call(16, 20))), 200);
    assert_eq!(answer(&answering(get, &call(65_534, 20))), 206);
    assert_eq!(answer(&answering(get, &call(16, 65_534))), 206);
}

#[test]
fn serialized_maps_that_lie_are_a_status() {
    let set = |data: &str| {
        format!(
            r#"(import "env" "proxy_set_header_map_pairs" (func $set (param i32 i32 i32) (result i32)))
            (data (i32.const 0) "{data}")"#
        )
    };
    let call = |size: u32| format!("(call $set (i32.const 0) (i32.const 0) (i32.const {size}))");
    assert_eq!(answer(&answering(&set("\\ff\\ff\\ff\\ff"), &call(4))), 206);
    assert_eq!(answer(&answering(&set("\\01\\00\\00\\00\\ff\\ff\\00\\00\\00\\00\\00\\00"), &call(12))), 206);
    // An empty map empties the headers; the response then has no route.
    assert_eq!(answer(&answering(&set(""), &call(0))), 200);
}

#[test]
fn an_allocator_that_fails_or_lies_is_a_status() {
    let with_allocator = |body: &str| {
        wat(&format!(
            r#"(module
            (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) ":path")
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) {body})
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (drop (call $reply
                    (i32.add (i32.const 200) (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 20)))
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
                (i32.const 1)))"#
        ))
    };
    assert_eq!(answer(&with_allocator("(i32.const 0)")), 206);
    assert_eq!(answer(&with_allocator("(i32.const -1)")), 206);
    let trapping = with_allocator("unreachable");
    let mut host = Host::builder(&trapping).cluster("up").start().expect("it starts");
    let exchange = host.send(Request::get("/")).expect("answered");
    assert_eq!(
        (exchange.response.status, exchange.trap.map(|trap| trap.export)),
        (503, Some("proxy_on_request_headers"))
    );
}

#[test]
fn wasi_answers_with_its_own_numbers() {
    let import = |name: &str, params: &str| {
        format!(r#"(import "wasi_snapshot_preview1" "{name}" (func $f (param {params}) (result i32)))"#)
    };
    let results = [
        ("fd_write", "i32 i32 i32 i32", "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)", 8),
        ("fd_write", "i32 i32 i32 i32", "(i32.const 1) (i32.const 65534) (i32.const 1) (i32.const 0)", 21),
        ("fd_write", "i32 i32 i32 i32", "(i32.const 1) (i32.const 0) (i32.const 0) (i32.const 65534)", 21),
        ("fd_write", "i32 i32 i32 i32", "(i32.const 2) (i32.const 0) (i32.const -1) (i32.const 0)", 21),
        ("fd_read", "i32 i32 i32 i32", "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)", 52),
        ("fd_seek", "i32 i64 i32 i32", "(i32.const 1) (i64.const 0) (i32.const 0) (i32.const 0)", 0),
        ("fd_close", "i32", "(i32.const 1)", 0),
        ("fd_fdstat_get", "i32 i32", "(i32.const 1) (i32.const 0)", 0),
        ("fd_fdstat_get", "i32 i32", "(i32.const 5) (i32.const 0)", 8),
        ("fd_prestat_get", "i32 i32", "(i32.const 3) (i32.const 0)", 8),
        ("clock_time_get", "i32 i64 i32", "(i32.const 0) (i64.const 0) (i32.const 0)", 0),
        ("clock_time_get", "i32 i64 i32", "(i32.const 1) (i64.const 0) (i32.const 0)", 0),
        ("clock_time_get", "i32 i64 i32", "(i32.const 2) (i64.const 0) (i32.const 0)", 58),
        ("clock_time_get", "i32 i64 i32", "(i32.const 0) (i64.const 0) (i32.const 65533)", 21),
        ("clock_res_get", "i32 i32", "(i32.const 0) (i32.const 0)", 0),
        ("random_get", "i32 i32", "(i32.const 0) (i32.const 64)", 0),
        ("random_get", "i32 i32", "(i32.const 65535) (i32.const 64)", 21),
        ("random_get", "i32 i32", "(i32.const 0) (i32.const -1)", 28),
        ("environ_sizes_get", "i32 i32", "(i32.const 0) (i32.const 4)", 0),
        ("environ_get", "i32 i32", "(i32.const 0) (i32.const 4)", 0),
        ("args_sizes_get", "i32 i32", "(i32.const 0) (i32.const 65534)", 21),
        ("args_get", "i32 i32", "(i32.const 0) (i32.const 0)", 0),
        ("sched_yield", "", "", 0),
        ("poll_oneoff", "i32 i32 i32 i32", "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)", 52),
    ];
    for (name, params, args, errno) in results {
        let module = answering(&import(name, params), &format!("(call $f {args})"));
        assert_eq!(answer(&module), 200 + errno, "{name} {args}");
    }
    let old = answering(
        r#"(import "wasi_unstable" "random_get" (func $f (param i32 i32) (result i32)))"#,
        "(call $f (i32.const 0) (i32.const 1))",
    );
    assert_eq!(answer(&old), 200);
}

#[test]
fn a_trap_tells_where_and_after_what() {
    let text = module(
        r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (func $inner unreachable)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $log (i32.const 9) (i32.const 0) (i32.const 0)))
            (call $inner) (i32.const 0))"#,
    );
    let mut host = Host::builder(&wat(&text)).cluster("up").start().expect("it starts");
    let trap = host.send(Request::get("/")).expect("answered").trap.expect("a trap");
    assert_eq!(trap.hostcalls, [(Hostcall::Log, Status::BadArgument as u32)]);
    assert!(trap.reason.contains("unreachable"), "{trap}");
    assert!(trap.backtrace.iter().any(|frame| frame.contains("inner")), "{trap}");
    let logged = host
        .logs()
        .into_iter()
        .filter(|line| line.source == LogSource::Host && line.level == LogLevel::Critical);
    assert_eq!(logged.count(), 1);
}

#[test]
fn faults_hit_the_call_they_are_meant_for() {
    let time = r#"(import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))"#;
    let module = answering(time, "(call $time (i32.const 0))");
    let mut host = Host::builder(&module).cluster("up").start().expect("it starts");
    let mut answers = |plan: FaultPlan| -> Vec<u16> {
        host.set_faults(&plan);
        (0..3).map(|_| host.send(Request::get("/")).expect("answered").response.status).collect()
    };
    let fail = |when, fault| FaultPlan::new().fail(Hostcall::GetCurrentTime, when, fault);
    assert_eq!(answers(fail(When::Nth(2), Fault::Status(Status::Empty))), [200, 207, 200]);
    assert_eq!(answers(fail(When::From(2), Fault::Raw(99))), [200, 299, 299]);
    assert_eq!(answers(fail(When::Always, Fault::Garbage)), [200, 200, 200]);
    assert_eq!(answers(FaultPlan::new()), [200, 200, 200]);
}

/// A guest that trusts its host must be found out.
#[test]
fn the_sweep_finds_traps() {
    let text = module(
        r#"(import "env" "proxy_get_log_level" (func $level (param i32) (result i32)))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (if (call $level (i32.const 0)) (then unreachable))
            (if (i32.gt_u (i32.load (i32.const 0)) (i32.const 5)) (then unreachable))
            (i32.const 0))"#,
    );
    let module = wat(&text);
    let report = sweep(
        &SweepOptions::default(),
        || Host::builder(&module).cluster("up"),
        |host| {
            host.send(Request::get("/"))?;
            Ok(())
        },
    )
    .expect("the run without faults passes");
    assert_eq!(report.hostcalls, [(Hostcall::GetLogLevel, 1)]);
    // 12 statuses and garbage trap; truncated and absent data change nothing
    // for a number; each at every call and at the first.
    assert_eq!((report.cases, report.traps.len()), (30, 26), "{report}");
    assert!(report.to_string().contains("proxy_get_log_level"));
}

#[test]
fn a_pool_serves_many_hosts() -> Result<(), HostError> {
    let bytes = wat::parse_str(module("")).expect("valid WAT");
    let module = FilterModule::with_options(bytes, EngineOptions::new().pooling(8))?;
    for _ in 0..50 {
        Host::builder(&module).workers(2).cluster("up").start()?.send(Request::get("/"))?;
    }
    Ok(())
}
