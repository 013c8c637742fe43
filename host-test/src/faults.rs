//! Faults on demand: make a hostcall fail or return nonsense.

use crate::types::Status;
use std::collections::BTreeMap;

macro_rules! hostcalls {
    ($($variant:ident $module:literal $name:literal)*) => {
        /// Every function that a guest can import.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "each variant is the ABI function that `name` spells out")]
        pub enum Hostcall { $($variant),* }

        impl Hostcall {
            /// Every hostcall, in the order of the ABI specification.
            pub const ALL: &'static [Hostcall] = &[$(Hostcall::$variant),*];

            /// The name of the import.
            pub fn name(self) -> &'static str {
                match self { $(Hostcall::$variant => $name),* }
            }

            /// The module of the import: `env`, or `wasi_snapshot_preview1`
            /// for the calls that come from WASI.
            pub fn module(self) -> &'static str {
                match self { $(Hostcall::$variant => $module),* }
            }
        }
    };
}

hostcalls! {
    Done "env" "proxy_done"
    SetEffectiveContext "env" "proxy_set_effective_context"
    Log "env" "proxy_log"
    GetLogLevel "env" "proxy_get_log_level"
    GetCurrentTime "env" "proxy_get_current_time_nanoseconds"
    SetTickPeriod "env" "proxy_set_tick_period_milliseconds"
    SetBufferBytes "env" "proxy_set_buffer_bytes"
    GetBufferBytes "env" "proxy_get_buffer_bytes"
    GetBufferStatus "env" "proxy_get_buffer_status"
    GetHeaderMapSize "env" "proxy_get_header_map_size"
    GetHeaderMapPairs "env" "proxy_get_header_map_pairs"
    SetHeaderMapPairs "env" "proxy_set_header_map_pairs"
    GetHeaderMapValue "env" "proxy_get_header_map_value"
    AddHeaderMapValue "env" "proxy_add_header_map_value"
    ReplaceHeaderMapValue "env" "proxy_replace_header_map_value"
    RemoveHeaderMapValue "env" "proxy_remove_header_map_value"
    ContinueStream "env" "proxy_continue_stream"
    CloseStream "env" "proxy_close_stream"
    GetStatus "env" "proxy_get_status"
    SendLocalResponse "env" "proxy_send_local_response"
    HttpCall "env" "proxy_http_call"
    GrpcCall "env" "proxy_grpc_call"
    GrpcStream "env" "proxy_grpc_stream"
    GrpcSend "env" "proxy_grpc_send"
    GrpcCancel "env" "proxy_grpc_cancel"
    GrpcClose "env" "proxy_grpc_close"
    SetSharedData "env" "proxy_set_shared_data"
    GetSharedData "env" "proxy_get_shared_data"
    RegisterSharedQueue "env" "proxy_register_shared_queue"
    ResolveSharedQueue "env" "proxy_resolve_shared_queue"
    EnqueueSharedQueue "env" "proxy_enqueue_shared_queue"
    DequeueSharedQueue "env" "proxy_dequeue_shared_queue"
    DefineMetric "env" "proxy_define_metric"
    RecordMetric "env" "proxy_record_metric"
    IncrementMetric "env" "proxy_increment_metric"
    GetMetric "env" "proxy_get_metric"
    GetProperty "env" "proxy_get_property"
    SetProperty "env" "proxy_set_property"
    CallForeignFunction "env" "proxy_call_foreign_function"
    FdWrite "wasi_snapshot_preview1" "fd_write"
    FdRead "wasi_snapshot_preview1" "fd_read"
    FdSeek "wasi_snapshot_preview1" "fd_seek"
    FdClose "wasi_snapshot_preview1" "fd_close"
    FdFdstatGet "wasi_snapshot_preview1" "fd_fdstat_get"
    FdFdstatSetFlags "wasi_snapshot_preview1" "fd_fdstat_set_flags"
    FdPrestatGet "wasi_snapshot_preview1" "fd_prestat_get"
    FdPrestatDirName "wasi_snapshot_preview1" "fd_prestat_dir_name"
    PathOpen "wasi_snapshot_preview1" "path_open"
    PathFilestatGet "wasi_snapshot_preview1" "path_filestat_get"
    EnvironGet "wasi_snapshot_preview1" "environ_get"
    EnvironSizesGet "wasi_snapshot_preview1" "environ_sizes_get"
    ArgsGet "wasi_snapshot_preview1" "args_get"
    ArgsSizesGet "wasi_snapshot_preview1" "args_sizes_get"
    ClockTimeGet "wasi_snapshot_preview1" "clock_time_get"
    ClockResGet "wasi_snapshot_preview1" "clock_res_get"
    RandomGet "wasi_snapshot_preview1" "random_get"
    PollOneoff "wasi_snapshot_preview1" "poll_oneoff"
    SchedYield "wasi_snapshot_preview1" "sched_yield"
    ProcExit "wasi_snapshot_preview1" "proc_exit"
}

impl Hostcall {
    /// The hostcall with this import name.
    pub fn from_name(name: &str) -> Option<Hostcall> {
        Hostcall::ALL.iter().copied().find(|hostcall| hostcall.name() == name)
    }

    /// Whether it hands bytes or numbers to the guest.
    pub fn returns_data(self) -> bool {
        matches!(
            self,
            Hostcall::GetLogLevel
                | Hostcall::GetCurrentTime
                | Hostcall::GetBufferBytes
                | Hostcall::GetBufferStatus
                | Hostcall::GetHeaderMapSize
                | Hostcall::GetHeaderMapPairs
                | Hostcall::GetHeaderMapValue
                | Hostcall::GetStatus
                | Hostcall::HttpCall
                | Hostcall::GrpcCall
                | Hostcall::GrpcStream
                | Hostcall::GetSharedData
                | Hostcall::RegisterSharedQueue
                | Hostcall::ResolveSharedQueue
                | Hostcall::DequeueSharedQueue
                | Hostcall::DefineMetric
                | Hostcall::GetMetric
                | Hostcall::GetProperty
                | Hostcall::CallForeignFunction
                | Hostcall::ClockTimeGet
        )
    }

    /// Whether the result is a WASI error number instead of a [`Status`].
    pub fn is_wasi(self) -> bool {
        self.module() != "env"
    }
}

/// What a hostcall does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Does nothing and answers this.
    Status(Status),
    /// Does nothing and answers this number, which may be no status at all,
    /// or a WASI error number.
    Raw(u32),
    /// Does its work, and answers bytes and numbers with random ones.
    Garbage,
    /// Does its work, and answers with the first half of the bytes.
    Truncated,
    /// Does its work, and answers with no bytes at all.
    Nothing,
}

/// Which calls of a hostcall are hit, counted in each VM from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Every call.
    Always,
    /// Only this one.
    Nth(u64),
    /// This one and all later ones.
    From(u64),
}

impl When {
    fn hits(self, count: u64) -> bool {
        match self {
            When::Always => true,
            When::Nth(n) => count == n,
            When::From(n) => count >= n,
        }
    }
}

/// Which hostcalls go wrong, and how.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    faults: BTreeMap<Hostcall, Vec<(When, Fault)>>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn new() -> FaultPlan {
        FaultPlan::default()
    }

    /// Adds a fault; of two that hit the same call, the first added wins.
    #[must_use]
    pub fn fail(mut self, hostcall: Hostcall, when: When, fault: Fault) -> FaultPlan {
        self.faults.entry(hostcall).or_default().push((when, fault));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn find(&self, hostcall: Hostcall, count: u64) -> Option<Fault> {
        let faults = self.faults.get(&hostcall)?;
        faults.iter().find(|(when, _)| when.hits(count)).map(|(_, fault)| *fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_that_hits_wins() {
        let plan = FaultPlan::new().fail(Hostcall::Log, When::Nth(2), Fault::Garbage).fail(
            Hostcall::Log,
            When::From(2),
            Fault::Raw(99),
        );
        assert_eq!(plan.find(Hostcall::Log, 1), None);
        assert_eq!(plan.find(Hostcall::Log, 2), Some(Fault::Garbage));
        assert_eq!(plan.find(Hostcall::Log, 3), Some(Fault::Raw(99)));
        assert_eq!(plan.find(Hostcall::Done, 1), None);
    }

    #[test]
    fn names_are_unique() {
        for hostcall in Hostcall::ALL {
            assert_eq!(Hostcall::from_name(hostcall.name()), Some(*hostcall));
        }
    }
}
