//! `splitway analyze`, `report`, `compact`: from logs to a decision.

pub(crate) mod args;
mod options;

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use splitway_analysis::ingest::{self, Lines};
use splitway_analysis::judge::{
    Directions, Evidence, Judgement, Method, Rules, Verdict, judge, level, probability, unknown,
};
use splitway_analysis::metric::{Cap, Columns, How, Metric, Role, Term};
use splitway_analysis::reduce::{self, Tables, Unexposed};
use splitway_analysis::report::{self, Facts};
use splitway_analysis::sql::Reduction;
use splitway_analysis::{Error, integrity};
use splitway_engine::{Experiment, Plan, Secrets, read_wire, wire};
use splitway_stats::group_sequential;
use tempfile::NamedTempFile;

use crate::input::{self, Input};
use crate::outcome::{Exit, Failure, Outcome, print, print_answer};
use crate::style::Style;
use args::{Analyze, Compact, Data, Report};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// All that came out.
#[derive(Serialize)]
struct Analysis {
    config: String,
    /// Of what was read as text; absent for Parquet and summaries.
    exposures: Option<Lines>,
    outcomes: Option<Lines>,
    /// Outcomes of units that the log does not show; absent without outcomes.
    unexposed: Option<Unexposed>,
    experiments: Vec<Judgement>,
    /// In the log, but not in the config: their units.
    unknown_experiments: std::collections::BTreeMap<String, f64>,
}

pub(crate) fn analyze(args: &Analyze) -> Outcome {
    let setting = Setting::new(&args.data)?;
    if let Some(dialect) = args.dialect {
        return print(&setting.reduction.sql(dialect));
    }
    let analysis = setting.run(&args.data)?;
    if args.json {
        print_answer(&analysis)?;
    } else {
        print(analysis.text(Style::stdout()).trim_end())?;
    }
    Ok(analysis.exit())
}

pub(crate) fn report(args: &Report) -> Outcome {
    let data = &args.data;
    let lists = [data.exposures.as_slice(), &data.outcomes, std::slice::from_ref(&data.config)];
    let single = data.exclude.iter().chain(&data.from_summary);
    let place = Place::of(&args.out, lists.into_iter().flatten().chain(single))?;
    let setting = Setting::new(&args.data)?;
    let analysis = setting.run(&args.data)?;
    let facts = Facts {
        config: &analysis.config,
        title: setting.plan().namespace(),
        inputs: &analysis.inputs(),
        options: &options::of(&args.data),
        unknown: &analysis.unknown_experiments,
        sql: &setting.reduction.sql(splitway_analysis::sql::Dialect::DataFusion),
    };
    let page = report::page(&facts, &analysis.experiments);
    let failed = |error| Failure::Usage(format!("{}: {error}", args.out.display()));
    std::fs::write(place.path(), page).map_err(failed)?;
    place.keep()?;
    let count = analysis.experiments.len();
    let experiments = if count == 1 { "experiment" } else { "experiments" };
    print(&format!("{}: {count} {experiments}", args.out.display()))?;
    Ok(analysis.exit())
}

pub(crate) fn compact(args: &Compact) -> Outcome {
    let bar = bar();
    let mut progress = |done: u64, of: u64| show(&bar, done, of);
    let place = Place::of(&args.out, args.files.iter().chain(&args.config))?;
    // The config is there for the key by which it shows units.
    let secrets = Secrets::Required(&input::variable);
    let plan = |file| Ok::<_, Failure>(Input::read(file)?.plan_with(secrets)?.1);
    let plan = args.config.as_deref().map(plan).transpose()?;
    each_once(&args.files)?;
    let lines = if args.outcomes {
        let minted = plan.as_ref().is_some_and(Plan::mints);
        ingest::outcomes(&args.files, plan.as_ref(), minted, place.path(), &mut progress)?
    } else {
        ingest::exposures(&args.files, args.segment.as_deref(), None, place.path(), &mut progress)?
    };
    bar.finish_and_clear();
    check(if args.outcomes { &OUTCOMES } else { &EXPOSURES }, args.strict, &lines)?;
    place.keep()?;
    print(&format!("{}: {}", args.out.display(), summed(&lines)))
}

/// Where a file is written: beside the one that it becomes when all went well.
struct Place {
    to: PathBuf,
    file: NamedTempFile,
}

impl Place {
    /// Nothing that is read may be written.
    fn of<'f>(out: &Path, mut inputs: impl Iterator<Item = &'f PathBuf>) -> Result<Self, Failure> {
        let wrong = |problem: &str| Failure::Usage(format!("{}: {problem}", out.display()));
        // Through a link, the file that it leads to.
        let to = out.canonicalize().unwrap_or_else(|_| out.to_owned());
        if to.exists() && !to.is_file() {
            return Err(wrong("is there, and is not a file"));
        }
        if inputs.any(|input| input.canonicalize().is_ok_and(|input| input == to)) {
            return Err(wrong("is read, so it cannot be written: choose another name for --out"));
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".splitway-");
        // As any new file; a temporary one would be its owner's alone.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { to, file })
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    fn keep(self) -> Result<(), Failure> {
        let to = self.to.display();
        self.file
            .persist(&self.to)
            .map(drop)
            .map_err(|error| Failure::Usage(format!("{to}: {}", error.error)))
    }
}

/// What an analysis needs besides the data.
struct Setting {
    /// The config's, then older ones'.
    plans: Vec<Plan>,
    rules: Vec<Rules>,
    /// Of all experiments.
    metrics: Vec<Metric>,
    reduction: Reduction,
}

impl Setting {
    fn new(data: &Data) -> Result<Self, Failure> {
        // Raw units are matched with exposures by the pseudonym, so its key is needed.
        let secrets = if data.raw_units {
            Secrets::Required(&input::variable)
        } else {
            Secrets::Optional(&input::variable)
        };
        let (document, plan) = Input::read(&data.config)?.plan_with(secrets)?;
        let config = read_wire(&document);
        let metrics: Vec<Metric> =
            data.metric.iter().map(|text| Metric::parse(text)).collect::<Result<_, _>>()?;
        for (at, metric) in metrics.iter().enumerate() {
            if metrics[..at].iter().any(|other| other.name == metric.name) {
                return Err(Failure::Usage(format!("--metric {} is there twice", metric.name)));
            }
        }
        let mut metrics = metrics;
        let mut caps: Vec<(&str, Cap)> = Vec::new();
        for text in &data.cap {
            let wrong = |problem: &str| Failure::Usage(format!("--cap {text}: {problem}"));
            let (name, cap) =
                text.split_once('=').ok_or_else(|| wrong("expected NAME=p99 or NAME=NUMBER"))?;
            let cap = Cap::parse(cap).map_err(|error| wrong(&error.to_string()))?;
            if caps.iter().any(|(known, _)| *known == name.trim()) {
                return Err(wrong("the metric has a cap already"));
            }
            caps.push((name.trim(), cap));
        }
        for metric in &mut metrics {
            metric.cap = caps.iter().find(|(name, _)| *name == metric.name).map(|(_, cap)| *cap);
        }
        let directions = Directions {
            lower: data.lower_is_better.iter().cloned().collect(),
            higher: data.higher_is_better.iter().cloned().collect(),
        };
        let method = if data.fixed {
            Method::Fixed
        } else if data.looks.is_empty() {
            Method::Sequential
        } else {
            let spending = data.spending.into();
            group_sequential::bounds(spending, &data.looks, 0.05)
                .map_err(|error| Failure::Usage(format!("--looks: {error}")))?;
            Method::Planned { spending, looks: data.looks.clone() }
        };
        let mut rules = Rules::of(&plan, &config, &metrics, &directions, &method);
        for (metric, _) in rules.iter_mut().flat_map(|rules| &mut rules.metrics) {
            metric.cap = caps.iter().find(|(name, _)| *name == metric.name).map(|(_, cap)| *cap);
        }
        if let Some(id) = &data.experiment {
            rules.retain(|rules| rules.experiment == *id);
            if rules.is_empty() {
                return Err(Failure::Usage(format!("no experiment `{id}` in the config")));
            }
        }
        let mut all: Vec<Metric> = Vec::new();
        for (metric, _) in rules.iter().flat_map(|rules| &rules.metrics) {
            if !all.contains(metric) {
                all.push(metric.clone());
            }
        }
        for name in directions.lower.iter().chain(&directions.higher) {
            if !all.iter().any(|metric| metric.name == *name) {
                let names: Vec<&str> = all.iter().map(|metric| metric.name.as_str()).collect();
                let names = names.join(", ");
                return Err(Failure::Usage(format!("no metric is called `{name}`; there are {names}")));
            }
        }
        for (name, _) in &caps {
            match all.iter().find(|metric| metric.name == *name) {
                None => return Err(Failure::Usage(format!("--cap: no metric is called `{name}`"))),
                Some(metric) if metric.quantile.is_some() || metric.is_event() => {
                    return Err(Failure::Usage(format!(
                        "--cap: {name} is a quantile or counts at most one event, so that no large value decides it; expected \
                         a sum, a count or a mean"
                    )));
                }
                Some(_) => {}
            }
        }
        for rules in &rules {
            stated(rules, &config)?;
        }
        let mut older: Vec<Plan> = Vec::new();
        let mut stated_before: Vec<wire::Config> = Vec::new();
        for file in &data.older_config {
            let (document, plan) = Input::read(file)?.plan()?;
            older.push(plan);
            stated_before.push(read_wire(&document));
        }
        // The first config that has the experiment says what its intervals are made for.
        for rules in &mut rules {
            let first =
                older.iter().zip(&stated_before).find(|(plan, _)| plan.find(&rules.experiment).is_some());
            if let Some((plan, config)) = first {
                let first = Rules::of(plan, config, &[], &Directions::default(), &method);
                let first = first.into_iter().find(|first| first.experiment == rules.experiment);
                rules.tuned_for = first.map_or(rules.tuned_for, |first| first.min_units);
            }
        }
        for (file, older) in data.older_config.iter().zip(&older) {
            let changed = rules.iter().find(|rules| {
                let before = older.find(&rules.experiment);
                before.is_some_and(|(_, before)| !has_shares(before, &rules.shares))
            });
            if let Some(rules) = changed {
                return Err(Failure::Usage(format!(
                    "{}: {} has other shares there than in --config, so that units of both cannot be judged as one \
                     experiment: analyse the exposures since the change alone",
                    file.display(),
                    rules.experiment
                )));
            }
        }
        let reduction = Reduction {
            columns: Columns::of(&all, data.before.is_some()),
            window_ms: data.window,
            before_ms: data.before.unwrap_or_default(),
            tolerance_ms: data.clock_tolerance,
            most_exposures: data.max_exposures,
            has_excluded: data.exclude.is_some(),
            is_complete: data.complete_only,
            last_ms: None,
        };
        let plans = std::iter::once(plan).chain(older).collect();
        Ok(Self { plans, rules, metrics: all, reduction })
    }

    fn plan(&self) -> &Plan {
        &self.plans[0]
    }

    fn run(&self, data: &Data) -> Result<Analysis, Failure> {
        let mut analysis = Analysis {
            config: self.plan().content_hash().to_owned(),
            exposures: None,
            outcomes: None,
            unexposed: None,
            experiments: Vec::new(),
            unknown_experiments: Default::default(),
        };
        let (mut checked, mut names, mut foreign) = (None, None, 0);
        let mut quantiles = Vec::new();
        let groups = if let Some(summary) = &data.from_summary {
            reduce::summary(summary, &self.reduction)?
        } else if data.exposures.is_empty() {
            return Err(Failure::Usage(
                "nothing to analyse: neither --exposures nor --from-summary".to_owned(),
            ));
        } else {
            each_once(&data.exposures)?;
            each_once(&data.outcomes)?;
            let accepted = data.accept_version.iter().map(String::as_str);
            let versions: Vec<&str> = self.plans.iter().map(Plan::content_hash).chain(accepted).collect();
            let versions = (!versions.contains(&"any")).then_some(&*versions);
            let folder = tempfile::tempdir()?;
            let bar = bar();
            let segment = data.segment.as_deref();
            let is_ready = |path: &Path| ingest::are_ready_exposures(path, segment);
            let (exposures, lines) =
                parquet(&data.exposures, &folder.path().join("exposures.parquet"), is_ready, |files, to| {
                    ingest::exposures(files, segment, versions, to, &mut |done, of| show(&bar, done, of))
                })?;
            // What was compacted before has records of all versions.
            let compacted = versions.filter(|_| lines.is_none() || exposures.len() > 1);
            analysis.exposures = lines;
            let shown_by = data.raw_units.then_some(self.plan());
            let is_ready = |path: &Path| ingest::are_ready_outcomes(path, shown_by);
            let (outcomes, lines) =
                parquet(&data.outcomes, &folder.path().join("outcomes.parquet"), is_ready, |files, to| {
                    let minted = self.plan().mints();
                    ingest::outcomes(files, shown_by, minted, to, &mut |done, of| show(&bar, done, of))
                })?;
            analysis.outcomes = lines;
            bar.finish_and_clear();
            for (what, lines) in [(&EXPOSURES, &analysis.exposures), (&OUTCOMES, &analysis.outcomes)] {
                lines.iter().try_for_each(|lines| check(what, data.strict, lines))?;
            }
            let excluded = data.exclude.as_deref().map(excluded).transpose()?.unwrap_or_default();
            if let Some(lines) = &analysis.outcomes {
                self.values_given(lines)?;
            }
            // An empty list still makes the table that the query names.
            let excluded = if self.reduction.has_excluded && excluded.is_empty() {
                vec![String::new()]
            } else {
                excluded
            };
            let tables = match compacted {
                Some(versions) => Tables::open_versions(&exposures, &outcomes, &excluded, versions)?,
                None => Tables::open(&exposures, &outcomes, &excluded)?,
            };
            foreign = tables.foreign();
            let step = spinner();
            step.set_message("comparing the log with the config");
            checked = Some(integrity::check(
                &tables,
                &self.plans,
                data.max_exposures,
                self.reduction.has_excluded,
            )?);
            names = Some(tables.outcomes()?);
            if !data.outcomes.is_empty() {
                step.set_message("looking for units that were never exposed");
                analysis.unexposed = Some(tables.unexposed()?);
            }
            step.set_message("looking for quantiles");
            quantiles = tables.quantiles(&self.reduction, &self.metrics)?;
            step.set_message("adding up units");
            let groups = tables.reduce(&self.reduction)?;
            step.finish_and_clear();
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
        if foreign > 0 {
            let remark = format!(
                "{foreign} exposures of other versions of the config were left out of the Parquet files: name versions by \
                 --older-config or --accept-version"
            );
            analysis.experiments.iter_mut().for_each(|found| found.remarks.push(remark.clone()));
        }
        if data.exclude.is_some() {
            for found in &mut analysis.experiments {
                if found.integrity.as_ref().is_some_and(|integrity| integrity.excluded_units == 0) {
                    let remark = "no unit of --exclude is in the log: it names units as the log shows them";
                    found.remarks.push(remark.to_owned());
                }
            }
        }
        if data.experiment.is_none() {
            analysis.unknown_experiments = unknown(&self.rules, &groups);
        }
        Ok(analysis)
    }
}

impl Setting {
    /// Refuses to add up outcomes that have no value: each would be 1.
    fn values_given(&self, lines: &Lines) -> Result<(), Failure> {
        for metric in &self.metrics {
            let adds = |term: &Term| {
                term.how == How::Sum && lines.without_value.get(&term.outcome).is_some_and(|count| *count > 0)
            };
            // A quantile is of the values, too.
            let term = std::iter::once(&metric.numerator).chain(&metric.denominator).find(|term| adds(term));
            if let Some(term) = term {
                return Err(Failure::Usage(format!(
                    "{}: {} outcomes `{}` have no `value` to add up: give each one, or count them by \
                     --metric '{}=count({})' or any({})",
                    metric.name,
                    lines.without_value.get(&term.outcome).copied().unwrap_or_default(),
                    ingest::visible(&term.outcome),
                    metric.name,
                    ingest::visible(&term.outcome),
                    ingest::visible(&term.outcome),
                )));
            }
        }
        Ok(())
    }
}

/// Refuses a file that is given twice, under whatever names: all in it would count twice.
fn each_once(files: &[PathBuf]) -> Result<(), Failure> {
    for (at, file) in files.iter().enumerate() {
        let Some(before) = files[..at].iter().find(|before| is_same(before, file)) else { continue };
        let same =
            if before == file { String::new() } else { format!(" (the same as {})", before.display()) };
        return Err(Failure::Usage(format!("{}: is given twice{same}: leave one out", file.display())));
    }
    Ok(())
}

/// Whether two paths lead to one file or to files of the same content.
fn is_same(one: &Path, other: &Path) -> bool {
    if one == other
        || one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
    {
        return true;
    }
    let length = |path: &Path| path.metadata().ok().filter(|about| about.is_file()).map(|about| about.len());
    if length(one).is_none_or(|length| length == 0) || length(one) != length(other) {
        return false;
    }
    let (Ok(one), Ok(other)) = (File::open(one), File::open(other)) else { return false };
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (Ok(left), Ok(right)) = (one.fill_buf(), other.fill_buf()) else { return false };
        let count = left.len().min(right.len());
        if left[..count] != right[..count] {
            return false;
        }
        if count == 0 {
            return left.is_empty() && right.is_empty();
        }
        one.consume(count);
        other.consume(count);
    }
}

/// Refuses names in an experiment's statements that none of its metrics has: a limit that is passed over protects nothing.
fn stated(rules: &Rules, config: &wire::Config) -> Result<(), Failure> {
    let Some(experiment) = config.experiments.iter().find(|stated| stated.id == rules.experiment) else {
        return Ok(());
    };
    let is_guardrail = |name: &str| {
        rules.metrics.iter().any(|(metric, role)| metric.name == name && *role == Role::Guardrail)
    };
    let wrong = |field: &str, name: &str, problem: &str| {
        Err(Failure::Usage(format!("{}: {field} names `{name}`, {problem}", rules.experiment)))
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

/// What `is_ready` stays as it is; everything else is read into one file more.
fn parquet(
    files: &[PathBuf],
    to: &Path,
    is_ready: impl Fn(&Path) -> Result<bool, Error>,
    read: impl FnOnce(&[PathBuf], &Path) -> Result<Lines, Error>,
) -> Result<(Vec<PathBuf>, Option<Lines>), Failure> {
    let (mut ready, mut others) = (Vec::new(), Vec::new());
    for path in files {
        if is_ready(path)? { &mut ready } else { &mut others }.push(path.clone());
    }
    if others.is_empty() {
        return Ok((ready, None));
    }
    let lines = read(&others, to)?;
    ready.push(to.to_owned());
    Ok((ready, Some(lines)))
}

fn excluded(path: &Path) -> Result<Vec<String>, Failure> {
    let text = Input::read(path)?.text;
    let text = text.trim_start_matches('\u{feff}');
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// What a file should have been, for those who gave another.
struct Expected {
    name: &'static str,
    forms: &'static str,
    /// Without any there is nothing to say; outcomes may not be there yet.
    is_needed: bool,
}

const EXPOSURES: Expected = Expected {
    name: "exposures",
    forms: "records `{\"event\":\"feature_flag.evaluation\",…}` in lines of the proxy's log, of an access log, of OTLP JSON (one \
            batch a line, not indented), or alone",
    is_needed: true,
};

const OUTCOMES: Expected = Expected {
    name: "outcomes",
    forms: "NDJSON such as `{\"unit\":\"u1\",\"time\":\"2026-11-21T00:14:20Z\",\"metric\":\"order\",\"value\":20}`, or a file whose name \
            ends with .csv and whose first line is `unit,time,metric,value`",
    is_needed: false,
};

/// Refuses lines of which nothing was taken; with `--strict`, any that should have been taken and was not.
fn check(expected: &Expected, is_strict: bool, lines: &Lines) -> Result<(), Failure> {
    let Expected { name, forms, is_needed } = *expected;
    let shown = |problem: String| {
        let all = [problem, summed(lines)].into_iter().chain(lines.examples.iter().cloned());
        all.collect::<Vec<_>>().join("\n")
    };
    if lines.records == 0 && lines.without_unit > 0 {
        return Err(Failure::Usage(shown(format!(
            "no {name} with a unit: the requests had none, or the config did not say how units are shown, by \
             `exposure: {{ key: … }}` or `exposure: {{ unit: raw }}`"
        ))));
    }
    if lines.records == 0 && lines.foreign > 0 {
        return Err(Failure::Usage(shown(format!(
            "no {name} of this config: give the configs that decided them by --older-config FILE, or accept a version \
             by --accept-version"
        ))));
    }
    if lines.records == 0 && (is_needed || is_strict || lines.lines > 0) {
        return Err(Failure::Usage(shown(format!("no {name}: expected {forms}"))));
    }
    if lines.records > 0 && lines.without_segment == lines.records {
        return Err(Failure::Usage(shown(format!("no {name} with the field that --segment names"))));
    }
    if is_strict && lines.malformed > 0 {
        return Err(Failure::Problems(shown(format!("{name} with malformed lines"))));
    }
    Ok(())
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    let bar = ProgressBar::new(0);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Of work that has no known end.
fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, done: u64, of: u64) {
    bar.set_length(of);
    bar.set_position(done);
}

fn summed(lines: &Lines) -> String {
    let mut parts = vec![format!("{} records in {} lines", lines.records, lines.lines)];
    for (count, what) in [
        (lines.unrelated, "about other things"),
        (lines.elsewhere, "with the text of a record where Splitway writes none (left out)"),
        (lines.malformed, "malformed"),
        (lines.without_unit, "without a unit"),
        (lines.without_segment, "without the field of --segment"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if lines.foreign > 0 {
        let versions: Vec<&str> = lines.foreign_versions.iter().map(String::as_str).collect();
        parts.push(format!(
            "{} of other versions of the config left out ({})",
            lines.foreign,
            versions.join(", ")
        ));
    }
    let counted: u64 = lines.without_value.values().sum();
    if counted > 0 {
        parts.push(format!("{counted} without a value, counted as 1 each"));
    }
    parts.join(", ")
}

impl Analysis {
    /// Exit 1 where something is not to be shipped, or not to be believed.
    fn exit(&self) -> Exit {
        let is_bad = |found: &Judgement| matches!(found.verdict, Verdict::Invalid | Verdict::DoNotShip);
        if self.experiments.iter().any(is_bad) { Exit::Problems } else { Exit::Fine }
    }

    fn inputs(&self) -> Vec<(String, Vec<String>)> {
        let mut inputs = Vec::new();
        for (what, lines) in [("exposures", &self.exposures), ("outcomes", &self.outcomes)] {
            if let Some(lines) = lines {
                inputs.push((format!("{what}: {}", summed(lines)), lines.examples.clone()));
            }
        }
        inputs
    }

    fn text(&self, style: Style) -> String {
        let mut text = format!("config {}\n", self.config);
        for (input, examples) in self.inputs() {
            text.push_str(&format!("{input}\n"));
            for example in examples {
                text.push_str(&format!("  {}\n", style.yellow(&example)));
            }
        }
        if let Some(Unexposed { outcomes, units }) = self.unexposed.filter(|found| found.outcomes > 0) {
            text.push_str(&format!(
                "{outcomes} outcomes are of {units} units that the exposures do not show: left out\n"
            ));
        }
        for (experiment, units) in &self.unknown_experiments {
            let experiment = ingest::visible(experiment);
            text.push_str(&format!("{experiment} is not in the config: {units} units passed over\n"));
        }
        for found in &self.experiments {
            text.push('\n');
            text.push_str(&judgement(found, style));
        }
        text
    }
}

fn judgement(found: &Judgement, style: Style) -> String {
    let verdict = match found.verdict {
        Verdict::Ship => style.green(found.verdict.as_str()),
        Verdict::Inconclusive => style.yellow(found.verdict.as_str()),
        Verdict::DoNotShip | Verdict::Invalid => style.red(found.verdict.as_str()),
    };
    let about = found.treatment.as_ref().map_or(String::new(), |treatment| format!(" ({treatment})"));
    let mut text = format!("{}: {verdict}{about}\n", style.bold(&found.experiment));
    for reason in &found.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    for remark in &found.remarks {
        text.push_str(&format!("  note: {remark}\n"));
    }
    for arm in &found.arms {
        text.push_str(&format!(
            "  {:<20} {:>10} units, {:.2}% (planned {:.2}%)\n",
            arm.variant,
            arm.units,
            arm.observed * 100.0,
            arm.planned * 100.0
        ));
    }
    if let Some(p) = found.sample_ratio.p {
        let sequential = found
            .sample_ratio
            .p_sequential
            .map_or(String::new(), |p| format!(", at every look {}", probability(p)));
        text.push_str(&format!("  sample ratio p = {}{sequential}\n", probability(p)));
    }
    text.push_str(&format!("  {} % intervals that hold {}\n", level(found.alpha), found.method.holds()));
    for metric in &found.metrics {
        let role = format!("{:?}", metric.role).to_lowercase();
        if let Some(problem) = &metric.problem {
            text.push_str(&format!("  {role} {}: {problem}\n", metric.name));
        }
        for unmeasured in &metric.unmeasured {
            let line =
                format!("  {role} {} of {}: {}\n", metric.name, unmeasured.treatment, unmeasured.problem);
            text.push_str(&line);
        }
        for c in &metric.comparisons {
            let relative = c.fixed.relative.map_or(String::new(), |r| format!(" ({:+.2}%)", r * 100.0));
            text.push_str(&format!(
                "  {role} {} of {}: {:+.5}{relative}, interval {:+.5} to {:+.5}, p = {}{}\n",
                metric.name,
                c.treatment,
                c.fixed.absolute,
                c.interval.low,
                c.interval.high,
                probability(c.p),
                c.p_adjusted.map_or(String::new(), |p| format!(", of all secondary ones {}", probability(p)))
            ));
        }
    }
    text
}
