//! Numbers that papers and practitioners' guides print.

use splitway_stats::distribution::normal_quantile;
use splitway_stats::group_sequential::{Spending, bounds, crossing_probability, drift};
use splitway_stats::power::{Design, days, units_for_shares, units_for_t_test};
use splitway_stats::proportion::{Share, newcombe};
use splitway_stats::{Interval, multiple, srm};

const DESIGN: Design = Design { alpha: 0.05, power: 0.8, ratio: 1.0 };

fn share(successes: f64, units: f64) -> Share {
    Share::new(successes, units).unwrap()
}

/// To the digits printed.
#[track_caller]
fn close(found: f64, printed: f64, digits: i32) {
    let half = 0.5 * 10f64.powi(-digits) * 1.000_001;
    assert!((found - printed).abs() <= half, "{found} is not {printed}");
}

#[track_caller]
fn spans(found: Interval, printed: (f64, f64)) {
    close(found.low, printed.0, 4);
    close(found.high, printed.1, 4);
}

#[test]
fn a_sample_ratio_mismatch() {
    let found = srm::check(&[821_588.0, 815_482.0], &[1.0, 1.0]).unwrap();
    close(found.statistic, 22.774, 3);
    close(found.p * 1e6, 1.82, 2);
}

/// Newcombe 1998, "Interval estimation for the difference between independent proportions", table II (a).
#[test]
fn newcombes_example() {
    spans(newcombe(share(48.0, 80.0), share(56.0, 70.0), 0.05).unwrap().interval, (0.0524, 0.3339));
}

/// Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I.
#[test]
fn wilsons_examples() {
    spans(share(81.0, 263.0).wilson(0.05).unwrap(), (0.2553, 0.3662));
    spans(share(15.0, 148.0).wilson(0.05).unwrap(), (0.0624, 0.1605));
}

#[test]
fn sample_sizes() {
    assert_eq!(units_for_shares(0.10, 0.12, &DESIGN).unwrap().ceil(), 3841.0);
    close(units_for_t_test(0.5, &DESIGN).unwrap(), 63.77, 2);
    assert_eq!(days(3841.0, 1000.0, 0.5).unwrap(), 8.0);
}

/// SAS/STAT 15.1 user's guide, SEQDESIGN, example 3: Pocock's equal bounds at four looks, .05, power .9, need 118.3143 %
/// of a single look's units.
#[test]
fn what_planned_looks_cost_in_units() {
    let times = equal_times(4);
    let (mut low, mut high) = (2.0, 3.0);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        let crossed = crossing_probability(&[middle; 4], &times).unwrap();
        if crossed > 0.05 { low = middle } else { high = middle }
    }
    let single = normal_quantile(0.975) + normal_quantile(0.9);
    close(100.0 * (drift(&[high; 4], &times, 0.9).unwrap() / single).powi(2), 118.314, 3);
}

/// Benjamini and Hochberg 1995, section 3.2.
#[test]
fn benjamini_and_hochbergs_example() {
    let p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
        0.6528, 0.7590, 1.0,
    ];
    let rejected = |adjusted: Vec<f64>| adjusted.iter().filter(|p| **p <= 0.05).count();
    assert_eq!(rejected(multiple::benjamini_hochberg(&p)), 4);
    assert_eq!(rejected(multiple::bonferroni(&p)), 3);
    assert_eq!(rejected(multiple::holm(&p)), 3);
}

fn equal_times(looks: u32) -> Vec<f64> {
    (1..=looks).map(|look| f64::from(look) / f64::from(looks)).collect()
}

/// Lan and DeMets 1983 with O'Brien and Fleming's spending, five looks, as their program prints them: its
/// grid leaves it one off in the fourth decimal, as the total of .05 shows.
#[test]
fn lan_and_demets_bounds() {
    let found = bounds(Spending::ObrienFleming, &equal_times(5), 0.05).unwrap();
    for (found, printed) in found.iter().zip([4.8769, 3.3570, 2.6803, 2.2899, 2.0311]) {
        assert!((found - printed).abs() < 1.5e-4, "{found} is not {printed}");
    }
    for spending in [Spending::ObrienFleming, Spending::Pocock] {
        for times in [equal_times(1), equal_times(7), vec![0.01, 0.02, 0.3, 1.0], equal_times(40)] {
            let found = bounds(spending, &times, 0.05).unwrap();
            let crossed = crossing_probability(&found, &times).unwrap();
            assert!((crossed - 0.05).abs() < 1e-8, "{spending:?} {times:?}: {crossed}");
        }
    }
}

/// Armitage, McPherson and Rowe 1969, table 2: what peeking costs.
#[test]
fn naive_peeking() {
    let z = normal_quantile(0.975);
    for (looks, percent) in [(1, 5.0), (2, 8.3), (5, 14.2), (10, 19.3), (20, 24.8)] {
        let found = crossing_probability(&vec![z; looks as usize], &equal_times(looks)).unwrap();
        close(found * 100.0, percent, 1);
    }
}
