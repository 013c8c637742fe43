//! A guest for tests of hosts. Its plugin configuration is a script, one
//! command a line, `callback: command arguments`; each command is one
//! hostcall, and its status and result are logged as
//! `callback command arguments = status result`. So the same script shows
//! what this repository's host and a real Envoy answer.
//!
//! Written on the bare ABI: the SDK panics on statuses that a probe must see.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "this is the ABI boundary: imports, exports, and buffers that the host fills")]

mod abi;
mod commands;

use commands::{Outcome, run};
use std::cell::RefCell;

thread_local! {
    /// The script of the last configuration: callback and command.
    static SCRIPT: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// Runs the commands of a callback; the last `return` decides its result.
fn callback(name: &str, facts: &str, default: u32) -> u32 {
    let commands: Vec<String> = SCRIPT.with_borrow(|script| {
        script.iter().filter(|(callback, _)| callback == name).map(|(_, command)| command.clone()).collect()
    });
    let mut result = default;
    for command in commands {
        match run(&command, facts) {
            Outcome::Return(value) => result = value,
            Outcome::Answer(answer) => abi::log(&format!("{name} {command} = {answer}")),
        }
    }
    result
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Vec::leak(vec![0; size]).as_mut_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    callback("create", &format!("{context} {parent}"), 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(context: u32, size: usize) -> u32 {
    callback("vm_start", &format!("{context} {size}"), 1)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: usize) -> u32 {
    let text = abi::plugin_configuration();
    let script = String::from_utf8_lossy(&text).into_owned();
    let parsed = script
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(callback, command)| (callback.to_owned(), command.to_owned()))
        .collect();
    let before = SCRIPT.replace(parsed);
    let accepted = callback("configure", &format!("{context} {size}"), 1);
    if accepted == 0 {
        SCRIPT.set(before);
    }
    accepted
}

macro_rules! callbacks {
    ($($export:ident $name:literal ($($arg:ident),*) -> $default:literal;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $export($($arg: u32),*) -> u32 {
            let facts = [$($arg.to_string()),*].join(" ");
            callback($name, &facts, $default)
        }
    )*};
    ($($export:ident $name:literal ($($arg:ident),*);)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $export($($arg: u32),*) {
            let facts = [$($arg.to_string()),*].join(" ");
            callback($name, &facts, 0);
        }
    )*};
}

callbacks! {
    proxy_on_request_headers "request_headers" (context, count, end) -> 0;
    proxy_on_request_body "request_body" (context, size, end) -> 0;
    proxy_on_request_trailers "request_trailers" (context, count) -> 0;
    proxy_on_response_headers "response_headers" (context, count, end) -> 0;
    proxy_on_response_body "response_body" (context, size, end) -> 0;
    proxy_on_response_trailers "response_trailers" (context, count) -> 0;
    proxy_on_new_connection "new_connection" (context) -> 0;
    proxy_on_downstream_data "downstream_data" (context, size, end) -> 0;
    proxy_on_upstream_data "upstream_data" (context, size, end) -> 0;
    proxy_on_done "done" (context) -> 1;
}

callbacks! {
    proxy_on_tick "tick" (context);
    proxy_on_queue_ready "queue_ready" (context, queue);
    proxy_on_foreign_function "foreign" (context, function, size);
    proxy_on_downstream_connection_close "downstream_close" (context, peer);
    proxy_on_upstream_connection_close "upstream_close" (context, peer);
    proxy_on_http_call_response "http_call_response" (context, call, headers, size, trailers);
    proxy_on_grpc_receive_initial_metadata "grpc_initial" (context, call, count);
    proxy_on_grpc_receive "grpc_receive" (context, call, size);
    proxy_on_grpc_receive_trailing_metadata "grpc_trailing" (context, call, count);
    proxy_on_grpc_close "grpc_close" (context, call, status);
    proxy_on_log "log" (context);
    proxy_on_delete "delete" (context);
}
