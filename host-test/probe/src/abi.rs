//! The imports, and calls on them that show the status.

use std::ptr::null_mut;

pub(crate) mod raw {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(crate) fn proxy_log(level: u32, data: *const u8, size: usize) -> u32;
        pub(crate) fn proxy_get_log_level(level: *mut u32) -> u32;
        pub(crate) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(crate) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(crate) fn proxy_done() -> u32;
        pub(crate) fn proxy_set_effective_context(context: u32) -> u32;
        pub(crate) fn proxy_get_buffer_bytes(
            kind: u32,
            start: u32,
            max: u32,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(crate) fn proxy_set_buffer_bytes(
            kind: u32,
            start: u32,
            len: u32,
            data: *const u8,
            size: usize,
        ) -> u32;
        pub(crate) fn proxy_get_buffer_status(kind: u32, size: *mut u32, flags: *mut u32) -> u32;
        pub(crate) fn proxy_get_header_map_size(map: u32, size: *mut u32) -> u32;
        pub(crate) fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        pub(crate) fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
        pub(crate) fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(crate) fn proxy_add_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            size: usize,
        ) -> u32;
        pub(crate) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            size: usize,
        ) -> u32;
        pub(crate) fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
        pub(crate) fn proxy_continue_stream(stream: u32) -> u32;
        pub(crate) fn proxy_close_stream(stream: u32) -> u32;
        pub(crate) fn proxy_get_status(code: *mut u32, data: *mut *mut u8, size: *mut usize) -> u32;
        pub(crate) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        pub(crate) fn proxy_http_call(
            cluster: *const u8,
            cluster_size: usize,
            headers: *const u8,
            headers_size: usize,
            body: *const u8,
            body_size: usize,
            trailers: *const u8,
            trailers_size: usize,
            timeout: u32,
            call: *mut u32,
        ) -> u32;
        pub(crate) fn proxy_grpc_call(
            cluster: *const u8,
            cluster_size: usize,
            service: *const u8,
            service_size: usize,
            method: *const u8,
            method_size: usize,
            metadata: *const u8,
            metadata_size: usize,
            message: *const u8,
            message_size: usize,
            timeout: u32,
            call: *mut u32,
        ) -> u32;
        pub(crate) fn proxy_grpc_stream(
            cluster: *const u8,
            cluster_size: usize,
            service: *const u8,
            service_size: usize,
            method: *const u8,
            method_size: usize,
            metadata: *const u8,
            metadata_size: usize,
            stream: *mut u32,
        ) -> u32;
        pub(crate) fn proxy_grpc_send(stream: u32, data: *const u8, size: usize, end: u32) -> u32;
        pub(crate) fn proxy_grpc_cancel(call: u32) -> u32;
        pub(crate) fn proxy_grpc_close(call: u32) -> u32;
        pub(crate) fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            size: usize,
            cas: u32,
        ) -> u32;
        pub(crate) fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub(crate) fn proxy_register_shared_queue(name: *const u8, size: usize, queue: *mut u32) -> u32;
        pub(crate) fn proxy_resolve_shared_queue(
            vm: *const u8,
            vm_size: usize,
            name: *const u8,
            size: usize,
            queue: *mut u32,
        ) -> u32;
        pub(crate) fn proxy_enqueue_shared_queue(queue: u32, data: *const u8, size: usize) -> u32;
        pub(crate) fn proxy_dequeue_shared_queue(queue: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        pub(crate) fn proxy_define_metric(kind: u32, name: *const u8, size: usize, metric: *mut u32) -> u32;
        pub(crate) fn proxy_increment_metric(metric: u32, offset: i64) -> u32;
        pub(crate) fn proxy_record_metric(metric: u32, value: u64) -> u32;
        pub(crate) fn proxy_get_metric(metric: u32, value: *mut u64) -> u32;
        pub(crate) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(crate) fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            size: usize,
        ) -> u32;
        pub(crate) fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            args: *const u8,
            args_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
    }
}

/// Bytes that show as text.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Bytes<'_> {
    pub(crate) fn text(&self) -> String {
        match std::str::from_utf8(self.0) {
            Ok("") => "(empty)".to_owned(),
            Ok(text) => text.to_owned(),
            Err(_) => self.0.escape_ascii().to_string(),
        }
    }
}

/// A call that hands out bytes: its status, and the bytes or `-` when the
/// host wrote no address.
pub(crate) fn given(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> (u32, Option<Vec<u8>>) {
    let (mut data, mut size) = (null_mut(), usize::MAX);
    let status = call(&mut data, &mut size);
    if data.is_null() {
        return (status, (size == 0).then(Vec::new));
    }
    // SAFETY: the host got `data` from proxy_on_memory_allocate(size), which
    // leaked a vector of exactly that length.
    (status, Some(unsafe { Vec::from_raw_parts(data, size, size) }))
}

/// A call that writes a number.
pub(crate) fn number<T: Default + ToString>(call: impl FnOnce(*mut T) -> u32) -> String {
    let mut value = T::default();
    let status = call(&mut value);
    format!("{status} {}", value.to_string())
}

pub(crate) fn log(message: &str) {
    // SAFETY: the host only reads the message, during the call.
    unsafe { raw::proxy_log(2, message.as_ptr(), message.len()) };
}

pub(crate) fn plugin_configuration() -> Vec<u8> {
    // SAFETY: the out-pointers are valid for the call.
    given(|data, size| unsafe { raw::proxy_get_buffer_bytes(7, 0, u32::MAX, data, size) })
        .1
        .unwrap_or_default()
}

/// Serializes `name=value&name=value`.
pub(crate) fn pairs(text: &str) -> Vec<u8> {
    let entries: Vec<(&str, &str)> = text.split('&').filter_map(|entry| entry.rsplit_once('=')).collect();
    let mut bytes = Vec::new();
    let mut push = |value: usize| bytes.extend_from_slice(&u32::try_from(value).unwrap_or(0).to_le_bytes());
    if entries.is_empty() {
        return Vec::new();
    }
    push(entries.len());
    for (name, value) in &entries {
        push(name.len());
        push(value.len());
    }
    for (name, value) in &entries {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// Shows serialized pairs as `name=value&name=value`.
pub(crate) fn show_pairs(bytes: &[u8]) -> String {
    let word = |at: usize| {
        bytes
            .get(at..at + 4)
            .and_then(|word| word.try_into().ok())
            .map_or(0, |word| u32::from_le_bytes(word) as usize)
    };
    let count = word(0);
    let mut at = 4 + count * 8;
    let mut shown = Vec::new();
    for entry in 0..count {
        let (name, value) = (word(4 + entry * 8), word(8 + entry * 8));
        let text = |from: usize, len: usize| Bytes(bytes.get(from..from + len).unwrap_or_default()).text();
        shown.push(format!("{}={}", text(at, name), text(at + name + 1, value)));
        at += name + value + 2;
    }
    if shown.is_empty() { "(empty)".to_owned() } else { shown.join("&") }
}
