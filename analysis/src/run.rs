//! The whole analysis: from files and configs to a verdict for each experiment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use splitway_engine::{Experiment, Plan, wire};
use splitway_stats::group_sequential;

use crate::finding::Finding;
use crate::ingest::{self, Lines, visible};
use crate::judge::{Coded, Directions, Evidence, Judgement, Method, Rules, judge, unknown};
use crate::metric::{Cap, Columns, How, Metric, Role, Term};
use crate::reduce::{self, Tables, Unexposed};
use crate::sources::{self, EXPOSURES, OUTCOMES, check};
use crate::sql::{Dialect, Reduction};
use crate::{Error, integrity};

/// A config that decided exposures.
#[derive(Clone, Copy, Debug)]
pub struct Config<'r> {
    /// Its name for people, such as the file's.
    pub name: &'r str,
    /// As it is compiled. Units are matched by its pseudonyms, so it needs the exposure key where outcomes have raw units.
    pub plan: &'r Plan,
    /// As it is written.
    pub wire: &'r wire::Config,
}

/// Units that are left out.
#[derive(Clone, Debug)]
pub struct Excluded {
    /// The list's name for people, such as the file's.
    pub name: String,
    /// The units, as the log shows them.
    pub units: Vec<String>,
}

/// What is analysed, and how. Times are milliseconds.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// The config of the experiments.
    pub config: Config<'r>,
    /// Configs that decided earlier exposures, the first one first.
    pub older: Vec<Config<'r>>,
    /// Versions of the config whose exposures count without their config, or `any`.
    pub accepted_versions: Vec<String>,
    /// Logs or Parquet with exposures.
    pub exposures: Vec<PathBuf>,
    /// Outcomes: NDJSON, CSV or Parquet.
    pub outcomes: Vec<PathBuf>,
    /// The result of the reduction as CSV, in place of exposures and outcomes.
    pub summary: Option<PathBuf>,
    /// The outcomes have the units in the clear, and not as the log shows them.
    pub has_raw_units: bool,
    /// Definitions of metrics; one that the config names and this list lacks is the sum of the outcomes of its name.
    pub metrics: Vec<Metric>,
    /// Caps of metrics, by name.
    pub caps: Vec<(String, Cap)>,
    /// Directions of metrics, which go before the config's.
    pub directions: Directions,
    /// How long after a unit's first exposure its outcomes count; `None`: without end.
    pub window_ms: Option<i64>,
    /// How long before it the same outcomes are covariates (CUPED).
    pub before_ms: Option<i64>,
    /// How little before it outcomes count, too, because clocks differ.
    pub tolerance_ms: i64,
    /// Units whose window is not over at the last outcome are left out.
    pub is_complete: bool,
    /// The field of the exposures that divides units into segments.
    pub segment: Option<String>,
    /// The only experiment that is judged; `None`: all.
    pub experiment: Option<String>,
    /// Which intervals decide.
    pub method: Method,
    /// Units that are left out by name.
    pub excluded: Option<Excluded>,
    /// Units with more exposures in an experiment are left out as bots.
    pub most_exposures: Option<u64>,
    /// Malformed lines are an error and not counted.
    pub is_strict: bool,
}

impl<'r> Request<'r> {
    /// Returns a request about all experiments of `config` that names no data yet: intervals that hold at every look,
    /// outcomes without end, and a second of tolerance between clocks.
    #[must_use]
    pub fn new(config: Config<'r>) -> Self {
        Self {
            config,
            older: Vec::new(),
            accepted_versions: Vec::new(),
            exposures: Vec::new(),
            outcomes: Vec::new(),
            summary: None,
            has_raw_units: false,
            metrics: Vec::new(),
            caps: Vec::new(),
            directions: Directions::default(),
            window_ms: None,
            before_ms: None,
            tolerance_ms: 1000,
            is_complete: false,
            segment: None,
            experiment: None,
            method: Method::Sequential,
            excluded: None,
            most_exposures: None,
            is_strict: false,
        }
    }
}

/// What somebody who waits may be shown.
pub trait Watch {
    /// `done` of `of` bytes are read.
    fn read(&mut self, done: u64, of: u64);

    /// Everything is read.
    fn read_all(&mut self) {}

    /// A step without a known end begins.
    fn begin(&mut self, step: &'static str);

    /// The last such step has ended.
    fn end(&mut self) {}
}

/// Nobody waits.
impl Watch for () {
    fn read(&mut self, _: u64, _: u64) {}

    fn begin(&mut self, _: &'static str) {}
}

/// The result of [`run`].
#[derive(Debug, Serialize)]
pub struct Analysis {
    /// Content hash of the config.
    pub config: String,
    /// What was read as text; absent for Parquet and summaries.
    pub exposures: Option<Lines>,
    /// What was read as text.
    pub outcomes: Option<Lines>,
    /// Outcomes of units that the log does not show; absent without outcomes.
    pub unexposed: Option<Unexposed>,
    /// One judgement for each experiment of the config that was asked for, in the config's order.
    #[serde(serialize_with = "with_findings")]
    pub experiments: Vec<Judgement>,
    /// Experiments of the log that the config does not have, with their units.
    pub unknown_experiments: BTreeMap<String, f64>,
}

impl Analysis {
    /// Returns what was read as text: a line each, with examples of what could not be used.
    #[must_use]
    pub fn inputs(&self) -> Vec<(String, &[String])> {
        let all = [("exposures", &self.exposures), ("outcomes", &self.outcomes)];
        let shown = all.into_iter().filter_map(|(what, lines)| {
            lines.as_ref().map(|lines| (format!("{what}: {lines}"), lines.examples.as_slice()))
        });
        shown.collect()
    }
}

/// Each judgement with the codes of its findings.
fn with_findings<S: Serializer>(judgements: &[Judgement], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct WithFindings<'j> {
        #[serde(flatten)]
        judgement: &'j Judgement,
        findings: Vec<Coded<'j>>,
    }
    to.collect_seq(
        judgements.iter().map(|judgement| WithFindings { judgement, findings: judgement.findings() }),
    )
}

/// Analyses what `request` names, and reports progress to `watch`.
///
/// # Errors
/// [`Error::Request`] where the request contradicts itself, the config or the data, and the errors of reading and of
/// the query engine.
pub fn run(request: &Request<'_>, watch: &mut dyn Watch) -> Result<Analysis, Error> {
    Prepared::new(request)?.run(request, watch)
}

/// Returns the reduction of `request` as the SQL of `dialect`, for engines that have the data.
///
/// # Errors
/// [`Error::Request`] where the request contradicts itself or the config.
pub fn query(request: &Request<'_>, dialect: Dialect) -> Result<String, Error> {
    Ok(Prepared::new(request)?.reduction.sql(dialect))
}

/// What the data are reduced to, and the rules that judge it.
struct Prepared {
    rules: Vec<Rules>,
    /// Those of all experiments, each once.
    metrics: Vec<Metric>,
    reduction: Reduction,
}

impl Prepared {
    fn new(request: &Request<'_>) -> Result<Self, Error> {
        let wrong = |problem: String| Err(Error::Request(problem));
        let Request { config, directions, method, caps, .. } = request;
        let cap_of = |name: &str| caps.iter().find(|(known, _)| known == name).map(|(_, cap)| *cap);
        for (at, metric) in request.metrics.iter().enumerate() {
            if request.metrics.iter().take(at).any(|other| other.name == metric.name) {
                return wrong(format!("--metric {} is given twice", metric.name));
            }
        }
        for (at, (name, _)) in caps.iter().enumerate() {
            if caps.iter().take(at).any(|(known, _)| known == name) {
                return wrong(format!("--cap {name}: the metric has a cap already"));
            }
        }
        if let Method::Planned { spending, looks } = method {
            group_sequential::bounds(*spending, looks, 0.05)
                .map_err(|error| Error::Request(format!("--looks: {error}")))?;
        }
        let mut rules = Rules::for_plan(config.plan, config.wire, &request.metrics, directions, method);
        for (metric, _) in rules.iter_mut().flat_map(|rules| &mut rules.metrics) {
            metric.cap = cap_of(&metric.name);
        }
        if let Some(id) = &request.experiment {
            rules.retain(|rules| rules.experiment == *id);
            if rules.is_empty() {
                return wrong(format!("no experiment `{id}` in the config"));
            }
        }
        let mut metrics: Vec<Metric> = Vec::new();
        for (metric, _) in rules.iter().flat_map(|rules| &rules.metrics) {
            if !metrics.contains(metric) {
                metrics.push(metric.clone());
            }
        }
        for name in directions.lower.iter().chain(&directions.higher) {
            if !metrics.iter().any(|metric| metric.name == *name) {
                let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
                return wrong(format!("no metric is called `{name}`; there are {}", names.join(", ")));
            }
        }
        for (name, _) in caps {
            match metrics.iter().find(|metric| metric.name == *name) {
                None => return wrong(format!("--cap: no metric is called `{name}`")),
                Some(metric) if metric.quantile.is_some() || metric.is_event() => {
                    return wrong(format!(
                        "--cap: {name} is a quantile or counts at most one event, so that no large value decides it; \
                         expected a sum, a count or a mean"
                    ));
                }
                Some(_) => {}
            }
        }
        for rules in &mut rules {
            names_are_known(rules, config.wire)?;
            rules.tuned_for = tuned_for(rules, request);
            shares_are_kept(rules, &request.older)?;
        }
        let reduction = Reduction {
            columns: Columns::of(&metrics, request.before_ms.is_some()),
            window_ms: request.window_ms,
            before_ms: request.before_ms.unwrap_or_default(),
            tolerance_ms: request.tolerance_ms,
            most_exposures: request.most_exposures,
            has_excluded: request.excluded.is_some(),
            is_complete: request.is_complete,
            last_ms: None,
        };
        Ok(Self { rules, metrics, reduction })
    }

    fn run(&self, request: &Request<'_>, watch: &mut dyn Watch) -> Result<Analysis, Error> {
        let plan = request.config.plan;
        let mut analysis = Analysis {
            config: plan.content_hash().to_owned(),
            exposures: None,
            outcomes: None,
            unexposed: None,
            experiments: Vec::new(),
            unknown_experiments: BTreeMap::new(),
        };
        let (mut checked, mut names, mut foreign) = (None, None, 0);
        let mut quantiles = Vec::new();
        let groups = if let Some(summary) = &request.summary {
            reduce::summary(summary, &self.reduction)?
        } else if request.exposures.is_empty() {
            return Err(Error::Request(
                "nothing to analyse: neither --exposures nor --from-summary is given".to_owned(),
            ));
        } else {
            let folder = tempfile::tempdir().map_err(Error::file(Path::new("a temporary folder")))?;
            let tables = self.open(request, folder.path(), &mut analysis, watch)?;
            foreign = tables.foreign();
            watch.begin("comparing the log with the config");
            let plans: Vec<&Plan> =
                std::iter::once(plan).chain(request.older.iter().map(|older| older.plan)).collect();
            let (most, has_excluded) = (request.most_exposures, self.reduction.has_excluded);
            checked = Some(integrity::check(&tables, &plans, most, has_excluded)?);
            names = Some(tables.outcomes()?);
            if !request.outcomes.is_empty() {
                watch.begin("looking for units that were never exposed");
                analysis.unexposed = Some(tables.unexposed()?);
            }
            watch.begin("looking for quantiles");
            quantiles = tables.quantiles(&self.reduction, &self.metrics)?;
            watch.begin("adding up units");
            let groups = tables.reduce(&self.reduction)?;
            watch.end();
            groups
        };
        let evidence = Evidence {
            groups: &groups,
            columns: self.reduction.columns.clone(),
            quantiles: &quantiles,
            outcomes: names.as_ref(),
            integrity: checked.as_ref(),
        };
        analysis.experiments.extend(self.rules.iter().map(|rules| judge(rules, &evidence)));
        for found in &mut analysis.experiments {
            if foreign > 0 {
                found.remarks.push(Finding::ForeignExposures { exposures: foreign }.into());
            }
            let excludes_nobody =
                found.integrity.as_ref().is_some_and(|integrity| integrity.excluded_units == 0);
            if request.excluded.is_some() && excludes_nobody {
                found.remarks.push(Finding::NoneExcluded.into());
            }
        }
        if request.experiment.is_none() {
            analysis.unknown_experiments = unknown(&self.rules, &groups);
        }
        Ok(analysis)
    }

    /// Reads exposures and outcomes, and opens them as tables.
    fn open(
        &self,
        request: &Request<'_>,
        folder: &Path,
        analysis: &mut Analysis,
        watch: &mut dyn Watch,
    ) -> Result<Tables, Error> {
        sources::each_once(&request.exposures)?;
        sources::each_once(&request.outcomes)?;
        let plan = request.config.plan;
        let older = request.older.iter().map(|older| older.plan.content_hash());
        let accepted = request.accepted_versions.iter().map(String::as_str);
        let versions: Vec<&str> = std::iter::once(plan.content_hash()).chain(older).chain(accepted).collect();
        let versions = (!versions.contains(&"any")).then_some(&*versions);
        let segment = request.segment.as_deref();
        let is_ready = |path: &Path| ingest::are_ready_exposures(path, segment);
        let to = folder.join("exposures.parquet");
        let (exposures, lines) = sources::parquet(&request.exposures, &to, is_ready, |files, to| {
            ingest::exposures(files, segment, versions, to, &mut |done, of| watch.read(done, of))
        })?;
        // What was compacted before has records of all versions.
        let compacted = versions.filter(|_| lines.is_none() || exposures.len() > 1);
        analysis.exposures = lines;
        let shown_by = request.has_raw_units.then_some(plan);
        let is_ready = |path: &Path| ingest::are_ready_outcomes(path, shown_by);
        let to = folder.join("outcomes.parquet");
        let (outcomes, lines) = sources::parquet(&request.outcomes, &to, is_ready, |files, to| {
            ingest::outcomes(files, shown_by, plan.mints(), to, &mut |done, of| watch.read(done, of))
        })?;
        analysis.outcomes = lines;
        watch.read_all();
        for (expected, lines) in [(&EXPOSURES, &analysis.exposures), (&OUTCOMES, &analysis.outcomes)] {
            lines.iter().try_for_each(|lines| check(expected, request.is_strict, lines))?;
        }
        if let Some(lines) = &analysis.outcomes {
            self.values_given(lines)?;
        }
        let mut excluded =
            request.excluded.as_ref().map(|excluded| excluded.units.clone()).unwrap_or_default();
        // An empty list still makes the table that the query names.
        if request.excluded.is_some() && excluded.is_empty() {
            excluded.push(String::new());
        }
        match compacted {
            Some(versions) => Tables::open_versions(&exposures, &outcomes, &excluded, versions),
            None => Tables::open(&exposures, &outcomes, &excluded),
        }
    }

    /// Refuses to add up outcomes that have no value: each would be 1.
    fn values_given(&self, lines: &Lines) -> Result<(), Error> {
        for metric in &self.metrics {
            let adds = |term: &Term| {
                term.how == How::Sum && lines.without_value.get(&term.outcome).is_some_and(|count| *count > 0)
            };
            // A quantile is of the values, too.
            let term = std::iter::once(&metric.numerator).chain(&metric.denominator).find(|term| adds(term));
            if let Some(term) = term {
                let outcome = visible(&term.outcome);
                return Err(Error::Request(format!(
                    "{}: {} outcomes `{outcome}` have no `value` to add up: give each one, or count them by --metric \
                     '{}=count({outcome})' or any({outcome})",
                    metric.name,
                    lines.without_value.get(&term.outcome).copied().unwrap_or_default(),
                    metric.name,
                )));
            }
        }
        Ok(())
    }
}

/// Units an arm that the experiment's intervals are made for: those of the first config that has it.
fn tuned_for(rules: &Rules, request: &Request<'_>) -> u64 {
    let first = request.older.iter().find(|older| older.plan.find(&rules.experiment).is_some());
    let before = first.and_then(|older| {
        let all = Rules::for_plan(older.plan, older.wire, &[], &Directions::default(), &request.method);
        all.into_iter().find(|before| before.experiment == rules.experiment)
    });
    before.map_or(rules.tuned_for, |before| before.min_units)
}

/// Refuses to judge units of a config with other shares as one experiment with those of this one.
fn shares_are_kept(rules: &Rules, older: &[Config<'_>]) -> Result<(), Error> {
    let changed = older.iter().find(|older| {
        let before = older.plan.find(&rules.experiment);
        before.is_some_and(|(_, before)| !has_shares(before, &rules.shares))
    });
    match changed {
        None => Ok(()),
        Some(older) => Err(Error::Request(format!(
            "{}: {} has other shares there than in --config, so that units of both cannot be judged as one experiment: \
             analyse the exposures since the change alone",
            older.name, rules.experiment
        ))),
    }
}

/// Refuses names in an experiment's statements that none of its metrics has: a limit that is passed over protects nothing.
fn names_are_known(rules: &Rules, config: &wire::Config) -> Result<(), Error> {
    let Some(experiment) = config.experiments.iter().find(|stated| stated.id == rules.experiment) else {
        return Ok(());
    };
    let is_guardrail = |name: &str| {
        rules.metrics.iter().any(|(metric, role)| metric.name == name && *role == Role::Guardrail)
    };
    let wrong = |field: &str, name: &str, problem: &str| {
        Err(Error::Request(format!("{}: {field} names `{name}`, {problem}", rules.experiment)))
    };
    for (name, margin) in experiment.analysis.iter().flat_map(|stated| stated.non_inferiority_margins.iter())
    {
        if !is_guardrail(name) {
            return wrong("analysis.non_inferiority_margins", name, "which is none of its guardrails");
        }
        if *margin <= 0.0 {
            return wrong("analysis.non_inferiority_margins", name, "whose margin must be more than 0");
        }
    }
    if let Some(metrics) = &experiment.metrics {
        for (field, names) in [("lower", &metrics.lower_is_better), ("higher", &metrics.higher_is_better)] {
            let unknown = names.iter().find(|name| !rules.metrics.iter().any(|(m, _)| m.name == **name));
            if let Some(name) = unknown {
                return wrong(&format!("metrics.{field}_is_better"), name, "which is none of its metrics");
            }
        }
    }
    Ok(())
}

fn has_shares(experiment: &Experiment, shares: &[(String, f64)]) -> bool {
    let share = |id: &str| shares.iter().find(|(variant, _)| variant == id).map_or(0.0, |(_, share)| *share);
    let known = experiment.variants();
    known.iter().zip(experiment.shares()).all(|(v, planned)| (planned - share(v.id())).abs() < 1e-6)
        && shares.iter().all(|(id, share)| *share == 0.0 || known.iter().any(|v| v.id() == id))
}
