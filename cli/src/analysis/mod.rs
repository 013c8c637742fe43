//! `splitway analyze`, `report`, `compact`: from logs to a decision.

pub(crate) mod args;

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use splitway_analysis::judge::{Directions, Judgement, Method, Verdict, level, probability};
use splitway_analysis::metric::{Cap, Metric};
use splitway_analysis::reduce::Unexposed;
use splitway_analysis::sources::{EXPOSURES, OUTCOMES, check, each_once};
use splitway_analysis::{Analysis, Config, Error, Excluded, Request, Watch, ingest};
use splitway_engine::{Plan, Secrets, read_wire, wire};
use tempfile::NamedTempFile;

use crate::input::{self, Input};
use crate::outcome::{Exit, Failure, Outcome, print, print_answer};
use crate::plural::counted;
use crate::style::Style;
use args::{Analyze, Compact, Data, Report};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Malformed(problem) => Self::Problems(problem),
            error => Self::Usage(error.to_string()),
        }
    }
}

pub(crate) fn analyze(args: &Analyze) -> Outcome {
    let configs = Configs::read(&args.data)?;
    let request = configs.request(&args.data)?;
    if let Some(dialect) = args.dialect {
        return print(&splitway_analysis::query(&request, dialect)?);
    }
    let analysis = splitway_analysis::run(&request, &mut Bars::default())?;
    if args.json {
        print_answer(&analysis)?;
    } else {
        print(text(&analysis, Style::stdout()).trim_end())?;
    }
    Ok(exit(&analysis))
}

pub(crate) fn report(args: &Report) -> Outcome {
    let data = &args.data;
    let lists = [data.exposures.as_slice(), &data.outcomes, std::slice::from_ref(&data.config)];
    let single = data.exclude.iter().chain(&data.from_summary);
    let place = Place::new(&args.out, lists.into_iter().flatten().chain(single))?;
    let configs = Configs::read(&args.data)?;
    let request = configs.request(&args.data)?;
    let analysis = splitway_analysis::run(&request, &mut Bars::default())?;
    let page = splitway_analysis::report::page(&request, &analysis)?;
    let failed = |error| Failure::Usage(format!("{}: {error}", args.out.display()));
    std::fs::write(place.path(), page).map_err(failed)?;
    place.keep()?;
    let experiments = counted(analysis.experiments.len(), "experiment");
    print(&format!("{}: {experiments}", args.out.display()))?;
    Ok(exit(&analysis))
}

pub(crate) fn compact(args: &Compact) -> Outcome {
    let mut bars = Bars::default();
    let mut progress = |done: u64, of: u64| bars.read(done, of);
    let place = Place::new(&args.out, args.files.iter().chain(&args.config))?;
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
    bars.read_all();
    check(if args.outcomes { &OUTCOMES } else { &EXPOSURES }, args.strict, &lines)?;
    place.keep()?;
    print(&format!("{}: {}", args.out.display(), lines))
}

/// Where a file is written: beside the one that it becomes when all went well.
struct Place {
    to: PathBuf,
    file: NamedTempFile,
}

impl Place {
    /// Nothing that is read may be written.
    fn new<'f>(out: &Path, mut inputs: impl Iterator<Item = &'f PathBuf>) -> Result<Self, Failure> {
        let wrong = |problem: &str| Failure::Usage(format!("{}: {problem}", out.display()));
        // Through a link, the file that it leads to.
        let to = out.canonicalize().unwrap_or_else(|_| out.to_owned());
        if to.exists() && !to.is_file() {
            return Err(wrong("exists and is not a regular file"));
        }
        if inputs.any(|input| input.canonicalize().is_ok_and(|input| input == to)) {
            return Err(wrong("is an input, so it cannot be written: choose another name for --out"));
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

/// A config's file, as it is written and as it is compiled.
struct Read {
    name: String,
    plan: Plan,
    wire: wire::Config,
}

impl Read {
    fn new(file: &Path, secrets: Secrets<'_>) -> Result<Self, Failure> {
        let (document, plan) = Input::read(file)?.plan_with(secrets)?;
        Ok(Self { name: file.display().to_string(), plan, wire: read_wire(&document) })
    }

    fn config(&self) -> Config<'_> {
        Config { name: &self.name, plan: &self.plan, wire: &self.wire }
    }
}

/// The configs that the command line names.
struct Configs {
    newest: Read,
    older: Vec<Read>,
}

impl Configs {
    fn read(data: &Data) -> Result<Self, Failure> {
        // Raw units are matched with exposures by the pseudonym, so its key is needed.
        let secrets = if data.raw_units {
            Secrets::Required(&input::variable)
        } else {
            Secrets::Optional(&input::variable)
        };
        let newest = Read::new(&data.config, secrets)?;
        let older = data.older_config.iter().map(|file| Read::new(file, Secrets::WITHHELD));
        Ok(Self { newest, older: older.collect::<Result<_, _>>()? })
    }

    fn request(&self, data: &Data) -> Result<Request<'_>, Failure> {
        let metrics = data.metric.iter().map(|text| Metric::parse(text)).collect::<Result<_, _>>()?;
        let excluded = |file: &PathBuf| {
            let units = excluded(file)?;
            Ok::<_, Failure>(Excluded { name: file.display().to_string(), units })
        };
        let method = match (data.fixed, data.looks.as_slice()) {
            (true, _) => Method::Fixed,
            (false, []) => Method::Sequential,
            (false, looks) => Method::Planned { spending: data.spending.into(), looks: looks.to_vec() },
        };
        Ok(Request {
            config: self.newest.config(),
            older: self.older.iter().map(Read::config).collect(),
            accepted_versions: data.accept_version.clone(),
            exposures: data.exposures.clone(),
            outcomes: data.outcomes.clone(),
            summary: data.from_summary.clone(),
            has_raw_units: data.raw_units,
            metrics,
            caps: data.cap.iter().map(|text| cap(text)).collect::<Result<_, _>>()?,
            directions: Directions {
                lower: data.lower_is_better.iter().cloned().collect(),
                higher: data.higher_is_better.iter().cloned().collect(),
            },
            window_ms: data.window,
            before_ms: data.before,
            tolerance_ms: data.clock_tolerance,
            is_complete: data.complete_only,
            segment: data.segment.clone(),
            experiment: data.experiment.clone(),
            method,
            excluded: data.exclude.as_ref().map(excluded).transpose()?,
            most_exposures: data.max_exposures,
            is_strict: data.strict,
        })
    }
}

/// `NAME=CAP`.
fn cap(text: &str) -> Result<(String, Cap), Failure> {
    let wrong = |problem: &str| Failure::Usage(format!("--cap {text}: {problem}"));
    let (name, cap) = text.split_once('=').ok_or_else(|| wrong("expected NAME=p99 or NAME=NUMBER"))?;
    let cap = Cap::parse(cap).map_err(|error| wrong(&error.to_string()))?;
    Ok((name.trim().to_owned(), cap))
}

fn excluded(path: &Path) -> Result<Vec<String>, Failure> {
    let text = Input::read(path)?.text;
    let text = text.trim_start_matches('\u{feff}');
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Progress on the terminal.
#[derive(Default)]
struct Bars {
    bytes: Option<ProgressBar>,
    step: Option<ProgressBar>,
}

impl Watch for Bars {
    fn read(&mut self, done: u64, of: u64) {
        let bar = self.bytes.get_or_insert_with(bar);
        bar.set_length(of);
        bar.set_position(done);
    }

    fn read_all(&mut self) {
        if let Some(bar) = self.bytes.take() {
            bar.finish_and_clear();
        }
    }

    fn begin(&mut self, step: &'static str) {
        self.step.get_or_insert_with(spinner).set_message(step);
    }

    fn end(&mut self) {
        if let Some(step) = self.step.take() {
            step.finish_and_clear();
        }
    }
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

/// Exit 1 where something is not to be shipped, or not to be believed.
fn exit(analysis: &Analysis) -> Exit {
    let is_bad = |found: &Judgement| matches!(found.verdict, Verdict::Invalid | Verdict::DoNotShip);
    if analysis.experiments.iter().any(is_bad) { Exit::Problems } else { Exit::Fine }
}

fn text(analysis: &Analysis, style: Style) -> String {
    let mut text = format!("config {}\n", analysis.config);
    for (input, examples) in analysis.inputs() {
        text.push_str(&format!("{input}\n"));
        for example in examples {
            text.push_str(&format!("  {}\n", style.yellow(example)));
        }
    }
    if let Some(Unexposed { outcomes, units }) = analysis.unexposed.filter(|found| found.outcomes > 0) {
        text.push_str(&format!(
            "{} of {} that the exposures do not contain: left out\n",
            counted(outcomes, "outcome"),
            counted(units, "unit")
        ));
    }
    for (experiment, units) in &analysis.unknown_experiments {
        let experiment = ingest::visible(experiment);
        text.push_str(&format!("{experiment} is not in the config: {} left out\n", counted(units, "unit")));
    }
    for found in &analysis.experiments {
        text.push('\n');
        text.push_str(&judgement(found, style));
    }
    text
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
            "  {:<20} {:>16}, {:.2}% (planned {:.2}%)\n",
            arm.variant,
            counted(arm.units, "unit"),
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
