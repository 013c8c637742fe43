//! A month of exposures from the real engine, with outcomes of known effect: faults are found, and none is invented.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use splitway_analysis::ingest::{self, Lines};
use splitway_analysis::integrity;
use splitway_analysis::judge::{Effect, Judgement, Method, Rules, Verdict, judge};
use splitway_analysis::metric::{Columns, Metric, Role};
use splitway_analysis::reduce::{self, Group, Tables};
use splitway_analysis::report::{Facts, page};
use splitway_analysis::sql::{Dialect, Reduction};
use splitway_engine::{Document, NoTrace, Plan, RequestView, Served, Timestamp, compile, read_wire, wire};

const UNITS: u32 = 10_000;
const START: i64 = 1_795_219_200_000; // 2026-11-21T00:00:00Z
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

const CONFIG: &str = r#"
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
struct Faults {
    /// Points that `big` adds to the order rate of .2.
    lift: f64,
    /// `big` loses this share of its units' exposures.
    lost: f64,
    /// This share of units sees the other variant, too.
    contaminated: f64,
    /// Share of requests of `big` that fail; else 1 %.
    failing: Option<f64>,
    /// The log lacks three hours.
    has_gap: bool,
    /// This share of the log's lines names the other variant.
    mixed_up: f64,
}

/// SplitMix64 of a place: independent of the order in which it is asked.
fn random(unit: u32, what: u64) -> f64 {
    let mut z = (u64::from(unit) << 20 ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn other(variant: &str) -> &'static str {
    if variant == "control" { "big" } else { "control" }
}

/// Log and outcomes (units as they are).
fn month(plan: &Plan, faults: Faults) -> (String, String) {
    let mut log = String::from("[2026-11-21 00:00:00.000][1][info][main] starting\n");
    let mut outcomes = String::from("time,unit,metric,value\n");
    for unit in 0..UNITS {
        let name = format!("user-{unit}");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"x-user-id", name.as_bytes())];
        let view = RequestView::new(&headers);
        let first = START + (random(unit, 1) * 28.0 * DAY as f64) as i64;
        let mut is_big = false;
        for visit in 0..2 {
            let now = first + visit * 2 * HOUR;
            let hour = (now - START) / HOUR;
            let decision = plan.decide(&view, Timestamp(now), &mut NoTrace);
            for assignment in &decision.assignments {
                let context = plan.context_id(&decision, assignment, &view);
                let experiment = plan.experiment(assignment.experiment).unwrap();
                let variant = experiment.variant(assignment.variant).unwrap().id();
                let is_ours = experiment.id() == "button";
                is_big |= is_ours && variant == "big";
                let fails = if variant == "big" { faults.failing.unwrap_or(0.01) } else { 0.01 };
                let status = if random(unit, 10 + visit as u64) < fails { 503 } else { 200 };
                let served = Served { status: Some(status), duration_ms: Some(20), ..Served::default() };
                let exposure =
                    plan.exposure(assignment, context.as_deref(), Timestamp(now), &served).unwrap();
                let mut line = exposure.to_json();
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
                writeln!(log, "[2026-11-21 00:00:00.000][7][info][wasm] wasm log splitway: {line}").unwrap();
            }
        }
        // The habit shows before and after; orders before the first exposure must not count.
        let habit = random(unit, 5);
        for (at, is_after) in [(first - DAY, false), (first + HOUR, true), (first + 20 * DAY, false)] {
            let rate = 0.3 * habit + 0.05 + if is_big && is_after { faults.lift } else { 0.0 };
            if random(unit, 6 + (at - first).unsigned_abs()) < rate {
                let value = 10.0 + 90.0 * habit;
                writeln!(outcomes, "{},{name},order,{value:.2}", Timestamp(at)).unwrap();
            }
        }
    }
    (log, outcomes)
}

struct World {
    plan: Plan,
    config: wire::Config,
    folder: tempfile::TempDir,
}

struct Found {
    all: BTreeMap<String, Judgement>,
    exposures: Lines,
    groups: Vec<Group>,
}

fn metrics() -> Vec<Metric> {
    ["order_rate=any(order)", "basket=sum(order)/count(order)"]
        .map(|text| Metric::parse(text).unwrap())
        .to_vec()
}

fn reduction() -> Reduction {
    let mut all = metrics();
    all.push(Metric::named("http_5xx_rate"));
    Reduction {
        columns: Columns::of(&all, true),
        window_ms: Some(7 * DAY),
        before_ms: 7 * DAY,
        most_exposures: None,
        has_excluded: false,
    }
}

impl World {
    fn new() -> Self {
        let document = Document::from_yaml(CONFIG).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { plan: compile(&document).unwrap(), config: read_wire(&document), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes both as text, reads both into Parquet.
    fn ingest(&self, log: &str, outcomes: &str) -> (Lines, Lines) {
        let (text, csv) = (self.path("envoy.log"), self.path("outcomes.csv"));
        std::fs::write(&text, log).unwrap();
        std::fs::write(&csv, outcomes).unwrap();
        let quiet = &mut |_: u64, _: u64| {};
        let exposures = ingest::exposures(&[text], None, &self.path("e.parquet"), quiet).unwrap();
        let outcomes = ingest::outcomes(&[csv], Some(&self.plan), &self.path("o.parquet"), quiet).unwrap();
        (exposures, outcomes)
    }

    fn analyze(&self, faults: Faults, method: Method) -> Found {
        let (log, outcomes) = month(&self.plan, faults);
        let (exposures, _) = self.ingest(&log, &outcomes);
        let tables = Tables::open(&[self.path("e.parquet")], &[self.path("o.parquet")], &[]).unwrap();
        let checked = integrity::check(&tables, &self.plan, None, false).unwrap();
        let groups = tables.reduce(&reduction()).unwrap();
        let rules = Rules::of(&self.plan, &self.config, &metrics(), &BTreeSet::new(), method);
        let all = rules.iter().map(|rules| {
            let own = checked.get(&rules.experiment).cloned();
            (rules.experiment.clone(), judge(rules, &groups, &reduction().columns, own))
        });
        Found { all: all.collect(), exposures, groups }
    }
}

#[track_caller]
fn is(found: &Judgement, verdict: Verdict, reason: &str) {
    assert_eq!(found.verdict, verdict, "{:?}", found.reasons);
    assert!(found.reasons.iter().any(|said| said.contains(reason)), "{reason}: {:?}", found.reasons);
}

#[test]
fn a_real_effect_is_shipped_and_none_is_invented_beside_it() {
    let world = World::new();
    let found = world.analyze(Faults { lift: 0.08, ..Faults::default() }, Method::Sequential);
    let button = &found.all["button"];
    is(button, Verdict::Ship, "got better");
    assert_eq!(button.treatment.as_deref(), Some("big"));
    let primary = button.metrics.iter().find(|metric| metric.role == Role::Primary).unwrap();
    let c = &primary.comparisons[0];
    assert!(c.sequential.contains(0.08) && c.fixed.interval.contains(0.08), "{c:?}");
    assert!(c.variance_removed > 0.001, "the habit explains some of it: {}", c.variance_removed);
    assert_eq!(c.series.len(), 28);
    let shipping = &found.all["shipping"];
    is(shipping, Verdict::DoNotShip, "can be ruled out");
    assert!(shipping.metrics.iter().all(|m| m.comparisons.iter().all(|c| c.effect == Effect::Unclear)));
    // Two testers, twice each; the one line that is about nothing.
    assert_eq!(shipping.integrity.as_ref().unwrap().overrides, 4);
    assert_eq!(found.exposures.unrelated, 1);
    assert_eq!(found.exposures.malformed, 0);
    assert_eq!(found.exposures.records, u64::from(UNITS) * 4);
    for judgement in found.all.values() {
        let integrity = judgement.integrity.as_ref().unwrap();
        assert!(integrity.replayed > 19_000 && integrity.wrong_share() == 0.0, "{integrity:?}");
        assert_eq!(judgement.units_in_two_variants, 0.0);
        assert!(integrity.silent_hours.is_empty());
    }
}

#[test]
fn lost_exposures_of_one_arm_make_it_invalid() {
    let found =
        World::new().analyze(Faults { lift: 0.08, lost: 0.15, ..Faults::default() }, Method::Sequential);
    is(&found.all["button"], Verdict::Invalid, "planned shares");
    assert!(found.all["button"].sample_ratio.p_sequential.unwrap() < 0.001);
    assert_ne!(found.all["shipping"].verdict, Verdict::Invalid);
}

#[test]
fn contamination_makes_it_invalid() {
    let found = World::new().analyze(Faults { contaminated: 0.05, ..Faults::default() }, Method::Sequential);
    is(&found.all["button"], Verdict::Invalid, "more than one variant");
    let share = found.all["button"].units_in_two_variants / f64::from(UNITS);
    assert!((0.04..0.06).contains(&share), "{share}");
    assert_eq!(found.all["shipping"].units_in_two_variants, 0.0);
}

#[test]
fn a_log_of_another_split_makes_it_invalid() {
    let found = World::new().analyze(Faults { mixed_up: 0.005, ..Faults::default() }, Method::Sequential);
    is(&found.all["button"], Verdict::Invalid, "does not fit the config");
}

#[test]
fn a_broken_guardrail_stops_a_better_metric() {
    let faults = Faults { lift: 0.08, failing: Some(0.03), ..Faults::default() };
    is(
        &World::new().analyze(faults, Method::Sequential).all["button"],
        Verdict::DoNotShip,
        "http_5xx_rate got worse",
    );
}

#[test]
fn a_lost_log_is_noticed() {
    let found = World::new().analyze(Faults { has_gap: true, ..Faults::default() }, Method::Fixed);
    let silent = &found.all["button"].integrity.as_ref().unwrap().silent_hours;
    assert_eq!(*silent, [300, 301, 302].map(|hour| START / HOUR + hour));
    assert!(found.all["button"].remarks.iter().any(|said| said.contains("3 hours have no exposure")));
}

/// What one has to know to do the reduction by hand.
#[test]
fn the_reduction_counts_what_it_should() {
    let world = World::new();
    let exposure = |unit: &str, variant: &str, time: &str, reason: &str, status: u16| {
        format!(
            r#"{{"event":"feature_flag.evaluation","timestamp":"2026-11-{time}Z","feature_flag.key":"button","feature_flag.result.variant":"{variant}","feature_flag.result.reason":"{reason}","feature_flag.context.id":"{unit}","http.response.status_code":{status},"splitway.duration_ms":7}}"#
        )
    };
    let shown = |unit: &str| world.plan.show_unit(unit).unwrap();
    let (a, b, c) = (shown("a"), shown("b"), shown("c"));
    let log = [
        exposure(&a, "control", "21T10:00:00", "split", 200),
        exposure(&a, "control", "21T09:00:00", "split", 503),
        exposure(&b, "big", "21T12:00:00", "split", 200),
        exposure(&b, "control", "21T11:59:59", "split", 200),
        exposure(&c, "big", "22T12:00:00", "override", 200),
        exposure("", "big", "22T12:00:00", "split", 200),
        exposure(&c, "big", "22T12:00:00", "split", 200)[..90].to_owned(),
    ];
    let outcomes = "unit,time,metric,value\n\
        a,2026-11-21T09:00:00Z,order,5\n\
        a,2026-11-21T08:59:59Z,order,100\n\
        a,2026-11-28T09:00:00Z,order,1000\n\
        a,2026-11-28T08:59:59Z,order,7\n\
        b,2026-11-22T00:00:00Z,other,9\n\
        c,2026-11-22T13:00:00Z,order,9\n\
        b,never,order,1\n";
    let (lines, outcome_lines) = world.ingest(&log.join("\n"), outcomes);
    assert_eq!((lines.records, lines.without_unit, lines.malformed), (5, 1, 1));
    assert!(lines.examples[0].contains("envoy.log:7: "), "{:?}", lines.examples);
    assert_eq!((outcome_lines.records, outcome_lines.malformed), (6, 1));
    let tables = Tables::open(&[world.path("e.parquet")], &[world.path("o.parquet")], &[]).unwrap();
    let groups = tables.reduce(&reduction()).unwrap();
    // Both units' first exposure was to the control, on one day; c was an override.
    assert_eq!(groups.len(), 1, "{groups:?}");
    let group = &groups[0];
    assert_eq!((group.variant.as_str(), group.in_two, group.moments.count()), ("control", 1.0, 2.0));
    // any, sum, count of orders; errors, requests; then any, sum, count before.
    let sums: Vec<f64> = (0..8).map(|column| group.moments.mean(column) * 2.0).collect();
    assert_eq!(sums, [1.0, 12.0, 2.0, 1.0, 4.0, 1.0, 100.0, 1.0]);
    let excluded = Tables::open(&[world.path("e.parquet")], &[world.path("o.parquet")], &[a]).unwrap();
    let left = excluded.reduce(&Reduction { has_excluded: true, ..reduction() }).unwrap();
    assert_eq!(left[0].moments.count(), 1.0);
    let without_bots = tables.reduce(&Reduction { most_exposures: Some(1), ..reduction() }).unwrap();
    assert!(without_bots.is_empty());
}

/// DuckDB runs the printed query on the same Parquet; `cargo xtask test` installs it.
#[test]
fn duckdb_gives_the_same_numbers() {
    let Some(python) = duckdb() else {
        splitway_envoy::skip::skip(
            "duckdb_gives_the_same_numbers",
            "no DuckDB: cargo xtask setup installs it",
        );
        return;
    };
    let world = World::new();
    let found = world.analyze(Faults { lift: 0.08, contaminated: 0.01, ..Faults::default() }, Method::Fixed);
    let sql = reduction().sql(Dialect::DuckDb);
    let script = "import duckdb, sys
e, o, out, sql = sys.argv[1:]
duckdb.sql(f\"CREATE VIEW exposures AS FROM '{e}'\")
duckdb.sql(f\"CREATE VIEW outcomes AS FROM '{o}'\")
duckdb.sql(sql).write_csv(out, header=True)";
    let summary = world.path("summary.csv");
    let status = std::process::Command::new(python)
        .args(["-c", script])
        .args([world.path("e.parquet"), world.path("o.parquet"), summary.clone()])
        .arg(sql)
        .status()
        .unwrap();
    assert!(status.success());
    let theirs = reduce::summary(&summary, reduction().columns.len()).unwrap();
    assert_eq!(theirs.len(), found.groups.len());
    for (theirs, ours) in theirs.iter().zip(&found.groups) {
        assert_eq!(
            (&theirs.experiment, &theirs.variant, &theirs.segment, theirs.day, theirs.in_two),
            (&ours.experiment, &ours.variant, &ours.segment, ours.day, ours.in_two)
        );
        assert_eq!(theirs.moments.count(), ours.moments.count());
        for i in 0..reduction().columns.len() {
            let (a, b) = (theirs.moments.mean(i), ours.moments.mean(i));
            assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} {b}");
            let (a, b) = (theirs.moments.covariance(i, 0), ours.moments.covariance(i, 0));
            assert!((a - b).abs() <= 1e-8 * b.abs() + 1e-12, "{a} {b}");
        }
    }
}

/// The Python of `cargo xtask setup`.
fn duckdb() -> Option<PathBuf> {
    let python = splitway_envoy::tools::target_dir().unwrap().join("tools/duckdb/bin/python");
    let has_it = std::process::Command::new(&python).args(["-c", "import duckdb"]).output();
    has_it.is_ok_and(|output| output.status.success()).then_some(python)
}

/// The page that `splitway report` writes. It stays in `target/tmp/report.html`, to be looked at.
#[test]
fn the_report_says_it_all_and_needs_nothing_else() {
    let world = World::new();
    let found = world.analyze(Faults { lift: 0.08, lost: 0.0, ..Faults::default() }, Method::Sequential);
    let inputs = [("exposures: 1 record, 1 malformed".to_owned(), vec!["a.log:1: <script>".to_owned()])];
    let sql = reduction().sql(Dialect::DataFusion);
    let facts = Facts { config: world.plan.content_hash(), title: "shop", inputs: &inputs, sql: &sql };
    let experiments: Vec<Judgement> = found.all.into_values().collect();
    let html = page(&facts, &experiments);
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html"), &html).unwrap();
    for said in [
        "✓ SHIP",
        "✗ DO NOT SHIP",
        world.plan.content_hash(),
        "Sample ratio: p",
        "<svg",
        "Fieller",
        "a.log:1: &lt;script&gt;",
        "CUPED took",
    ] {
        assert!(html.contains(said), "{said}");
    }
    for foreign in ["http://", "https://", "<script", "src=", "url(", "NaN"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}
