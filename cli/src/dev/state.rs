//! What the page shows, as `/__splitway/state.json` gives it.

use std::collections::BTreeMap;

use serde::Serialize;
use splitway_engine::bucketing::BUCKETS;
use splitway_engine::{Experiment, Plan, Timestamp, wire};
use splitway_stats::srm::{self, goodness};

use super::App;
use super::board::{Board, Record};

/// Below this a split differs from its plan: the threshold of sample ratio checks.
const ALPHA: f64 = srm::ALPHA;

#[derive(Serialize)]
pub(super) struct State {
    /// Another one means that something else differs, too.
    pub(super) revision: u64,
    pub(super) config: ConfigState,
    pub(super) clusters: Vec<Cluster>,
    pub(super) requests: u64,
    pub(super) experiments: Vec<ExperimentState>,
    pub(super) decisions: Vec<Record>,
    /// The filter's own counters that are not zero.
    pub(super) counters: BTreeMap<String, u64>,
}

#[derive(Serialize)]
pub(super) struct ConfigState {
    pub(super) file: String,
    pub(super) version: String,
    pub(super) since: String,
    pub(super) reloads: u64,
    pub(super) kill_switch: bool,
    pub(super) refused: Option<RefusedState>,
    pub(super) warnings: String,
}

#[derive(Serialize)]
pub(super) struct RefusedState {
    pub(super) at: String,
    pub(super) problems: String,
}

#[derive(Serialize)]
pub(super) struct Cluster {
    pub(super) name: String,
    /// None for one that only the config names: it has no server.
    pub(super) url: Option<String>,
    pub(super) is_default: bool,
}

#[derive(Serialize)]
pub(super) struct ExperimentState {
    pub(super) id: String,
    pub(super) layer: String,
    pub(super) status: &'static str,
    /// Takes units now: status, schedule and kill switch allow it.
    pub(super) is_live: bool,
    /// Buckets of the layer, of 10,000, that are its own, and those of them that are active now.
    pub(super) owned_buckets: u32,
    pub(super) active_buckets: u32,
    pub(super) is_targeted: bool,
    pub(super) variants: Vec<VariantState>,
    /// Reason -> requests that were not in it.
    pub(super) left_out: BTreeMap<&'static str, u64>,
    /// How likely chance alone makes a split that is at least so uneven; none without units.
    pub(super) p: Option<f64>,
    pub(super) differs: bool,
}

#[derive(Serialize)]
pub(super) struct VariantState {
    pub(super) id: String,
    pub(super) is_control: bool,
    /// Share of the experiment's units, from 0 to 1.
    pub(super) planned: f64,
    /// The same as it came, of units that came by their bucket; none without any.
    pub(super) actual: Option<f64>,
    pub(super) units: usize,
    pub(super) requests: u64,
    pub(super) cluster: Option<String>,
}

impl State {
    pub(super) fn of(app: &App, now: Timestamp) -> Self {
        let running = app.running();
        let config = &running.config;
        let plan = &config.plan;
        let counters = running.counters().into_iter().collect();
        let board = app.board();
        let refused = board
            .refused
            .as_ref()
            .map(|refused| RefusedState { at: refused.at.to_string(), problems: refused.problems.clone() });
        Self {
            revision: board.revision,
            config: ConfigState {
                file: app.file.display().to_string(),
                version: plan.content_hash().to_owned(),
                since: board.since.to_string(),
                reloads: board.reloads,
                kill_switch: plan.is_killed(),
                refused,
                warnings: config.warnings(crate::style::Style::plain()),
            },
            clusters: clusters(app, plan),
            requests: board.requests,
            experiments: plan
                .experiments()
                .map(|(_, experiment)| experiment_state(plan, &config.wire, experiment, &board, now))
                .collect(),
            decisions: board.decisions.iter().cloned().collect(),
            counters,
        }
    }
}

fn clusters(app: &App, plan: &Plan) -> Vec<Cluster> {
    let default = app.upstreams.default();
    let named = app.upstreams.names().into_iter().chain(plan.clusters().into_iter().map(str::to_owned));
    let mut names = vec![default.to_owned()];
    for name in named {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let cluster = |name: String| Cluster {
        url: app.upstreams.authority(&name).map(|authority| format!("http://{authority}")),
        is_default: name == default,
        name,
    };
    names.into_iter().map(cluster).collect()
}

fn experiment_state(
    plan: &Plan,
    config: &wire::Config,
    experiment: &Experiment,
    board: &Board,
    now: Timestamp,
) -> ExperimentState {
    let id = experiment.id();
    let count = |variant: &str| board.variant(id, variant);
    let split = |variant: &str| count(variant).map_or(0, |count| count.split()) as f64;
    let shares = experiment.shares();
    let counts: Vec<f64> = experiment.variants().iter().map(|variant| split(variant.id())).collect();
    let total: f64 = counts.iter().sum();
    let expected: Vec<f64> = shares.iter().map(|share| share * total).collect();
    let found = goodness(&counts, &expected);
    let p = (found.degrees > 0.0 && total > 0.0).then_some(found.p);
    let control = experiment.variant(experiment.control()).map(|variant| variant.id());
    let variants = experiment.variants().iter().zip(&shares).zip(&counts);
    let variants = variants.map(|((variant, share), units)| VariantState {
        id: variant.id().to_owned(),
        is_control: control == Some(variant.id()),
        planned: *share,
        actual: (total > 0.0).then(|| units / total),
        units: count(variant.id()).map_or(0, |count| count.units()),
        requests: count(variant.id()).map_or(0, |count| count.requests),
        cluster: variant.cluster().map(str::to_owned),
    });
    let stated = config.experiments.iter().find(|stated| stated.id == id);
    ExperimentState {
        id: id.to_owned(),
        layer: plan.layer(experiment.layer()).map_or("", |layer| layer.id()).to_owned(),
        status: stated.and_then(|stated| stated.status).unwrap_or(wire::Status::Running).as_str(),
        is_live: !plan.is_killed() && experiment.is_live(now),
        owned_buckets: experiment.owned_buckets(),
        active_buckets: experiment.active_buckets(now).min(BUCKETS),
        is_targeted: experiment.is_targeted(),
        variants: variants.collect(),
        left_out: board.left_out(id).into_iter().collect(),
        differs: p.is_some_and(|p| p < ALPHA),
        p,
    }
}
