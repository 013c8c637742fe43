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
mod args;
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
mod simulate;
mod simulation;
mod style;
#[cfg(feature = "host")]
mod test;
mod token;
mod validate;

use std::ffi::OsString;
use std::io::Write as _;

use clap::Parser as _;

use args::{Cli, Command};
pub use outcome::Exit;
use outcome::{Failure, Outcome};

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
        #[cfg(feature = "host")]
        Command::Schema(args) if args.scenario => outcome::print_json(&splitway_scenarios::schema()),
        Command::Schema(args) if args.markdown => {
            outcome::print(reference::markdown(&splitway_engine::schema()).trim_end())
        }
        Command::Schema(_) => outcome::print_json(&splitway_engine::schema()),
        #[cfg(feature = "host")]
        Command::Test(args) => test::run(args),
        #[cfg(not(feature = "host"))]
        Command::Test(_) => Err(absent::refusal("test", "host")),
        Command::Token(args) => token::run(args),
        Command::Init(args) => init::run(args),
        Command::Fmt(args) => format::run(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
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
