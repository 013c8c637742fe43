//! What one VM knows: the data behind its `wasmtime::Store`.

use crate::callout::CalloutRecord;
use crate::calls::{CallKind, PendingCall};
use crate::config::World;
use crate::error::Trap;
use crate::faults::{Fault, FaultPlan, Hostcall};
use crate::headers::Headers;
use crate::http::HttpStream;
use crate::log::{LogSource, VmId};
use crate::metrics::MetricTable;
use crate::rng::Rng;
use crate::shared::Shared;
use crate::tcp::TcpStream;
use crate::types::{AbiVersion, LogLevel, StreamType};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{Memory, StoreLimits, TypedFunc};

/// The id that Envoy gives the VM itself; hostcalls made before any context
/// exists, from `_initialize`, run under it.
pub(crate) const VM_CONTEXT: u32 = 0;

const REMEMBERED_CALLS: usize = 12;
const REMEMBERED_WORDS: usize = 8;

/// The store's data.
pub(crate) struct VmState {
    pub(crate) vm: VmId,
    /// Unique under one [`Shared`], also after a reload.
    pub(crate) key: u64,
    pub(crate) abi: AbiVersion,
    pub(crate) world: Arc<World>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: StoreLimits,
    pub(crate) memory: Option<Memory>,
    pub(crate) allocate: Option<TypedFunc<u32, u32>>,

    pub(crate) contexts: BTreeMap<u32, Context>,
    pub(crate) next_context: u32,
    /// The context that the host entered, and the one the guest chose.
    pub(crate) current: u32,
    pub(crate) effective: u32,

    /// Readable through `PLUGIN_CONFIGURATION` only while configuring.
    pub(crate) configuring: Option<Arc<[u8]>>,
    pub(crate) received: Received,
    /// By id, which carries its kind.
    pub(crate) calls: BTreeMap<u32, PendingCall>,
    /// Counts callouts of each kind, for their ids.
    pub(crate) next_call: [u32; 3],
    /// Callouts made and not yet taken, and how many were taken before.
    pub(crate) callouts: Vec<CalloutRecord>,
    pub(crate) callouts_taken: usize,
    pub(crate) metrics: MetricTable,
    pub(crate) rng: Rng,

    /// What the guest asked for during the call, done when it returns.
    pub(crate) actions: VecDeque<Deferred>,
    /// A local response was sent in this call: its result counts as "stop".
    pub(crate) stop_iteration: bool,

    pub(crate) faults: FaultPlan,
    pub(crate) counts: Box<[u64]>,
    pub(crate) recent: VecDeque<(Hostcall, u32)>,
    pub(crate) last_words: VecDeque<String>,
    pub(crate) failed: Option<Trap>,
    /// Time spent inside hostcalls, when the host measures.
    pub(crate) hostcall_time: Option<Duration>,
    pub(crate) scratch: Vec<u8>,
}

/// A context that the guest knows by number.
pub(crate) enum Context {
    Root(Root),
    Http(Box<HttpStream>),
    Tcp(Box<TcpStream>),
}

/// A plugin context.
#[derive(Debug, Default)]
pub(crate) struct Root {
    pub(crate) timer: Option<Timer>,
    /// `proxy_on_done` answered false; `proxy_done` will end it.
    pub(crate) pending_done: bool,
    /// Replaced by a newer one; it ends with its last stream.
    pub(crate) retired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) period_ns: u64,
    pub(crate) due_ns: u64,
}

/// What a callback may read of the callout or foreign call that caused it.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) call_headers: Option<Headers>,
    pub(crate) call_trailers: Option<Headers>,
    pub(crate) call_body: Option<Vec<u8>>,
    pub(crate) grpc_initial: Option<Headers>,
    pub(crate) grpc_trailing: Option<Headers>,
    pub(crate) grpc_message: Option<Vec<u8>>,
    pub(crate) status: (u32, String),
    pub(crate) call_data: Option<Vec<u8>>,
}

/// An action that waits for the guest to return.
#[derive(Debug)]
pub(crate) enum Deferred {
    Continue(u32, StreamType),
    Close(u32, StreamType),
    LocalResponse(u32, LocalResponse),
    FinishRoot(u32),
}

/// A response that the filter or the host made up.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalResponse {
    pub(crate) status: u32,
    pub(crate) details: String,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) grpc_status: Option<u32>,
    pub(crate) flags: &'static str,
}

impl VmState {
    pub(crate) fn new(
        vm: VmId,
        abi: AbiVersion,
        world: &Arc<World>,
        shared: &Arc<Shared>,
        limits: StoreLimits,
    ) -> VmState {
        let key = shared.new_vm_key();
        VmState {
            vm,
            key,
            abi,
            world: Arc::clone(world),
            shared: Arc::clone(shared),
            limits,
            memory: None,
            allocate: None,
            contexts: BTreeMap::new(),
            next_context: 1,
            current: VM_CONTEXT,
            effective: VM_CONTEXT,
            configuring: None,
            received: Received::default(),
            calls: BTreeMap::new(),
            next_call: [0; 3],
            callouts: Vec::new(),
            callouts_taken: 0,
            metrics: MetricTable::default(),
            rng: Rng::new(world.seed, key),
            actions: VecDeque::new(),
            stop_iteration: false,
            faults: world.faults.clone(),
            counts: vec![0; Hostcall::ALL.len()].into_boxed_slice(),
            recent: VecDeque::with_capacity(REMEMBERED_CALLS + 1),
            last_words: VecDeque::new(),
            failed: None,
            hostcall_time: world.measure.then_some(Duration::ZERO),
            scratch: Vec::new(),
        }
    }

    /// The context that hostcalls act on: the one the guest chose, if it still
    /// exists, else the one the host entered.
    pub(crate) fn context_id(&self) -> u32 {
        if self.effective != VM_CONTEXT && self.contexts.contains_key(&self.effective) {
            self.effective
        } else {
            self.current
        }
    }

    /// The root context of the acting context.
    pub(crate) fn root_id(&self) -> u32 {
        let id = self.context_id();
        match self.contexts.get(&id) {
            Some(Context::Http(stream)) => stream.root,
            Some(Context::Tcp(stream)) => stream.root,
            _ => id,
        }
    }

    pub(crate) fn http(&self) -> Option<&HttpStream> {
        match self.contexts.get(&self.context_id()) {
            Some(Context::Http(stream)) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn http_mut(&mut self) -> Option<&mut HttpStream> {
        let id = self.context_id();
        self.http_by_id(id)
    }

    pub(crate) fn http_by_id(&mut self, id: u32) -> Option<&mut HttpStream> {
        match self.contexts.get_mut(&id) {
            Some(Context::Http(stream)) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn tcp_mut(&mut self) -> Option<&mut TcpStream> {
        let id = self.context_id();
        match self.contexts.get_mut(&id) {
            Some(Context::Tcp(stream)) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn root_mut(&mut self, id: u32) -> Option<&mut Root> {
        match self.contexts.get_mut(&id) {
            Some(Context::Root(root)) => Some(root),
            _ => None,
        }
    }

    pub(crate) fn new_context(&mut self, make: impl FnOnce(u32) -> Context) -> u32 {
        let id = self.next_context;
        self.next_context = self.next_context.wrapping_add(1).max(1);
        self.contexts.insert(id, make(id));
        id
    }

    /// A callout id: the kind in the two low bits, counted from 4 in steps of
    /// 4, as in Envoy.
    pub(crate) fn new_call_id(&mut self, kind: CallKind) -> u32 {
        let counter = &mut self.next_call[kind as usize];
        *counter = counter.wrapping_add(1) & (u32::MAX >> 2);
        *counter << 2 | kind as u32
    }

    /// Counts a hostcall and says what goes wrong with it.
    pub(crate) fn count(&mut self, hostcall: Hostcall) -> Option<Fault> {
        let count = self.counts.get_mut(hostcall as usize)?;
        *count += 1;
        if self.faults.is_empty() {
            return None;
        }
        self.faults.find(hostcall, *count)
    }

    pub(crate) fn remember(&mut self, hostcall: Hostcall, result: u32) {
        if self.recent.len() == REMEMBERED_CALLS {
            self.recent.pop_front();
        }
        self.recent.push_back((hostcall, result));
    }

    pub(crate) fn log(&mut self, level: LogLevel, source: LogSource, message: &[u8]) {
        // A Rust panic comes on standard error, or from the SDK's hook as a
        // critical line.
        if source == LogSource::Stderr || source == LogSource::Guest && level == LogLevel::Critical {
            if self.last_words.len() == REMEMBERED_WORDS {
                self.last_words.pop_front();
            }
            self.last_words.push_back(String::from_utf8_lossy(message).into_owned());
        }
        if level >= self.world.log_level {
            self.shared.log.push(self.shared.now_ns(), self.vm, level, source, message);
        }
    }
}
