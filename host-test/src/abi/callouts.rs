//! HTTP callouts.

use super::{Guest, Work, slice, text};
use crate::callout::CalloutRecord;
use crate::calls::{CallKind, PendingCall};
use crate::headers::Headers;
use crate::message::UpstreamRequest;
use crate::pairs;
use crate::types::Status;
use std::time::Duration;

/// The call belongs to the root context, whoever makes it. The answer never
/// comes before this call has returned.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
pub(super) fn http_call(
    guest: &mut Guest<'_>,
    cluster: u32,
    cluster_size: u32,
    headers: u32,
    headers_size: u32,
    body: u32,
    body_size: u32,
    trailers: u32,
    trailers_size: u32,
    timeout: u32,
    token: u32,
) -> Work {
    let (memory, _) = guest.split();
    let cluster = text(slice(memory, cluster, cluster_size)?);
    let mut headers = headers_from(slice(memory, headers, headers_size)?)?;
    let body = slice(memory, body, body_size)?.to_vec();
    let trailers = headers_from(slice(memory, trailers, trailers_size)?)?;
    guest.write_u32(token, 0)?; // a bad pointer must show before the call starts
    let state = guest.state();
    let timeout = i32::try_from(timeout).map_err(|_| Status::BadArgument)?;
    let timeout = Duration::from_millis(u64::from(timeout.unsigned_abs()));
    let upstream = state.world.clusters.get(&cluster).cloned().ok_or(Status::BadArgument)?;
    if [":path", ":method", ":authority"].iter().any(|name| !headers.contains(name)) {
        return Err(Status::BadArgument.into());
    }
    if !body.is_empty() {
        headers.set("content-length", body.len().to_string());
    }
    let trailers = (!trailers.is_empty()).then_some(trailers);
    let request = UpstreamRequest { cluster, headers, body, trailers, attempt: 1 };
    let response = upstream(&request);
    let id = state.new_call_id(CallKind::Http);
    let (root, now) = (state.root_id(), state.shared.now_ns());
    state.calls.insert(id, PendingCall::http(root, now, timeout, response));
    state.callouts.push(CalloutRecord { token: id, request, timeout, grpc: None });
    guest.write_u32(token, id)
}

/// Status of the callout that ended: a gRPC status, or 11 for an HTTP call
/// that was reset.
pub(super) fn status(guest: &mut Guest<'_>, code: u32, data: u32, size: u32) -> Work {
    let (number, message) = guest.state().received.status.clone();
    guest.write_u32(code, number)?;
    guest.give(message.as_bytes(), data, size)
}

pub(super) fn headers_from(bytes: &[u8]) -> Result<Headers, Status> {
    Ok(pairs::decode(bytes).ok_or(Status::InvalidMemoryAccess)?.into_iter().collect())
}
