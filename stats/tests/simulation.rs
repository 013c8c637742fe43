//! What intervals and tests promise, over many simulated experiments with known truth. `--nocapture` shows the numbers.

use splitway_stats::contrast::Contrast;
use splitway_stats::cuped::{Metric, adjust};
use splitway_stats::distribution::normal_quantile;
use splitway_stats::group_sequential::{Spending, bounds};
use splitway_stats::lift::{Lift, lift, mean, ratio};
use splitway_stats::power::{Design, Looks, units_to_find};
use splitway_stats::proportion::clustered;
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
            let mut check = srm::Sequential::new(&[1.0, 1.0], &srm::CONCENTRATIONS).unwrap();
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

/// Moments of units with three requests each, of which one in `every` is a client that retries: 2 to 60 errors. Drawn by
/// the gaps between such clients, as all others are alike.
fn retrying(random: &mut Random, units: usize, every: f64, sizes: (f64, f64)) -> Moments {
    let (mut count, mut sums, mut products) = (units as f64, [0.0, 3.0 * units as f64], [0.0; 4]);
    products[3] = 9.0 * units as f64;
    let mut at = every * random.exponential();
    while at < units as f64 {
        let size = (sizes.0 + (sizes.1 - sizes.0 + 1.0) * random.uniform()).floor();
        let trials = size + 3.0;
        sums[0] += size;
        sums[1] += size;
        products[0] += size * size;
        products[1] += size * trials;
        products[3] += trials * trials - 9.0;
        at += every * random.exponential();
    }
    products[2] = products[1];
    count = count.max(1.0);
    Moments::from_sums(count, &sums, &products).unwrap()
}

/// One unit in 1,000 retries; a single look, and one a day for 14 days.
#[test]
fn errors_that_come_in_clusters_are_not_taken_for_independent_ones() {
    let sequence = ConfidenceSequence::new(0.05, 8000.0).unwrap();
    for (name, sizes) in [("5 to 14", (5.0, 14.0)), ("2 to 60", (2.0, 60.0))] {
        for control in [800, 7200] {
            let (mut fixed, mut always) = (0, 0);
            for seed in 0..2000 {
                let mut random = Random(seed * 7907 + 13);
                let mut arms = [Moments::new(2), Moments::new(2)];
                let mut was_found = false;
                for day in 0..14 {
                    for (arm, units) in arms.iter_mut().zip([control, 800]) {
                        arm.merge(&retrying(&mut random, units, 1000.0, sizes)).unwrap();
                    }
                    let [c, t] = [&arms[0], &arms[1]].map(|arm| ratio(arm, 0, 1).unwrap());
                    let shares = clustered([&arms[0], &arms[1]], 0, Some(1)).unwrap();
                    let contrast = Contrast::of_events(c, t, shares);
                    let Ok(now) = contrast.fixed(0.05) else { continue };
                    let critical = sequence.critical(c.count + t.count);
                    let (interval, _) = contrast.at(&now, critical).unwrap();
                    assert_eq!(interval.contains(0.0), sequence.p(now.statistic, c.count + t.count) > 0.05);
                    was_found |= !interval.contains(0.0);
                    // Never narrower than the delta method.
                    let half = critical * now.standard_error;
                    assert!(interval.high - interval.low >= 2.0 * half * (1.0 - 1e-9));
                    if day == 4 {
                        assert_eq!(now.p < 0.05, !now.interval.contains(0.0));
                        fixed += u32::from(now.p < 0.05);
                    }
                }
                always += u32::from(was_found);
            }
            let percent = |count: u32| f64::from(count) / 20.0;
            println!(
                "A/A, one unit in 1,000 has {name} errors, {control} units a day beside 800: a single look finds {:.2} %, \
                 a look a day {:.2} % of 2,000 experiments",
                percent(fixed),
                percent(always)
            );
            // The standard error of 5 % of 2,000 is half a point.
            assert!(fixed <= 2000 * 6 / 100 && always <= 2000 * 5 / 100, "{fixed} {always}");
        }
    }
}

/// What a client that retries 20 or 50 times looks like to binomial trials: p = .0024 and 9e-8.
#[test]
fn one_unit_with_many_errors_proves_nothing() {
    for errors in [20.0, 50.0] {
        let arm = |errors: f64| {
            let sums = [errors, 24_000.0 + errors];
            let with = errors * (3.0 + errors);
            let squares = 9.0 * 7999.0 + (3.0 + errors) * (3.0 + errors);
            Moments::from_sums(8000.0, &sums, &[errors * errors, with, with, squares]).unwrap()
        };
        let (control, treatment) = (arm(0.0), arm(errors));
        let shares = clustered([&control, &treatment], 0, Some(1)).unwrap();
        let [c, t] = [&control, &treatment].map(|arm| ratio(arm, 0, 1).unwrap());
        let found = Contrast::of_events(c, t, shares).fixed(0.05).unwrap();
        assert!(found.p > 0.3 && found.interval.contains(0.0), "{errors}: {found:?}");
        assert_eq!(found.relative, None);
    }
}

/// Units until a leak of 2 % of one arm is found, beside a chi-square below .001 after every day.
#[test]
fn a_leak_is_found_soon_and_none_is_invented_at_every_look() {
    const DAILY: u32 = 4000;
    let run = |seed: u64, leak: f64, days: u32| {
        let mut random = Random(seed * 15_485_863 + 1);
        let mut check = srm::Sequential::new(&[1.0, 1.0], &srm::CONCENTRATIONS).unwrap();
        let mut counts = [0.0; 2];
        let mut found = [None; 2];
        for day in 1..=days {
            // A day's binomial, by its normal.
            let share = 1.0 / (2.0 - leak);
            let deviation = (f64::from(DAILY) * share * (1.0 - share)).sqrt();
            let control = (f64::from(DAILY) * share + deviation * random.normal()).round();
            counts[0] += control;
            counts[1] += f64::from(DAILY) - control;
            if found[0].is_none() && srm::check(&counts, &[1.0, 1.0]).unwrap().p < srm::ALPHA {
                found[0] = Some(day);
            }
            if found[1].is_none() && check.look(&counts).unwrap() < srm::ALPHA_AT_EVERY_LOOK {
                found[1] = Some(day);
            }
        }
        found
    };
    let mut sums = [0; 2];
    for seed in 0..400 {
        for (sum, found) in sums.iter_mut().zip(run(seed, 0.02, 150)) {
            *sum += found.unwrap_or(151);
        }
    }
    let ratio = f64::from(sums[1]) / f64::from(sums[0]);
    println!(
        "a leak of 2 %: found after {} units by a chi-square a day, after {} at every look, {ratio:.2} times",
        sums[0] * DAILY / 400,
        sums[1] * DAILY / 400
    );
    assert!(ratio <= 1.3, "{ratio}");
    let mut invented = [0; 2];
    for seed in 0..4000 {
        for (count, found) in invented.iter_mut().zip(run(seed + 1000, 0.0, 90)) {
            *count += u32::from(found.is_some());
        }
    }
    println!("no leak, 90 days: {:?} of 4,000 invented", invented);
    assert!(invented[1] <= 40, "{invented:?}: at most 1 % at any number of looks");
}
