//! Quantiles of units' values, such as the 95th percentile of latency.

use crate::distribution::normal_quantile;
use crate::error::{Error, fraction};
use crate::lift::{Estimate, ratio};
use crate::{Interval, Moments};

/// Returns the `p` quantile of ascending values: linear between order statistics (Hyndman and Fan 1996, type 7; numpy's
/// default).
///
/// # Errors
/// If there are no values, or `p` is outside (0, 1).
pub fn quantile(ascending: &[f64], p: f64) -> Result<f64, Error> {
    fraction("p", p)?;
    at(ascending, p * (ascending.len() as f64 - 1.0))
}

fn at(ascending: &[f64], position: f64) -> Result<f64, Error> {
    let too_few = Error::TooFewUnits { needed: 1.0, found: ascending.len() as f64 };
    let last = ascending.len().checked_sub(1).ok_or(too_few)?;
    let position = position.clamp(0.0, last as f64);
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    Ok(ascending[below] + (position - below as f64) * (ascending[above] - ascending[below]))
}

/// Woodruff's interval (1952): the quantiles at p +- z sqrt(p (1 - p) / n). No shape of the distribution is
/// assumed; n p and n (1 - p) should be 20 or more. Values of independent units, one each.
///
/// # Errors
/// If there are no values, or `p` or `alpha` is outside (0, 1).
pub fn interval(ascending: &[f64], p: f64, alpha: f64) -> Result<Interval, Error> {
    fraction("p", p)?;
    let z = -normal_quantile(fraction("alpha", alpha)? / 2.0);
    let n = ascending.len() as f64;
    let half = z * (p * (1.0 - p) / n).sqrt();
    Ok(Interval { low: at(ascending, (p - half) * (n - 1.0))?, high: at(ascending, (p + half) * (n - 1.0))? })
}

/// Returns the quantile with the standard error that its 95 % Woodruff interval implies: width / (2 x 1.96). Two
/// arms' estimates go into [`crate::lift::lift`].
///
/// # Errors
/// As [`interval`].
pub fn estimate(ascending: &[f64], p: f64) -> Result<Estimate, Error> {
    let around = interval(ascending, p, 0.05)?;
    let z = -normal_quantile(0.025);
    Ok(Estimate {
        value: quantile(ascending, p)?,
        standard_error: (around.high - around.low) / (2.0 * z),
        degrees: f64::INFINITY,
        count: ascending.len() as f64,
    })
}

/// Width of the band from which the density is taken where units are so many that values repeat (whole milliseconds).
const NARROWEST: f64 = 0.005;

/// A quantile of all values of units that have several, such as the latency of their requests: where to look for
/// its standard error.
///
/// The share of values up to the quantile is a ratio of two sums over units, so the delta method gives its error
/// ([`ratio`]); the quantiles at shares a little below and above turn it into one of the quantile (Woodruff 1952;
/// Deng, Knoblich, Lu 2018, section 4, do the same with a density). Units are independent, their values need not be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Share below, 0 to 1.
    pub low: f64,
    /// Share above, 0 to 1.
    pub high: f64,
    share_error: f64,
    units: f64,
}

impl Probe {
    /// For the `p` quantile. `units` has two columns: how many of a unit's values are not above the quantile, and how
    /// many it has.
    ///
    /// # Errors
    /// `p` outside (0, 1), fewer than two units, or no values.
    pub fn of(units: &Moments, p: f64) -> Result<Self, Error> {
        fraction("p", p)?;
        let share = ratio(units, 0, 1)?;
        let least = NARROWEST.min(p / 2.0).min((1.0 - p) / 2.0);
        let band = (-normal_quantile(0.025) * share.standard_error).max(least);
        Ok(Self {
            low: (p - band).max(0.0),
            high: (p + band).min(1.0),
            share_error: share.standard_error,
            units: share.count,
        })
    }

    /// The quantile, with the quantiles found at [`Self::low`] and [`Self::high`]: standard error (above - below) /
    /// (high - low) x the share's.
    #[must_use]
    pub fn estimate(&self, value: f64, below: f64, above: f64) -> Estimate {
        let slope = (above - below) / (self.high - self.low);
        let standard_error = slope * self.share_error;
        Estimate { value, standard_error, degrees: (self.units - 1.0).max(1.0), count: self.units }
    }
}
