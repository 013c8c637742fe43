//! Properties; what they hold is in [`crate::properties`].

use super::{Guest, Work, slice, text};
use crate::types::Status;

pub(super) fn get(guest: &mut Guest<'_>, path: u32, path_size: u32, data: u32, size: u32) -> Work {
    let (memory, state) = guest.split();
    let value = crate::properties::get(state, slice(memory, path, path_size)?)?;
    guest.give(&value, data, size)
}

/// Writes filter state, which only streams have.
pub(super) fn set(guest: &mut Guest<'_>, path: u32, path_size: u32, value: u32, value_size: u32) -> Work {
    let (memory, state) = guest.split();
    let (path, value) = (slice(memory, path, path_size)?, slice(memory, value, value_size)?);
    if let Some(connection) = state.tcp_mut() {
        connection.filter_state.insert(text(path), value.to_vec());
        return Ok(());
    }
    let stream =
        state.http_mut().filter(|stream| !stream.log_phase || stream.started).ok_or(Status::NotFound)?;
    stream.filter_state.insert(text(path), value.to_vec());
    Ok(())
}
