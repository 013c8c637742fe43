//! `splitway render configmap`.

use clap::{Args, ValueEnum};
use splitway_deploy::kubernetes::{self, Content};

use super::args::{Source, object_name};
use super::sources::Sources;
use crate::outcome::{Outcome, print};

#[derive(Debug, Args)]
pub(crate) struct Configmap {
    #[command(flatten)]
    source: Source,
    /// `ecds` for an Envoy that watches the file, `json` for the config alone
    #[arg(long, value_name = "FORMAT", default_value = "ecds")]
    format: Format,
    /// Name of the ConfigMap
    #[arg(long, default_value = "splitway-experiments", value_parser = object_name)]
    name: String,
    /// Namespace of the ConfigMap
    #[arg(long, value_parser = object_name)]
    namespace: Option<String>,
    /// Path of the module in the proxy's container
    #[arg(long, value_name = "FILE", default_value = "/etc/splitway/filter/splitway.wasm")]
    module: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Ecds,
    Json,
}

pub(super) fn run(args: &Configmap) -> Outcome {
    let sources = Sources::read(&args.source)?;
    let content = match args.format {
        Format::Ecds => Content::Ecds(&args.module),
        Format::Json => Content::Json,
    };
    let object = kubernetes::configmap(&sources.subject, &args.name, args.namespace.as_deref(), content);
    print(object.map_err(|refusal| sources.failure(refusal))?.trim_end())
}
