//! `splitway render prometheus`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use splitway_deploy::prometheus;

use super::args::object_name;
use super::sources::failure;
use crate::input::{self, Input};
use crate::outcome::{Outcome, print};

#[derive(Debug, Args)]
pub(crate) struct Prometheus {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
    /// Time for which shares are planned (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::values::time)]
    at: Option<splitway_engine::Timestamp>,
    /// `file` for Prometheus' `rule_files`, `object` for a PrometheusRule of the Prometheus operator
    #[arg(long, value_name = "FORMAT", default_value = "file")]
    format: RuleFormat,
    /// Name of the object
    #[arg(long, default_value = "splitway", value_parser = object_name)]
    name: String,
    /// Namespace of the object
    #[arg(long, value_parser = object_name)]
    namespace: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RuleFormat {
    File,
    Object,
}

pub(super) fn run(args: &Prometheus) -> Outcome {
    let input = Input::read_all(&args.config)?;
    let (_, plan) = input.plan()?;
    let now = input::at(args.at);
    match args.format {
        RuleFormat::File => print(&prometheus::rules(&plan, now)),
        RuleFormat::Object => {
            let object = prometheus::object(&plan, now, &args.name, args.namespace.as_deref());
            print(object.map_err(|refusal| failure(&input, refusal))?.trim_end())
        }
    }
}
