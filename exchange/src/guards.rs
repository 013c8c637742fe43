//! Guardrails: counts of this worker, merged with those of all others on the tick.

use std::cell::{Cell, Ref, RefCell};

use splitway_engine::guardrail::{Count, Finding, Guardrail, Metric, Tripped, Window};
use splitway_engine::{Assignment, Experiment, Plan, Reason};

use crate::config::series;
use crate::host::{CAS_MISMATCH, Clock, Level, Log, Metrics, SharedData};

/// How often a merge is tried on a tick; what is left is merged on the next.
const ATTEMPTS: usize = 8;

/// The guardrails of a plan, as this worker sees them.
#[derive(Debug, Default)]
pub struct Guards {
    /// In the order of the plan's.
    rails: Box<[Rail]>,
    tripped: RefCell<Tripped>,
}

#[derive(Debug)]
struct Rail {
    /// Where the window is shared.
    key: String,
    /// By variant; since the last merge.
    counts: RefCell<Vec<Count>>,
    /// Bits of the variants that are known to have tripped.
    known: Cell<u64>,
    /// By variant.
    gauges: Box<[Option<u32>]>,
}

impl Guards {
    /// The guardrails of `plan`, with what has tripped already. What all workers share is made here,
    /// because the first of them to configure does so alone.
    pub fn new(plan: &Plan, host: &(impl Clock + Metrics + Log + SharedData)) -> Self {
        let rails = (0_u32..).zip(plan.guardrails()).filter_map(|(index, rail)| {
            let experiment = plan.experiment(rail.experiment())?;
            let variants = experiment.variants();
            let key = format!("splitway.guardrail.{}.{}.{index}", plan.namespace(), plan.content_hash());
            if host.shared(&key).is_err() {
                // If this fails, so will the merges, which count it.
                let _ = host.set_shared(&key, &Window::new(variants.len()).to_bytes(), 0);
            }
            let name = if rail.enforces() { "guardrail_tripped" } else { "guardrail_observed" };
            let gauge = |variant: &splitway_engine::Variant| {
                let gauge = host.gauge(&series(plan, name, experiment.id(), variant.id())).ok()?;
                host.record(gauge, 0);
                Some(gauge)
            };
            Some(Rail {
                key,
                counts: RefCell::new(vec![Count::default(); variants.len()]),
                known: Cell::new(0),
                gauges: variants.iter().map(gauge).collect(),
            })
        });
        let guards = Self { rails: rails.collect(), tripped: RefCell::default() };
        // What fails here is tried, and counted, on every tick.
        let _ = guards.merge(plan, host);
        guards
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rails.is_empty()
    }

    /// The variants that are off.
    pub fn tripped(&self) -> Option<Ref<'_, Tripped>> {
        self.tripped.try_borrow().ok().filter(|tripped| !tripped.is_empty())
    }

    /// Counts what became of an exchange. People that chose their variant, and units that were moved to
    /// the control, are not counted.
    pub fn count(&self, plan: &Plan, assignment: &Assignment, status: Option<u16>, duration_ms: u64) {
        if assignment.reason != Reason::Split {
            return;
        }
        let all = plan.guardrails();
        let first = all.partition_point(|rail| rail.experiment() < assignment.experiment);
        let own = all.iter().zip(&self.rails).skip(first);
        for (rail, state) in own.take_while(|(rail, _)| rail.experiment() == assignment.experiment) {
            let bad = match rail.metric() {
                Metric::ServerErrors => status.is_some_and(|status| status >= 500),
                Metric::SlowerThan(limit) => duration_ms > limit,
            };
            if let Ok(mut counts) = state.counts.try_borrow_mut()
                && let Some(count) = counts.get_mut(assignment.variant.index())
            {
                count.add(Count { requests: 1, bad: bad.into() });
            }
        }
    }

    /// Shares this worker's counts, judges, and takes over what any worker has found. Gives how many
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
        let Ok(mut counts) = state.counts.try_borrow_mut() else { return false };
        let variants = experiment.variants();
        let has_news = counts.iter().any(|count| count.requests > 0);
        for _ in 0..ATTEMPTS {
            let Ok((bytes, version)) = host.shared(&state.key) else { return false };
            let mut window = Window::from_bytes(&bytes, variants.len());
            let mut findings = Vec::new();
            if has_news {
                let now = host.now();
                rail.add_to(&mut window, &counts, now);
                findings = rail.judge(experiment, &mut window, now);
                match host.set_shared(&state.key, &window.to_bytes(), version) {
                    Ok(()) => counts.fill(Count::default()),
                    Err(CAS_MISMATCH) => continue,
                    Err(_) => return false,
                }
            }
            for finding in &findings {
                // Only who has written it gets here, so there is one line.
                host.log(Level::Warn, &event(plan, rail, experiment, finding, host));
            }
            self.take_over(rail, &window, state, host);
            return true;
        }
        // Busy: the next tick has it.
        true
    }

    fn take_over(&self, rail: &Guardrail, window: &Window, state: &Rail, host: &impl Metrics) {
        let news = window.tripped() & !state.known.get();
        if news == 0 {
            return;
        }
        state.known.set(window.tripped());
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

/// The line of the log. All texts are ids of the config.
fn event(
    plan: &Plan,
    rail: &Guardrail,
    experiment: &Experiment,
    finding: &Finding,
    host: &impl Clock,
) -> String {
    let metric = match rail.metric() {
        Metric::ServerErrors => "http_5xx_rate",
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
        ("requests", seen.requests),
        ("bad", seen.bad),
        ("control_requests", compared.requests),
        ("control_bad", compared.bad),
    ];
    for (name, number) in numbers {
        line.push_str(&format!(r#","{name}":{number}"#));
    }
    line.push('}');
    line
}
