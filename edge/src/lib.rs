//! Splitway for JavaScript edge runtimes.
//!
//! The exchange ([`splitway_exchange::Exchange`], which the filter runs, too) on a host that lives in this module's memory: a
//! request comes in as one text, the changes to it go out as another, and `pkg/splitway.js` does
//! with `Request` and `Response` what they say. So what the filter does, the edge does, and there
//! is nothing to keep in step.
//!
//! On `wasm32-unknown-unknown` that host is JavaScript, by wasm-bindgen. Elsewhere this is a plain crate with the same
//! functions, for edges that run Rust: `edge/fastly`.
//!
//! Values cross the boundary flat, because each crossing costs more than a decision: a text is one
//! copy, where a list of headers is dozens.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking"))]

mod host;
mod text;

use std::cell::RefCell;
use std::rc::Rc;

use splitway_engine::{CookieAction, Document, Reason, Secrets, Timestamp, compile_with};
use splitway_exchange::{Exchange as Filter, Store, Vm};
#[cfg(target_os = "unknown")]
use wasm_bindgen::prelude::wasm_bindgen;

use crate::host::{Host, Shared};
use crate::text::Encoding;

/// As in the filter: constant time, and 7 kB less of module than the standard library's.
#[cfg(target_os = "unknown")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

/// Called in place of the standard library's panics, which `cargo xtask edge` takes out: tells where the place is, which
/// that takes out, too (0: out of memory). The call then traps, and whoever made it serves the origin.
#[cfg(target_os = "unknown")]
#[allow(unsafe_code, reason = "xtask finds it by its name")]
#[unsafe(no_mangle)]
pub extern "C" fn splitway_panicked(place: u32) {
    host::panicked(place);
}

/// A config in force, and what is counted under it.
#[cfg_attr(target_os = "unknown", wasm_bindgen)]
#[derive(Debug)]
pub struct Engine {
    store: Store,
    vm: Rc<RefCell<Vm>>,
    shared: Rc<Shared>,
}

#[cfg_attr(target_os = "unknown", wasm_bindgen)]
impl Engine {
    /// An engine without a config: requests pass untouched. `latin1` says how the runtime shows
    /// header bytes in texts: a character per byte (as the Fetch standard has it), or decoded
    /// from UTF-8 (as workerd does). `otlp`: exposure records are OTLP's, for a collector, and not lines of a log.
    #[cfg_attr(target_os = "unknown", wasm_bindgen(constructor))]
    #[must_use]
    pub fn new(latin1: bool, otlp: bool) -> Self {
        let encoding = if latin1 { Encoding::Latin1 } else { Encoding::Utf8 };
        Self { store: Store::default(), vm: Rc::default(), shared: Rc::new(Shared::new(encoding, otlp)) }
    }

    /// Takes a config (JSON) into force, or keeps what there is. `environment` has the secrets that the config
    /// names by a variable: names and values with a zero byte behind each. Gives whether it was taken; the
    /// log says why not. An empty text is refused: a proxy may have no config, but here it is a store that
    /// lost its value.
    pub fn load(&mut self, json: &[u8], environment: &[u8]) -> bool {
        let host = Host::new(&self.shared, Vec::new(), Timestamp::default()).with_environment(environment);
        let json = if json.trim_ascii().is_empty() { b"null" } else { json };
        let taken = self.store.load(json, &mut self.vm.borrow_mut(), &host);
        self.shared.keep_log(host);
        taken
    }

    /// What a host must have for a config (JSON), without taking it into force: the name of the identity cookie (empty if
    /// units are not minted) and the clusters that variants name, separated by blanks. Empty for a config that is refused.
    #[must_use]
    pub fn needs(&self, json: &[u8]) -> String {
        let plan = Document::from_json(json).and_then(|document| compile_with(&document, Secrets::WITHHELD));
        let Ok(plan) = plan else {
            return String::new();
        };
        let mut needs = plan.minted_cookie().unwrap_or_default().to_owned();
        for (_, experiment) in plan.experiments() {
            for variant in experiment.variants() {
                for cluster in [variant.cluster(), variant.shadow()].into_iter().flatten() {
                    needs.push(' ');
                    needs.push_str(cluster);
                }
            }
        }
        needs
    }

    /// The lines logged by [`Self::load`] since the last call, one a line.
    #[cfg_attr(target_os = "unknown", wasm_bindgen(js_name = takeLog))]
    #[must_use]
    pub fn take_log(&self) -> String {
        self.shared.take_log()
    }

    /// The content hash of the config in force; empty without one.
    #[must_use]
    pub fn version(&self) -> String {
        self.store.active().map(|active| active.plan.content_hash().to_owned()).unwrap_or_default()
    }

    /// The names of the headers that [`Self::decide`] reads, separated by blanks; then the ids by the numbers that it
    /// gives: a line per experiment with its id and those of its variants, separated by blanks.
    #[must_use]
    pub fn names(&self) -> String {
        let Some(active) = self.store.active() else { return String::new() };
        let reads = std::iter::once(active.plan.reads().to_owned());
        let line = |(_, experiment): (_, &splitway_engine::Experiment)| {
            let variants = experiment.variants().iter().map(splitway_engine::Variant::id);
            std::iter::once(experiment.id()).chain(variants).collect::<Vec<_>>().join(" ")
        };
        reads.chain(active.plan.experiments().map(line)).collect::<Vec<_>>().join("\n")
    }

    /// The spellings of reasons by the numbers that [`Self::decide`] gives, one a line.
    #[must_use]
    pub fn reasons() -> String {
        Reason::ALL.map(Reason::as_str).join("\n")
    }

    /// Decides without acting or counting: experiment, variant, bucket and reason of each
    /// assignment, one after the other. `head` as in [`Self::begin`]; `now` in milliseconds
    /// since 1970.
    #[must_use]
    pub fn decide(&self, head: Vec<u8>, now: f64) -> Vec<u32> {
        let Some(active) = self.store.active() else { return Vec::new() };
        let mut filter = Filter::new(active);
        filter.on_request(&Host::new(&self.shared, head, timestamp(now)).uncounted(), &mut Vm::default());
        let mut flat = Vec::with_capacity(8);
        for assignment in &filter.decision().assignments {
            let reason = Reason::ALL.iter().position(|reason| *reason == assignment.reason);
            flat.extend([
                u32::from(assignment.experiment.0),
                u32::from(assignment.variant.0),
                assignment.bucket,
                reason.and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX),
            ]);
        }
        flat
    }

    /// Decides for a request and acts on it. `head` has names and values in UTF-8 with a zero byte between each, names
    /// in lower case, `:method`, `:path` and `:authority` among them. `now` in milliseconds since 1970. `undefined`
    /// without a config in force.
    #[must_use]
    pub fn begin(&self, head: Vec<u8>, now: f64) -> Option<Exchange> {
        let host = Host::new(&self.shared, head, timestamp(now));
        let mut filter = Filter::new(self.store.active()?);
        filter.on_request(&host, &mut self.vm.borrow_mut());
        Some(Exchange { filter: Box::new(filter), vm: Rc::clone(&self.vm), host })
    }

    /// All counters: a name and a number, separated by a blank, one a line.
    #[must_use]
    pub fn counters(&self) -> String {
        self.shared.counters()
    }
}

/// A request and its response.
#[cfg_attr(target_os = "unknown", wasm_bindgen)]
#[derive(Debug)]
pub struct Exchange {
    filter: Box<Filter>,
    vm: Rc<RefCell<Vm>>,
    host: Host,
}

/// As JavaScript has it: each crossing costs as much as a decision does.
#[cfg_attr(target_os = "unknown", wasm_bindgen)]
impl Exchange {
    /// A character, and [`Self::request_changes`]. The character's lowest bits are [`Self::is_idle`],
    /// [`Self::is_assigned`], [`Self::is_overridden`] and [`Self::reads_response`].
    #[must_use]
    pub fn request(&self) -> String {
        let facts =
            [self.is_idle(), self.is_assigned(), self.is_overridden(), self.reads_response()].into_iter();
        let bits = facts.rev().fold(0_u8, |bits, fact| bits << 1 | u8::from(fact));
        let mut text = String::from(char::from(b'0' | bits));
        text.push_str(&self.request_changes());
        text
    }

    /// [`Self::respond`] and [`Self::end`], with a zero byte between. `head` begins with the cluster and a zero byte.
    #[must_use]
    pub fn finish(mut self, head: Vec<u8>, status: u16, now: f64) -> String {
        let mut parts = head.splitn(2, |byte| *byte == 0);
        let cluster = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let mut text = self.respond(parts.next().unwrap_or_default().to_vec());
        text.push('\0');
        text.push_str(&self.end(status, &cluster, now));
        text
    }
}

impl Exchange {
    /// What to do with the request, three lines each: `set`, `add` or `remove`, a name and a
    /// value, in order; or, as the first, `answer`, the status of an answer in the upstream's
    /// place, and nothing, followed by what its headers are.
    #[must_use]
    pub fn request_changes(&self) -> String {
        self.host.request_changes()
    }

    /// Whether the request is in an experiment.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        !self.filter.decision().assignments.is_empty()
    }

    /// Whether there is nothing to do: the request had nothing to strip and no experiment can touch its URL, so
    /// the response needs no change and caches no warning.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let decision = self.filter.decision();
        decision.assignments.is_empty()
            && !decision.varies
            && !decision.private
            && !decision.debug
            && decision.cookie == CookieAction::None
            && self.host.leaves_request()
    }

    /// Whether [`Self::respond`] needs to know the response's headers.
    #[must_use]
    pub fn reads_response(&self) -> bool {
        self.filter.reads_response()
    }

    /// Whether a person chose a variant, not the hash: an allow-list or a QA token.
    #[must_use]
    pub fn is_overridden(&self) -> bool {
        self.filter.decision().assignments.iter().any(|assignment| assignment.reason.is_override())
    }

    /// What to do with the response, as in [`Self::request_changes`]. `head` has its headers,
    /// or nothing where they are not needed.
    #[must_use]
    pub fn respond(&mut self, head: Vec<u8>) -> String {
        self.host.set_response(head);
        self.filter.on_response(&self.host);
        self.host.response_changes()
    }

    /// The exposure records, one JSON object a line, at the end of the exchange: `status` and
    /// `cluster` (empty if none) of what was served, `now` in milliseconds since 1970.
    #[must_use]
    pub fn end(mut self, status: u16, cluster: &str, now: f64) -> String {
        self.host.set_served(status, cluster, timestamp(now));
        self.filter.on_log(&self.host, &mut self.vm.borrow_mut());
        self.host.take_log()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and no clock is so far off")]
fn timestamp(milliseconds: f64) -> Timestamp {
    Timestamp(milliseconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{ "version": 1, "unit": [{ "cookie": "uid" }], "experiments": [{ "id": "button",
        "variants": [{ "id": "a", "weight": 0 }, { "id": "b", "weight": 1, "route": { "cluster": "v2" } }] }] }"#;

    fn engine() -> Engine {
        loaded(false)
    }

    fn loaded(otlp: bool) -> Engine {
        let mut engine = Engine::new(false, otlp);
        assert!(engine.load(CONFIG.as_bytes(), b""), "{}", engine.take_log());
        engine
    }

    #[test]
    fn records_for_a_collector() {
        let exchange = loaded(true).begin(b":path\0/\0cookie\0uid=u".to_vec(), 2.0).unwrap();
        let told = exchange.finish(b"v2\0".to_vec(), 200, 5.0);
        let (_, record) = told.split_once('\0').unwrap();
        // The time is that of the decision.
        for part in [
            r#""timeUnixNano":"2000000","observedTimeUnixNano":"5000000""#,
            r#"{"key":"splitway.duration_ms","value":{"intValue":"3"}}"#,
        ] {
            assert!(record.contains(part), "{record}");
        }
    }

    #[test]
    fn an_exchange_from_request_to_exposure() {
        let engine = engine();
        let head = ":method\0GET\0:path\0/\0:authority\0shop\0x-splitway\0forged\0cookie\0uid=j\u{f6}";
        let exchange = engine.begin(head.as_bytes().to_vec(), 0.0).unwrap();
        assert_eq!(
            exchange.request(),
            "2remove\nx-splitway\n\nset\nx-splitway-cluster\nv2\nset\nx-splitway\nbutton=b"
        );
        let told = exchange.finish(b"v2\0".to_vec(), 200, 5.0);
        let (changes, record) = told.split_once('\0').unwrap();
        assert_eq!(changes, "set\nx-splitway\nbutton=b\nadd\nvary\ncookie");
        for part in ["\"splitway.cluster\":\"v2\"", "code\":200", "duration_ms\":5"] {
            assert!(record.contains(part), "{record}");
        }
        assert!(engine.counters().contains("splitway.stripped_headers 1"), "{}", engine.counters());
    }

    #[test]
    fn what_is_stripped_is_not_idle() {
        let mut engine = engine();
        assert!(
            engine.load(CONFIG.replacen('{', "{ \"kill_switch\": true,", 1).as_bytes(), b""),
            "{}",
            engine.take_log()
        );
        assert!(engine.begin(b":path\0/\0x-other\0a".to_vec(), 0.0).unwrap().is_idle());
        for ours in ["x-splitway", "x-splitway-cluster", "x_splitway"] {
            assert!(
                !engine.begin(format!(":path\0/\0{ours}\0forged").into_bytes(), 0.0).unwrap().is_idle(),
                "{ours}"
            );
        }
    }

    #[test]
    fn deciding_changes_nothing() {
        let engine = engine();
        let before = engine.counters();
        assert_eq!(engine.decide(b":path\0/\0cookie\0uid=u".to_vec(), 0.0).get(..2), Some(&[0, 1][..]));
        assert!(engine.decide(b":path\0/".to_vec(), 0.0).is_empty());
        assert_eq!(engine.counters(), before);
        assert_eq!(engine.names(), "cookie purpose sec-purpose access-control-request-method\nbutton a b");
    }

    #[test]
    fn a_config_says_what_it_needs() {
        let engine = Engine::new(false, false);
        assert_eq!(engine.needs(CONFIG.as_bytes()), " v2");
        let more = CONFIG.replacen('{', "{ \"mint\": { \"cookie\": \"__Host-s\" },", 1);
        let more = more.replace("\"cluster\": \"v2\"", "\"cluster\": \"v2\", \"shadow\": \"copy\"");
        assert_eq!(engine.needs(more.as_bytes()), "__Host-s v2 copy");
        assert_eq!((engine.needs(b"{}"), engine.version()), (String::new(), String::new()));
    }

    #[test]
    fn secrets_come_from_the_environment() {
        let config = CONFIG.replacen('{', "{ \"exposure\": { \"key\": { \"env\": \"EXPOSURE_KEY\" } },", 1);
        let mut engine = Engine::new(false, false);
        for environment in ["", "OTHER\0k123456789abcdef\0", "EXPOSURE_KEY\0short\0"] {
            assert!(!engine.load(config.as_bytes(), environment.as_bytes()), "{environment:?}");
            let said = engine.take_log();
            assert!(said.contains("exposure.key") && !said.contains("short"), "{said}");
        }
        assert!(engine.load(config.as_bytes(), b"OTHER\0x\0EXPOSURE_KEY\0k123456789abcdef\0"));
        let exchange = engine.begin(b":path\0/\0cookie\0uid=u".to_vec(), 0.0).unwrap();
        let told = exchange.finish(b"v2\0".to_vec(), 200, 5.0);
        assert!(told.contains("\"feature_flag.context.id\":\""), "{told}");
    }

    #[test]
    fn a_refused_config_leaves_the_last_good() {
        let mut engine = engine();
        let version = engine.version();
        let _ = engine.take_log();
        for refused in ["{ \"version\": 2 }", "", "  \n"] {
            assert!(!engine.load(refused.as_bytes(), b""), "{refused:?}");
        }
        assert!(engine.take_log().contains("stays in force"));
        assert_eq!(engine.version(), version);
        assert!(Engine::new(false, false).begin(b":path\0/".to_vec(), 0.0).is_none());
    }
}
