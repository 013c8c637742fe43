//! The capabilities that `splitway_exchange` asks of a host, in memory.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::fmt::Write as _;
use std::rc::Rc;

use splitway_engine::{Entropy, STAMP, Timestamp};
use splitway_exchange::host::{self as capability, Failure, HeaderBlock, Level, Map};
#[cfg(target_os = "unknown")]
use wasm_bindgen::prelude::wasm_bindgen;

use crate::text::Encoding;

#[cfg(target_os = "unknown")]
#[wasm_bindgen(raw_module = "./host.js")]
extern "C" {
    #[wasm_bindgen(js_name = fillRandom)]
    fn fill_random(bytes: &mut [u8]) -> bool;

    /// For the last words of a module that traps.
    pub(crate) fn panicked(place: u32);
}

#[cfg(not(target_os = "unknown"))]
fn fill_random(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

/// What all exchanges share.
#[derive(Debug)]
pub(crate) struct Shared {
    encoding: Encoding,
    /// Records are OTLP's, not lines of a log.
    otlp: bool,
    counters: RefCell<Vec<(String, u64)>>,
    log: RefCell<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(encoding: Encoding, otlp: bool) -> Self {
        Self { encoding, otlp, counters: RefCell::default(), log: RefCell::default() }
    }

    pub(crate) fn keep_log(&self, host: Host) {
        self.log.borrow_mut().extend(host.log.into_inner());
    }

    pub(crate) fn take_log(&self) -> String {
        self.log.take().join("\n")
    }

    pub(crate) fn counters(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.counters.borrow().iter() {
            // A `String` takes everything.
            let _ = writeln!(text, "{name} {value}");
        }
        text
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Set,
    Add,
    Remove,
    Answer,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Answer => "answer",
        }
    }
}

#[derive(Debug)]
struct Change {
    verb: Verb,
    name: Box<[u8]>,
    value: Box<[u8]>,
}

/// The headers of a message, as they came, and what was done to them.
#[derive(Debug, Default)]
struct Message {
    /// Names and values, with a zero byte between each.
    head: Vec<u8>,
    changes: Vec<Change>,
}

impl Message {
    fn new(head: Vec<u8>, encoding: Encoding) -> Self {
        Self { head: encoding.into_bytes(head), changes: Vec::new() }
    }

    fn change(&mut self, verb: Verb, name: &[u8], value: &[u8]) {
        self.changes.push(Change { verb, name: name.into(), value: value.into() });
    }

    fn pairs(&self) -> Result<HeaderBlock, Failure> {
        if self.changes.is_empty() {
            return HeaderBlock::parse(encoded(&self.head));
        }
        let mut lines = self.head.split(|byte| *byte == 0);
        let mut pairs: Vec<(&[u8], &[u8])> = Vec::with_capacity(32);
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            pairs.push((name, value));
        }
        for Change { verb, name, value } in &self.changes {
            if matches!(verb, Verb::Set | Verb::Remove) {
                pairs.retain(|(known, _)| *known != &**name);
            }
            if matches!(verb, Verb::Set | Verb::Add) {
                pairs.push((name, value));
            }
        }
        Ok(HeaderBlock::from_pairs(pairs))
    }

    fn describe(&self, encoding: Encoding) -> String {
        let mut text = String::new();
        for Change { verb, name, value } in &self.changes {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(verb.as_str());
            for part in [name, value] {
                text.push('\n');
                encoding.push(&mut text, part);
            }
        }
        text
    }
}

/// A head as [`HeaderBlock::parse`] reads it, in one piece: it would grow seven times for ten headers. A name without a
/// value does not count.
fn encoded(head: &[u8]) -> Vec<u8> {
    let mut sizes = Vec::with_capacity(64);
    let mut rest = head;
    // This way the standard library looks for zeros by words.
    while let Ok(piece) = CStr::from_bytes_until_nul(rest) {
        sizes.push(piece.count_bytes());
        rest = rest.get(piece.count_bytes().saturating_add(1)..).unwrap_or_default();
    }
    sizes.push(rest.len());
    let count = sizes.len() / 2;
    let size = head.len().saturating_add(count.saturating_mul(8)).saturating_add(5);
    let mut block = Vec::with_capacity(size);
    let numbers = sizes.iter().take(count.saturating_mul(2));
    for number in std::iter::once(&count).chain(numbers) {
        block.extend_from_slice(&u32::try_from(*number).unwrap_or(u32::MAX).to_le_bytes());
    }
    block.extend_from_slice(head);
    block.push(0);
    block
}

/// One exchange's host.
#[derive(Debug)]
pub(crate) struct Host {
    shared: Rc<Shared>,
    counts: bool,
    /// Names and values, with a zero byte behind each.
    environment: Vec<u8>,
    now: Cell<Timestamp>,
    request: RefCell<Message>,
    response: RefCell<Message>,
    log: RefCell<Vec<String>>,
    status: u16,
    cluster: Vec<u8>,
}

impl Host {
    pub(crate) fn new(shared: &Rc<Shared>, head: Vec<u8>, now: Timestamp) -> Self {
        Self {
            shared: Rc::clone(shared),
            counts: true,
            environment: Vec::new(),
            now: Cell::new(now),
            request: RefCell::new(Message::new(head, shared.encoding)),
            response: RefCell::default(),
            log: RefCell::default(),
            status: 0,
            cluster: Vec::new(),
        }
    }

    /// With the variables of a worker or process.
    pub(crate) fn with_environment(mut self, environment: &[u8]) -> Self {
        self.environment = environment.to_vec();
        self
    }

    /// Counts nothing.
    pub(crate) fn uncounted(mut self) -> Self {
        self.counts = false;
        self
    }

    pub(crate) fn request_changes(&self) -> String {
        self.request.borrow().describe(self.shared.encoding)
    }

    /// Whether the request goes on as it came.
    pub(crate) fn leaves_request(&self) -> bool {
        self.request.borrow().changes.is_empty()
    }

    pub(crate) fn response_changes(&self) -> String {
        self.response.borrow().describe(self.shared.encoding)
    }

    pub(crate) fn set_response(&mut self, head: Vec<u8>) {
        self.response = RefCell::new(Message::new(head, self.shared.encoding));
    }

    pub(crate) fn set_served(&mut self, status: u16, cluster: &str, now: Timestamp) {
        self.status = status;
        self.cluster = cluster.as_bytes().to_vec();
        self.now.set(now);
    }

    pub(crate) fn take_log(&self) -> String {
        self.log.take().join("\n")
    }

    fn message(&self, map: Map) -> &RefCell<Message> {
        match map {
            Map::Request => &self.request,
            Map::Response => &self.response,
        }
    }
}

impl capability::Headers for Host {
    fn pairs(&self, map: Map) -> Result<HeaderBlock, Failure> {
        self.message(map).borrow().pairs()
    }

    fn set(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure> {
        self.message(map).borrow_mut().change(Verb::Set, name.as_bytes(), value);
        Ok(())
    }

    fn add(&self, map: Map, name: &str, value: &[u8]) -> Result<(), Failure> {
        self.message(map).borrow_mut().change(Verb::Add, name.as_bytes(), value);
        Ok(())
    }

    fn remove(&self, map: Map, name: &[u8]) -> Result<(), Failure> {
        // The adapter does that by itself, where the response has them: it crosses cheaper.
        if map == Map::Response && name.starts_with(STAMP.as_bytes()) {
            return Ok(());
        }
        self.message(map).borrow_mut().change(Verb::Remove, name, b"");
        Ok(())
    }
}

impl capability::Clock for Host {
    fn now(&self) -> Timestamp {
        self.now.get()
    }
}

impl capability::Metrics for Host {
    fn counter(&self, name: &str) -> Result<u32, Failure> {
        let mut counters = self.shared.counters.borrow_mut();
        let index = counters.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            counters.push((name.to_owned(), 0));
            counters.len().saturating_sub(1)
        });
        Ok(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn increment(&self, counter: u32, by: u32) {
        let mut counters = self.shared.counters.borrow_mut();
        let slot = usize::try_from(counter).ok().and_then(|index| counters.get_mut(index));
        if let (Some((_, value)), true) = (slot, self.counts) {
            *value = value.saturating_add(by.into());
        }
    }

    fn gauge(&self, name: &str) -> Result<u32, Failure> {
        self.counter(name)
    }

    /// The last value: nobody reads more of it here.
    fn histogram(&self, name: &str) -> Result<u32, Failure> {
        self.counter(name)
    }

    fn record(&self, metric: u32, value: u64) {
        let mut counters = self.shared.counters.borrow_mut();
        let slot = usize::try_from(metric).ok().and_then(|index| counters.get_mut(index));
        if let (Some((_, last)), true) = (slot, self.counts) {
            *last = value;
        }
    }
}

/// Isolates share nothing.
impl capability::SharedData for Host {
    const IS_SHARED: bool = false;

    fn shared(&self, _key: &str) -> Result<(Vec<u8>, u32), Failure> {
        Err(capability::NOT_FOUND)
    }

    fn set_shared(&self, _key: &str, _value: &[u8], _version: u32) -> Result<(), Failure> {
        Ok(())
    }
}

impl capability::Environment for Host {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let mut parts = self.environment.split(|byte| *byte == 0);
        while let (Some(known), Some(value)) = (parts.next(), parts.next()) {
            if known == name.as_bytes() {
                return Some(value.to_vec());
            }
        }
        None
    }
}

impl capability::Log for Host {
    fn log(&self, _level: Level, line: &str) {
        self.log.borrow_mut().push(line.to_owned());
    }

    fn is_sink(&self) -> bool {
        true
    }

    fn takes_otlp(&self) -> bool {
        self.shared.otlp
    }
}

impl capability::Properties for Host {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        match path {
            // The adapter names a cluster only if it was asked.
            ["xds", "cluster_name"] | ["upstream", "address"] => {
                Some(self.cluster.clone()).filter(|name| !name.is_empty())
            }
            ["response", "code"] => Some(i64::from(self.status).to_le_bytes().to_vec()),
            // Of the trailers `fetch` shows nothing; an error without a message has its status in the head.
            ["response", "grpc_status"] => {
                let head = self.response.borrow();
                let mut pairs = head.head.split(|byte| *byte == 0);
                while let (Some(name), Some(value)) = (pairs.next(), pairs.next()) {
                    if name == b"grpc-status" {
                        let status: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
                        return Some(status.to_le_bytes().to_vec());
                    }
                }
                None
            }
            _ => None,
        }
    }

    /// For other filters of the same proxy, of which there are none.
    fn set_state(&self, _name: &str, _value: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

impl capability::Respond for Host {
    fn respond(&self, status: u16, headers: &[(&str, &[u8])]) -> Result<(), Failure> {
        let mut request = self.request.borrow_mut();
        request.changes.clear();
        request.change(Verb::Answer, status.to_string().as_bytes(), b"");
        for (name, value) in headers {
            request.change(Verb::Set, name.as_bytes(), value);
        }
        Ok(())
    }
}

impl Entropy for Host {
    fn bits(&self) -> Option<[u8; 16]> {
        let mut bits = [0; 16];
        fill_random(&mut bits).then_some(bits)
    }
}
