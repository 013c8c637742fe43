//! Kubernetes' own objects, and how all objects are written.

use serde_json::{Value, json};
use splitway_deploy::FailurePolicy;
use splitway_deploy::deployment::Deployment;

use super::Sources;
use super::args::{Configmap, Format};
use crate::outcome::{Failure, Outcome, print};

/// What a ConfigMap may hold: `MaxSecretSize` of the API server.
const CONFIGMAP_BYTES: usize = 1 << 20;

pub(super) fn configmap(args: &Configmap) -> Outcome {
    let sources = Sources::read(&args.source)?;
    let (key, text) = match args.format {
        Format::Ecds => ("ecds.yaml", ecds(&sources, &args.module, FailurePolicy::default())?),
        Format::Json => ("splitway.json", sources.json.clone()),
    };
    let mut object = config_map(&args.name, "data", key, text)?;
    if let Some(namespace) = &args.namespace {
        object["metadata"]["namespace"] = namespace.as_str().into();
    }
    print(yaml(&object)?.trim_end())
}

/// `ecds.yaml` for proxies that mount the module at `module`.
pub(super) fn ecds(sources: &Sources, module: &str, policy: FailurePolicy) -> Result<String, Failure> {
    let deployment = Deployment {
        listen: ("", 0),
        admin: ("", 0),
        wasm: module,
        config_dir: "",
        clusters: &[],
        capabilities: &sources.module.capabilities,
        failure_policy: policy,
        variables: &sources.variables,
        reject_underscores: false,
        is_inside: false,
        own_headers: &[],
    };
    deployment.ecds(&sources.json).map_err(|error| Failure::Usage(format!("{error:#}")))
}

/// A ConfigMap with one file, which must fit.
pub(super) fn config_map(name: &str, field: &str, key: &str, text: String) -> Result<Value, Failure> {
    let stored = if field == "data" { text.len() } else { text.len() / 4 * 3 };
    if stored > CONFIGMAP_BYTES {
        return Err(Failure::Problems(format!(
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

/// The object as YAML.
pub(super) fn yaml(object: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(object).map_err(|error| Failure::Usage(error.to_string()))
}
