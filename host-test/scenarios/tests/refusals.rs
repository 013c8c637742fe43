//! The edge build says less of a bad config than the filter, and refuses the same ones for the same reasons: every
//! mistake of the tools' corpus, and thousands of broken configs, in the compiled filter and in the edge build in workerd.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use proxy_wasm_host::{FilterModule, Host, HostError, LogLevel};
use serde_json::{Value, json};
use splitway_engine::Document;
use splitway_envoy::{Call, Client};
use splitway_workerd::{Worker, Workerd};

/// Broken configs that are tried, of all that can be made of the good ones.
const SAMPLE: usize = 3_000;

/// Answers with the problems of each config, or with the version in force.
const WORKER: &str = "
import { ConfigError, Splitway } from './pkg/workerd.js';

export default {
  async fetch(request) {
    const told = (config) => {
      const splitway = new Splitway();
      try {
        splitway.load(config);
        return [splitway.version];
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return error.problems;
      }
    };
    return Response.json((await request.json()).map(told));
  },
};
";

/// What a build says of a config: the hash of one that it takes, or how many problems there are, and place and code of
/// each that is told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Taken(String),
    Refused(String, Vec<(String, String)>),
}

impl Told {
    /// From log lines such as `splitway: experiments[0].id: expected a, found b [code]`.
    fn of_log(lines: &[String]) -> Result<Self> {
        let mut lines = lines.iter().filter_map(|line| line.split_once("splitway: ")).map(|(_, line)| line);
        let first = lines.next().context("nothing logged")?;
        let (count, _) = first
            .strip_prefix("config refused, ")
            .and_then(|rest| rest.split_once(';'))
            .with_context(|| first.to_owned())?;
        let problems = lines.map(|line| {
            let (rest, code) = line.rsplit_once(" [").with_context(|| line.to_owned())?;
            let place = rest.split_once(": expected ").map_or(rest, |(place, _)| place);
            Ok((place.to_owned(), code.trim_end_matches(']').to_owned()))
        });
        Ok(Self::Refused(count.to_owned(), problems.collect::<Result<_>>()?))
    }
}

fn filter(module: &FilterModule, config: &str) -> Result<Told> {
    let builder = Host::builder(module).root_id("splitway").log_level(LogLevel::Info);
    match builder.configuration(config).start() {
        Ok(_) => Ok(Told::Taken(splitway_engine::content_hash(&Document::from_json(config.as_bytes())?))),
        Err(HostError::ConfigurationRefused { logs, .. }) => Told::of_log(&logs),
        Err(other) => bail!("{other}: {config}"),
    }
}

fn edge(lines: &Value) -> Result<Told> {
    let lines: Vec<String> = serde_json::from_value(lines.clone())?;
    match lines.as_slice() {
        [version] if !version.contains(' ') => Ok(Told::Taken(version.clone())),
        lines => Told::of_log(lines),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The mistakes that the tools are tested with. What is no YAML the proxies never see.
fn mistakes() -> Result<Vec<String>> {
    let text = fs::read_to_string(root().join("cli/tests/cli/mistakes.txt"))?;
    let sections = text.split("## ").skip(1).filter_map(|section| section.split_once('\n'));
    let documents = sections.filter_map(|(_, yaml)| Document::from_yaml(&yaml.replace(" # <<", "")).ok());
    Ok(documents.map(|document| document.to_json()).collect())
}

/// The scenarios' configs and those of the engine's corpus, which use every field and every dialect.
fn good() -> Result<BTreeMap<String, Value>> {
    let mut configs = Vec::new();
    for folder in ["spec/scenarios", "engine/tests/corpus/config_json"] {
        for entry in fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            if !path.is_file() || path.extension().is_some_and(|extension| extension == "md") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let tree: Value = serde_json::from_str(&Document::from_yaml(&text)?.to_json())?;
            configs.push(tree.get("config").cloned().unwrap_or(tree));
        }
    }
    Ok(configs.into_iter().filter(Value::is_object).map(|config| (config.to_string(), config)).collect())
}

/// Every place of a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                places(field, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}

/// `config` with something else at each of its places.
fn broken(config: &Value) -> Vec<String> {
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(70_000.5),
        json!(1e300),
        json!(""),
        json!("no such Thing\u{1}"),
        json!("9999-99-99T00:00:00Z"),
        json!("((((("),
        json!([]),
        json!([1, 2]),
        json!({}),
        json!({ "unknown": 1, "name": "x", "end": "1%" }),
    ];
    let mut all = Vec::new();
    places(config, "", &mut all);
    let mut made = Vec::new();
    for place in all {
        let mut changes = wrong.to_vec();
        // A list of twice the same, and a mapping with a field too many.
        match config.pointer(&place) {
            Some(Value::Array(items)) => changes.push(items.iter().chain(items).cloned().collect()),
            Some(Value::Object(fields)) => {
                let mut more = fields.clone();
                more.insert("unknown".to_owned(), json!(1));
                changes.push(json!(more));
                for name in fields.keys() {
                    let mut fewer = fields.clone();
                    fewer.remove(name);
                    changes.push(json!(fewer));
                }
            }
            _ => {}
        }
        for change in changes {
            let mut tree = config.clone();
            if let Some(value) = tree.pointer_mut(&place) {
                *value = change;
                made.push(tree.to_string());
            }
        }
    }
    made
}

/// What no tree can say.
const TEXTS: [&str; 7] = [
    "{",
    "{\"version\":1,}",
    "{\"version\":1} x",
    "{\"version\":1,\"version\":1,\"unit\":[{\"cookie\":\"a\",\"cookie\":\"b\"}]}",
    "{\"version\":1e400}",
    "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]",
    "\"\\ud800\"",
];

#[test]
fn the_edge_refuses_what_the_filter_refuses_and_names_the_same_places() -> Result<()> {
    let mut configs = mistakes()?;
    ensure!(configs.len() >= 40, "{} mistakes", configs.len());
    configs.extend(TEXTS.map(str::to_owned));
    let all: Vec<String> = good()?.values().flat_map(broken).collect();
    ensure!(all.len() > SAMPLE, "only {} broken configs", all.len());
    // Spread evenly.
    configs.extend((0..SAMPLE).filter_map(|index| all.get(index * all.len() / SAMPLE).cloned()));

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let workerd = Workerd::start(&Worker { main: WORKER, ..Worker::default() })?;
    let client = Client::http1(workerd.address());
    let module = FilterModule::from_file(&splitway_envoy::tools::filter_wasm()?)?;
    let (mut codes, mut taken) = (BTreeSet::new(), 0);
    for configs in configs.chunks(500) {
        let answer = runtime.block_on(client.send(&Call::post("/").body(json!(configs).to_string())))?;
        ensure!(answer.status == 200, "{}\n{}", answer.text(), workerd.log());
        let at_edge: Vec<Value> = serde_json::from_slice(&answer.body)?;
        ensure!(at_edge.len() == configs.len(), "{} answers", at_edge.len());
        for (config, at_edge) in configs.iter().zip(&at_edge) {
            let told = filter(&module, config)?;
            let at_edge = edge(at_edge).context(config.clone())?;
            ensure!(at_edge == told, "{config}\nthe edge:   {at_edge:?}\nthe filter: {told:?}");
            match told {
                Told::Taken(_) => taken += 1,
                Told::Refused(_, problems) => codes.extend(problems.into_iter().map(|(_, code)| code)),
            }
        }
    }
    // Without advice there are no others but `launch`, which is the tools'.
    ensure!(codes.len() >= 12, "{codes:?}");
    ensure!(taken > 100, "{taken} taken");
    Ok(())
}
