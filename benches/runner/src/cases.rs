//! What is measured side by side. One entry of [`all`] is one case.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};
use splitway_benches::documents;
use splitway_envoy::tools;

use splitway_tools::{shell, wasm};

/// One Envoy to measure.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) filter: Filter,
    /// Who answers.
    pub(super) answer: Answer,
    /// Whether the proxy writes what the filter logs at info: exposures.
    pub(super) log: bool,
    /// How many experiments the response's `x-splitway` names: a case that does not do its work is
    /// not measured.
    pub(super) stamps: usize,
    /// Numbers of workers that it is measured with.
    pub(super) workers: &'static [u32],
}

/// What stands before the router.
pub(super) enum Filter {
    Nothing,
    /// A filter of Envoy's own, as an entry of `http_filters`.
    Native(Value),
    Wasm {
        module: PathBuf,
        configuration: String,
    },
    Lua(String),
    /// No filter: the route splits by a hash.
    WeightedClusters,
}

/// Who answers a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The route itself, so that hardly anything but the filter costs.
    Direct,
    /// A server behind the proxy; needed to route.
    Upstream,
}

const ONE: &[u32] = &[1];
const ONE_AND_TWO: &[u32] = &[1, 2];

/// Every case; the first of each kind of answer has no filter and is what the others are compared to.
pub(super) fn all() -> Result<Vec<Case>> {
    let no_op = wasm::build_for_comparison("noop")?;
    let floor = wasm::build_for_comparison("floor")?;
    let shipped = tools::filter_wasm()?;
    let case =
        |name, stamps, filter| Case { name, filter, answer: Answer::Direct, log: true, stamps, workers: ONE };
    let splitway = |document: Value| Filter::Wasm {
        module: shipped.clone(),
        configuration: documents::with_header(document).to_string(),
    };
    let quiet = |case: Case| Case { log: false, ..case };
    let upstream = |case: Case| Case { answer: Answer::Upstream, ..case };
    let both = |case: Case| Case { workers: ONE_AND_TWO, ..case };
    let no_op = Filter::Wasm { module: no_op, configuration: String::new() };
    let floor = |count: usize| Filter::Wasm { module: floor.clone(), configuration: count.to_string() };
    Ok(vec![
        both(case(NOTHING, 0, Filter::Nothing)),
        case("header_mutation", 1, Filter::Native(header_mutation())),
        both(case(NO_OP, 0, no_op)),
        case("hostcalls alone, 1 experiment", 1, floor(1)),
        case("hostcalls alone, 10 experiments", 10, floor(10)),
        quiet(case("hostcalls alone, 1 experiment, log off", 1, floor(1))),
        quiet(case("hostcalls alone, 10 experiments, log off", 10, floor(10))),
        case("Lua, 1 experiment", 1, Filter::Lua(lua(1)?)),
        both(case(LUA, 10, Filter::Lua(lua(10)?))),
        case("Splitway, 1 experiment", 1, splitway(documents::layers(1))),
        both(case(SPLITWAY, 10, splitway(documents::layers(10)))),
        case("Splitway, 100 experiments", 100, splitway(documents::layers(100))),
        case("Splitway, 100 experiments of one layer", 1, splitway(documents::one_layer(100))),
        case("Splitway, 100 experiments, none applies", 0, splitway(documents::elsewhere(100))),
        quiet(case("Splitway, 1 experiment, log off", 1, splitway(documents::layers(1)))),
        quiet(case("Splitway, 10 experiments, log off", 10, splitway(documents::layers(10)))),
        quiet(case("Splitway, 100 experiments, log off", 100, splitway(documents::layers(100)))),
        upstream(case("no filter, upstream", 0, Filter::Nothing)),
        upstream(case("weighted_clusters by hash, upstream", 0, Filter::WeightedClusters)),
        upstream(case("Splitway, 1 experiment, upstream", 1, splitway(documents::routed()))),
    ])
}

/// The cases that others are set in relation to.
pub(super) const NOTHING: &str = "no filter";
pub(super) const NO_OP: &str = "no-op wasm filter";
pub(super) const LUA: &str = "Lua, 10 experiments";
pub(super) const SPLITWAY: &str = "Splitway, 10 experiments";

/// Two headers of the request and one of the response, always the same.
fn header_mutation() -> Value {
    let set = |name: &str, value: &str| {
        json!({ "append": {
            "header": { "key": name, "value": value },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        } })
    };
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {
                "request_mutations": [set("x-splitway", "e0=b"), set("x-e0", "b")],
                "response_mutations": [set("x-splitway", "e0=b")],
            },
        },
    })
}

fn lua(count: usize) -> Result<String> {
    let script = std::fs::read_to_string(shell::root().join("benches/lua/split.lua"))?;
    Ok(script.replace("COUNT", &count.to_string()))
}

impl Filter {
    /// The entry of `http_filters` before the router's.
    fn entry(&self) -> Option<Value> {
        match self {
            Self::Nothing | Self::WeightedClusters => None,
            Self::Native(entry) => Some(entry.clone()),
            Self::Wasm { module, configuration } => Some(json!({
                "name": "wasm",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                    "config": {
                        "name": "splitway",
                        "root_id": "splitway",
                        "vm_config": {
                            "vm_id": "splitway",
                            "runtime": "envoy.wasm.runtime.v8",
                            "code": { "local": { "filename": module } },
                        },
                        "configuration": {
                            "@type": "type.googleapis.com/google.protobuf.StringValue",
                            "value": configuration,
                        },
                    },
                },
            })),
            Self::Lua(script) => Some(json!({
                "name": "envoy.filters.http.lua",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                    "default_source_code": { "inline_string": script },
                },
            })),
        }
    }
}

impl Case {
    /// `--component-log-level`.
    pub(super) fn log_levels(&self) -> &'static str {
        if self.log { "wasm:info,lua:info" } else { "wasm:warning,lua:warning" }
    }

    /// The whole bootstrap. `upstream` is the port of the server behind the proxy.
    pub(super) fn bootstrap(&self, upstream: u16) -> Value {
        let routes = match (self.answer, &self.filter) {
            (Answer::Direct, _) => {
                json!([{ "match": { "prefix": "/" }, "direct_response": direct_response() }])
            }
            (Answer::Upstream, Filter::WeightedClusters) => json!([{ "match": { "prefix": "/" }, "route": {
                "weighted_clusters": {
                    "clusters": [{ "name": "v1", "weight": 50 }, { "name": "v2", "weight": 50 }],
                    "use_hash_policy": true,
                },
                "hash_policy": [{ "cookie": { "name": "uid" } }],
            } }]),
            (Answer::Upstream, _) => json!([
                {
                    "match": { "prefix": "/", "headers": [
                        { "name": "x-splitway-cluster", "string_match": { "exact": "v2" } },
                    ] },
                    "route": { "cluster": "v2" },
                },
                { "match": { "prefix": "/" }, "route": { "cluster": "v1" } },
            ]),
        };
        let clusters = match self.answer {
            Answer::Direct => json!([]),
            Answer::Upstream => json!([cluster("v1", upstream), cluster("v2", upstream)]),
        };
        bootstrap(self.filter.entry(), &routes, &clusters)
    }
}

/// The server behind the proxy: an Envoy too.
pub(super) fn server() -> Value {
    bootstrap(
        None,
        &json!([{ "match": { "prefix": "/" }, "direct_response": direct_response() }]),
        &json!([]),
    )
}

fn direct_response() -> Value {
    json!({ "status": 200, "body": { "inline_string": "ok\n" } })
}

fn cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [{ "endpoint": {
            "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } },
        } }] }] },
    })
}

/// As `envoy/bootstrap.yaml` has it, but for the config discovery, which costs no request anything.
fn bootstrap(filter: Option<Value>, routes: &Value, clusters: &Value) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    });
    let filters: Vec<Value> = filter.into_iter().chain([router]).collect();
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "AUTO",
        "use_remote_address": true,
        "generate_request_id": true,
        "always_set_request_id_in_response": true,
        "http_filters": filters,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
    });
    json!({
        "node": { "id": "bench", "cluster": "bench" },
        "admin": { "address": address },
        "static_resources": {
            "listeners": [{
                "name": "ingress",
                "address": address,
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }] }],
            }],
            "clusters": clusters,
        },
    })
}
