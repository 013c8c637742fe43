//! What a simulation shows: shares, uniformity, independence, sample sizes.

use std::fmt::Write as _;

use serde::Serialize;
use splitway_engine::bucketing::BUCKETS;
use splitway_engine::{Experiment, HoldoutId, Plan, Timestamp, wire};
use splitway_stats::srm::{self, ChiSquare, goodness};

use crate::drawing::{self, Bars, Relation};
use crate::plural::counted;
use crate::simulate::{BINS, Tally};
use crate::style::Style;

/// Below this (corrected) probability a test fails.
const ALPHA: f64 = srm::ALPHA;
/// Fewest units an arm, where the experiment does not say.
const MIN_UNITS: u64 = 10_000;
/// Pairs that are shown to people, the least independent first.
const SHOWN_PAIRS: usize = 5;
/// Experiments whose matrix fits a terminal.
const SHOWN_MATRIX: usize = 20;

/// What was simulated.
pub(crate) struct Setting<'s> {
    pub(crate) plan: &'s Plan,
    pub(crate) config: &'s wire::Config,
    pub(crate) now: Timestamp,
    pub(crate) units: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    at: String,
    units: u32,
    experiments: Vec<ExperimentReport>,
    /// Pairs of experiments of different layers that took units.
    independence: Vec<Pair>,
    /// Tests below [`ALPHA`].
    pub(crate) failed: usize,
}

#[derive(Debug, Serialize)]
struct ExperimentReport {
    experiment: String,
    layer: String,
    planned: f64,
    observed: f64,
    variants: Vec<VariantReport>,
    /// Of the variants' counts against their planned shares.
    p_shares: Option<f64>,
    /// Of the variant buckets, in 100 bins; none under other dialects.
    p_uniform: Option<f64>,
    /// Fewest units an arm, as the experiment or the default says.
    min_units_per_arm: u64,
    /// Units it takes until the smallest arm is expected to have as many.
    units_needed: Option<u64>,
}

#[derive(Debug, Serialize)]
struct VariantReport {
    variant: String,
    /// Of the experiment's units.
    planned: f64,
    observed: f64,
    units: u64,
    expected_units: f64,
}

#[derive(Debug, Serialize)]
struct Pair {
    experiments: [String; 2],
    chi_square: f64,
    degrees: usize,
    p: f64,
    /// Times the number of pairs (Bonferroni).
    p_corrected: f64,
}

impl Report {
    pub(crate) fn new(setting: &Setting<'_>, tallies: &[Tally]) -> Self {
        let all = || setting.plan.experiments().map(|(_, experiment)| experiment).zip(tallies);
        let experiments: Vec<ExperimentReport> =
            all().map(|(experiment, tally)| setting.experiment(experiment, tally)).collect();
        let mut independence = setting.pairs(&all().collect::<Vec<_>>());
        independence.sort_by(|a, b| a.p.total_cmp(&b.p));
        let corrected = |tests: Vec<f64>| {
            let count = tests.len() as f64;
            tests.into_iter().filter(|p| p * count < ALPHA).count()
        };
        let failed = corrected(experiments.iter().filter_map(|e| e.p_shares).collect())
            + corrected(experiments.iter().filter_map(|e| e.p_uniform).collect())
            + independence.iter().filter(|pair| pair.p_corrected < ALPHA).count();
        Self { at: setting.now.to_string(), units: setting.units, experiments, independence, failed }
    }
}

impl Report {
    fn relation(&self, row: usize, column: usize) -> Relation {
        let (Some(one), Some(other)) = (self.experiments.get(row), self.experiments.get(column)) else {
            return Relation::Unknown;
        };
        if row == column {
            return Relation::Own;
        }
        if one.layer == other.layer {
            return Relation::Layer;
        }
        let names = [&one.experiment, &other.experiment];
        let pair =
            self.independence.iter().find(|pair| pair.experiments.iter().all(|name| names.contains(&name)));
        match pair {
            None => Relation::Unknown,
            Some(pair) if pair.p_corrected < ALPHA => Relation::Dependent,
            Some(pair) if pair.p < 0.05 => Relation::Chance,
            Some(_) => Relation::Independent,
        }
    }

    /// Shares and independence as a picture.
    pub(crate) fn svg(&self) -> String {
        let bars = self.experiments.iter().map(|experiment| Bars {
            name: &experiment.experiment,
            variants: experiment
                .variants
                .iter()
                .map(|variant| (variant.variant.as_str(), variant.planned, variant.observed))
                .collect(),
        });
        let all: Vec<Bars<'_>> = bars.collect();
        drawing::svg(&format!("{} at {}", counted(self.units, "unit"), self.at), &all, |row, column| {
            self.relation(row, column)
        })
    }
}

impl Setting<'_> {
    fn experiment(&self, experiment: &Experiment, tally: &Tally) -> ExperimentReport {
        let count = experiment.variants().len();
        let counts: Vec<f64> = (0..count).map(|variant| tally.count(variant) as f64).collect();
        let entered: f64 = counts.iter().sum();
        let units = f64::from(self.units);
        let shares = experiment.shares();
        let planned = self.planned(experiment);
        let expected: Vec<f64> = shares.iter().map(|share| share * entered).collect();
        let test = |found: ChiSquare| (found.degrees > 0.0 && entered > 0.0).then_some(found.p);
        let bins: Vec<f64> = tally.bins.iter().map(|bin| *bin as f64).collect();
        let is_own = experiment.hash().is_some();
        let smallest = shares.iter().copied().filter(|share| *share > 0.0).fold(1.0, f64::min) * planned;
        let stated = self.config.experiments.iter().find(|e| e.id == experiment.id());
        let analysis = stated.and_then(|e| e.analysis.as_ref());
        let min_units = analysis.and_then(|analysis| analysis.min_units_per_arm).unwrap_or(MIN_UNITS);
        let variants =
            experiment.variants().iter().zip(&counts).zip(&shares).map(|((v, count), share)| VariantReport {
                variant: v.id().to_owned(),
                planned: *share,
                observed: if entered > 0.0 { count / entered } else { 0.0 },
                units: *count as u64,
                expected_units: planned * share * units,
            });
        ExperimentReport {
            experiment: experiment.id().to_owned(),
            layer: self.plan.layer(experiment.layer()).map_or("", |layer| layer.id()).to_owned(),
            planned,
            observed: entered / units,
            variants: variants.collect(),
            p_shares: test(goodness(&counts, &expected)),
            p_uniform: is_own.then(|| test(goodness(&bins, &vec![entered / BINS as f64; BINS]))).flatten(),
            min_units_per_arm: min_units,
            units_needed: (smallest > 0.0).then(|| (min_units as f64 / smallest).ceil() as u64),
        }
    }

    /// Share of units that the experiment takes, by its buckets and holdouts.
    fn planned(&self, experiment: &Experiment) -> f64 {
        if self.plan.is_killed() || !experiment.is_live(self.now) {
            return 0.0;
        }
        let all = f64::from(BUCKETS);
        let layer = self.plan.layer(experiment.layer());
        let held: &[HoldoutId] = layer.map(|layer| layer.holdouts()).unwrap_or_default();
        let held = held.iter().filter_map(|id| self.plan.holdout(*id));
        let left: f64 = held.map(|(_, buckets)| 1.0 - f64::from(buckets) / all).product();
        left * f64::from(experiment.active_buckets(self.now)) / all
    }

    fn pairs(&self, all: &[(&Experiment, &Tally)]) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (position, (one, tally)) in all.iter().enumerate() {
            for (other, other_tally) in all.iter().skip(position + 1) {
                // Those of one layer exclude each other: dependent on purpose.
                if one.layer() == other.layer() {
                    continue;
                }
                let (statistic, degrees) = contingency(tally, other_tally, self.units);
                if degrees > 0 {
                    pairs.push(Pair {
                        experiments: [one.id().to_owned(), other.id().to_owned()],
                        chi_square: statistic,
                        degrees,
                        p: ChiSquare::of(statistic, degrees).p,
                        p_corrected: 1.0,
                    });
                }
            }
        }
        let count = pairs.len() as f64;
        for pair in &mut pairs {
            pair.p_corrected = (pair.p * count).min(1.0);
        }
        pairs
    }
}

/// Pearson's statistic of two experiments' categories (variants and out), on
/// the observed margins, over units that no holdout keeps out of either: a
/// holdout for both makes them dependent on purpose. Cells that expect fewer
/// than five are left out (Cochran's rule), and one degree with each.
fn contingency(one: &Tally, other: &Tally, units: u32) -> (f64, usize) {
    let free: Vec<u64> = one.held.iter().zip(&other.held).map(|(a, b)| !(a | b)).collect();
    let held: u64 = free.iter().map(|word| u64::from(word.count_zeros())).sum();
    let units = f64::from(units) - held as f64;
    let sizes = |tally: &Tally| -> Vec<(usize, f64)> {
        let counts = tally.members.iter().map(|members| common(members, &free)).enumerate();
        counts.filter(|(_, count)| *count > 0.0).collect()
    };
    let (rows, columns) = (sizes(one), sizes(other));
    let mut degrees = rows.len().saturating_sub(1) * columns.len().saturating_sub(1);
    let mut statistic = 0.0;
    for (row, row_size) in &rows {
        let members: Vec<u64> = one.members[*row].iter().zip(&free).map(|(a, b)| a & b).collect();
        for (column, column_size) in &columns {
            let expected = row_size * column_size / units;
            if expected < 5.0 {
                degrees = degrees.saturating_sub(1);
                continue;
            }
            statistic += (common(&members, &other.members[*column]) - expected).powi(2) / expected;
        }
    }
    (statistic, degrees)
}

/// How many units two sets have in common.
fn common(one: &[u64], other: &[u64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| u64::from((a & b).count_ones())).sum::<u64>() as f64
}

impl Report {
    /// For people, in so many columns.
    pub(crate) fn shown(&self, style: Style, width: usize) -> String {
        let mut text = format!("{} at {}\n", counted(self.units, "unit"), self.at);
        for experiment in &self.experiments {
            text.push_str(&experiment.shown(style, width));
        }
        if self.independence.is_empty() {
            text.push_str("\nindependence: not tested, no two experiments of different layers had units\n");
        } else {
            let _ = writeln!(
                text,
                "\nindependence, pairs tested: {}; the least independent:",
                self.independence.len()
            );
        }
        for pair in self.independence.iter().take(SHOWN_PAIRS) {
            let [one, other] = &pair.experiments;
            let line = format!("  {one} and {other}: p = {:.4}, corrected {:.4}", pair.p, pair.p_corrected);
            let _ = writeln!(text, "{}", if pair.p_corrected < ALPHA { style.red(&line) } else { line });
        }
        if (2..=SHOWN_MATRIX).contains(&self.experiments.len()) {
            let names: Vec<&str> = self.experiments.iter().map(|e| e.experiment.as_str()).collect();
            let _ = writeln!(text, "{}", drawing::matrix(&names, |row, column| self.relation(row, column)));
        }
        text.push_str(&match self.failed {
            0 => style.green("all tests passed"),
            failed => style.red(&format!("{} failed (p < {ALPHA}, corrected)", counted(failed, "test"))),
        });
        text
    }
}

/// Columns that a variant's line takes at most.
const WIDE: usize = 110;

impl ExperimentReport {
    fn shown(&self, style: Style, width: usize) -> String {
        let percent = |share: f64| format!("{:.3}%", share * 100.0);
        let name = style.bold(&self.experiment);
        // Alone in a layer of its own.
        let layer =
            if self.layer == self.experiment { String::new() } else { format!(" in layer {}", self.layer) };
        let mut text = format!(
            "\n{name}{layer}: planned {}, observed {}\n",
            percent(self.planned),
            percent(self.observed)
        );
        for variant in &self.variants {
            let bar = style.cyan(&drawing::bar(variant.observed));
            let (planned, observed) = (percent(variant.planned), percent(variant.observed));
            let _ = if width >= WIDE {
                writeln!(
                    text,
                    "  {:<20} {bar} planned {planned:>8}, observed {observed:>8}: {}, {:.0} expected",
                    variant.variant,
                    counted(variant.units, "unit"),
                    variant.expected_units
                )
            } else {
                writeln!(
                    text,
                    "  {:<20} {bar} {observed:>8} of {planned:>8}, {}",
                    variant.variant,
                    counted(variant.units, "unit")
                )
            };
        }
        let p = |p: Option<f64>| p.map_or_else(|| "-".to_owned(), |p| format!("{p:.4}"));
        let _ = writeln!(text, "  shares p = {}, uniformity p = {}", p(self.p_shares), p(self.p_uniform));
        if let Some(units) = self.units_needed {
            let _ = writeln!(
                text,
                "  {} per arm need {} in all",
                counted(self.min_units_per_arm, "unit"),
                counted(units, "unit")
            );
        }
        text
    }
}
