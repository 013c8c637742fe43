//! Runs vector files (`spec/vectors/README.md`) through the engine. Shared by the test of the
//! committed vectors and the example that compares fresh ones.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use splitway_engine::{Document, compile};

/// Every dialect has a file of this name.
pub(crate) const DIALECTS: [&str; 12] = [
    "splitway",
    "growthbook_v1",
    "growthbook_v2",
    "optimizely",
    "unleash",
    "launchdarkly",
    "statsig",
    "split",
    "planout",
    "eppo",
    "flagd",
    // Of revision 3, which is a parameter.
    "flagd_3",
];

/// What replaying one file found.
pub(crate) struct Report {
    /// Which program said the variants.
    pub(crate) source: String,
    /// Units compared.
    pub(crate) units: usize,
    /// One line per disagreement.
    pub(crate) mismatches: Vec<String>,
}

/// Replays `<directory>/<dialect>.json`; a file that is missing, empty or of another dialect is an
/// error.
pub(crate) fn replay(directory: &Path, dialect: &str) -> anyhow::Result<Report> {
    let path = directory.join(format!("{dialect}.json"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let file: File = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
    ensure!(file.dialect == dialect, "{} holds {}", path.display(), file.dialect);
    let mut report = Report { source: file.source.variant, units: 0, mismatches: Vec::new() };
    for set in file.sets {
        let pick =
            engine(dialect, set.params, &set.variants).with_context(|| format!("{dialect}, {}", set.name))?;
        ensure!(!set.units.is_empty(), "{dialect}, {}: no units", set.name);
        for row in set.units {
            let found = pick(&row.unit);
            report.units += 1;
            if found != (row.variant, row.bucket) {
                let expected = (row.variant, row.bucket);
                let (name, unit) = (&set.name, &row.unit);
                report.mismatches.push(format!("{name}, {unit:?}: expected {expected:?}, found {found:?}"));
            }
        }
    }
    ensure!(report.units > 0, "{dialect}: no sets");
    Ok(report)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dialect: String,
    source: Source,
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Source {
    variant: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    name: String,
    params: Value,
    variants: Vec<String>,
    units: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    unit: String,
    variant: Option<usize>,
    bucket: u32,
}

type PickFn = Box<dyn Fn(&str) -> (Option<usize>, u32)>;

/// The engine's answer for a set: its parameters as an experiment's `bucketing`, through `compile`.
fn engine(dialect: &str, params: Value, variants: &[String]) -> anyhow::Result<PickFn> {
    let mut bucketing = params;
    let fields = bucketing.as_object_mut().context("params are a mapping")?;
    // Splitway's own ranges belong to the variants.
    let buckets = fields.remove("buckets");
    fields.insert("dialect".to_owned(), dialect.trim_end_matches("_3").into());
    let mut list: Vec<Value> = variants.iter().map(|id| json!({ "id": id })).collect();
    if let Some(buckets) = buckets {
        let buckets = buckets.as_array().context("buckets are a list")?;
        for (variant, ranges) in list.iter_mut().zip(buckets) {
            variant["buckets"] = ranges.clone();
        }
        list.push(json!({ "id": "nobody", "buckets": unclaimed(buckets)? }));
    }
    let config = json!({
        "version": 1,
        "unit": [{ "header": "x-user-id" }],
        "experiments": [{ "id": "vector", "bucketing": bucketing, "variants": list }],
    });
    let plan = compile(&Document::from_json(config.to_string().as_bytes())?)?;
    let count = variants.len();
    Ok(Box::new(move |unit| {
        let (_, experiment) = plan.find("vector").expect("the config has it");
        match experiment.pick(unit) {
            Ok((variant, bucket)) => (Some(variant.index()).filter(|index| *index < count), bucket),
            Err(bucket) => (None, bucket),
        }
    }))
}

/// The buckets in none of the variants' ranges, as ranges.
fn unclaimed(variants: &[Value]) -> anyhow::Result<Vec<[u64; 2]>> {
    let mut claimed: Vec<[u64; 2]> = Vec::new();
    for ranges in variants {
        claimed.extend(serde_json::from_value::<Vec<[u64; 2]>>(ranges.clone())?);
    }
    claimed.sort_unstable();
    let mut free = Vec::new();
    let mut next = 0;
    for [first, last] in claimed.into_iter().chain([[10_000, 10_000]]) {
        if first > next {
            free.push([next, first - 1]);
        }
        next = last + 1;
    }
    Ok(free)
}
