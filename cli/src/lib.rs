//! The `splitway` command: an experiment's life around the engine.
//!
//! Commands judge, decide and edit through [`splitway_engine`] only: what they
//! say is what the proxy does. Exit codes: 0 fine, 1 problems found, 2 usage
//! (bad arguments, unreadable files).
#![forbid(unsafe_code)]

#[cfg(not(all(feature = "analysis", feature = "envoy")))]
mod absent;
mod allocate;
#[cfg(feature = "analysis")]
mod analysis;
mod assign;
mod carrier;
#[cfg(feature = "host")]
mod dev;
mod diff;
mod drawing;
mod edit;
mod explain;
mod filter_module;
mod format;
mod init;
mod input;
mod manual;
mod merge;
mod outcome;
mod plural;
mod power;
mod reference;
mod render;
mod replay;
mod requests;
mod reweight;
mod schema;
mod simulate;
mod simulation;
mod style;
#[cfg(feature = "host")]
mod test;
mod token;
mod validate;
mod values;

use std::ffi::OsString;
use std::io::Write as _;

use clap::{CommandFactory as _, Parser, Subcommand};

#[cfg(not(all(feature = "analysis", feature = "host")))]
use absent::Absent;
#[cfg(feature = "analysis")]
use analysis::args::{ANALYZE_EXAMPLES, Analyze, Compact, Report};
#[cfg(feature = "host")]
use dev::Dev;
pub use outcome::Exit;
use outcome::{Failure, Outcome};
#[cfg(feature = "host")]
use test::Test;

#[cfg(not(feature = "analysis"))]
type Analyze = Absent;
#[cfg(not(feature = "analysis"))]
type Report = Absent;
#[cfg(not(feature = "analysis"))]
type Compact = Absent;
#[cfg(not(feature = "host"))]
type Test = Absent;
#[cfg(not(feature = "host"))]
type Dev = Absent;

/// Run A/B tests in the proxy: check, try, compare and edit configs, and analyse results.
///
/// Exit codes: 0 success, 1 problems found, 2 wrong usage or an unreadable file.
#[derive(Debug, Parser)]
#[command(name = "splitway", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report every problem of configs, with its source line
    #[command(after_help = "Example: splitway validate --launch splitway.yaml")]
    Validate(validate::Validate),
    /// Write a commented config to begin with, and its schema for editors
    ///
    /// On a terminal it asks for everything that no flag gives; elsewhere, and with --yes, it uses the defaults.
    #[command(
        after_help = "Example: splitway init --unit cookie:uid --experiment new-checkout --cluster checkout-v2"
    )]
    Init(init::Init),
    /// Format configs in one layout, keeping comments and meaning
    #[command(after_help = "Example: splitway fmt --check experiments/")]
    Fmt(format::Fmt),
    /// Print the config's JSON Schema
    #[command(after_help = "Example: splitway schema > config.schema.json")]
    Schema(schema::Schema),
    /// Run scenarios: requests under a config, with the results they must have
    ///
    /// A scenario is a YAML file; spec/scenarios/README.md describes it. Exit 1 if one fails, 2 if a
    /// file is not a scenario or the host cannot be started.
    #[command(
        after_help = "Example: splitway test --config splitway.yaml scenarios/ --host envoy --junit report.xml"
    )]
    Test(Test),
    /// Assign unit ids from stdin, one per line, and print NDJSON
    ///
    /// It prints one row per id and experiment (ordered by id), in input order. The decided request carries the unit and what
    /// --path, --host, --method, --header and --cookie add. An experiment whose targeting asks for more returns `not_targeted`,
    /// and one with another unit source returns `no_unit`. `bucket` is null where none was computed. With --requests, whole
    /// requests are decided instead of ids. Lines that are empty, not UTF-8, or that the source cannot carry (a `;` in a
    /// cookie) are counted on stderr, with exit code 1.
    #[command(
        after_help = "Examples:\n  splitway assign --config splitway.yaml < ids.txt > rows.ndjson\n  splitway assign --config splitway.yaml --path /checkout < ids.txt\n  splitway assign --config splitway.yaml --requests access.log"
    )]
    Assign(assign::Assign),
    /// Explain one decision step by step
    #[command(after_help = "Example: splitway explain --config splitway.yaml --path / --cookie uid=u1")]
    Explain(explain::Explain),
    /// Simulate many units to test a config's shares, uniformity and independence
    ///
    /// Every request counts as eligible, and allow-lists are ignored. Exit 1 if a share, the
    /// spread over buckets or the independence of two experiments fails its chi-square test at
    /// p < 0.001 (Bonferroni-corrected over all tests of its kind).
    #[command(after_help = "Example: splitway simulate --config splitway.yaml --units 200000")]
    Simulate(simulate::Simulate),
    /// Report which share of units moves between two configs: changes variant, enters or leaves
    ///
    /// Shares are exact, computed from the bucket ranges, as long as both configs use the same hashes; others are
    /// marked as estimates. They refer to all units whose requests are eligible.
    #[command(after_help = "Example: splitway diff old.yaml new.yaml --max-moved 1%")]
    Diff(diff::Diff),
    /// Decide recorded requests by two configs and report what changes
    ///
    /// Each line is a request: a JSON object with `method`, `path`, `host`, `time`, `headers` and `cookies`, or a line of a JSON
    /// access log, where every other text field is the header of that name. Requests are decided at their own time. Exit 1
    /// if a line is not a request, or if more requests move than --max-moved allows.
    #[command(after_help = "Example: splitway replay old.yaml new.yaml --requests access.log --max-moved 1%")]
    Replay(replay::Replay),
    /// Try a config with real traffic in a local proxy that runs the compiled filter
    ///
    /// It routes as Envoy would: to the upstream that the filter's header names, else to the default one. Without
    /// --upstream, a built-in upstream serves each cluster of the config and shows the requests it receives. The config is
    /// read again when its file changes; an invalid one is refused with its problems, and the last valid one stays in
    /// force. The page at /__splitway shows the plan, counts and last decisions, and explains any request.
    #[cfg_attr(feature = "host", command(after_help = dev::EXAMPLES))]
    Dev(Dev),
    /// Generate files ready to deploy: Envoy, Istio, ConfigMap, Google, Prometheus
    #[command(after_help = "Example: splitway render configmap --config splitway.yaml")]
    Render(render::Render),
    /// Give an experiment free buckets of its layer and write them into the file
    #[command(after_help = "Example: splitway allocate splitway.yaml search-ranking --share 20% --write")]
    Allocate(allocate::Allocate),
    /// Print completions for a shell
    #[command(after_help = "Example: splitway completions bash > /etc/bash_completion.d/splitway")]
    Completions(manual::Completions),
    /// Write man pages, one per command
    #[command(after_help = "Example: splitway man --out /usr/local/share/man/man1")]
    Man(manual::Man),
    /// Sign a QA token that gives a tester a variant, whatever the buckets say
    ///
    /// The key is one of the config's, under `qa_tokens`. With --debug the response lists every step of the decision.
    #[command(
        after_help = "Example: splitway token --config splitway.yaml --experiment checkout --variant one-step"
    )]
    Token(token::Token),
    /// Change weights, add or remove variants so that the fewest units move
    ///
    /// The command writes each variant's buckets. Give every variant a weight: 0 keeps a variant without units, a new name
    /// adds one, --remove removes one.
    #[command(after_help = "Example: splitway reweight splitway.yaml checkout control=80 one-step=20")]
    Reweight(reweight::Reweight),
    /// Compute how many units an experiment needs and how long it takes
    #[command(after_help = "Example: splitway power --baseline 10% --effect 0.02 --daily 5000")]
    Power(power::Power),
    /// Judge experiments from exposure logs and recorded outcomes
    ///
    /// It checks first whether the arms have the planned shares, then the guardrails, then the primary metric. Intervals hold
    /// at every look unless --fixed is given. Exit 1 if an experiment must not be shipped or its data are invalid.
    #[cfg_attr(feature = "analysis", command(after_help = ANALYZE_EXAMPLES))]
    Analyze(Analyze),
    /// Write the analysis as one self-contained HTML page
    #[command(
        after_help = "Example: splitway report --config splitway.yaml --exposures envoy.log --out report.html"
    )]
    Report(Report),
    /// Convert logs or outcomes to Parquet, for `analyze` or another engine
    #[command(after_help = "Example: splitway compact envoy.log --out exposures.parquet")]
    Compact(Compact),
}

/// Runs the command line `args` (the program's name first).
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else is a mistake.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
            let _ = error.print();
            return exit;
        }
    };
    match command(&cli.command) {
        Ok(exit) => exit,
        Err(Failure::ClosedPipe) => Exit::Fine,
        Err(Failure::Problems(text)) => {
            let _ = writeln!(std::io::stderr(), "{text}");
            Exit::Problems
        }
        #[cfg(feature = "host")]
        Err(Failure::Unfit(text)) => {
            let _ = writeln!(std::io::stderr(), "{text}");
            Exit::Usage
        }
        Err(Failure::Usage(text)) => {
            let _ = writeln!(std::io::stderr(), "error: {text}");
            Exit::Usage
        }
    }
}

fn command(command: &Command) -> Outcome {
    match command {
        Command::Validate(args) => validate::run(args),
        Command::Schema(args) => schema::run(args),
        #[cfg(feature = "host")]
        Command::Test(args) => test::run(args),
        #[cfg(not(feature = "host"))]
        Command::Test(_) => Err(absent::refusal("test", "host")),
        Command::Token(args) => token::run(args),
        Command::Init(args) => init::run(args),
        Command::Fmt(args) => format::run(args),
        Command::Completions(args) => manual::completions(args, Cli::command()),
        Command::Man(args) => manual::man(args, Cli::command()),
        Command::Assign(args) => assign::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Simulate(args) => simulate::run(args),
        #[cfg(feature = "host")]
        Command::Dev(args) => dev::run(args),
        #[cfg(not(feature = "host"))]
        Command::Dev(_) => Err(absent::refusal("dev", "host")),
        Command::Diff(args) => diff::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Render(args) => render::run(args),
        Command::Allocate(args) => allocate::run(args),
        Command::Reweight(args) => reweight::run(args),
        Command::Power(args) => power::run(args),
        #[cfg(feature = "analysis")]
        Command::Analyze(args) => analysis::analyze(args),
        #[cfg(not(feature = "analysis"))]
        Command::Analyze(_) => Err(absent::refusal("analyze", "analysis")),
        #[cfg(feature = "analysis")]
        Command::Report(args) => analysis::report(args),
        #[cfg(not(feature = "analysis"))]
        Command::Report(_) => Err(absent::refusal("report", "analysis")),
        #[cfg(feature = "analysis")]
        Command::Compact(args) => analysis::compact(args),
        #[cfg(not(feature = "analysis"))]
        Command::Compact(_) => Err(absent::refusal("compact", "analysis")),
    }
}
