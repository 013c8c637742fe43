//! The part of WASI preview 1 that Proxy-Wasm modules import.
//!
//! Written here instead of taken from `wasmtime-wasi`: standard output must
//! become log lines, clock and randomness must be virtual and seeded, every
//! call must be able to fail on demand, and a filter must not see the host's
//! files or environment.

use super::{Guest, Stop, Work, slice};
use crate::log::LogSource;
use crate::types::LogLevel;

/// WASI error numbers.
const BADF: u32 = 8;
const FAULT: u32 = 21;
const INVAL: u32 = 28;
const NOSYS: u32 = 52;
const NOTSUP: u32 = 58;

/// More than any guest needs at once, and little enough to allocate.
const MAX_RANDOM: u32 = 64 * 1024;

/// Log lines: standard output at info, standard error at error level, without
/// the final newline.
pub(super) fn fd_write(guest: &mut Guest<'_>, fd: u32, vectors: u32, count: u32, written: u32) -> Work {
    let (level, source) = match fd {
        1 => (LogLevel::Info, LogSource::Stdout),
        2 => (LogLevel::Error, LogSource::Stderr),
        _ => return errno(BADF),
    };
    let mut line = Vec::new();
    let (memory, state) = guest.split();
    for index in 0..count {
        let at = index.checked_mul(8).and_then(|offset| vectors.checked_add(offset));
        let vector = at.and_then(|at| slice(memory, at, 8).ok()).ok_or(Stop::Answer(FAULT))?;
        let [a, b, c, d, e, f, g, h] = *vector else {
            return errno(FAULT);
        };
        let (data, size) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        line.extend_from_slice(slice(memory, data, size).map_err(|_| Stop::Answer(FAULT))?);
    }
    let size = u32::try_from(line.len()).map_err(|_| Stop::Answer(INVAL))?;
    if !line.is_empty() {
        state.log(level, source, line.strip_suffix(b"\n").unwrap_or(&line));
    }
    fault(guest.write(written, &size.to_le_bytes()))
}

pub(super) fn fd_read(_: &mut Guest<'_>, _: u32, _: u32, _: u32, _: u32) -> Work {
    errno(NOSYS)
}

pub(super) fn fd_seek(_: &mut Guest<'_>, _: u32, _: i64, _: u32, _: u32) -> Work {
    Ok(())
}

pub(super) fn fd_close(_: &mut Guest<'_>, _: u32) -> Work {
    Ok(())
}

/// Standard output and error may be written to; nothing else is open.
pub(super) fn fd_fdstat_get(guest: &mut Guest<'_>, fd: u32, stat: u32) -> Work {
    if fd != 1 && fd != 2 {
        return errno(BADF);
    }
    let mut record = [0u8; 24];
    record[8] = 64; // fs_rights_base: fd_write
    fault(guest.write(stat, &record))
}

pub(super) fn fd_fdstat_set_flags(_: &mut Guest<'_>, _: u32, _: u32) -> Work {
    errno(NOSYS)
}

pub(super) fn fd_prestat_get(_: &mut Guest<'_>, _: u32, _: u32) -> Work {
    errno(BADF) // no directory is open
}

pub(super) fn fd_prestat_dir_name(_: &mut Guest<'_>, _: u32, _: u32, _: u32) -> Work {
    errno(BADF)
}

#[expect(clippy::too_many_arguments, reason = "WASI's signature")]
pub(super) fn path_open(
    _: &mut Guest<'_>,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u64,
    _: u64,
    _: u32,
    _: u32,
) -> Work {
    errno(NOSYS)
}

pub(super) fn path_filestat_get(_: &mut Guest<'_>, _: u32, _: u32, _: u32, _: u32, _: u32) -> Work {
    errno(NOSYS)
}

/// The variables that the host's user set, never the process's own.
pub(super) fn environ_get(guest: &mut Guest<'_>, array: u32, buffer: u32) -> Work {
    let world = std::sync::Arc::clone(&guest.state().world);
    let (mut array, mut buffer) = (array, buffer);
    for (name, value) in &world.environment {
        let entry = format!("{name}={value}\0");
        let size = u32::try_from(entry.len()).map_err(|_| Stop::Answer(INVAL))?;
        fault(guest.write(array, &buffer.to_le_bytes()))?;
        fault(guest.write(buffer, entry.as_bytes()))?;
        array = array.checked_add(4).ok_or(Stop::Answer(FAULT))?;
        buffer = buffer.checked_add(size).ok_or(Stop::Answer(FAULT))?;
    }
    Ok(())
}

pub(super) fn environ_sizes_get(guest: &mut Guest<'_>, count: u32, size: u32) -> Work {
    let environment = &guest.state().world.environment;
    let variables = u32::try_from(environment.len()).map_err(|_| Stop::Answer(INVAL))?;
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let bytes = u32::try_from(bytes).map_err(|_| Stop::Answer(INVAL))?;
    fault(guest.write_u32(count, variables))?;
    fault(guest.write_u32(size, bytes))
}

pub(super) fn args_get(_: &mut Guest<'_>, _: u32, _: u32) -> Work {
    Ok(())
}

/// No arguments, so that `args_get` is not called.
pub(super) fn args_sizes_get(guest: &mut Guest<'_>, count: u32, size: u32) -> Work {
    fault(guest.write_u32(count, 0))?;
    fault(guest.write_u32(size, 0))
}

/// The virtual clock, for both the wall clock and the monotonic one.
pub(super) fn clock_time_get(guest: &mut Guest<'_>, clock: u32, _precision: u64, time: u32) -> Work {
    if clock > 1 {
        return errno(NOTSUP);
    }
    let now = guest.state().shared.now_ns();
    fault(guest.write_u64(time, now))
}

pub(super) fn clock_res_get(guest: &mut Guest<'_>, clock: u32, resolution: u32) -> Work {
    if clock > 1 {
        return errno(NOTSUP);
    }
    fault(guest.write_u64(resolution, 1))
}

pub(super) fn random_get(guest: &mut Guest<'_>, data: u32, size: u32) -> Work {
    if size > MAX_RANDOM {
        return errno(INVAL);
    }
    let mut bytes = vec![0; size as usize];
    guest.state().rng.fill(&mut bytes);
    fault(guest.write(data, &bytes))
}

pub(super) fn poll_oneoff(_: &mut Guest<'_>, _: u32, _: u32, _: u32, _: u32) -> Work {
    errno(NOSYS)
}

pub(super) fn sched_yield(_: &mut Guest<'_>) -> Work {
    Ok(())
}

/// Envoy logs this and returns, upon which the guest runs into its own
/// `unreachable`. The trap comes here, with the code.
pub(super) fn proc_exit(_: &mut Guest<'_>, code: u32) -> Work {
    Err(Stop::Trap(wasmtime::Error::msg(format!("the guest called proc_exit({code})"))))
}

fn errno(number: u32) -> Work {
    Err(Stop::Answer(number))
}

/// A bad pointer is `EFAULT` here, not a Proxy-Wasm status.
fn fault(work: Work) -> Work {
    work.map_err(|stop| match stop {
        Stop::Answer(_) => Stop::Answer(FAULT),
        trap => trap,
    })
}
