//! What the page shows, as `/__splitway/state.json` gives it.

use std::collections::BTreeMap;

use serde::Serialize;
use splitway_engine::bucketing::BUCKETS;
use splitway_engine::{Experiment, HoldoutId, Plan, Timestamp, wire};
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
    /// What the config says about it for people.
    pub(super) name: Option<String>,
    pub(super) hypothesis: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) team: Option<String>,
    pub(super) layer: String,
    pub(super) status: &'static str,
    /// Start and end of its schedule, as the config spells them.
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
    /// The next step of its ramp after now.
    pub(super) next_step: Option<RampState>,
    /// The holdouts of its layer.
    pub(super) holdouts: Vec<HoldoutState>,
    pub(super) guardrails: Vec<GuardrailState>,
    /// Takes units now: status, schedule and kill switch allow it.
    pub(super) is_live: bool,
    /// Buckets of the layer, of 10,000, that are its own, and those of them that are active now.
    pub(super) owned_buckets: u32,
    pub(super) active_buckets: u32,
    pub(super) is_targeted: bool,
    pub(super) variants: Vec<VariantState>,
    /// Requests that entered it since the config came into force.
    pub(super) requests: u64,
    /// Reason -> requests that were not in it.
    pub(super) left_out: BTreeMap<&'static str, u64>,
    /// How likely chance alone makes a split that is at least so uneven; none without units.
    pub(super) p: Option<f64>,
    pub(super) differs: bool,
}

#[derive(Serialize)]
pub(super) struct VariantState {
    pub(super) id: String,
    /// A variant without another beside it is no control.
    pub(super) is_control: bool,
    /// Share of the experiment's units, from 0 to 1.
    pub(super) planned: f64,
    /// The same as it came, of units that came by their bucket; none without any.
    pub(super) actual: Option<f64>,
    pub(super) units: usize,
    pub(super) requests: u64,
    pub(super) cluster: Option<String>,
    /// What a guardrail found out about it.
    pub(super) harm: Option<Harm>,
}

#[derive(Serialize)]
pub(super) struct RampState {
    pub(super) at: String,
    pub(super) traffic: String,
}

#[derive(Serialize)]
pub(super) struct HoldoutState {
    pub(super) id: String,
    /// Share of all units, from 0 to 1.
    pub(super) share: f64,
}

#[derive(Serialize)]
pub(super) struct GuardrailState {
    pub(super) metric: &'static str,
    pub(super) slower_than: Option<String>,
    pub(super) max_increase: Option<String>,
    pub(super) max: Option<String>,
    pub(super) action: &'static str,
    /// It switches the variant off; otherwise it only reports.
    pub(super) enforces: bool,
}

/// What a guardrail found out about a variant.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Harm {
    /// The variant is off.
    Tripped,
    /// The variant would be off if the guardrail enforced it.
    Observed,
}

impl State {
    pub(super) fn of(app: &App, now: Timestamp) -> Self {
        let running = app.running();
        let config = &running.config;
        let plan = &config.plan;
        let counters: BTreeMap<String, u64> = running.counters().into_iter().collect();
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
                .map(|(_, experiment)| {
                    experiment_state(plan, &config.wire, experiment, &board, &counters, now)
                })
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
    counters: &BTreeMap<String, u64>,
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
        is_control: experiment.variants().len() > 1 && control == Some(variant.id()),
        planned: *share,
        actual: (total > 0.0).then(|| units / total),
        units: count(variant.id()).map_or(0, |count| count.units()),
        requests: count(variant.id()).map_or(0, |count| count.requests),
        cluster: variant.cluster().map(str::to_owned),
        harm: harm(counters, id, variant.id()),
    });
    let variants: Vec<VariantState> = variants.collect();
    let stated = config.experiments.iter().find(|stated| stated.id == id);
    let schedule = stated.and_then(|stated| stated.schedule.as_ref());
    ExperimentState {
        id: id.to_owned(),
        name: stated.and_then(|stated| stated.name.clone()),
        hypothesis: stated.and_then(|stated| stated.hypothesis.clone()),
        owner: stated.and_then(|stated| stated.owner.clone()),
        team: stated.and_then(|stated| stated.team.clone()),
        start: schedule.and_then(|schedule| Some(schedule.start.as_ref()?.0.clone())),
        end: schedule.and_then(|schedule| Some(schedule.end.as_ref()?.0.clone())),
        next_step: stated.and_then(|stated| next_step(&stated.ramp, now)),
        holdouts: holdouts(plan, experiment),
        guardrails: stated
            .map(|stated| stated.guardrails.iter().map(guardrail).collect())
            .unwrap_or_default(),
        layer: plan.layer(experiment.layer()).map_or("", |layer| layer.id()).to_owned(),
        status: stated.and_then(|stated| stated.status).unwrap_or(wire::Status::Running).as_str(),
        is_live: !plan.is_killed() && experiment.is_live(now),
        owned_buckets: experiment.owned_buckets(),
        active_buckets: experiment.active_buckets(now).min(BUCKETS),
        is_targeted: experiment.is_targeted(),
        requests: variants.iter().map(|variant| variant.requests).sum(),
        variants,
        left_out: board.left_out(id).into_iter().collect(),
        differs: p.is_some_and(|p| p < ALPHA),
        p,
    }
}

/// The first step of a ramp that is still to come.
fn next_step(ramp: &[wire::RampStep], now: Timestamp) -> Option<RampState> {
    let timed = ramp.iter().filter_map(|step| Some((Timestamp::parse(&step.at.0)?, step)));
    let (_, step) = timed.filter(|(at, _)| *at > now).min_by_key(|(at, _)| *at)?;
    Some(RampState { at: step.at.0.clone(), traffic: step.traffic.0.clone() })
}

fn holdouts(plan: &Plan, experiment: &Experiment) -> Vec<HoldoutState> {
    let ids = plan.layer(experiment.layer()).map(|layer| layer.holdouts()).unwrap_or_default();
    let state = |id: &HoldoutId| {
        let (_, buckets) = plan.holdout(*id)?;
        Some(HoldoutState {
            id: plan.holdout_id(*id).to_owned(),
            share: f64::from(buckets) / f64::from(BUCKETS),
        })
    };
    ids.iter().filter_map(state).collect()
}

fn guardrail(stated: &wire::Guardrail) -> GuardrailState {
    let action = stated.action.unwrap_or(wire::GuardrailAction::Kill);
    GuardrailState {
        metric: stated.metric.as_str(),
        slower_than: stated.slower_than.as_ref().map(|period| period.0.clone()),
        max_increase: stated.max_increase.as_ref().map(|share| share.0.clone()),
        max: stated.max.as_ref().map(|share| share.0.clone()),
        action: action.as_str(),
        enforces: action == wire::GuardrailAction::Kill,
    }
}

/// The filter's gauges of a variant. Their names end in the namespace, unless it is the default one.
fn harm(counters: &BTreeMap<String, u64>, experiment: &str, variant: &str) -> Option<Harm> {
    let is_set = |gauge: &str| {
        let name = format!("splitway.{gauge}.experiment.{experiment}.variant.{variant}");
        let is_own = |rest: &str| rest.is_empty() || rest.starts_with(".namespace.");
        counters.keys().any(|known| known.strip_prefix(&name).is_some_and(is_own))
    };
    if is_set("guardrail_tripped") {
        return Some(Harm::Tripped);
    }
    is_set("guardrail_observed").then_some(Harm::Observed)
}
