//! `splitway render envoy`.

use clap::Args;
use splitway_deploy::envoy::{Proxy, folder};
use splitway_deploy::{Service, host_and_port};

use super::args::{OnTrap, Output, Source};
use super::sources::Sources;
use crate::outcome::Outcome;

pub(super) const EXAMPLE: &str = "\
Example: splitway render envoy --config splitway.yaml --cluster shop=127.0.0.1:3000 \
--cluster checkout-v2=127.0.0.1:3001 --out proxy
Then: cd proxy && envoy --config-path envoy.yaml";

#[derive(Debug, Args)]
pub(crate) struct Envoy {
    #[command(flatten)]
    source: Source,
    /// Cluster and its address; may be repeated, the first one gets the requests that no variant routes
    #[arg(long, required = true, value_name = "NAME=HOST:PORT", value_parser = Service::parse)]
    cluster: Vec<Service>,
    /// Address that the proxy listens on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = socket)]
    listen: (String, u16),
    /// Address that the admin interface listens on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901", value_parser = socket)]
    admin: (String, u16),
    /// Path of the folder on the proxy's machine [default: the proxy's working directory]
    #[arg(long, value_name = "DIR", default_value = ".")]
    at: String,
    /// What happens to requests after the filter traps (crashes)
    #[arg(long, value_name = "POLICY", default_value = "reload")]
    on_trap: OnTrap,
    /// Refuse every request with a `_` in a header's name (without this, the filter removes `X_Splitway`)
    #[arg(long)]
    reject_underscores: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Envoy) -> Outcome {
    let sources = Sources::read(&args.source)?;
    let proxy = Proxy {
        clusters: &args.cluster,
        listen: (&args.listen.0, args.listen.1),
        admin: (&args.admin.0, args.admin.1),
        at: &args.at,
        failure_policy: args.on_trap.into(),
        reject_underscores: args.reject_underscores,
    };
    let files = folder(&sources.subject, &proxy).map_err(|refusal| sources.failure(refusal))?;
    let start = match sources.subject.variables.as_slice() {
        [] => "start it".to_owned(),
        names => format!("start it with {} in its environment", names.join(", ")),
    };
    let folder = args.output.out.display();
    args.output.write(&files, &format!("{start}: cd {folder} && envoy --config-path envoy.yaml"))
}

fn socket(text: &str) -> Result<(String, u16), String> {
    match host_and_port(text) {
        Some((host, Some(port))) => Ok((host, port)),
        _ => Err("expected an address and a port, such as 0.0.0.0:8080".to_owned()),
    }
}
