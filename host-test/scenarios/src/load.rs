//! Scenario files: finding, reading, judging them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path as FsPath, PathBuf};

use serde_json::Value;
use splitway_engine::{
    Code, Document, Path, Plan, Problem, Problems, Reason, Secrets, Segment, Span, Timestamp, compile_with,
    did_you_mean,
};

use crate::config::Config;
use crate::hosts::{Route, Setup, Target};
use crate::template::parse_duration;
use crate::wire::{self, ConfigSource, HostName, Scenario, Underscores, UpstreamExpect};

/// 2026-01-01T00:00:00Z, so that a scenario that names no time has one that stays.
const DEFAULT_NOW: Timestamp = Timestamp(1_767_225_600_000);

/// A scenario that can run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file's name without `.yaml`.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// As it is written.
    pub scenario: Scenario,
    /// What it begins with.
    pub setup: Setup,
    /// The configs that are swapped in, by the number of their request.
    pub(crate) swaps: BTreeMap<usize, Config>,
    /// Milliseconds after the beginning, by the number of the request.
    pub(crate) offsets: Vec<i64>,
    document: Document,
}

impl Loaded {
    /// The line of a place.
    pub(crate) fn line(&self, place: &Path) -> Option<usize> {
        let mut place = place.clone();
        loop {
            if let Some(located) = self.document.locate(&place) {
                return Some(located.name.unwrap_or(located.value).line);
            }
            place.0.pop()?;
        }
    }

    /// Whether it runs on `host`.
    #[must_use]
    pub fn runs_on(&self, host: HostName) -> bool {
        let wanted = self.scenario.hosts.as_ref().is_none_or(|hosts| hosts.only.contains(&host));
        // Another module is no part of Splitway's own logic.
        wanted && !(matches!(host, HostName::InProcess | HostName::Workerd) && self.setup.wasm.is_some())
    }
}

/// One thing that is wrong with a scenario's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where in the document, such as `requests[0].expect`.
    pub place: String,
    /// Line and column, from 1.
    pub at: Option<(usize, usize)>,
    /// What was expected and what found.
    pub message: String,
    /// The line's text.
    source: Option<String>,
}

/// A file that is no scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// What is wrong, in the order of the text.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.mistakes.iter().enumerate() {
            if number > 0 {
                write!(f, "\n\n")?;
            }
            writeln!(f, "error: {}", mistake.message)?;
            write!(f, "  --> {}", self.file.display())?;
            if let Some((line, column)) = mistake.at {
                write!(f, ":{line}:{column}")?;
            }
            if !mistake.place.is_empty() {
                write!(f, " ({})", mistake.place)?;
            }
            if let (Some(source), Some((line, column))) = (&mistake.source, mistake.at) {
                let gutter = line.to_string().len();
                write!(f, "\n{:gutter$} |\n{line} | {source}\n", "")?;
                write!(f, "{:gutter$} | {:width$}^", "", "", width = column - 1)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// The scenario files at `paths`, in order of their names: files as they are, folders with all `.yaml`
/// files below them but those below a folder named `configs`.
///
/// # Errors
/// A path that is not there, or a folder without a scenario, in words.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            walk(path, &mut found).map_err(|error| format!("{}: {error}", path.display()))?;
            if found.len() == before {
                return Err(format!(
                    "{}: no scenario in this folder: a scenario is a file that ends with .yaml; \
                     see spec/scenarios/README.md for a first one",
                    path.display()
                ));
            }
        } else if path.is_file() {
            found.push(path.clone());
        } else {
            return Err(format!("{}: no such file or folder", path.display()));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn walk(folder: &FsPath, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // What scenarios refer to by path is no scenario.
            if path.file_name().is_some_and(|name| name != "configs") {
                walk(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
    Ok(())
}

/// Reads the scenario in `file`.
///
/// # Errors
/// With all mistakes that are found in it.
pub fn load(file: &FsPath) -> Result<Loaded, Invalid> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            let mistake = Mistake {
                place: String::new(),
                at: None,
                message: format!("cannot be read: {error}"),
                source: None,
            };
            return Err(Invalid { file: file.to_owned(), mistakes: vec![mistake] });
        }
    };
    parse(file, &text)
}

/// Reads a scenario from `text`; `file` gives its name and the folder that paths start from.
///
/// # Errors
/// With all mistakes that are found in it.
pub fn parse(file: &FsPath, text: &str) -> Result<Loaded, Invalid> {
    let fail = |mistakes| Invalid { file: file.to_owned(), mistakes };
    let document = Document::from_yaml(text)
        .map_err(|problems| fail(problems.iter().map(|problem| of_problem(text, problem)).collect()))?;
    let json = document.to_json();
    let mut reader = serde_json::Deserializer::from_str(&json);
    let scenario: Scenario = match serde_path_to_error::deserialize(&mut reader) {
        Ok(scenario) => scenario,
        Err(error) => return Err(fail(vec![of_serde(text, &document, &error)])),
    };
    let environment = &scenario.environment;
    let mut judge = Judge { environment, file, text, document: &document, mistakes: Vec::new() };
    let resolved = judge.resolve(&scenario);
    let mut mistakes = judge.mistakes;
    let Some((setup, swaps, offsets)) = resolved.filter(|_| mistakes.is_empty()) else {
        mistakes.sort_by_key(|mistake| mistake.at);
        return Err(fail(mistakes));
    };
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Loaded { name, file: file.to_owned(), scenario, setup, swaps, offsets, document })
}

fn of_problem(text: &str, problem: &Problem) -> Mistake {
    let mut message = format!("expected {}, found {}", problem.expected, problem.found);
    if let Some(advice) = &problem.suggestion {
        message.push_str("; ");
        message.push_str(advice);
    }
    if problem.code == Code::Syntax {
        let line = problem.span.and_then(|span| text.lines().nth(span.line.saturating_sub(1)));
        if line.is_some_and(|line| line.contains("{{")) {
            message.push_str("; a text that begins with `{{` must be in quotes");
        } else if problem.suggestion.is_none() {
            message.push_str("; look at the indentation and the `:` around here");
        }
    }
    let place = if problem.path.0.is_empty() { String::new() } else { problem.path.to_string() };
    mistake(text, problem.span, place, message)
}

fn mistake(text: &str, span: Option<Span>, place: String, message: String) -> Mistake {
    let source = span.and_then(|span| text.lines().nth(span.line.saturating_sub(1)));
    Mistake {
        place,
        at: span.map(|span| (span.line, span.column)),
        message,
        source: source.map(str::to_owned),
    }
}

/// What serde says, at the place where it says it.
fn of_serde(
    text: &str,
    document: &Document,
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> Mistake {
    let mut place = Path::default();
    for segment in error.path() {
        match segment {
            serde_path_to_error::Segment::Map { key } => place = place.key(key),
            serde_path_to_error::Segment::Seq { index } => place = place.index(*index),
            _ => {}
        }
    }
    let said = error.inner().to_string();
    // serde_json adds its own place, which is one in the JSON that nobody has seen.
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    let mut name_wanted = false;
    if let Some(rest) = said.strip_prefix("unknown field `")
        && let Some((name, _)) = rest.split_once('`')
    {
        if place.0.last() != Some(&Segment::Key(name.to_owned())) {
            place = place.key(name);
        }
        name_wanted = true;
    }
    let span = span_of(document, &place, name_wanted);
    let shown = if place.0.is_empty() { String::new() } else { place.to_string() };
    mistake(text, span, shown, advised(said))
}

/// The place of `path`, or of the nearest that there is around it.
fn span_of(document: &Document, path: &Path, name_wanted: bool) -> Option<Span> {
    let mut path = path.clone();
    loop {
        if let Some(located) = document.locate(&path) {
            return Some(if name_wanted { located.name.unwrap_or(located.value) } else { located.value });
        }
        path.0.pop()?;
    }
}

/// serde's words, with the nearest of the names that it lists.
pub(crate) fn advised(said: &str) -> String {
    let mut said = said.replace("invalid type: ", "wrong type: ");
    for (theirs, ours) in
        [("map", "a mapping"), ("sequence", "a list"), ("unit value", "nothing"), ("null", "nothing")]
    {
        said = said.replace(&format!("wrong type: {theirs},"), &format!("wrong type: {ours},"));
    }
    for (theirs, ours) in [
        ("struct Step", "a request (a mapping)"),
        ("struct ", "a mapping for "),
        ("a sequence", "a list"),
        ("a map", "a mapping"),
    ] {
        if let Some(at) = said.find("expected ")
            && let Some(rest) = said[at..].strip_prefix("expected ")
            && let Some(tail) = rest.strip_prefix(theirs)
            && !(theirs == "a map" && tail.starts_with("ping"))
        {
            said = format!("{}expected {ours}{tail}", &said[..at]);
            break;
        }
    }
    let Some((kind, rest)) = said.split_once(" `") else { return said };
    if !matches!(kind, "unknown field" | "unknown variant") {
        return said;
    }
    let Some((name, listed)) = rest.split_once('`') else { return said };
    let known: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
    let kind = if kind == "unknown variant" { "unknown value" } else { kind };
    let near = did_you_mean(name, known.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("{kind} `{name}`{listed}{near}")
}

type Resolved = (Setup, BTreeMap<usize, Config>, Vec<i64>);

/// Looks at what the shape alone does not show.
struct Judge<'a> {
    environment: &'a BTreeMap<String, String>,
    file: &'a FsPath,
    text: &'a str,
    document: &'a Document,
    mistakes: Vec<Mistake>,
}

/// A config that was read, and the plan if it is good.
type ReadConfig = (Config, Option<Plan>);

impl Judge<'_> {
    fn say(&mut self, place: &Path, message: impl Into<String>) {
        let span = span_of(self.document, place, true);
        let shown = if place.0.is_empty() { String::new() } else { place.to_string() };
        self.mistakes.push(mistake(self.text, span, shown, message.into()));
    }

    fn resolve(&mut self, scenario: &Scenario) -> Option<Resolved> {
        let root = Path::default();
        let now = self.now(scenario);
        self.hosts(scenario);
        if scenario.requests.is_empty() {
            self.say(&root.key("requests"), "expected at least one request, found none");
        }
        if !(1..=8).contains(&scenario.workers) {
            self.say(&root.key("workers"), format!("expected 1 to 8 workers, found {}", scenario.workers));
        }
        let wasm = scenario.wasm.as_ref().map(|wasm| self.beside(wasm));
        if let Some(path) = &wasm
            && !path.is_file()
        {
            self.say(&root.key("wasm"), format!("no such module: {}", path.display()));
        }
        let is_ours = wasm.is_none();
        let first = self.config(
            &root,
            scenario.config.as_ref(),
            scenario.plugin_config.as_ref(),
            scenario.refused.is_some(),
            is_ours,
        );
        let first = match first {
            // One that is there and wrong was reported.
            None if scenario.config.is_some() => return None,
            None if is_ours => {
                self.say(
                    &root,
                    "expected `config`: Splitway's config (a mapping with `version: 1`), or the path of one from \
                     this file; found none",
                );
                return None;
            }
            None => (Config::raw(""), None),
            Some(first) => first,
        };
        let mut plans: Vec<Plan> = first.1.into_iter().collect();
        let mut swaps = BTreeMap::new();
        let mut offsets = Vec::new();
        let mut offset = 0;
        for (index, step) in scenario.requests.iter().enumerate() {
            let place = root.key("requests").index(index);
            if let Some(at) = &step.at {
                match parse_duration(at) {
                    Some(later) if later >= offset => offset = later,
                    Some(_) => self.say(
                        &place.key("at"),
                        format!("`{at}` is before the request above: time does not go back"),
                    ),
                    None => self.say(
                        &place.key("at"),
                        format!("expected a time after `now` such as 90s, 15m, 12h or 3d, found `{at}`"),
                    ),
                }
            }
            offsets.push(offset);
            let swap = self.config(
                &place,
                step.config.as_ref(),
                step.plugin_config.as_ref(),
                step.refused.is_some(),
                is_ours,
            );
            match swap {
                Some((config, plan)) => {
                    plans.extend(plan);
                    swaps.insert(index, config);
                }
                None if step.refused.is_some() => {
                    self.say(
                        &place.key("refused"),
                        "`refused` is about a config, and this request brings none",
                    );
                }
                None => {}
            }
            self.headers(&place, step);
            // Only the last plan could be looked at, but a refused config leaves an older one.
            if let Some(expect) = &step.expect
                && is_ours
            {
                self.names(&place.key("expect"), expect, &plans);
            }
        }
        let (clusters, routes) = self.clusters(scenario, &plans);
        for (index, step) in scenario.requests.iter().enumerate() {
            let Some(expect) = &step.expect else { continue };
            if let Some(UpstreamExpect::Reached(request)) = &expect.upstream
                && let Some(cluster) = &request.cluster
                && !clusters.contains_key(cluster)
            {
                let place = root.key("requests").index(index).key("expect").key("upstream").key("cluster");
                self.unknown(&place, "cluster", cluster, clusters.keys().map(String::as_str));
            }
        }
        Some((
            Setup {
                wasm,
                config: first.0,
                environment: scenario.environment.clone(),
                now,
                seed: scenario.seed,
                workers: scenario.workers as usize,
                allow_underscores: scenario.underscore_headers == Underscores::Allow,
                clusters,
                routes,
            },
            swaps,
            offsets,
        ))
    }

    fn now(&mut self, scenario: &Scenario) -> Timestamp {
        match scenario.now.as_ref().map(|now| Timestamp::parse(now).ok_or(now)) {
            None => DEFAULT_NOW,
            Some(Ok(now)) => now,
            Some(Err(now)) => {
                let message = format!("expected a time such as 2026-11-20T00:00:00Z, found `{now}`");
                self.say(&Path::default().key("now"), message);
                DEFAULT_NOW
            }
        }
    }

    fn hosts(&mut self, scenario: &Scenario) {
        let Some(hosts) = &scenario.hosts else { return };
        let place = Path::default().key("hosts");
        if hosts.only.is_empty() {
            self.say(&place.key("only"), "expected at least one host");
        }
        if hosts.reason.trim().is_empty() {
            self.say(&place.key("reason"), "expected the reason why it cannot run on the other hosts");
        }
    }

    fn beside(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or_else(|| FsPath::new("")).join(path)
    }

    /// Compiles a config in the scenario's environment.
    fn compile(&self, document: &Document) -> Result<Plan, Problems> {
        let value = |name: &str| self.environment.get(name).map(|value| value.clone().into_bytes());
        compile_with(document, Secrets::Required(&value))
    }

    /// The config at `place`, judged unless it shall be refused.
    fn config(
        &mut self,
        place: &Path,
        source: Option<&ConfigSource>,
        raw: Option<&String>,
        is_refused: bool,
        is_ours: bool,
    ) -> Option<ReadConfig> {
        let place = place.key("config");
        match (source, raw) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.say(&place, "expected one of `config` and `plugin_config`, found both");
                None
            }
            (None, Some(raw)) => Some((Config::raw(raw), None)),
            (Some(ConfigSource::Inline(fields)), None) => {
                let tree = Value::Object(fields.clone().into_iter().collect());
                let config = Config::tree(tree);
                if !is_ours {
                    return Some((config, None));
                }
                let document = Document::from_json(config.text().as_bytes());
                match document.and_then(|document| self.compile(&document)) {
                    Ok(plan) => Some((config, Some(plan))),
                    Err(_) if is_refused => Some((config, None)),
                    Err(problems) => {
                        for problem in &problems {
                            let mut inside = place.clone();
                            inside.0.extend(problem.path.0.iter().cloned());
                            let on_name = matches!(problem.code, Code::UnknownField | Code::DuplicateField);
                            let span = span_of(self.document, &inside, on_name);
                            let mut found = of_problem(self.text, problem);
                            found.place = inside.to_string();
                            let source = span.and_then(|span| self.text.lines().nth(span.line - 1));
                            found.source = source.map(str::to_owned);
                            found.at = span.map(|span| (span.line, span.column));
                            self.mistakes.push(found);
                        }
                        None
                    }
                }
            }
            (Some(ConfigSource::File(path)), None) => self.config_file(&place, path, is_refused, is_ours),
        }
    }

    fn config_file(
        &mut self,
        place: &Path,
        path: &str,
        is_refused: bool,
        is_ours: bool,
    ) -> Option<ReadConfig> {
        let file = self.beside(path);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                let said = format!("no config can be read from {}: {error}", file.display());
                self.say(place, format!("{said}; paths start from the scenario's file"));
                return None;
            }
        };
        let document = match Document::from_yaml(&text) {
            Ok(document) => document,
            Err(_) if is_refused => return Some((Config::raw(&text), None)),
            Err(problems) => {
                self.say(place, format!("{} is no config: {problems}", file.display()));
                return None;
            }
        };
        let tree = serde_json::from_str(&document.to_json()).unwrap_or(Value::Null);
        let config = Config::tree(tree);
        if !is_ours {
            return Some((config, None));
        }
        match self.compile(&document) {
            Ok(plan) => Some((config, Some(plan))),
            Err(_) if is_refused => Some((config, None)),
            Err(problems) => {
                let all = problems.iter().map(|problem| format!("\n  {problem}"));
                let all: String = all.collect();
                self.say(place, format!("{} is no good config:{all}", file.display()));
                None
            }
        }
    }

    fn headers(&mut self, place: &Path, step: &wire::Step) {
        for name in step.headers.keys() {
            let place = place.key("headers").key(name);
            if name.eq_ignore_ascii_case("host") {
                self.say(&place, "the host is a field of its own: write `host: …` beside `headers`");
            } else if let Some(pseudo) = name.strip_prefix(':') {
                self.say(
                    &place,
                    format!("`:{pseudo}` is no header: write `path`, `method` or `host` beside `headers`"),
                );
            } else if name.is_empty()
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
            {
                self.say(&place, format!("`{name}` is no name of a header"));
            }
        }
        if let Some(path) = &step.path
            && !path.starts_with('/')
        {
            self.say(&place.key("path"), format!("a path begins with `/`, found `{path}`"));
        }
    }

    /// Experiments, variants and reasons that expectations name.
    fn names(&mut self, place: &Path, expect: &wire::Expect, plans: &[Plan]) {
        let experiments: BTreeSet<&str> =
            plans.iter().flat_map(|plan| plan.experiments().map(|(_, experiment)| experiment.id())).collect();
        for (name, variant) in &expect.variants {
            let place = place.key("variants").key(name);
            if !experiments.contains(name.as_str()) {
                self.unknown(&place, "experiment", name, experiments.iter().copied());
                continue;
            }
            let variants: BTreeSet<&str> = plans
                .iter()
                .filter_map(|plan| plan.find(name))
                .flat_map(|(_, experiment)| experiment.variants().iter().map(splitway_engine::Variant::id))
                .collect();
            if variant != "none" && !variants.contains(variant.as_str()) {
                let known = variants.iter().copied().chain(["none"]);
                self.unknown(&place, "variant", variant, known);
            }
        }
        for (name, reason) in &expect.reasons {
            let place = place.key("reasons").key(name);
            if !experiments.contains(name.as_str()) {
                self.unknown(&place, "experiment", name, experiments.iter().copied());
            }
            let known = Reason::ALL.iter().map(|reason| reason.as_str());
            if known.clone().all(|known| known != reason) {
                self.unknown(&place, "reason", reason, known);
            }
        }
    }

    fn unknown<'n>(
        &mut self,
        place: &Path,
        kind: &str,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        let listed: Vec<String> = known.clone().map(|known| format!("`{known}`")).collect();
        let listed = if listed.is_empty() {
            "there is none".to_owned()
        } else {
            format!("known: {}", listed.join(", "))
        };
        let near =
            did_you_mean(name, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        self.say(place, format!("unknown {kind} `{name}` ({listed}){near}"));
    }

    /// All clusters, and the whole route table.
    fn clusters(
        &mut self,
        scenario: &Scenario,
        plans: &[Plan],
    ) -> (BTreeMap<String, wire::Upstream>, Vec<Route>) {
        let root = Path::default();
        let named: BTreeSet<&str> = plans.iter().flat_map(Plan::clusters).collect();
        let mut clusters = scenario.upstreams.clone();
        for name in named.iter().copied().chain([scenario.default_cluster.as_str()]) {
            clusters.entry(name.to_owned()).or_default();
        }
        let mut routes = Vec::new();
        for (index, route) in scenario.routes.iter().enumerate() {
            let place = root.key("routes").index(index);
            let target = match (&route.cluster, &route.direct) {
                (Some(cluster), None) => {
                    if !clusters.contains_key(cluster) {
                        self.unknown(
                            &place.key("cluster"),
                            "cluster",
                            cluster,
                            clusters.keys().map(String::as_str),
                        );
                    }
                    Target::Cluster(cluster.clone())
                }
                (None, Some(direct)) => Target::Direct(direct.status, direct.body.clone()),
                _ => {
                    self.say(&place, "a route leads to a `cluster` or has a `direct` answer, one of them");
                    continue;
                }
            };
            if route.path.is_some() && route.prefix.is_some() {
                self.say(&place, "a route has a `path` or a `prefix`, not both");
            }
            routes.push(Route {
                path: route.path.clone(),
                prefix: route.prefix.clone(),
                headers: route
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                    .collect(),
                target,
            });
        }
        let own =
            clusters.iter().filter(|(name, upstream)| upstream.routed && **name != scenario.default_cluster);
        for (name, _) in own {
            routes.push(Route {
                headers: vec![(splitway_engine::CLUSTER.to_owned(), name.clone())],
                target: Target::Cluster(name.clone()),
                ..Route::default()
            });
        }
        routes.push(Route { target: Target::Cluster(scenario.default_cluster.clone()), ..Route::default() });
        (clusters, routes)
    }
}
