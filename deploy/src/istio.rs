//! Manifests for Istio: the filter, the experiments, routes and subsets, scraping.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use serde_json::{Map, Value, json};

use crate::chart;
use crate::deployment::{self, Deployment};
use crate::files::Files;
use crate::kubernetes::{config_map, ecds, yaml};
use crate::object::Object;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::subject::Subject;
use crate::template::FailurePolicy;

/// Path of the experiments in proxies that mount the ConfigMaps.
const EXPERIMENTS: &str = "/etc/splitway/experiments";
/// Path of the module in them.
const MODULE: &str = "/etc/splitway/filter/splitway.wasm";

const HTTP_CONNECTION_MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// An Istio mesh with Splitway in it.
#[derive(Debug)]
pub struct Mesh<'a> {
    /// How the proxies get the module and the experiments.
    pub delivery: Delivery<'a>,
    /// The clusters; the first gets the requests that no variant routes.
    pub clusters: &'a [Service],
    /// The hosts of the VirtualService.
    pub hosts: &'a [String],
    /// Its gateways, as `NAMESPACE/NAME`; none for the sidecars of the mesh.
    pub gateways: &'a [String],
    /// The labels of the proxies that run the filter.
    pub workload: &'a [(String, String)],
    /// The namespace of all objects, which is the proxies' namespace.
    pub namespace: &'a str,
    /// The name of all objects.
    pub name: &'a str,
    /// What the proxy does after a trap.
    pub failure_policy: FailurePolicy,
    /// True if requests with a `_` in any header's name are refused.
    pub reject_underscores: bool,
}

/// How the proxies get the module and the experiments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// A WasmPlugin, which istiod pushes; the proxies pull this image, pinned by its digest (`sha256:…`).
    Image {
        /// `oci://REGISTRY/NAME[:TAG]`.
        image: &'a str,
        /// The digest that pins it.
        digest: &'a str,
    },
    /// A WasmPlugin; the proxies fetch the module here, pinned by its hash.
    Url(&'a str),
    /// ConfigMaps that the proxies mount and follow.
    ConfigMap,
}

/// Renders the folder of a kustomize base, and an overlay for each of `overlays`: its name and its namespace.
///
/// # Errors
/// If the config names clusters that the mesh does not have, or does not fit into a ConfigMap.
pub fn kustomize(
    subject: &Subject,
    mesh: &Mesh<'_>,
    overlays: &[(String, String)],
) -> Result<Files, Refusal> {
    let mut files = Files::default();
    let mut resources = Vec::new();
    for Object { file, value, remark } in &objects(subject, mesh)? {
        files.add(format!("base/{file}.yaml"), format!("# {remark}\n{}", yaml(value)?));
        resources.push(format!("{file}.yaml"));
    }
    let base = json!({ "resources": resources, "namespace": mesh.namespace });
    files.add("base/kustomization.yaml", kustomization(&base)?);
    for (name, namespace) in overlays {
        let overlay = json!({ "resources": ["../../base"], "namespace": namespace });
        files.add(format!("overlays/{name}/kustomization.yaml"), kustomization(&overlay)?);
    }
    add_workload_patch(subject, mesh, &mut files)?;
    Ok(files)
}

/// Renders the folder of a Helm chart of the same objects.
///
/// # Errors
/// As [`kustomize`]; also for a delivery by ConfigMap.
pub fn helm(subject: &Subject, mesh: &Mesh<'_>) -> Result<Files, Refusal> {
    let objects = objects(subject, mesh)?;
    if mesh.delivery == Delivery::ConfigMap {
        let why = "--chart works only with --delivery wasm-plugin: the chart's ConfigMap would not be the one that was checked";
        return Err(Refusal::Request(why.to_owned()));
    }
    let mut files = Files::default();
    chart::write(subject, &objects, &mut files)?;
    add_workload_patch(subject, mesh, &mut files)?;
    Ok(files)
}

fn objects(subject: &Subject, mesh: &Mesh<'_>) -> Result<Vec<Object>, Refusal> {
    // The collector is a cluster of the mesh, by Envoy's name for it.
    subject.must_know(mesh.clusters, None)?;
    Objects { mesh, subject }.all()
}

fn add_workload_patch(subject: &Subject, mesh: &Mesh<'_>, files: &mut Files) -> Result<(), Refusal> {
    if let Some(patch) = workload_patch(mesh, &subject.variables) {
        files.add("workload-patch.yaml", patch?);
    }
    Ok(())
}

/// What the proxies' deployment needs, as a patch with remarks; `None` if nothing.
fn workload_patch(mesh: &Mesh<'_>, variables: &[String]) -> Option<Result<String, Refusal>> {
    let mut remarks = String::new();
    let mut template = json!({});
    if mesh.delivery == Delivery::ConfigMap {
        remarks.push_str("# Mounts both ConfigMaps into the proxies.\n");
        template["metadata"] = mounts(mesh.name);
    }
    if !variables.is_empty() {
        let secret = format!("{}-secrets", mesh.name);
        let values: String = variables.iter().map(|name| format!(" --from-literal={name}=…")).collect();
        let namespace = mesh.namespace;
        remarks.push_str(&format!(
            "# Gives the proxies the secrets that the config names, from a Secret that is yours to make:\n\
             #   kubectl create secret generic {secret} --namespace {namespace}{values}\n\
             # A sidecar that is injected needs `image: auto` beside `name: istio-proxy`.\n"
        ));
        let from = |name: &String| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": name } } });
        let variables: Vec<Value> = variables.iter().map(from).collect();
        template["spec"] = json!({ "containers": [{ "name": "istio-proxy", "env": variables }] });
    }
    if remarks.is_empty() {
        return None;
    }
    remarks.push_str(
        "# For a gateway or a workload with a sidecar:\n\
         #   kubectl patch deployment NAME --patch-file workload-patch.yaml\n",
    );
    Some(yaml(&json!({ "spec": { "template": template } })).map(|patch| format!("{remarks}{patch}")))
}

struct Objects<'a> {
    mesh: &'a Mesh<'a>,
    subject: &'a Subject,
}

impl Objects<'_> {
    fn all(&self) -> Result<Vec<Object>, Refusal> {
        let object = |file: &str, value, remark| Object { file: file.to_owned(), value, remark };
        let mut all = match self.module() {
            Some((url, sha256)) => vec![object(
                "wasmplugin",
                self.wasm_plugin(&url, &sha256)?,
                "The filter and its experiments. STATS is behind authentication, so a JWT claim can be the unit.",
            )],
            None => {
                let policy = self.mesh.failure_policy;
                let experiments = ecds(self.subject, MODULE, policy)?;
                let module = Base64::encode_string(&self.subject.module.bytes);
                vec![
                    object(
                        "experiments",
                        config_map(&self.named("experiments"), "data", "ecds.yaml", experiments)?,
                        "The experiments. Proxies that mount it follow it; kubelet takes up to a minute to bring it.",
                    ),
                    object(
                        "filter",
                        config_map(&self.named("filter"), "binaryData", "splitway.wasm", module)?,
                        "The compiled filter. Too large for `kubectl apply` without --server-side.",
                    ),
                    object(
                        "envoyfilter",
                        self.http_filter()?,
                        "Puts the filter before the router; its config comes from the mounted ConfigMap.",
                    ),
                ]
            }
        };
        all.push(object("proxy", self.proxy()?, "Gives the metrics their labels (at a proxy's start)."));
        all.push(object(
            "virtualservice",
            self.virtual_service(),
            "Sends each request to the cluster of its variant, and all others to the first cluster.",
        ));
        for (index, value) in self.destination_rules().into_iter().enumerate() {
            let file =
                if index == 0 { "destinationrule".to_owned() } else { format!("destinationrule-{index}") };
            all.push(object(&file, value, "The subsets that the variants' clusters are."));
        }
        all.push(object(
            "podmonitor",
            self.pod_monitor(),
            "Scrapes what the filter counts (Prometheus operator).",
        ));
        Ok(all)
    }

    fn named(&self, what: &str) -> String {
        format!("{}-{what}", self.mesh.name)
    }

    fn meta(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": self.mesh.namespace,
            "labels": { "app.kubernetes.io/name": "splitway" },
        })
    }

    fn workload(&self) -> Value {
        self.mesh
            .workload
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().into()))
            .collect::<Map<_, _>>()
            .into()
    }

    /// Returns where the proxies get the module, and its hash; `None` if they mount it.
    fn module(&self) -> Option<(String, String)> {
        match self.mesh.delivery {
            Delivery::Image { image, digest } => {
                let plain = image.strip_prefix("oci://").unwrap_or(image);
                let (plain, _) = plain.split_once('@').unwrap_or((plain, ""));
                // A colon behind the last slash begins a tag, one before it a port.
                let name = plain
                    .rsplit_once(':')
                    .map_or(plain, |(name, tag)| if tag.contains('/') { plain } else { name });
                let sha256 = digest.strip_prefix("sha256:").unwrap_or(digest).to_owned();
                Some((format!("oci://{name}@{digest}"), sha256))
            }
            Delivery::Url(url) => Some((url.to_owned(), self.subject.module.sha256.clone())),
            Delivery::ConfigMap => None,
        }
    }

    fn wasm_plugin(&self, url: &str, sha256: &str) -> Result<Value, Refusal> {
        let config: Value = serde_json::from_str(&self.subject.json).map_err(Refusal::broken)?;
        let mut plugin = json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": self.meta(self.mesh.name),
            "spec": {
                "selector": { "matchLabels": self.workload() },
                "url": url,
                "sha256": sha256,
                "imagePullPolicy": "IfNotPresent",
                "phase": "STATS",
                "failStrategy": match self.mesh.failure_policy {
                    FailurePolicy::Reload => "FAIL_RELOAD",
                    FailurePolicy::Open => "FAIL_OPEN",
                    FailurePolicy::Closed => "FAIL_CLOSE",
                },
                "pluginName": "splitway",
                "pluginConfig": config,
            },
        });
        if !self.subject.variables.is_empty() {
            // From the proxy's container, which has them from a Secret: see workload-patch.yaml.
            let from_host = |name: &String| json!({ "name": name, "valueFrom": "HOST" });
            let variables: Vec<Value> = self.subject.variables.iter().map(from_host).collect();
            plugin["spec"]["vmConfig"] = json!({ "env": variables });
        }
        Ok(plugin)
    }

    /// Returns a snippet of the Envoy deployment, as JSON.
    fn snippet(&self, name: &str) -> Result<Value, Refusal> {
        let clusters =
            [deployment::Cluster { name: "none".to_owned(), host: "127.0.0.1".to_owned(), port: 1 }];
        let deployment = Deployment {
            listen: ("", 0),
            admin: ("", 0),
            wasm: MODULE,
            config_dir: EXPERIMENTS,
            clusters: &clusters,
            capabilities: &self.subject.module.capabilities,
            failure_policy: self.mesh.failure_policy,
            variables: &self.subject.variables,
            reject_underscores: self.mesh.reject_underscores,
            is_inside: false,
            own_headers: &[],
        };
        let snippets = deployment.snippets().map_err(Refusal::broken)?;
        let snippet = snippets.into_iter().find(|snippet| snippet.name == name);
        let text = snippet.map(|snippet| snippet.text).unwrap_or_default();
        serde_saphyr::from_str(&text).map_err(Refusal::broken)
    }

    fn http_filter(&self) -> Result<Value, Refusal> {
        let filter = self.snippet("http-filter")?;
        let match_router = json!({
            "listener": { "filterChain": { "filter": {
                "name": "envoy.filters.network.http_connection_manager",
                "subFilter": { "name": "envoy.filters.http.router" },
            } } },
        });
        Ok(self.envoy_filter(
            self.mesh.name,
            json!([{
                "applyTo": "HTTP_FILTER",
                "match": match_router,
                "patch": { "operation": "INSERT_BEFORE", "value": filter[0] },
            }]),
        ))
    }

    fn proxy(&self) -> Result<Value, Refusal> {
        let manager = json!({ "listener": { "filterChain": { "filter": {
            "name": "envoy.filters.network.http_connection_manager",
        } } } });
        let stats = self.snippet("stats")?;
        let mut patches =
            vec![json!({ "applyTo": "BOOTSTRAP", "patch": { "operation": "MERGE", "value": stats } })];
        let mut fields = self.snippet("connection-manager")?;
        if let Value::Object(fields) = &mut fields {
            // Istio has it, and Envoy refuses an upgrade that is there twice.
            fields.remove("upgrade_configs");
        }
        if fields != json!({}) {
            fields["@type"] = HTTP_CONNECTION_MANAGER.into();
            patches.push(json!({
                "applyTo": "NETWORK_FILTER",
                "match": manager,
                "patch": { "operation": "MERGE", "value": {
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": fields,
                } },
            }));
        }
        Ok(self.envoy_filter(&self.named("proxy"), patches.into()))
    }

    fn envoy_filter(&self, name: &str, patches: Value) -> Value {
        json!({
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": self.meta(name),
            "spec": { "workloadSelector": { "labels": self.workload() }, "configPatches": patches },
        })
    }

    fn virtual_service(&self) -> Value {
        let destination = |cluster: &Service| {
            let mut destination = json!({ "host": cluster.host });
            if let Some(port) = cluster.port {
                destination["port"] = json!({ "number": port });
            }
            if !cluster.labels.is_empty() {
                destination["subset"] = cluster.name.as_str().into();
            }
            destination
        };
        let clusters = self.mesh.clusters;
        // Istio cannot copy to a cluster that a header names, so each copy is a route of its own.
        let shadows = self.subject.shadows();
        let copies = clusters.iter().filter(|cluster| shadows.contains(cluster.name.as_str()));
        let copies: Vec<Option<&Service>> = copies.map(Some).chain([None]).collect();
        // Any cluster that is not listed takes the first one, too: an unknown name fails nobody.
        let targets = clusters.iter().map(|cluster| (Some(cluster), cluster));
        let targets: Vec<_> = targets.chain(clusters.first().map(|first| (None, first))).collect();
        let mut routes = Vec::new();
        for (wanted, cluster) in targets {
            for copy in &copies {
                let mut name =
                    wanted.map_or("default".to_owned(), |wanted| format!("splitway-{}", wanted.name));
                let mut headers = serde_json::Map::new();
                if let Some(wanted) = wanted {
                    headers.insert(splitway_engine::CLUSTER.to_owned(), json!({ "exact": wanted.name }));
                }
                if let Some(copy) = copy {
                    name.push_str(&format!("-copied-to-{}", copy.name));
                    headers.insert(splitway_engine::SHADOW.to_owned(), json!({ "exact": copy.name }));
                }
                let mut route = json!({ "name": name, "route": [{ "destination": destination(cluster) }] });
                if !headers.is_empty() {
                    route["match"] = json!([{ "headers": headers }]);
                }
                if let Some(copy) = copy {
                    route["mirror"] = destination(copy);
                }
                routes.push(route);
            }
        }
        let mut spec = json!({ "hosts": self.mesh.hosts, "http": routes });
        if !self.mesh.gateways.is_empty() {
            spec["gateways"] = json!(self.mesh.gateways);
        }
        json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": self.meta(self.mesh.name),
            "spec": spec,
        })
    }

    /// Renders one object per service that has subsets.
    fn destination_rules(&self) -> Vec<Value> {
        let mut hosts: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for cluster in self.mesh.clusters.iter().filter(|cluster| !cluster.labels.is_empty()) {
            let subset = json!({ "name": cluster.name, "labels": cluster.labels });
            hosts.entry(&cluster.host).or_default().push(subset);
        }
        hosts
            .into_iter()
            .enumerate()
            .map(|(index, (host, subsets))| {
                let name =
                    if index == 0 { self.mesh.name.to_owned() } else { self.named(&index.to_string()) };
                json!({
                    "apiVersion": "networking.istio.io/v1",
                    "kind": "DestinationRule",
                    "metadata": self.meta(&name),
                    "spec": { "host": host, "subsets": subsets },
                })
            })
            .collect()
    }

    fn pod_monitor(&self) -> Value {
        json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": self.meta(self.mesh.name),
            "spec": {
                "selector": { "matchLabels": self.workload() },
                "podMetricsEndpoints": [{
                    "port": "http-envoy-prom",
                    "path": "/stats/prometheus",
                    "interval": "15s",
                    "metricRelabelings": [{
                        "sourceLabels": ["__name__"],
                        "regex": "splitway_.*|envoy_extension_config_discovery_.*|envoy_wasm_.*",
                        "action": "keep",
                    }],
                }],
            },
        })
    }
}

/// The annotations by which Istio's injection mounts volumes into the proxy's container. Its template writes
/// `name: KEY` and then the value.
fn mounts(name: &str) -> Value {
    let volumes = json!({
        "splitway-experiments": { "configMap": { "name": format!("{name}-experiments") } },
        "splitway-filter": { "configMap": { "name": format!("{name}-filter") } },
    });
    let mounts = json!({
        "splitway-experiments": { "mountPath": EXPERIMENTS, "readOnly": true },
        "splitway-filter": { "mountPath": "/etc/splitway/filter", "readOnly": true },
    });
    json!({ "annotations": {
        "sidecar.istio.io/userVolume": volumes.to_string(),
        "sidecar.istio.io/userVolumeMount": mounts.to_string(),
    } })
}

fn kustomization(rest: &Value) -> Result<String, Refusal> {
    let mut all = json!({ "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization" });
    if let (Value::Object(all), Value::Object(rest)) = (&mut all, rest) {
        all.extend(rest.clone());
    }
    yaml(&all)
}
