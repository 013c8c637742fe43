//! Every hostcall of the filter (proxy-wasm ABI 0.2.1).
//!
//! Not the SDK's wrappers: those panic on a status they do not expect and on
//! header names that are not UTF-8, and either takes down a worker's VM.
#![allow(
    unsafe_code,
    reason = "this file is the ABI boundary: the imports, and buffers the host allocated in us"
)]

use std::ptr::null_mut;

use splitway_engine::{Entropy, Timestamp};
use splitway_exchange::host::{
    Callout, Clock, Environment, Failure, HeaderBlock, Headers, Level, Log, Map, Metrics, Properties,
    Respond, SharedData, encode_pairs,
};

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
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, len: usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_len: usize,
        data: *const u8,
        len: usize,
        version: u32,
    ) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_len: usize,
        headers: *const u8,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        trailers: *const u8,
        trailers_len: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(id: u32) -> u32;
    fn proxy_done() -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, size: usize) -> u32;
    fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u32;
    fn environ_get(entries: *mut *mut u8, text: *mut u8) -> u32;
}

const OK: u32 = 0;
/// Limits on the variables that are read, in number and in bytes together: the proxy passes those that its config names.
const MAX_VARIABLES: usize = 4_096;
const MAX_ENVIRONMENT: usize = 1 << 20;
/// `PROXY_RESULT_INVALID_MEMORY_ACCESS`: the host returned OK without a buffer.
const NO_BUFFER: u32 = 5;
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;
const CALLOUT_BODY: u32 = 4;
const CALLOUT_HEADERS: u32 = 6;
const CRITICAL: u32 = 5;
const PLUGIN_CONFIGURATION: u32 = 7;

/// The proxy that runs the filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proxy;

impl Proxy {
    /// Reads the plugin's configuration, of `size` bytes.
    pub(crate) fn configuration(self, size: usize) -> Result<Vec<u8>, Failure> {
        if size == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: both out-pointers are valid for the call.
        taken(|data, len| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, data, len) })
            .and_then(|bytes| if bytes.len() == size { Ok(bytes) } else { Err(Failure(NO_BUFFER)) })
    }

    /// Reads the body of a callout's answer, of `size` bytes; empty if the host does not return it.
    pub(crate) fn callout_body(self, size: usize) -> Vec<u8> {
        // SAFETY: both out-pointers are valid for the call.
        taken(|data, len| unsafe { proxy_get_buffer_bytes(CALLOUT_BODY, 0, size, data, len) })
            .unwrap_or_default()
    }

    /// Requests ticks for the current root context. Without them, sinks and guardrails
    /// stand still.
    pub(crate) fn tick_every(self, milliseconds: u32) -> Result<(), Failure> {
        // SAFETY: a plain number.
        checked(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
    }

    /// Acts as the context `id` until the current callback returns.
    pub(crate) fn act_as(self, id: u32) -> Result<(), Failure> {
        // SAFETY: a plain number.
        checked(unsafe { proxy_set_effective_context(id) })
    }

    /// Reports to the host that the root context `id`, which asked for time, may end.
    pub(crate) fn done(self, id: u32) {
        // SAFETY: plain numbers. If it fails, the host keeps the context, which does no harm.
        unsafe {
            proxy_set_effective_context(id);
            proxy_done();
        }
    }
}

impl Proxy {
    /// Logs a source location, without allocating.
    pub(crate) fn last_words(self, (file, line): (&str, u32)) {
        const ROOM: usize = 100;
        let digits = [1_000, 100, 10, 1].map(|place| {
            let digit = line.checked_div(place).and_then(|rest| rest.checked_rem(10)).unwrap_or(0);
            b'0'.saturating_add(u8::try_from(digit).unwrap_or(0))
        });
        let mut words = [b' '; ROOM];
        let pieces = b"splitway: panicked at ".iter().chain(file.as_bytes()).chain(b":").chain(&digits);
        let written = words.iter_mut().zip(pieces).map(|(place, byte)| *place = *byte).count();
        // SAFETY: the words are only read, during the call, and `written` is at most their length.
        let _ = unsafe { proxy_log(CRITICAL, words.as_ptr(), written) };
    }
}

fn checked(status: u32) -> Result<(), Failure> {
    if status == OK { Ok(()) } else { Err(Failure(status)) }
}

/// Takes over a buffer that the host allocated in us (ABI: memory management).
fn taken(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Failure> {
    let mut data = null_mut();
    let mut len = 0;
    checked(call(&mut data, &mut len))?;
    match (data.is_null(), len) {
        (true, 0) => Ok(Vec::new()),
        (true, _) => Err(Failure(NO_BUFFER)),
        // SAFETY: the host got `data` from `proxy_on_memory_allocate(len)`, which
        // is `Vec` memory of exactly that capacity, and has given it up.
        (false, _) => Ok(unsafe { Vec::from_raw_parts(data, len, len) }),
    }
}

fn pairs(map: u32) -> Result<HeaderBlock, Failure> {
    // SAFETY: both out-pointers are valid for the call.
    let bytes = taken(|data, len| unsafe { proxy_get_header_map_pairs(map, data, len) })?;
    HeaderBlock::parse(bytes)
}

fn number(map: Map) -> u32 {
    match map {
        Map::Request => 0,
        Map::Response => 2,
    }
}

impl Headers for Proxy {
    fn pairs(&self, map: Map) -> Result<HeaderBlock, Failure> {
        pairs(number(map))
    }

    fn set(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure> {
        // SAFETY: the host only reads both slices, during the call.
        checked(unsafe {
            proxy_replace_header_map_value(
                number(map),
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        })
    }

    fn add(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure> {
        // SAFETY: as above.
        checked(unsafe {
            proxy_add_header_map_value(number(map), name.as_ptr(), name.len(), value.as_ptr(), value.len())
        })
    }

    fn remove(&self, map: Map, name: &[u8]) -> Result<(), Failure> {
        // SAFETY: as above.
        checked(unsafe { proxy_remove_header_map_value(number(map), name.as_ptr(), name.len()) })
    }
}

impl Clock for Proxy {
    fn now(&self) -> Timestamp {
        let mut time = 0;
        // SAFETY: the out-pointer is valid for the call.
        match unsafe { proxy_get_current_time_nanoseconds(&mut time) } {
            OK => Timestamp::from_nanoseconds(time),
            _ => Timestamp::default(),
        }
    }
}

fn define(kind: u32, name: &str) -> Result<u32, Failure> {
    let mut id = 0;
    // SAFETY: the name is only read, the out-pointer is valid for the call.
    checked(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) })?;
    Ok(id)
}

impl Metrics for Proxy {
    fn counter(&self, name: &str) -> Result<u32, Failure> {
        define(COUNTER, name)
    }

    fn increment(&self, counter: u32, by: u32) {
        // SAFETY: plain numbers. A failure to count must not fail a request.
        let _ = unsafe { proxy_increment_metric(counter, i64::from(by)) };
    }

    fn gauge(&self, name: &str) -> Result<u32, Failure> {
        define(GAUGE, name)
    }

    fn histogram(&self, name: &str) -> Result<u32, Failure> {
        define(HISTOGRAM, name)
    }

    fn record(&self, metric: u32, value: u64) {
        // SAFETY: as above.
        let _ = unsafe { proxy_record_metric(metric, value) };
    }
}

impl SharedData for Proxy {
    fn shared(&self, key: &str) -> Result<(Vec<u8>, u32), Failure> {
        let mut version = 0;
        // SAFETY: the key is only read, the out-pointers are valid for the call.
        let value = taken(|data, len| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &mut version)
        })?;
        Ok((value, version))
    }

    fn set_shared(&self, key: &str, value: &[u8], version: u32) -> Result<(), Failure> {
        // SAFETY: the host only reads both slices, during the call.
        checked(unsafe {
            proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version)
        })
    }
}

impl Callout for Proxy {
    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        timeout_ms: u32,
    ) -> Result<u32, Failure> {
        let (headers, trailers) = (encode_pairs(headers), encode_pairs(&[]));
        let mut token = 0;
        // SAFETY: the host only reads the slices, during the call; the out-pointer is valid.
        checked(unsafe {
            proxy_http_call(
                cluster.as_ptr(),
                cluster.len(),
                headers.as_ptr(),
                headers.len(),
                body.as_ptr(),
                body.len(),
                trailers.as_ptr(),
                trailers.len(),
                timeout_ms,
                &mut token,
            )
        })?;
        Ok(token)
    }

    fn answer(&self) -> Result<HeaderBlock, Failure> {
        pairs(CALLOUT_HEADERS)
    }
}

impl Environment for Proxy {
    /// Reads WASI's environment: texts of the form `NAME=value`, each ending with a zero byte.
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let (mut count, mut size) = (0, 0);
        // SAFETY: both out-pointers are valid for the call.
        checked(unsafe { environ_sizes_get(&mut count, &mut size) }).ok()?;
        if count > MAX_VARIABLES || size > MAX_ENVIRONMENT {
            return None;
        }
        let (mut entries, mut text) = (vec![null_mut(); count], vec![0; size]);
        // SAFETY: both buffers are as large as the host has just said that it needs.
        checked(unsafe { environ_get(entries.as_mut_ptr(), text.as_mut_ptr()) }).ok()?;
        let value = |entry: &[u8]| Some(entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
        text.split(|byte| *byte == 0).find_map(value)
    }
}

fn severity(level: Level) -> u32 {
    match level {
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}

impl Log for Proxy {
    fn log(&self, level: Level, line: &str) {
        // SAFETY: the line is only read, during the call. There is nowhere to
        // report that reporting failed.
        let _ = unsafe { proxy_log(severity(level), line.as_ptr(), line.len()) };
    }

    fn hears(&self, level: Level) -> bool {
        let mut least = 0;
        // SAFETY: the out-pointer is valid for the call. Without an answer, assume that lines are written.
        unsafe { proxy_get_log_level(&mut least) != OK || severity(level) >= least }
    }
}

impl Properties for Proxy {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        // Path segments are separated by zero bytes (ABI: properties).
        let path = path.join("\0");
        // SAFETY: the path is only read, both out-pointers are valid.
        taken(|data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) }).ok()
    }

    fn set_state(&self, name: &str, value: &[u8]) -> Result<(), Failure> {
        // SAFETY: the host only reads both slices, during the call.
        checked(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
    }
}

impl Respond for Proxy {
    fn respond(&self, status: u16, headers: &[(&str, &[u8])]) -> Result<(), Failure> {
        let headers = encode_pairs(headers);
        let nothing: [u8; 0] = [];
        // SAFETY: the host only reads the slices, during the call. -1: no gRPC status.
        checked(unsafe {
            proxy_send_local_response(
                u32::from(status),
                nothing.as_ptr(),
                0,
                nothing.as_ptr(),
                0,
                headers.as_ptr(),
                headers.len(),
                -1,
            )
        })
    }
}

impl Entropy for Proxy {
    fn bits(&self) -> Option<[u8; 16]> {
        let mut bits = [0; 16];
        // SAFETY: the buffer is writable for its whole length during the call.
        let status = unsafe { random_get(bits.as_mut_ptr(), bits.len()) };
        (status == OK).then_some(bits)
    }
}
