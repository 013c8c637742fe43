//! A folder that Envoy runs as it is, and snippets for an Envoy that exists.

use crate::deployment::{Cluster, Deployment};
use crate::files::Files;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::subject::Subject;
use crate::template::FailurePolicy;

/// Your own Envoy with Splitway in it.
#[derive(Debug)]
pub struct Proxy<'a> {
    /// The clusters; the first gets the requests that no variant routes.
    pub clusters: &'a [Service],
    /// Address and port that the proxy listens on.
    pub listen: (&'a str, u16),
    /// Address and port that its admin interface listens on.
    pub admin: (&'a str, u16),
    /// Path of the folder on the proxy's machine.
    pub at: &'a str,
    /// What the proxy does after a trap.
    pub failure_policy: FailurePolicy,
    /// True if requests with a `_` in any header's name are refused.
    pub reject_underscores: bool,
}

/// Renders the folder of `proxy` with `subject` in it: `envoy.yaml`, the module, the experiments, and snippets.
///
/// # Errors
/// If the config names clusters that the proxy does not have, or a cluster has no port or an invalid name.
pub fn folder(subject: &Subject, proxy: &Proxy<'_>) -> Result<Files, Refusal> {
    subject.must_know(proxy.clusters, subject.collector())?;
    let mut clusters = Vec::new();
    for cluster in proxy.clusters {
        let name = &cluster.name;
        let refuse = |why: &str| Refusal::Request(format!("--cluster {name}{why}"));
        let port = cluster.port.ok_or_else(|| refuse(" needs a port"))?;
        if !cluster.labels.is_empty() {
            return Err(refuse(": only Istio's subsets have labels"));
        }
        if !is_plain(name) {
            let expected = "expected a --cluster of letters, digits, `-`, `_` and `.`, found";
            return Err(Refusal::Request(format!("{expected} {name}")));
        }
        clusters.push(Cluster { name: name.clone(), host: cluster.host.clone(), port });
    }
    let at = proxy.at.trim_end_matches('/');
    let module = subject.module.file_name();
    let deployment = Deployment {
        listen: proxy.listen,
        admin: proxy.admin,
        wasm: &format!("{at}/{module}"),
        config_dir: &format!("{at}/experiments"),
        clusters: &clusters,
        capabilities: &subject.module.capabilities,
        failure_policy: proxy.failure_policy,
        variables: &subject.variables,
        reject_underscores: proxy.reject_underscores,
        is_inside: subject.plan.is_behind_another(),
        own_headers: &subject.plan.own_headers().map(str::to_owned).collect::<Vec<_>>(),
    };
    let mut files = Files::default();
    // The module first and the experiments last: a proxy that watches finds what they name.
    files.add(&module, subject.module.bytes.clone());
    files.add("SHA256SUMS", format!("{}  {module}\n", subject.module.sha256));
    files.add("envoy.yaml", deployment.bootstrap().map_err(Refusal::broken)?);
    for snippet in deployment.snippets().map_err(Refusal::broken)? {
        let text = format!("# Goes to: {}.\n{}", snippet.place, snippet.text);
        files.add(format!("snippets/{}.yaml", snippet.name), text);
    }
    files.add("experiments/ecds.yaml", deployment.ecds(&subject.json).map_err(Refusal::broken)?);
    Ok(files)
}

/// Returns true if the text needs no quotes in YAML.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}
