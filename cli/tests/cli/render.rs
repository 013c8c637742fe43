//! `splitway render`: what it writes is loaded by a real Envoy, kubectl and helm, and held against
//! the real schemas.

use std::path::Path;
use std::process::Command;

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use splitway_envoy::standalone::{Standalone, validate};
use splitway_envoy::{Call, Exposure, Upstream, skip};

use crate::support::{Bench, Ran, root};

const CONFIG: &str = "\
version: 1
unit: [{ header: x-user-id }]
experiments:
  - id: button
    variants:
      - { id: old, weight: 50 }
      - { id: new, weight: 50, route: { cluster: v2 } }
";
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const SERVICES: &str = "--host shop.example.com --gateway istio-system/shop \
    --cluster v1=checkout.shop.svc.cluster.local:80,version=v1 \
    --cluster v2=checkout.shop.svc.cluster.local:80,version=v2";

fn bench() -> Bench {
    Bench::new(&[("splitway.yaml", CONFIG)])
}

fn fine(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.all());
    ran
}

fn parse(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// Two upstreams and the folder of an Envoy in front of them.
struct Rendered {
    bench: Bench,
    v1: Upstream,
    v2: Upstream,
}

impl Rendered {
    fn new(more: &str) -> Self {
        Self::of(CONFIG, more)
    }

    fn of(config: &str, more: &str) -> Self {
        let (v1, v2) = (Upstream::start("v1").unwrap(), Upstream::start("v2").unwrap());
        let rendered = Self { bench: Bench::new(&[("splitway.yaml", config)]), v1, v2 };
        rendered.render(more);
        rendered
    }

    fn render(&self, more: &str) {
        fine(self.bench.run(&format!(
            "render envoy --config splitway.yaml --cluster v1={} --cluster v2=localhost:{} \
             --listen 127.0.0.1:0 --admin 127.0.0.1:0 --out proxy {more}",
            self.v1.address(),
            self.v2.address().port()
        )));
    }
}

/// Both variants are met within these units, and each is where its stamp says.
async fn splits(envoy: &Standalone) {
    let mut seen = Vec::new();
    for unit in 0..20 {
        let call = Call::get("/").header("x-user-id", format!("u{unit}")).header("x-splitway-cluster", "v2");
        let answer = envoy.http1().send(&call).await.unwrap();
        assert_eq!(answer.status, 200, "{}", envoy.log().unwrap());
        let variant = answer.variant("button").map(str::to_owned);
        let upstream = answer.upstream().map(str::to_owned);
        assert_eq!(
            upstream.as_deref() == Some("v2"),
            variant.as_deref() == Some("new"),
            "u{unit}: {variant:?}"
        );
        seen.extend(variant);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["new", "old"], "{}", envoy.log().unwrap());
    // Others' headers with an underscore pass, and our own spelt so do not.
    let call = Call::get("/")
        .header("x-user-id", "u1")
        .header("trace_id", "7")
        .header("x_splitway", "button=forged");
    let answer = envoy.http1().send(&call.header("x_splitway_cluster", "v2")).await.unwrap();
    assert_eq!(answer.status, 200);
    let seen = answer.seen().unwrap();
    assert_eq!((seen.header("trace_id"), seen.header("x_splitway")), (Some("7"), None));
    assert_eq!(seen.header("x_splitway_cluster"), None);
}

#[tokio::test]
async fn the_folder_runs_in_a_real_envoy_as_it_is() {
    let rendered = Rendered::new("");
    let folder = rendered.bench.path("proxy");
    validate(&folder, "envoy.yaml").unwrap();
    let envoy = Standalone::start(&folder, &rendered.bench.read("proxy/envoy.yaml")).await.unwrap();
    splits(&envoy).await;
    let metrics = envoy.prometheus().await.unwrap();
    assert!(metrics.contains("splitway_assignments{experiment=\"button\",variant=\"new\"}"), "{metrics}");

    // A new config is rendered in place, and followed.
    let everyone = CONFIG
        .replace("weight: 50, route", "weight: 100, route")
        .replace("old, weight: 50", "old, weight: 0");
    std::fs::write(rendered.bench.path("splitway.yaml"), everyone).unwrap();
    let ecds = rendered.bench.read("proxy/experiments/ecds.yaml");
    let ports = rendered.bench.read("proxy/envoy.yaml");
    let port = |name: &str| -> String {
        let clusters = parse(&ports)["static_resources"]["clusters"].clone();
        let cluster =
            clusters.as_array().unwrap().iter().find(|cluster| cluster["name"] == name).unwrap().clone();
        let endpoint =
            cluster.pointer("/load_assignment/endpoints/0/lb_endpoints/0/endpoint").unwrap().clone();
        endpoint.pointer("/address/socket_address/port_value").unwrap().to_string()
    };
    fine(rendered.bench.run(&format!(
        "render envoy --config splitway.yaml --cluster v1=127.0.0.1:{} --cluster v2=localhost:{} \
         --listen 127.0.0.1:0 --admin 127.0.0.1:0 --out proxy",
        port("v1"),
        port("v2")
    )));
    assert_ne!(rendered.bench.read("proxy/experiments/ecds.yaml"), ecds);
    assert_eq!(rendered.bench.read("proxy/envoy.yaml"), ports, "only the experiments change");
    splitway_envoy::eventually("everyone gets the new one", async || {
        let call = Call::get("/").header("x-user-id", "u1");
        let mut variants = Vec::new();
        for unit in 0..6 {
            let call = call.clone().header("x-other", format!("{unit}"));
            variants.push(envoy.http1().send(&call).await?.variant("button").map(str::to_owned));
        }
        Ok(variants.iter().all(|variant| variant.as_deref() == Some("new")).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn underscores_are_refused_if_that_is_asked_for() {
    let rendered = Rendered::new("--reject-underscores");
    let folder = rendered.bench.path("proxy");
    let envoy = Standalone::start(&folder, &rendered.bench.read("proxy/envoy.yaml")).await.unwrap();
    for (name, status) in [("trace_id", 400), ("trace-id", 200)] {
        assert_eq!(
            envoy.http1().send(&Call::get("/").header(name, "7")).await.unwrap().status,
            status,
            "{name}"
        );
    }
    let snippet = parse(&rendered.bench.read("proxy/snippets/connection-manager.yaml"));
    assert_eq!(
        snippet["common_http_protocol_options"]["headers_with_underscores_action"], "REJECT_REQUEST",
        "{snippet:#}"
    );
    let bench = &rendered.bench;
    for (more, expected) in [("", 0), ("--reject-underscores", 1)] {
        fine(
            bench.run(&format!(
                "render istio --config splitway.yaml --out istio{expected} {} {more}",
                plugin()
            )),
        );
        let proxy = bench.read(&format!("istio{expected}/base/proxy.yaml"));
        assert_eq!(mistakes(&parse(&proxy)), Vec::<String>::new(), "{proxy}");
        assert_eq!(proxy.matches("REJECT_REQUEST").count(), expected, "{proxy}");
        assert!(!proxy.contains("upgrade_configs"), "Istio has it: {proxy}");
    }
}

/// An upstream that speaks WebSocket as far as the handshake, and then gives back what it gets.
fn websocket() -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.contains("upgrade: websocket") && head.contains("x-splitway: button=new"), "{head}");
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            )
            .unwrap();
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).unwrap();
        }
    });
    address
}

#[tokio::test]
async fn websockets_pass_and_go_to_their_variant() {
    use std::io::{Read as _, Write as _};
    let config = CONFIG.replace("id: old, weight: 50", "id: old, weight: 0");
    let bench = Bench::new(&[("splitway.yaml", &config)]);
    fine(bench.run(&format!(
        "render envoy --config splitway.yaml --cluster v1=127.0.0.1:1 --cluster v2={} --listen 127.0.0.1:0 \
         --admin 127.0.0.1:0 --out proxy",
        websocket()
    )));
    let envoy = Standalone::start(&bench.path("proxy"), &bench.read("proxy/envoy.yaml")).await.unwrap();
    let mut client = std::net::TcpStream::connect(envoy.address()).unwrap();
    client.set_read_timeout(Some(splitway_envoy::DEADLINE)).unwrap();
    client
        .write_all(
            b"GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nx-user-id: u1\r\n\r\n",
        )
        .unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("x-splitway: button=new"), "{head}");
    client.write_all(b"ping").unwrap();
    let mut back = [0; 4];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"ping");
}

const SECRETIVE: &str = "\
version: 1
unit: [{ header: x-user-id }]
exposure: { key: { env: AROUND_EXPOSURE_KEY } }
experiments:
  - id: button
    variants: [{ id: new, weight: 1, route: { cluster: v2 } }]
";

/// What the proxy's admin port shows is not the secret; without it the config is refused, and requests pass.
#[tokio::test]
async fn secrets_come_from_envoys_environment_and_stay_there() {
    let (v1, v2) = (Upstream::start("v1").unwrap(), Upstream::start("v2").unwrap());
    let bench = Bench::new(&[("splitway.yaml", SECRETIVE)]);
    let ran = fine(bench.run(&format!(
        "render envoy --config splitway.yaml --cluster v1={} --cluster v2={} --listen 127.0.0.1:0 \
         --admin 127.0.0.1:0 --out proxy",
        v1.address(),
        v2.address()
    )));
    assert!(ran.out.ends_with(
        "start it with AROUND_EXPOSURE_KEY in its environment: cd proxy && envoy --config-path envoy.yaml\n"
    ));
    let bootstrap = bench.read("proxy/envoy.yaml");
    let start = async |variables: &[(&str, &str)]| {
        Standalone::start_with(&bench.path("proxy"), &bootstrap, variables).await.unwrap()
    };
    let secret = "7c1d0f9be42a6358a0c4e7f19b3d2586";
    let envoy = start(&[("AROUND_EXPOSURE_KEY", secret)]).await;
    let call = Call::get("/").header("x-user-id", "unit-of-a-person");
    let answer = envoy.http1().send(&call).await.unwrap();
    assert_eq!((answer.status, answer.upstream()), (200, Some("v2")), "{}", envoy.log().unwrap());
    let log = splitway_envoy::eventually("the exposure", async || {
        let log = envoy.log()?;
        Ok(log.contains("feature_flag.context.id").then_some(log))
    })
    .await
    .unwrap();
    let dump = envoy.config_dump().await.unwrap();
    assert!(dump.contains("AROUND_EXPOSURE_KEY"), "the name is there");
    for (what, text) in [("config_dump", &dump), ("log", &log)] {
        assert!(!text.contains(secret) && !text.contains("unit-of-a-person"), "{what}");
    }
    drop(envoy);
    for variables in [&[][..], &[("AROUND_EXPOSURE_KEY", "")], &[("AROUND_EXPOSURE_KEY", "too-short")]] {
        let envoy = start(variables).await;
        let answer = envoy.http1().send(&call).await.unwrap();
        assert_eq!((answer.status, answer.upstream(), answer.variant("button")), (200, Some("v1"), None));
        let log = envoy.log().unwrap();
        assert!(log.contains("config refused") && log.contains("exposure.key"), "{variables:?}: {log}");
        assert_eq!(log.contains("AROUND_EXPOSURE_KEY"), variables.is_empty(), "{log}");
    }
}

/// The gauge and the rules agree while Envoy follows; a folder that was made anew is not followed, and then they differ:
/// `SplitwayConfigNotFollowed`.
#[tokio::test]
async fn the_rules_notice_a_config_that_is_not_followed() {
    let rendered = Rendered::new("");
    let bench = &rendered.bench;
    let envoy = Standalone::start(&bench.path("proxy"), &bench.read("proxy/envoy.yaml")).await.unwrap();
    let wanted = || -> u64 {
        let rules = fine(bench.run("render prometheus --config splitway.yaml")).out;
        let (_, rest) = rules.split_once("record: splitway:rendered_version\n").unwrap();
        let (_, rest) = rest.split_once("vector(").unwrap();
        rest.split_once(')').unwrap().0.parse().unwrap()
    };
    let gauge = async || {
        let stats = envoy.stats().await?;
        Ok::<_, anyhow::Error>(
            stats.iter().find(|(name, _)| name.contains("config_version")).map(|(_, value)| *value),
        )
    };
    assert_eq!(gauge().await.unwrap(), Some(wanted()));
    std::fs::write(bench.path("splitway.yaml"), format!("{CONFIG}kill_switch: true\n")).unwrap();
    rendered.render("");
    let killed = wanted();
    splitway_envoy::eventually(
        "the kill switch",
        async || Ok((gauge().await? == Some(killed)).then_some(())),
    )
    .await
    .unwrap();
    std::fs::remove_dir_all(bench.path("proxy/experiments")).unwrap();
    std::fs::write(bench.path("splitway.yaml"), CONFIG).unwrap();
    rendered.render("");
    assert_ne!(wanted(), killed);
    assert_eq!(gauge().await.unwrap(), Some(killed), "Envoy follows after all: then the alert is not needed");
}

/// A bootstrap that somebody else wrote, with the snippets where they say they go.
fn theirs(bench: &Bench) -> String {
    let snippet = |name: &str| parse(&bench.read(&format!("proxy/snippets/{name}.yaml")));
    let mut filters = snippet("http-filter").as_array().unwrap().clone();
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "theirs",
        "http_filters": filters,
        "access_log": snippet("access-log"),
        "tracing": snippet("tracing"),
        "route_config": { "virtual_hosts": [{ "name": "theirs", "domains": ["*"], "routes": snippet("routes") }] },
    });
    let more = snippet("connection-manager");
    manager.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut bootstrap = json!({
        "node": { "id": "theirs", "cluster": "theirs" },
        "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } },
        "static_resources": {
            "listeners": [{
                "name": "theirs",
                "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }] }],
            }],
            "clusters": snippet("clusters"),
        },
    });
    bootstrap.as_object_mut().unwrap().extend(snippet("stats").as_object().unwrap().clone());
    bootstrap.to_string()
}

#[tokio::test]
async fn the_snippets_fit_an_existing_bootstrap() {
    let rendered = Rendered::new("");
    let folder = rendered.bench.path("proxy");
    let envoy = Standalone::start(&folder, &theirs(&rendered.bench)).await.unwrap();
    splits(&envoy).await;
    // Envoy buffers its access log; its destination is the same pipe as its other output.
    splitway_envoy::eventually("an access log with the stamp", async || {
        envoy.http1().send(&Call::get("/").header("x-user-id", "u1")).await?;
        Ok(envoy.log()?.lines().find(|line| line.contains("\"splitway\":\"button=")).map(|_| ()))
    })
    .await
    .unwrap();
}

/// An experiment on one page of one host, which everybody there is in.
const PAGE: &str = "\
version: 1
unit: [{ header: x-user-id }]
experiments:
  - id: button
    targeting: { all: [{ path: { prefix: /checkout } }, { host: { equals: shop.example } }] }
    variants: [{ id: new, weight: 1, route: { cluster: v2 } }]
";

/// Another spelling of a URL neither evades nor forces an experiment, and the application gets the spelling that the
/// decision was made on: with the rendered bootstrap, and with the snippets in somebody else's.
#[tokio::test]
async fn one_url_has_one_spelling_behind_a_rendered_proxy() {
    let rendered = Rendered::of(PAGE, "");
    let bench = &rendered.bench;
    for (whose, bootstrap) in [("ours", bench.read("proxy/envoy.yaml")), ("theirs", theirs(bench))] {
        let envoy = Standalone::start(&bench.path("proxy"), &bootstrap).await.unwrap();
        let send = async |path: &str, host: &str| {
            let call = Call::get(path).header("host", host).header("x-user-id", "u1");
            envoy.http1().send(&call).await.unwrap()
        };
        for (path, host, seen_path, seen_host, is_in) in [
            ("/checkout", "shop.example", "/checkout", "shop.example", true),
            ("//checkout", "shop.example", "/checkout", "shop.example", true),
            ("/%63heckout", "shop.example", "/checkout", "shop.example", true),
            ("/x/../checkout", "shop.example", "/checkout", "shop.example", true),
            ("/x/%2e%2E//checkout?a=//b", "shop.example", "/checkout?a=//b", "shop.example", true),
            ("/./checkout/.", "shop.example", "/checkout/", "shop.example", true),
            ("/checkout", "shop.example.", "/checkout", "shop.example", true),
            ("/checkout", "shop.example.:8443", "/checkout", "shop.example:8443", true),
            ("/checkout/../admin", "shop.example", "/admin", "shop.example", false),
            ("/checkout/%2e%2e/admin", "shop.example", "/admin", "shop.example", false),
            ("/checkout//../../admin", "shop.example", "/admin", "shop.example", false),
            ("/checkout", "shop.example.evil.example.", "/checkout", "shop.example.evil.example", false),
        ] {
            let what = format!("{whose}: {path} of {host}");
            let answer = send(path, host).await;
            assert_eq!(answer.status, 200, "{what}");
            assert_eq!(answer.variant("button"), is_in.then_some("new"), "{what}");
            assert_eq!(answer.upstream(), Some(if is_in { "v2" } else { "v1" }), "{what}");
            let seen = answer.seen().unwrap();
            assert_eq!((&*seen.path, &*seen.host), (seen_path, seen_host), "{what}");
        }
        // Whether an escaped slash is a slash, applications disagree: the client is sent to what is decided on.
        for (path, location) in [("/x%2f..%2Fcheckout", "/checkout"), ("/checkout%2f..%5cadmin", "/admin")] {
            let answer = send(path, "shop.example").await;
            assert_eq!((answer.status, answer.header("location")), (307, Some(location)), "{whose}: {path}");
            assert_eq!((answer.upstream(), answer.variant("button")), (None, None), "{whose}: {path}");
        }
    }
}

/// The route on which the filter is disabled: no id, no stamp, no record, no count.
#[tokio::test]
async fn a_probe_of_the_rendered_health_route_is_no_user() {
    let config = CONFIG.replace(
        "unit: [{ header: x-user-id }]",
        "mint: { plain_http: true }\nexposure: { key: not-a-secret-change-me }",
    );
    let rendered = Rendered::of(&config, "");
    let bench = &rendered.bench;
    let envoy = Standalone::start(&bench.path("proxy"), &bench.read("proxy/envoy.yaml")).await.unwrap();
    for _ in 0..20 {
        // A browser's headers, so that it is the route that makes it no user.
        let probe =
            Call::get("/healthz").header("user-agent", "Mozilla/5.0").header("x-splitway", "button=new");
        let answer = envoy.http1().send(&probe).await.unwrap();
        assert_eq!((answer.status, &*answer.text()), (200, "ok\n"));
        assert_eq!(
            (answer.header("set-cookie"), answer.header("x-splitway"), answer.upstream()),
            (None, None, None)
        );
    }
    // The same anywhere else is a user. Its record comes after whatever the probes had caused.
    let call = Call::get("/").header("user-agent", "Mozilla/5.0");
    let answer = envoy.http1().send(&call).await.unwrap();
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.contains("splitway=")), "{answer:?}");
    let exposures = splitway_envoy::eventually("the exposure", async || {
        let log = envoy.log()?;
        let exposures: Vec<_> = log.lines().filter_map(Exposure::in_line).collect();
        Ok((!exposures.is_empty()).then_some(exposures))
    });
    assert_eq!(exposures.await.unwrap().len(), 1);
    let stats = envoy.stats().await.unwrap();
    let count = |name: &str| -> u64 {
        let start = format!("wasmcustom.splitway.{name}");
        stats.iter().filter(|(name, _)| name.starts_with(&start)).map(|(_, count)| count).sum()
    };
    assert_eq!(
        (count("assignments"), count("units_minted"), count("stripped_headers")),
        (1, 1, 0),
        "{stats:#?}"
    );
    assert_eq!(
        rendered.v1.requests().len() + rendered.v2.requests().len(),
        1,
        "the probes are Envoy's to answer"
    );
}

/// The restriction lets through what the sink needs, and the collector's cluster must be there.
#[tokio::test]
async fn exposures_reach_a_collector() {
    let collector = Upstream::start("collector").unwrap();
    let config = format!("{CONFIG}exposure: {{ key: 0123456789abcdef, otlp: {{ cluster: collector }} }}\n");
    let bench = Bench::new(&[("splitway.yaml", &config)]);
    let args = "render envoy --config splitway.yaml --cluster v1=127.0.0.1:1 --cluster v2=127.0.0.1:1 \
                --listen 127.0.0.1:0 --admin 127.0.0.1:0 --out proxy";
    let ran = bench.run(args);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(
        ran.err.contains("found `collector`") && ran.err.contains("exposure.otlp.cluster"),
        "{}",
        ran.all()
    );
    fine(bench.run(&format!("{args} --cluster collector={}", collector.address())));
    let envoy = Standalone::start(&bench.path("proxy"), &bench.read("proxy/envoy.yaml")).await.unwrap();
    envoy.http1().send(&Call::get("/").header("x-user-id", "u1")).await.unwrap();
    splitway_envoy::eventually("a delivered exposure", async || {
        let metrics = envoy.prometheus().await?;
        Ok(metrics.lines().any(|line| line == "splitway_exposures_delivered{} 1").then_some(()))
    })
    .await
    .unwrap();
}

#[test]
fn the_module_is_pinned_and_may_do_only_what_it_does() {
    let rendered = Rendered::new("--at /etc/splitway --on-trap closed");
    let folder = rendered.bench.path("proxy");
    let sums = Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(&folder).output().unwrap();
    assert!(sums.status.success(), "{}", String::from_utf8_lossy(&sums.stdout));
    let ecds = rendered.bench.read("proxy/experiments/ecds.yaml");
    let sum = rendered.bench.read("proxy/SHA256SUMS");
    assert!(ecds.contains(&format!("\"/etc/splitway/splitway-{}.wasm\"", &sum[..12])), "{ecds}");
    assert!(ecds.contains("failure_policy: FAIL_CLOSED"));
    let allowed = &parse(&ecds)["resources"][0]["typed_config"]["config"]["capability_restriction_config"];
    let allowed = allowed["allowed_capabilities"].as_object().unwrap();
    assert!(
        allowed.contains_key("proxy_log") && allowed.contains_key("proxy_on_request_headers"),
        "{allowed:?}"
    );
    for unused in
        ["proxy_grpc_call", "proxy_register_shared_queue", "proxy_call_foreign_function", "path_open"]
    {
        assert!(!allowed.contains_key(unused), "{unused}");
    }
}

/// The object's schema with unknown fields refused, as the API server does.
fn strict(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            let keeps = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&true.into());
            if fields.contains_key("properties") && !fields.contains_key("additionalProperties") && !keeps {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            for (_, value) in fields.iter_mut() {
                *value = strict(std::mem::take(value));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = strict(std::mem::take(item))),
        _ => {}
    }
    schema
}

fn crd(kind: &str) -> Value {
    let file = root().join(format!("cli/tests/crds/{}.json", kind.to_lowercase()));
    serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap()
}

/// What is wrong with a Kubernetes object.
fn mistakes(object: &Value) -> Vec<String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let crd = crd(kind);
    let group = crd["group"].as_str().unwrap();
    let version = crd["version"].as_str().unwrap();
    let api = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    assert_eq!(object["apiVersion"], api, "{kind}");
    let name = object["metadata"]["name"].as_str().unwrap();
    assert!(
        name.len() < 64 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    );
    let mut schema = crd["schema"].clone();
    for field in ["apiVersion", "kind"] {
        schema["properties"][field] = json!({});
    }
    // A custom resource definition leaves these to Kubernetes.
    schema["properties"]["metadata"] = json!({ "$ref": "#/$defs/ObjectMeta" });
    let shared = self::crd("ConfigMap")["schema"]["$defs"].clone();
    for (name, definition) in shared.as_object().unwrap() {
        schema["$defs"][name] = definition.clone();
    }
    // A string or an integer, where `type` alone would say neither.
    let validator = jsonschema::draft202012::new(&strict(schema)).unwrap();
    validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn objects(folder: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "kustomization.yaml" {
            found.push(parse(&std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

fn plugin() -> String {
    format!("--image oci://registry.example:5000/splitway:0.1 --digest {DIGEST} {SERVICES}")
}

#[test]
fn every_object_fits_its_schema() {
    let bench = bench();
    fine(bench.run(&format!("render istio --config splitway.yaml --out plugin {}", plugin())));
    fine(
        bench.run(&format!("render istio --config splitway.yaml --out map --delivery config-map {SERVICES}")),
    );
    let args = "render prometheus --config splitway.yaml --format object --namespace monitoring";
    let rules = parse(&fine(bench.run(args)).out);
    let mut kinds = Vec::new();
    let all = [objects(&bench.path("plugin/base")), objects(&bench.path("map/base")), vec![rules]].concat();
    for object in &all {
        assert_eq!(mistakes(object), Vec::<String>::new(), "{object:#}");
        kinds.push(object["kind"].as_str().unwrap().to_owned());
    }
    kinds.sort();
    kinds.dedup();
    let expected = [
        "ConfigMap",
        "DestinationRule",
        "EnvoyFilter",
        "PodMonitor",
        "PrometheusRule",
        "VirtualService",
        "WasmPlugin",
    ];
    assert_eq!(kinds, expected);
}

/// The routes of a VirtualService, by name.
fn routes(service: &Value) -> Vec<(String, Value)> {
    let routes = service["spec"]["http"].as_array().unwrap().iter();
    routes.map(|route| (route["name"].as_str().unwrap().to_owned(), route.clone())).collect()
}

#[test]
fn istio_copies_requests_to_a_shadow() {
    let bench = bench();
    let config = bench.read("splitway.yaml").replace(
        "experiments:\n",
        "experiments:\n  - id: mirrored\n    variants: [{ id: copied, route: { shadow: v2 } }]\n",
    );
    std::fs::write(bench.path("shadow.yaml"), config).unwrap();
    fine(bench.run(&format!("render istio --config shadow.yaml --out shadow {}", plugin())));
    let service = parse(&bench.read("shadow/base/virtualservice.yaml"));
    assert_eq!(mistakes(&service), Vec::<String>::new(), "{service:#}");
    let routes = routes(&service);
    let place = |name: &str| {
        routes.iter().position(|(known, _)| known == name).unwrap_or_else(|| panic!("{name}: {service:#}"))
    };
    let copied = &routes[place("default-copied-to-v2")].1;
    let wanted = json!([{ "headers": { "x-splitway-shadow": { "exact": "v2" } } }]);
    assert_eq!(copied["match"], wanted);
    let plain = &routes[place("default")].1;
    assert_eq!(copied["route"], plain["route"]);
    assert_eq!(copied["mirror"], routes[place("splitway-v2")].1["route"][0]["destination"]);
    assert_eq!(plain.get("mirror"), None);
    // The first that matches is taken, so what asks for more stands before what asks for less.
    assert!(place("default-copied-to-v2") < place("default"));
    assert!(place("splitway-v2-copied-to-v2") < place("splitway-v2"));
}

/// The check above can fail.
#[test]
fn the_schemas_notice_mistakes() {
    let bench = bench();
    fine(bench.run(&format!("render istio --config splitway.yaml --out plugin {}", plugin())));
    let plugin = parse(&bench.read("plugin/base/wasmplugin.yaml"));
    for (place, value) in [
        ("failStrategy", json!("FAIL")),
        ("sha256", json!("123")),
        ("urll", json!("x")),
        ("selector", json!([])),
    ] {
        let mut wrong = plugin.clone();
        wrong["spec"][place] = value;
        assert!(!mistakes(&wrong).is_empty(), "{place}");
    }
    let mut wrong = parse(&bench.read("plugin/base/virtualservice.yaml"));
    wrong["spec"]["http"][0]["rout"] = json!([]);
    assert!(!mistakes(&wrong).is_empty());
    for (file, place, value) in [
        ("podmonitor", "/spec/podMetricsEndpoints/0/interval", json!("15 seconds")),
        ("podmonitor", "/spec/podMetricsEndpoints/0/metricRelabelings/0/action", json!("retain")),
        ("podmonitor", "/spec/selector/matchLabels", json!({ "app": 1 })),
        ("podmonitor", "/metadata/labels", json!([])),
    ] {
        let mut wrong = parse(&bench.read(&format!("plugin/base/{file}.yaml")));
        *wrong.pointer_mut(place).unwrap() = value;
        assert!(!mistakes(&wrong).is_empty(), "{place}");
    }
    let mut wrong = parse(&fine(bench.run("render prometheus --config splitway.yaml --format object")).out);
    wrong["spec"]["groups"][1]["rules"][0]["for"] = json!("soon");
    assert!(!mistakes(&wrong).is_empty());
    let mut wrong = parse(&fine(bench.run("render configmap --config splitway.yaml")).out);
    wrong["data"]["number"] = json!(1);
    assert!(!mistakes(&wrong).is_empty());
}

/// The plugin takes secrets from the proxy's container, and the patch puts them there from a Secret.
#[test]
fn istio_takes_secrets_from_a_secret() {
    let bench = Bench::new(&[("splitway.yaml", SECRETIVE)]);
    let cluster = "--host shop.example.com --cluster v1=v1:80 --cluster v2=v2:80";
    let image = format!("--image oci://registry.example/splitway --digest {DIGEST}");
    for (out, more) in
        [("plugin", &*image), ("chart", &*format!("{image} --chart")), ("map", "--delivery config-map")]
    {
        fine(bench.run(&format!("render istio --config splitway.yaml --out {out} {cluster} {more}")));
        let text = bench.read(&format!("{out}/workload-patch.yaml"));
        assert!(text.contains("kubectl create secret generic splitway-secrets"), "{text}");
        let container = parse(&text).pointer("/spec/template/spec/containers/0").unwrap().clone();
        let reference = json!({ "name": "splitway-secrets", "key": "AROUND_EXPOSURE_KEY" });
        let from = json!([{ "name": "AROUND_EXPOSURE_KEY", "valueFrom": { "secretKeyRef": reference } }]);
        assert_eq!(container, json!({ "name": "istio-proxy", "env": from }), "{text}");
        assert_eq!(text.contains("userVolume"), out == "map", "{text}");
    }
    let plugin = parse(&bench.read("plugin/base/wasmplugin.yaml"));
    assert_eq!(mistakes(&plugin), Vec::<String>::new(), "{plugin:#}");
    let env = json!([{ "name": "AROUND_EXPOSURE_KEY", "valueFrom": "HOST" }]);
    assert_eq!(plugin["spec"]["vmConfig"]["env"], env);
    assert!(bench.read("chart/templates/wasmplugin.yaml").contains("valueFrom: HOST"));
    let mounted = parse(&bench.read("map/base/experiments.yaml"))["data"]["ecds.yaml"].clone();
    assert!(mounted.as_str().unwrap().contains("host_env_keys: [AROUND_EXPOSURE_KEY]"), "{mounted}");
    let filter = bench.read("map/base/envoyfilter.yaml");
    assert!(filter.contains("host_env_keys"), "the inert config shares the VM: {filter}");
    let google = bench.run("render google --config splitway.yaml");
    assert!(google.code == 1 && google.err.contains("AROUND_EXPOSURE_KEY"), "{}", google.all());
}

/// The patch on a Deployment, and what Istio's injection makes of its annotations.
#[test]
fn the_patch_mounts_both_config_maps() {
    if !tool("kubectl", "the_patch_mounts_both_config_maps", "apt-get install kubernetes-client") {
        return;
    }
    let bench = bench();
    fine(
        bench.run(&format!("render istio --config splitway.yaml --out map --delivery config-map {SERVICES}")),
    );
    let gateway = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "gateway" },
        "spec": {
            "selector": { "matchLabels": { "istio": "ingressgateway" } },
            "template": {
                "metadata": { "labels": { "istio": "ingressgateway" } },
                "spec": { "containers": [{ "name": "istio-proxy", "image": "auto" }] },
            },
        },
    });
    std::fs::write(bench.path("gateway.json"), gateway.to_string()).unwrap();
    let patch =
        ["patch", "--local", "-f", "gateway.json", "--patch-file", "map/workload-patch.yaml", "-o", "json"];
    let built = Command::new("kubectl").args(patch).current_dir(bench.path(".")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut object: Value = serde_json::from_slice(&built.stdout).unwrap();
    let annotations = object.pointer("/spec/template/metadata/annotations").unwrap().clone();
    let injected = |annotation: &str| -> Value {
        let text = annotations[format!("sidecar.istio.io/{annotation}")].as_str().unwrap();
        let by_name: Value = serde_json::from_str(text).unwrap();
        let named = by_name.as_object().unwrap().iter().map(|(name, value)| {
            let mut value = value.clone();
            value["name"] = name.as_str().into();
            value
        });
        named.collect::<Vec<_>>().into()
    };
    let pod = object.pointer_mut("/spec/template/spec").unwrap();
    pod["volumes"] = injected("userVolume");
    pod["containers"][0]["volumeMounts"] = injected("userVolumeMount");
    assert_eq!(mistakes(&object), Vec::<String>::new(), "{object:#}");
    let maps = parse(&bench.read("map/base/experiments.yaml"))["metadata"]["name"].clone();
    assert_eq!(object.pointer("/spec/template/spec/volumes/0/configMap/name"), Some(&maps));
    object.pointer_mut("/spec/template/spec/volumes/0").unwrap()["configMapp"] = json!({});
    assert!(!mistakes(&object).is_empty());
}

/// One DestinationRule per service, each in a file of its own.
#[test]
fn clusters_may_be_different_services() {
    let bench = bench();
    let services = "--host h --cluster v1=old.shop.svc.cluster.local:80,version=v1 \
                    --cluster v2=new.shop.svc.cluster.local:80,version=v2";
    let plugin = format!("--image oci://registry.example/splitway --digest {DIGEST} {services}");
    fine(bench.run(&format!("render istio --config splitway.yaml --out k {plugin}")));
    fine(bench.run(&format!("render istio --config splitway.yaml --out k {plugin} --check")));
    let objects = objects(&bench.path("k/base"));
    let rules = objects.iter().filter(|object| object["kind"] == "DestinationRule");
    let mut hosts: Vec<&str> = rules.map(|rule| rule["spec"]["host"].as_str().unwrap()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["new.shop.svc.cluster.local", "old.shop.svc.cluster.local"]);
    let resources = parse(&bench.read("k/base/kustomization.yaml"))["resources"].clone();
    let mut files: Vec<&str> =
        resources.as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    files.sort_unstable();
    let count = files.len();
    files.dedup();
    assert_eq!((files.len(), count), (objects.len(), objects.len()));
    fine(bench.run(&format!("render istio --config splitway.yaml --out chart --chart {plugin}")));
    assert_eq!(std::fs::read_dir(bench.path("chart/templates")).unwrap().count(), objects.len());
}

#[test]
fn the_wasm_plugin_holds_what_was_asked_for() {
    let bench = bench();
    fine(bench.run(&format!("render istio --config splitway.yaml --out plugin {}", plugin())));
    let spec = parse(&bench.read("plugin/base/wasmplugin.yaml"))["spec"].clone();
    assert_eq!(spec["url"], format!("oci://registry.example:5000/splitway@{DIGEST}"));
    assert_eq!(spec["sha256"], DIGEST.strip_prefix("sha256:").unwrap());
    assert_eq!(spec["failStrategy"], "FAIL_RELOAD");
    // What istiod hands to the filter as JSON is the config.
    let bare = fine(bench.run("render google --config splitway.yaml")).out;
    assert_eq!(spec["pluginConfig"], serde_json::from_str::<Value>(&bare).unwrap());
    assert!(
        splitway_engine::compile(&splitway_engine::Document::from_json(bare.as_bytes()).unwrap()).is_ok()
    );

    fine(bench.run(&format!(
        "render istio --config splitway.yaml --out url --url https://files.example/splitway.wasm {SERVICES}"
    )));
    let spec = parse(&bench.read("url/base/wasmplugin.yaml"))["spec"].clone();
    assert_eq!(spec["sha256"].as_str().unwrap().len(), 64);
    assert_ne!(spec["sha256"], DIGEST.strip_prefix("sha256:").unwrap());
}

/// The EnvoyFilter's filter with the ConfigMaps' files, in a real Envoy: all but istiod.
#[tokio::test]
async fn the_mounted_config_map_runs_in_a_real_envoy() {
    let rendered = Rendered::new("");
    let bench = &rendered.bench;
    fine(
        bench.run(&format!("render istio --config splitway.yaml --out map --delivery config-map {SERVICES}")),
    );
    let mounted = bench.path("mounted");
    let text = |file: &str| bench.read(&format!("map/base/{file}.yaml"));
    let moved = |text: &str| text.replace("/etc/splitway", &mounted.display().to_string());
    std::fs::create_dir_all(mounted.join("experiments")).unwrap();
    std::fs::create_dir_all(mounted.join("filter")).unwrap();
    let experiments = parse(&text("experiments"));
    std::fs::write(
        mounted.join("experiments/ecds.yaml"),
        moved(experiments["data"]["ecds.yaml"].as_str().unwrap()),
    )
    .unwrap();
    let module = parse(&text("filter"))["binaryData"]["splitway.wasm"].as_str().unwrap().to_owned();
    std::fs::write(mounted.join("filter/splitway.wasm"), Base64::decode_vec(&module).unwrap()).unwrap();

    let filter = parse(&moved(&text("envoyfilter")))["spec"]["configPatches"][0]["patch"]["value"].clone();
    let mut bootstrap = parse(&bench.read("proxy/envoy.yaml"));
    let filters = bootstrap
        .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters")
        .unwrap();
    filters[0] = filter;
    let envoy = Standalone::start(&mounted, &bootstrap.to_string()).await.unwrap();
    splits(&envoy).await;
}

fn tool(name: &str, test: &str, install: &str) -> bool {
    let found = Command::new(name).arg("version").output().is_ok();
    if !found {
        skip::skip(test, &format!("{name} is not on PATH: {install}"));
    }
    found
}

#[test]
fn kustomize_builds_base_and_overlays() {
    if !tool("kubectl", "kustomize_builds_base_and_overlays", "apt-get install kubernetes-client") {
        return;
    }
    let bench = bench();
    fine(bench.run(&format!(
        "render istio --config splitway.yaml --out k --overlay staging=istio-staging {}",
        plugin()
    )));
    for (folder, namespace) in [("k/base", "istio-system"), ("k/overlays/staging", "istio-staging")] {
        let built = Command::new("kubectl")
            .args(["kustomize", folder])
            .current_dir(bench.path("."))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let text = String::from_utf8(built.stdout).unwrap();
        let objects: Vec<Value> = text.split("\n---\n").map(parse).collect();
        assert_eq!(objects.len(), 5, "{text}");
        for object in objects {
            assert_eq!(object["metadata"]["namespace"], namespace);
            assert_eq!(mistakes(&object), Vec::<String>::new());
        }
    }
}

/// Where `helm` is: on PATH, or what HELM_BIN names.
#[test]
fn the_chart_makes_what_the_base_has() {
    let helm = std::env::var("HELM_BIN").unwrap_or_else(|_| "helm".to_owned());
    let bench = bench();
    fine(bench.run(&format!("render istio --config splitway.yaml --out k {}", plugin())));
    fine(bench.run(&format!("render istio --config splitway.yaml --out chart --chart {}", plugin())));
    let mut command = Command::new(&helm);
    command
        .args(["template", "splitway", "chart", "--namespace", "istio-system"])
        .current_dir(bench.path("."));
    let Ok(built) = command.output() else {
        return skip::skip(
            "the_chart_makes_what_the_base_has",
            "no helm: put one on PATH or name it in HELM_BIN",
        );
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let text = String::from_utf8(built.stdout).unwrap();
    let sorted = |mut objects: Vec<Value>| {
        objects.sort_by_key(|object| format!("{}{}", object["kind"], object["metadata"]["name"]));
        objects
    };
    let made: Vec<Value> = text.split("---\n").filter(|text| !text.trim().is_empty()).map(parse).collect();
    assert_eq!(sorted(made), sorted(objects(&bench.path("k/base"))));
}

#[test]
fn what_the_target_cannot_hold_is_refused() {
    let bench = bench();
    // Its quotes are escaped in ecds.yaml, which is how a config that is small enough becomes too large.
    let large = format!("{CONFIG}    description: '{}'\n", "\"".repeat(300_000));
    std::fs::write(bench.path("large.yaml"), large).unwrap();
    // A module, but of nothing.
    std::fs::write(bench.path("bare.wasm"), b"\0asm\x01\0\0\0").unwrap();
    for (args, code, why) in [
        (
            "envoy --config splitway.yaml --cluster v1=127.0.0.1:1 --cluster vv2=127.0.0.1:2 --out x",
            1,
            "expected the name of a --cluster, found `v2`",
        ),
        (
            "envoy --config splitway.yaml --cluster v1=127.0.0.1:1 --cluster v2=127.0.0.1 --out x",
            2,
            "--cluster v2 needs a port",
        ),
        ("envoy --config splitway.yaml --cluster v1=nowhere:port --out x", 2, "expected a cluster's name"),
        (
            "istio --config splitway.yaml --cluster v1=a --cluster v2=b --host h --out x",
            2,
            "needs --image with --digest, or --url",
        ),
        (
            "istio --config splitway.yaml --cluster v1=a --cluster v2=b --host h --image oci://a/b --out x",
            2,
            "--digest",
        ),
        (
            "istio --config splitway.yaml --cluster v1=a --cluster v2=b --host h --image oci://a/b --digest sha256:1 --out x",
            2,
            "64 hexadecimal",
        ),
        (
            "envoy --config splitway.yaml --cluster v2=127.0.0.1:1 --wasm splitway.yaml --out x",
            2,
            "is not WebAssembly",
        ),
        (
            "envoy --config splitway.yaml --cluster v2=127.0.0.1:1 --cluster v2=127.0.0.1:2 --out x",
            2,
            "given twice",
        ),
        (
            "envoy --config splitway.yaml --cluster v2=127.0.0.1:1 --wasm bare.wasm --out x",
            2,
            "is not a proxy-wasm module",
        ),
        (
            "istio --config splitway.yaml --cluster v2=b --host h --delivery config-map --name Shop_A --out x",
            2,
            "a-z, 0-9",
        ),
    ] {
        let ran = bench.run(&format!("render {args}"));
        assert_eq!(ran.code, code, "{args}: {}", ran.all());
        assert!(ran.err.contains(why), "{args}: {}", ran.all());
        assert!(!bench.path("x").exists(), "{args}: nothing is written");
    }
    let ran = bench.run("render configmap --config large.yaml");
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.err.contains("a ConfigMap holds at most 1048576"), "{}", ran.all());
    assert_eq!(bench.run("render configmap --format json --config large.yaml").code, 0);
}

#[test]
fn check_tells_what_is_stale() {
    let rendered = Rendered::new("");
    let bench = &rendered.bench;
    let args = "render istio --config splitway.yaml --out k --url https://files.example/splitway.wasm";
    fine(bench.run(&format!("{args} {SERVICES}")));
    fine(bench.run(&format!("{args} {SERVICES} --check")));
    std::fs::write(bench.path("splitway.yaml"), CONFIG.replace("weight: 50 }", "weight: 40 }")).unwrap();
    let ran = bench.run(&format!("{args} {SERVICES} --check"));
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.all());
    assert!(ran.out.contains("wasmplugin.yaml"), "{}", ran.all());
}

#[test]
fn config_maps_are_valid_and_carry_the_document() {
    let bench = bench();
    for (format, key) in [("ecds", "ecds.yaml"), ("json", "splitway.json")] {
        let ran = fine(
            bench.run(&format!("render configmap --config splitway.yaml --format {format} --namespace edge")),
        );
        let object = parse(&ran.out);
        assert_eq!(mistakes(&object), Vec::<String>::new());
        assert_eq!(object["metadata"]["namespace"], "edge");
        let text = object["data"][key].as_str().unwrap();
        let document = match format {
            "ecds" => {
                let value =
                    parse(text).pointer("/resources/0/typed_config/config/configuration/value").cloned();
                value.unwrap().as_str().unwrap().to_owned()
            }
            _ => text.to_owned(),
        };
        let plain = fine(bench.run("render google --config splitway.yaml")).out;
        assert_eq!(document, plain.trim_end());
    }
}

/// A cluster that nobody names is shown where the config has it.
#[test]
fn a_missing_cluster_is_underlined() {
    let config = "\
version: 1
unit: [{ header: x-user-id }]
exposure: { key: 0123456789abcdef, otlp: { cluster: colector } }
experiments:
  - id: button
    variants:
      - id: old
      - id: new
        route: { cluster: shop-v22 }
      - id: copied
        route: { shadow: elsewhere }
";
    let bench = Bench::new(&[("splitway.yaml", config)]);
    let clusters =
        "--cluster shop-v1=127.0.0.1:1 --cluster shop-v2=127.0.0.1:2 --cluster collector=127.0.0.1:3";
    let ran = bench.run(&format!("render envoy --config splitway.yaml --out x {clusters}"));
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.all());
    let (head, experiments) = config.split_once("experiments:\n").unwrap();
    let bench = Bench::new(&[
        ("experiments/base.yaml", head),
        ("experiments/button.yaml", &format!("experiments:\n{experiments}")),
    ]);
    let ran = bench.run(&format!("render envoy --config experiments --out x {clusters}"));
    assert_eq!(ran.code, 1);
    for place in ["experiments/base.yaml:3:", "experiments/button.yaml:6:", "experiments/button.yaml:8:"] {
        assert!(ran.err.contains(place), "{place}: {}", ran.all());
    }
}

/// The limits of managed proxies: size, and what a request may take.
#[test]
fn google_gets_only_what_it_can_run() {
    let bench = bench();
    let ran = fine(bench.run("render google --config splitway.yaml"));
    assert!(
        ran.err.contains("of 5242880 bytes") && ran.err.contains("of 1000000 wasm instructions"),
        "{}",
        ran.all()
    );
    let mut many = "version: 1\nunit: [{ header: x-user-id }]\nexperiments:\n".to_owned();
    for experiment in 0..400 {
        many.push_str(&format!("  - {{ id: e{experiment}, targeting: {{ path: {{ prefix: /e }} }}, variants: [{{ id: a }}, {{ id: b }}] }}\n"));
    }
    std::fs::write(bench.path("many.yaml"), many).unwrap();
    let ran = bench.run("render google --config many.yaml");
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.all());
    assert!(ran.err.contains("if every experiment applies"), "{}", ran.all());
    // A custom section is no code, and yet it has to be stored.
    let mut module = std::fs::read(splitway_envoy::tools::filter_wasm().unwrap()).unwrap();
    let padding = vec![0; 5 << 20];
    let mut section = vec![1, b'x'];
    section.extend(padding);
    module.push(0);
    let mut length = section.len();
    while length >= 128 {
        module.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    module.push(length as u8);
    module.extend(section);
    std::fs::write(bench.path("large.wasm"), module).unwrap();
    let ran = bench.run("render google --config splitway.yaml --wasm large.wasm");
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.err.contains("the limit is 5242880"), "{}", ran.all());
    let ran = bench.run("render istio --config splitway.yaml --delivery config-map --host h --cluster v2=b --wasm large.wasm --out x");
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.err.contains("a ConfigMap holds at most"), "{}", ran.all());
}
