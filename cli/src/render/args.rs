//! The command line of `splitway render`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(subcommand)]
    pub(crate) target: Target,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Target {
    /// Write a folder that Envoy can run, and snippets for an existing Envoy
    #[command(after_help = ENVOY_EXAMPLE)]
    Envoy(Envoy),
    /// Write manifests for Istio: the filter, the experiments, routes and subsets, scraping
    ///
    /// The result is a kustomize base, or a Helm chart with --chart.
    #[command(after_help = ISTIO_EXAMPLE)]
    Istio(Box<Istio>),
    /// Print a ConfigMap with the experiments
    #[command(after_help = "Example: splitway render configmap --config splitway.yaml | kubectl apply -f -")]
    Configmap(Configmap),
    /// Print the plugin config for Google Cloud Service Extensions, if it fits their limits
    #[command(after_help = "Example: splitway render google --config splitway.yaml > plugin.json")]
    #[cfg(feature = "host")]
    Google(Google),
    #[cfg(not(feature = "host"))]
    Google(crate::absent::Absent),
    /// Print Prometheus rules for the config: planned shares and alerts
    #[command(
        after_help = "Example: splitway render prometheus --config splitway.yaml > splitway.rules.yaml"
    )]
    Prometheus(Prometheus),
}

const ENVOY_EXAMPLE: &str = "\
Example: splitway render envoy --config splitway.yaml --cluster shop=127.0.0.1:3000 \
--cluster checkout-v2=127.0.0.1:3001 --out proxy
Then: cd proxy && envoy --config-path envoy.yaml";

const ISTIO_EXAMPLE: &str = "\
Example: splitway render istio --config splitway.yaml --image oci://registry.example/splitway:0.1 \
--digest sha256:… --host shop.example.com --gateway istio-system/shop --cluster checkout-v1=checkout.shop.svc.cluster.local:80,version=v1 \
--cluster checkout-v2=checkout.shop.svc.cluster.local:80,version=v2 --out deploy
Then: kubectl apply --server-side -k deploy/base";

/// What every target needs.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Compiled filter [default: $SPLITWAY_WASM, else the one that `cargo xtask build-wasm` built]
    #[arg(long, value_name = "FILE")]
    pub(crate) wasm: Option<PathBuf>,
}

/// Where files go.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Folder to write to; files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Write nothing; exit 1 if the folder's files differ from what would be written
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Envoy {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Cluster and its address; may be repeated, the first one gets the requests that no variant routes
    #[arg(long, required = true, value_name = "NAME=HOST:PORT", value_parser = Cluster::parse)]
    pub(crate) cluster: Vec<Cluster>,
    /// Address that the proxy listens on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = socket)]
    pub(crate) listen: (String, u16),
    /// Address that the admin interface listens on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901", value_parser = socket)]
    pub(crate) admin: (String, u16),
    /// Path of the folder on the proxy's machine [default: the proxy's working directory]
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) at: String,
    /// What happens to requests after the filter traps (crashes)
    #[arg(long, value_name = "POLICY", default_value = "reload")]
    pub(crate) on_trap: OnTrap,
    /// Refuse every request with a `_` in a header's name (without this, the filter removes `X_Splitway`)
    #[arg(long)]
    pub(crate) reject_underscores: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Istio {
    #[command(flatten)]
    pub(crate) source: Source,
    /// OCI image of the filter that the proxies pull: `oci://REGISTRY/NAME[:TAG]`
    #[arg(long, value_name = "URL", conflicts_with = "url", requires = "digest")]
    pub(crate) image: Option<String>,
    /// Digest that pins the image, as `cargo xtask oci` prints it
    #[arg(long, value_name = "sha256:HEX", requires = "image", value_parser = digest)]
    pub(crate) digest: Option<String>,
    /// URL from which the proxies fetch the module by HTTP, pinned by the sha256 of --wasm
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// How the experiments reach the proxies
    #[arg(long, value_name = "HOW", default_value = "wasm-plugin")]
    pub(crate) delivery: Delivery,
    /// Cluster that variants name, and its service; labels after commas make a subset. May be
    /// repeated, the first one gets the requests that no variant routes
    #[arg(long, required = true, value_name = "NAME=HOST[:PORT][,LABEL=VALUE…]", value_parser = Cluster::parse)]
    pub(crate) cluster: Vec<Cluster>,
    /// Host of the VirtualService; may be repeated
    #[arg(long, required = true, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// Gateway of the VirtualService; may be repeated [default: the sidecars of the mesh]
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub(crate) gateway: Vec<String>,
    /// Label of the proxies that run the filter; may be repeated
    #[arg(long, value_name = "LABEL=VALUE", default_value = "istio=ingressgateway", value_parser = label)]
    pub(crate) workload: Vec<(String, String)>,
    /// Namespace of all objects; the proxies must run in it
    #[arg(long, default_value = "istio-system", value_parser = object_name)]
    pub(crate) namespace: String,
    /// Name of all objects
    #[arg(long, default_value = "splitway", value_parser = object_name)]
    pub(crate) name: String,
    /// What happens to requests after the filter traps (crashes)
    #[arg(long, value_name = "POLICY", default_value = "reload")]
    pub(crate) on_trap: OnTrap,
    /// Refuse every request with a `_` in a header's name (without this, the filter removes `X_Splitway`)
    #[arg(long)]
    pub(crate) reject_underscores: bool,
    /// Add an overlay that puts everything into another namespace; may be repeated
    #[arg(long, value_name = "NAME=NAMESPACE", value_parser = label)]
    pub(crate) overlay: Vec<(String, String)>,
    /// Write a Helm chart instead of a kustomize base
    #[arg(long, conflicts_with = "overlay")]
    pub(crate) chart: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Configmap {
    #[command(flatten)]
    pub(crate) source: Source,
    /// `ecds` for an Envoy that watches the file, `json` for the config alone
    #[arg(long, value_name = "FORMAT", default_value = "ecds")]
    pub(crate) format: Format,
    /// Name of the ConfigMap
    #[arg(long, default_value = "splitway-experiments", value_parser = object_name)]
    pub(crate) name: String,
    /// Namespace of the ConfigMap
    #[arg(long, value_parser = object_name)]
    pub(crate) namespace: Option<String>,
    /// Path of the module in the proxy's container
    #[arg(long, value_name = "FILE", default_value = "/etc/splitway/filter/splitway.wasm")]
    pub(crate) module: String,
}

#[cfg(feature = "host")]
#[derive(Debug, Args)]
pub(crate) struct Google {
    #[command(flatten)]
    pub(crate) source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct Prometheus {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Time for which shares are planned (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::args::time)]
    pub(crate) at: Option<splitway_engine::Timestamp>,
    /// `file` for Prometheus' `rule_files`, `object` for a PrometheusRule of the Prometheus operator
    #[arg(long, value_name = "FORMAT", default_value = "file")]
    pub(crate) format: RuleFormat,
    /// Name of the object
    #[arg(long, default_value = "splitway", value_parser = object_name)]
    pub(crate) name: String,
    /// Namespace of the object
    #[arg(long, value_parser = object_name)]
    pub(crate) namespace: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuleFormat {
    File,
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Ecds,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Delivery {
    /// In the WasmPlugin, which istiod pushes
    WasmPlugin,
    /// In a ConfigMap that the proxies mount and watch
    ConfigMap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnTrap {
    /// 503 while the filter restarts, about a second
    Reload,
    /// Requests pass; the filter stays off until the next config
    Open,
    /// 503 until the next config
    Closed,
}

/// A cluster and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Cluster {
    fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a cluster's name and its address, such as shop-v2=shop.example:80".to_owned();
        let (name, place) = text.split_once('=').ok_or_else(expected)?;
        let mut pieces = place.split(',');
        let (host, port) = host_and_port(pieces.next().unwrap_or_default()).ok_or_else(expected)?;
        if name.is_empty() {
            return Err(expected());
        }
        let labels = pieces.map(label).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), host, port, labels })
    }
}

/// `host`, `host:80`, `[::1]:80`.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_clean = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/\"'{}[]".contains(c));
    is_clean.then(|| (host.to_owned(), port))
}

fn socket(text: &str) -> Result<(String, u16), String> {
    match host_and_port(text) {
        Some((host, Some(port))) => Ok((host, port)),
        _ => Err("expected an address and a port, such as 0.0.0.0:8080".to_owned()),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected a name and a value, such as version=v2".to_owned()),
    }
}

/// What is a name of every kind of object, with room for `-experiments` and such.
fn object_name(text: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = |c: char| c != '-';
    if text.len() <= 50 && text.chars().all(is_inner) && text.starts_with(ends) && text.ends_with(ends) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 50 of a-z, 0-9 and `-`, not at an end".to_owned())
}

fn digest(text: &str) -> Result<String, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(text.to_owned());
    }
    Err("expected `sha256:` and 64 hexadecimal digits".to_owned())
}
