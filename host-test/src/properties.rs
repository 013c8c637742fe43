//! Properties: what a guest can ask about stream, connection and plugin.
//!
//! The names and encodings are those of Envoy's attributes: integers,
//! timestamps and durations are 8 bytes little-endian, text is bytes, header
//! maps are serialized pairs. Route and cluster are under `xds` only: Envoy
//! 1.40 no longer has `cluster_name` and `route_name` by themselves. A value
//! that the host's user fixed wins.

use crate::headers::Headers;
use crate::http::HttpStream;
use crate::pairs;
use crate::state::VmState;
use crate::types::Status;

/// The value of a property.
pub(crate) fn get(state: &mut VmState, path: &[u8]) -> Result<Vec<u8>, Status> {
    let fixed = state
        .http()
        .and_then(|stream| stream.properties.get(path))
        .or_else(|| state.world.properties.get(path));
    if let Some(value) = fixed {
        return Ok(value.clone());
    }
    let parts: Vec<&str> =
        path.split(|&byte| byte == 0).map(|part| std::str::from_utf8(part).unwrap_or("\u{fffd}")).collect();
    let now = state.shared.now_ns();
    if let Some(value) = plugin_value(state, &parts) {
        return Ok(value);
    }
    pick_route(state, &parts);
    if let (Some(connection), [name]) = (state.tcp_mut(), &parts[..]) {
        return connection.filter_state.get(*name).cloned().ok_or(Status::NotFound);
    }
    let stream = state.http().ok_or(Status::NotFound)?;
    // A whole group is a map that Envoy cannot serialize.
    if let ["request" | "response" | "connection" | "upstream" | "source" | "destination" | "xds"] = parts[..]
    {
        return Err(Status::SerializationFailure);
    }
    stream_value(state, stream, &parts, now).ok_or(Status::NotFound)
}

fn plugin_value(state: &VmState, parts: &[&str]) -> Option<Vec<u8>> {
    let world = &state.world;
    let text = |value: &str| Some(value.as_bytes().to_vec());
    match parts {
        ["plugin_name"] => text(&world.plugin_name),
        ["plugin_root_id"] => text(&world.root_id),
        ["plugin_vm_id"] => text(&world.vm_id),
        ["node", "id"] => text("proxy-wasm-host"),
        ["node", "cluster"] => text("proxy-wasm-host"),
        _ => None,
    }
}

/// Route and cluster are known as soon as someone asks.
fn pick_route(state: &mut VmState, parts: &[&str]) {
    if matches!(parts, ["xds", "route_name" | "cluster_name"]) {
        let world = std::sync::Arc::clone(&state.world);
        if let Some(stream) = state.http_mut().filter(|stream| stream.started) {
            stream.chosen_route(&world);
        }
    }
}

fn stream_value(state: &VmState, stream: &HttpStream, parts: &[&str], now: u64) -> Option<Vec<u8>> {
    match parts {
        ["request", rest @ ..] => request_value(stream, rest, now),
        ["response", rest @ ..] => response_value(stream, rest, now),
        ["source", "address"] => Some(b"127.0.0.1:50000".to_vec()),
        ["source", "port"] => int(50000),
        ["destination", "address"] => Some(b"127.0.0.1:10000".to_vec()),
        ["destination", "port"] => int(10000),
        ["connection", "id"] | ["connection_id"] => int(1),
        ["connection", "mtls"] => Some(vec![0]),
        ["upstream", "address"] if !stream.attempts.is_empty() => Some(b"127.0.0.1:8080".to_vec()),
        ["upstream", "port"] if !stream.attempts.is_empty() => int(8080),
        ["upstream", "request_attempt_count"] => int(stream.attempts.len()),
        ["xds", "cluster_name"] => cluster_name(state, stream).map(String::into_bytes),
        ["xds", "route_name"] => {
            let index = stream.route??;
            Some(state.world.routes.get(index)?.name.clone().into_bytes())
        }
        ["filter_state", key] => {
            let own = key.strip_prefix("wasm.").and_then(|name| stream.filter_state.get(name));
            own.or_else(|| stream.envoy_filter_state.get(*key)).cloned()
        }
        [name] => stream.filter_state.get(*name).cloned(),
        _ => None,
    }
}

fn cluster_name(state: &VmState, stream: &HttpStream) -> Option<String> {
    if let Some(cluster) = &stream.cluster {
        return Some(cluster.clone());
    }
    let cluster = state.world.routes.get(stream.route??)?.cluster_for(&stream.decode.headers)?;
    state.world.clusters.contains_key(&cluster).then_some(cluster)
}

fn request_value(stream: &HttpStream, rest: &[&str], now: u64) -> Option<Vec<u8>> {
    // What comes from headers is readable while they are.
    let readable = stream.decode.headers_open || stream.log_phase && stream.started;
    let headers = if readable { &stream.decode.headers } else { &Headers::default() };
    let header = |name: &str| headers.get(name).map(<[u8]>::to_vec);
    let size = stream.attempts.last().map_or(stream.decode.passed.len(), |request| request.body.len());
    match rest {
        ["path"] => header(":path"),
        ["url_path"] => {
            header(":path").map(|path| path.split(|&byte| byte == b'?').next().unwrap_or_default().to_vec())
        }
        ["query"] => {
            let path = header(":path")?;
            let at = path.iter().position(|&byte| byte == b'?')?;
            Some(path[at + 1..].to_vec())
        }
        ["host"] => header(":authority"),
        ["scheme"] => header(":scheme"),
        ["method"] => header(":method"),
        ["referer"] => header("referer"),
        ["useragent"] => header("user-agent"),
        ["id"] => header("x-request-id"),
        ["protocol"] => Some(b"HTTP/1.1".to_vec()),
        ["headers"] if readable => Some(map(headers)),
        ["headers", name] => header(name),
        ["time"] => Some(stream.start_ns.to_le_bytes().to_vec()),
        ["duration"] => duration(stream, now),
        ["size"] => int(size),
        ["total_size"] => int(size + headers.byte_size()),
        _ => None,
    }
}

fn response_value(stream: &HttpStream, rest: &[&str], now: u64) -> Option<Vec<u8>> {
    if !stream.encode.begun {
        return None;
    }
    let headers = &stream.encode.headers;
    match rest {
        ["code"] => int(stream.status()?.into()),
        ["code_details"] => (!stream.details.is_empty()).then(|| stream.details.clone().into_bytes()),
        ["flags"] => Some(flag_bits(stream.flags).to_le_bytes().to_vec()),
        ["grpc_status"] => {
            let trailers = stream.encode.trailers.as_ref();
            let status = headers.get("grpc-status").or_else(|| trailers?.get("grpc-status"))?;
            int(std::str::from_utf8(status).ok()?.parse().ok()?)
        }
        ["headers"] => Some(map(headers)),
        ["headers", name] => headers.get(name).map(<[u8]>::to_vec),
        ["trailers"] => Some(map(stream.encode.trailers.as_ref()?)),
        ["trailers", name] => stream.encode.trailers.as_ref()?.get(name).map(<[u8]>::to_vec),
        ["size"] => int(stream.encode.passed.len()),
        ["total_size"] => int(stream.encode.passed.len() + headers.byte_size()),
        ["backend_latency"] if !stream.attempts.is_empty() => duration(stream, now),
        _ => None,
    }
}

/// Known once the stream is complete, as in Envoy.
fn duration(stream: &HttpStream, now: u64) -> Option<Vec<u8>> {
    let end = if stream.log_phase {
        stream.end_ns.unwrap_or(now)
    } else {
        return None;
    };
    Some(end.saturating_sub(stream.start_ns).to_le_bytes().to_vec())
}

fn map(headers: &Headers) -> Vec<u8> {
    let mut encoded = Vec::new();
    pairs::encode(headers.iter(), &mut encoded);
    encoded
}

fn int(value: usize) -> Option<Vec<u8>> {
    i64::try_from(value).ok().map(|value| value.to_le_bytes().to_vec())
}

/// `envoy/stream_info/stream_info.h`, the flags that this host can set.
fn flag_bits(flag: &str) -> i64 {
    match flag {
        "UT" => 0x4,
        "UF" => 0x20,
        "UC" => 0x40,
        "UPE" => 0x80_0000,
        "NR" => 0x100,
        "NC" => 0x100_0000,
        _ => 0,
    }
}
