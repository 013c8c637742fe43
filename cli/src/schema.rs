//! `splitway schema`: the config's JSON Schema, or a reference made of it.

use clap::Args;

use crate::outcome::{Outcome, print, print_json};
use crate::reference;

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Print the JSON Schema of scenario files instead
    #[cfg(feature = "host")]
    #[arg(long, conflicts_with = "markdown")]
    scenario: bool,
    /// Print a reference in Markdown instead
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn run(args: &Schema) -> Outcome {
    #[cfg(feature = "host")]
    if args.scenario {
        return print_json(&splitway_scenarios::schema());
    }
    let schema = splitway_engine::schema();
    if args.markdown { print(reference::markdown(&schema).trim_end()) } else { print_json(&schema) }
}
