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

use crate::host::{
    Clock, Failure, HeaderBlock, Headers, Level, Log, Map, Metrics, Properties, Respond, encode_pairs,
};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
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
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, size: usize) -> u32;
}

const OK: u32 = 0;
/// `PROXY_RESULT_INVALID_MEMORY_ACCESS`: the host said OK and gave no buffer.
const NO_BUFFER: u32 = 5;
const COUNTER: u32 = 0;
const CRITICAL: u32 = 5;
const PLUGIN_CONFIGURATION: u32 = 7;

/// The proxy that runs us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proxy;

impl Proxy {
    /// The plugin's configuration, of `size` bytes.
    pub(crate) fn configuration(self, size: usize) -> Result<Vec<u8>, Failure> {
        if size == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: both out-pointers are valid for the call.
        taken(|data, len| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, data, len) })
            .and_then(|bytes| if bytes.len() == size { Ok(bytes) } else { Err(Failure(NO_BUFFER)) })
    }
}

impl Proxy {
    /// Logs a place in the source, without memory of its own.
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

fn number(map: Map) -> u32 {
    match map {
        Map::Request => 0,
        Map::Response => 2,
    }
}

impl Headers for Proxy {
    fn pairs(&self, map: Map) -> Result<HeaderBlock, Failure> {
        // SAFETY: both out-pointers are valid for the call.
        let bytes = taken(|data, len| unsafe { proxy_get_header_map_pairs(number(map), data, len) })?;
        HeaderBlock::parse(bytes)
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

impl Metrics for Proxy {
    fn counter(&self, name: &str) -> Result<u32, Failure> {
        let mut id = 0;
        // SAFETY: the name is only read, the out-pointer is valid for the call.
        checked(unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &mut id) })?;
        Ok(id)
    }

    fn increment(&self, counter: u32, by: u32) {
        // SAFETY: plain numbers. A failure to count must not fail a request.
        let _ = unsafe { proxy_increment_metric(counter, i64::from(by)) };
    }
}

impl Log for Proxy {
    fn log(&self, level: Level, line: &str) {
        let level = match level {
            Level::Info => 2,
            Level::Warn => 3,
            Level::Error => 4,
        };
        // SAFETY: the line is only read, during the call. There is nowhere to
        // report that reporting failed.
        let _ = unsafe { proxy_log(level, line.as_ptr(), line.len()) };
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
