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

/// A/B tests in the proxy: check, try, compare and edit configs.
///
/// Exit codes: 0 fine, 1 problems found, 2 bad usage or an unreadable file.
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
    /// On a terminal it asks what has no flag; elsewhere, and with --yes, it takes the defaults.
    #[command(
        after_help = "Example: splitway init --unit cookie:uid --experiment new-checkout --cluster checkout-v2"
    )]
    Init(Init),
    /// Bring configs into one layout; comments and meaning stay
    #[command(after_help = "Example: splitway fmt --check experiments/")]
    Fmt(Fmt),
    /// Print the config's JSON Schema
    #[command(after_help = "Example: splitway schema > config.schema.json")]
    Schema(Schema),
    /// Run scenarios: requests under a config, and what must come of them
    ///
    /// A scenario is a YAML file; spec/scenarios/README.md describes it. Exit 1 if one fails, 2 if a file is no
    /// scenario or the host is missing.
    #[command(
        after_help = "Example: splitway test --config splitway.yaml scenarios/ --host envoy --junit report.xml"
    )]
    Test(Test),
    /// Assign unit ids from stdin, one a line, as NDJSON
    ///
    /// One row per id and experiment (ordered by id), in input order. The request that is decided
    /// has the unit, and what --path, --host, --method, --header and --cookie add; so an experiment with
    /// targeting says `not_targeted` where the request lacks what it asks for, and one whose own unit is another
    /// source says `no_unit`. With --requests, whole requests are decided instead of ids. `bucket` is null where none was computed. Lines that are empty, not
    /// UTF-8, or that the source cannot carry (a `;` in a cookie) are counted on stderr: exit 1.
    #[command(
        after_help = "Examples:\n  splitway assign --config splitway.yaml < ids.txt > rows.ndjson\n  splitway assign --config splitway.yaml --path /checkout < ids.txt\n  splitway assign --config splitway.yaml --requests access.log"
    )]
    Assign(Assign),
    /// Show every step of one decision
    #[command(after_help = "Example: splitway explain --config splitway.yaml --path / --cookie uid=u1")]
    Explain(Explain),
    /// Put made-up units through a config: shares, uniformity, independence
    ///
    /// Every request counts as eligible, and allow-lists are left out. Exit 1 if a share, the
    /// spread over buckets or the independence of two experiments fails its chi-square test at
    /// p < 0.001 (Bonferroni-corrected over all tests of its kind).
    #[command(after_help = "Example: splitway simulate --config splitway.yaml --units 200000")]
    Simulate(Simulate),
    /// Say who moves between two configs: change variant, enter or leave
    ///
    /// Exact, from the bucket ranges, as long as both configs divide by the same hashes; what is
    /// not is marked as an estimate. Shares are of all units whose requests are eligible.
    #[command(after_help = "Example: splitway diff old.yaml new.yaml --max-moved 1%")]
    Diff(Diff),
    /// Decide recorded requests by two configs, and say who would get something else
    ///
    /// A request is a JSON object on a line of its own: `method`, `path`, `host`, `time`, `headers` and `cookies`, or the line of an
    /// access log, in which every other text is the header of that name. Requests are decided at their own time. Exit 1 if
    /// lines are not requests, or if more move than --max-moved allows.
    #[command(after_help = "Example: splitway replay old.yaml new.yaml --requests access.log --max-moved 1%")]
    Replay(Replay),
    /// Try a config with real traffic: a local proxy that runs the compiled filter
    ///
    /// It routes as Envoy would: by the header that the filter sets to the upstream of that name,
    /// else to the default one. Without --upstream, a built-in upstream stands for each cluster of
    /// the config and shows what it got. The config is read again when its file changes; one that
    /// is wrong is refused with its problems, and the last good one stays in force. Plan, counts,
    /// last decisions and an explanation of any request are at /__splitway.
    #[cfg_attr(feature = "host", command(after_help = DEV_EXAMPLES))]
    Dev(Dev),
    /// Make files that are deployed as they are: Envoy, Istio, ConfigMap, Google
    #[command(after_help = "Example: splitway render configmap --config splitway.yaml")]
    Render(crate::render::Render),
    /// Give an experiment free buckets of its layer, and write them into the file
    #[command(after_help = "Example: splitway allocate splitway.yaml search-ranking --share 20% --write")]
    Allocate(Allocate),
    /// Print a shell's completions
    #[command(after_help = "Example: splitway completions bash > /etc/bash_completion.d/splitway")]
    Completions(Completions),
    /// Write man pages, one a command
    #[command(after_help = "Example: splitway man --out /usr/local/share/man/man1")]
    Man(Man),
    /// Sign a QA token: a tester gets the variant, whatever the buckets say
    ///
    /// The key is the config's, under `qa_tokens`. With --debug the response tells every step of the decision.
    #[command(
        after_help = "Example: splitway token --config splitway.yaml --experiment checkout --variant one-step"
    )]
    Token(Token),
    /// Change weights, add or remove variants so that the fewest units move
    ///
    /// Writes each variant's buckets. Every variant gets a weight: 0 keeps it without units, a new
    /// name adds a variant, --remove takes one out.
    #[command(after_help = "Example: splitway reweight splitway.yaml checkout control=80 one-step=20")]
    Reweight(Reweight),
    /// Say how many units an experiment needs, and how long it takes
    #[command(after_help = "Example: splitway power --baseline 10% --effect 0.02 --daily 5000")]
    Power(Power),
    /// Judge experiments from exposure logs and recorded outcomes
    ///
    /// Whether the arms have the planned shares comes first, then the guardrails, then the primary metric. Intervals hold
    /// at every look unless --fixed. Exit 1 if an experiment is not to be shipped or its data not to be believed.
    #[cfg_attr(feature = "analysis", command(after_help = ANALYZE_EXAMPLES))]
    Analyze(Analyze),
    /// Write the analysis as one self-contained HTML page
    #[command(
        after_help = "Example: splitway report --config splitway.yaml --exposures envoy.log --out report.html"
    )]
    Report(Report),
    /// Turn logs or outcomes into Parquet, for analyze or any other engine
    #[command(after_help = "Example: splitway compact envoy.log --out exposures.parquet")]
    Compact(Compact),
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Configs, YAML or JSON; a folder is one config in several files, `-` is stdin
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Check the launch rules too: owner, hypothesis, end, metrics, guardrails, secrets that are not samples
    #[arg(long)]
    pub(crate) launch: bool,
    /// Exit 1 for warnings, too
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
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask nothing
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// The service: salt and metric prefix
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// What is randomised, such as header:x-user-id or cookie:uid
    #[arg(long, value_name = "SOURCE")]
    pub(crate) unit: Option<String>,
    /// The experiment's id
    #[arg(long, value_name = "ID")]
    pub(crate) experiment: Option<String>,
    /// The id of what is tried beside the control
    #[arg(long, value_name = "ID")]
    pub(crate) variant: Option<String>,
    /// The cluster that serves it [default: the same, by a request header]
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// How much of the traffic takes part
    #[arg(long, value_name = "SHARE")]
    pub(crate) traffic: Option<String>,
    /// The secret of the units' pseudonyms in logs [default: a random one]
    #[arg(long, value_name = "KEY")]
    pub(crate) exposure_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Configs, or folders with such files; `-` is stdin to stdout
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Change nothing; exit 1 if a file is not formatted
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The config: a file, or several or a folder, which are then one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// The experiment
    #[arg(long, value_name = "ID", requires = "variant")]
    pub(crate) experiment: Option<String>,
    /// The variant that its bearer gets
    #[arg(long, value_name = "ID", requires = "experiment")]
    pub(crate) variant: Option<String>,
    /// The only unit it holds for [default: any]
    #[arg(long, value_name = "UNIT")]
    pub(crate) subject: Option<String>,
    /// How long it holds, up to 24h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = crate::token::lifetime)]
    pub(crate) expires_in: std::time::Duration,
    /// Which of the config's keys signs [default: the last]
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
    /// Ask for the steps of the decision in the response
    #[arg(long)]
    pub(crate) debug: bool,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Print the JSON Schema of scenario files instead
    #[cfg(feature = "host")]
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) scenario: bool,
    /// A reference for people, in Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[cfg(feature = "host")]
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Scenario files, or folders with such files
    #[arg(required = true, value_name = "DIR|FILE")]
    pub(crate) paths: Vec<PathBuf>,
    /// The config of scenarios that have none of their own: a file, or several or a folder
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// The compiled filter [default: SPLITWAY_WASM, or what `cargo xtask build-wasm` left]
    #[arg(long, value_name = "FILE")]
    pub(crate) wasm: Option<PathBuf>,
    /// Where they run: Splitway as a library, the compiled filter in wasmtime, or in a real Envoy
    #[arg(long, value_name = "HOST", default_value = "wasmtime", value_parser = ["in-process", "wasmtime", "envoy"])]
    pub(crate) host: String,
    /// Only scenarios with this text in their name
    #[arg(long, value_name = "NAME")]
    pub(crate) filter: Option<String>,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Assign {
    /// The config: a file, or several or a folder, which are then one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Unit source that the ids belong to, such as `cookie:uid`; the config must name it [default: the first]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) unit_kind: Option<String>,
    /// Requests to decide instead of ids: a JSON object a line, or an access log in JSON; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["unit_kind", "method", "path", "host", "header", "cookie"])]
    pub(crate) requests: Option<PathBuf>,
    /// The method of the request that carries the ids
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// Its path, with its query
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// Its host
    #[arg(long, default_value = "localhost")]
    pub(crate) host: String,
    /// A header of it; may be repeated
    #[arg(long, value_name = "K:V", value_parser = |text: &str| pair(text, ':'))]
    pub(crate) header: Vec<(String, String)>,
    /// A cookie of it; may be repeated
    #[arg(long, value_name = "K=V", value_parser = |text: &str| pair(text, '='))]
    pub(crate) cookie: Vec<(String, String)>,
    /// Time of the decision (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<Timestamp>,
}

/// What every question has.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Time that is asked about (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The config: a file, or several or a folder, which are then one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// The request's method
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// The request's path, with its query
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// The request's host
    #[arg(long, default_value = "localhost")]
    pub(crate) host: String,
    /// A header; may be repeated
    #[arg(long, value_name = "K:V", value_parser = |text: &str| pair(text, ':'))]
    pub(crate) header: Vec<(String, String)>,
    /// A cookie; may be repeated
    #[arg(long, value_name = "K=V", value_parser = |text: &str| pair(text, '='))]
    pub(crate) cookie: Vec<(String, String)>,
    /// A variant that a guardrail has taken out: what do its units get? May be repeated
    #[arg(long, value_name = "EXPERIMENT/VARIANT", value_parser = |text: &str| pair(text, '/'))]
    pub(crate) tripped: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The config: a file, or several or a folder, which are then one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Write shares and independence as a picture, too
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// How many units, named unit-0, unit-1, …
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
    /// The config, a file or a folder; it is read again when it changes
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: PathBuf,
    /// A server that stands behind the proxy under a cluster's name; may be repeated
    #[arg(long, value_name = "NAME=URL", value_parser = upstream)]
    pub(crate) upstream: Vec<(String, String)>,
    /// The upstream of requests that no variant routes [default: the first one]
    #[arg(long, value_name = "NAME", requires = "upstream")]
    pub(crate) default: Option<String>,
    /// A host name that it answers for besides localhost and its own address; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: String,
    /// The filter [default: $SPLITWAY_WASM, else the one that `cargo xtask build-wasm` made]
    #[arg(long, value_name = "FILE")]
    pub(crate) wasm: Option<PathBuf>,
    /// Seed of request ids [default: another one each time]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the filter's log, exposures included, on stderr
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The config before, a file or a folder
    pub(crate) old: PathBuf,
    /// The config after, a file or a folder
    pub(crate) new: PathBuf,
    /// Exit 1 if a larger share moves in any experiment, such as 1%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) max_moved: Option<f64>,
    /// Units tried where an experiment's bucketing cannot be compared exactly
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) units: u32,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The config before, a file or a folder
    pub(crate) old: PathBuf,
    /// The config after, a file or a folder
    pub(crate) new: PathBuf,
    /// The requests: a JSON object a line, or an access log in JSON; `-` is stdin
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
    /// The config; it may lack nothing but this experiment's buckets
    pub(crate) file: PathBuf,
    /// The experiment
    pub(crate) experiment: String,
    #[command(flatten)]
    pub(crate) amount: Amount,
    /// Write the file instead of printing the change
    #[arg(long)]
    pub(crate) write: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Amount {
    /// Share of the layer it shall own in all, such as 20%
    #[arg(long, value_parser = share)]
    pub(crate) share: Option<f64>,
    /// Buckets (of 10,000) it shall own in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) buckets: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Reweight {
    /// The config
    pub(crate) file: PathBuf,
    /// The experiment
    pub(crate) experiment: String,
    /// Every variant's weight, in any unit
    #[arg(required = true, value_name = "VARIANT=WEIGHT", value_parser = weight)]
    pub(crate) weights: Vec<(String, f64)>,
    /// A variant to take out; may be repeated
    #[arg(long, value_name = "VARIANT")]
    pub(crate) remove: Vec<String>,
    /// Write the file instead of printing the change
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
        _ => Err("expected a cluster's name and where it is, such as \
                  shop-v1=http://127.0.0.1:3000"
            .to_owned()),
    }
}

fn weight(text: &str) -> Result<(String, f64), String> {
    let (variant, weight) = pair(text, '=')?;
    match weight.parse::<f64>() {
        Ok(weight) if (0.0..=1e9).contains(&weight) => Ok((variant, weight)),
        _ => Err("expected a weight from 0 to 1,000,000,000".to_owned()),
    }
}
