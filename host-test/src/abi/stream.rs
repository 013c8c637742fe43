//! Resuming, closing and answering streams. All of it waits until the guest
//! returns, as in Envoy.

use super::{Guest, Work, slice, text};
use crate::pairs;
use crate::state::{Context, Deferred, LocalResponse};
use crate::types::{Status, StreamType};

pub(super) fn resume(guest: &mut Guest<'_>, stream: u32) -> Work {
    let stream = StreamType::from_abi(stream).ok_or(Status::BadArgument)?;
    let state = guest.state();
    let id = state.context_id();
    if stream == StreamType::Upstream {
        return Err(Status::Unimplemented.into());
    }
    state.actions.push_back(Deferred::Continue(id, stream));
    // Envoy closes the request's maps here whichever side is resumed.
    if let Some(http) = state.http_mut()
        && matches!(stream, StreamType::Request | StreamType::Response)
    {
        http.decode.close_maps();
    }
    Ok(())
}

pub(super) fn close(guest: &mut Guest<'_>, stream: u32) -> Work {
    let stream = StreamType::from_abi(stream).ok_or(Status::BadArgument)?;
    let state = guest.state();
    let id = state.context_id();
    state.actions.push_back(Deferred::Close(id, stream));
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
pub(super) fn send_local_response(
    guest: &mut Guest<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    headers: u32,
    headers_size: u32,
    grpc: u32,
) -> Work {
    let (memory, state) = guest.split();
    let details = text(slice(memory, details, details_size)?).replace(char::is_whitespace, "_");
    let body = slice(memory, body, body_size)?.to_vec();
    let headers = pairs::decode(slice(memory, headers, headers_size)?).ok_or(Status::InvalidMemoryAccess)?;
    let id = state.context_id();
    if matches!(state.contexts.get(&id), Some(Context::Http(_))) {
        let grpc_status = (grpc <= 16).then_some(grpc); // SDKs send -1 for "none"
        let response = LocalResponse { status, details, body, headers, grpc_status, flags: "" };
        state.actions.push_back(Deferred::LocalResponse(id, response));
    }
    state.stop_iteration = true;
    Ok(())
}
