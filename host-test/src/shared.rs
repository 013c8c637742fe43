//! What the VMs of a host share: key-value data, queues, metrics, the clock
//! and the log.

use crate::lock::lock;
use crate::log::LogBook;
use crate::metrics::Metrics;
use crate::types::Status;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// State that outlives single VMs. Hosts given the same one see each other's
/// queues (by vm id), as plugins in one Envoy process do; key-value data is
/// scoped by vm id.
#[derive(Clone, Debug)]
pub struct SharedState(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    data: Mutex<DataStore>,
    queues: Mutex<Queues>,
    pub(crate) metrics: Metrics,
    pub(crate) log: LogBook,
    clock_ns: AtomicU64,
    next_vm: AtomicU64,
}

#[derive(Debug)]
struct DataStore {
    values: HashMap<(String, Vec<u8>), (Vec<u8>, u32)>,
    last_cas: u32,
}

#[derive(Debug, Default)]
struct Queues {
    ids: BTreeMap<(String, Vec<u8>), u32>,
    queues: BTreeMap<u32, Queue>,
    next: u32,
    ready: HashMap<u64, VecDeque<Notice>>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Vec<u8>>,
    owner: Notice,
    owner_vm: u64,
}

/// A queue got an item; the context that registered it last is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) context: u32,
    pub(crate) queue: u32,
}

impl Default for SharedState {
    fn default() -> SharedState {
        SharedState::with_log_capacity(100_000)
    }
}

impl SharedState {
    /// Fresh state that keeps the newest 100,000 log lines.
    pub fn new() -> SharedState {
        SharedState::default()
    }

    /// Fresh state that keeps this many log lines; 0 keeps none.
    pub fn with_log_capacity(lines: usize) -> SharedState {
        SharedState(Arc::new(Shared {
            data: Mutex::new(DataStore { values: HashMap::new(), last_cas: 0 }),
            queues: Mutex::default(),
            metrics: Metrics::default(),
            log: LogBook::new(lines),
            clock_ns: AtomicU64::new(0),
            next_vm: AtomicU64::new(1),
        }))
    }

    /// A shared value and its compare-and-set number.
    pub fn data(&self, vm_id: &str, key: impl AsRef<[u8]>) -> Option<(Vec<u8>, u32)> {
        self.0.get_data(vm_id, key.as_ref())
    }

    /// How many items wait in a queue.
    pub fn queue_len(&self, vm_id: &str, name: impl AsRef<[u8]>) -> Option<usize> {
        let queues = lock(&self.0.queues);
        let id = queues.ids.get(&(vm_id.to_owned(), name.as_ref().to_vec()))?;
        queues.queues.get(id).map(|queue| queue.items.len())
    }
}

impl Shared {
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn set_now_ns(&self, now: u64) {
        self.clock_ns.store(now, Ordering::Relaxed);
    }

    /// Moves the clock forward, never back.
    pub(crate) fn reach_ns(&self, now: u64) {
        self.clock_ns.fetch_max(now, Ordering::Relaxed);
    }

    /// A number that no other VM under this state has.
    pub(crate) fn new_vm_key(&self) -> u64 {
        self.next_vm.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn get_data(&self, vm_id: &str, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        lock(&self.data).values.get(&(vm_id.to_owned(), key.to_vec())).cloned()
    }

    /// A `cas` of 0 always writes; another one must match, unless the key is
    /// new (`SharedData::set` of Envoy's host writes new keys whatever `cas`).
    pub(crate) fn set_data(&self, vm_id: &str, key: &[u8], value: &[u8], cas: u32) -> Status {
        let mut data = lock(&self.data);
        let next = data.last_cas.checked_add(1).unwrap_or(1);
        let key = (vm_id.to_owned(), key.to_vec());
        if let Some((_, current)) = data.values.get(&key)
            && cas != 0
            && cas != *current
        {
            return Status::CasMismatch;
        }
        data.last_cas = next;
        data.values.insert(key, (value.to_vec(), next));
        Status::Ok
    }

    /// Opens or creates a queue; whoever registers last gets the notices.
    pub(crate) fn register_queue(&self, vm_id: &str, name: &[u8], vm: u64, context: u32) -> u32 {
        let mut queues = lock(&self.queues);
        let next = queues.next + 1;
        let id = *queues.ids.entry((vm_id.to_owned(), name.to_vec())).or_insert(next);
        queues.next = queues.next.max(id);
        let queue = queues.queues.entry(id).or_default();
        queue.owner = Notice { context, queue: id };
        queue.owner_vm = vm;
        id
    }

    pub(crate) fn resolve_queue(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        lock(&self.queues).ids.get(&(vm_id.to_owned(), name.to_vec())).copied()
    }

    pub(crate) fn enqueue(&self, id: u32, item: &[u8]) -> Status {
        let mut queues = lock(&self.queues);
        let Some(queue) = queues.queues.get_mut(&id) else {
            return Status::NotFound;
        };
        queue.items.push_back(item.to_vec());
        let (vm, notice) = (queue.owner_vm, queue.owner);
        queues.ready.entry(vm).or_default().push_back(notice);
        Status::Ok
    }

    pub(crate) fn dequeue(&self, id: u32) -> Result<Vec<u8>, Status> {
        let mut queues = lock(&self.queues);
        let queue = queues.queues.get_mut(&id).ok_or(Status::NotFound)?;
        queue.items.pop_front().ok_or(Status::Empty)
    }

    /// The next queue notice for this VM.
    pub(crate) fn next_notice(&self, vm: u64) -> Option<Notice> {
        lock(&self.queues).ready.get_mut(&vm)?.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compare_and_set() {
        let shared = SharedState::new();
        let shared = &shared.0;
        assert_eq!(shared.set_data("v", b"k", b"1", 77), Status::Ok); // a new key ignores cas
        let (_, cas) = shared.get_data("v", b"k").expect("just written");
        assert_eq!(shared.set_data("v", b"k", b"2", cas), Status::Ok);
        assert_eq!(shared.set_data("v", b"k", b"3", cas), Status::CasMismatch);
        assert_eq!(shared.set_data("v", b"k", b"3", 0), Status::Ok);
        assert_eq!(shared.get_data("other", b"k"), None);
    }

    #[test]
    fn the_last_registrant_is_told() {
        let shared = SharedState::new();
        let shared = &shared.0;
        let id = shared.register_queue("v", b"q", 1, 10);
        assert_eq!(shared.register_queue("v", b"q", 2, 20), id);
        assert_eq!(shared.resolve_queue("v", b"q"), Some(id));
        assert_eq!(shared.enqueue(id, b"x"), Status::Ok);
        assert_eq!(shared.enqueue(99, b"x"), Status::NotFound);
        assert_eq!(shared.next_notice(1), None);
        assert_eq!(shared.next_notice(2), Some(Notice { context: 20, queue: id }));
        assert_eq!(shared.dequeue(id), Ok(b"x".to_vec()));
        assert_eq!(shared.dequeue(id), Err(Status::Empty));
    }
}
