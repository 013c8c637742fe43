//! `splitway init`: a config to begin with.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use splitway_engine::{Document, Secrets, compile_with};

use crate::outcome::{Failure, Outcome, print};

/// Beside the config, so that editors need no network.
const SCHEMA: &str = "splitway.schema.json";

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The file to write; `-` is stdout
    #[arg(long, value_name = "FILE", default_value = "splitway.yaml")]
    out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    /// Ask no questions and use the defaults
    #[arg(long, short)]
    yes: bool,
    /// Name of the service; it goes into every hash and labels the metrics
    #[arg(long)]
    namespace: Option<String>,
    /// Where a request carries its unit, such as header:x-user-id or cookie:uid
    #[arg(long, value_name = "SOURCE")]
    unit: Option<String>,
    /// Id of the experiment
    #[arg(long, value_name = "ID")]
    experiment: Option<String>,
    /// Id of the variant that is tried against the control
    #[arg(long, value_name = "ID")]
    variant: Option<String>,
    /// Cluster that serves the variant [default: the control's, with a request header]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Share of the traffic that takes part
    #[arg(long, value_name = "SHARE")]
    traffic: Option<String>,
    /// Secret key for the pseudonyms of units in logs [default: a random one]
    #[arg(long, value_name = "KEY")]
    exposure_key: Option<String>,
}

pub(crate) fn run(args: &Init) -> Outcome {
    let answers = Answers::of(args)?;
    let text = answers.config()?;
    let document = Document::from_yaml(&text).and_then(|document| compile_with(&document, Secrets::WITHHELD));
    document.map_err(|problems| {
        // Only what was answered can be wrong.
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::Usage(problems.join("\n"))
    })?;
    if args.out == Path::new("-") {
        return print(text.trim_end());
    }
    if args.out.exists() && !args.force {
        return Err(Failure::Usage(format!("{} exists; --force replaces it", args.out.display())));
    }
    let folder = args.out.parent().unwrap_or(Path::new(""));
    let schema = folder.join(SCHEMA);
    let schema_text = serde_json::to_string_pretty(&splitway_engine::schema())? + "\n";
    if folder != Path::new("") {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    std::fs::write(&schema, schema_text).map_err(|error| unwritable(&schema, &error))?;
    std::fs::write(&args.out, text).map_err(|error| unwritable(&args.out, &error))?;
    let file = args.out.display();
    let cluster = match &answers.cluster {
        Some(cluster) => format!(" --cluster {cluster}=HOST:PORT"),
        None => String::new(),
    };
    print(&format!(
        "{file}\n{}\n\
         Next:\n  \
         splitway validate {file}\n  \
         splitway simulate --config {file}\n  \
         splitway dev --config {file}\n  \
         splitway render envoy --config {file} --cluster {}=HOST:PORT{cluster} --out proxy",
        schema.display(),
        answers.namespace,
    ))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}

struct Answers {
    namespace: String,
    /// `header`, and its name.
    unit: (String, String),
    experiment: String,
    variant: String,
    cluster: Option<String>,
    traffic: String,
    key: Option<String>,
}

impl Answers {
    /// From flags; on a terminal, what has no flag is asked.
    fn of(args: &Init) -> Result<Self, Failure> {
        let asks = !args.yes && io::stdin().is_terminal() && io::stderr().is_terminal();
        let answer = |given: &Option<String>, question: &str, default: &str| -> Result<String, Failure> {
            match given {
                Some(given) => Ok(given.clone()),
                None if asks => ask(question, default),
                None => Ok(default.to_owned()),
            }
        };
        let unit = answer(
            &args.unit,
            "What identifies a user? header:NAME, cookie:NAME or query:NAME",
            "header:x-user-id",
        )?;
        let unit = match unit.split_once(':') {
            Some((kind @ ("header" | "cookie" | "query"), name)) if !name.is_empty() => {
                (kind.to_owned(), name.to_owned())
            }
            _ => {
                return Err(Failure::Usage(format!(
                    "--unit: expected a source such as header:x-user-id or cookie:uid, found `{unit}`"
                )));
            }
        };
        let experiment = answer(&args.experiment, "What is the experiment called?", "new-checkout")?;
        let variant = answer(&args.variant, "And what is tried in it?", "treatment")?;
        let cluster = match &args.cluster {
            Some(cluster) => Some(cluster.clone()),
            None if asks => {
                let text = ask("Which cluster serves it? (empty: the same, by a header)", "")?;
                Some(text).filter(|text| !text.is_empty())
            }
            None => None,
        };
        let traffic = answer(&args.traffic, "How much of the traffic takes part?", "10%")?;
        let namespace = answer(&args.namespace, "What is the service called?", "shop")?;
        let key = match &args.exposure_key {
            Some(key) => Some(key.clone()),
            None => random_key(),
        };
        Ok(Self { namespace, unit, experiment, variant, cluster, traffic, key })
    }

    fn config(&self) -> Result<String, Failure> {
        let Self { namespace, unit: (kind, name), experiment, variant, traffic, .. } = self;
        let plain = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.%".contains(c))
        };
        let all = [namespace, name, experiment, variant, traffic];
        if let Some(odd) = all.into_iter().chain(&self.cluster).find(|text| !plain(text)) {
            return Err(Failure::Usage(format!(
                "expected only letters, digits, `-`, `_` and `.`, found `{odd}`"
            )));
        }
        let mut text = format!(
            "\
# yaml-language-server: $schema={SCHEMA}
# Checked by `splitway validate`, tried by `splitway dev --config FILE`.
version: 1

# Goes into every hash: two services with other namespaces split independently.
namespace: {namespace}

# What is randomised; the first that a request has is taken. The same unit always gets the same variant.
unit:
  - {kind}: {name}
"
        );
        if let Some(key) = &self.key {
            let _ = write!(
                text,
                "
# Units appear in logs as a hash keyed by this secret. Without it they do not appear at all.
# In production keep it out of the file: `key: {{ env: NAME }}` takes it from the proxy's environment.
exposure:
  key: \"{key}\"
"
            );
        }
        let _ = write!(
            text,
            "
experiments:
  - id: {experiment}
    # draft: nobody but overrides; running; paused and rolled_back: nobody.
    status: running
    # Growing this adds units; it moves nobody who is in.
    traffic: {traffic}
    variants:
      - id: control
        weight: 50
      - id: {variant}
        weight: 50
"
        );
        text.push_str(&match &self.cluster {
            Some(cluster) => format!("        # The proxy's name for the upstream that serves it.\n        route: {{ cluster: {cluster} }}\n"),
            None => format!(
                "        # The upstream reads this header; `route: {{ cluster: NAME }}` would send it elsewhere.\n        request_headers:\n          set: {{ x-{experiment}: {variant} }}\n"
            ),
        });
        Ok(text)
    }
}

fn ask(question: &str, default: &str) -> Result<String, Failure> {
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    eprint!("{question}{shown} ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let line = line.trim();
    Ok(if line.is_empty() { default } else { line }.to_owned())
}

/// 128 bits in hexadecimal digits; `None` where the system has no randomness to give.
fn random_key() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
