//! Header maps.
//!
//! Which map is open when, and what a call on a closed one answers, follows
//! Envoy's `context.cc`: reading a closed map is `BAD_ARGUMENT`, in the log
//! phase `NOT_FOUND`, and reading all of its pairs gives none; writing is
//! `BAD_ARGUMENT`.

use super::{Guest, Work, slice};
use crate::headers::Headers;
use crate::pairs;
use crate::state::VmState;
use crate::types::{AbiVersion, MapType, Status};

pub(super) fn size(guest: &mut Guest<'_>, map: u32, size: u32) -> Work {
    let map = MapType::from_abi(map).ok_or(Status::BadArgument)?;
    let bytes = writable(guest.state(), map).ok_or(Status::BadArgument)?.byte_size();
    guest.write_u32(size, u32::try_from(bytes).map_err(|_| Status::InternalFailure)?)
}

pub(super) fn pairs(guest: &mut Guest<'_>, map: u32, data: u32, size: u32) -> Work {
    let map = MapType::from_abi(map).ok_or(Status::BadArgument)?;
    let state = guest.state();
    let mut encoded = std::mem::take(&mut state.scratch);
    match readable(state, map) {
        Some(headers) => pairs::encode(headers.iter(), &mut encoded),
        None => encoded.clear(),
    }
    let given = guest.give(&encoded, data, size);
    guest.state().scratch = encoded;
    given
}

pub(super) fn set_pairs(guest: &mut Guest<'_>, map: u32, data: u32, size: u32) -> Work {
    let map = MapType::from_abi(map).ok_or(Status::BadArgument)?;
    let (memory, state) = guest.split();
    let decoded = pairs::decode(slice(memory, data, size)?).ok_or(Status::InvalidMemoryAccess)?;
    modify(state, map, |headers| {
        headers.clear();
        decoded.iter().for_each(|(name, value)| headers.add(name, value));
    })
}

pub(super) fn get(guest: &mut Guest<'_>, map: u32, key: u32, key_size: u32, data: u32, size: u32) -> Work {
    let map = MapType::from_abi(map).ok_or(Status::BadArgument)?;
    let (memory, state) = guest.split();
    let key = slice(memory, key, key_size)?;
    let mut value = std::mem::take(&mut state.scratch);
    value.clear();
    let found = match readable(state, map) {
        Some(headers) => headers.get(key).map(|first| value.extend_from_slice(first)).ok_or(Status::NotFound),
        None if state.http().is_some_and(|stream| stream.log_phase) => Err(Status::NotFound),
        None => Err(Status::BadArgument),
    };
    let given = match found {
        Ok(()) => guest.give(&value, data, size),
        Err(status) => Err(status.into()),
    };
    guest.state().scratch = value;
    given
}

pub(super) fn add(
    guest: &mut Guest<'_>,
    map: u32,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
) -> Work {
    let map = MapType::from_abi(map).ok_or(Status::BadArgument)?;
    let (memory, state) = guest.split();
    let (key, value) = (slice(memory, key, key_size)?, slice(memory, value, value_size)?);
    modify(state, map, |headers| headers.add(key, value))
}

pub(super) fn replace(
    guest: &mut Guest<'_>,
    map: u32,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
) -> Work {
    let map = MapType::from_abi(map).ok_or(Status::BadArgument)?;
    let (memory, state) = guest.split();
    let (key, value) = (slice(memory, key, key_size)?, slice(memory, value, value_size)?);
    modify(state, map, |headers| headers.set(key, value))
}

pub(super) fn remove(guest: &mut Guest<'_>, map: u32, key: u32, key_size: u32) -> Work {
    let map = MapType::from_abi(map).ok_or(Status::BadArgument)?;
    let (memory, state) = guest.split();
    let key = slice(memory, key, key_size)?;
    modify(state, map, |headers| headers.remove(key))
}

/// Any change of a request header drops the chosen route, so that it is
/// picked again. Hosts with an ABI after 0.2.1 leave that to the guest.
fn modify(state: &mut VmState, map: MapType, change: impl FnOnce(&mut Headers)) -> Work {
    let repicks = state.abi <= AbiVersion::V0_2_1;
    change(writable(state, map).ok_or(Status::BadArgument)?);
    if map == MapType::RequestHeaders
        && repicks
        && let Some(stream) = state.http_mut()
    {
        stream.route = None;
    }
    Ok(())
}

fn writable(state: &mut VmState, map: MapType) -> Option<&mut Headers> {
    let stream = state.http_mut()?;
    match map {
        MapType::RequestHeaders => stream.decode.headers_open.then_some(&mut stream.decode.headers),
        MapType::RequestTrailers => stream.decode.open_trailers(),
        MapType::ResponseHeaders => stream.encode.headers_open.then_some(&mut stream.encode.headers),
        MapType::ResponseTrailers => stream.encode.open_trailers(),
        _ => None,
    }
}

fn readable(state: &VmState, map: MapType) -> Option<&Headers> {
    match map {
        MapType::GrpcInitialMetadata => return state.received.grpc_initial.as_ref(),
        MapType::GrpcTrailingMetadata => return state.received.grpc_trailing.as_ref(),
        MapType::CallResponseHeaders => return state.received.call_headers.as_ref(),
        MapType::CallResponseTrailers => return state.received.call_trailers.as_ref(),
        _ => {}
    }
    let stream = state.http()?;
    let logging = stream.log_phase;
    match map {
        MapType::RequestHeaders => {
            (stream.decode.headers_open || logging && stream.started).then_some(&stream.decode.headers)
        }
        MapType::RequestTrailers => stream.decode.trailers_open.then_some(stream.decode.trailers.as_ref()?),
        MapType::ResponseHeaders => {
            (stream.encode.headers_open || logging && stream.encode.begun).then_some(&stream.encode.headers)
        }
        _ => (stream.encode.trailers_open || logging).then_some(stream.encode.trailers.as_ref()?),
    }
}
