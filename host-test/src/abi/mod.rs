//! The hostcalls, linked into wasmtime.
//!
//! One file per capability. Every call goes through `guest::call`, which counts
//! it, applies a fault if one is planned, and remembers the result for trap
//! reports; no capability knows about faults beyond `Guest::give`.

mod buffers;
mod callouts;
mod foreign;
mod grpc;
mod guest;
mod headers;
mod lifecycle;
mod log;
mod metrics;
mod properties;
mod shared_data;
mod stream;
mod wasi;

use crate::faults::Hostcall;
use crate::state::VmState;
use guest::{Guest, Stop, Work, call, slice, text};
use wasmtime::{Caller, Linker};

macro_rules! link {
    ($linker:ident, $($hostcall:ident($($arg:ident: $ty:ty),*) => $function:path;)*) => {$(
        link_one!($linker, Hostcall::$hostcall.module(), $hostcall($($arg: $ty),*) => $function);
    )*};
}

macro_rules! link_one {
    ($linker:ident, $module:expr, $hostcall:ident($($arg:ident: $ty:ty),*) => $function:path) => {
        $linker.func_wrap($module, Hostcall::$hostcall.name(), |caller: Caller<'_, VmState>, $($arg: $ty),*| {
            call(caller, Hostcall::$hostcall, |guest| $function(guest, $($arg),*))
        })?
    };
}

/// The WASI calls exist under the name of the snapshot and the older one.
macro_rules! link_wasi {
    ($linker:ident, $($hostcall:ident($($arg:ident: $ty:ty),*) => $function:path;)*) => {$(
        link_one!($linker, "wasi_snapshot_preview1", $hostcall($($arg: $ty),*) => $function);
        link_one!($linker, "wasi_unstable", $hostcall($($arg: $ty),*) => $function);
    )*};
}

/// Defines every import.
pub(crate) fn link(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    link_contexts_and_streams(linker)?;
    link_data(linker)?;
    link_callouts(linker)?;
    link_wasi(linker)
}

fn link_contexts_and_streams(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    link! { linker,
        Done() => lifecycle::done;
        SetEffectiveContext(context: u32) => lifecycle::set_effective_context;
        SetTickPeriod(milliseconds: u32) => lifecycle::set_tick_period;
        GetCurrentTime(time: u32) => lifecycle::current_time;
        Log(level: u32, data: u32, size: u32) => log::log;
        GetLogLevel(level: u32) => log::level;
        ContinueStream(stream: u32) => stream::resume;
        CloseStream(stream: u32) => stream::close;
        SendLocalResponse(status: u32, details: u32, details_size: u32, body: u32, body_size: u32, headers: u32, headers_size: u32, grpc: u32) => stream::send_local_response;
        SetBufferBytes(buffer: u32, start: u32, length: u32, data: u32, size: u32) => buffers::set;
        GetBufferBytes(buffer: u32, start: u32, length: u32, data: u32, size: u32) => buffers::get;
        GetBufferStatus(buffer: u32, length: u32, flags: u32) => buffers::status;
        GetHeaderMapSize(map: u32, size: u32) => headers::size;
        GetHeaderMapPairs(map: u32, data: u32, size: u32) => headers::pairs;
        SetHeaderMapPairs(map: u32, data: u32, size: u32) => headers::set_pairs;
        GetHeaderMapValue(map: u32, key: u32, key_size: u32, data: u32, size: u32) => headers::get;
        AddHeaderMapValue(map: u32, key: u32, key_size: u32, value: u32, value_size: u32) => headers::add;
        ReplaceHeaderMapValue(map: u32, key: u32, key_size: u32, value: u32, value_size: u32) => headers::replace;
        RemoveHeaderMapValue(map: u32, key: u32, key_size: u32) => headers::remove;
    }
    Ok(())
}

fn link_data(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    link! { linker,
        SetSharedData(key: u32, key_size: u32, value: u32, value_size: u32, cas: u32) => shared_data::set;
        GetSharedData(key: u32, key_size: u32, data: u32, size: u32, cas: u32) => shared_data::get;
        RegisterSharedQueue(name: u32, name_size: u32, id: u32) => shared_data::register_queue;
        ResolveSharedQueue(vm: u32, vm_size: u32, name: u32, name_size: u32, id: u32) => shared_data::resolve_queue;
        EnqueueSharedQueue(queue: u32, value: u32, value_size: u32) => shared_data::enqueue;
        DequeueSharedQueue(queue: u32, data: u32, size: u32) => shared_data::dequeue;
        DefineMetric(kind: u32, name: u32, name_size: u32, id: u32) => metrics::define;
        RecordMetric(metric: u32, value: u64) => metrics::record;
        IncrementMetric(metric: u32, offset: i64) => metrics::increment;
        GetMetric(metric: u32, value: u32) => metrics::get;
        GetProperty(path: u32, path_size: u32, data: u32, size: u32) => properties::get;
        SetProperty(path: u32, path_size: u32, value: u32, value_size: u32) => properties::set;
        CallForeignFunction(name: u32, name_size: u32, args: u32, args_size: u32, data: u32, size: u32) => foreign::call;
    }
    Ok(())
}

fn link_callouts(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    link! { linker,
        GetStatus(code: u32, data: u32, size: u32) => callouts::status;
        HttpCall(cluster: u32, cluster_size: u32, headers: u32, headers_size: u32, body: u32, body_size: u32, trailers: u32, trailers_size: u32, timeout: u32, token: u32) => callouts::http_call;
        GrpcCall(cluster: u32, cluster_size: u32, service: u32, service_size: u32, method: u32, method_size: u32, metadata: u32, metadata_size: u32, message: u32, message_size: u32, timeout: u32, token: u32) => grpc::call;
        GrpcStream(cluster: u32, cluster_size: u32, service: u32, service_size: u32, method: u32, method_size: u32, metadata: u32, metadata_size: u32, token: u32) => grpc::stream;
        GrpcSend(token: u32, message: u32, message_size: u32, end: u32) => grpc::send;
        GrpcCancel(token: u32) => grpc::cancel;
        GrpcClose(token: u32) => grpc::close;
    }
    Ok(())
}

fn link_wasi(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    link_wasi! { linker,
        FdWrite(fd: u32, vectors: u32, count: u32, written: u32) => wasi::fd_write;
        FdRead(fd: u32, vectors: u32, count: u32, read: u32) => wasi::fd_read;
        FdSeek(fd: u32, offset: i64, whence: u32, position: u32) => wasi::fd_seek;
        FdClose(fd: u32) => wasi::fd_close;
        FdFdstatGet(fd: u32, stat: u32) => wasi::fd_fdstat_get;
        FdFdstatSetFlags(fd: u32, flags: u32) => wasi::fd_fdstat_set_flags;
        FdPrestatGet(fd: u32, stat: u32) => wasi::fd_prestat_get;
        FdPrestatDirName(fd: u32, path: u32, size: u32) => wasi::fd_prestat_dir_name;
        PathOpen(fd: u32, flags: u32, path: u32, size: u32, open: u32, base: u64, inheriting: u64, fd_flags: u32, opened: u32) => wasi::path_open;
        PathFilestatGet(fd: u32, flags: u32, path: u32, size: u32, stat: u32) => wasi::path_filestat_get;
        EnvironGet(array: u32, buffer: u32) => wasi::environ_get;
        EnvironSizesGet(count: u32, size: u32) => wasi::environ_sizes_get;
        ArgsGet(array: u32, buffer: u32) => wasi::args_get;
        ArgsSizesGet(count: u32, size: u32) => wasi::args_sizes_get;
        ClockTimeGet(clock: u32, precision: u64, time: u32) => wasi::clock_time_get;
        ClockResGet(clock: u32, resolution: u32) => wasi::clock_res_get;
        RandomGet(data: u32, size: u32) => wasi::random_get;
        PollOneoff(subscriptions: u32, events: u32, count: u32, written: u32) => wasi::poll_oneoff;
        SchedYield() => wasi::sched_yield;
    }
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        linker.func_wrap(module, Hostcall::ProcExit.name(), |caller: Caller<'_, VmState>, code: u32| {
            call(caller, Hostcall::ProcExit, |guest| wasi::proc_exit(guest, code)).map(|_| ())
        })?;
    }
    Ok(())
}
