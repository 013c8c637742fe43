//! Foreign functions: the few of Envoy's that need no library, and those
//! that the host's user registers.

use super::{Guest, Stop, Work, slice, text};
use crate::types::Status;

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
        Some(function) => function(&args).map_err(Stop::from)?,
        None => builtin(guest, &name, &args)?,
    };
    // Either pointer may be null: the caller does not want the result.
    if data != 0 && size != 0 { guest.give(&result, data, size) } else { Ok(()) }
}

fn builtin(guest: &mut Guest<'_>, name: &str, args: &[u8]) -> Result<Vec<u8>, Stop> {
    let state = guest.state();
    match name {
        "clear_route_cache" => {
            if let Some(stream) = state.http_mut() {
                stream.route = None;
            }
            Ok(Vec::new())
        }
        // The argument declares a type; values here are always bytes.
        "declare_property" => Ok(Vec::new()),
        "set_envoy_filter_state" => {
            let (name, value) = filter_state_arguments(args).ok_or(Status::BadArgument)?;
            let stream = state.http_mut().ok_or(Status::NotFound)?;
            stream.envoy_filter_state.insert(name, value);
            Ok(Vec::new())
        }
        _ => Err(Status::NotFound.into()),
    }
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

/// A length-delimited protobuf field after its tag.
pub(super) fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (mut len, mut shift) = (0usize, 0u32);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        len |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let field = bytes.get(..len)?;
    *bytes = &bytes[len..];
    Some(field)
}
