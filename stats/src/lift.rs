//! Means, ratios and what a treatment does to them.

use serde::{Deserialize, Serialize};

use crate::distribution::{t_quantile, t_sf};
use crate::error::{Error, fraction};
use crate::{Interval, Moments};

/// An estimate with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate, in the metric's unit.
    pub value: f64,
    /// Its standard error, in the same unit.
    pub standard_error: f64,
    /// Degrees of freedom of the standard error; infinite where it is known.
    pub degrees: f64,
    /// Number of units that the estimate rests on.
    pub count: f64,
}

/// Returns the mean of a column: standard error sqrt(s^2 / n), n - 1 degrees of freedom.
///
/// # Errors
/// Fewer than two units.
pub fn mean(moments: &Moments, column: usize) -> Result<Estimate, Error> {
    of_linear(moments, moments.mean(column), &[(column, 1.0)])
}

/// Returns the ratio of two columns' means, by the delta method (Deng, Knoblich, Lu 2018, "Applying the Delta
/// Method in Metric Analytics", equation 3): variance (s_nn - 2 R s_nd + R^2 s_dd) / (n d^2), with d the mean
/// denominator. Units are independent; a unit with denominator 0 counts. Not the average of ratios per unit.
///
/// # Errors
/// Fewer than two units, or a mean denominator of 0.
pub fn ratio(moments: &Moments, numerator: usize, denominator: usize) -> Result<Estimate, Error> {
    let (value, weights) = linearised(moments, numerator, denominator)?;
    of_linear(moments, value, &weights)
}

/// Returns the ratio, and the weights of the columns in (numerator - R denominator) / d.
pub(crate) fn linearised(
    moments: &Moments,
    numerator: usize,
    denominator: usize,
) -> Result<(f64, [(usize, f64); 2]), Error> {
    let below = moments.mean(denominator);
    crate::error::within("mean denominator", below, below != 0.0 && below.is_finite(), "not 0")?;
    let value = moments.mean(numerator) / below;
    Ok((value, [(numerator, 1.0 / below), (denominator, -value / below)]))
}

pub(crate) fn of_linear(moments: &Moments, value: f64, weights: &[(usize, f64)]) -> Result<Estimate, Error> {
    let count = moments.count();
    if count < 2.0 {
        return Err(Error::TooFewUnits { needed: 2.0, found: count });
    }
    let standard_error = (moments.variance_of(weights) / count).sqrt();
    Ok(Estimate { value, standard_error, degrees: count - 1.0, count })
}

/// The effect of a treatment against the control.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lift {
    /// Treatment - control.
    pub absolute: f64,
    /// Standard error of the absolute lift.
    pub standard_error: f64,
    /// Welch-Satterthwaite degrees of freedom.
    pub degrees: f64,
    /// Interval of the absolute lift.
    pub interval: Interval,
    /// (treatment - control) / |control|, so that more is positive for a negative control, too; absent where the
    /// control is 0, or an arm does not vary.
    pub relative: Option<f64>,
    /// Fieller's interval of the relative lift; absent where the control does not differ from 0, because
    /// the set is then unbounded, and where an arm does not vary, because its error is then not known.
    pub relative_interval: Option<Interval>,
    /// absolute / standard error.
    pub statistic: f64,
    /// Two-sided probability of a statistic as far from 0 if nothing changed.
    pub p: f64,
}

/// Computes Welch's t test (1947) of two independent estimates, and intervals that exclude 0 exactly when p < alpha:
/// absolute +- t se, and Fieller's (1954) for the ratio, with the same t.
///
/// # Errors
/// `alpha` outside (0, 1), or two estimates without variance.
pub fn lift(control: &Estimate, treatment: &Estimate, alpha: f64) -> Result<Lift, Error> {
    fraction("alpha", alpha)?;
    let (a, b) = (control.standard_error.powi(2), treatment.standard_error.powi(2));
    let standard_error = (a + b).sqrt();
    if standard_error == 0.0 {
        return Err(Error::NoVariance);
    }
    let degrees = (a + b).powi(2) / (a * a / control.degrees + b * b / treatment.degrees);
    let absolute = treatment.value - control.value;
    let statistic = absolute / standard_error;
    let critical = t_quantile(1.0 - alpha / 2.0, degrees);
    Ok(Lift {
        absolute,
        standard_error,
        degrees,
        interval: Interval::around(absolute, critical * standard_error),
        relative: relative(control, treatment),
        relative_interval: relative_interval(control, treatment, critical),
        statistic,
        p: (2.0 * t_sf(statistic.abs(), degrees)).min(1.0),
    })
}

/// Returns (treatment - control) / |control|; `None` where the control is 0, or an arm does not vary: a ratio of, say, none
/// to four events does not show a change of -100 %.
#[must_use]
pub fn relative(control: &Estimate, treatment: &Estimate) -> Option<f64> {
    let is_known = control.value != 0.0 && control.standard_error > 0.0 && treatment.standard_error > 0.0;
    is_known.then(|| (treatment.value - control.value) / control.value.abs())
}

/// Returns Fieller's interval of (treatment - control) / |control|, at `critical` standard errors: from the ratios r for which
/// treatment - r control is within this many of its standard errors of 0, r - 1 turned round where the control is
/// negative. Any critical value works, so it serves sequential bounds too. `None` where it is unbounded, or an arm
/// does not vary.
#[must_use]
pub fn relative_interval(control: &Estimate, treatment: &Estimate, critical: f64) -> Option<Interval> {
    let (c, t) = (control.value, treatment.value);
    let (vc, vt) = (control.standard_error.powi(2), treatment.standard_error.powi(2));
    let square = critical * critical;
    let below = c * c - square * vc;
    if below <= 0.0 || vc == 0.0 || vt == 0.0 {
        return None;
    }
    let root = (c * c * vt + t * t * vc - square * vc * vt).max(0.0).sqrt() * critical;
    let (low, high) = ((c * t - root) / below - 1.0, (c * t + root) / below - 1.0);
    Some(if c < 0.0 { Interval { low: -high, high: -low } } else { Interval { low, high } })
}
