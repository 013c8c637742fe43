//! `splitway validate`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use splitway_control::Policies;
use splitway_engine::{Problem, Secrets, Severity, compile_with, launch_problems};

use crate::input::{Input, variable};
use crate::outcome::{Exit, Failure, Outcome, print, print_answer};
use crate::plural::counted;
use crate::style::Style;

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Configs, YAML or JSON; a folder is one config in several files, `-` is stdin
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// Also check the launch rules: owner, hypothesis, end, metrics, guardrails, and that no secret is a sample
    #[arg(long)]
    launch: bool,
    /// Also report what a controller with these policies would refuse: facts, first steps, plans that cannot be decided in time
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,
    /// Exit 1 for warnings too
    #[arg(long)]
    deny_warnings: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Validate) -> Outcome {
    let mut reports = Vec::new();
    let policies = args.policies.as_deref().map(policies).transpose()?;
    for file in &args.files {
        reports.push(check(Input::read(file)?, args.launch, policies.as_ref()));
    }
    if args.json {
        let files: Vec<FileReport<'_>> = reports.iter().map(Report::shape).collect();
        print_answer(&serde_json::json!({ "files": files }))?;
    } else {
        show(&reports, args.deny_warnings)?;
    }
    let is_bad = reports.iter().any(|report| report.is_bad(args.deny_warnings));
    Ok(if is_bad { Exit::Problems } else { Exit::Fine })
}

fn policies(file: &Path) -> Result<Policies, Failure> {
    let input = Input::read(file)?;
    let read = input.document().and_then(|document| Policies::new(&document));
    read.map_err(|problems| input.refuse(&problems))
}

struct Report {
    input: Input,
    version: Option<String>,
    problems: Vec<Problem>,
}

/// Everything that is wrong with one file. Launch rules only make sense of a
/// document that is otherwise right.
fn check(input: Input, launch: bool, policies: Option<&Policies>) -> Report {
    let compiled = input
        .document()
        .and_then(|document| compile_with(&document, Secrets::WITHHELD).map(|plan| (document, plan)));
    let (version, problems) = match compiled {
        Ok((document, plan)) => {
            let mut problems: Vec<Problem> = plan.warnings().iter().cloned().collect();
            if launch {
                problems.extend(launch_problems(&document, Secrets::Optional(&variable)));
            }
            problems.extend(splitway_control::check(&document, policies));
            problems.sort_by_key(|problem| problem.span.map(|span| span.start));
            (Some(plan.content_hash().to_owned()), problems)
        }
        Err(problems) => (None, problems.into_iter().collect()),
    };
    Report { input, version, problems }
}

fn show(reports: &[Report], denies_warnings: bool) -> Result<(), Failure> {
    let style = Style::stdout();
    let mut text = String::new();
    for report in reports {
        for problem in &report.problems {
            text.push_str(&report.input.underlined(problem, style));
            text.push('\n');
        }
        let (errors, warnings) = (report.errors(), report.problems.len() - report.errors());
        let verdict = match (&report.version, errors) {
            (Some(_), 0) if report.is_bad(denies_warnings) => style.red("refused"),
            (Some(version), 0) => style.green(&format!("ok, version {version}")),
            _ => style.red(&counted(errors, "error")),
        };
        let more = if warnings > 0 { format!(", {}", counted(warnings, "warning")) } else { String::new() };
        text.push_str(&format!("{}: {verdict}{more}\n", report.input.name));
    }
    print(text.trim_end())?;
    Ok(())
}

impl Report {
    fn is_bad(&self, denies_warnings: bool) -> bool {
        self.errors() > 0 || denies_warnings && !self.problems.is_empty()
    }

    fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    fn shape(&self) -> FileReport<'_> {
        FileReport {
            file: &self.input.name,
            valid: self.errors() == 0,
            version: self.version.as_deref(),
            problems: self.problems.iter().map(|problem| ProblemReport::new(&self.input, problem)).collect(),
        }
    }
}

#[derive(Serialize)]
struct FileReport<'a> {
    file: &'a str,
    valid: bool,
    version: Option<&'a str>,
    problems: Vec<ProblemReport<'a>>,
}

#[derive(Serialize)]
struct ProblemReport<'a> {
    file: &'a str,
    severity: &'static str,
    code: &'static str,
    path: String,
    expected: &'a str,
    found: &'a str,
    suggestion: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
}

impl<'a> ProblemReport<'a> {
    fn new(input: &'a Input, problem: &'a Problem) -> Self {
        let (file, span) = input.place(problem);
        Self {
            file: &file.name,
            severity: match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            code: problem.code.as_str(),
            path: problem.path.to_string(),
            expected: &problem.expected,
            found: &problem.found,
            suggestion: problem.suggestion.as_deref(),
            line: span.map(|span| span.line),
            column: span.map(|span| span.column),
        }
    }
}
