//! `splitway assign`: ids in, rows out, as fast as the hashes go.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use splitway_engine::{Decision, Plan, Reason, Source, Step, Timestamp, Trace, VariantId};

use crate::carrier::Carrier;
use crate::explain::{Asked, WHY_LEFT_OUT};
use crate::input;
use crate::outcome::{Exit, Failure, Outcome};
use crate::plural::counted;
use crate::requests::{self, Decider};
use crate::values::{pair, time};

/// Large enough that system calls do not show.
const BUFFER: usize = 1 << 16;

#[derive(Debug, Args)]
pub(crate) struct Assign {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
    /// Unit source that the ids belong to, such as `cookie:uid`; the config must name it [default: the first]
    #[arg(long, value_name = "SOURCE")]
    unit_kind: Option<String>,
    /// Requests to decide instead of ids: one JSON object per line, or an access log in JSON; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["unit_kind", "method", "path", "host", "header", "cookie"])]
    requests: Option<PathBuf>,
    /// Method of the request that carries the ids
    #[arg(long, default_value = "GET")]
    method: String,
    /// Path of that request, with its query
    #[arg(long, default_value = "/")]
    path: String,
    /// Host of that request
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Header of that request; may be repeated
    #[arg(long, value_name = "K:V", value_parser = |text: &str| pair(text, ':'))]
    header: Vec<(String, String)>,
    /// Cookie of that request; may be repeated
    #[arg(long, value_name = "K=V", value_parser = |text: &str| pair(text, '='))]
    cookie: Vec<(String, String)>,
    /// Time of the decision (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
}

pub(crate) fn run(args: &Assign) -> Outcome {
    let plan = input::plan(&args.config)?;
    if let Some(file) = &args.requests {
        return decide(&plan, file, args.at);
    }
    let source = source(&plan, args.unit_kind.as_deref())?;
    let ids = BufReader::with_capacity(BUFFER, io::stdin().lock());
    let mut rows = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let asked = Asked {
        method: &args.method,
        path: &args.path,
        host: &args.host,
        headers: &args.header,
        cookies: &args.cookie,
    };
    let (others, left_out) = asked.headers(&plan);
    for name in left_out {
        eprintln!("{name} is left out: {WHY_LEFT_OUT}");
    }
    let carrier = Carrier::new([source]).with_others(others);
    let skipped = assign(&plan, carrier, input::at(args.at), ids, &mut rows)?;
    rows.flush()?;
    for (count, what) in [
        (skipped.empty, "empty"),
        (skipped.not_utf8, "not UTF-8"),
        (skipped.not_carried, &*format!("not a value that {source} can carry")),
    ] {
        if count > 0 {
            eprintln!("{} skipped: {what}", counted(count, "line"));
        }
    }
    Ok(if skipped == Skipped::default() { Exit::Fine } else { Exit::Problems })
}

/// A row for each request of `file` and experiment.
fn decide(plan: &Plan, file: &Path, at: Option<Timestamp>) -> Outcome {
    let mut decider = Decider::new(plan, at, input::at(None));
    let mut rows = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let (requests, skipped) = requests::each(file, |request| {
        decider.decide(&request);
        for (experiment, outcome, variant, unit) in decider.outcomes() {
            let row = Row {
                line: request.line,
                unit,
                experiment,
                variant,
                bucket: outcome.bucket,
                reason: outcome.reason.as_str(),
            };
            serde_json::to_writer(&mut rows, &row)?;
            rows.write_all(b"\n")?;
        }
        Ok(())
    })?;
    rows.flush()?;
    Ok(if requests == 0 || skipped > 0 { Exit::Problems } else { Exit::Fine })
}

/// What an experiment made of a request.
#[derive(Serialize)]
struct Row<'r> {
    line: u64,
    unit: Option<&'r str>,
    experiment: &'r str,
    variant: Option<&'r str>,
    bucket: Option<u32>,
    reason: &'r str,
}

/// The source that `kind` names, of those that the config declares.
fn source<'p>(plan: &'p Plan, kind: Option<&str>) -> Result<&'p Source, Failure> {
    let declared = || plan.chains().flatten();
    let Some(kind) = kind else {
        return declared().next().ok_or_else(|| Failure::Usage("the config declares no unit".to_owned()));
    };
    declared().find(|source| source.to_string() == kind).ok_or_else(|| {
        let known: Vec<String> = declared().map(ToString::to_string).collect();
        Failure::Usage(format!(
            "expected one of the config's unit sources, {}; found `{kind}`",
            known.join(", ")
        ))
    })
}

/// Lines that got no rows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Skipped {
    empty: u64,
    not_utf8: u64,
    not_carried: u64,
}

fn assign(
    plan: &Plan,
    mut carrier: Carrier<'_>,
    now: Timestamp,
    mut ids: impl BufRead,
    out: &mut impl Write,
) -> Result<Skipped, Failure> {
    let mut rows = Rows::new(plan);
    let mut skipped = Skipped::default();
    let mut decision = Decision::default();
    let mut line = Vec::new();
    let mut is_first = true;
    loop {
        line.clear();
        if ids.read_until(b'\n', &mut line)? == 0 {
            return Ok(skipped);
        }
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        let mut bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        // Editors put a byte order mark before the first line; it is no part of an id.
        if std::mem::take(&mut is_first) {
            bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        }
        match std::str::from_utf8(bytes) {
            Err(_) => skipped.not_utf8 += 1,
            Ok("") => skipped.empty += 1,
            Ok(id) => {
                let decided = carrier.with(id, |request| {
                    plan.decide_into(request, now, &mut rows, &mut decision);
                });
                match decided {
                    Some(()) => rows.write(id, out)?,
                    None => skipped.not_carried += 1,
                }
            }
        }
    }
}

/// The outcomes of one unit, and what its rows have in common with all others.
struct Rows {
    /// By experiment.
    outcomes: Vec<Option<Entry>>,
    experiments: Vec<RowText>,
    text: Vec<u8>,
    unit: Vec<u8>,
}

/// Why, the variant if entered, the last bucket computed.
type Entry = (Reason, Option<VariantId>, Option<u32>);

struct RowText {
    /// From behind the unit up to the variant.
    head: String,
    /// Each variant's id in quotes.
    variants: Vec<String>,
}

impl Trace for Rows {
    fn step(&mut self, step: Step<'_>) {
        if let Step::Outcome { experiment, reason, variant, bucket } = step
            && let Some(outcome) = self.outcomes.get_mut(experiment.index())
        {
            *outcome = Some((reason, variant, bucket));
        }
    }
}

impl Rows {
    fn new(plan: &Plan) -> Self {
        // Ids are of a-z, 0-9, `-` and `_`: nothing in them needs escaping.
        let experiments: Vec<RowText> = plan
            .experiments()
            .map(|(_, experiment)| RowText {
                head: format!(",\"experiment\":\"{}\",\"variant\":", experiment.id()),
                variants: experiment.variants().iter().map(|v| format!("\"{}\"", v.id())).collect(),
            })
            .collect();
        Self { outcomes: vec![None; experiments.len()], experiments, text: Vec::new(), unit: Vec::new() }
    }

    fn write(&mut self, id: &str, out: &mut impl Write) -> Result<(), Failure> {
        self.unit.clear();
        self.unit.extend_from_slice(b"{\"unit\":");
        serde_json::to_writer(&mut self.unit, id)?;
        self.text.clear();
        for (outcome, row) in self.outcomes.iter_mut().zip(&self.experiments) {
            let Some((reason, variant, bucket)) = outcome.take() else { continue };
            let variant = variant.and_then(|variant| row.variants.get(variant.index()));
            self.text.extend_from_slice(&self.unit);
            self.text.extend_from_slice(row.head.as_bytes());
            self.text.extend_from_slice(variant.map_or("null", |variant| variant).as_bytes());
            self.text.extend_from_slice(b",\"bucket\":");
            match bucket {
                Some(bucket) => write!(self.text, "{bucket}")?,
                None => self.text.extend_from_slice(b"null"),
            }
            self.text.extend_from_slice(b",\"reason\":\"");
            self.text.extend_from_slice(reason.as_str().as_bytes());
            self.text.extend_from_slice(b"\"}\n");
        }
        out.write_all(&self.text)?;
        Ok(())
    }
}
