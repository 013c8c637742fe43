//! Units get the same variants everywhere: ten configs with an experiment of every dialect, 100,000 random units,
//! decided by the engine as a library, by the edge build in workerd, by the compiled filter in wasmtime, and a sample of them
//! in a real Envoy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use proxy_wasm_host::{FilterModule, Host, LogLevel, Request, Route, UpstreamResponse};
use serde_json::{Value, json};
use splitway_engine::{Document, NoTrace, Plan, RequestView, Timestamp, compile};
use splitway_envoy::{Call, Client};
use splitway_scenarios::Config;
use splitway_scenarios::hosts::envoy::Envoy;
use splitway_scenarios::hosts::{Host as _, Request as Sent, Route as Table, Setup, Target};
use splitway_scenarios::wire::Upstream;
use splitway_workerd::{Worker, Workerd};

const CONFIGS: u64 = 10;
const UNITS: usize = 10_000;
/// Of those, in Envoy.
const SAMPLE: usize = 50;
/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600_000;

/// Answers with a line per unit: `experiment=variant:bucket` of each assignment.
const WORKER: &str = "
import { Splitway } from './pkg/workerd.js';

export default {
  async fetch(request) {
    const { config, units, now } = await request.json();
    const splitway = new Splitway(config);
    const line = (unit) =>
      splitway
        .decide({ method: 'GET', url: 'http://shop/', headers: new Map([['x-unit', unit]]) }, now)
        .map(({ experiment, variant, bucket }) => `${experiment}=${variant}:${bucket}`)
        .join(' ');
    return new Response(units.map(line).join('\\n'));
  },
};
";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// UUIDs, numbers, and texts of any alphabet.
    fn unit(&mut self) -> String {
        const ALPHABETS: [&str; 3] = ["abcXYZ019-_.@+=/%&", "äöüßéñøł", "漢字かな한국🦀𝄞עבר"];
        match self.below(4) {
            0 => format!("{:016x}-{:016x}", self.next(), self.next()),
            1 => self.next().to_string(),
            _ => (0..=self.below(40))
                .filter_map(|_| {
                    let letters = ALPHABETS[self.below(ALPHABETS.len())];
                    letters.chars().nth(self.below(letters.chars().count()))
                })
                .collect(),
        }
    }
}

/// Every dialect, with salts of the config's own.
fn config(number: u64) -> Value {
    let ends = |name: &str, total: u64| json!([{ "variant": "a", name: total / 3 }, { "variant": "b", name: total - number }]);
    let salt = |name: &str| format!("{name}-sälz-{number}");
    let dialects = json!({
        "eppo": { "salt": salt("e"), "ranges": [[[0, 3_000 + number]], [[5_000, 10_000]]] },
        "flagd": { "flag_key": salt("f"), "weights": [1, 1 + number] },
        "growthbook_v1": { "seed": salt("g"), "coverage": 0.9 },
        "growthbook_v2": { "seed": salt("h"), "weights": [0.3, 0.7] },
        "launchdarkly": { "flag_key": salt("l"), "salt": salt("s") },
        "optimizely": { "experiment_id": (1_000 + number).to_string(), "traffic_allocation": ends("end_of_range", 10_000) },
        "planout": { "experiment_salt": salt("x"), "parameter_salt": salt("p") },
        "split": { "seed": 7 * number, "sizes": [40, 60] },
        "splitway": { "salt": salt("w") },
        "statsig": { "config_salt": salt("c"), "rule_salt": salt("r"), "groups": ends("end", 1_000) },
        "unleash": { "group_id": salt("u"), "rollout": 80, "variant_weights": [300, 700] },
    });
    let experiments: Vec<Value> = dialects
        .as_object()
        .into_iter()
        .flatten()
        .map(|(dialect, parameters)| {
            let mut bucketing = parameters.clone();
            bucketing["dialect"] = json!(dialect);
            json!({
                "id": dialect,
                "traffic": format!("{}%", 100 - 5 * number),
                "bucketing": bucketing,
                "variants": [{ "id": "a" }, { "id": "b" }],
            })
        })
        .collect();
    json!({
        "version": 1,
        "namespace": format!("n{number}"),
        "unit": [{ "header": "x-unit" }],
        "holdouts": [{ "id": "global", "share": "3%" }],
        "experiments": experiments,
    })
}

/// The engine's decision: a line as the worker's, and the stamp.
fn engine(plan: &Plan, unit: &str) -> (String, String) {
    let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"x-unit", unit.as_bytes())];
    let decision = plan.decide(&RequestView::new(&headers), Timestamp(NOW), &mut NoTrace);
    let mut line = String::new();
    for assignment in &decision.assignments {
        let experiment = plan.experiment(assignment.experiment).expect("an experiment");
        let variant = experiment.variant(assignment.variant).expect("a variant");
        let blank = if line.is_empty() { "" } else { " " };
        write!(line, "{blank}{}={}:{}", experiment.id(), variant.id(), assignment.bucket).expect("a text");
    }
    (line, plan.stamp(&decision).unwrap_or_default().into_owned())
}

/// A scenario of one cluster.
fn setup(config: Value) -> Setup {
    let clusters = BTreeMap::from([("default".to_owned(), Upstream::default())]);
    let route = Table { target: Target::Cluster("default".to_owned()), ..Table::default() };
    Setup {
        wasm: None,
        config: Config::tree(config),
        environment: BTreeMap::new(),
        now: Timestamp(NOW),
        seed: 0,
        workers: 1,
        allow_underscores: true,
        clusters,
        routes: vec![route],
    }
}

fn request(unit: &str, number: usize) -> Sent {
    Sent {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: "shop".to_owned(),
        headers: vec![("x-unit".to_owned(), unit.as_bytes().to_vec())],
        body: None,
        number,
    }
}

#[test]
fn one_hundred_thousand_units_get_the_same_everywhere() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let workerd = Workerd::start(&Worker { main: WORKER, ..Worker::default() })?;
    let client = Client::http1(workerd.address());
    let module = FilterModule::from_file(&splitway_envoy::tools::filter_wasm()?)?;
    let mut envoy = Envoy::start(&splitway_envoy::tools::filter_wasm()?)?;
    let mut random = Random(7);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..CONFIGS {
        let tree = config(number);
        let config = tree.to_string();
        let plan = compile(&Document::from_json(config.as_bytes())?)?;
        let units: Vec<String> = (0..UNITS).map(|_| random.unit()).collect();

        let body = json!({ "config": config, "units": units, "now": NOW }).to_string();
        let answer = runtime.block_on(client.send(&Call::post("/").body(body)))?;
        ensure!(answer.status == 200, "{}\n{}", answer.text(), workerd.log());
        let text = answer.text();
        let at_edge: Vec<&str> = text.split('\n').collect();
        ensure!(at_edge.len() == UNITS, "{} lines", at_edge.len());

        let mut proxy = Host::builder(&module)
            .root_id("splitway")
            .log_level(LogLevel::Info)
            .now(UNIX_EPOCH + Duration::from_millis(NOW.unsigned_abs()))
            .upstream("default", |_| UpstreamResponse::status(200))
            .route(Route::any().to("default"))
            .configuration(&config)
            .start()?;
        for (unit, at_edge) in units.iter().zip(&at_edge) {
            let (line, stamp) = engine(&plan, unit);
            ensure!(line == *at_edge, "config {number}, {unit:?}: workerd has {at_edge}, the engine {line}");
            let exchange = proxy.send(Request::new("GET", "/").header("x-unit", unit))?;
            let upstream = exchange.upstream.last().context("no upstream was asked")?;
            let found = upstream.headers.text("x-splitway").unwrap_or_default();
            ensure!(found == stamp, "config {number}, {unit:?}: wasmtime has {found}, the engine {stamp}");
            seen.extend(line.split(' ').filter_map(|member| Some(member.split_once(':')?.0.to_owned())));
        }
        let (mut session, verdict) = envoy.open(&setup(tree))?;
        ensure!(verdict.is_accepted, "{:?}", verdict.log);
        for (index, unit) in units.iter().take(SAMPLE).enumerate() {
            let (_, stamp) = engine(&plan, unit);
            let exchange = session.send(&request(unit, index))?;
            let headers = exchange.upstream.context("no upstream was asked")?.headers;
            let found =
                headers.iter().find(|(name, _)| name == "x-splitway").map(|(_, value)| value.as_slice());
            ensure!(
                found.unwrap_or_default() == stamp.as_bytes(),
                "config {number}, {unit:?}: Envoy has {found:?}, the engine {stamp}"
            );
        }
    }
    // Nothing is the same only because nobody was in it.
    ensure!(seen.len() == 22, "{seen:?}");
    Ok(())
}
