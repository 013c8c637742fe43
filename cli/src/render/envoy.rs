//! `splitway render envoy`.

use splitway_deploy::deployment::{Cluster, Deployment};

use super::args::Envoy;
use super::{Files, Sources};
use crate::outcome::{Failure, Outcome};

pub(super) fn run(args: &Envoy) -> Outcome {
    let sources = Sources::read(&args.source)?;
    sources.must_know(&args.cluster, sources.collector())?;
    let mut clusters = Vec::new();
    for cluster in &args.cluster {
        let name = &cluster.name;
        let port = cluster.port.ok_or_else(|| Failure::Usage(format!("--cluster {name} needs a port")))?;
        if !cluster.labels.is_empty() {
            return Err(Failure::Usage(format!("--cluster {name}: only Istio's subsets have labels")));
        }
        if !is_plain(name) {
            return Err(Failure::Usage(format!(
                "expected a --cluster of letters, digits, `-`, `_` and `.`, found {name}"
            )));
        }
        clusters.push(Cluster { name: name.clone(), host: cluster.host.clone(), port });
    }
    let at = args.at.trim_end_matches('/');
    let module = sources.module.file_name();
    let deployment = Deployment {
        listen: (&args.listen.0, args.listen.1),
        admin: (&args.admin.0, args.admin.1),
        wasm: &format!("{at}/{module}"),
        config_dir: &format!("{at}/experiments"),
        clusters: &clusters,
        capabilities: &sources.module.capabilities,
        failure_policy: args.on_trap.into(),
        variables: &sources.variables,
        reject_underscores: args.reject_underscores,
        is_inside: sources.plan.is_behind_another(),
        own_headers: &sources.plan.own_headers().map(str::to_owned).collect::<Vec<_>>(),
    };
    let broken = |error: anyhow::Error| Failure::Usage(format!("{error:#}"));
    let mut files = Files::default();
    // The module first and the experiments last: a proxy that watches finds what they name.
    files.add(&module, sources.module.bytes.clone());
    files.add("SHA256SUMS", format!("{}  {module}\n", sources.module.sha256));
    files.add("envoy.yaml", deployment.bootstrap().map_err(broken)?);
    for snippet in deployment.snippets().map_err(broken)? {
        let text = format!("# Goes to: {}.\n{}", snippet.place, snippet.text);
        files.add(format!("snippets/{}.yaml", snippet.name), text);
    }
    files.add("experiments/ecds.yaml", deployment.ecds(&sources.json).map_err(broken)?);
    let folder = args.output.out.display();
    let start = match sources.variables.as_slice() {
        [] => "start it".to_owned(),
        names => format!("start it with {} in its environment", names.join(", ")),
    };
    files.finish(&args.output, &format!("{start}: cd {folder} && envoy --config-path envoy.yaml"))
}

/// What needs no quotes in YAML.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}
