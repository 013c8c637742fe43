//! Quantiles of single outcomes or requests, by variant. They need the data: no sums say what they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use splitway_stats::lift::Estimate;
use splitway_stats::quantile::{Probe, quantile};
use splitway_stats::{Error as NoEstimate, Moments};

use crate::Error;
use crate::metric::{Metric, Period};
use crate::reduce::{Tables, texts};
use crate::sql::{Dialect, Reduction};

/// A variant's quantile.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantile {
    /// The experiment.
    pub experiment: String,
    /// The variant.
    pub variant: String,
    /// Of which outcomes.
    pub outcome: String,
    /// Which, 0 to 1.
    pub p: f64,
    /// Of which units.
    pub part: Part,
    /// Its value, as uncertain as its units make it.
    pub estimate: Estimate,
}

/// Units of a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All.
    All,
    /// First seen up to this day (since 1970).
    Until(i64),
    /// Of one segment.
    Segment(String),
}

impl Tables {
    /// The quantiles that `metrics` ask for, of every variant with two units or more, over the reduction's units and
    /// windows; after each day, and by segment where there are several.
    ///
    /// Exact, and so in memory: 16 bytes a value.
    ///
    /// # Errors
    /// What the engine says.
    pub fn quantiles(&self, reduction: &Reduction, metrics: &[Metric]) -> Result<Vec<Quantile>, Error> {
        let mut asked: Vec<(&str, Vec<f64>)> = Vec::new();
        for metric in metrics {
            let (outcome, Some(p)) = (metric.numerator.outcome.as_str(), metric.quantile) else { continue };
            match asked.iter_mut().find(|known| known.0 == outcome) {
                Some((_, all)) if all.contains(&p) => {}
                Some((_, all)) => all.push(p),
                None => asked.push((outcome, vec![p])),
            }
        }
        let mut found = Vec::new();
        for (outcome, all) in asked {
            for ((experiment, variant), values) in self.values(reduction, outcome)? {
                for p in &all {
                    found.extend(values.quantiles(*p).into_iter().map(|(part, estimate)| Quantile {
                        experiment: experiment.clone(),
                        variant: variant.clone(),
                        outcome: outcome.to_owned(),
                        p: *p,
                        part,
                        estimate,
                    }));
                }
            }
        }
        Ok(found)
    }

    /// All values, by experiment and variant.
    fn values(
        &self,
        reduction: &Reduction,
        outcome: &str,
    ) -> Result<BTreeMap<(String, String), Values>, Error> {
        let reduction = &self.bounded(reduction);
        let (steps, sql) = (reduction.entered(Dialect::DataFusion), observed(reduction, outcome));
        let mut names = Names::default();
        let mut arms: HashMap<(u32, u32), Values> = HashMap::new();
        for part in self.parts() {
            self.make(part, &steps)?;
            self.each_batch(part, &sql, |batch| {
                let [experiments, variants, segments] = [0, 1, 2].map(|at| texts(batch.column(at)));
                let (experiments, variants, segments) = (experiments?, variants?, segments?);
                let [days, units] = [3, 4].map(|at| batch.column(at).as_primitive::<Int64Type>());
                let values = batch.column(5).as_primitive::<Float64Type>();
                for row in 0..batch.num_rows() {
                    let arm = (names.id(experiments.value(row)), names.id(variants.value(row)));
                    let group = (days.value(row), names.id(segments.value(row)));
                    arms.entry(arm).or_default().push(values.value(row), units.value(row), group);
                }
                Ok(())
            })?;
            self.forget(part, &steps)?;
            // No unit is in two parts.
            arms.values_mut().for_each(|arm| arm.ids.clear());
        }
        let names = names.list();
        let name = |id: u32| names.get(id as usize).cloned().unwrap_or_default();
        let named = arms.into_iter().map(|((experiment, variant), mut values)| {
            values.rows.sort_unstable_by(|a, b| a.value.total_cmp(&b.value));
            values.segments = values.groups.keys().map(|(_, segment)| (*segment, name(*segment))).collect();
            ((name(experiment), name(variant)), values)
        });
        Ok(named.collect())
    }
}

/// Numbers for names.
#[derive(Default)]
struct Names(HashMap<String, u32>);

impl Names {
    fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.0.get(name) {
            return *id;
        }
        let id = self.0.len() as u32;
        self.0.insert(name.to_owned(), id);
        id
    }

    fn list(self) -> Vec<String> {
        let mut all: Vec<(u32, String)> = self.0.into_iter().map(|(name, id)| (id, name)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, name)| name).collect()
    }
}

/// What the units of an arm did.
#[derive(Default)]
struct Values {
    /// In the end ascending.
    rows: Vec<Row>,
    /// Numbers of days and segments.
    groups: HashMap<(i64, u32), u32>,
    segments: BTreeMap<u32, String>,
    /// Numbers of units, by their keys, of one part of the tables.
    ids: HashMap<i64, u32>,
    units: u32,
}

struct Row {
    value: f64,
    unit: u32,
    group: u32,
}

impl Values {
    fn push(&mut self, value: f64, unit: i64, group: (i64, u32)) {
        let next = self.groups.len() as u32;
        let group = *self.groups.entry(group).or_insert(next);
        let unit = *self.ids.entry(unit).or_insert_with(|| {
            self.units += 1;
            self.units - 1
        });
        self.rows.push(Row { value, unit, group });
    }

    /// The `p` quantile of every part that has one.
    fn quantiles(&self, p: f64) -> Vec<(Part, Estimate)> {
        let days: BTreeSet<i64> = self.groups.keys().map(|(day, _)| *day).collect();
        let mut parts = vec![Part::All];
        parts.extend(days.into_iter().map(Part::Until));
        if self.segments.values().any(|segment| !segment.is_empty()) {
            parts.extend(self.segments.values().cloned().map(Part::Segment));
        }
        let found = parts.into_iter().filter_map(|part| {
            let mut is_in = vec![false; self.groups.len()];
            for ((day, segment), group) in &self.groups {
                is_in[*group as usize] = match &part {
                    Part::All => true,
                    Part::Until(last) => day <= last,
                    Part::Segment(name) => self.segments.get(segment) == Some(name),
                };
            }
            // Those of one unit have no uncertainty to speak of.
            Some((part, self.estimate(p, &is_in).ok()?))
        });
        found.collect()
    }

    fn estimate(&self, p: f64, is_in: &[bool]) -> Result<Estimate, NoEstimate> {
        let rows = || self.rows.iter().filter(|row| is_in[row.group as usize]);
        let values: Vec<f64> = rows().map(|row| row.value).collect();
        let value = quantile(&values, p)?;
        // Of each unit: values up to the quantile, and all.
        let mut counts = vec![(0_u32, 0_u32); self.units as usize];
        for row in rows() {
            let (below, all) = &mut counts[row.unit as usize];
            *below += u32::from(row.value <= value);
            *all += 1;
        }
        let (mut units, mut sums, mut products) = (0.0, [0.0; 2], [0.0; 4]);
        for (below, all) in counts.into_iter().filter(|(_, all)| *all > 0) {
            let unit = [f64::from(below), f64::from(all)];
            units += 1.0;
            for (i, x) in unit.into_iter().enumerate() {
                sums[i] += x;
                for (j, y) in unit.into_iter().enumerate() {
                    products[2 * i + j] += x * y;
                }
            }
        }
        let probe = Probe::of(&Moments::from_sums(units, &sums, &products)?, p)?;
        // The lowest and the highest value where the band goes beyond.
        let [low, high] = [probe.low, probe.high]
            .map(|at| quantile(&values, at.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON)));
        Ok(probe.estimate(value, low?, high?))
    }
}

/// What the query gives: experiment, variant, segment, day, unit's key, value.
fn observed(reduction: &Reduction, outcome: &str) -> String {
    let columns = "e.experiment, e.variant, e.segment, e.day, unit_key(e.unit)";
    let from = if outcome.starts_with('@') {
        "CAST(k.duration_ms AS DOUBLE) FROM kept k JOIN entered e ON k.experiment = e.experiment AND k.unit = e.unit
WHERE k.duration_ms IS NOT NULL"
            .to_owned()
    } else {
        format!(
            "CAST(o.value AS DOUBLE) FROM entered e JOIN outcomes o ON o.unit = e.unit\nWHERE o.metric = {} AND o.value IS NOT NULL AND {}",
            Dialect::DataFusion.text(outcome),
            reduction.during(Period::After)
        )
    };
    format!("SELECT {columns}, {from}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of units 0 to 99, on 10 days, in two segments, those that `is_in`.
    fn some(is_in: impl Fn(i64, u32) -> bool) -> Values {
        let mut values = Values::default();
        for unit in 0..100 {
            let (day, segment) = (unit % 10, u32::from(unit % 3 == 0));
            for visit in 0..=unit % 4 {
                if is_in(day, segment) {
                    values.push((unit * 37 % 101 + 11 * visit) as f64, unit, (day, segment));
                }
            }
        }
        values.rows.sort_unstable_by(|a, b| a.value.total_cmp(&b.value));
        values.segments = [(0, "desktop".to_owned()), (1, "phone".to_owned())].into();
        values
    }

    #[test]
    fn a_part_is_what_its_units_alone_are() {
        let alone = |values: Values| values.estimate(0.9, &vec![true; values.groups.len()]).unwrap();
        let found = some(|_, _| true).quantiles(0.9);
        assert_eq!(found.len(), 1 + 10 + 2);
        for (part, estimate) in found {
            let expected = match &part {
                Part::All => alone(some(|_, _| true)),
                Part::Until(last) => alone(some(|day, _| day <= *last)),
                Part::Segment(name) => alone(some(|_, segment| (segment == 1) == (name == "phone"))),
            };
            assert_eq!(estimate, expected, "{part:?}");
        }
    }
}
