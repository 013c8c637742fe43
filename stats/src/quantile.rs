//! Quantiles of units' values, such as the 95th percentile of latency.

use crate::Interval;
use crate::distribution::normal_quantile;
use crate::error::{Error, fraction};
use crate::lift::Estimate;

/// The `p` quantile of ascending values: linear between order statistics (Hyndman and Fan 1996, type 7; numpy's
/// default).
///
/// # Errors
/// No values, or `p` outside (0, 1).
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
/// No values, or `p` or `alpha` outside (0, 1).
pub fn interval(ascending: &[f64], p: f64, alpha: f64) -> Result<Interval, Error> {
    fraction("p", p)?;
    let z = -normal_quantile(fraction("alpha", alpha)? / 2.0);
    let n = ascending.len() as f64;
    let half = z * (p * (1.0 - p) / n).sqrt();
    Ok(Interval { low: at(ascending, (p - half) * (n - 1.0))?, high: at(ascending, (p + half) * (n - 1.0))? })
}

/// The quantile with the standard error that its 95 % Woodruff interval implies: width / (2 x 1.96). Two
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
