//! How certain it is that a variant does worse: tests that may be looked at at any time.
//!
//! A trial is a unit, never a request: it is bad once one of its exchanges was. `guardrail/mod.rs` says why the
//! bounds hold although a unit can turn bad while a test runs.
//!
//! Units of an arm are taken for Bernoulli trials with an unknown rate. For each arm, the likelihood
//! mixed over all rates with Jeffreys' prior, divided by the likelihood at the true rate, is a
//! test martingale; so is the product over both arms. Were the variant no worse than is tolerated, the
//! product at the true rates would ever reach 1/alpha with a chance of at most alpha (Ville's
//! inequality), whenever and however often one looks, and for any number of requests: nothing is
//! approximated by a normal distribution, so rare errors need no care. The true rates are not known,
//! so the pair that is tolerated and fits best stands for them, which makes the test safer still.
//! (Robbins 1970, "Statistical methods related to the law of the iterated logarithm", for the
//! mixture; Howard, Ramdas, McAuliffe, Sekhon 2021 for its use as a confidence sequence.)

/// How many units of an arm were seen, and how many of them had a bad exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Units that were seen.
    pub units: u32,
    /// Those of them that had at least one bad exchange.
    pub bad: u32,
}

impl Count {
    /// The share that went badly, 0 to 1; 0 without units.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.units == 0 { 0.0 } else { f64::from(self.bad) / f64::from(self.units) }
    }

    fn good(self) -> u32 {
        self.units.saturating_sub(self.bad)
    }

    /// Minus the log of the likelihood at `rate`.
    fn surprise(self, rate: f64) -> f64 {
        -(times_ln(self.bad, rate) + times_ln(self.good(), 1.0 - rate))
    }

    /// The log of the likelihood mixed with Jeffreys' prior, Beta(1/2, 1/2).
    fn mixed(self) -> f64 {
        const LN_PI: f64 = 1.144_729_885_849_400_2;
        ln_gamma(f64::from(self.bad) + 0.5) + ln_gamma(f64::from(self.good()) + 0.5)
            - ln_gamma(f64::from(self.units) + 1.0)
            - LN_PI
    }
}

/// The log of the evidence that the rate of `variant` is more than `tolerated` (0 to 1) above that of
/// `control`; none, 0, unless it is seen to be. Evidence of `-ln(alpha)` is met by chance with a
/// probability of at most `alpha`.
#[must_use]
pub fn above_control(control: Count, variant: Count, tolerated: f64) -> f64 {
    if control.units == 0 || variant.rate() <= control.rate() + tolerated {
        return 0.0;
    }
    let rate = best_tolerated(control, variant, tolerated);
    let surprise = control.surprise(rate) + variant.surprise(rate + tolerated);
    (control.mixed() + variant.mixed() + surprise).max(0.0)
}

/// The same for a fixed limit of the rate (0 to 1).
#[must_use]
pub fn above_limit(variant: Count, limit: f64) -> f64 {
    if variant.rate() <= limit {
        return 0.0;
    }
    (variant.mixed() + variant.surprise(limit)).max(0.0)
}

/// The log of the evidence that bad units fall to the variant more often than its share of the units does, from 0
/// to 1: `share` is the variant's part of the units of both arms. None, 0, unless they are seen to.
///
/// If the arms are treated alike, every unit that turns bad is the variant's with the probability `share`,
/// independently of all others and of all that happened before, because the arms were drawn at random. Nothing is
/// assumed of the units: not that they fail independently, nor that they are alike, nor how often they ask.
#[must_use]
pub fn above_share(control: Count, variant: Count, share: f64) -> f64 {
    let bad = Count { units: control.bad.saturating_add(variant.bad), bad: variant.bad };
    above_limit(bad, share)
}

/// The same for one of several independent strata, such as proxies: the sum over the strata is the evidence of all of
/// them. Unlike [`above_share`] it is negative where a stratum speaks against a difference, without which the sum
/// would exceed a bound more often than it may.
#[cfg(feature = "advice")]
#[must_use]
pub fn stratum_above_share(control: Count, variant: Count, share: f64) -> f64 {
    let bad = Count { units: control.bad.saturating_add(variant.bad), bad: variant.bad };
    if bad.units == 0 { 0.0 } else { bad.mixed() + bad.surprise(bad.rate().min(share)) }
}

/// The rate of the control with which a variant `tolerated` above it explains best what was seen.
fn best_tolerated(control: Count, variant: Count, tolerated: f64) -> f64 {
    let part = |count: u32, rate: f64| if count == 0 { 0.0 } else { f64::from(count) / rate };
    // The surprise is convex in the rate, so its slope crosses zero once.
    let slope = |rate: f64| {
        part(control.good(), 1.0 - rate) - part(control.bad, rate)
            + part(variant.good(), 1.0 - rate - tolerated)
            - part(variant.bad, rate + tolerated)
    };
    let (mut low, mut high) = (0.0, 1.0 - tolerated);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

fn times_ln(count: u32, rate: f64) -> f64 {
    if count == 0 { 0.0 } else { f64::from(count) * rate.ln() }
}

/// The log of the gamma function for positive numbers (Stirling's series beyond 8).
fn ln_gamma(mut x: f64) -> f64 {
    const HALF_LN_TAU: f64 = 0.918_938_533_204_672_7;
    let mut below = 1.0;
    while x < 8.0 {
        below *= x;
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0));
    (x - 0.5) * x.ln() - x + HALF_LN_TAU + series - below.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bad: u32, units: u32) -> Count {
        Count { units, bad }
    }

    #[test]
    fn the_gamma_function_of_known_numbers() {
        let half = std::f64::consts::PI.sqrt().ln();
        let factorial_9: f64 = 362_880.0;
        for (x, expected) in [(0.5, half), (1.0, 0.0), (2.0, 0.0), (10.0, factorial_9.ln())] {
            assert!((ln_gamma(x) - expected).abs() < 1e-9, "{x}: {}", ln_gamma(x));
        }
        // ln(999,999!), from the recurrence.
        let summed: f64 = (1..1_000_000).map(|n| f64::from(n).ln()).sum();
        assert!((ln_gamma(1e6) - summed).abs() < 1e-3);
    }

    #[test]
    fn mixtures_are_the_beta_function() {
        // B(1/2 + 1, 1/2 + 1) / B(1/2, 1/2) = 1/8, B(1/2, 5/2) / B(1/2, 1/2) = 3/8.
        assert!((of(1, 2).mixed() - (1.0_f64 / 8.0).ln()).abs() < 1e-9);
        assert!((of(0, 2).mixed() - (3.0_f64 / 8.0).ln()).abs() < 1e-9);
    }

    /// The mixed likelihoods of all outcomes are probabilities: that is why the mean of the evidence
    /// under the true rate is one.
    #[test]
    fn mixtures_add_up_to_one() {
        for n in [1_u32, 7, 40, 200] {
            let mut sum = 0.0;
            let mut choose = 0.0; // ln of n over k
            for k in 0..=n {
                sum += (choose + of(k, n).mixed()).exp();
                choose += (f64::from(n - k) / f64::from(k + 1)).ln();
            }
            assert!((sum - 1.0).abs() < 1e-6, "{n}: {sum}");
        }
    }

    #[test]
    fn the_best_tolerated_rate_is_the_pooled_one_or_the_nearest() {
        let pooled = best_tolerated(of(5, 500), of(45, 500), 0.0);
        assert!((pooled - 0.05).abs() < 1e-9, "{pooled}");
        let (control, variant) = (of(5, 500), of(45, 500));
        let best = best_tolerated(control, variant, 0.03);
        let surprise = |rate: f64| control.surprise(rate) + variant.surprise(rate + 0.03);
        for step in 1..960 {
            assert!(surprise(best) <= surprise(f64::from(step) / 1000.0) + 1e-9, "{step}");
        }
    }

    #[test]
    fn evidence_grows_with_the_difference_and_knows_no_sign_errors() {
        let control = of(5, 500);
        assert_eq!(above_control(control, of(5, 500), 0.0), 0.0);
        assert_eq!(above_control(control, of(0, 500), 0.0), 0.0);
        assert_eq!(above_control(of(0, 0), of(500, 500), 0.0), 0.0, "nothing to compare with");
        let some = above_control(control, of(15, 500), 0.0);
        let more = above_control(control, of(30, 500), 0.0);
        assert!(some < more && more > 1.0, "{some} {more}");
        assert!(above_control(control, of(30, 500), 0.02) < more);
        assert_eq!(above_control(control, of(30, 500), 0.05), 0.0);
        // 30 % errors against 1 %: beyond 1 in 10^30.
        assert!(above_control(control, of(150, 500), 0.01) > 69.0);
        assert!(above_control(of(0, 500), of(500, 500), 0.0).is_finite());
        assert!(above_control(of(0, u32::MAX), of(u32::MAX, u32::MAX), 0.999).is_finite());
    }

    #[test]
    fn limits_need_no_control() {
        assert_eq!(above_limit(of(10, 100), 0.1), 0.0);
        assert!(above_limit(of(30, 100), 0.1) > 10.0);
        assert!(above_limit(of(1, 1), 0.0).is_infinite(), "what may never happen has happened");
    }
}
