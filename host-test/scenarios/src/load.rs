//! Scenario files: finding, reading, judging them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path as FsPath, PathBuf};

use splitway_document::{Code, Document, Look, Path, Problem, Problems, parse_duration, read};
use splitway_engine::{Plan, Reason, Secrets, Timestamp, compile_with};

use crate::config::Config;
use crate::hosts::{Route, Setup, Target};
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

/// A file that is not a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// What is wrong with it, in the order of the text.
    pub problems: Problems,
    text: String,
    /// The configs that it names: file, text and problems.
    configs: Vec<(PathBuf, String, Problems)>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = (&self.file, &self.text, &self.problems);
        let configs = self.configs.iter().map(|(file, text, problems)| (file, text, problems));
        let all = std::iter::once(own).chain(configs).filter(|(_, _, problems)| !problems.is_empty());
        for (number, (file, text, problems)) in all.enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            f.write_str(&Look::PLAIN.show_all(&file.display().to_string(), text, problems))?;
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
    let text = std::fs::read_to_string(file).map_err(|error| {
        let found = format!("that it cannot be read: {error}");
        let problem = Problem::error(Path::default(), Code::Syntax, "a scenario", &found);
        Invalid { file: file.to_owned(), problems: problem.into(), text: String::new(), configs: Vec::new() }
    })?;
    parse(file, &text)
}

/// Reads a scenario from `text`; `file` gives its name and the folder that paths start from.
///
/// # Errors
/// With all mistakes that are found in it.
pub fn parse(file: &FsPath, text: &str) -> Result<Loaded, Invalid> {
    let fail =
        |problems, configs| Invalid { file: file.to_owned(), problems, text: text.to_owned(), configs };
    let document = Document::from_yaml(text).map_err(|problems| {
        let mut advised = Problems::default();
        problems.into_iter().for_each(|problem| advised.push(with_advice(text, problem)));
        fail(advised, Vec::new())
    })?;
    let mut problems = Problems::default();
    let scenario: Scenario = read(&document, &mut problems);
    let environment = &scenario.environment;
    let mut judge = Judge { environment, file, problems, configs: Vec::new() };
    let resolved = judge.resolve(&scenario);
    let Judge { mut problems, configs, .. } = judge;
    if !problems.is_empty() || !configs.is_empty() {
        problems.drop_consequences();
        document.locate_problems(&mut problems);
        return Err(fail(problems, configs));
    }
    let (setup, swaps, offsets) = resolved;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Loaded { name, file: file.to_owned(), scenario, setup, swaps, offsets, document })
}

/// What is usually meant where a scenario is not YAML.
fn with_advice(text: &str, problem: Problem) -> Problem {
    let line = problem.span.and_then(|span| text.lines().nth(span.line.saturating_sub(1)));
    if line.is_some_and(|line| line.contains("{{")) {
        problem.suggest(|| "put a text that begins with `{{` in quotes".to_owned())
    } else if problem.suggestion.is_none() {
        problem.suggest(|| "look at the indentation and the `:` around here".to_owned())
    } else {
        problem
    }
}

type Resolved = (Setup, BTreeMap<usize, Config>, Vec<i64>);

/// Looks at what the shape alone does not show.
struct Judge<'a> {
    environment: &'a BTreeMap<String, String>,
    file: &'a FsPath,
    problems: Problems,
    configs: Vec<(PathBuf, String, Problems)>,
}

/// A config as it is sent, and the plan if it has one.
type ReadConfig = (Config, Option<Plan>);

impl Judge<'_> {
    fn error(&mut self, place: &Path, code: Code, expected: &str, found: &str) {
        self.problems.push(Problem::error(place.clone(), code, expected, found));
    }

    fn resolve(&mut self, scenario: &Scenario) -> Resolved {
        let root = Path::default();
        let now = self.now(scenario);
        self.hosts(scenario);
        if scenario.requests.is_empty() {
            self.error(&root.key("requests"), Code::MissingField, "at least one request", "none");
        }
        if !(1..=8).contains(&scenario.workers) {
            let found = scenario.workers.to_string();
            self.error(&root.key("workers"), Code::OutOfRange, "1 to 8 workers", &found);
        }
        let wasm = scenario.wasm.as_ref().map(|wasm| self.beside(wasm));
        if let Some(path) = &wasm
            && !path.is_file()
        {
            let found = format!("no file at {}", path.display());
            self.error(&root.key("wasm"), Code::InvalidValue, "the path of a module from this file", &found);
        }
        let is_ours = wasm.is_none();
        let first = self.config(
            &root,
            scenario.config.as_ref(),
            scenario.plugin_config.as_ref(),
            scenario.refused.is_some(),
            is_ours,
        );
        if first.is_none() && scenario.config.is_none() && is_ours {
            let expected =
                "Splitway's config (a mapping with `version: 1`), or the path of one from this file";
            self.error(&root.key("config"), Code::MissingField, expected, "nothing");
        }
        // What names a part of a config that could not be read is not wrong for that.
        let mut is_known = first.is_some() || !is_ours;
        let (first, plan) = first.unwrap_or_else(|| (Config::raw(""), None));
        let mut plans: Vec<Plan> = plan.into_iter().collect();
        let mut swaps = BTreeMap::new();
        let mut offsets = Vec::new();
        let mut offset = 0;
        for (index, step) in scenario.requests.iter().enumerate() {
            let place = root.key("requests").index(index);
            if let Some(at) = &step.at {
                let place = place.key("at");
                match parse_duration(at).and_then(|later| i64::try_from(later).ok()) {
                    Some(later) if later >= offset => offset = later,
                    Some(_) => {
                        let expected = "a time that is not before the request above";
                        self.error(&place, Code::Conflict, expected, &format!("`{at}`"));
                    }
                    None => {
                        let expected = "a time after `now` such as 90s, 15m, 12h or 3d";
                        self.error(&place, Code::InvalidValue, expected, &format!("`{at}`"));
                    }
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
                None if step.config.is_some() => is_known = false,
                None if step.refused.is_some() => {
                    let expected = "a config that shall be refused beside `refused`";
                    self.error(&place.key("refused"), Code::Conflict, expected, "none in this request");
                }
                None => {}
            }
            self.headers(&place, step);
            // Only the last plan could be looked at, but a refused config leaves an older one.
            if let Some(expect) = &step.expect
                && is_ours
                && is_known
            {
                self.names(&place.key("expect"), expect, &plans);
            }
        }
        let (clusters, routes) = self.clusters(scenario, &plans, is_known);
        for (index, step) in scenario.requests.iter().enumerate().filter(|_| is_known) {
            let Some(expect) = &step.expect else { continue };
            if let Some(UpstreamExpect::Reached(request)) = &expect.upstream
                && let Some(cluster) = &request.cluster
                && !clusters.contains_key(cluster)
            {
                let place = root.key("requests").index(index).key("expect").key("upstream").key("cluster");
                self.unknown(&place, "cluster", cluster, clusters.keys().map(String::as_str));
            }
        }
        let setup = Setup {
            wasm,
            config: first,
            environment: scenario.environment.clone(),
            now,
            seed: scenario.seed,
            workers: scenario.workers as usize,
            allow_underscores: scenario.underscore_headers == Underscores::Allow,
            clusters,
            routes,
        };
        (setup, swaps, offsets)
    }

    fn now(&mut self, scenario: &Scenario) -> Timestamp {
        match scenario.now.as_ref().map(|now| Timestamp::parse(now).ok_or(now)) {
            None => DEFAULT_NOW,
            Some(Ok(now)) => now,
            Some(Err(now)) => {
                let expected = "a time such as 2026-11-20T00:00:00Z";
                let place = Path::default().key("now");
                self.error(&place, Code::InvalidValue, expected, &format!("`{now}`"));
                DEFAULT_NOW
            }
        }
    }

    fn hosts(&mut self, scenario: &Scenario) {
        let Some(hosts) = &scenario.hosts else { return };
        let place = Path::default().key("hosts");
        if hosts.only.is_empty() {
            self.error(&place.key("only"), Code::MissingField, "at least one host", "none");
        }
        if hosts.reason.trim().is_empty() {
            let expected = "the reason why it cannot run on the other hosts";
            self.error(&place.key("reason"), Code::InvalidValue, expected, "an empty text");
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
                self.error(&place, Code::Conflict, "one of `config` and `plugin_config`", "both");
                None
            }
            (None, Some(raw)) => Some((Config::raw(raw), None)),
            (Some(ConfigSource::Inline(inline)), None) => {
                let config = Config::tree(inline.tree());
                if !is_ours {
                    return Some((config, None));
                }
                match self.compile(&inline.0) {
                    Ok(plan) => Some((config, Some(plan))),
                    Err(_) if is_refused => Some((config, None)),
                    Err(problems) => {
                        for mut problem in problems {
                            problem.path = place.join(&problem.path);
                            self.problems.push(problem);
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
                let found = format!("{}: {error}", file.display());
                self.error(place, Code::InvalidValue, "the path of a config from this file", &found);
                return None;
            }
        };
        let document = match Document::from_yaml(&text) {
            Ok(document) => document,
            Err(_) if is_refused => return Some((Config::raw(&text), None)),
            Err(problems) => {
                self.configs.push((file, text, problems));
                return None;
            }
        };
        let tree = serde_json::from_str(&document.to_json()).unwrap_or_default();
        let config = Config::tree(tree);
        if !is_ours {
            return Some((config, None));
        }
        match self.compile(&document) {
            Ok(plan) => Some((config, Some(plan))),
            Err(_) if is_refused => Some((config, None)),
            Err(problems) => {
                self.configs.push((file, text, problems));
                None
            }
        }
    }

    fn headers(&mut self, place: &Path, step: &wire::Step) {
        for name in step.headers.keys() {
            let place = place.key("headers").key(name);
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let advice = if name.eq_ignore_ascii_case("host") {
                "write `host: …` beside `headers`"
            } else if name.starts_with(':') {
                "write `path`, `method` or `host` beside `headers`"
            } else if name.is_empty() || !name.bytes().all(is_token) {
                "a name has letters, digits, `-` and `_`"
            } else {
                continue;
            };
            let found = format!("`{name}`");
            let problem = Problem::error(place, Code::InvalidValue, "the name of a header", &found);
            self.problems.push(problem.about(name).suggest(|| advice.to_owned()));
        }
        if let Some(path) = &step.path
            && !path.starts_with('/')
        {
            let expected = "a path that begins with `/`";
            self.error(&place.key("path"), Code::InvalidValue, expected, &format!("`{path}`"));
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
        let all: Vec<&str> = known.clone().collect();
        let expected = match all.as_slice() {
            [] => format!("no {kind}, as the config has none"),
            all => format!("one of the {kind}s {}", all.join(", ")),
        };
        let code = Code::UnknownReference;
        let problem = Problem::error(place.clone(), code, &expected, &format!("`{name}`"));
        self.problems.push(problem.about(name).suggest_near(name, known));
    }

    /// All clusters, and the whole route table.
    fn clusters(
        &mut self,
        scenario: &Scenario,
        plans: &[Plan],
        is_known: bool,
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
                    if is_known && !clusters.contains_key(cluster) {
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
                    let found = if route.cluster.is_some() { "both" } else { "neither" };
                    self.error(&place, Code::InvalidValue, "one of `cluster` and `direct`", found);
                    continue;
                }
            };
            if route.path.is_some() && route.prefix.is_some() {
                self.error(&place, Code::Conflict, "one of `path` and `prefix`", "both");
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
