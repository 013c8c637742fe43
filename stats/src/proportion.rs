//! Shares of units, and their comparison.

use crate::distribution::{normal_cdf, normal_quantile};
use crate::error::{Error, fraction, positive, within};
use crate::{Interval, Moments};

/// A number of successes among units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    successes: f64,
    units: f64,
}

impl Share {
    /// Creates the share `successes` of `units`.
    ///
    /// # Errors
    /// If there are no units, or more successes than units.
    pub fn new(successes: f64, units: f64) -> Result<Self, Error> {
        positive("units", units)?;
        within("successes", successes, (0.0..=units).contains(&successes), "0 to the number of units")?;
        Ok(Self { successes, units })
    }

    /// Returns the share, 0 to 1.
    #[must_use]
    pub fn value(self) -> f64 {
        self.successes / self.units
    }

    /// Returns the number of events: successes, or the count among effective trials.
    #[must_use]
    pub fn events(self) -> f64 {
        self.successes
    }

    /// Returns Wilson's score interval (1927): the shares that a score test at `alpha` does not reject.
    ///
    /// # Errors
    /// `alpha` outside (0, 1).
    pub fn wilson(self, alpha: f64) -> Result<Interval, Error> {
        fraction("alpha", alpha)?;
        Ok(self.wilson_at(critical(alpha)))
    }

    fn wilson_at(self, z: f64) -> Interval {
        let (n, p, square) = (self.units, self.value(), z * z);
        let centre = p + square / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
        let below = 1.0 + square / n;
        Interval { low: ((centre - half) / below).max(0.0), high: ((centre + half) / below).min(1.0) }
    }
}

/// Two shares compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Treatment - control.
    pub absolute: f64,
    /// Newcombe's hybrid score interval.
    pub interval: Interval,
    /// The smallest alpha at which that interval excludes 0.
    pub p: f64,
}

/// Computes Newcombe's hybrid score interval (1998, method 10) of `treatment - control`, and the p value that belongs
/// to it. Independent units, any sizes; for small ones it keeps its level where Wald's does not.
///
/// # Errors
/// `alpha` outside (0, 1).
pub fn newcombe(control: Share, treatment: Share, alpha: f64) -> Result<Difference, Error> {
    fraction("alpha", alpha)?;
    let absolute = treatment.value() - control.value();
    let (mut low, mut high) = (0.0, 40.0);
    // The interval grows with z; bisect for the one that touches 0.
    for _ in 0..100 {
        let z = 0.5 * (low + high);
        if newcombe_at(control, treatment, z).contains(0.0) { high = z } else { low = z }
    }
    let p = if absolute == 0.0 { 1.0 } else { (2.0 * normal_cdf(-high)).min(1.0) };
    Ok(Difference { absolute, interval: newcombe_at(control, treatment, critical(alpha)), p })
}

fn newcombe_at(control: Share, treatment: Share, z: f64) -> Interval {
    let (c, t) = (control.wilson_at(z), treatment.wilson_at(z));
    let (pc, pt) = (control.value(), treatment.value());
    let absolute = pt - pc;
    Interval {
        low: absolute - ((pt - t.low).powi(2) + (c.high - pc).powi(2)).sqrt(),
        high: absolute + ((t.high - pt).powi(2) + (pc - c.low).powi(2)).sqrt(),
    }
}

/// Converts shares of clustered trials to shares of independent ones: Rao and Scott (1992, "A simple method for the
/// analysis of clustered binary data"). The units of an arm are clusters, with the columns `numerator` (events) and
/// `denominator` (trials; `None`: one a unit). An arm's design effect is the variance of its share by the delta method over
/// that of independent trials, p (1 - p) / sum d; its trials are sum d over the largest of 1, this, and the design effect of
/// both arms together about their common share: an arm without events yet does not show how events
/// cluster. Without any event in either, or without a trial that has none, trials are (sum d)^2 / sum d^2 (Kish 1965).
///
/// # Errors
/// If an arm has no trials, or more events than trials.
pub fn clustered(
    arms: [&Moments; 2],
    numerator: usize,
    denominator: Option<usize>,
) -> Result<[Share; 2], Error> {
    let clusters = arms.map(|arm| Clusters::of(arm, numerator, denominator));
    let [events, trials] =
        [clusters.iter().map(|c| c.events).sum::<f64>(), clusters.iter().map(|c| c.trials).sum::<f64>()];
    let common = events / positive("trials", trials)?;
    let both = clusters.iter().map(|c| c.residual(common)).sum::<f64>() / (common * (1.0 - common) * trials);
    let share = |c: &Clusters<'_>| {
        let own = c.events / positive("trials", c.trials)?;
        let alone = c.residual(own) / (own * (1.0 - own) * c.trials);
        let trials = if common > 0.0 && common < 1.0 {
            // `f64::max` ignores NaN, which an arm without events has.
            c.trials / both.max(1.0).max(alone)
        } else {
            c.trials * c.trials / positive("trials", c.squares())?
        };
        Share::new(own * trials, trials)
    };
    let [control, treatment] = &clusters;
    Ok([share(control)?, share(treatment)?])
}

/// The units of an arm as clusters of trials.
struct Clusters<'m> {
    units: &'m Moments,
    numerator: usize,
    denominator: Option<usize>,
    events: f64,
    trials: f64,
}

impl<'m> Clusters<'m> {
    fn of(units: &'m Moments, numerator: usize, denominator: Option<usize>) -> Self {
        let events = units.count() * units.mean(numerator);
        let trials = units.count() * denominator.map_or(1.0, |column| units.mean(column));
        Self { units, numerator, denominator, events, trials }
    }

    /// Returns the sum over units of (events - share x trials)^2.
    fn residual(&self, share: f64) -> f64 {
        let n = self.units.count();
        let mut weights = vec![(self.numerator, 1.0)];
        weights.extend(self.denominator.map(|column| (column, -share)));
        let mean = (self.events - share * self.trials) / n;
        (n - 1.0) * self.units.variance_of(&weights) + n * mean * mean
    }

    /// Returns the sum over units of trials^2.
    fn squares(&self) -> f64 {
        let n = self.units.count();
        let mean = self.trials / n;
        self.denominator.map_or(n, |d| (n - 1.0) * self.units.covariance(d, d) + n * mean * mean)
    }
}

/// Computes the pooled z test of equal shares: z and its two-sided p. The square of z is Pearson's chi-square of the
/// 2 x 2 table.
///
/// # Errors
/// If all or none of the units succeeded.
pub fn pooled_z(control: Share, treatment: Share) -> Result<(f64, f64), Error> {
    let pooled = (control.successes + treatment.successes) / (control.units + treatment.units);
    let variance = pooled * (1.0 - pooled) * (1.0 / control.units + 1.0 / treatment.units);
    if variance <= 0.0 {
        return Err(Error::NoVariance);
    }
    let z = (treatment.value() - control.value()) / variance.sqrt();
    Ok((z, (2.0 * normal_cdf(-z.abs())).min(1.0)))
}

fn critical(alpha: f64) -> f64 {
    -normal_quantile(alpha / 2.0)
}
