//! A scenario as it is written. `spec/scenarios/README.md` explains it; the JSON Schema is
//! generated from these types, so their docs are what an editor shows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;
use splitway_document::{Cursor, Document, Read, Value as Found, Want};

use crate::matcher::{JsonExpect, NumberExpect, TextExpect, ValuesExpect, scalar, unescape};
use crate::shape::Scalar;

/// Reads a mapping into a struct. A field that is absent has the value behind its `=`, or that of its type.
macro_rules! record {
    ($type:ident { $($field:ident $(= $default:expr)?),* $(,)? }) => {
        impl Read for $type {
            fn read(at: &Cursor<'_>) -> Self {
                let fields = at.fields(&[$(stringify!($field)),*]);
                Self { $($field: record!(@ fields, $field $(, $default)?)),* }
            }
        }
    };
    (@ $fields:ident, $field:ident) => { $fields.read(stringify!($field)) };
    (@ $fields:ident, $field:ident, $default:expr) => {
        $fields.read::<Option<_>>(stringify!($field)).unwrap_or($default)
    };
}

/// Reads a word into an enum; the first is the stand-in.
macro_rules! words {
    ($type:ident { $first:ident = $first_word:literal $(, $variant:ident = $word:literal)* $(,)? }) => {
        impl Read for $type {
            fn read(at: &Cursor<'_>) -> Self {
                let all = [Self::$first $(, Self::$variant)*];
                let known = at.name(&[$first_word $(, $word)*]);
                known.and_then(|index| all.get(index).copied()).unwrap_or(Self::$first)
            }
        }
    };
}

record!(Scenario {
    description, now, seed = 0, workers = 1, config, plugin_config, wasm, environment, refused, hosts,
    underscore_headers = Underscores::Allow, default_cluster = default_cluster(), upstreams, routes, requests, expect,
});
record!(HostsOnly { only, reason });
words!(HostName { InProcess = "in-process", Wasmtime = "wasmtime", Workerd = "workerd", Envoy = "envoy" });
words!(Underscores { Allow = "allow", Reject = "reject" });
record!(Upstream { status = 200, headers, body = String::new(), delay_ms = 0, fails, routed = true });
words!(Failing { Refuse = "refuse", Reset = "reset" });
record!(Route { path, prefix, headers, cluster, direct });
record!(Direct { status, body = String::new() });
record!(Step { at, config, plugin_config, refused, method, path, host, headers, body, repeat, expect });
record!(Expect { variants, upstream, response, exposures, reasons });
record!(UpstreamRequest { cluster, method, path, host, headers, body });
record!(ResponseExpect { status, headers, body });
record!(FinalExpect { metrics, log = LogExpect::default() });
record!(LogExpect { some, none });

/// Requests under a config at a fixed time, and what must come of them.
#[derive(Clone, Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, for people. Its name is the file's, without `.yaml`.
    #[serde(default)]
    pub description: Option<String>,
    /// The time at its beginning (RFC 3339). Default: 2026-01-01T00:00:00Z.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub now: Option<String>,
    /// Seed of all randomness (wasmtime; Envoy has its own). Default: 0.
    #[serde(default)]
    pub seed: u64,
    /// Worker VMs; requests go to them in turn. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 8))]
    pub workers: u32,
    /// Splitway's config: the mapping itself, or a path from this file to a YAML or JSON file.
    #[serde(default)]
    pub config: Option<ConfigSource>,
    /// The plugin configuration as raw text, in place of `config`: for other modules, or for text
    /// that is no config at all.
    #[serde(default)]
    pub plugin_config: Option<String>,
    /// Another module than Splitway's: a path from this file.
    #[serde(default)]
    pub wasm: Option<String>,
    /// The module's environment: what the config names by `{ env: NAME }`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The config must be refused: `true`, or texts that the log must then name.
    #[serde(default)]
    pub refused: Option<Refused>,
    /// Runs on these hosts only.
    #[serde(default)]
    pub hosts: Option<HostsOnly>,
    /// What the proxy does with request headers that have `_` in their name. Default: `allow`.
    #[serde(default)]
    pub underscore_headers: Underscores,
    /// The cluster of requests that no other route takes. Default: `default`.
    #[serde(default = "default_cluster")]
    pub default_cluster: String,
    /// How clusters answer. Every cluster that the config names exists without being named here,
    /// and answers 200 with an empty body.
    #[serde(default)]
    pub upstreams: BTreeMap<String, Upstream>,
    /// Routes in front of those for `x-splitway-cluster`; the first that matches is taken.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What happens, in order.
    #[schemars(length(min = 1))]
    pub requests: Vec<Step>,
    /// What must be true at the end.
    #[serde(default)]
    pub expect: Option<FinalExpect>,
}

fn one() -> u32 {
    1
}

fn default_cluster() -> String {
    "default".to_owned()
}

/// A config inline, or the path of one.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum ConfigSource {
    /// A path from the scenario's file.
    File(String),
    /// The config itself.
    Inline(Inline),
}

/// A config in a scenario.
#[derive(Clone, Debug)]
pub struct Inline(pub(crate) Document);

impl Inline {
    /// The config as a tree without places.
    pub(crate) fn tree(&self) -> Value {
        serde_json::from_str(&self.0.to_json()).unwrap_or_default()
    }
}

impl JsonSchema for Inline {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        BTreeMap::<String, Value>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, Value>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

impl Read for ConfigSource {
    fn read(at: &Cursor<'_>) -> Self {
        match at.node() {
            Some(node) if at.is_mapping() => Self::Inline(Inline(Document { root: node.clone() })),
            _ => Self::File(at.text(Want::Any, "a config (a mapping with `version: 1`) or the path of one")),
        }
    }
}

/// That a config is refused.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Refused {
    /// It is.
    Yes(bool),
    /// It is, and the log names each of these.
    Naming(Vec<String>),
}

impl Read for Refused {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Found::List(_)) => Self::Naming(Vec::read(at)),
            Some(Found::Bool(true)) => Self::Yes(true),
            _ => {
                at.mismatch(Want::Any, "`true` or a list of texts that the log must name");
                Self::Yes(true)
            }
        }
    }
}

impl Refused {
    /// What the log must name.
    #[must_use]
    pub fn naming(&self) -> &[String] {
        match self {
            Self::Yes(_) => &[],
            Self::Naming(texts) => texts,
        }
    }
}

/// A restriction to some hosts.
#[derive(Clone, Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostsOnly {
    /// The hosts it runs on.
    #[schemars(length(min = 1))]
    pub only: Vec<HostName>,
    /// Why not on the others.
    #[schemars(length(min = 1))]
    pub reason: String,
}

/// Something that runs scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostName {
    /// Engine and filter logic as a library, with a small router around.
    InProcess,
    /// The compiled filter in `proxy-wasm-host`.
    Wasmtime,
    /// The edge build in a real workerd, with the Cloudflare adapter.
    Workerd,
    /// The compiled filter in a real Envoy.
    Envoy,
}

impl HostName {
    /// All of them, the quickest first.
    pub const ALL: [Self; 4] = [Self::InProcess, Self::Wasmtime, Self::Workerd, Self::Envoy];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Wasmtime => "wasmtime",
            Self::Workerd => "workerd",
            Self::Envoy => "envoy",
        }
    }
}

/// What the proxy does with request headers that have `_` in their name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Underscores {
    /// Lets them pass, as `deploy/envoy/bootstrap.yaml` does.
    #[default]
    Allow,
    /// Answers 400: an option of `splitway render`.
    Reject,
}

/// How a cluster answers.
#[derive(Clone, Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Status of its responses. Default: 200.
    #[serde(default = "ok")]
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// Headers of its responses; a list for several of one name.
    #[serde(default)]
    pub headers: BTreeMap<String, SentValues>,
    /// Body of its responses. Default: empty.
    #[serde(default)]
    pub body: String,
    /// Milliseconds that it takes to answer.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    pub delay_ms: u64,
    /// It does not answer at all.
    #[serde(default)]
    pub fails: Option<Failing>,
    /// `false`: the cluster has no route of its own, although a config names it.
    #[serde(default = "yes")]
    pub routed: bool,
}

fn ok() -> u16 {
    200
}

fn yes() -> bool {
    true
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            status: 200,
            headers: BTreeMap::new(),
            body: String::new(),
            delay_ms: 0,
            fails: None,
            routed: true,
        }
    }
}

/// How a cluster fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failing {
    /// It accepts no connection.
    Refuse,
    /// It closes the connection in place of answering.
    Reset,
}

/// An entry of the route table.
#[derive(Clone, Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The whole path, without the query.
    #[serde(default)]
    pub path: Option<String>,
    /// The beginning of the path.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Headers with exactly these values.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Where it leads.
    #[serde(default)]
    pub cluster: Option<String>,
    /// What the proxy itself answers, in place of a cluster.
    #[serde(default)]
    pub direct: Option<Direct>,
}

/// An answer of the proxy itself.
#[derive(Clone, Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Direct {
    /// Its status.
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// Its body. Default: empty.
    #[serde(default)]
    pub body: String,
}

/// A request, a change of config, or a change of config and then a request.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, counted from `now`: such as `90s`, `15m`, `12h`, `3d`. Default: when the step before was.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]+(ms|s|m|h|d)$"))]
    pub at: Option<String>,
    /// A config that is swapped in first.
    #[serde(default)]
    pub config: Option<ConfigSource>,
    /// A raw plugin configuration that is swapped in first.
    #[serde(default)]
    pub plugin_config: Option<String>,
    /// The new config must be refused: `true`, or texts that the log must then name.
    #[serde(default)]
    pub refused: Option<Refused>,
    /// Default: GET.
    #[serde(default)]
    pub method: Option<String>,
    /// Path and query. Default: `/`.
    #[serde(default)]
    pub path: Option<String>,
    /// Default: `localhost`.
    #[serde(default)]
    pub host: Option<String>,
    /// Header lines; a list for several of one name.
    #[serde(default)]
    pub headers: BTreeMap<String, SentValues>,
    /// The body.
    #[serde(default)]
    pub body: Option<String>,
    /// Sends it this often, with the same expectations; `{{number}}` in a text counts from 1. Default: 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    pub repeat: Option<u32>,
    /// What must come of it.
    #[serde(default)]
    pub expect: Option<Expect>,
}

/// One header's values: a text, `{bytes: '\xff'}`, or a list of them.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum SentValues {
    /// One line.
    One(SentValue),
    /// A line each, in order.
    Many(Vec<SentValue>),
}

/// A value that is sent.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum SentValue {
    /// Text; `{{name}}` and `{{token …}}` are filled in.
    Text(#[schemars(with = "Scalar")] String),
    /// Any bytes, such as `'uid=\xff\xfe'`: `\xNN` is a byte, `\\` a backslash.
    Bytes {
        /// The escaped text.
        bytes: String,
    },
}

impl SentValues {
    /// The values in order.
    #[must_use]
    pub fn all(&self) -> &[SentValue] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl Read for SentValues {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Found::List(_)) => Self::Many(Vec::read(at)),
            _ => Self::One(SentValue::read(at)),
        }
    }
}

impl Read for SentValue {
    fn read(at: &Cursor<'_>) -> Self {
        if at.is_mapping() {
            let field = at.fields(&["bytes"]);
            let bytes: String = field.read("bytes");
            if let Err(found) = unescape(&bytes) {
                field.at("bytes").invalid("`\\xNN` or `\\\\` in bytes", &found);
            }
            return Self::Bytes { bytes };
        }
        let text = at.value().and_then(scalar);
        Self::Text(text.unwrap_or_else(|| {
            at.mismatch(Want::Any, "a header value: a text, `{bytes: '\\xff'}`, or a list of them");
            String::new()
        }))
    }
}

/// What must come of a request. What is not named is not looked at.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Variants by experiment, as stamped on the request and on the response; `none` for an
    /// experiment that the request is not in.
    #[serde(default)]
    pub variants: BTreeMap<String, String>,
    /// The request as it reached an upstream; `none` if it must not reach one.
    #[serde(default)]
    pub upstream: Option<UpstreamExpect>,
    /// The response as the client got it.
    #[serde(default)]
    pub response: Option<ResponseExpect>,
    /// The exposure records: as many as there are, in any order; of each, the fields named here.
    #[serde(default)]
    pub exposures: Option<Vec<BTreeMap<String, JsonExpect>>>,
    /// Reasons by experiment, as `splitway explain` gives them. Only in-process can tell; other
    /// hosts pass over it.
    #[serde(default)]
    pub reasons: BTreeMap<String, String>,
}

/// The request as it reached an upstream.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum UpstreamExpect {
    /// It reached none: the word `none`.
    None(NoneWord),
    /// It reached one.
    Reached(Box<UpstreamRequest>),
}

/// The word `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum NoneWord {
    /// `none`
    None,
}

impl Read for UpstreamExpect {
    fn read(at: &Cursor<'_>) -> Self {
        match at.value() {
            Some(Found::Map(_)) => Self::Reached(Box::new(UpstreamRequest::read(at))),
            Some(Found::Text(word)) if word == "none" => Self::None(NoneWord::None),
            _ => {
                at.mismatch(Want::Any, "`none`, or a mapping such as `{cluster: …}`");
                Self::None(NoneWord::None)
            }
        }
    }
}

/// A request at its upstream.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamRequest {
    /// The cluster that got it.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The method.
    #[serde(default)]
    pub method: Option<TextExpect>,
    /// Path and query.
    #[serde(default)]
    pub path: Option<TextExpect>,
    /// The host (`:authority`).
    #[serde(default)]
    pub host: Option<TextExpect>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, ValuesExpect>,
    /// The body.
    #[serde(default)]
    pub body: Option<TextExpect>,
}

/// A response at the client.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseExpect {
    /// The status. Default: any.
    #[serde(default)]
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, ValuesExpect>,
    /// The body.
    #[serde(default)]
    pub body: Option<TextExpect>,
}

/// What must be true at the end.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinalExpect {
    /// Counters by name (`splitway.no_unit`): by how much they grew since the first config was
    /// there. 0 for one that does not exist.
    #[serde(default)]
    pub metrics: BTreeMap<String, NumberExpect>,
    /// Log lines.
    #[serde(default)]
    pub log: LogExpect,
}

/// Lines that the module logged, exposures left out.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogExpect {
    /// For each of these there is a line.
    #[serde(default)]
    pub some: Vec<TextExpect>,
    /// For none of these there is a line.
    #[serde(default)]
    pub none: Vec<TextExpect>,
}
