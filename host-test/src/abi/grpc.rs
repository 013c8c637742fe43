//! gRPC callouts: unary calls and streams.

use super::callouts::headers_from;
use super::foreign::take_field;
use super::{Guest, Work, slice, text};
use crate::callout::{CalloutRecord, GrpcRequest};
use crate::calls::{CallKind, PendingCall, ask_grpc};
use crate::message::UpstreamRequest;
use crate::state::VmState;
use crate::types::Status;
use std::sync::Arc;
use std::time::Duration;

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
pub(super) fn call(
    guest: &mut Guest<'_>,
    cluster: u32,
    cluster_size: u32,
    service: u32,
    service_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    message: u32,
    message_size: u32,
    timeout: u32,
    token: u32,
) -> Work {
    let (memory, state) = guest.split();
    let request = GrpcRequest {
        cluster: cluster_name(slice(memory, cluster, cluster_size)?),
        service: text(slice(memory, service, service_size)?),
        method: text(slice(memory, method, method_size)?),
        metadata: headers_from(slice(memory, metadata, metadata_size)?)?,
        message: Some(slice(memory, message, message_size)?.to_vec()),
        end: true,
    };
    check_cluster(state, &request.cluster)?;
    let timeout = Duration::from_millis(timeout.into());
    let reply = ask_grpc(&state.world, &request);
    let pending = PendingCall::grpc(state.root_id(), state.shared.now_ns(), timeout, reply);
    let id = start(state, CallKind::GrpcCall, pending, &request, timeout);
    guest.write_u32(token, id)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
pub(super) fn stream(
    guest: &mut Guest<'_>,
    cluster: u32,
    cluster_size: u32,
    service: u32,
    service_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    token: u32,
) -> Work {
    let (memory, state) = guest.split();
    let request = GrpcRequest {
        cluster: cluster_name(slice(memory, cluster, cluster_size)?),
        service: text(slice(memory, service, service_size)?),
        method: text(slice(memory, method, method_size)?),
        metadata: headers_from(slice(memory, metadata, metadata_size)?)?,
        message: None,
        end: false,
    };
    check_cluster(state, &request.cluster)?;
    let reply = ask_grpc(&state.world, &request);
    let mut pending = PendingCall::grpc_stream(state.root_id(), request.clone());
    pending.extend(state.shared.now_ns(), reply);
    let id = start(state, CallKind::GrpcStream, pending, &request, Duration::ZERO);
    guest.write_u32(token, id)
}

pub(super) fn send(guest: &mut Guest<'_>, token: u32, message: u32, message_size: u32, end: u32) -> Work {
    let (memory, state) = guest.split();
    let message = slice(memory, message, message_size)?.to_vec();
    if CallKind::of(token) != Some(CallKind::GrpcStream) {
        return Err(Status::BadArgument.into());
    }
    let (world, now) = (Arc::clone(&state.world), state.shared.now_ns());
    let pending = state.calls.get_mut(&token).ok_or(Status::NotFound)?;
    let template = pending.stream.as_ref().ok_or(Status::NotFound)?;
    let request = GrpcRequest { message: Some(message), end: end != 0, ..template.clone() };
    pending.local_closed |= request.end;
    pending.extend(now, ask_grpc(&world, &request));
    Ok(())
}

/// Resets: nothing more comes back.
pub(super) fn cancel(guest: &mut Guest<'_>, token: u32) -> Work {
    guest.state().calls.remove(&token).map(|_| ()).ok_or_else(|| Status::NotFound.into())
}

/// Half-closes a stream; a unary call is cancelled.
pub(super) fn close(guest: &mut Guest<'_>, token: u32) -> Work {
    check_grpc(token)?;
    let state = guest.state();
    let (world, now) = (Arc::clone(&state.world), state.shared.now_ns());
    let pending = state.calls.get_mut(&token).ok_or(Status::NotFound)?;
    match &pending.stream {
        Some(template) if !pending.local_closed => {
            let request = GrpcRequest { message: None, end: true, ..template.clone() };
            pending.local_closed = true;
            pending.extend(now, ask_grpc(&world, &request));
        }
        Some(_) => {}
        None => {
            state.calls.remove(&token);
        }
    }
    Ok(())
}

fn start(
    state: &mut VmState,
    kind: CallKind,
    pending: PendingCall,
    request: &GrpcRequest,
    timeout: Duration,
) -> u32 {
    let id = state.new_call_id(kind);
    state.calls.insert(id, pending);
    state.callouts.push(CalloutRecord {
        token: id,
        request: UpstreamRequest {
            cluster: request.cluster.clone(),
            headers: request.metadata.clone(),
            body: request.message.clone().unwrap_or_default(),
            trailers: None,
            attempt: 1,
        },
        timeout,
        grpc: Some((request.service.clone(), request.method.clone())),
    });
    id
}

/// Ids of other kinds are no gRPC calls at all.
fn check_grpc(token: u32) -> Result<(), Status> {
    match CallKind::of(token) {
        Some(CallKind::GrpcCall | CallKind::GrpcStream) => Ok(()),
        _ => Err(Status::BadArgument),
    }
}

fn check_cluster(state: &VmState, cluster: &str) -> Result<(), Status> {
    let known = state.world.grpc.contains_key(cluster) || state.world.clusters.contains_key(cluster);
    if known { Ok(()) } else { Err(Status::ParseFailure) }
}

/// A plain cluster name, or Envoy's `GrpcService` message with
/// `envoy_grpc.cluster_name`.
fn cluster_name(bytes: &[u8]) -> String {
    let nested = |mut bytes: &[u8]| -> Option<String> {
        bytes = bytes.strip_prefix(&[0x0a])?;
        let mut inner = take_field(&mut bytes)?.strip_prefix(&[0x0a])?;
        std::str::from_utf8(take_field(&mut inner)?).ok().map(str::to_owned)
    };
    nested(bytes).unwrap_or_else(|| text(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_comes_by_name_or_in_a_message() {
        assert_eq!(cluster_name(b"grpcbin"), "grpcbin");
        assert_eq!(cluster_name(b"\x0a\x09\x0a\x07grpcbin"), "grpcbin");
        assert_eq!(cluster_name(b"\x0a\xff"), "\n\u{fffd}");
    }
}
