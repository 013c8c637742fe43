//! Shares of units.

use crate::Interval;
use crate::distribution::{normal_cdf, normal_quantile};
use crate::error::{Error, fraction, positive, within};

/// Some of a number of units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    successes: f64,
    units: f64,
}

impl Share {
    /// `successes` of `units`.
    ///
    /// # Errors
    /// No units, or more successes than units.
    pub fn new(successes: f64, units: f64) -> Result<Self, Error> {
        positive("units", units)?;
        within("successes", successes, (0.0..=units).contains(&successes), "0 to the number of units")?;
        Ok(Self { successes, units })
    }

    /// The share, 0 to 1.
    #[must_use]
    pub fn value(self) -> f64 {
        self.successes / self.units
    }

    /// Wilson's score interval (1927): the shares that a score test at `alpha` does not reject.
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

/// Newcombe's hybrid score interval (1998, method 10) of `treatment - control`, and the p value that belongs
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

/// The pooled z test of equal shares: z and its two-sided p. The square of z is Pearson's chi-square of the
/// 2 x 2 table.
///
/// # Errors
/// Nobody or everybody succeeded.
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
