//! Key-value data and queues; the rules are in [`crate::shared`].

use super::{Guest, Work, slice, text};
use crate::types::Status;

pub(super) fn set(
    guest: &mut Guest<'_>,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
    cas: u32,
) -> Work {
    let (memory, state) = guest.split();
    let (key, value) = (slice(memory, key, key_size)?, slice(memory, value, value_size)?);
    match state.shared.set_data(&state.world.vm_id, key, value, cas) {
        Status::Ok => Ok(()),
        status => Err(status.into()),
    }
}

pub(super) fn get(guest: &mut Guest<'_>, key: u32, key_size: u32, data: u32, size: u32, cas: u32) -> Work {
    let (memory, state) = guest.split();
    let key = slice(memory, key, key_size)?;
    let (value, current) = state.shared.get_data(&state.world.vm_id, key).ok_or(Status::NotFound)?;
    guest.give(&value, data, size)?;
    guest.write_u32(cas, current)
}

/// Notices go to the root context, also when a stream registers.
pub(super) fn register_queue(guest: &mut Guest<'_>, name: u32, name_size: u32, id: u32) -> Work {
    let (memory, state) = guest.split();
    let name = slice(memory, name, name_size)?;
    let queue = state.shared.register_queue(&state.world.vm_id, name, state.key, state.root_id());
    guest.write_u32(id, queue)
}

/// An empty vm id means the guest's own, as in Envoy.
pub(super) fn resolve_queue(
    guest: &mut Guest<'_>,
    vm: u32,
    vm_size: u32,
    name: u32,
    name_size: u32,
    id: u32,
) -> Work {
    let (memory, state) = guest.split();
    let (vm, name) = (slice(memory, vm, vm_size)?, slice(memory, name, name_size)?);
    let vm = if vm.is_empty() { state.world.vm_id.clone() } else { text(vm) };
    let queue = state.shared.resolve_queue(&vm, name).ok_or(Status::NotFound)?;
    guest.write_u32(id, queue)
}

pub(super) fn enqueue(guest: &mut Guest<'_>, queue: u32, value: u32, value_size: u32) -> Work {
    let (memory, state) = guest.split();
    match state.shared.enqueue(queue, slice(memory, value, value_size)?) {
        Status::Ok => Ok(()),
        status => Err(status.into()),
    }
}

pub(super) fn dequeue(guest: &mut Guest<'_>, queue: u32, data: u32, size: u32) -> Work {
    let item = guest.state().shared.dequeue(queue)?;
    guest.give(&item, data, size)
}
