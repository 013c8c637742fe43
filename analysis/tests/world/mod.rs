//! A month of exposures from the real engine, and of outcomes with known effect.
#![allow(dead_code, reason = "each program uses a part")]

use std::io::{Result, Write};
use std::path::PathBuf;

use splitway_analysis::ingest::{self, Lines};
use splitway_analysis::metric::{Columns, Metric};
use splitway_analysis::reduce::Tables;
use splitway_analysis::sql::Reduction;
use splitway_engine::{Document, NoTrace, Plan, RequestView, Served, Timestamp, compile, read_wire, wire};

pub(crate) const START: i64 = 1_795_219_200_000; // 2026-11-21T00:00:00Z
pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) const CONFIG: &str = r#"
version: 1
namespace: shop
unit: [{ header: x-user-id }]
exposure: { key: a-key-of-the-tests-only }
experiments:
  - id: button
    metrics: { primary: order_rate, secondary: [basket], guardrails: [http_5xx_rate] }
    analysis: { min_units_per_arm: 2000, minimum_detectable_effect: 0.1 }
    variants: [{ id: control, weight: 50 }, { id: big, weight: 50 }]
  - id: shipping
    metrics: { primary: order_rate, guardrails: [http_5xx_rate] }
    analysis: { min_units_per_arm: 2000, minimum_detectable_effect: 0.1 }
    variants: [{ id: control, weight: 50 }, { id: banner, weight: 50 }]
    overrides: { banner: [user-1, user-2] }
"#;

/// What happens in the month.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Points that `big` adds to the order rate of .2.
    pub(crate) lift: f64,
    /// `big` loses this share of its units' exposures.
    pub(crate) lost: f64,
    /// This share of units sees the other variant, too.
    pub(crate) contaminated: f64,
    /// Share of requests of `big` that fail; else 1 %.
    pub(crate) failing: Option<f64>,
    /// The log lacks three hours.
    pub(crate) has_gap: bool,
    /// This share of the log's lines names the other variant.
    pub(crate) mixed_up: f64,
}

/// SplitMix64 of a place: independent of the order in which it is asked.
pub(crate) fn random(unit: u32, what: u64) -> f64 {
    let mut z = (u64::from(unit) << 20 ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

pub(crate) fn other(variant: &str) -> &'static str {
    if variant == "control" { "big" } else { "control" }
}

/// What the proxy puts before a record in its log.
pub(crate) const PREFIX: &str = "[2026-11-21 00:00:00.000][7][info][wasm] [context.cc:1] wasm log splitway: ";

/// Writes log (each line begins with `prefix`) and outcomes (CSV; units as they are, or as the log shows them) of so many
/// units: two visits each, both experiments.
pub(crate) fn month(
    plan: &Plan,
    units: u32,
    faults: Faults,
    prefix: &str,
    is_shown: bool,
    log: &mut impl Write,
    outcomes: &mut impl Write,
) -> Result<()> {
    writeln!(outcomes, "time,unit,metric,value")?;
    for unit in 0..units {
        let name = format!("user-{unit}");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"x-user-id", name.as_bytes())];
        let view = RequestView::new(&headers);
        let first = START + (random(unit, 1) * 28.0 * DAY as f64) as i64;
        let mut is_big = false;
        let shown = if is_shown { plan.show_unit(&name).unwrap_or_default() } else { name.clone() };
        for visit in 0..2 {
            let now = first + visit * 2 * HOUR;
            let hour = (now - START) / HOUR;
            let decision = plan.decide(&view, Timestamp(now), &mut NoTrace);
            for assignment in &decision.assignments {
                let context = plan.context_id(&decision, assignment, &view);
                let experiment = plan.experiment(assignment.experiment).expect("the plan's own");
                let variant = experiment.variant(assignment.variant).expect("the plan's own").id();
                let is_ours = experiment.id() == "button";
                is_big |= is_ours && variant == "big";
                let fails = if variant == "big" { faults.failing.unwrap_or(0.01) } else { 0.01 };
                let status = if random(unit, 10 + visit as u64) < fails { 503 } else { 200 };
                // Log-normal around 20 ms.
                let spread = (-2.0 * (random(unit, 30 + visit as u64) + 1e-12).ln()).sqrt()
                    * (std::f64::consts::TAU * random(unit, 40 + visit as u64)).cos();
                let duration_ms = Some((20.0 * (0.5 * spread).exp()) as u64);
                let served = Served { status: Some(status), duration_ms, ..Served::default() };
                let exposure = plan.exposure(assignment, context.as_deref(), Timestamp(now), &served);
                let mut line = exposure.expect("all are exposed").to_json();
                if faults.has_gap && (300..303).contains(&hour) {
                    continue;
                }
                if is_ours {
                    if variant == "big" && random(unit, 3) < faults.lost {
                        continue;
                    }
                    let sees_both = visit == 1 && random(unit, 4) < faults.contaminated;
                    if sees_both || random(unit, 20 + visit as u64) < faults.mixed_up {
                        let named = |variant: &str| format!(r#""feature_flag.result.variant":"{variant}""#);
                        line = line.replace(&named(variant), &named(other(variant)));
                    }
                }
                writeln!(log, "{prefix}{line}")?;
            }
        }
        // The habit shows before and after; orders before the first exposure must not count.
        let habit = random(unit, 5);
        for (at, is_after) in [(first - DAY, false), (first + HOUR, true), (first + 20 * DAY, false)] {
            let rate = 0.3 * habit + 0.05 + if is_big && is_after { faults.lift } else { 0.0 };
            if random(unit, 6 + (at - first).unsigned_abs()) < rate {
                let value = 10.0 + 90.0 * habit;
                writeln!(outcomes, "{},{shown},order,{value:.2}", Timestamp(at))?;
            }
        }
    }
    Ok(())
}

pub(crate) fn metrics() -> Vec<Metric> {
    ["order_rate=any(order)", "basket=sum(order)/count(order)"]
        .map(|text| Metric::parse(text).expect("metrics"))
        .to_vec()
}

pub(crate) fn reduction() -> Reduction {
    let mut all = metrics();
    all.push(Metric::named("http_5xx_rate"));
    Reduction {
        columns: Columns::of(&all, true),
        window_ms: Some(7 * DAY),
        before_ms: 7 * DAY,
        tolerance_ms: 0,
        most_exposures: None,
        has_excluded: false,
        is_complete: false,
        last_ms: None,
    }
}

/// A config, and a folder for what it makes.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) config: wire::Config,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let document = Document::from_yaml(CONFIG).expect("a folder to write to");
        let folder = tempfile::tempdir().expect("a folder to write to");
        Self { plan: compile(&document).expect("a folder to write to"), config: read_wire(&document), folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes both as text, reads both into Parquet.
    pub(crate) fn ingest(&self, log: &str, outcomes: &str) -> (Lines, Lines) {
        let (text, csv) = (self.path("envoy.log"), self.path("outcomes.csv"));
        std::fs::write(&text, log).expect("a folder to write to");
        std::fs::write(&csv, outcomes).expect("a folder to write to");
        let quiet = &mut |_: u64, _: u64| {};
        let exposures = ingest::exposures(&[text], None, None, &self.path("e.parquet"), quiet)
            .expect("a folder to write to");
        let outcomes = ingest::outcomes(&[csv], Some(&self.plan), true, &self.path("o.parquet"), quiet)
            .expect("a folder to write to");
        (exposures, outcomes)
    }

    /// Of a month.
    pub(crate) fn month(&self, units: u32, faults: Faults) -> (Lines, Lines) {
        let mut log = b"[2026-11-21 00:00:00.000][1][info][main] starting\n".to_vec();
        let mut outcomes = Vec::new();
        month(&self.plan, units, faults, PREFIX, false, &mut log, &mut outcomes).expect("memory");
        self.ingest(&String::from_utf8_lossy(&log), &String::from_utf8_lossy(&outcomes))
    }

    pub(crate) fn tables(&self) -> Tables {
        Tables::open(&[self.path("e.parquet")], &[self.path("o.parquet")], &[]).expect("both tables")
    }
}
