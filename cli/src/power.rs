//! `splitway power`: how many units, how long.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use splitway_engine::{Timestamp, read_wire};
use splitway_stats::power::{self, Design};

use crate::args::share;
use crate::input::{self, Input};
use crate::outcome::{Failure, Outcome, print, print_answer};

/// Effects of the table, as multiples of the one that is asked for.
const MULTIPLES: [f64; 7] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];
/// Where neither flags nor config say.
const ALPHA: f64 = 0.05;
const POWER: f64 = 0.8;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("metric").required(true).args(["baseline", "deviation", "observed"])))]
#[command(group(ArgGroup::new("question").required(true).args(["effect", "units", "config", "observed"]).multiple(true)))]
pub(crate) struct Power {
    /// The control's share of units that do it, such as 10%: the metric is a share
    #[arg(long, value_name = "SHARE", value_parser = share)]
    baseline: Option<f64>,
    /// Standard deviation of the metric over units: it is a mean, or a ratio (standard error times root of units)
    #[arg(long, value_name = "SD")]
    deviation: Option<f64>,
    /// What `splitway analyze --json` printed: deviation, arms and traffic are those seen, of the primary metric
    #[arg(long, value_name = "FILE", requires = "experiment", conflicts_with_all = ["daily", "ratio"])]
    observed: Option<PathBuf>,
    /// Absolute effect to find, such as 0.02 (for a share: two points) [default: the config's]
    #[arg(long, value_name = "DIFFERENCE", allow_negative_numbers = true)]
    effect: Option<f64>,
    /// Units in the control: says the smallest effect that they find
    #[arg(long, value_name = "N", conflicts_with = "effect")]
    units: Option<f64>,
    /// A config, to take level, power, effect, arms and traffic from
    #[arg(long, value_name = "FILE", requires = "experiment")]
    config: Option<PathBuf>,
    /// Which of the experiments
    #[arg(long, value_name = "ID")]
    experiment: Option<String>,
    /// Two-sided significance level [default: the config's, or 0.05]
    #[arg(long)]
    alpha: Option<f64>,
    /// Probability of finding the effect [default: the config's, or 0.8]
    #[arg(long)]
    power: Option<f64>,
    /// Units of the treatment for each of the control [default: the config's, or 1]
    #[arg(long)]
    ratio: Option<f64>,
    /// New units a day, for the duration; of these, the config's traffic enters
    #[arg(long, value_name = "N")]
    daily: Option<f64>,
    /// Time of the config's ramp (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::args::time)]
    at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    alpha: f64,
    power: f64,
    ratio: f64,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    effect: f64,
    /// Of the baseline; absent for means.
    relative: Option<f64>,
    control: f64,
    treatment: f64,
    /// Until all arms have enough.
    days: Option<f64>,
}

/// What a config says.
#[derive(Default)]
struct Stated {
    alpha: Option<f64>,
    power: Option<f64>,
    effect: Option<f64>,
    ratio: Option<f64>,
    /// Share of all units that enter the control.
    control: Option<f64>,
}

pub(crate) fn run(args: &Power) -> Outcome {
    let stated = stated(args)?;
    let seen = args.observed.as_ref().map(|file| seen(file, args.experiment.as_deref())).transpose()?;
    let of = |of: fn(&Seen) -> f64| seen.as_ref().map(of);
    let design = Design {
        alpha: args.alpha.or(of(|seen| seen.alpha)).or(stated.alpha).unwrap_or(ALPHA),
        power: args.power.or(of(|seen| seen.power)).or(stated.power).unwrap_or(POWER),
        ratio: args.ratio.or(of(|seen| seen.ratio)).or(stated.ratio).unwrap_or(1.0),
    };
    let deviation = args.deviation.or(of(|seen| seen.deviation));
    let daily = args.daily.or(of(|seen| seen.daily));
    let wanted = args.effect.or(seen.as_ref().and_then(|seen| seen.wanted)).or(stated.effect);
    let wanted = wanted.or(of(|seen| seen.detectable));
    let refuse = |error: splitway_stats::Error| Failure::Usage(error.to_string());
    let effects: Vec<f64> = match (args.units, wanted) {
        (Some(units), _) => vec![detectable(args.baseline, deviation, units, &design).map_err(refuse)?],
        (None, Some(effect)) => MULTIPLES.iter().map(|multiple| effect * multiple).collect(),
        (None, None) => {
            return Err(Failure::Usage("no effect: neither --effect nor the config says".to_owned()));
        }
    };
    // Half of them, unless a config says otherwise.
    let share = of(|seen| seen.share).or(stated.control).unwrap_or(1.0 / (1.0 + design.ratio));
    // A share only by itself: what was seen may be a mean of anything.
    let baseline = args.baseline.or(of(|seen| seen.baseline));
    let mut rows = Vec::new();
    for effect in effects {
        let control = match (args.baseline, deviation) {
            (Some(baseline), _) if !(0.0..1.0).contains(&(baseline + effect)) || baseline + effect == 0.0 => {
                continue;
            }
            (Some(baseline), _) => power::units_for_shares(baseline, baseline + effect, &design),
            (None, deviation) => {
                let deviation = deviation.unwrap_or_default();
                power::units_for_means(effect, (deviation, deviation), &design)
            }
        };
        let control = control.map_err(refuse)?.ceil();
        let days = daily.map(|daily| power::days(control, daily, share)).transpose().map_err(refuse)?;
        let relative = baseline.filter(|baseline| *baseline > 0.0).map(|baseline| effect / baseline);
        rows.push(Row { effect, relative, control, treatment: (control * design.ratio).ceil(), days });
    }
    let answer = Answer { alpha: design.alpha, power: design.power, ratio: design.ratio, rows };
    if args.json { print_answer(&answer) } else { print(answer.text().trim_end()) }
}

fn detectable(
    baseline: Option<f64>,
    deviation: Option<f64>,
    units: f64,
    design: &Design,
) -> Result<f64, splitway_stats::Error> {
    match (baseline, deviation) {
        (Some(baseline), _) => power::detectable_share(baseline, units, design),
        (None, deviation) => power::detectable_mean(deviation.unwrap_or_default(), units, design),
    }
}

/// What an analysis saw: the `plan` of a comparison of the primary metric.
#[derive(Deserialize)]
struct Seen {
    deviation: f64,
    baseline: f64,
    daily: f64,
    share: f64,
    ratio: f64,
    alpha: f64,
    power: f64,
    detectable: f64,
    wanted: Option<f64>,
}

/// The treatment with the fewest units decides, as with a config.
fn seen(file: &Path, experiment: Option<&str>) -> Result<Seen, Failure> {
    let refuse = |problem: String| Failure::Usage(format!("{}: {problem}", file.display()));
    let analysis: Value =
        serde_json::from_str(&Input::read(file)?.text).map_err(|e| refuse(e.to_string()))?;
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let found =
        list(&analysis, "experiments").into_iter().find(|found| found["experiment"].as_str() == experiment);
    let found = found.ok_or_else(|| refuse(format!("no experiment `{}`", experiment.unwrap_or_default())))?;
    let plans = list(&found, "metrics").into_iter().flat_map(|metric| list(&metric, "comparisons"));
    let plans =
        plans.filter_map(|comparison| serde_json::from_value::<Seen>(comparison["plan"].clone()).ok());
    let smallest = plans.min_by(|a, b| a.ratio.total_cmp(&b.ratio));
    smallest.ok_or_else(|| refuse("no primary metric was measured".to_owned()))
}

fn stated(args: &Power) -> Result<Stated, Failure> {
    let (Some(path), Some(id)) = (&args.config, &args.experiment) else { return Ok(Stated::default()) };
    let (document, plan) = Input::read(path)?.plan()?;
    let config = read_wire(&document);
    let missing = || Failure::Usage(format!("no experiment `{id}` in the config"));
    let (_, experiment) = plan.find(id).ok_or_else(missing)?;
    let stated = config.experiments.iter().find(|stated| stated.id == *id);
    let analysis = stated.and_then(|stated| stated.analysis.clone()).unwrap_or_default();
    let control = experiment.variant(experiment.control()).map_or(0.0, |variant| variant.share());
    // The smallest treatment takes the longest.
    let smallest = experiment
        .variants()
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != experiment.control().index())
        .map(|(_, variant)| variant.share())
        .fold(f64::INFINITY, f64::min);
    let entered = f64::from(experiment.active_buckets(input::at(args.at))) / 10_000.0;
    Ok(Stated {
        alpha: analysis.alpha,
        power: analysis.power,
        effect: analysis.minimum_detectable_effect,
        ratio: (control > 0.0 && smallest.is_finite() && smallest > 0.0).then(|| smallest / control),
        control: (control * entered > 0.0).then_some(control * entered),
    })
}

impl Answer {
    fn text(&self) -> String {
        let mut text = format!(
            "alpha {}, power {}, {} units in the treatment for each in the control\n\n{:>12} {:>10} {:>14} {:>14} {:>8}\n",
            self.alpha,
            self.power,
            round(self.ratio),
            "effect",
            "relative",
            "control",
            "treatment",
            "days"
        );
        for row in &self.rows {
            let relative =
                row.relative.map_or("-".to_owned(), |relative| format!("{:+.2}%", relative * 100.0));
            let days = row.days.map_or("-".to_owned(), |days| days.to_string());
            text.push_str(&format!(
                "{:>12} {:>10} {:>14} {:>14} {:>8}\n",
                round(row.effect),
                relative,
                row.control,
                row.treatment,
                days
            ));
        }
        text
    }
}

/// To six digits.
fn round(value: f64) -> f64 {
    let scale = 10f64.powf(6.0 - value.abs().log10().ceil());
    if scale.is_finite() { (value * scale).round() / scale } else { value }
}
