//! `proxy_log`.

use super::{Guest, Work, slice};
use crate::log::LogSource;
use crate::types::{LogLevel, Status};

pub(super) fn log(guest: &mut Guest<'_>, level: u32, data: u32, size: u32) -> Work {
    let level = LogLevel::from_abi(level).ok_or(Status::BadArgument)?;
    let (memory, state) = guest.split();
    state.log(level, LogSource::Guest, slice(memory, data, size)?);
    Ok(())
}

pub(super) fn level(guest: &mut Guest<'_>, level: u32) -> Work {
    let current = guest.state().world.log_level as u32;
    guest.write_u32(level, current)
}
