//! Sample-ratio mismatch: do the arms have the planned shares?

use serde::{Deserialize, Serialize};

use crate::distribution::chi_square_sf;
use crate::error::{Error, positive, within};

/// Below this probability the split counts as broken, and no other result can be trusted (Fabijan et
/// al. 2019 use .0005 to .01; practice settled on .001).
pub const ALPHA: f64 = 0.001;

/// Result of a chi-square test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// Pearson's statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub degrees: f64,
    /// Probability of a statistic at least this large if the expectation holds; 1 without degrees of freedom.
    pub p: f64,
}

impl ChiSquare {
    /// Creates the result for a statistic computed elsewhere.
    #[must_use]
    pub fn of(statistic: f64, degrees: usize) -> Self {
        let degrees = degrees as f64;
        Self { statistic, degrees, p: chi_square_sf(statistic, degrees) }
    }
}

/// Tests Pearson's goodness of fit (1900): the sum of (observed - expected)^2 / expected. Cells that expect nothing
/// are left out; those that remain should expect five or more. Lists are matched up to the shorter one.
#[must_use]
pub fn goodness(observed: &[f64], expected: &[f64]) -> ChiSquare {
    let cells = || observed.iter().zip(expected).filter(|(_, expected)| **expected > 0.0);
    let statistic = cells().map(|(o, e)| (o - e).powi(2) / e).sum();
    ChiSquare::of(statistic, cells().count().saturating_sub(1))
}

/// Tests if `counts` of units have the planned `shares` (any positive scale).
///
/// # Errors
/// If the lists differ in length, a count or share is negative, or all shares are 0.
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

/// The threshold of [`Sequential`]: the chance that a sound split is ever refused, over all looks together. A chi-square
/// below [`ALPHA`] once a day refuses as many: 0.9 % within 28 days, 1.6 % within 90.
pub const ALPHA_AT_EVERY_LOOK: f64 = 0.01;

/// How strongly the priors of [`Sequential`] sit on the planned shares, in units, and their weights. The larger, the
/// smaller the mismatches that one is best at: a leak of 2 % is found by the last one, 5 to 10 % by the middle one, a
/// third of an arm by the first.
pub const CONCENTRATIONS: [(f64, f64); 3] = [(100.0, 0.1), (1000.0, 0.4), (10_000.0, 0.5)];

/// A check that may be looked at after every unit (Lindon and Malek 2022, "Anytime-Valid Inference for
/// Multinomial Count Data", section 3): the Bayes factor of Dirichlet(concentration x shares) against the
/// planned shares is a martingale under them, and so is a weighted mean of several; 1 / its largest value so far is
/// an always-valid p (Ville's inequality).
#[derive(Clone, Debug)]
pub struct Sequential {
    shares: Vec<f64>,
    /// Concentrations, and logarithms of their weights, which sum to 1.
    mixture: Vec<(f64, f64)>,
    log_largest: f64,
}

impl Sequential {
    /// Of planned `shares` (any positive scale), by a mixture of `(concentration, weight)` (weights of any positive
    /// scale), such as [`CONCENTRATIONS`].
    ///
    /// # Errors
    /// A negative share, no shares, or concentrations or weights that are not positive.
    pub fn new(shares: &[f64], mixture: &[(f64, f64)]) -> Result<Self, Error> {
        let (_, all) = totals(shares, shares)?;
        let weights = positive("sum of weights", mixture.iter().map(|(_, weight)| weight).sum())?;
        let part = |(concentration, weight): &(f64, f64)| {
            Ok((positive("concentration", *concentration)?, (positive("weight", *weight)? / weights).ln()))
        };
        let mixture = mixture.iter().map(part).collect::<Result<_, Error>>()?;
        let shares = shares.iter().map(|share| share / all).collect();
        Ok(Self { shares, mixture, log_largest: 0.0 })
    }

    /// Takes the counts from the beginning until now; returns the always-valid p.
    ///
    /// # Errors
    /// Another number of counts than shares, or a negative count. A unit in an arm that plans none: p = 0.
    pub fn look(&mut self, counts: &[f64]) -> Result<f64, Error> {
        let (total, _) = totals(counts, &self.shares)?;
        let logs: Vec<f64> = self
            .mixture
            .iter()
            .map(|(concentration, log_weight)| log_weight + self.log_factor(*concentration, counts, total))
            .collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_factor = match most.is_finite() {
            true => most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln(),
            false => most,
        };
        self.log_largest = self.log_largest.max(log_factor);
        Ok((-self.log_largest).exp())
    }

    /// Logarithm of the Bayes factor against the planned shares.
    fn log_factor(&self, concentration: f64, counts: &[f64], total: f64) -> f64 {
        let mut log_factor = -log_rising(concentration, total);
        for (count, share) in counts.iter().zip(&self.shares) {
            if *share > 0.0 {
                log_factor += log_rising(concentration * share, *count) - count * share.ln();
            } else if *count > 0.0 {
                return f64::INFINITY;
            }
        }
        log_factor
    }
}

/// ln Gamma(a + n) - ln Gamma(a).
fn log_rising(a: f64, n: f64) -> f64 {
    libm::lgamma(a + n) - libm::lgamma(a)
}
