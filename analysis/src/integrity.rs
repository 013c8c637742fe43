//! Whether the log is what the config would have written.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use splitway_engine::{Plan, Timestamp};

use crate::Error;
use crate::reduce::{Tables, texts};

/// What the log says of itself, per experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Integrity {
    /// Exposures that are analysed, before bots.
    pub exposures: u64,
    /// Exposures by overrides and QA tokens: left out.
    pub overrides: u64,
    /// Exposures with a reason that takes no units, by reason: left out.
    pub other_reasons: BTreeMap<String, u64>,
    /// Exposures whose bucket was looked up in the config that decided them.
    pub replayed: u64,
    /// Of these, those with another variant than the bucket's.
    pub wrong_variant: u64,
    /// Exposures of configs that were not given, by version: they are compared with the newest.
    pub other_versions: BTreeMap<String, u64>,
    /// Of these, those that say their bucket.
    pub compared_in_others: u64,
    /// Of these, those with another variant than the bucket's.
    pub wrong_in_others: u64,
    /// Exposures of this version that got the control, or nothing where there is none, because a guardrail of the proxy
    /// had switched their variant off.
    pub tripped: u64,
    /// Units (shown as they are) that were put through the engine again.
    pub units_replayed: u64,
    /// Of these, those whose variant the engine does not give.
    pub units_wrong: u64,
    /// Exposures of a variant that the experiment does not have.
    pub unknown_variant: u64,
    /// Units that were left out as bots or by name.
    pub excluded_units: u64,
    /// Hours since 1970 between the first and the last without a single exposure, where 20 or more an hour are usual.
    #[serde(serialize_with = "as_times")]
    pub silent_hours: Vec<i64>,
}

impl Integrity {
    /// Share of what was replayed that is wrong, 0 to 1.
    #[must_use]
    pub fn wrong_share(&self) -> f64 {
        let share = |wrong: u64, of: u64| if of == 0 { 0.0 } else { wrong as f64 / of as f64 };
        share(self.wrong_variant, self.replayed)
            .max(share(self.wrong_in_others, self.compared_in_others))
            .max(share(self.units_wrong, self.units_replayed))
            .max(share(self.unknown_variant, self.exposures))
    }
}

fn as_times<S: Serializer>(hours: &[i64], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(hours.iter().map(|hour| Timestamp(hour.saturating_mul(HOUR_MS)).to_string()))
}

/// Fewer exposures in the median hour, and a silent one says nothing.
const USUAL: u64 = 20;
const HOUR_MS: i64 = 3_600_000;

/// Checks the tables against `plans`: the config that is analysed, then older ones of the same experiments.
/// `most_exposures` is the reduction's.
///
/// # Errors
/// What the engine says.
pub fn check(
    tables: &Tables,
    plans: &[&Plan],
    most_exposures: Option<u64>,
    has_excluded: bool,
) -> Result<BTreeMap<String, Integrity>, Error> {
    let mut all: BTreeMap<String, Integrity> = BTreeMap::new();
    reasons(tables, plans.first().map_or("", |plan| plan.content_hash()), &mut all)?;
    buckets(tables, plans, &mut all)?;
    units(tables, plans, &mut all)?;
    excluded(tables, most_exposures, has_excluded, &mut all)?;
    silence(tables, &mut all)?;
    Ok(all)
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

fn reasons(tables: &Tables, version: &str, all: &mut BTreeMap<String, Integrity>) -> Result<(), Error> {
    let rows = tables.rows("SELECT experiment, reason, version, COUNT(*) FROM exposures GROUP BY 1, 2, 3")?;
    for row in rows.iter() {
        let count = number(&row[3]);
        let found = all.entry(row[0].clone()).or_default();
        match row[1].as_str() {
            "split" => found.exposures += count,
            "override" | "qa_token" => found.overrides += count,
            // One of an older version is over.
            "guardrail" if row[2] == version => found.tripped += count,
            other => *found.other_reasons.entry(other.to_owned()).or_default() += count,
        }
    }
    Ok(())
}

/// A bucket belongs to one variant, whoever the unit is; so pseudonyms can be replayed, too.
fn buckets(tables: &Tables, plans: &[&Plan], all: &mut BTreeMap<String, Integrity>) -> Result<(), Error> {
    let rows = tables.rows(
        "SELECT experiment, variant, version, bucket, COUNT(*) FROM exposures WHERE is_split GROUP BY 1, 2, 3, 4",
    )?;
    for row in rows.iter() {
        let [experiment, variant, version, bucket, count] = row else { continue };
        let found = all.entry(experiment.clone()).or_default();
        let count = number(count);
        let has_variant = |plan: &Plan| {
            plan.find(experiment).is_some_and(|(_, known)| known.variants().iter().any(|v| v.id() == variant))
        };
        if plans.first().is_none_or(|plan| plan.find(experiment).is_none()) {
            continue;
        }
        let own = plans.iter().find(|plan| plan.content_hash() == version);
        if !plans.first().is_some_and(|plan| has_variant(plan)) {
            // Its units are in no arm.
            found.unknown_variant += count;
            continue;
        }
        if own.is_none() {
            *found.other_versions.entry(version.clone()).or_default() += count;
        }
        let Some((_, known)) = own.or(plans.first()).copied().and_then(|plan| plan.find(experiment)) else {
            continue;
        };
        // Other dialects have no buckets that a variant owns; their units are decided again where the log shows them.
        let Some(bucket) = bucket.parse().ok().filter(|_| known.variant_ranges().next().is_some()) else {
            continue;
        };
        let right = known.variant_at(bucket).and_then(|(_, id)| known.variant(id));
        let wrong = if right.is_some_and(|v| v.id() == variant) { 0 } else { count };
        if own.is_some() {
            found.replayed += count;
            found.wrong_variant += wrong;
        } else {
            found.compared_in_others += count;
            found.wrong_in_others += wrong;
        }
    }
    Ok(())
}

fn units(tables: &Tables, plans: &[&Plan], all: &mut BTreeMap<String, Integrity>) -> Result<(), Error> {
    for plan in plans.iter().filter(|plan| plan.show_unit("unit").as_deref() == Some("unit")) {
        let sql = format!(
            "SELECT DISTINCT experiment, unit, variant FROM exposures WHERE is_split AND version = '{}'",
            plan.content_hash()
        );
        for part in tables.parts() {
            tables.each_batch(part, &sql, |batch| {
                let [experiments, units, variants] = [0, 1, 2].map(|at| texts(batch.column(at)));
                let (experiments, units, variants) = (experiments?, units?, variants?);
                for row in 0..batch.num_rows() {
                    let Some((_, known)) = plan.find(experiments.value(row)) else { continue };
                    let Some(found) = all.get_mut(experiments.value(row)) else { continue };
                    found.units_replayed += 1;
                    let is_right = known.pick(units.value(row)).is_ok_and(|(id, _)| {
                        known.variant(id).is_some_and(|v| v.id() == variants.value(row))
                    });
                    found.units_wrong += u64::from(!is_right);
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn excluded(
    tables: &Tables,
    most_exposures: Option<u64>,
    has_excluded: bool,
    all: &mut BTreeMap<String, Integrity>,
) -> Result<(), Error> {
    let mut conditions = Vec::new();
    if let Some(most) = most_exposures {
        conditions.push(format!("exposures > {most}"));
    }
    if has_excluded {
        conditions.push("unit IN (SELECT unit FROM excluded)".to_owned());
    }
    if conditions.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT experiment, COUNT(*) FROM (SELECT experiment, unit, COUNT(*) AS exposures FROM exposures
         WHERE is_split GROUP BY 1, 2) WHERE {} GROUP BY 1",
        conditions.join(" OR ")
    );
    for part in tables.parts() {
        for row in tables.rows_of(part, &sql)?.iter() {
            all.entry(row[0].clone()).or_default().excluded_units += number(&row[1]);
        }
    }
    Ok(())
}

fn silence(tables: &Tables, all: &mut BTreeMap<String, Integrity>) -> Result<(), Error> {
    let rows = tables.rows(
        "SELECT experiment, CAST(FLOOR(time_ms / 3600000.0) AS BIGINT), COUNT(*) FROM exposures GROUP BY 1, 2",
    )?;
    let mut hours: BTreeMap<String, BTreeMap<i64, u64>> = BTreeMap::new();
    for row in rows.iter() {
        let hour = row[1].parse().unwrap_or_default();
        hours.entry(row[0].clone()).or_default().insert(hour, number(&row[2]));
    }
    for (experiment, hours) in hours {
        let mut counts: Vec<u64> = hours.values().copied().collect();
        counts.sort_unstable();
        let usual = counts.get(counts.len() / 2).copied().unwrap_or_default();
        let (Some((first, _)), Some((last, _))) = (hours.first_key_value(), hours.last_key_value()) else {
            continue;
        };
        if usual >= USUAL {
            let silent = (*first..*last).filter(|hour| !hours.contains_key(hour)).collect();
            all.entry(experiment).or_default().silent_hours = silent;
        }
    }
    Ok(())
}
