//! One VM: an instance of the module with its contexts.

use crate::config::World;
use crate::error::{HostError, LoadError, Trap};
use crate::faults::Hostcall;
use crate::http::HttpStream;
use crate::log::{LogSource, VmId};
use crate::module::FilterModule;
use crate::shared::Shared;
use crate::state::{Context, Root, VM_CONTEXT, VmState};
use crate::types::LogLevel;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::{Instance, Store, StoreLimitsBuilder, TypedFunc, WasmBacktrace, WasmParams, WasmResults};

/// A VM that is loaded and has its functions found.
pub(crate) struct Vm {
    store: Store<VmState>,
    exports: Exports,
    /// The root context that new streams belong to.
    pub(crate) root: u32,
    /// The context in which the guest trapped.
    pub(crate) failed_in: Option<u32>,
    /// Streams that a deferred action of another one moved.
    pub(crate) dirty: Vec<u32>,
    /// When it was loaded, for the reload back-off.
    pub(crate) loaded_ns: u64,
    guest_time: Duration,
    /// By export, when measured.
    pub(crate) costs: BTreeMap<&'static str, CallCost>,
}

/// What the calls of one export cost in all, over main VM and workers; see
/// [`Host::take_costs`](crate::Host::take_costs).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallCost {
    /// How often the host called it.
    pub calls: u64,
    /// Wasm instructions that the guest executed, those of
    /// `proxy_on_memory_allocate` inside hostcalls included. Exact: the same on
    /// every machine.
    pub instructions: u64,
    /// The hostcalls that were made; only those that were.
    pub hostcalls: BTreeMap<Hostcall, u64>,
}

/// How a call into the guest went.
#[derive(Debug)]
pub(crate) enum Called<R> {
    Returned(R),
    /// The module does not export the function.
    Missing,
    /// The VM trapped, now or before.
    Failed,
}

impl Vm {
    /// Instantiates the module and runs `_initialize` and `main`, or
    /// `_start`.
    pub(crate) fn load(
        module: &FilterModule,
        vm: VmId,
        world: &Arc<World>,
        shared: &Arc<Shared>,
    ) -> Result<Vm, HostError> {
        let mut limits = StoreLimitsBuilder::new();
        if let Some(bytes) = world.memory_limit {
            limits = limits.memory_size(bytes);
        }
        let state = VmState::new(vm, module.abi_version(), world, shared, limits.build());
        let mut store = Store::new(module.pre().module().engine(), state);
        store.limiter(|state| &mut state.limits);
        refuel(&mut store);
        let instance = module.pre().instantiate(&mut store).map_err(HostError::Instantiate)?;
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().memory = memory;
        let exports = Exports::find(&instance, &mut store)?;
        store.data_mut().allocate = Some(exports.allocate.clone());
        let loaded_ns = shared.now_ns();
        let mut vm = Vm {
            store,
            exports,
            root: VM_CONTEXT,
            failed_in: None,
            dirty: Vec::new(),
            loaded_ns,
            guest_time: Duration::ZERO,
            costs: BTreeMap::new(),
        };
        if vm.exports.initialize.is_some() {
            vm.call(VM_CONTEXT, "_initialize", |exports, store| exports.initialize.call0(store));
            vm.call(VM_CONTEXT, "main", |exports, store| exports.main.call2(store, 0, 0));
        } else {
            vm.call(VM_CONTEXT, "_start", |exports, store| exports.start.call0(store));
        }
        match vm.state().failed.clone() {
            Some(trap) => Err(HostError::Trapped(Box::new(trap))),
            None => Ok(vm),
        }
    }

    /// Makes a root context, starts and configures it. On refusal the new
    /// context is dropped and the VM keeps serving the one it had.
    pub(crate) fn configure(&mut self, configuration: &Arc<[u8]>) -> Result<(), HostError> {
        let position = self.state().shared.log.position();
        let vm = self.state().vm;
        let root = self.state_mut().new_context(|_| Context::Root(Root::default()));
        self.state_mut().configuring = Some(Arc::clone(configuration));
        let result = self.start_root(root, configuration.len());
        self.state_mut().configuring = None;
        let logs = || {
            let lines = self.state().shared.log.since(position, Some(vm));
            lines.into_iter().map(|line| line.message).collect()
        };
        let error = match (result, self.state().failed.clone()) {
            (_, Some(trap)) => HostError::Trapped(Box::new(trap)),
            (Started::VmRefused, _) => HostError::VmStartRefused { vm, logs: logs() },
            (Started::Refused, _) => HostError::ConfigurationRefused { vm, logs: logs() },
            (Started::Yes, _) => {
                let old = std::mem::replace(&mut self.root, root);
                self.apply_actions();
                if old != VM_CONTEXT {
                    if let Some(context) = self.state_mut().root_mut(old) {
                        context.retired = true;
                    }
                    self.shut_down_if_unused(old);
                }
                return Ok(());
            }
        };
        self.apply_actions();
        Err(error)
    }

    fn start_root(&mut self, root: u32, size: usize) -> Started {
        let vm_size = u32::try_from(self.state().world.vm_configuration.len()).unwrap_or(u32::MAX);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.call(root, "proxy_on_context_create", |exports, store| {
            exports.on_context_create.call2(store, root, VM_CONTEXT)
        });
        let configuration = self.state_mut().configuring.take(); // not readable in on_vm_start
        let started = self.call(root, "proxy_on_vm_start", |exports, store| {
            exports.on_vm_start.call2(store, root, vm_size)
        });
        self.state_mut().configuring = configuration;
        if matches!(started, Called::Returned(0)) {
            return Started::VmRefused;
        }
        match self
            .call(root, "proxy_on_configure", |exports, store| exports.on_configure.call2(store, root, size))
        {
            Called::Returned(0) => Started::Refused,
            _ => Started::Yes,
        }
    }

    /// Ends a root context that was replaced, once its last stream is gone.
    pub(crate) fn shut_down_if_unused(&mut self, root: u32) {
        let state = self.state_mut();
        let of_root = |context: &Context| match context {
            Context::Http(stream) => stream.root == root,
            Context::Tcp(stream) => stream.root == root,
            Context::Root(_) => false,
        };
        let used = state.contexts.values().any(of_root);
        if !used && state.root_mut(root).is_some_and(|root| std::mem::take(&mut root.retired)) {
            self.shut_down_root(root);
        }
    }

    /// Ends a root context: at once when `proxy_on_done` answers true or is
    /// missing, else when the guest calls `proxy_done`.
    pub(crate) fn shut_down_root(&mut self, root: u32) {
        // Marked before the call: the guest may call proxy_done inside it.
        let done = self.call(root, "proxy_on_done", |exports, store| exports.on_done.call1(store, root));
        if matches!(done, Called::Returned(0)) {
            if let Some(context) = self.state_mut().root_mut(root) {
                context.pending_done = true;
            }
            self.apply_actions();
        } else {
            self.apply_actions();
            self.delete_root(root);
        }
    }

    pub(crate) fn delete_root(&mut self, root: u32) {
        self.call(root, "proxy_on_delete", |exports, store| exports.on_delete.call1(store, root));
        let state = self.state_mut();
        state.contexts.remove(&root);
        state.calls.retain(|_, call| call.root != root);
    }

    /// Calls an export in a context. A trap is recorded and fails the VM.
    pub(crate) fn call<R>(
        &mut self,
        context: u32,
        name: &'static str,
        enter: impl FnOnce(&Exports, &mut Store<VmState>) -> Option<wasmtime::Result<R>>,
    ) -> Called<R> {
        let state = self.store.data_mut();
        if state.failed.is_some() {
            return Called::Failed;
        }
        state.current = context;
        state.effective = VM_CONTEXT;
        state.stop_iteration = false;
        refuel(&mut self.store);
        let state = self.store.data();
        let started = state.hostcall_time.map(|_| (state.counts.clone(), Instant::now()));
        let result = enter(&self.exports, &mut self.store);
        if let Some((before, started)) = started {
            self.guest_time += started.elapsed();
            if result.is_some() {
                self.count(name, &before);
            }
        }
        match result {
            None => Called::Missing,
            Some(Ok(value)) => Called::Returned(value),
            Some(Err(error)) => {
                self.trapped(context, name, &error);
                Called::Failed
            }
        }
    }

    /// Adds what the call that has just ended did, `before` being the counts of
    /// hostcalls at its beginning.
    fn count(&mut self, name: &'static str, before: &[u64]) {
        let state = self.store.data();
        let left = self.store.get_fuel().unwrap_or(state.world.call_limit);
        let cost = self.costs.entry(name).or_default();
        cost.calls += 1;
        cost.instructions += state.world.call_limit.saturating_sub(left);
        for (hostcall, (after, before)) in Hostcall::ALL.iter().zip(state.counts.iter().zip(before)) {
            if after > before {
                *cost.hostcalls.entry(*hostcall).or_default() += after - before;
            }
        }
    }

    /// The result of an exported function without parameters.
    pub(crate) fn read_export(&mut self, name: &str) -> Option<u64> {
        refuel(&mut self.store);
        let function = self.exports.instance.get_typed_func::<(), u64>(&mut self.store, name).ok()?;
        function.call(&mut self.store, ()).ok()
    }

    pub(crate) fn state(&self) -> &VmState {
        self.store.data()
    }

    pub(crate) fn state_mut(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    /// A stream that is known to be open.
    ///
    /// Only the stream driver uses this, with the id it was given; callers
    /// check with `http_by_id` first.
    pub(crate) fn stream(&mut self, id: u32) -> &mut HttpStream {
        match self.store.data_mut().contexts.get_mut(&id) {
            Some(Context::Http(stream)) => stream,
            _ => unreachable!("the driver was given stream {id}, which is not open"),
        }
    }

    /// Bytes of guest memory now mapped.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.state().memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Time spent in the guest, and in hostcalls that it made, when measured.
    pub(crate) fn times(&self) -> (Duration, Duration) {
        (self.guest_time, self.state().hostcall_time.unwrap_or_default())
    }

    fn trapped(&mut self, context: u32, export: &'static str, error: &wasmtime::Error) {
        let backtrace = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
        let reason = match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::OutOfFuel) => format!(
                "it executed more than {} instructions in one call, so it probably loops for ever; \
                 HostBuilder::call_limit allows more",
                self.state().world.call_limit
            ),
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        let state = self.store.data_mut();
        let trap = Trap {
            vm: state.vm,
            export,
            reason,
            backtrace,
            last_words: state.last_words.drain(..).collect(),
            hostcalls: state.recent.iter().copied().collect(),
        };
        state.log(LogLevel::Critical, LogSource::Host, trap.to_string().as_bytes());
        state.failed = Some(trap);
        state.actions.clear();
        self.failed_in = Some(context);
    }
}

/// Gives a call all that it may use.
fn refuel(store: &mut Store<VmState>) {
    let limit = store.data().world.call_limit;
    // Fails only in an engine that counts nothing.
    let _ = store.set_fuel(limit);
}

enum Started {
    Yes,
    Refused,
    VmRefused,
}

/// One line per frame, with demangled names where the module has them.
fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    backtrace.to_string().lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

/// The functions that a module may export.
pub(crate) struct Exports {
    instance: Instance,
    allocate: TypedFunc<u32, u32>,
    initialize: Export<(), ()>,
    main: Export<(u32, u32), u32>,
    start: Export<(), ()>,
    pub(crate) on_context_create: Export<(u32, u32), ()>,
    on_vm_start: Export<(u32, u32), u32>,
    on_configure: Export<(u32, u32), u32>,
    pub(crate) on_tick: Export<u32, ()>,
    pub(crate) on_queue_ready: Export<(u32, u32), ()>,
    pub(crate) on_foreign_function: Export<(u32, u32, u32), ()>,
    pub(crate) on_new_connection: Export<u32, u32>,
    pub(crate) on_downstream_data: Export<(u32, u32, u32), u32>,
    pub(crate) on_upstream_data: Export<(u32, u32, u32), u32>,
    pub(crate) on_downstream_close: Export<(u32, u32), ()>,
    pub(crate) on_upstream_close: Export<(u32, u32), ()>,
    pub(crate) on_request_headers: Export<(u32, u32, u32), u32>,
    pub(crate) on_request_body: Export<(u32, u32, u32), u32>,
    pub(crate) on_request_trailers: Export<(u32, u32), u32>,
    pub(crate) on_response_headers: Export<(u32, u32, u32), u32>,
    pub(crate) on_response_body: Export<(u32, u32, u32), u32>,
    pub(crate) on_response_trailers: Export<(u32, u32), u32>,
    pub(crate) on_http_call_response: Export<(u32, u32, u32, u32, u32), ()>,
    pub(crate) on_grpc_initial: Export<(u32, u32, u32), ()>,
    pub(crate) on_grpc_receive: Export<(u32, u32, u32), ()>,
    pub(crate) on_grpc_trailing: Export<(u32, u32, u32), ()>,
    pub(crate) on_grpc_close: Export<(u32, u32, u32), ()>,
    pub(crate) on_done: Export<u32, u32>,
    pub(crate) on_log: Export<u32, ()>,
    pub(crate) on_delete: Export<u32, ()>,
}

/// An export that a module may leave out.
pub(crate) struct Export<P, R>(Option<TypedFunc<P, R>>);

impl Exports {
    fn find(instance: &Instance, store: &mut Store<VmState>) -> Result<Exports, LoadError> {
        let allocate = match find(instance, store, "proxy_on_memory_allocate")? {
            Export(Some(allocate)) => allocate,
            Export(None) => find(instance, store, "malloc")?
                .0
                .ok_or(LoadError::MissingExport { name: "proxy_on_memory_allocate" })?,
        };
        Ok(Exports {
            instance: *instance,
            allocate,
            initialize: find(instance, store, "_initialize")?,
            main: find(instance, store, "main")?,
            start: find(instance, store, "_start")?,
            on_context_create: find(instance, store, "proxy_on_context_create")?,
            on_vm_start: find(instance, store, "proxy_on_vm_start")?,
            on_configure: find(instance, store, "proxy_on_configure")?,
            on_tick: find(instance, store, "proxy_on_tick")?,
            on_queue_ready: find(instance, store, "proxy_on_queue_ready")?,
            on_foreign_function: find(instance, store, "proxy_on_foreign_function")?,
            on_new_connection: find(instance, store, "proxy_on_new_connection")?,
            on_downstream_data: find(instance, store, "proxy_on_downstream_data")?,
            on_upstream_data: find(instance, store, "proxy_on_upstream_data")?,
            on_downstream_close: find(instance, store, "proxy_on_downstream_connection_close")?,
            on_upstream_close: find(instance, store, "proxy_on_upstream_connection_close")?,
            on_request_headers: find(instance, store, "proxy_on_request_headers")?,
            on_request_body: find(instance, store, "proxy_on_request_body")?,
            on_request_trailers: find(instance, store, "proxy_on_request_trailers")?,
            on_response_headers: find(instance, store, "proxy_on_response_headers")?,
            on_response_body: find(instance, store, "proxy_on_response_body")?,
            on_response_trailers: find(instance, store, "proxy_on_response_trailers")?,
            on_http_call_response: find(instance, store, "proxy_on_http_call_response")?,
            on_grpc_initial: find(instance, store, "proxy_on_grpc_receive_initial_metadata")?,
            on_grpc_receive: find(instance, store, "proxy_on_grpc_receive")?,
            on_grpc_trailing: find(instance, store, "proxy_on_grpc_receive_trailing_metadata")?,
            on_grpc_close: find(instance, store, "proxy_on_grpc_close")?,
            on_done: find(instance, store, "proxy_on_done")?,
            on_log: find(instance, store, "proxy_on_log")?,
            on_delete: find(instance, store, "proxy_on_delete")?,
        })
    }
}

fn find<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<VmState>,
    name: &'static str,
) -> Result<Export<P, R>, LoadError> {
    let Some(function) = instance.get_func(&mut *store, name) else {
        return Ok(Export(None));
    };
    match function.typed(&*store) {
        Ok(typed) => Ok(Export(Some(typed))),
        Err(error) => {
            let found = function.ty(&*store).to_string();
            Err(LoadError::ExportType { name, expected: error.to_string(), found })
        }
    }
}

type Entered<R> = Option<wasmtime::Result<R>>;

impl<P, R> Export<P, R> {
    fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl<R: WasmResults> Export<(), R> {
    fn call0(&self, store: &mut Store<VmState>) -> Entered<R> {
        Some(self.0.as_ref()?.call(store, ()))
    }
}

impl<R: WasmResults> Export<u32, R> {
    pub(crate) fn call1(&self, store: &mut Store<VmState>, a: u32) -> Entered<R> {
        Some(self.0.as_ref()?.call(store, a))
    }
}

impl<R: WasmResults> Export<(u32, u32), R> {
    pub(crate) fn call2(&self, store: &mut Store<VmState>, a: u32, b: u32) -> Entered<R> {
        Some(self.0.as_ref()?.call(store, (a, b)))
    }
}

impl<R: WasmResults> Export<(u32, u32, u32), R> {
    pub(crate) fn call3(&self, store: &mut Store<VmState>, a: u32, b: u32, c: u32) -> Entered<R> {
        Some(self.0.as_ref()?.call(store, (a, b, c)))
    }
}

impl<R: WasmResults> Export<(u32, u32, u32, u32, u32), R> {
    pub(crate) fn call5(&self, store: &mut Store<VmState>, args: (u32, u32, u32, u32, u32)) -> Entered<R> {
        Some(self.0.as_ref()?.call(store, args))
    }
}
