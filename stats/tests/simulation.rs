//! What intervals and tests promise, over many simulated experiments with known truth. `--nocapture` shows the numbers.

use splitway_stats::cuped::{Metric, adjust};
use splitway_stats::distribution::normal_quantile;
use splitway_stats::group_sequential::{Spending, bounds};
use splitway_stats::lift::{Lift, lift, mean, ratio};
use splitway_stats::power::{Design, Looks, units_to_find};
use splitway_stats::sequential::ConfidenceSequence;
use splitway_stats::{Moments, quantile, srm};

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

    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }
}

/// Share of 4,000 experiments that `covers` says yes to: its standard error is 0.0034 around .95.
fn share(seed: u64, mut covers: impl FnMut(&mut Random) -> bool) -> f64 {
    let mut random = Random(seed);
    (0..4000).filter(|_| covers(&mut random)).count() as f64 / 4000.0
}

#[track_caller]
fn holds_95(of: &str, share: f64) {
    println!("95 % intervals of {of} hold the truth in {:.2} % of 4,000 experiments", share * 100.0);
    assert!((0.94..=0.96).contains(&share), "{share}");
}

#[test]
fn intervals_of_means_cover() {
    let mut relative = 0.0;
    let absolute = share(1, |random| {
        let arm = |random: &mut Random, scale: f64| {
            let mut moments = Moments::new(1);
            (0..300).for_each(|_| moments.push(&[scale * random.exponential()]));
            mean(&moments, 0).unwrap()
        };
        let (control, treatment) = (arm(random, 1.0), arm(random, 1.1));
        let found = lift(&control, &treatment, 0.05).unwrap();
        relative += f64::from(found.relative_interval.unwrap().contains(0.1));
        assert_eq!(found.p < 0.05, !found.relative_interval.unwrap().contains(0.0));
        assert_eq!(found.p < 0.05, !found.interval.contains(0.0));
        found.interval.contains(0.1)
    });
    holds_95("differences of means", absolute);
    holds_95("relative differences of means", relative / 4000.0);
}

/// With a unit's visits and its rate correlated, so that averaging per unit would be off.
#[test]
fn intervals_of_ratios_cover_with_and_without_covariates() {
    let mut with_covariate = 0.0;
    let plain = share(2, |random| {
        let arm = |random: &mut Random, effect: f64| {
            let mut moments = Moments::new(3);
            for _ in 0..300 {
                let habit = 0.5 + random.uniform();
                let visits = (3.0 * habit * random.exponential()).floor();
                // E[visits x habit] / E[visits] is no function of E[habit] alone, but the same in both arms.
                let bought = visits * (0.2 * habit + effect) + 0.3 * random.normal();
                moments.push(&[bought, visits, habit]);
            }
            moments
        };
        let (control, treatment) = (arm(random, 0.0), arm(random, 0.05));
        let metric = Metric::Ratio { numerator: 0, denominator: 1 };
        let found = adjust(&[&control, &treatment], metric, &[2]).unwrap();
        let adjusted = lift(&found.arms[0], &found.arms[1], 0.05).unwrap();
        with_covariate += f64::from(adjusted.interval.contains(0.05));
        let ratios = [&control, &treatment].map(|arm| ratio(arm, 0, 1).unwrap());
        lift(&ratios[0], &ratios[1], 0.05).unwrap().interval.contains(0.05)
    });
    holds_95("differences of ratios", plain);
    holds_95("differences of ratios with CUPED", with_covariate / 4000.0);
}

#[test]
fn intervals_of_quantiles_cover() {
    let covered = share(3, |random| {
        let arm = |random: &mut Random| {
            let mut values: Vec<f64> = (0..600).map(|_| random.exponential()).collect();
            values.sort_by(f64::total_cmp);
            quantile::estimate(&values, 0.9).unwrap()
        };
        let (control, treatment) = (arm(random), arm(random));
        lift(&control, &treatment, 0.05).unwrap().interval.contains(0.0)
    });
    holds_95("differences of 90th percentiles, a value each", covered);
}

/// A unit's values are alike, so that taking them for independent would be off; in whole units or not.
#[test]
fn intervals_of_quantiles_of_units_with_several_values_cover() {
    for (seed, is_rounded) in [(4, false), (5, true)] {
        let covered = share(seed, |random| {
            let arm = |random: &mut Random| {
                let units: Vec<Vec<f64>> = (0..400)
                    .map(|_| {
                        let speed = 10.0 + 30.0 * random.uniform();
                        let visits = 1 + (4.0 * random.uniform()) as usize;
                        let value = |random: &mut Random| speed * (1.0 + random.exponential());
                        (0..visits).map(|_| value(random)).collect()
                    })
                    .map(|values: Vec<f64>| {
                        values.into_iter().map(|v| if is_rounded { v.floor() } else { v }).collect()
                    })
                    .collect();
                let mut all = units.concat();
                all.sort_by(f64::total_cmp);
                let value = quantile::quantile(&all, 0.9).unwrap();
                let mut moments = Moments::new(2);
                for unit in &units {
                    let below = unit.iter().filter(|v| **v <= value).count();
                    moments.push(&[below as f64, unit.len() as f64]);
                }
                let probe = quantile::Probe::of(&moments, 0.9).unwrap();
                let [low, high] = [probe.low, probe.high].map(|at| quantile::quantile(&all, at).unwrap());
                probe.estimate(value, low, high)
            };
            let (control, treatment) = (arm(random), arm(random));
            lift(&control, &treatment, 0.05).unwrap().interval.contains(0.0)
        });
        let what = if is_rounded { "whole values" } else { "values" };
        holds_95(&format!("differences of 90th percentiles, several {what} a unit"), covered);
    }
}

/// A look a day for 20 days at an experiment without effect.
#[test]
fn looking_every_day_is_safe_only_with_bounds_for_it() {
    const DAYS: usize = 20;
    let times: Vec<f64> = (1..=DAYS).map(|day| day as f64 / DAYS as f64).collect();
    let planned = bounds(Spending::ObrienFleming, &times, 0.05).unwrap();
    let sequence = ConfidenceSequence::new(0.05, 2000.0).unwrap();
    let (mut peeked, mut always, mut grouped) = (0, 0, 0);
    for seed in 0..4000 {
        let mut random = Random(seed * 7919);
        let mut arms = [Moments::new(1), Moments::new(1)];
        let mut found = [false; 3];
        for bound in &planned {
            for arm in &mut arms {
                (0..50).for_each(|_| arm.push(&[random.exponential()]));
            }
            let [control, treatment] = [&arms[0], &arms[1]].map(|arm| mean(arm, 0).unwrap());
            let now = lift(&control, &treatment, 0.05).unwrap();
            found[0] |= now.statistic.abs() > normal_quantile(0.975);
            let p = sequence.p(now.statistic, control.count + treatment.count);
            let (interval, _) = sequence.lift(&control, &treatment, &now);
            assert_eq!(p <= 0.05, !interval.contains(0.0));
            found[1] |= p <= 0.05;
            found[2] |= now.statistic.abs() > *bound;
        }
        peeked += u32::from(found[0]);
        always += u32::from(found[1]);
        grouped += u32::from(found[2]);
    }
    for (how, wrong) in
        [("fixed intervals", peeked), ("always-valid sequence", always), ("O'Brien-Fleming bounds", grouped)]
    {
        let share = f64::from(wrong) / 40.0;
        println!("a look a day for {DAYS} days, {how}: {share:.2} % false positives of 4,000 experiments");
    }
    assert!(peeked > 4000 * 22 / 100, "{peeked}: peeking costs about 24.8 %");
    assert!(always <= 4000 * 5 / 100, "{always}");
    assert!((4000 * 4 / 100..=4000 * 57 / 1000).contains(&grouped), "{grouped}");
}

/// Of a plan's own units, in the arms that it asks for: a treatment twice the control, an effect of .15 deviations.
#[test]
fn the_planned_units_find_the_effect_as_often_as_planned() {
    const EFFECT: f64 = 0.15;
    const TUNED_FOR: f64 = 1000.0;
    let design = Design { alpha: 0.05, power: 0.8, ratio: 2.0 };
    let times = vec![0.5, 1.0];
    let planned = bounds(Spending::Pocock, &times, design.alpha).unwrap();
    let sequence = ConfidenceSequence::new(design.alpha, TUNED_FOR).unwrap();
    let units = |looks: &Looks| units_to_find(EFFECT, (1.0, 1.0), &design, looks).unwrap().ceil() as usize;
    let once = units(&Looks::Once);
    let always = units(&Looks::Always { tuned_for: TUNED_FOR });
    let twice = units(&Looks::Planned { spending: Spending::Pocock, times });
    // Looks when the first half of the units is in, and at the end: statistics, and whether the sequence decides.
    let looks = |random: &mut Random, units: usize| {
        let mut arms = [Moments::new(1), Moments::new(1)];
        [units / 2, units - units / 2].map(|more| {
            (0..more).for_each(|_| arms[0].push(&[random.normal()]));
            (0..2 * more).for_each(|_| arms[1].push(&[EFFECT + random.normal()]));
            let [control, treatment] = [&arms[0], &arms[1]].map(|arm| mean(arm, 0).unwrap());
            let now = lift(&control, &treatment, design.alpha).unwrap();
            (now, !sequence.lift(&control, &treatment, &now).0.contains(0.0))
        })
    };
    type Decides<'d> = &'d dyn Fn(&[(Lift, bool); 2]) -> bool;
    let found = |how: &str, seed: u64, units: usize, decides: Decides<'_>| {
        let share = share(seed, |random| decides(&looks(random, units)));
        println!(
            "{how}: {units} units in the control find it in {:.1} % of 4,000 experiments",
            share * 100.0
        );
        share
    };
    // The standard error of a share of 4,000 is .0063.
    let as_planned = 0.78..=0.82;
    assert!(as_planned.contains(&found("a single look", 11, once, &|l| l[1].0.p < design.alpha)));
    assert!(as_planned.contains(&found("the sequence, at the end", 12, always, &|l| l[1].1)));
    let crossed = |l: &[(Lift, bool); 2]| (0..2).any(|k| l[k].0.statistic.abs() > planned[k]);
    assert!(as_planned.contains(&found("two planned looks", 13, twice, &crossed)));
    let short = found("the sequence, with a single look's units", 14, once, &|l| l[1].1);
    assert!(short < 0.5, "{short}: a single look's plan is none for a sequence");
}

#[test]
fn the_sequential_ratio_check_keeps_its_level_and_finds_a_leak() {
    let (mut invented, mut missed) = (0, 0);
    for seed in 0..300 {
        for (share, wrong) in [(0.5, &mut invented), (0.47, &mut missed)] {
            let mut random = Random(seed * 104_729);
            let mut check = srm::Sequential::new(&[1.0, 1.0], srm::CONCENTRATION).unwrap();
            let mut counts = [0.0; 2];
            let mut p = 1.0;
            for unit in 0..20_000 {
                counts[usize::from(random.uniform() > share)] += 1.0;
                if unit % 100 == 0 {
                    p = check.look(&counts).unwrap();
                }
            }
            *wrong += u32::from((p < 0.05) == (share == 0.5));
        }
    }
    println!("sequential sample ratio: {invented} of 300 leaks invented, {missed} of 300 missed");
    assert!(invented <= 300 * 5 / 100, "{invented}");
    assert_eq!(missed, 0);
}
