//! Metrics; the rules are in [`crate::metrics`].

use super::{Guest, Work, slice};

pub(super) fn define(guest: &mut Guest<'_>, kind: u32, name: u32, name_size: u32, id: u32) -> Work {
    let (memory, state) = guest.split();
    let name = slice(memory, name, name_size)?;
    let defined = state.metrics.define(&state.shared.metrics, kind, name)?;
    guest.write_u32(id, defined)
}

pub(super) fn record(guest: &mut Guest<'_>, metric: u32, value: u64) -> Work {
    Ok(guest.state().metrics.record(metric, value)?)
}

pub(super) fn increment(guest: &mut Guest<'_>, metric: u32, offset: i64) -> Work {
    Ok(guest.state().metrics.increment(metric, offset)?)
}

pub(super) fn get(guest: &mut Guest<'_>, metric: u32, value: u32) -> Work {
    let current = guest.state().metrics.get(metric)?;
    guest.write_u64(value, current)
}
