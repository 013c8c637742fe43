//! The files of a proxy of one's own: `bootstrap.yaml` and `ecds.yaml` with other addresses, routes
//! and clusters, and their pieces for a bootstrap that exists already.

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::template::{BOOTSTRAP, ECDS, FailurePolicy, fill, inside, quoted, replaced};

/// A cluster that variants may route to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name in configs.
    pub name: String,
    /// A host name, which Envoy resolves, or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// The values from which a deployment's files are rendered.
#[derive(Debug, Clone)]
pub struct Deployment<'a> {
    /// Address and port that the proxy listens on.
    pub listen: (&'a str, u16),
    /// Address and port that its admin interface listens on.
    pub admin: (&'a str, u16),
    /// Path of the module on the proxy's machine.
    pub wasm: &'a str,
    /// Path of the folder with `ecds.yaml` on the proxy's machine.
    pub config_dir: &'a str,
    /// The clusters; the first gets the requests that no variant routes.
    pub clusters: &'a [Cluster],
    /// Imports of the module, and callbacks that the proxy may call; empty allows all.
    pub capabilities: &'a [String],
    /// What the proxy does after a trap.
    pub failure_policy: FailurePolicy,
    /// Environment variables of the proxy that the module may read.
    pub variables: &'a [String],
    /// True if requests with a `_` in any header's name are refused.
    pub reject_underscores: bool,
    /// True if requests come from your own proxy in front, which runs a Splitway.
    pub is_inside: bool,
    /// Request headers that only variants set.
    pub own_headers: &'a [String],
}

/// Returns `name` with `-` and `_` in every combination: many servers treat them alike, and Envoy's lists do not. For
/// names with more than five, returns only the name as it is and with `_` throughout.
fn spellings(name: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split('-').collect();
    let dashes = parts.len() - 1;
    if dashes > 5 {
        return vec![name.to_owned(), parts.join("_")];
    }
    let spelling = |mask: usize| -> String {
        let mut text = parts[0].to_owned();
        for (place, part) in parts[1..].iter().enumerate() {
            text.push(if mask >> place & 1 == 0 { '-' } else { '_' });
            text.push_str(part);
        }
        text
    };
    (0..1_usize << dashes).map(spelling).collect()
}

/// A piece of a bootstrap, and its place in an existing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// A file name without its ending.
    pub name: &'static str,
    /// Its place in the bootstrap.
    pub place: &'static str,
    /// YAML at indentation 0.
    pub text: String,
}

const ROUTES: &str = "                        # One exact match for each cluster";
const ROUTE: &str = "                        - match:\n";
const DEFAULT_ROUTE: &str = "                        - match: { prefix: / }\n";
const CLUSTERS: &str = "\n  clusters:\n";
const SECOND_CLUSTER: &str = "    - name: checkout-v2\n";
const FILTER: &str = "                  - name: splitway\n";
const ROUTER: &str = "                  - name: envoy.filters.http.router\n";

impl Deployment<'_> {
    /// Renders a whole bootstrap; a comment at its top names its origin.
    ///
    /// # Errors
    /// If there is no cluster, or `bootstrap.yaml` no longer contains what is replaced.
    pub fn bootstrap(&self) -> Result<String> {
        let (_, body) = BOOTSTRAP.split_once("\nnode:").context("no node in bootstrap.yaml")?;
        let (body, _) = body.split_once(ROUTES).context("no routes in bootstrap.yaml")?;
        let body = if self.is_inside { inside(body)? } else { body.to_owned() };
        let body = replaced(&body, "address: 127.0.0.1, port_value: ${LISTENER_PORT}", "${LISTENER}")?;
        let body = replaced(&body, "address: 127.0.0.1, port_value: ${ADMIN_PORT}", "${ADMIN}")?;
        let body = if self.reject_underscores { rejecting_underscores(&body)? } else { body };
        let mut text =
            "# Made by `splitway render envoy`. Run it in this folder: envoy --config-path envoy.yaml\nnode:"
                .to_owned();
        text.push_str(&self.fill(&body)?);
        text.push_str(&self.route_lines()?);
        text.push_str(CLUSTERS);
        text.push_str(&self.cluster_lines()?);
        Ok(text)
    }

    /// Renders `ecds.yaml` with `document`, the experiment document as JSON.
    ///
    /// # Errors
    /// If `ecds.yaml` no longer contains what is replaced.
    pub fn ecds(&self, document: &str) -> Result<String> {
        let template = replaced(ECDS, "value: ${DOCUMENT}", "value: ${QUOTED}")?;
        let template = self.adapted(&template, "        ")?;
        fill(
            &template,
            &[
                ("WASM_PATH", quoted(self.wasm)),
                ("FAILURE_POLICY", self.failure_policy.to_string()),
                ("QUOTED", quoted(document)),
            ],
        )
    }

    /// Renders the pieces of [`Deployment::bootstrap`], for a bootstrap that exists already.
    ///
    /// # Errors
    /// As [`Deployment::bootstrap`].
    pub fn snippets(&self) -> Result<Vec<Snippet>> {
        let between = |start: &str, end: &str| -> Result<&'static str> {
            let (_, tail) = BOOTSTRAP.split_once(start).with_context(|| format!("no {start:?}"))?;
            let (inside, _) = tail.split_once(end).with_context(|| format!("no {end:?}"))?;
            Ok(inside)
        };
        let filter = format!("{FILTER}{}", between(FILTER, ROUTER)?);
        let stats = format!("stats_config:{}", between("\nstats_config:", "\nstatic_resources:")?);
        let fields = self.disabled_route().into_iter();
        let disabled: String = fields.map(|(name, value)| format!("{name}: {value}\n")).collect();
        let snippet = |name, place, text: &str| Snippet { name, place, text: dedented(text) };
        Ok(vec![
            snippet(
                "http-filter",
                "first of the connection manager's `http_filters`, behind those that authenticate",
                &self.fill(&filter)?,
            ),
            snippet("routes", "before the routes of each virtual host that takes part", &self.route_lines()?),
            snippet(
                "clusters",
                "static_resources.clusters, unless the cluster is there",
                &self.cluster_lines()?,
            ),
            snippet(
                "connection-manager",
                "fields of the connection manager, unless they are there",
                &format!("{NORMAL}{UPGRADES}{}", if self.reject_underscores { REJECTION } else { "" }),
            ),
            snippet(
                "disabled-routes",
                "each route where the filter is disabled, so that what clients make up reaches nobody there either",
                &disabled,
            ),
            snippet("stats", "top level: labels instead of long metric names", &stats),
            snippet(
                "access-log",
                "`access_log` of the connection manager: who got what, one JSON object a line",
                ACCESS_LOG,
            ),
            snippet(
                "tracing",
                "`tracing` of the connection manager, beside its provider: the stamp as a span tag",
                TRACING,
            ),
        ])
    }

    /// Returns the fields of a route without the filter, by name. Elsewhere they would remove what the filter sets.
    #[must_use]
    pub fn disabled_route(&self) -> Vec<(&'static str, Value)> {
        let stamps = ["x-splitway", "x-splitway-cluster", "x-splitway-shadow"];
        let own = self.own_headers.iter().map(String::as_str);
        let of_request: Vec<String> = stamps.into_iter().chain(own).flat_map(spellings).collect();
        let of_response: Vec<&str> = stamps.into_iter().chain(["x-splitway-explain"]).collect();
        let disabled = json!({
            "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "disabled": true,
        });
        vec![
            ("typed_per_filter_config", json!({ "splitway": disabled })),
            ("request_headers_to_remove", json!(of_request)),
            ("response_headers_to_remove", json!(of_response)),
        ]
    }

    fn fill(&self, template: &str) -> Result<String> {
        let socket = |(host, port): (&str, u16)| format!("address: {}, port_value: {port}", quoted(host));
        let template = self.adapted(template, "                          ")?;
        fill(
            &template,
            &[
                ("LISTENER", socket(self.listen)),
                ("ADMIN", socket(self.admin)),
                ("WATCHED_DIR", quoted(self.config_dir)),
                ("ECDS_PATH", quoted(&format!("{}/ecds.yaml", self.config_dir))),
                ("WASM_PATH", quoted(self.wasm)),
                ("FAILURE_POLICY", self.failure_policy.to_string()),
            ],
        )
    }

    /// Returns `template` with the restriction behind its only `failure_policy`, and the environment behind its
    /// only `runtime`; `indent` is the indentation of the former.
    fn adapted(&self, template: &str, indent: &str) -> Result<String> {
        let mut text = template.to_owned();
        if !self.variables.is_empty() {
            let line = "runtime: envoy.wasm.runtime.v8\n";
            let names = self.variables.join(", ");
            let more = format!("{line}{indent}  environment_variables: {{ host_env_keys: [{names}] }}\n");
            text = replaced(&text, line, &more)?;
        }
        if !self.capabilities.is_empty() {
            let line = "failure_policy: ${FAILURE_POLICY}\n";
            let mut more = line.to_owned();
            let _ = writeln!(more, "{indent}# What this module uses, and nothing else.");
            let _ = writeln!(more, "{indent}capability_restriction_config:");
            let _ = writeln!(more, "{indent}  allowed_capabilities:");
            for name in self.capabilities {
                let _ = writeln!(more, "{indent}    {name}: {{}}");
            }
            text = replaced(&text, line, &more)?;
        }
        Ok(text)
    }

    /// Renders one route per cluster except the first, and the default route.
    fn route_lines(&self) -> Result<String> {
        let (_, tail) = BOOTSTRAP.split_once(ROUTES).context("no routes in bootstrap.yaml")?;
        let (comment, tail) = tail.split_once(ROUTE).context("no route in bootstrap.yaml")?;
        let (route, tail) = tail.split_once(DEFAULT_ROUTE).context("no default route in bootstrap.yaml")?;
        let (last, _) = tail.split_once(CLUSTERS).context("no clusters in bootstrap.yaml")?;
        ensure!(last.contains("checkout-v1"), "no checkout-v1 in the default route of bootstrap.yaml");
        let (default, others) = self.clusters.split_first().context("no cluster")?;
        let mut text = format!("{ROUTES}{comment}");
        for cluster in std::iter::once(default).chain(others) {
            text.push_str(ROUTE);
            ensure!(route.contains("checkout-v2"), "no checkout-v2 in the route of bootstrap.yaml");
            text.push_str(&route.replace("checkout-v2", &cluster.name));
        }
        let _ = writeln!(text, "{DEFAULT_ROUTE}{}", last.replace("checkout-v1", &default.name));
        Ok(text)
    }

    fn cluster_lines(&self) -> Result<String> {
        let (_, template) =
            BOOTSTRAP.split_once(SECOND_CLUSTER).context("no second cluster in bootstrap.yaml")?;
        let mut text = String::new();
        for Cluster { name, host, port } in self.clusters {
            let mut piece = format!("{SECOND_CLUSTER}{template}").replace("checkout-v2", name);
            if host.parse::<IpAddr>().is_err() {
                // Many a name has both families, and the server listens on one.
                let dns = "type: STRICT_DNS\n      dns_lookup_family: V4_PREFERRED";
                piece = replaced(&piece, "type: STATIC", dns)?;
            }
            let address = format!("address: {}, port_value: {port}", quoted(host));
            text.push_str(&replaced(&piece, "address: 127.0.0.1, port_value: ${V2_PORT}", &address)?);
        }
        Ok(text)
    }
}

/// WebSockets, as `bootstrap.yaml` has it.
const UPGRADES: &str = "upgrade_configs: [{ upgrade_type: websocket }]\n";

/// The options by which a connection manager gives one spelling to each path, as `bootstrap.yaml` has them.
pub const NORMAL: &str = "\
normalize_path: true
merge_slashes: true
path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT
strip_trailing_host_dot: true
";

/// Answers 400 to every header name with a `_`. Without it, the filter removes such spellings of its own headers.
const REJECTION: &str = "common_http_protocol_options:\n  headers_with_underscores_action: REJECT_REQUEST\n";

/// Returns `text`, a bootstrap or one of its listeners, with the option that refuses such requests.
///
/// # Errors
/// If `text` does not contain the line that the option goes behind.
pub fn rejecting_underscores(text: &str) -> Result<String> {
    let indent = " ".repeat(16);
    let lines = REJECTION.lines().map(|line| format!("{indent}{line}\n"));
    let upgrades = format!("{indent}{UPGRADES}");
    replaced(text, &upgrades, &lines.fold(upgrades.clone(), |all, line| all + &line))
}

const ACCESS_LOG: &str = r#"- name: envoy.access_loggers.stdout
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
    log_format:
      json_format:
        time: "%START_TIME%"
        method: "%REQ(:METHOD)%"
        path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
        status: "%RESPONSE_CODE%"
        cluster: "%UPSTREAM_CLUSTER%"
        request_id: "%REQ(X-REQUEST-ID)%"
        splitway: "%RESP(X-SPLITWAY)%"
"#;

const TRACING: &str = "\
custom_tags:
  - tag: splitway
    request_header: { name: x-splitway }
";

/// Returns `text` without the blanks at the start of its lines.
fn dedented(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let indent = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
    lines().fold(String::new(), |mut all, line| {
        all.push_str(line.get(indent..).unwrap_or_default());
        all.push('\n');
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_begins_at_the_margin() {
        assert_eq!(dedented("    a:\n      b\n\n    c\n"), "a:\n  b\nc\n");
    }
}
