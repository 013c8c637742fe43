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
    /// A folder that Envoy runs as it is, and snippets for an Envoy that exists
    #[command(after_help = ENVOY_EXAMPLE)]
    Envoy(Envoy),
    /// Manifests for Istio: the filter, the experiments, routes and subsets, scraping
    ///
    /// A kustomize base, or a Helm chart of the same with --chart.
    #[command(after_help = ISTIO_EXAMPLE)]
    Istio(Box<Istio>),
    /// A ConfigMap with the experiments, on stdout
    #[command(after_help = "Example: splitway render configmap --config splitway.yaml | kubectl apply -f -")]
    Configmap(Configmap),
    /// The plugin config for Google Cloud Service Extensions, on stdout, if it fits their limits
    #[command(after_help = "Example: splitway render google --config splitway.yaml > plugin.json")]
    #[cfg(feature = "host")]
    Google(Google),
    #[cfg(not(feature = "host"))]
    Google(crate::absent::Absent),
    /// Prometheus rules for the config, on stdout: shares as planned, and alerts
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
    /// The config: a file, or several or a folder, which are then one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// The compiled filter [default: SPLITWAY_WASM, or what `cargo xtask build-wasm` left]
    #[arg(long, value_name = "FILE")]
    pub(crate) wasm: Option<PathBuf>,
}

/// Where files go.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// The folder to write; files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Write nothing; exit 1 if the folder does not hold what would be written
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Envoy {
    #[command(flatten)]
    pub(crate) source: Source,
    /// A cluster and where it is; may be repeated, the first gets what no variant routes
    #[arg(long, required = true, value_name = "NAME=HOST:PORT", value_parser = Cluster::parse)]
    pub(crate) cluster: Vec<Cluster>,
    /// Where the proxy listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = socket)]
    pub(crate) listen: (String, u16),
    /// Where its admin interface listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901", value_parser = socket)]
    pub(crate) admin: (String, u16),
    /// Where the folder will be on the proxy's machine [default: its working directory]
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) at: String,
    /// What a trap of the filter does to requests
    #[arg(long, value_name = "POLICY", default_value = "reload")]
    pub(crate) on_trap: OnTrap,
    /// Refuse every request with a `_` in a header's name (the filter removes `X_Splitway` without it)
    #[arg(long)]
    pub(crate) reject_underscores: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Istio {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The filter's OCI image, which the proxies pull: `oci://REGISTRY/NAME[:TAG]`
    #[arg(long, value_name = "URL", conflicts_with = "url", requires = "digest")]
    pub(crate) image: Option<String>,
    /// The digest of that image, as `cargo xtask oci` prints it; it then pins the image
    #[arg(long, value_name = "sha256:HEX", requires = "image", value_parser = digest)]
    pub(crate) digest: Option<String>,
    /// Where the proxies fetch the module by HTTP, pinned by the sha256 of --wasm
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// How the experiments reach the proxies
    #[arg(long, value_name = "HOW", default_value = "wasm-plugin")]
    pub(crate) delivery: Delivery,
    /// A cluster that variants name, and the service it is; labels after commas make a subset.
    /// May be repeated, the first gets what no variant routes
    #[arg(long, required = true, value_name = "NAME=HOST[:PORT][,LABEL=VALUE…]", value_parser = Cluster::parse)]
    pub(crate) cluster: Vec<Cluster>,
    /// A host of the VirtualService; may be repeated
    #[arg(long, required = true, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// A gateway of the VirtualService; may be repeated [default: the sidecars of the mesh]
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub(crate) gateway: Vec<String>,
    /// Which proxies run the filter; may be repeated
    #[arg(long, value_name = "LABEL=VALUE", default_value = "istio=ingressgateway", value_parser = label)]
    pub(crate) workload: Vec<(String, String)>,
    /// The namespace of all objects: that of the proxies
    #[arg(long, default_value = "istio-system", value_parser = object_name)]
    pub(crate) namespace: String,
    /// The name of all objects
    #[arg(long, default_value = "splitway", value_parser = object_name)]
    pub(crate) name: String,
    /// What a trap of the filter does to requests
    #[arg(long, value_name = "POLICY", default_value = "reload")]
    pub(crate) on_trap: OnTrap,
    /// Refuse every request with a `_` in a header's name (the filter removes `X_Splitway` without it)
    #[arg(long)]
    pub(crate) reject_underscores: bool,
    /// An overlay that puts everything into another namespace; may be repeated
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
    /// `ecds` for an Envoy that follows the file, `json` for the plan alone
    #[arg(long, value_name = "FORMAT", default_value = "ecds")]
    pub(crate) format: Format,
    /// Its name
    #[arg(long, default_value = "splitway-experiments", value_parser = object_name)]
    pub(crate) name: String,
    /// Its namespace
    #[arg(long, value_parser = object_name)]
    pub(crate) namespace: Option<String>,
    /// Where the module is in the proxy's container
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
    /// The config: a file, or several or a folder, which are then one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Time whose plan it is (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::args::time)]
    pub(crate) at: Option<splitway_engine::Timestamp>,
    /// `file` for Prometheus' `rule_files`, `object` for a PrometheusRule of the Prometheus operator
    #[arg(long, value_name = "FORMAT", default_value = "file")]
    pub(crate) format: RuleFormat,
    /// The object's name
    #[arg(long, default_value = "splitway", value_parser = object_name)]
    pub(crate) name: String,
    /// The object's namespace
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
    /// In the WasmPlugin: istiod pushes them
    WasmPlugin,
    /// In a ConfigMap that the proxies mount and follow
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
            || "expected a cluster's name and where it is, such as shop-v2=shop.example:80".to_owned();
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
