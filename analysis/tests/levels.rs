//! How often an experiment without effect is found to have one, looked at every day. `--nocapture` shows the numbers;
//! `SPLITWAY_LEVELS=all` runs 300 experiments a case instead of 100, and both skews instead of the larger one.

use std::collections::BTreeMap;

use splitway_analysis::judge::{Evidence, Judgement, Method, Rules, Verdict, judge};
use splitway_analysis::metric::{Cap, Columns, Metric, Role};
use splitway_analysis::reduce::Group;
use splitway_stats::{Moments, Sums};

/// SplitMix64 (Steele, Lea, Flood 2014): the same draws on every machine.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 1e-17
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }
}

const DAYS: i64 = 14;
/// 2,000 units a day, 90:10.
const ARMS: [(&str, usize); 2] = [("control", 1800), ("big", 200)];

fn rules(min_units: u64) -> Rules {
    let mut metric = Metric::parse("revenue=sum(order)").unwrap();
    metric.is_lower_better = Some(false);
    Rules {
        experiment: "button".to_owned(),
        shares: vec![("control".to_owned(), 0.9), ("big".to_owned(), 0.1)],
        control: "control".to_owned(),
        metrics: vec![(metric, Role::Guardrail)],
        margins: BTreeMap::new(),
        alpha: 0.05,
        power: 0.8,
        effect: None,
        min_units,
        tuned_for: min_units,
        method: Method::Sequential,
    }
}

/// The rest of an arm's units bought nothing.
fn moments(units: usize, buyers: &[f64], cap: f64) -> Moments {
    let sum = |power: i32| buyers.iter().map(|x| x.min(cap).powi(power)).sum::<f64>();
    Moments::from_centred(&Sums {
        count: units as f64,
        centres: vec![0.0],
        sums: vec![sum(1)],
        products: vec![sum(2)],
        thirds: vec![([0; 3], sum(3))],
    })
    .unwrap()
}

/// How many of an A/A's runs were ever outside their interval, and were ever DO NOT SHIP.
fn wrong(runs: u32, min_units: u64, sigma: f64, cap: Option<Cap>) -> (u32, u32) {
    let rules = rules(min_units);
    let metrics = [rules.metrics[0].0.clone()];
    let (mut excluded, mut refused) = (0, 0);
    for run in 0..u64::from(runs) {
        let mut random = Random(run * 6_700_417 + 11);
        // By day and arm: what the 5 % bought who bought something.
        let mut bought: Vec<[Vec<f64>; 2]> = Vec::new();
        let (mut was_excluded, mut was_refused) = (false, false);
        for _ in 0..DAYS {
            bought.push(ARMS.map(|(_, units)| {
                let buyers = (0..units).filter(|_| random.uniform() < 0.05).count();
                (0..buyers).map(|_| (3.0 + sigma * random.normal()).exp()).collect()
            }));
            let mut all: Vec<f64> = bought.iter().flatten().flatten().copied().collect();
            all.sort_unstable_by(f64::total_cmp);
            let units = bought.len() * ARMS.iter().map(|(_, units)| units).sum::<usize>();
            let above = |p: f64| units - (p * units as f64).ceil() as usize;
            let at = match cap {
                Some(Cap::Percentile(p)) => all[all.len() - 1 - above(p)],
                Some(Cap::At(at)) => at,
                None => f64::INFINITY,
            };
            let groups: Vec<Group> = bought
                .iter()
                .zip(0..)
                .flat_map(|(arms, day)| arms.iter().zip(ARMS).map(move |(arm, of)| (arm, of, day)))
                .map(|(buyers, (variant, units), day)| Group {
                    experiment: "button".to_owned(),
                    variant: variant.to_owned(),
                    segment: String::new(),
                    day,
                    in_two: 0.0,
                    in_progress: 0.0,
                    outcomes: 9.0,
                    inside: 9.0,
                    moments: moments(units, buyers, at),
                })
                .collect();
            let columns = Columns::of(&metrics, false);
            let names = BTreeMap::from([("order".to_owned(), 9)]);
            let outcomes = Some(&names);
            let found: Judgement =
                judge(&rules, &Evidence { groups: &groups, columns, outcomes, ..Evidence::default() });
            let c = &found.metrics[0].comparisons[0];
            was_excluded |= !c.interval.contains(0.0);
            was_refused |= found.verdict == Verdict::DoNotShip;
        }
        excluded += u32::from(was_excluded);
        refused += u32::from(was_refused);
    }
    (excluded, refused)
}

/// Skewed money in a small arm. A normal interval of what is not cut off does not hold, so that nothing may be decided by it
/// alone; cut off at p99 it does.
#[test]
fn a_small_arm_with_skewed_money_is_not_found_to_lose() {
    let is_all = std::env::var_os("SPLITWAY_LEVELS").is_some();
    let (runs, sigmas) = if is_all { (300, vec![1.5, 2.0]) } else { (100, vec![2.0]) };
    for min_units in [1000, 10_000] {
        for sigma in sigmas.iter().copied() {
            let (excluded, refused) = wrong(runs, min_units, sigma, None);
            let (capped, capped_refused) = wrong(runs, min_units, sigma, Some(Cap::Percentile(0.99)));
            let percent = |count: u32| f64::from(count) * 100.0 / f64::from(runs);
            println!(
                "A/A, {DAYS} daily looks, lognormal of sigma {sigma}, min_units_per_arm {min_units}: the sequence excluded 0 in \
                 {:.1} % of {runs} runs, DO NOT SHIP in {:.1} %; cut off at p99: {:.1} % and {:.1} %",
                percent(excluded),
                percent(refused),
                percent(capped),
                percent(capped_refused)
            );
            let most = runs * 5 / 100;
            assert!(capped <= most && capped_refused <= most, "{capped} {capped_refused}");
            assert!(min_units < 10_000 || refused == 0, "{refused}: fewer units than were asked for");
        }
    }
}
