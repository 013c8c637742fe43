//! What happened so far: the last decisions, and counts per variant since the config came into force.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Instant;

use proxy_wasm_host::{Headers, LogEntry};
use serde::{Deserialize, Serialize};
use splitway_engine::{
    Assignment, ChainId, Decision, ExperimentId, Plan, Reason, RequestView, Source, Step, Timestamp, Trace,
};

/// Decisions that the page shows.
const SHOWN: usize = 50;

/// Most units that are told apart per variant.
const MAX_UNITS: usize = 200_000;

/// What the engine in this command says about a request: why experiments were not entered (the
/// filter logs only the others), and the units behind pseudonyms.
pub(super) struct Decided {
    pub(super) at: Timestamp,
    headers: Headers,
    units: Vec<(ChainId, String)>,
    assignments: Vec<Assignment>,
    left_out: Vec<(ExperimentId, Reason)>,
}

#[derive(Default)]
struct Recorder {
    units: Vec<(ChainId, String)>,
    left_out: Vec<(ExperimentId, Reason)>,
}

impl Trace for Recorder {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Unit { chain, found: Some((_, unit)) } => self.units.push((chain, unit.to_owned())),
            Step::Outcome { experiment, reason, variant: None, .. } => {
                self.left_out.push((experiment, reason))
            }
            _ => {}
        }
    }
}

impl Decided {
    pub(super) fn new(plan: &Plan, headers: &Headers, at: Timestamp) -> Self {
        let pairs: Vec<(&[u8], &[u8])> = headers.iter().filter(|(name, _)| !plan.is_ours(name)).collect();
        let mut trace = Recorder::default();
        let mut decision = Decision::default();
        plan.decide_into(&RequestView::new(&pairs), at, &mut trace, &mut decision);
        Self {
            at,
            headers: headers.clone(),
            units: trace.units,
            assignments: decision.assignments.to_vec(),
            left_out: trace.left_out,
        }
    }

    /// The same with the unit that the filter minted, whose random bits only it knows: `cookie` is a `name=value`.
    pub(super) fn with_minted(self, plan: &Plan, cookie: Option<String>) -> Self {
        let Some(cookie) = cookie else { return self };
        // In front of what the client sent: of several, the first that is good counts.
        let mut headers = Headers::new();
        headers.add("cookie", cookie);
        for (name, value) in self.headers.iter() {
            headers.add(name, value);
        }
        Self::new(plan, &headers, self.at)
    }

    fn unit(&self, chain: ChainId) -> Option<u64> {
        let (_, unit) = self.units.iter().find(|(known, _)| *known == chain)?;
        let mut hasher = DefaultHasher::new();
        unit.hash(&mut hasher);
        Some(hasher.finish())
    }

    /// Whether the filter made these same assignments, as far as this command can know: not those that a guardrail
    /// changed, nor those of a unit that was minted for a client that left before it got the cookie.
    fn agrees(&self, plan: &Plan, entered: &[Entered]) -> bool {
        let is_told = |id: &&str| {
            let by_guardrail = |e: &Entered| e.experiment == *id && e.reason == Reason::Guardrail.as_str();
            let is_unknown = self.left_out.iter().any(|(experiment, reason)| {
                *reason == Reason::NoUnit
                    && plan.experiment(*experiment).is_some_and(|known| known.id() == *id)
            });
            !(entered.iter().any(by_guardrail) || is_unknown && mint(plan).is_some())
        };
        let own = self.assignments.iter().filter_map(|a| {
            let experiment = plan.experiment(a.experiment)?;
            Some((experiment.id(), experiment.variant(a.variant)?.id()))
        });
        let own = own.filter(|(id, _)| is_told(id));
        let theirs = entered.iter().map(|e| (e.experiment.as_str(), e.variant.as_str()));
        own.eq(theirs.filter(|(id, _)| is_told(id)))
    }
}

/// An experiment that the filter put the request into.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entered {
    pub(super) experiment: String,
    pub(super) variant: String,
    pub(super) reason: String,
}

/// The part of an exposure line that is shown.
#[derive(Deserialize)]
struct Exposure {
    event: String,
    #[serde(rename = "feature_flag.key")]
    experiment: String,
    #[serde(rename = "feature_flag.result.variant")]
    variant: String,
    #[serde(rename = "feature_flag.result.reason")]
    reason: String,
}

/// The assignments of a request: those of its stamp, which is there whatever is logged; without one, those that
/// exposure lines tell of. Reasons are the log's, else this command's own.
pub(super) fn entered(stamp: Option<&str>, decided: &Decided, plan: &Plan, log: &[LogEntry]) -> Vec<Entered> {
    let lines = log.iter().flat_map(|entry| entry.message.lines());
    let exposures = lines.filter_map(|line| serde_json::from_str::<Exposure>(line).ok());
    let ours = exposures.filter(|exposure| exposure.event == "feature_flag.evaluation");
    let logged: Vec<Entered> =
        ours.map(|e| Entered { experiment: e.experiment, variant: e.variant, reason: e.reason }).collect();
    let Some(stamp) = stamp else { return logged };
    let reason = |experiment: &str| {
        let told = logged.iter().find(|entered| entered.experiment == experiment);
        let own = || {
            let (id, _) = plan.find(experiment)?;
            let assignment = decided.assignments.iter().find(|assignment| assignment.experiment == id)?;
            Some(assignment.reason.as_str().to_owned())
        };
        told.map(|entered| entered.reason.clone()).or_else(own).unwrap_or_default()
    };
    // Ids have no comma, quote or `=`. What another Splitway in front has put there is no decision of this one.
    let members = stamp.split(", ").filter_map(|member| member.split_once('='));
    let ours = members.filter(|(experiment, _)| plan.find(experiment).is_some());
    ours.map(|(experiment, variant)| Entered {
        experiment: experiment.to_owned(),
        variant: variant.trim_matches('"').to_owned(),
        reason: reason(experiment),
    })
    .collect()
}

/// The name of the cookie that the config mints units in.
fn mint(plan: &Plan) -> Option<&str> {
    plan.chains().flatten().find_map(|source| match source {
        Source::Minted(cookie) => Some(&**cookie),
        _ => None,
    })
}

/// The cookie with a minted unit that a response sets, as `name=value`.
pub(super) fn minted(plan: &Plan, response: &Headers) -> Option<String> {
    let name = mint(plan)?;
    response.iter().filter(|(header, _)| *header == b"set-cookie").find_map(|(_, value)| {
        let cookie = std::str::from_utf8(value).ok()?.split(';').next()?;
        let value = cookie.strip_prefix(name)?.strip_prefix('=')?;
        (!value.is_empty()).then(|| cookie.to_owned())
    })
}

/// An experiment that the request is not in.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LeftOut {
    pub(super) experiment: String,
    pub(super) reason: &'static str,
}

/// One request, as it is printed and shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Record {
    pub(super) event: &'static str,
    pub(super) time: String,
    pub(super) method: String,
    pub(super) path: String,
    /// None if the client left before there was one.
    pub(super) status: Option<u16>,
    pub(super) experiments: Vec<Entered>,
    pub(super) left_out: Vec<LeftOut>,
    /// None if the proxy answered by itself.
    pub(super) cluster: Option<String>,
    /// The cluster that got a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copied_to: Option<String>,
    pub(super) duration_ms: f64,
    /// What went wrong, if anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// What is known of a request when it ends.
pub(super) struct Ended {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: Option<u16>,
    pub(super) cluster: Option<String>,
    pub(super) copied_to: Option<String>,
    pub(super) note: Option<String>,
    pub(super) started: Instant,
}

impl Record {
    pub(super) fn new(plan: &Plan, decided: &Decided, entered: Vec<Entered>, ended: Ended) -> Self {
        let left_out = decided.left_out.iter().filter_map(|(id, reason)| {
            let experiment = plan.experiment(*id)?.id().to_owned();
            let is_in = entered.iter().any(|entered| entered.experiment == experiment);
            (!is_in).then_some(LeftOut { experiment, reason: reason.as_str() })
        });
        let left_out = left_out.collect();
        Self {
            event: "request",
            time: decided.at.to_string(),
            method: ended.method,
            path: ended.path,
            status: ended.status,
            experiments: entered,
            left_out,
            cluster: ended.cluster,
            copied_to: ended.copied_to,
            duration_ms: (ended.started.elapsed().as_secs_f64() * 10_000.0).round() / 10.0,
            note: ended.note,
        }
    }
}

/// What one variant got.
#[derive(Default)]
pub(super) struct Count {
    pub(super) requests: u64,
    units: HashSet<u64>,
    /// Of `units`, those that came by their bucket and not by an override.
    split: HashSet<u64>,
}

impl Count {
    /// Different units.
    pub(super) fn units(&self) -> usize {
        self.units.len()
    }

    /// Different units that came by their bucket: those that planned shares are about.
    pub(super) fn split(&self) -> usize {
        self.split.len()
    }
}

/// A config that was refused after the start.
pub(super) struct Refused {
    pub(super) at: Timestamp,
    pub(super) problems: String,
}

/// Everything that the page shows besides the plan.
pub(super) struct Board {
    /// Rises with everything that changes what the page shows.
    pub(super) revision: u64,
    /// When the config in force came into force.
    pub(super) since: Timestamp,
    pub(super) reloads: u64,
    pub(super) refused: Option<Refused>,
    /// Newest first.
    pub(super) decisions: VecDeque<Record>,
    pub(super) requests: u64,
    counts: BTreeMap<(String, String), Count>,
    left_out: BTreeMap<(String, &'static str), u64>,
    is_disagreement_told: bool,
}

impl Board {
    pub(super) fn new(since: Timestamp) -> Self {
        Self {
            revision: 0,
            since,
            reloads: 0,
            refused: None,
            decisions: VecDeque::new(),
            requests: 0,
            counts: BTreeMap::new(),
            left_out: BTreeMap::new(),
            is_disagreement_told: false,
        }
    }

    /// A config came into force: counts of the one before say nothing about it.
    pub(super) fn reloaded(&mut self, now: Timestamp) {
        self.revision += 1;
        self.reloads += 1;
        self.since = now;
        self.refused = None;
        self.requests = 0;
        self.counts.clear();
        self.left_out.clear();
    }

    pub(super) fn refused(&mut self, now: Timestamp, problems: String) {
        self.revision += 1;
        self.refused = Some(Refused { at: now, problems });
    }

    /// Adds a request. `is_current` says that the config it was decided by is still in force.
    /// Gives true, once, if filter and engine did not decide alike.
    pub(super) fn add(&mut self, plan: &Plan, decided: &Decided, record: &Record, is_current: bool) -> bool {
        self.revision += 1;
        if is_current {
            self.count(plan, decided, record);
        }
        self.decisions.push_front(record.clone());
        self.decisions.truncate(SHOWN);
        let disagrees = !decided.agrees(plan, &record.experiments);
        disagrees && !std::mem::replace(&mut self.is_disagreement_told, true)
    }

    fn count(&mut self, plan: &Plan, decided: &Decided, record: &Record) {
        self.requests += 1;
        for entered in &record.experiments {
            let key = (entered.experiment.clone(), entered.variant.clone());
            let count = self.counts.entry(key).or_default();
            count.requests += 1;
            let assignment = plan.find(&entered.experiment).and_then(|(id, _)| {
                decided.assignments.iter().find(|assignment| assignment.experiment == id)
            });
            // An override without a unit counts as a request only.
            let Some((assignment, unit)) = assignment.and_then(|a| Some((a, decided.unit(a.chain)?))) else {
                continue;
            };
            if count.units.len() < MAX_UNITS {
                count.units.insert(unit);
                if assignment.reason == Reason::Split {
                    count.split.insert(unit);
                }
            }
        }
        for left_out in &record.left_out {
            *self.left_out.entry((left_out.experiment.clone(), left_out.reason)).or_default() += 1;
        }
    }

    pub(super) fn variant(&self, experiment: &str, variant: &str) -> Option<&Count> {
        self.counts.get(&(experiment.to_owned(), variant.to_owned()))
    }

    /// Why requests were not in an experiment, and how many.
    pub(super) fn left_out(&self, experiment: &str) -> Vec<(&'static str, u64)> {
        let all = self.left_out.iter().filter(|((known, _), _)| known == experiment);
        all.map(|((_, reason), count)| (*reason, *count)).collect()
    }
}
