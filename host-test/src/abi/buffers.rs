//! Byte buffers: bodies, TCP data, callout bodies, configurations.

use super::{Guest, Work, slice};
use crate::state::{Context, VmState};
use crate::types::{BufferType, Status};

/// Copies up to `length` bytes from `start`; a start past the end gives none.
pub(super) fn get(guest: &mut Guest<'_>, buffer: u32, start: u32, length: u32, data: u32, size: u32) -> Work {
    let buffer = BufferType::from_abi(buffer).ok_or(Status::BadArgument)?;
    let state = guest.state();
    let mut copy = std::mem::take(&mut state.scratch);
    copy.clear();
    let found = find(state, buffer).map(|bytes| {
        let end = (start as usize).saturating_add(length as usize).min(bytes.len());
        copy.extend_from_slice(bytes.get(start as usize..end).unwrap_or_default());
    });
    let given = match found {
        Ok(()) => guest.give(&copy, data, size),
        Err(status) => Err(status.into()),
    };
    guest.state().scratch = copy;
    given
}

pub(super) fn status(guest: &mut Guest<'_>, buffer: u32, length: u32, flags: u32) -> Work {
    let buffer = BufferType::from_abi(buffer).ok_or(Status::BadArgument)?;
    let bytes = find(guest.state(), buffer)?.len();
    guest.write_u32(length, u32::try_from(bytes).map_err(|_| Status::InternalFailure)?)?;
    guest.write_u32(flags, 0)
}

/// Replaces `length` bytes from the start, or appends when `start` is past
/// the end. In the middle Envoy changes nothing (`BAD_ARGUMENT`), although the
/// specification would allow it.
pub(super) fn set(guest: &mut Guest<'_>, buffer: u32, start: u32, length: u32, data: u32, size: u32) -> Work {
    let buffer = BufferType::from_abi(buffer).ok_or(Status::BadArgument)?;
    let (memory, state) = guest.split();
    find(state, buffer)?;
    let data = slice(memory, data, size)?;
    let target = writable(state, buffer).ok_or(Status::BadArgument)?;
    if start == 0 {
        let end = (length as usize).min(target.len());
        target.splice(..end, data.iter().copied());
    } else if start as usize >= target.len() {
        target.extend_from_slice(data);
    } else {
        return Err(Status::BadArgument.into());
    }
    Ok(())
}

/// A buffer that exists but is not open now reads as empty.
fn find(state: &VmState, buffer: BufferType) -> Result<&[u8], Status> {
    Ok(match buffer {
        BufferType::RequestBody => {
            state.http().and_then(|stream| stream.decode.visible()).unwrap_or_default()
        }
        BufferType::ResponseBody => {
            state.http().and_then(|stream| stream.encode.visible()).unwrap_or_default()
        }
        BufferType::Downstream => tcp(state, |tcp| tcp.downstream.as_deref()),
        BufferType::Upstream => tcp(state, |tcp| tcp.upstream.as_deref()),
        BufferType::CallResponseBody => state.received.call_body.as_deref().ok_or(Status::NotFound)?,
        BufferType::GrpcMessage => state.received.grpc_message.as_deref().unwrap_or_default(),
        BufferType::VmConfiguration => &state.world.vm_configuration,
        BufferType::PluginConfiguration => state.configuring.as_deref().ok_or(Status::NotFound)?,
        BufferType::CallData => state.received.call_data.as_deref().unwrap_or_default(),
    })
}

fn writable(state: &mut VmState, buffer: BufferType) -> Option<&mut Vec<u8>> {
    match buffer {
        BufferType::RequestBody => state.http_mut()?.decode.visible_mut(),
        BufferType::ResponseBody => state.http_mut()?.encode.visible_mut(),
        BufferType::Downstream => state.tcp_mut()?.downstream.as_mut(),
        BufferType::Upstream => state.tcp_mut()?.upstream.as_mut(),
        _ => None,
    }
}

fn tcp(state: &VmState, pick: impl Fn(&crate::tcp::TcpStream) -> Option<&[u8]>) -> &[u8] {
    match state.contexts.get(&state.context_id()) {
        Some(Context::Tcp(stream)) => pick(stream).unwrap_or_default(),
        _ => &[],
    }
}
