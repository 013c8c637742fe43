//! Kubernetes' own objects, and how all objects are written.

use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::refusal::Refusal;
use crate::subject::Subject;
use crate::template::FailurePolicy;

/// Largest size of a ConfigMap, in bytes: `MaxSecretSize` of the API server.
const CONFIGMAP_BYTES: usize = 1 << 20;

/// Content of a ConfigMap's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// `ecds.yaml`, which an Envoy follows; the text is the module's path in the proxy's container.
    Ecds(&'a str),
    /// The document alone, as JSON.
    Json,
}

/// Renders a ConfigMap with the experiments, as YAML.
///
/// # Errors
/// If the experiments do not fit into one.
pub fn configmap(
    subject: &Subject,
    name: &str,
    namespace: Option<&str>,
    content: Content<'_>,
) -> Result<String, Refusal> {
    let (key, text) = match content {
        Content::Ecds(module) => ("ecds.yaml", ecds(subject, module, FailurePolicy::default())?),
        Content::Json => ("splitway.json", subject.json.clone()),
    };
    let mut object = config_map(name, "data", key, text)?;
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    yaml(&object)
}

/// Renders `ecds.yaml` for proxies that mount the module at `module`.
pub(crate) fn ecds(subject: &Subject, module: &str, policy: FailurePolicy) -> Result<String, Refusal> {
    let deployment = Deployment {
        listen: ("", 0),
        admin: ("", 0),
        wasm: module,
        config_dir: "",
        clusters: &[],
        capabilities: &subject.module.capabilities,
        failure_policy: policy,
        variables: &subject.variables,
        reject_underscores: false,
        is_inside: false,
        own_headers: &[],
    };
    deployment.ecds(&subject.json).map_err(Refusal::broken)
}

/// Creates a ConfigMap with one file, if it fits.
pub(crate) fn config_map(name: &str, field: &str, key: &str, text: String) -> Result<Value, Refusal> {
    let stored = if field == "data" { text.len() } else { text.len() / 4 * 3 };
    if stored > CONFIGMAP_BYTES {
        return Err(Refusal::Unfit(format!(
            "{key} has {stored} bytes; a ConfigMap holds at most {CONFIGMAP_BYTES}"
        )));
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "labels": { "app.kubernetes.io/name": "splitway" } },
        field: { key: text },
    }))
}

/// Returns the object as YAML.
pub(crate) fn yaml(object: &Value) -> Result<String, Refusal> {
    serde_saphyr::to_string(object).map_err(Refusal::broken)
}
