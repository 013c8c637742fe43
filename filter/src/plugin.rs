//! The filter's entry points (proxy-wasm ABI 0.2.1).
//!
//! Not the SDK's dispatcher: it exports every callback there is, and a host
//! enters the VM for each one that is exported (bodies, trailers, …), at 4 to
//! 6 us a time; it panics on context ids it does not know; and its vtables keep
//! 30 kB of unused code. Exporting only what is used costs a page.
#![allow(
    unsafe_code,
    reason = "exported functions have unmangled names, and one calls the linker's constructors"
)]

use std::cell::RefCell;
use std::rc::Rc;

use splitway_exchange::Vm;
use splitway_exchange::config::{Active, Event, Store};
use splitway_exchange::exchange::{Exchange, Flow};
use splitway_exchange::host::Clock as _;

use crate::hostcalls::Proxy;

/// `PROXY_ACTION_CONTINUE`.
const CONTINUE: u32 = 0;
/// `PROXY_ACTION_PAUSE`: the request ends here.
const PAUSE: u32 = 1;

/// Contexts by id, in order. Hosts count ids up, so a new one goes to the end;
/// and the few bytes that move when one goes are cheaper than a tree's code.
struct ById<T>(Vec<(u32, Box<T>)>);

impl<T> ById<T> {
    fn get(&self, id: u32) -> Option<&T> {
        let index = self.0.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.0.get(index).map(|(_, context)| &**context)
    }

    fn put(&mut self, id: u32, context: Box<T>) {
        match self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(index) => {
                if let Some((_, slot)) = self.0.get_mut(index) {
                    *slot = context;
                }
            }
            Err(index) => self.0.insert(index, (id, context)),
        }
    }

    fn take(&mut self, id: u32) -> Option<Box<T>> {
        let index = self.0.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.0.remove(index).1)
    }
}

/// A root context.
#[derive(Default)]
struct Root {
    store: Store,
    /// True if the host wants the context to end and waits for it.
    is_ending: bool,
}

struct Contexts {
    /// Configurations by root context. A config swap makes a new root in the
    /// same VM.
    roots: ById<Root>,
    streams: ById<Exchange>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> =
        const { RefCell::new(Contexts { roots: ById(Vec::new()), streams: ById(Vec::new()) }) };
    static VM: RefCell<Vm> = RefCell::default();
}

/// Time between ticks, in milliseconds: sinks send and guardrails are judged on each.
const TICK_MS: u32 = 250;

/// Nothing is borrowed across a hostcall, so this does not fail; if it did, the
/// callback would do nothing.
fn with<T: Default>(work: impl FnOnce(&mut Contexts) -> T) -> T {
    CONTEXTS.with(|contexts| contexts.try_borrow_mut().map(|mut c| work(&mut c)).unwrap_or_default())
}

/// As [`with`], for state that outlives a config. No hostcall made meanwhile calls back into the filter,
/// except for memory.
fn with_vm<T: Default>(work: impl FnOnce(&mut Vm) -> T) -> T {
    VM.with(|vm| vm.try_borrow_mut().map(|mut vm| work(&mut vm)).unwrap_or_default())
}

/// Runs `work` on a stream; a stream without a config in force passes untouched.
fn with_stream(id: u32, work: impl FnOnce(&mut Exchange)) {
    if let Some(mut exchange) = with(|contexts| contexts.streams.take(id)) {
        work(&mut exchange);
        with(|contexts| contexts.streams.put(id, exchange));
    }
}

/// Returns the config of a root context.
fn active(root: u32) -> Option<Rc<Active>> {
    with(|contexts| contexts.roots.get(root).and_then(|root| root.store.active()))
}

unsafe extern "C" {
    /// Sets up the C library and runs static constructors (wasm-ld).
    fn __wasm_call_ctors();
}

/// The module was instantiated. Without this export the linker would wrap every
/// other one to set up the C library on each call.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _initialize() {
    // SAFETY: the host calls this once, before anything else.
    unsafe { __wasm_call_ctors() }
}

/// Marks the ABI version that the exports follow.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_abi_version_0_2_1() {}

/// Allocates memory for data from the host; `hostcalls` takes it over as a `Vec`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::leak(Box::<[u8]>::new_uninit_slice(size)).as_mut_ptr().cast()
}

/// Creates a root (`parent` 0) or a stream.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
    with(|contexts| {
        if parent == 0 {
            contexts.roots.put(id, Box::default());
        } else if let Some(active) = contexts.roots.get(parent).and_then(|root| root.store.active()) {
            contexts.streams.put(id, Box::new(Exchange::of(parent, active)));
        }
    });
}

/// The standard library gave up at `location`, or for want of memory without one. `xtask` puts
/// calls of this in place of the library's own reports (`xtask/tools/src/cut`).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn splitway_panicked(location: Option<&'static std::panic::Location<'static>>) {
    Proxy.last_words(location.map_or(("out of memory", 0), |place| (place.file(), place.line())));
}

/// The VM has started: nothing to do.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_vm_start(_root: u32, _size: usize) -> u32 {
    1
}

/// Loads a config. Returns 0 to refuse it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_configure(root: u32, size: usize) -> u32 {
    let mut context = with(|contexts| contexts.roots.take(root)).unwrap_or_default();
    // A config that could not be read must not count as the empty one.
    let taken =
        Proxy.configuration(size).is_ok_and(|json| with_vm(|vm| context.store.load(&json, vm, &Proxy)));
    let active = context.store.active().filter(|active| taken && active.ticks());
    with(|contexts| contexts.roots.put(root, context));
    if let Some(active) = active
        && Proxy.tick_every(TICK_MS).is_err()
    {
        active.count(&Proxy, Event::Failure, 1);
    }
    u32::from(taken)
}

/// Time has passed: sinks send, guardrails are judged.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_tick(root: u32) {
    if let Some(active) = active(root) {
        let failures = active.guards.merge(&active.plan, &Proxy);
        active.count(&Proxy, Event::Failure, failures);
    }
    with_vm(|vm| {
        vm.give_up(Proxy.now(), &Proxy);
        vm.send(root, &Proxy);
    });
    end_roots();
}

/// Takes the answer to one of our calls, or its failure.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_http_call_response(
    root: u32,
    token: u32,
    _headers: u32,
    size: usize,
    _trailers: u32,
) {
    let ending = with(|contexts| contexts.roots.get(root).is_some_and(|root| root.is_ending));
    with_vm(|vm| vm.answered((root, token), ending, &Proxy, || Proxy.callout_body(size)));
    end_roots();
}

/// The host wants a context to end. Returning 0 asks for time: a root context waits for answers to its
/// calls, and the last one sends the records that wait.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_done(id: u32) -> u32 {
    let Some(mut root) = with(|contexts| contexts.roots.take(id)) else { return 1 };
    // Merge the counts of this worker since the last tick.
    if let Some(active) = root.store.active() {
        active.guards.merge(&active.plan, &Proxy);
    }
    root.is_ending = true;
    with(|contexts| contexts.roots.put(id, root));
    // A config that is replaced before its first tick would send nothing else.
    with_vm(|vm| vm.send(id, &Proxy));
    u32::from(may_end(id))
}

/// Returns true if no root context that ticks goes on.
fn is_last() -> bool {
    let goes_on = |root: &Root| !root.is_ending && root.store.active().is_some_and(|active| active.ticks());
    with(|contexts| !contexts.roots.0.iter().any(|(_, root)| goes_on(root)))
}

fn may_end(id: u32) -> bool {
    let is_last = is_last();
    with_vm(|vm| vm.may_end(id, is_last))
}

/// Reports to the host the root contexts that need no more time.
fn end_roots() {
    let ending = |contexts: &mut Contexts| -> Vec<u32> {
        let roots = contexts.roots.0.iter();
        roots.filter(|(_, root)| root.is_ending).map(|(id, _)| *id).collect()
    };
    for id in with(ending) {
        if may_end(id) {
            if let Some(mut root) = with(|contexts| contexts.roots.take(id)) {
                root.is_ending = false;
                root.store = Store::default();
                with(|contexts| contexts.roots.put(id, root));
            }
            Proxy.done(id);
        }
    }
}

/// The request's headers have arrived.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_headers(id: u32, _count: u32, end: u32) -> u32 {
    let mut action = CONTINUE;
    with_stream(id, |exchange| {
        if with_vm(|vm| exchange.on_request(&Proxy, vm)) == Flow::Answered {
            action = PAUSE;
        }
        if end != 0 {
            exchange.on_request_end(true, &Proxy);
        }
    });
    action
}

/// A piece of the request's body has arrived; only its end matters. No property of Envoy 1.40 shows when a request had
/// arrived: `response.backend_latency` includes the client's upload and download.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_body(id: u32, _size: u32, end: u32) -> u32 {
    if end != 0 {
        with_stream(id, |exchange| exchange.on_request_end(false, &Proxy));
    }
    CONTINUE
}

/// The response's headers have arrived, whoever made them.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_response_headers(id: u32, _count: u32, _end: u32) -> u32 {
    with_stream(id, |exchange| exchange.on_response(&Proxy));
    CONTINUE
}

/// The exchange is over.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_log(id: u32) {
    let Some(exchange) = with(|contexts| contexts.streams.take(id)) else { return };
    let root = exchange.root();
    with_vm(|vm| exchange.on_log(&Proxy, vm));
    // A call belongs to the root context: the stream is gone when the answer comes.
    if with_vm(|vm| vm.is_due()) && Proxy.act_as(root).is_ok() {
        with_vm(|vm| vm.send_full(root, &Proxy));
    }
}

/// A context has ended.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_delete(id: u32) {
    let root = with(|contexts| {
        contexts.streams.take(id);
        contexts.roots.take(id)
    });
    if root.is_some() {
        with_vm(|vm| vm.forget(id, &Proxy));
    }
}
