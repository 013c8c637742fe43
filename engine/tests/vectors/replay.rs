//! Runs vector files (`spec/vectors/README.md`) through the engine. Shared by the test of the
//! committed vectors and the example that compares fresh ones.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use splitway_engine::bucketing::{
    Dialect, Eppo, EppoParameters, Flagd, FlagdParameters, GrowthBook, GrowthBookFilter,
    GrowthBookParameters, HashVersion, LaunchDarkly, LaunchDarklyParameters, Optimizely, OptimizelyGroup,
    OptimizelyParameters, PlanOut, PlanOutParameters, SaltedHash, Split, SplitParameters, Statsig,
    StatsigParameters, Unleash, UnleashParameters,
};

/// Every dialect has a file of this name.
pub(crate) const DIALECTS: [&str; 11] = [
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

fn engine(dialect: &str, params: Value, variants: &[String]) -> anyhow::Result<PickFn> {
    let dialect = match dialect {
        "splitway" => return splitway(params),
        "growthbook_v1" => growthbook(params, variants.len(), HashVersion::V1)?,
        "growthbook_v2" => growthbook(params, variants.len(), HashVersion::V2)?,
        "optimizely" => optimizely(params, variants)?,
        "unleash" => unleash(params)?,
        "launchdarkly" => launchdarkly(params)?,
        "statsig" => statsig(params, variants)?,
        "split" => split(params)?,
        "planout" => planout(params, variants.len())?,
        "eppo" => eppo(params)?,
        "flagd" => flagd(params)?,
        other => anyhow::bail!("unknown dialect {other}"),
    };
    Ok(Box::new(move |unit| {
        let pick = dialect.pick(unit);
        (pick.index(), pick.bucket())
    }))
}

fn position(variants: &[String], name: &str) -> anyhow::Result<usize> {
    variants.iter().position(|variant| variant == name).with_context(|| format!("no variant {name}"))
}

fn splitway(params: Value) -> anyhow::Result<PickFn> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        salt: String,
        buckets: Vec<Vec<(u32, u32)>>,
    }
    let Params { salt, buckets } = serde_json::from_value(params)?;
    let hash = SaltedHash::new(&salt);
    Ok(Box::new(move |unit| {
        let bucket = hash.bucket(unit);
        let holds = |&(first, last): &(u32, u32)| (first..=last).contains(&bucket);
        (buckets.iter().position(|ranges| ranges.iter().any(holds)), bucket)
    }))
}

fn growthbook(params: Value, variants: usize, version: HashVersion) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        seed: String,
        coverage: Option<f64>,
        weights: Option<Vec<f64>>,
        ranges: Option<Vec<(f64, f64)>>,
        namespace: Option<(String, f64, f64)>,
        filters: Option<Vec<Filter>>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        seed: String,
        hash_version: Option<u8>,
        ranges: Vec<(f64, f64)>,
    }
    let params: Params = serde_json::from_value(params)?;
    let filters: Option<Vec<_>> = params.filters.as_ref().map(|filters| {
        filters
            .iter()
            .map(|filter| GrowthBookFilter {
                seed: &filter.seed,
                version: if filter.hash_version == Some(1) { HashVersion::V1 } else { HashVersion::V2 },
                ranges: &filter.ranges,
            })
            .collect()
    });
    Ok(Dialect::GrowthBook(GrowthBook::new(&GrowthBookParameters {
        version,
        seed: &params.seed,
        variants,
        coverage: params.coverage.unwrap_or(1.0),
        weights: params.weights.as_deref(),
        ranges: params.ranges.as_deref(),
        namespace: params.namespace.as_ref().map(|(id, start, end)| (id.as_str(), *start, *end)),
        filters: filters.as_deref(),
    })?))
}

fn optimizely(params: Value, variants: &[String]) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        experiment_id: String,
        traffic_allocation: Vec<Slot>,
        group: Option<Group>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Slot {
        variant: Option<String>,
        end_of_range: u32,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Group {
        id: String,
        traffic_allocation: Vec<GroupSlot>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct GroupSlot {
        experiment_id: String,
        end_of_range: u32,
    }
    let params: Params = serde_json::from_value(params)?;
    let traffic_allocation = params
        .traffic_allocation
        .iter()
        .map(|slot| {
            let variant = slot.variant.as_deref().map(|name| position(variants, name)).transpose()?;
            Ok((variant, slot.end_of_range))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let group_allocation: Vec<_> = params
        .group
        .iter()
        .flat_map(|group| &group.traffic_allocation)
        .map(|slot| (slot.experiment_id.as_str(), slot.end_of_range))
        .collect();
    Ok(Dialect::Optimizely(Optimizely::new(&OptimizelyParameters {
        experiment_id: &params.experiment_id,
        variants: variants.len(),
        traffic_allocation: &traffic_allocation,
        group: params
            .group
            .as_ref()
            .map(|group| OptimizelyGroup { id: &group.id, traffic_allocation: &group_allocation }),
    })?))
}

fn unleash(params: Value) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        group_id: String,
        rollout: Option<u32>,
        variant_weights: Vec<u32>,
    }
    let params: Params = serde_json::from_value(params)?;
    Ok(Dialect::Unleash(Unleash::new(&UnleashParameters {
        group_id: &params.group_id,
        rollout: params.rollout.unwrap_or(100),
        variant_weights: &params.variant_weights,
    })?))
}

fn launchdarkly(params: Value) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        flag_key: String,
        salt: String,
        seed: Option<i64>,
        weights: Vec<u32>,
    }
    let params: Params = serde_json::from_value(params)?;
    Ok(Dialect::LaunchDarkly(LaunchDarkly::new(&LaunchDarklyParameters {
        flag_key: &params.flag_key,
        salt: &params.salt,
        seed: params.seed,
        weights: &params.weights,
    })?))
}

fn statsig(params: Value, variants: &[String]) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        config_salt: String,
        rule_salt: String,
        group_salt: Option<String>,
        pass_percentage: f64,
        groups: Vec<Group>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Group {
        variant: Option<String>,
        end: u32,
    }
    let params: Params = serde_json::from_value(params)?;
    let groups = params
        .groups
        .iter()
        .map(|group| {
            let variant = group.variant.as_deref().map(|name| position(variants, name)).transpose()?;
            Ok((variant, group.end))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Dialect::Statsig(Statsig::new(&StatsigParameters {
        config_salt: &params.config_salt,
        rule_salt: &params.rule_salt,
        pass_percentage: params.pass_percentage,
        group_salt: params.group_salt.as_ref().unwrap_or(&params.config_salt),
        variants: variants.len(),
        groups: &groups,
    })?))
}

fn split(params: Value) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        seed: i64,
        sizes: Vec<u32>,
        traffic_allocation: Option<u32>,
        traffic_allocation_seed: Option<i64>,
    }
    let params: Params = serde_json::from_value(params)?;
    Ok(Dialect::Split(Split::new(&SplitParameters {
        seed: params.seed,
        sizes: &params.sizes,
        traffic_allocation: params.traffic_allocation.unwrap_or(100),
        traffic_allocation_seed: params.traffic_allocation_seed.unwrap_or(0),
    })?))
}

fn planout(params: Value, variants: usize) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        experiment_salt: String,
        parameter_salt: String,
        weights: Option<Vec<f64>>,
    }
    let params: Params = serde_json::from_value(params)?;
    Ok(Dialect::PlanOut(PlanOut::new(&PlanOutParameters {
        experiment_salt: &params.experiment_salt,
        parameter_salt: &params.parameter_salt,
        variants,
        weights: params.weights.as_deref(),
    })?))
}

fn eppo(params: Value) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        salt: String,
        total_shards: u32,
        ranges: Vec<Vec<(u32, u32)>>,
        traffic: Option<Traffic>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Traffic {
        salt: String,
        ranges: Vec<(u32, u32)>,
    }
    let params: Params = serde_json::from_value(params)?;
    Ok(Dialect::Eppo(Eppo::new(&EppoParameters {
        salt: &params.salt,
        total_shards: params.total_shards,
        ranges: &params.ranges,
        traffic: params.traffic.as_ref().map(|shard| (shard.salt.as_str(), shard.ranges.as_slice())),
    })?))
}

fn flagd(params: Value) -> anyhow::Result<Dialect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        flag_key: String,
        weights: Vec<u32>,
    }
    let params: Params = serde_json::from_value(params)?;
    Ok(Dialect::Flagd(Flagd::new(&FlagdParameters { flag_key: &params.flag_key, weights: &params.weights })?))
}
