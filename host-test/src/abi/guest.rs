//! The guest behind a hostcall: its memory, what it is given, and faults on the way.

use crate::faults::{Fault, Hostcall};
use crate::state::VmState;
use crate::types::Status;
use std::time::Instant;
use wasmtime::{Caller, Extern, Memory};

/// Why a hostcall ends early.
pub(crate) enum Stop {
    /// The guest gets this number.
    Answer(u32),
    /// The guest trapped inside the call, in its allocator.
    Trap(wasmtime::Error),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Stop {
        Stop::Answer(status as u32)
    }
}

/// What a hostcall's work returns.
pub(crate) type Work = Result<(), Stop>;

/// The calling guest.
pub(crate) struct Guest<'a> {
    caller: Caller<'a, VmState>,
    memory: Memory,
    /// The fault that outgoing data suffers in this call.
    shape: Option<Fault>,
}

impl Guest<'_> {
    pub(crate) fn state(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    /// The guest's memory and the state at once, so that names and values can
    /// be used where they lie.
    pub(crate) fn split(&mut self) -> (&mut [u8], &mut VmState) {
        self.memory.data_and_store_mut(&mut self.caller)
    }

    /// Writes a number through a pointer.
    pub(crate) fn write_u32(&mut self, pointer: u32, value: u32) -> Work {
        let value =
            if self.shape == Some(Fault::Garbage) { (self.state().rng.next() >> 32) as u32 } else { value };
        self.write(pointer, &value.to_le_bytes())
    }

    /// As [`Guest::write_u32`], for 64 bits.
    pub(crate) fn write_u64(&mut self, pointer: u32, value: u64) -> Work {
        let value = if self.shape == Some(Fault::Garbage) { self.state().rng.next() } else { value };
        self.write(pointer, &value.to_le_bytes())
    }

    /// Writes bytes at an address, unharmed by faults.
    pub(crate) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Work {
        let (memory, _) = self.split();
        let start = pointer as usize;
        let target = start.checked_add(bytes.len()).and_then(|end| memory.get_mut(start..end));
        target.ok_or(Status::InvalidMemoryAccess)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Hands bytes to the guest: allocates there, copies, and writes address
    /// and length through the two pointers. Empty bytes need no allocation.
    pub(crate) fn give(&mut self, bytes: &[u8], data_pointer: u32, size_pointer: u32) -> Work {
        let mut garbage;
        let bytes = match self.shape {
            Some(Fault::Garbage) => {
                garbage = bytes.to_vec();
                self.state().rng.fill(&mut garbage);
                &garbage
            }
            Some(Fault::Truncated) => bytes.get(..bytes.len() / 2).unwrap_or_default(),
            Some(Fault::Nothing) => &[],
            _ => bytes,
        };
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
        let address = if size == 0 { 0 } else { self.allocate(size)? };
        if size != 0 {
            self.write(address, bytes)?;
        }
        self.write(data_pointer, &address.to_le_bytes())?;
        self.write(size_pointer, &size.to_le_bytes())
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Stop> {
        let Some(allocate) = self.state().allocate.clone() else {
            return Err(Status::InternalFailure.into());
        };
        let address = allocate.call(&mut self.caller, size).map_err(Stop::Trap)?;
        if address == 0 { Err(Status::InvalidMemoryAccess.into()) } else { Ok(address) }
    }
}

/// A piece of guest memory.
pub(crate) fn slice(memory: &[u8], pointer: u32, len: u32) -> Result<&[u8], Status> {
    let start = pointer as usize;
    let end = start.checked_add(len as usize).ok_or(Status::InvalidMemoryAccess)?;
    memory.get(start..end).ok_or(Status::InvalidMemoryAccess)
}

/// Text that the guest hands over for a host table, which is UTF-8 there.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs one hostcall: count, fault, work, remember.
pub(super) fn call(
    mut caller: Caller<'_, VmState>,
    hostcall: Hostcall,
    work: impl FnOnce(&mut Guest<'_>) -> Work,
) -> wasmtime::Result<u32> {
    let started = caller.data().hostcall_time.map(|_| Instant::now());
    let fault = caller.data_mut().count(hostcall);
    let memory = match caller.data().memory {
        Some(memory) => memory,
        // A start section runs before the instance is known.
        None => match caller.get_export("memory") {
            Some(Extern::Memory(memory)) => memory,
            _ => return Ok(Status::InternalFailure as u32),
        },
    };
    let mut guest = Guest { caller, memory, shape: None };
    let answer = match fault {
        Some(Fault::Status(status)) => status as u32,
        Some(Fault::Raw(number)) => number,
        shape => {
            guest.shape = shape;
            match work(&mut guest) {
                Ok(()) => 0,
                Err(Stop::Answer(number)) => number,
                Err(Stop::Trap(error)) => return Err(error),
            }
        }
    };
    let state = guest.state();
    state.remember(hostcall, answer);
    if let (Some(total), Some(started)) = (&mut state.hostcall_time, started) {
        *total += started.elapsed();
    }
    Ok(answer)
}
