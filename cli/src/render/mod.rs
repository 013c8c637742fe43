//! `splitway render`: files that are deployed as they are.
//!
//! What a target cannot hold is refused here, and not by the proxy at night. What the files are made of is in
//! `splitway_deploy`; each target's arguments are beside what runs.

mod args;
mod configmap;
mod envoy;
#[cfg(feature = "host")]
mod google;
mod istio;
mod prometheus;
mod sources;

use clap::{Args, Subcommand};

use crate::outcome::Outcome;

#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(subcommand)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Target {
    /// Write a folder that Envoy can run, and snippets for an existing Envoy
    #[command(after_help = envoy::EXAMPLE)]
    Envoy(envoy::Envoy),
    /// Write manifests for Istio: the filter, the experiments, routes and subsets, scraping
    ///
    /// The result is a kustomize base, or a Helm chart with --chart.
    #[command(after_help = istio::EXAMPLE)]
    Istio(Box<istio::Istio>),
    /// Print a ConfigMap with the experiments
    #[command(after_help = "Example: splitway render configmap --config splitway.yaml | kubectl apply -f -")]
    Configmap(configmap::Configmap),
    /// Print the plugin config for Google Cloud Service Extensions, if it fits their limits
    #[command(after_help = "Example: splitway render google --config splitway.yaml > plugin.json")]
    #[cfg(feature = "host")]
    Google(google::Google),
    #[cfg(not(feature = "host"))]
    Google(crate::absent::Absent),
    /// Print Prometheus rules for the config: planned shares and alerts
    #[command(
        after_help = "Example: splitway render prometheus --config splitway.yaml > splitway.rules.yaml"
    )]
    Prometheus(prometheus::Prometheus),
}

pub(crate) fn run(args: &Render) -> Outcome {
    match &args.target {
        Target::Envoy(args) => envoy::run(args),
        Target::Istio(args) => istio::run(args),
        Target::Configmap(args) => configmap::run(args),
        #[cfg(feature = "host")]
        Target::Google(args) => google::run(args),
        #[cfg(not(feature = "host"))]
        Target::Google(_) => Err(crate::absent::refusal("render google", "host")),
        Target::Prometheus(args) => prometheus::run(args),
    }
}
