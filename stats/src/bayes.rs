//! Posteriors: how likely each arm is the best, and what choosing it may cost.

use serde::{Deserialize, Serialize};

use crate::distribution::{beta_cdf, beta_pdf, normal_cdf, normal_pdf};
use crate::error::{Error, positive, within};
use crate::lift::Estimate;
use crate::quadrature::nodes;

/// What is believed of an arm's metric; more is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Posterior {
    /// A share: beta(alpha, beta).
    Beta {
        /// Prior + successes.
        alpha: f64,
        /// Prior + failures.
        beta: f64,
    },
    /// A mean: normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        deviation: f64,
    },
}

impl Posterior {
    /// Of a share under a beta(`prior.0`, `prior.1`) prior; (1, 1) says nothing.
    ///
    /// # Errors
    /// Priors that are not positive, more successes than units.
    pub fn share(successes: f64, units: f64, prior: (f64, f64)) -> Result<Self, Error> {
        within("successes", successes, (0.0..=units).contains(&successes), "0 to the number of units")?;
        Ok(Self::Beta {
            alpha: positive("prior", prior.0)? + successes,
            beta: positive("prior", prior.1)? + units - successes,
        })
    }

    /// Of a mean under a flat prior.
    ///
    /// # Errors
    /// A standard error that is not positive.
    pub fn flat(estimate: &Estimate) -> Result<Self, Error> {
        let deviation = positive("standard error", estimate.standard_error)?;
        Ok(Self::Normal { mean: estimate.value, deviation })
    }

    /// Of a mean under a normal prior (mean, deviation): precisions add up.
    ///
    /// # Errors
    /// A standard error or prior deviation that is not positive.
    pub fn normal(estimate: &Estimate, prior: (f64, f64)) -> Result<Self, Error> {
        let data = positive("standard error", estimate.standard_error)?.powi(-2);
        let belief = positive("prior deviation", prior.1)?.powi(-2);
        let mean = (data * estimate.value + belief * prior.0) / (data + belief);
        Ok(Self::Normal { mean, deviation: (data + belief).powf(-0.5) })
    }

    /// Its mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self {
            Self::Beta { alpha, beta } => alpha / (alpha + beta),
            Self::Normal { mean, .. } => *mean,
        }
    }

    fn deviation(&self) -> f64 {
        match self {
            Self::Beta { alpha, beta } => {
                let n = alpha + beta;
                (alpha * beta / (n * n * (n + 1.0))).sqrt()
            }
            Self::Normal { deviation, .. } => *deviation,
        }
    }

    fn cdf(&self, x: f64) -> f64 {
        match self {
            Self::Beta { alpha, beta } => beta_cdf(x, *alpha, *beta),
            Self::Normal { mean, deviation } => normal_cdf((x - mean) / deviation),
        }
    }

    fn pdf(&self, x: f64) -> f64 {
        match self {
            Self::Beta { alpha, beta } => beta_pdf(x, *alpha, *beta),
            Self::Normal { mean, deviation } => normal_pdf((x - mean) / deviation) / deviation,
        }
    }

    /// Where all but 1e-15 of it is.
    fn range(&self) -> (f64, f64) {
        match self {
            // Skewed where it is wide, so take all of it there.
            Self::Beta { alpha, beta } if alpha.min(*beta) < 100.0 => (0.0, 1.0),
            Self::Beta { .. } => {
                let (mean, deviation) = (self.mean(), self.deviation());
                ((mean - 10.0 * deviation).max(0.0), (mean + 10.0 * deviation).min(1.0))
            }
            Self::Normal { mean, deviation } => (mean - 8.5 * deviation, mean + 8.5 * deviation),
        }
    }
}

/// One arm compared with the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Probability that it has the highest value.
    pub probability_best: f64,
    /// Expected value lost by choosing it: E(highest) - E(its own), in the metric's unit.
    pub expected_loss: f64,
}

/// Compares independent posteriors by quadrature: P(i is best) is the integral of f_i times the others' F, and
/// E(highest) that of x times the density of the maximum. Absolute error below 1e-9 of the widest range.
#[must_use]
pub fn compare(arms: &[Posterior]) -> Vec<Standing> {
    let ranges: Vec<(f64, f64)> = arms.iter().map(Posterior::range).collect();
    let low = ranges.iter().map(|range| range.0).fold(f64::INFINITY, f64::min);
    let high = ranges.iter().map(|range| range.1).fold(f64::NEG_INFINITY, f64::max);
    let narrowest = arms.iter().map(Posterior::deviation).fold(f64::INFINITY, f64::min);
    let panels = (((high - low) / narrowest).ceil() as usize).clamp(32, 4000);
    let mut best = vec![0.0; arms.len()];
    // E(highest) = high - integral of the product of all F: no product of large numbers cancels.
    let mut below = 0.0;
    for (x, weight) in nodes(low, high, panels) {
        let cdfs: Vec<f64> = arms.iter().map(|arm| arm.cdf(x)).collect();
        below += weight * cdfs.iter().product::<f64>();
        for (i, arm) in arms.iter().enumerate() {
            let others: f64 = cdfs.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, cdf)| cdf).product();
            if others > 0.0 {
                best[i] += weight * arm.pdf(x) * others;
            }
        }
    }
    let highest = high - below;
    let standings = arms.iter().zip(best).map(|(arm, best)| Standing {
        probability_best: best.clamp(0.0, 1.0),
        expected_loss: (highest - arm.mean()).max(0.0),
    });
    standings.collect()
}
