//! The bootstrap and the config discovery of the rig's own Envoys: the templates of `splitway_deploy` with free ports,
//! loopback addresses, and what a test adds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use splitway_deploy::FailurePolicy;
use splitway_deploy::deployment::{NORMAL, rejecting_underscores};
use splitway_deploy::template::{
    ACCESS_LOG_FILE, ACCESS_LOG_OTLP, BOOTSTRAP, ECDS, TRACING_OTLP, fill, inside, quoted, replaced,
};

/// What a proxy has besides `bootstrap.yaml`.
#[derive(Debug, Clone, Default)]
pub struct Additions {
    /// Entries of `access_log`, as YAML; see [`file_access_log`] and [`otlp_access_log`].
    pub access_logs: Vec<String>,
    /// The value of `tracing`, as YAML; see [`otlp_tracing`].
    pub tracing: Option<String>,
    /// Further clusters on loopback.
    pub clusters: Vec<(String, SocketAddr)>,
    /// The names of those of them that speak HTTP/2.
    pub http2: Vec<String>,
    /// Routes in front of the others.
    pub routes: Vec<serde_json::Value>,
    /// HTTP filters in front of Splitway's.
    pub filters_before: Vec<serde_json::Value>,
    /// HTTP filters between Splitway's and the router.
    pub filters_after: Vec<serde_json::Value>,
    /// Requests come from another proxy: it keeps what that one set.
    pub is_inside: bool,
}

/// `access-log-file.yaml`, writing to `path`.
///
/// # Errors
/// As [`bootstrap`].
pub fn file_access_log(path: &Path) -> Result<String> {
    fill(ACCESS_LOG_FILE, &[("ACCESS_LOG_PATH", quoted_path(path)?)])
}

/// `access-log-otlp.yaml`, sending to the cluster `otel-collector`, which is at `collector`.
///
/// # Errors
/// As [`bootstrap`].
pub fn otlp_access_log(collector: SocketAddr) -> Result<String> {
    fill(ACCESS_LOG_OTLP, &[("COLLECTOR", collector.to_string())])
}

/// `tracing-otlp.yaml`, sending to the cluster `otel-collector`, which is at `collector`.
///
/// # Errors
/// As [`bootstrap`].
pub fn otlp_tracing(collector: SocketAddr) -> Result<String> {
    fill(TRACING_OTLP, &[("COLLECTOR", collector.to_string())])
}

impl Additions {
    fn put_into(&self, bootstrap: &str) -> Result<String> {
        let mut text = if self.is_inside { inside(bootstrap)? } else { bootstrap.to_owned() };
        let access_logs = self.access_logs.concat();
        for (key, value) in [("access_log", Some(&access_logs)), ("tracing", self.tracing.as_ref())] {
            let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
            let lines: String = value.lines().map(|line| format!("                  {line}\n")).collect();
            let anchor = "                http_filters:\n";
            text = replaced(&text, anchor, &format!("                {key}:\n{lines}{anchor}"))?;
        }
        let entries = |filters: &[serde_json::Value]| -> String {
            filters.iter().map(|filter| format!("                  - {filter}\n")).collect()
        };
        let anchor = "                http_filters:\n";
        text = replaced(&text, anchor, &format!("{anchor}{}", entries(&self.filters_before)))?;
        let anchor = "                  - name: envoy.filters.http.router\n";
        text = replaced(&text, anchor, &format!("{}{anchor}", entries(&self.filters_after)))?;
        let anchor = "                      routes:\n";
        let routes: String =
            self.routes.iter().map(|route| format!("                        - {route}\n")).collect();
        text = replaced(&text, anchor, &format!("{anchor}{routes}"))?;
        for (name, address) in &self.clusters {
            let mut cluster = serde_json::json!({
                "name": name,
                "type": "STATIC",
                "connect_timeout": "1s",
                "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                    "address": { "socket_address": { "address": "127.0.0.1", "port_value": address.port() } },
                }}]}]},
            });
            if self.http2.contains(name) {
                cluster["typed_extension_protocol_options"] = serde_json::json!({
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": { "http2_protocol_options": {} },
                    },
                });
            }
            text.push_str(&format!("    - {cluster}\n"));
        }
        Ok(text)
    }
}

/// The values of `bootstrap.yaml`. Envoy listens on free ports, which its admin API then names.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap<'a> {
    /// The compiled filter, for the inert default config.
    pub wasm: &'a Path,
    /// The folder whose `ecds.yaml` Envoy reads and watches.
    pub watched_dir: &'a Path,
    /// Where cluster `checkout-v1` is. Only the port is used: upstreams are on loopback.
    pub v1: SocketAddr,
    /// Where cluster `checkout-v2` is.
    pub v2: SocketAddr,
    /// The policy of the inert default config.
    pub failure_policy: FailurePolicy,
    /// What else there is.
    pub additions: &'a Additions,
}

/// `bootstrap.yaml`, ready for Envoy.
///
/// # Errors
/// When a path is not UTF-8, or the template holds a placeholder that nothing fills.
pub fn bootstrap(values: &Bootstrap<'_>) -> Result<String> {
    let filled = fill(
        BOOTSTRAP,
        &[
            ("LISTENER_PORT", "0".to_owned()),
            ("ADMIN_PORT", "0".to_owned()),
            ("V1_PORT", values.v1.port().to_string()),
            ("V2_PORT", values.v2.port().to_string()),
            ("WATCHED_DIR", quoted_path(values.watched_dir)?),
            ("ECDS_PATH", quoted_path(&values.watched_dir.join("ecds.yaml"))?),
            ("WASM_PATH", quoted_path(values.wasm)?),
            ("FAILURE_POLICY", values.failure_policy.to_string()),
        ],
    )?;
    values.additions.put_into(&filled)
}

/// `ecds.yaml` with `document` (the experiment document as JSON; any text passes through
/// unchanged, so that tests can hand over a broken one).
///
/// # Errors
/// As [`bootstrap`].
pub fn ecds(document: &str, wasm: &Path, policy: FailurePolicy) -> Result<String> {
    fill(
        ECDS,
        &[
            ("WASM_PATH", quoted_path(wasm)?),
            ("FAILURE_POLICY", policy.to_string()),
            ("DOCUMENT", quoted(document)),
        ],
    )
}

/// What a scene's listener is made with; see [`crate::scene`].
#[derive(Debug, Clone)]
pub struct SceneListener<'a> {
    /// The name of the listener and of the filter in it.
    pub name: &'a str,
    /// The compiled filter, for the inert default config.
    pub wasm: &'a Path,
    /// The folder whose `ecds.yaml` Envoy reads and watches.
    pub watched_dir: &'a Path,
    /// The whole route table, as Envoy's `routes`.
    pub routes: &'a serde_json::Value,
    /// Lets request headers pass that have `_` in their name.
    pub allow_underscores: bool,
}

/// The listener of `bootstrap.yaml` with other names and routes, as a list entry of an LDS file.
///
/// # Errors
/// When a path is not UTF-8, or `bootstrap.yaml` no longer has what is replaced.
pub fn scene_listener(scene: &SceneListener<'_>) -> Result<String> {
    let (_, tail) = BOOTSTRAP.split_once("  listeners:\n").context("no listeners in bootstrap.yaml")?;
    let (listener, _) = tail.split_once("\n  clusters:").context("no clusters in bootstrap.yaml")?;
    let (listener, _) =
        listener.split_once("\n                      routes:\n").context("no routes in bootstrap.yaml")?;
    let typed = format!(
        "    - \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n      name: {}\n",
        scene.name
    );
    let mut listener = replaced(listener, "    - name: ingress\n", &typed)?;
    // Scenarios show what the filter does with a path as a client may send it.
    for line in NORMAL.lines() {
        listener = replaced(&listener, &format!("                {line}\n"), "")?;
    }
    listener = replaced(&listener, "- name: splitway\n", &format!("- name: {}\n", scene.name))?;
    if !scene.allow_underscores {
        listener = rejecting_underscores(&listener)?;
    }
    let listener = fill(
        &listener,
        &[
            ("LISTENER_PORT", "0".to_owned()),
            ("WATCHED_DIR", quoted_path(scene.watched_dir)?),
            ("ECDS_PATH", quoted_path(&scene.watched_dir.join("ecds.yaml"))?),
            ("WASM_PATH", quoted_path(scene.wasm)?),
            ("FAILURE_POLICY", FailurePolicy::default().to_string()),
        ],
    )?;
    Ok(format!("{listener}\n                      routes: {}\n", scene.routes))
}

/// `ecds.yaml` for the scene `name`. A module of its own, or an environment, gets a VM of its own.
///
/// # Errors
/// As [`scene_listener`].
pub fn scene_ecds(
    name: &str,
    configuration: &str,
    wasm: &Path,
    environment: &BTreeMap<String, String>,
    own_vm: bool,
) -> Result<String> {
    let mut template = replaced(ECDS, "\n    name: splitway #", &format!("\n    name: {name} #"))?;
    if !environment.is_empty() {
        let values = serde_json::to_string(environment)?;
        let line = "          runtime: envoy.wasm.runtime.v8\n";
        let more = format!("{line}          environment_variables: {{ key_values: {values} }}\n");
        template = replaced(&template, line, &more)?;
    }
    if own_vm {
        template = replaced(&template, "vm_id: splitway ", &format!("vm_id: {name} "))?;
    }
    fill(
        &template,
        &[
            ("WASM_PATH", quoted_path(wasm)?),
            ("FAILURE_POLICY", FailurePolicy::default().to_string()),
            ("DOCUMENT", quoted(configuration)),
        ],
    )
}

/// The head of `bootstrap.yaml`, with listeners and clusters from the files in two folders.
///
/// # Errors
/// As [`scene_listener`].
pub fn scene_bootstrap(listeners: &Path, clusters: &Path) -> Result<String> {
    let (head, _) =
        BOOTSTRAP.split_once("\nstatic_resources:").context("no static_resources in bootstrap.yaml")?;
    let head = fill(head, &[("ADMIN_PORT", "0".to_owned())])?;
    let source = |folder: &Path| -> Result<String> {
        let (file, folder) = (quoted_path(&folder.join("ecds.yaml"))?, quoted_path(folder)?);
        Ok(format!(
            "{{resource_api_version: V3, path_config_source: {{path: {file}, watched_directory: {{path: {folder}}}}}}}"
        ))
    };
    let (listeners, clusters) = (source(listeners)?, source(clusters)?);
    Ok(format!("{head}\ndynamic_resources:\n  lds_config: {listeners}\n  cds_config: {clusters}\n"))
}

fn quoted_path(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_quoted_and_never_taken_for_a_placeholder() {
        let text = ecds("{\"a\":\"${WASM_PATH}\\n'\"}", Path::new("/a b/f.wasm"), FailurePolicy::Open)
            .expect("rendered");
        assert!(text.contains(r#"value: "{\"a\":\"${WASM_PATH}\\n'\"}""#), "{text}");
        assert!(text.contains(r#"filename: "/a b/f.wasm""#), "{text}");
        assert!(text.contains("failure_policy: FAIL_OPEN"), "{text}");
    }

    #[test]
    fn every_placeholder_of_the_bootstrap_is_filled() {
        let text = bootstrap(&Bootstrap {
            wasm: Path::new("/f.wasm"),
            watched_dir: Path::new("/cm"),
            v1: SocketAddr::from(([127, 0, 0, 1], 7001)),
            v2: SocketAddr::from(([127, 0, 0, 1], 7002)),
            failure_policy: FailurePolicy::Reload,
            additions: &Additions::default(),
        })
        .expect("rendered");
        assert!(!text.contains("${"), "{text}");
        assert!(text.contains("port_value: 7001") && text.contains("port_value: 7002"));
        assert!(text.contains(r#"path: "/cm/ecds.yaml""#), "{text}");
    }

    #[test]
    fn a_scene_is_the_bootstrap_but_for_its_routes() {
        let routes = serde_json::json!([{ "match": { "prefix": "/" } }]);
        let listener = SceneListener {
            name: "scene-1",
            wasm: Path::new("/f.wasm"),
            watched_dir: Path::new("/cm"),
            routes: &routes,
            allow_underscores: false,
        };
        let text = scene_listener(&listener).expect("rendered");
        assert!(text.contains("use_remote_address: true") && text.contains("REJECT_REQUEST"), "{text}");
        assert!(!text.contains("checkout-v2") && !text.contains("${"), "{text}");
        let ecds =
            scene_ecds("scene-1", "{}", Path::new("/f.wasm"), &BTreeMap::new(), true).expect("rendered");
        assert!(ecds.contains("name: scene-1 #") && ecds.contains("vm_id: scene-1 "), "{ecds}");
        let bootstrap = scene_bootstrap(Path::new("/l"), Path::new("/c")).expect("rendered");
        assert!(bootstrap.contains("stats_tags") && !bootstrap.contains("${"), "{bootstrap}");
    }
}
