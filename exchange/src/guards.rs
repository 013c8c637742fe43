//! Guardrails: what this worker has counted, merged with the counts of all others on the tick.

use std::cell::{Cell, Ref, RefCell};

use splitway_engine::guardrail::{Finding, Guardrail, Metric, Outcome, Tally, Tripped, Window};
use splitway_engine::{Assignment, Entropy, Experiment, Plan, Reason};

use crate::host::{CAS_MISMATCH, Clock, Level, Log, Metrics, SharedData};
use crate::names::series;

/// How often a merge is tried on a tick; what is left is merged on the next.
const ATTEMPTS: usize = 8;

/// Where the key of units' hashes is shared.
const HASH_KEY: &str = "splitway.guardrail_key";

/// The guardrails of a plan, with this worker's counts.
#[derive(Debug, Default)]
pub struct Guards {
    /// In the order of the plan's guardrails.
    rails: Box<[Rail]>,
    /// Key of the hashes of units, so that nobody outside can predict them.
    hash_key: u64,
    tripped: RefCell<Tripped>,
}

#[derive(Debug)]
struct Rail {
    /// Key of the shared window.
    key: String,
    /// Counts by variant since the last merge.
    tallies: RefCell<Vec<Tally>>,
    /// Bits of the variants that this worker knows have tripped.
    known: Cell<u64>,
    /// Gauge handles by variant.
    gauges: Box<[Option<u32>]>,
}

impl Guards {
    /// Creates the guardrails of `plan`, including those that have already tripped. Shared data is created here,
    /// because the first worker to configure runs alone.
    pub fn new<H: Clock + Metrics + Log + SharedData + Entropy>(plan: &Plan, host: &H) -> Self {
        if !H::IS_SHARED || plan.guardrails().is_empty() {
            return Self::default();
        }
        let (mut last, mut index) = (None, 0_u32);
        let rails = plan.guardrails().iter().filter_map(|rail| {
            index = if last == Some(rail.experiment()) { index.saturating_add(1) } else { 0 };
            last = Some(rail.experiment());
            let experiment = plan.experiment(rail.experiment())?;
            let variants = experiment.variants();
            let key = format!("splitway.guardrail.{}.{}.{index}", plan.namespace(), experiment.id());
            let known =
                host.shared(&key).ok().and_then(|(bytes, _)| Window::tripped_in(&bytes, rail.digest()));
            // A paused experiment starts afresh when it is resumed: whoever paused it has seen why.
            if known.is_none_or(|tripped| tripped != 0 && !experiment.is_open()) {
                // If this fails, so will the merges, which count it.
                let _ = host.set_shared(&key, &rail.window().to_bytes(), 0);
            }
            let name = if rail.enforces() { "guardrail_tripped" } else { "guardrail_observed" };
            let gauge = |variant: &splitway_engine::Variant| {
                let gauge = host.gauge(&series(plan, name, experiment.id(), variant.id())).ok()?;
                host.record(gauge, 0);
                Some(gauge)
            };
            Some(Rail {
                key,
                tallies: RefCell::new(vec![Tally::default(); variants.len()]),
                known: Cell::new(0),
                gauges: variants.iter().map(gauge).collect(),
            })
        });
        let rails = rails.collect();
        let guards = Self { rails, hash_key: hash_key(host), tripped: RefCell::default() };
        // What fails here is tried, and counted, on every tick.
        let _ = guards.merge(plan, host);
        guards
    }

    /// Returns true if there are no guardrails.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rails.is_empty()
    }

    /// Returns the variants that are off; `None` if there are none.
    pub fn tripped(&self) -> Option<Ref<'_, Tripped>> {
        self.tripped.try_borrow().ok().filter(|tripped| !tripped.is_empty())
    }

    /// Counts the outcome of an exchange for the unit with this hash (see [`Plan::unit_hash`]). Units that chose their
    /// variant, and units that were moved to the control, are not counted.
    pub fn count(&self, plan: &Plan, assignment: &Assignment, unit_hash: u64, outcome: &Outcome) {
        if assignment.reason != Reason::Split {
            return;
        }
        let hash = mixed(unit_hash ^ self.hash_key);
        let all = plan.guardrails();
        let first = all.partition_point(|rail| rail.experiment() < assignment.experiment);
        let own = all.iter().zip(&self.rails).skip(first);
        for (rail, state) in own.take_while(|(rail, _)| rail.experiment() == assignment.experiment) {
            if let Some(is_bad) = outcome.is_bad(rail.metric())
                && let Ok(mut tallies) = state.tallies.try_borrow_mut()
                && let Some(tally) = tallies.get_mut(assignment.variant.index())
            {
                tally.add(hash, is_bad, rail.capacity());
            }
        }
    }

    /// Merges this worker's counts, judges them, and takes over trips found by any worker. Returns how many
    /// guardrails could not be shared.
    pub fn merge(&self, plan: &Plan, host: &(impl Clock + Metrics + Log + SharedData)) -> u32 {
        let mut failures = 0_u32;
        for (rail, state) in plan.guardrails().iter().zip(&self.rails) {
            if let Some(experiment) = plan.experiment(rail.experiment())
                && !self.merge_one(plan, rail, experiment, state, host)
            {
                failures = failures.saturating_add(1);
            }
        }
        failures
    }

    fn merge_one(
        &self,
        plan: &Plan,
        rail: &Guardrail,
        experiment: &Experiment,
        state: &Rail,
        host: &(impl Clock + Metrics + Log + SharedData),
    ) -> bool {
        let Ok(mut tallies) = state.tallies.try_borrow_mut() else { return false };
        let has_news = tallies.iter().any(|tally| !tally.is_empty());
        for _ in 0..ATTEMPTS {
            let Ok((bytes, version)) = host.shared(&state.key) else { return false };
            if !has_news {
                self.take_over(rail, Window::tripped_in(&bytes, rail.digest()).unwrap_or(0), state, host);
                return true;
            }
            let Some(mut window) = Window::from_bytes(&bytes, rail.digest(), experiment.variants().len())
            else {
                // A newer config has changed the experiment; this one only ends what it has begun.
                tallies.iter_mut().for_each(Tally::clear);
                return true;
            };
            rail.add_to(&mut window, &tallies, host.now());
            let findings = rail.judge(&mut window);
            match host.set_shared(&state.key, &window.to_bytes(), version) {
                Ok(()) => tallies.iter_mut().for_each(Tally::clear),
                Err(CAS_MISMATCH) => continue,
                Err(_) => return false,
            }
            for finding in &findings {
                // Only the worker that wrote the window gets here, so the line is logged once.
                host.log(Level::Warn, &event(plan, rail, experiment, finding, host));
            }
            self.take_over(rail, window.tripped(), state, host);
            return true;
        }
        // Other workers keep writing: the next tick tries again.
        true
    }

    fn take_over(&self, rail: &Guardrail, tripped: u64, state: &Rail, host: &impl Metrics) {
        let news = tripped & !state.known.get();
        if news == 0 {
            return;
        }
        state.known.set(tripped);
        for ((variant, gauge), bit) in (0_u16..).zip(&state.gauges).zip(0_u32..) {
            if 1_u64.checked_shl(bit).is_none_or(|bit| news & bit == 0) {
                continue;
            }
            if let Some(gauge) = gauge {
                host.record(*gauge, 1);
            }
            if rail.enforces()
                && let Ok(mut tripped) = self.tripped.try_borrow_mut()
            {
                tripped.add(rail.experiment(), splitway_engine::VariantId(variant));
            }
        }
    }
}

/// Returns the key of the hashes of units: the first worker that needs it draws it, all use the same.
fn hash_key(host: &(impl SharedData + Entropy)) -> u64 {
    let shared = host.shared(HASH_KEY).ok();
    let bytes = shared.map(|(bytes, _)| bytes).unwrap_or_else(|| {
        let drawn = host.bits().unwrap_or_default().to_vec();
        // Workers that cannot share the key cannot share their counts either.
        let _ = host.set_shared(HASH_KEY, &drawn, 0);
        drawn
    });
    bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The upper half of SplitMix64's output (Steele, Lea, Flood 2014): every bit of the input matters.
fn mixed(number: u64) -> u32 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((number ^ (number >> 31)) >> 32).unwrap_or(0)
}

/// Formats the log line of a trip. All texts are ids from the config.
fn event(
    plan: &Plan,
    rail: &Guardrail,
    experiment: &Experiment,
    finding: &Finding,
    host: &impl Clock,
) -> String {
    let metric = match rail.metric() {
        Metric::ServerErrors { .. } => "http_5xx_rate",
        Metric::SlowerThan(_) => "latency",
    };
    let texts = [
        ("timestamp", &*host.now().to_string()),
        ("experiment", experiment.id()),
        ("variant", experiment.variant(finding.variant).map_or("", |variant| variant.id())),
        ("version", plan.content_hash()),
        ("metric", metric),
        ("above", if finding.limit { "limit" } else { "control" }),
        ("action", if rail.enforces() { "kill" } else { "observe" }),
    ];
    let mut line = r#"{"event":"splitway.guardrail""#.to_owned();
    for (name, text) in texts {
        line.push_str(&format!(r#","{name}":"{text}""#));
    }
    let (seen, compared) = (finding.seen, finding.compared);
    let numbers = [
        ("requests", finding.requests),
        ("units", seen.units),
        ("bad_units", seen.bad),
        ("control_units", compared.units),
        ("control_bad_units", compared.bad),
    ];
    for (name, number) in numbers {
        line.push_str(&format!(r#","{name}":{number}"#));
    }
    line.push('}');
    line
}
