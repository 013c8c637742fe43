//! The hostcalls that Splitway makes for a request in N experiments (the configuration is that number; without
//! `Vary` and the variant's own header), and no other work: always the same stamp, always the same record. What `cargo xtask bench envoy` finds
//! Splitway to cost above this is its own work; what this costs above the filter that does nothing is
//! what a proxy asks for the hostcalls.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "entry points have unmangled names, hostcalls are foreign")]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::ptr::null_mut;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        size: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        len: usize,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
}

const PLUGIN_CONFIGURATION: u32 = 7;
const REQUEST: u32 = 0;
const RESPONSE: u32 = 2;
const INFO: u32 = 2;

/// What a request in N experiments needs.
struct Work {
    /// The value of `x-splitway`.
    stamp: String,
    /// As many lines, each of the length of a record.
    records: String,
    counters: Vec<u32>,
}

thread_local! {
    static WORK: RefCell<Work> =
        const { RefCell::new(Work { stamp: String::new(), records: String::new(), counters: Vec::new() }) };
    /// What the host hands over is thrown away, so one place does for all of it.
    static GIVEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" {
    /// Sets up the C library (wasm-ld).
    fn __wasm_call_ctors();
}

/// The module was instantiated. Without this export the linker would wrap every other one.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    // SAFETY: the host calls this once, before anything else.
    unsafe { __wasm_call_ctors() }
}

/// Marks the ABI version that the exports follow.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// Memory for what the host hands over.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    GIVEN.with_borrow_mut(|given| {
        given.resize(given.len().max(size), 0);
        given.as_mut_ptr()
    })
}

/// Nothing is kept of a stream.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(_id: u32, _parent: u32) {}

/// The VM is there.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(_root: u32, _size: usize) -> u32 {
    1
}

/// Reads the number of experiments.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(_root: u32, size: usize) -> u32 {
    let (mut data, mut len) = (null_mut(), 0);
    // SAFETY: both out-pointers are valid for the call.
    unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, &mut data, &mut len) };
    let text = GIVEN.with_borrow(|given| given.get(..len).map(<[u8]>::to_vec)).unwrap_or_default();
    let Some(count) = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<usize>().ok())
    else {
        return 0;
    };
    WORK.with_borrow_mut(|work| {
        for n in 0..count {
            let separator = if n == 0 { ("", "") } else { (", ", "\n") };
            let _ = write!(work.stamp, "{}e{n}=b", separator.0);
            let _ = write!(
                work.records,
                "{}{{\"key\":\"e{n}\",\"filler\":\"{}\"}}",
                separator.1,
                "x".repeat(470)
            );
            let (name, mut id) = (format!("floor.e{n}"), 0);
            // SAFETY: the name is only read, the out-pointer is valid for the call.
            unsafe { proxy_define_metric(0, name.as_ptr(), name.len(), &mut id) };
            work.counters.push(id);
        }
    });
    1
}

fn set(map: u32, name: &str, value: &str) {
    // SAFETY: the host only reads both, during the call.
    unsafe { proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

fn now() {
    let mut time = 0;
    // SAFETY: the out-pointer is valid for the call.
    unsafe { proxy_get_current_time_nanoseconds(&mut time) };
}

fn property(path: &str) {
    let (mut data, mut len) = (null_mut(), 0);
    // SAFETY: the path is only read, both out-pointers are valid for the call.
    unsafe { proxy_get_property(path.as_ptr(), path.len(), &mut data, &mut len) };
}

/// The time, the header map, the stamp, the counters.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(_id: u32, _count: u32, _end: u32) -> u32 {
    now();
    let (mut data, mut len) = (null_mut(), 0);
    // SAFETY: both out-pointers are valid for the call.
    unsafe { proxy_get_header_map_pairs(REQUEST, &mut data, &mut len) };
    WORK.with_borrow(|work| {
        set(REQUEST, "x-splitway", &work.stamp);
        for id in &work.counters {
            // SAFETY: plain numbers.
            unsafe { proxy_increment_metric(*id, 1) };
        }
    });
    0
}

/// The stamp.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_headers(_id: u32, _count: u32, _end: u32) -> u32 {
    WORK.with_borrow(|work| set(RESPONSE, "x-splitway", &work.stamp));
    0
}

/// As Splitway, which needs it for its root contexts.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_done(_id: u32) -> u32 {
    1
}

/// Who listens, the time, what was served, the records.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_log(_id: u32) {
    let mut least = 0;
    // SAFETY: the out-pointer is valid for the call.
    unsafe { proxy_get_log_level(&mut least) };
    if least > INFO {
        return;
    }
    now();
    property("xds\0cluster_name");
    property("response\0code");
    // SAFETY: the records are only read, during the call.
    WORK.with_borrow(|work| unsafe { proxy_log(INFO, work.records.as_ptr(), work.records.len()) });
}

/// As Splitway.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(_id: u32) {}
