//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use splitway_engine::Timestamp;

#[cfg(not(all(feature = "analysis", feature = "host")))]
use crate::absent::Absent;
#[cfg(feature = "analysis")]
use crate::analysis::args::{ANALYZE_EXAMPLES, Analyze, Compact, Report};
use crate::power::Power;

#[cfg(not(feature = "analysis"))]
type Analyze = Absent;
#[cfg(not(feature = "analysis"))]
type Report = Absent;
#[cfg(not(feature = "analysis"))]
type Compact = Absent;
#[cfg(not(feature = "host"))]
type Test = Absent;
#[cfg(not(feature = "host"))]
type Dev = Absent;

/// Run A/B tests in the proxy: check, try, compare and edit configs, and analyse results.
///
/// Exit codes: 0 success, 1 problems found, 2 wrong usage or an unreadable file.
#[derive(Debug, Parser)]
#[command(name = "splitway", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Report every problem of configs, with its source line
    #[command(after_help = "Example: splitway validate --launch splitway.yaml")]
    Validate(Validate),
    /// Write a commented config to begin with, and its schema for editors
    ///
    /// On a terminal it asks for everything that no flag gives; elsewhere, and with --yes, it uses the defaults.
    #[command(
        after_help = "Example: splitway init --unit cookie:uid --experiment new-checkout --cluster checkout-v2"
    )]
    Init(Init),
    /// Format configs in one layout, keeping comments and meaning
    #[command(after_help = "Example: splitway fmt --check experiments/")]
    Fmt(Fmt),
    /// Print the config's JSON Schema
    #[command(after_help = "Example: splitway schema > config.schema.json")]
    Schema(Schema),
    /// Run scenarios: requests under a config, with the results they must have
    ///
    /// A scenario is a YAML file; spec/scenarios/README.md describes it. Exit 1 if one fails, 2 if a
    /// file is not a scenario or the host cannot be started.
    #[command(
        after_help = "Example: splitway test --config splitway.yaml scenarios/ --host envoy --junit report.xml"
    )]
    Test(Test),
    /// Assign unit ids from stdin, one per line, and print NDJSON
    ///
    /// It prints one row per id and experiment (ordered by id), in input order. The decided request carries the unit and what
    /// --path, --host, --method, --header and --cookie add. An experiment whose targeting asks for more returns `not_targeted`,
    /// and one with another unit source returns `no_unit`. `bucket` is null where none was computed. With --requests, whole
    /// requests are decided instead of ids. Lines that are empty, not UTF-8, or that the source cannot carry (a `;` in a
    /// cookie) are counted on stderr, with exit code 1.
    #[command(
        after_help = "Examples:\n  splitway assign --config splitway.yaml < ids.txt > rows.ndjson\n  splitway assign --config splitway.yaml --path /checkout < ids.txt\n  splitway assign --config splitway.yaml --requests access.log"
    )]
    Assign(Assign),
    /// Explain one decision step by step
    #[command(after_help = "Example: splitway explain --config splitway.yaml --path / --cookie uid=u1")]
    Explain(Explain),
    /// Simulate many units to test a config's shares, uniformity and independence
    ///
    /// Every request counts as eligible, and allow-lists are ignored. Exit 1 if a share, the
    /// spread over buckets or the independence of two experiments fails its chi-square test at
    /// p < 0.001 (Bonferroni-corrected over all tests of its kind).
    #[command(after_help = "Example: splitway simulate --config splitway.yaml --units 200000")]
    Simulate(Simulate),
    /// Report which share of units moves between two configs: changes variant, enters or leaves
    ///
    /// Shares are exact, computed from the bucket ranges, as long as both configs use the same hashes; others are
    /// marked as estimates. They refer to all units whose requests are eligible.
    #[command(after_help = "Example: splitway diff old.yaml new.yaml --max-moved 1%")]
    Diff(Diff),
    /// Decide recorded requests by two configs and report what changes
    ///
    /// Each line is a request: a JSON object with `method`, `path`, `host`, `time`, `headers` and `cookies`, or a line of a JSON
    /// access log, where every other text field is the header of that name. Requests are decided at their own time. Exit 1
    /// if a line is not a request, or if more requests move than --max-moved allows.
    #[command(after_help = "Example: splitway replay old.yaml new.yaml --requests access.log --max-moved 1%")]
    Replay(Replay),
    /// Try a config with real traffic in a local proxy that runs the compiled filter
    ///
    /// It routes as Envoy would: to the upstream that the filter's header names, else to the default one. Without
    /// --upstream, a built-in upstream serves each cluster of the config and shows the requests it receives. The config is
    /// read again when its file changes; an invalid one is refused with its problems, and the last valid one stays in
    /// force. The page at /__splitway shows the plan, counts and last decisions, and explains any request.
    #[cfg_attr(feature = "host", command(after_help = DEV_EXAMPLES))]
    Dev(Dev),
    /// Generate files ready to deploy: Envoy, Istio, ConfigMap, Google, Prometheus
    #[command(after_help = "Example: splitway render configmap --config splitway.yaml")]
    Render(crate::render::Render),
    /// Give an experiment free buckets of its layer and write them into the file
    #[command(after_help = "Example: splitway allocate splitway.yaml search-ranking --share 20% --write")]
    Allocate(Allocate),
    /// Print completions for a shell
    #[command(after_help = "Example: splitway completions bash > /etc/bash_completion.d/splitway")]
    Completions(Completions),
    /// Write man pages, one per command
    #[command(after_help = "Example: splitway man --out /usr/local/share/man/man1")]
    Man(Man),
    /// Sign a QA token that gives a tester a variant, whatever the buckets say
    ///
    /// The key is one of the config's, under `qa_tokens`. With --debug the response lists every step of the decision.
    #[command(
        after_help = "Example: splitway token --config splitway.yaml --experiment checkout --variant one-step"
    )]
    Token(Token),
    /// Change weights, add or remove variants so that the fewest units move
    ///
    /// The command writes each variant's buckets. Give every variant a weight: 0 keeps a variant without units, a new name
    /// adds one, --remove removes one.
    #[command(after_help = "Example: splitway reweight splitway.yaml checkout control=80 one-step=20")]
    Reweight(Reweight),
    /// Compute how many units an experiment needs and how long it takes
    #[command(after_help = "Example: splitway power --baseline 10% --effect 0.02 --daily 5000")]
    Power(Power),
    /// Judge experiments from exposure logs and recorded outcomes
    ///
    /// It checks first whether the arms have the planned shares, then the guardrails, then the primary metric. Intervals hold
    /// at every look unless --fixed is given. Exit 1 if an experiment must not be shipped or its data are invalid.
    #[cfg_attr(feature = "analysis", command(after_help = ANALYZE_EXAMPLES))]
    Analyze(Analyze),
    /// Write the analysis as one self-contained HTML page
    #[command(
        after_help = "Example: splitway report --config splitway.yaml --exposures envoy.log --out report.html"
    )]
    Report(Report),
    /// Convert logs or outcomes to Parquet, for `analyze` or another engine
    #[command(after_help = "Example: splitway compact envoy.log --out exposures.parquet")]
    Compact(Compact),
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Configs, YAML or JSON; a folder is one config in several files, `-` is stdin
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Also check the launch rules: owner, hypothesis, end, metrics, guardrails, and that no secret is a sample
    #[arg(long)]
    pub(crate) launch: bool,
    /// Exit 1 for warnings too
    #[arg(long)]
    pub(crate) deny_warnings: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The file to write; `-` is stdout
    #[arg(long, value_name = "FILE", default_value = "splitway.yaml")]
    pub(crate) out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask no questions and use the defaults
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Name of the service; it goes into every hash and labels the metrics
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// Where a request carries its unit, such as header:x-user-id or cookie:uid
    #[arg(long, value_name = "SOURCE")]
    pub(crate) unit: Option<String>,
    /// Id of the experiment
    #[arg(long, value_name = "ID")]
    pub(crate) experiment: Option<String>,
    /// Id of the variant that is tried against the control
    #[arg(long, value_name = "ID")]
    pub(crate) variant: Option<String>,
    /// Cluster that serves the variant [default: the control's, with a request header]
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Share of the traffic that takes part
    #[arg(long, value_name = "SHARE")]
    pub(crate) traffic: Option<String>,
    /// Secret key for the pseudonyms of units in logs [default: a random one]
    #[arg(long, value_name = "KEY")]
    pub(crate) exposure_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Configs, or folders with configs; `-` formats stdin to stdout
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Change nothing; exit 1 if a file is not formatted
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Experiment of the variant
    #[arg(long, value_name = "ID", requires = "variant")]
    pub(crate) experiment: Option<String>,
    /// Variant that the token's bearer gets
    #[arg(long, value_name = "ID", requires = "experiment")]
    pub(crate) variant: Option<String>,
    /// Only unit for which the token is valid [default: any]
    #[arg(long, value_name = "UNIT")]
    pub(crate) subject: Option<String>,
    /// How long the token is valid, up to 24h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = crate::token::lifetime)]
    pub(crate) expires_in: std::time::Duration,
    /// Id of the config's key that signs [default: the last one]
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
    /// Make the response list the steps of the decision
    #[arg(long)]
    pub(crate) debug: bool,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Name of the shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder to write the pages to
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Print the JSON Schema of scenario files instead
    #[cfg(feature = "host")]
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) scenario: bool,
    /// Print a reference in Markdown instead
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[cfg(feature = "host")]
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Scenario files, or folders with scenario files
    #[arg(required = true, value_name = "DIR|FILE")]
    pub(crate) paths: Vec<PathBuf>,
    /// Config for scenarios that have none: a file, or several files or a folder
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Compiled filter [default: $SPLITWAY_WASM, else the one that `cargo xtask build-wasm` built]
    #[arg(long, value_name = "FILE")]
    pub(crate) wasm: Option<PathBuf>,
    /// Host that runs them: Splitway as a library, or the compiled filter in wasmtime or in a real Envoy
    #[arg(long, value_name = "HOST", default_value = "wasmtime", value_parser = ["in-process", "wasmtime", "envoy"])]
    pub(crate) host: String,
    /// Run only scenarios with this text in their name
    #[arg(long, value_name = "NAME")]
    pub(crate) filter: Option<String>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Assign {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Unit source that the ids belong to, such as `cookie:uid`; the config must name it [default: the first]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) unit_kind: Option<String>,
    /// Requests to decide instead of ids: one JSON object per line, or an access log in JSON; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["unit_kind", "method", "path", "host", "header", "cookie"])]
    pub(crate) requests: Option<PathBuf>,
    /// Method of the request that carries the ids
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// Path of that request, with its query
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// Host of that request
    #[arg(long, default_value = "localhost")]
    pub(crate) host: String,
    /// Header of that request; may be repeated
    #[arg(long, value_name = "K:V", value_parser = |text: &str| pair(text, ':'))]
    pub(crate) header: Vec<(String, String)>,
    /// Cookie of that request; may be repeated
    #[arg(long, value_name = "K=V", value_parser = |text: &str| pair(text, '='))]
    pub(crate) cookie: Vec<(String, String)>,
    /// Time of the decision (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<Timestamp>,
}

/// What every question has.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Time for which to answer (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Method of the request
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// Path of the request, with its query
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// Host of the request
    #[arg(long, default_value = "localhost")]
    pub(crate) host: String,
    /// Header of the request; may be repeated
    #[arg(long, value_name = "K:V", value_parser = |text: &str| pair(text, ':'))]
    pub(crate) header: Vec<(String, String)>,
    /// Cookie of the request; may be repeated
    #[arg(long, value_name = "K=V", value_parser = |text: &str| pair(text, '='))]
    pub(crate) cookie: Vec<(String, String)>,
    /// Treat this variant as switched off by a guardrail; may be repeated
    #[arg(long, value_name = "EXPERIMENT/VARIANT", value_parser = |text: &str| pair(text, '/'))]
    pub(crate) tripped: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Also write shares and independence as an SVG picture
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Number of units, named unit-0, unit-1, …
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) units: u32,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[cfg(feature = "host")]
const DEV_EXAMPLES: &str = "\
Examples:
  splitway dev --config splitway.yaml
  splitway dev --config splitway.yaml --upstream shop-v1=http://127.0.0.1:3000 --upstream shop-v2=http://127.0.0.1:3001
Then: curl -i -H 'x-user-id: user-1' http://127.0.0.1:8000/";

#[cfg(feature = "host")]
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The config, a file or a folder; `dev` reads it again when it changes
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: PathBuf,
    /// Server behind the proxy for a cluster of this name; may be repeated
    #[arg(long, value_name = "NAME=URL", value_parser = upstream)]
    pub(crate) upstream: Vec<(String, String)>,
    /// Upstream for requests that no variant routes [default: the first one]
    #[arg(long, value_name = "NAME", requires = "upstream")]
    pub(crate) default: Option<String>,
    /// Host name to answer for besides localhost and the own address; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: String,
    /// Compiled filter [default: $SPLITWAY_WASM, else the one that `cargo xtask build-wasm` built]
    #[arg(long, value_name = "FILE")]
    pub(crate) wasm: Option<PathBuf>,
    /// Seed of request ids [default: a new one at each start]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the filter's log, exposures included, on stderr
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Old config, a file or a folder
    pub(crate) old: PathBuf,
    /// New config, a file or a folder
    pub(crate) new: PathBuf,
    /// Exit 1 if a larger share moves in any experiment, such as 1%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) max_moved: Option<f64>,
    /// Number of units to simulate where bucketings cannot be compared exactly
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) units: u32,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Old config, a file or a folder
    pub(crate) old: PathBuf,
    /// New config, a file or a folder
    pub(crate) new: PathBuf,
    /// The requests: one JSON object per line, or an access log in JSON; `-` is stdin
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) requests: PathBuf,
    /// Exit 1 if a larger share of the requests moves in any experiment, such as 1%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) max_moved: Option<f64>,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct Allocate {
    /// Config file; only the buckets of this experiment may be missing
    pub(crate) file: PathBuf,
    /// Id of the experiment
    pub(crate) experiment: String,
    #[command(flatten)]
    pub(crate) amount: Amount,
    /// Write the file; without it the change is printed
    #[arg(long)]
    pub(crate) write: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Amount {
    /// Share of the layer that the experiment owns afterwards, such as 20%
    #[arg(long, value_parser = share)]
    pub(crate) share: Option<f64>,
    /// Number of buckets (of 10,000) that the experiment owns afterwards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) buckets: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Reweight {
    /// Config file
    pub(crate) file: PathBuf,
    /// Id of the experiment
    pub(crate) experiment: String,
    /// Weight of each variant, in any unit
    #[arg(required = true, value_name = "VARIANT=WEIGHT", value_parser = weight)]
    pub(crate) weights: Vec<(String, f64)>,
    /// Variant to remove; may be repeated
    #[arg(long, value_name = "VARIANT")]
    pub(crate) remove: Vec<String>,
    /// Write the file; without it the change is printed
    #[arg(long)]
    pub(crate) write: bool,
}

pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "expected a time such as 2026-11-20T00:00:00Z".to_owned())
}

/// A percentage as a fraction.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    match number {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("expected a percentage such as 20%".to_owned()),
    }
}

fn pair(text: &str, separator: char) -> Result<(String, String), String> {
    let (key, value) = text.split_once(separator).ok_or(format!("expected a `{separator}`"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(feature = "host")]
fn upstream(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, url)) if !name.is_empty() && !url.is_empty() && !name.contains(['/', ':']) => {
            Ok((name.to_owned(), url.to_owned()))
        }
        _ => Err("expected a cluster's name and its URL, such as shop-v1=http://127.0.0.1:3000".to_owned()),
    }
}

fn weight(text: &str) -> Result<(String, f64), String> {
    let (variant, weight) = pair(text, '=')?;
    match weight.parse::<f64>() {
        Ok(weight) if (0.0..=1e9).contains(&weight) => Ok((variant, weight)),
        _ => Err("expected a weight from 0 to 1,000,000,000".to_owned()),
    }
}
