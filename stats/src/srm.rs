//! Sample-ratio mismatch: whether the arms have the shares that were planned.

use serde::{Deserialize, Serialize};

use crate::distribution::chi_square_sf;
use crate::error::{Error, positive, within};

/// Below this probability the split is taken for broken, and nothing else is to be believed (Fabijan et
/// al. 2019 use .0005 to .01; practice settled on .001).
pub const ALPHA: f64 = 0.001;

/// A chi-square test's result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// Pearson's statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub degrees: f64,
    /// Probability of so large a statistic if the expectation holds; 1 without degrees.
    pub p: f64,
}

impl ChiSquare {
    /// Of a statistic that is there already.
    #[must_use]
    pub fn of(statistic: f64, degrees: usize) -> Self {
        let degrees = degrees as f64;
        Self { statistic, degrees, p: chi_square_sf(statistic, degrees) }
    }
}

/// Pearson's goodness of fit (1900): the sum of (observed - expected)^2 / expected. Cells that expect nothing
/// are left out; those that remain should expect five or more. Lists are matched up to the shorter one.
#[must_use]
pub fn goodness(observed: &[f64], expected: &[f64]) -> ChiSquare {
    let cells = || observed.iter().zip(expected).filter(|(_, expected)| **expected > 0.0);
    let statistic = cells().map(|(o, e)| (o - e).powi(2) / e).sum();
    ChiSquare::of(statistic, cells().count().saturating_sub(1))
}

/// Whether `counts` of units have the planned `shares` (any positive scale).
///
/// # Errors
/// Lists of different lengths, a negative count or share, or no shares at all.
pub fn check(counts: &[f64], shares: &[f64]) -> Result<ChiSquare, Error> {
    let (total, all) = totals(counts, shares)?;
    let expected: Vec<f64> = shares.iter().map(|share| share / all * total).collect();
    Ok(goodness(counts, &expected))
}

fn totals(counts: &[f64], shares: &[f64]) -> Result<(f64, f64), Error> {
    if counts.len() != shares.len() {
        return Err(Error::Lengths { first: counts.len(), second: shares.len() });
    }
    for count in counts {
        within("count", *count, *count >= 0.0 && count.is_finite(), "0 or more")?;
    }
    for share in shares {
        within("share", *share, *share >= 0.0 && share.is_finite(), "0 or more")?;
    }
    Ok((counts.iter().sum(), positive("sum of shares", shares.iter().sum())?))
}

/// How strongly the prior of [`Sequential`] sits on the planned shares, in units. The larger, the smaller the
/// mismatches that it is best at: this suits a few parts in a hundred.
pub const CONCENTRATION: f64 = 10_000.0;

/// A check that may be looked at after every unit (Lindon and Malek 2022, "Anytime-Valid Inference for
/// Multinomial Count Data", section 3): the Bayes factor of Dirichlet(concentration x shares) against the
/// planned shares is a martingale under them, so 1 / its largest value so far is an always-valid p.
#[derive(Clone, Debug)]
pub struct Sequential {
    shares: Vec<f64>,
    concentration: f64,
    log_largest: f64,
}

impl Sequential {
    /// Of planned `shares` (any positive scale).
    ///
    /// # Errors
    /// A negative share, no shares, or a concentration that is not positive.
    pub fn new(shares: &[f64], concentration: f64) -> Result<Self, Error> {
        let (_, all) = totals(shares, shares)?;
        positive("concentration", concentration)?;
        let shares = shares.iter().map(|share| share / all).collect();
        Ok(Self { shares, concentration, log_largest: 0.0 })
    }

    /// Takes the counts from the beginning until now; returns the always-valid p.
    ///
    /// # Errors
    /// Another number of counts than shares, or a negative count. A unit in an arm that plans none: p = 0.
    pub fn look(&mut self, counts: &[f64]) -> Result<f64, Error> {
        let (total, _) = totals(counts, &self.shares)?;
        let mut log_factor = log_rising(self.concentration, total);
        for (count, share) in counts.iter().zip(&self.shares) {
            if *share > 0.0 {
                log_factor -= log_rising(self.concentration * share, *count) - count * share.ln();
            } else if *count > 0.0 {
                log_factor = f64::NEG_INFINITY;
            }
        }
        self.log_largest = self.log_largest.max(-log_factor);
        Ok((-self.log_largest).exp())
    }
}

/// ln Gamma(a + n) - ln Gamma(a).
fn log_rising(a: f64, n: f64) -> f64 {
    libm::lgamma(a + n) - libm::lgamma(a)
}
