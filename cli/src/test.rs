//! `splitway test`.

use std::path::{Path, PathBuf};

use clap::Args;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;
use splitway_engine::{Document, Path as Place};
#[cfg(feature = "envoy")]
use splitway_envoy::tools;
#[cfg(feature = "envoy")]
use splitway_scenarios::hosts::envoy::Envoy;
use splitway_scenarios::hosts::in_process::InProcess;
use splitway_scenarios::hosts::wasmtime::Wasmtime;
use splitway_scenarios::{Difference, Host, HostName, Loaded, find, parse};

use crate::filter_module;
use crate::input::Input;
use crate::outcome::{Exit, Failure, Outcome, print, print_answer};
use crate::style::Style;

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Scenario files, or folders with scenario files
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Config for scenarios that have none: a file, or several files or a folder
    #[arg(long, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
    /// Compiled filter [default: $SPLITWAY_WASM, else the one that `cargo xtask build-wasm` built]
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Host that runs them: Splitway as a library, or the compiled filter in wasmtime or in a real Envoy
    #[arg(long, value_name = "HOST", default_value = "wasmtime", value_parser = ["in-process", "wasmtime", "envoy"])]
    host: String,
    /// Run only scenarios with this text in their name
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Test) -> Outcome {
    let scenarios = read(args)?;
    let mut host = open(args)?;
    let style = Style::stdout();
    let mut results = Vec::new();
    for scenario in &scenarios {
        let result = Tried::new(scenario, host.as_mut());
        if !args.json {
            print(&result.shown(scenario, style))?;
        }
        results.push(result);
    }
    // Envoy ends before the answer does.
    drop(host);
    let summary = Summary::of(&args.host, results);
    if let Some(file) = &args.junit {
        let report = summary.junit().to_string().map_err(|error| Failure::Usage(error.to_string()))?;
        std::fs::write(file, report)
            .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    }
    if args.json {
        print_answer(&summary)?;
    } else {
        print(&summary.line(style))?;
    }
    Ok(if summary.failed > 0 { Exit::Problems } else { Exit::Fine })
}

/// The scenarios that are asked for; all that is wrong with any of them otherwise.
fn read(args: &Test) -> Result<Vec<Loaded>, Failure> {
    let files = find(&args.paths).map_err(Failure::Usage)?;
    let config = match args.config.as_slice() {
        [] => None,
        paths => Some(Input::read_all(paths)?.plan()?.0.to_json()),
    };
    let (mut scenarios, mut mistakes) = (Vec::new(), Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        match parse(&file, &with_config(text, config.as_deref())) {
            Ok(scenario) => scenarios.push(scenario),
            Err(invalid) => mistakes.push(invalid.to_string()),
        }
    }
    if !mistakes.is_empty() {
        return Err(Failure::Unfit(mistakes.join("\n")));
    }
    let Some(filter) = &args.filter else { return Ok(scenarios) };
    let names: Vec<String> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    scenarios.retain(|scenario| scenario.name.contains(filter.as_str()));
    if scenarios.is_empty() {
        let names = names.join(", ");
        return Err(Failure::Usage(format!("no scenario has `{filter}` in its name; found {names}")));
    }
    Ok(scenarios)
}

/// The scenario with `config`, unless it has one of its own. Behind the text, so that its lines stay.
fn with_config(mut text: String, config: Option<&str>) -> String {
    let place = |name: &str| Place::default().key(name);
    if let Some(config) = config
        && let Ok(document) = Document::from_yaml(&text)
        && ["config", "plugin_config"].iter().all(|name| document.locate(&place(name)).is_none())
    {
        text.push_str(&format!("\nconfig: {config}\n"));
    }
    text
}

fn open(args: &Test) -> Result<Box<dyn Host>, Failure> {
    let usage = |error: anyhow::Error| Failure::Usage(format!("{error:#}"));
    let wasm = || {
        filter_module::find(args.wasm.as_deref()).map_err(|error| {
            Failure::Usage(format!(
                "{error:#}; give one with --wasm FILE, or use --host in-process, which needs none"
            ))
        })
    };
    Ok(match args.host.as_str() {
        "in-process" if args.wasm.is_some() => {
            let text = "--host in-process runs Splitway as a library and takes no --wasm; leave it out or use --host wasmtime";
            return Err(Failure::Usage(text.to_owned()));
        }
        "in-process" => Box::new(InProcess),
        "wasmtime" => {
            let mut host = Wasmtime::new(wasm()?);
            host.load().map_err(usage)?;
            Box::new(host)
        }
        #[cfg(not(feature = "envoy"))]
        _ => return Err(crate::absent::refusal("test --host envoy", "envoy")),
        #[cfg(feature = "envoy")]
        _ => {
            let wasm = wasm()?;
            // Envoy says no more than that it is no good.
            Wasmtime::new(wasm.clone()).load().map_err(usage)?;
            tools::envoy().map_err(usage)?;
            Box::new(Envoy::start(&wasm).map_err(usage)?)
        }
    })
}

/// A scenario and what came of it.
#[derive(Serialize)]
struct Tried {
    name: String,
    file: String,
    status: Status,
    /// Why it was skipped, or what went wrong around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    differences: Vec<Shown>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Passed,
    Failed,
    Skipped,
}

/// A difference, for programs.
#[derive(Serialize)]
struct Shown {
    place: String,
    line: Option<usize>,
    request: String,
    expected: String,
    found: String,
    #[serde(skip)]
    text: String,
}

impl From<Difference> for Shown {
    fn from(difference: Difference) -> Self {
        let text = difference.to_string();
        let Difference { place, line, about, expected, found } = difference;
        Self { place, line, request: about, expected, found, text }
    }
}

impl Tried {
    fn new(scenario: &Loaded, host: &mut dyn Host) -> Self {
        let of = |status, reason, differences| Self {
            name: scenario.name.clone(),
            file: scenario.file.display().to_string(),
            status,
            reason,
            differences,
        };
        if !scenario.runs_on(host.name()) {
            return of(Status::Skipped, Some(why_not(scenario)), Vec::new());
        }
        match splitway_scenarios::run(scenario, host) {
            Ok(differences) if differences.is_empty() => of(Status::Passed, None, Vec::new()),
            Ok(differences) => of(Status::Failed, None, differences.into_iter().map(Shown::from).collect()),
            Err(error) => of(Status::Failed, Some(format!("{error:#}")), Vec::new()),
        }
    }

    fn shown(&self, scenario: &Loaded, style: Style) -> String {
        match self.status {
            Status::Passed => format!("{} {}", style.green("ok     "), self.name),
            Status::Skipped => {
                let reason = self.reason.as_deref().unwrap_or_default();
                format!("{} {}: {reason}", style.yellow("skipped"), self.name)
            }
            Status::Failed => {
                let mut text = format!("{} {}", style.red("FAILED "), self.name);
                text.push_str(&style.dim(&format!(" ({})", scenario.file.display())));
                for line in self.report().lines() {
                    text.push_str("\n  ");
                    text.push_str(line);
                }
                text
            }
        }
    }

    fn report(&self) -> String {
        let differences = self.differences.iter().map(|shown| shown.text.as_str());
        self.reason.as_deref().into_iter().chain(differences).collect::<Vec<_>>().join("\n")
    }
}

fn why_not(scenario: &Loaded) -> String {
    match &scenario.scenario.hosts {
        Some(hosts) => {
            let only: Vec<&str> = hosts.only.iter().map(|host| HostName::as_str(*host)).collect();
            format!("only on {}: {}", only.join(", "), hosts.reason)
        }
        None => "it runs a module of its own, not Splitway's".to_owned(),
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    host: &'a str,
    passed: usize,
    failed: usize,
    skipped: usize,
    scenarios: Vec<Tried>,
}

impl<'a> Summary<'a> {
    fn of(host: &'a str, scenarios: Vec<Tried>) -> Self {
        let count = |status| scenarios.iter().filter(|tried| tried.status == status).count();
        Self {
            host,
            passed: count(Status::Passed),
            failed: count(Status::Failed),
            skipped: count(Status::Skipped),
            scenarios,
        }
    }

    fn line(&self, style: Style) -> String {
        let counts = format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        let counts = if self.failed > 0 { style.red(&counts) } else { style.green(&counts) };
        format!("{counts} on {}", self.host)
    }

    fn junit(&self) -> Report {
        let mut suite = TestSuite::new(format!("splitway on {}", self.host));
        for tried in &self.scenarios {
            let status = match tried.status {
                Status::Passed => TestCaseStatus::success(),
                Status::Skipped => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(tried.reason.clone().unwrap_or_default());
                    status
                }
                Status::Failed => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    let first = tried.report();
                    status.set_message(first.lines().next().unwrap_or_default());
                    status.set_description(first);
                    status
                }
            };
            let mut case = TestCase::new(tried.name.clone(), status);
            case.set_classname(
                Path::new(&tried.file).with_extension("").display().to_string().replace('/', "."),
            );
            suite.add_test_case(case);
        }
        let mut report = Report::new("splitway test");
        report.add_test_suite(suite);
        report
    }
}
