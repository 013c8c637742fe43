//! Foreign functions: those of Envoy that need neither keys nor CEL, and
//! those that the host's user registers.

use super::{Guest, Stop, Work, slice, text};
use crate::types::Status;
use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};
use std::io::Read;

/// More than any guest can take at once.
const MAX_INFLATED: u64 = 64 * 1024 * 1024;

pub(super) fn call(
    guest: &mut Guest<'_>,
    name: u32,
    name_size: u32,
    args: u32,
    args_size: u32,
    data: u32,
    size: u32,
) -> Work {
    let (memory, state) = guest.split();
    let name = text(slice(memory, name, name_size)?);
    let args = slice(memory, args, args_size)?.to_vec();
    let function = state.world.foreign.get(&name).cloned();
    let result = match function {
        Some(function) => function(&args),
        None => builtin(guest, &name, &args).ok_or(Status::NotFound)?,
    };
    // A function that fails gives empty data. Either pointer may be null: the
    // caller does not want the result.
    if data != 0 && size != 0 {
        guest.give(result.as_deref().unwrap_or_default(), data, size)?;
    }
    result.map(|_| ()).map_err(Stop::from)
}

/// `None` when Envoy has no such function, or this host not.
fn builtin(guest: &mut Guest<'_>, name: &str, args: &[u8]) -> Option<Result<Vec<u8>, Status>> {
    let state = guest.state();
    Some(match name {
        "compress" => all(ZlibEncoder::new(args, Compression::default())),
        "uncompress" => all(ZlibDecoder::new(args)),
        "clear_route_cache" => {
            if let Some(stream) = state.http_mut() {
                stream.route = None;
            }
            Ok(Vec::new())
        }
        // The argument declares a type; values here are always bytes.
        "declare_property" if is_message(args) => Ok(Vec::new()),
        "declare_property" => Err(Status::BadArgument),
        "set_envoy_filter_state" => match (filter_state_arguments(args), state.http_mut()) {
            (None, _) => Err(Status::BadArgument),
            (_, None) => Err(Status::NotFound),
            // Envoy knows the objects of its own filters.
            (Some((name, _)), Some(_)) if !name.starts_with("envoy.") => Err(Status::NotFound),
            (Some((name, value)), Some(stream)) => {
                stream.envoy_filter_state.insert(name, value);
                Ok(Vec::new())
            }
        },
        _ => return None,
    })
}

fn all(from: impl Read) -> Result<Vec<u8>, Status> {
    let mut whole = Vec::new();
    let read = from.take(MAX_INFLATED).read_to_end(&mut whole);
    read.map(|_| whole).map_err(|_| Status::SerializationFailure)
}

/// Whether bytes are a protobuf message of numbers and length-delimited
/// fields.
fn is_message(mut bytes: &[u8]) -> bool {
    while let Some((&tag, rest)) = bytes.split_first() {
        bytes = rest;
        let read = match tag & 7 {
            0 => take_number(&mut bytes).map(|_| ()),
            2 => take_field(&mut bytes).map(|_| ()),
            _ => None,
        };
        if read.is_none() {
            return false;
        }
    }
    true
}

/// `SetEnvoyFilterStateArguments`: path = 1, value = 2, span = 3.
fn filter_state_arguments(mut bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let (mut path, mut value) = (None, None);
    while let Some((&tag, rest)) = bytes.split_first() {
        bytes = rest;
        match tag {
            0x0a | 0x12 => {
                let taken = take_field(&mut bytes)?.to_vec();
                if tag == 0x0a { path = Some(text(&taken)) } else { value = Some(taken) }
            }
            0x18 => bytes = bytes.split_first()?.1,
            _ => return None,
        }
    }
    Some((path?, value.unwrap_or_default()))
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let (mut number, mut shift) = (0usize, 0u32);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
}

/// A length-delimited protobuf field after its tag.
pub(super) fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_number(bytes)?;
    let field = bytes.get(..len)?;
    *bytes = &bytes[len..];
    Some(field)
}
