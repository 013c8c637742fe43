//! `splitway render istio`.

use clap::{Args, ValueEnum};
use splitway_deploy::istio::{self, Mesh, helm, kustomize};
use splitway_deploy::{Service, label};

use super::args::{OnTrap, Output, Source, object_name};
use super::sources::Sources;
use crate::outcome::{Failure, Outcome};

pub(super) const EXAMPLE: &str = "\
Example: splitway render istio --config splitway.yaml --image oci://registry.example/splitway:0.1 \
--digest sha256:… --host shop.example.com --gateway istio-system/shop --cluster checkout-v1=checkout.shop.svc.cluster.local:80,version=v1 \
--cluster checkout-v2=checkout.shop.svc.cluster.local:80,version=v2 --out deploy
Then: kubectl apply --server-side -k deploy/base";

#[derive(Debug, Args)]
pub(crate) struct Istio {
    #[command(flatten)]
    source: Source,
    /// OCI image of the filter that the proxies pull: `oci://REGISTRY/NAME[:TAG]`
    #[arg(long, value_name = "URL", conflicts_with = "url", requires = "digest")]
    image: Option<String>,
    /// Digest that pins the image, as `cargo xtask oci` prints it
    #[arg(long, value_name = "sha256:HEX", requires = "image", value_parser = digest)]
    digest: Option<String>,
    /// URL from which the proxies fetch the module by HTTP, pinned by the sha256 of --wasm
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How the experiments reach the proxies
    #[arg(long, value_name = "HOW", default_value = "wasm-plugin")]
    delivery: Delivery,
    /// Cluster that variants name, and its service; labels after commas make a subset. May be
    /// repeated, the first one gets the requests that no variant routes
    #[arg(long, required = true, value_name = "NAME=HOST[:PORT][,LABEL=VALUE…]", value_parser = Service::parse)]
    cluster: Vec<Service>,
    /// Host of the VirtualService; may be repeated
    #[arg(long, required = true, value_name = "HOST")]
    host: Vec<String>,
    /// Gateway of the VirtualService; may be repeated [default: the sidecars of the mesh]
    #[arg(long, value_name = "NAMESPACE/NAME")]
    gateway: Vec<String>,
    /// Label of the proxies that run the filter; may be repeated
    #[arg(long, value_name = "LABEL=VALUE", default_value = "istio=ingressgateway", value_parser = label)]
    workload: Vec<(String, String)>,
    /// Namespace of all objects; the proxies must run in it
    #[arg(long, default_value = "istio-system", value_parser = object_name)]
    namespace: String,
    /// Name of all objects
    #[arg(long, default_value = "splitway", value_parser = object_name)]
    name: String,
    /// What happens to requests after the filter traps (crashes)
    #[arg(long, value_name = "POLICY", default_value = "reload")]
    on_trap: OnTrap,
    /// Refuse every request with a `_` in a header's name (without this, the filter removes `X_Splitway`)
    #[arg(long)]
    reject_underscores: bool,
    /// Add an overlay that puts everything into another namespace; may be repeated
    #[arg(long, value_name = "NAME=NAMESPACE", value_parser = label)]
    overlay: Vec<(String, String)>,
    /// Write a Helm chart instead of a kustomize base
    #[arg(long, conflicts_with = "overlay")]
    chart: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Delivery {
    /// In the WasmPlugin, which istiod pushes
    WasmPlugin,
    /// In a ConfigMap that the proxies mount and watch
    ConfigMap,
}

pub(super) fn run(args: &Istio) -> Outcome {
    let sources = Sources::read(&args.source)?;
    let mesh = Mesh {
        delivery: args.delivery()?,
        clusters: &args.cluster,
        hosts: &args.host,
        gateways: &args.gateway,
        workload: &args.workload,
        namespace: &args.namespace,
        name: &args.name,
        failure_policy: args.on_trap.into(),
        reject_underscores: args.reject_underscores,
    };
    let folder = args.output.out.display();
    let (files, next) = if args.chart {
        (helm(&sources.subject, &mesh), format!("install it: helm install {} {folder}", args.name))
    } else {
        let files = kustomize(&sources.subject, &mesh, &args.overlay);
        (files, format!("apply it: kubectl apply --server-side -k {folder}/base"))
    };
    args.output.write(&files.map_err(|refusal| sources.failure(refusal))?, &next)
}

impl Istio {
    fn delivery(&self) -> Result<istio::Delivery<'_>, Failure> {
        match (self.delivery, &self.image, &self.digest, &self.url) {
            (Delivery::ConfigMap, ..) => Ok(istio::Delivery::ConfigMap),
            (Delivery::WasmPlugin, Some(image), Some(digest), _) => {
                Ok(istio::Delivery::Image { image, digest })
            }
            (Delivery::WasmPlugin, _, _, Some(url)) => Ok(istio::Delivery::Url(url)),
            (Delivery::WasmPlugin, ..) => Err(Failure::Usage(
                "a WasmPlugin needs --image with --digest, or --url; --delivery config-map needs none of them"
                    .to_owned(),
            )),
        }
    }
}

fn digest(text: &str) -> Result<String, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(text.to_owned());
    }
    Err("expected `sha256:` and 64 hexadecimal digits".to_owned())
}
