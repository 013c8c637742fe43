//! Bounds for a planned number of looks.

use crate::Interval;
use crate::distribution::{normal_cdf, normal_pdf, normal_quantile};
use crate::error::{Error, fraction, within};
use crate::lift::{Estimate, Lift, relative_interval};
use crate::quadrature::nodes;

/// How much of alpha may be spent until a share `t` of the information is in (Lan and DeMets 1983). Each side
/// spends half of alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// Like O'Brien and Fleming's bounds: 2 - 2 Phi(z_{a/2} / sqrt t) a side. Little early, almost all at
    /// the end.
    ObrienFleming,
    /// Like Pocock's: a ln(1 + (e - 1) t) a side.
    Pocock,
}

impl Spending {
    /// What one side that may spend `alpha` in all has spent at `time`, 0 to 1.
    fn spent(self, alpha: f64, time: f64) -> f64 {
        match self {
            Self::ObrienFleming => 2.0 * normal_cdf(normal_quantile(alpha / 2.0) / time.sqrt()),
            Self::Pocock => alpha * (1.0 + (std::f64::consts::E - 1.0) * time).ln(),
        }
    }
}

/// Bounds beyond any that a float's probability can tell apart.
const NEVER: f64 = 37.0;

/// Two-sided symmetric bounds on z at looks at information `times` (ascending, above 0, at most 1), by recursive
/// numerical integration (Armitage, McPherson, Rowe 1969; Jennison and Turnbull 1999, chapter 19).
///
/// # Errors
/// `alpha` outside (0, 1), or times that do not ascend within (0, 1].
pub fn bounds(spending: Spending, times: &[f64], alpha: f64) -> Result<Vec<f64>, Error> {
    fraction("alpha", alpha)?;
    check(times)?;
    let side = alpha / 2.0;
    let mut walk = Walk::default();
    let mut found = Vec::with_capacity(times.len());
    let mut spent = 0.0;
    for time in times {
        let may = spending.spent(side, *time);
        let now = may - spent;
        spent = may;
        let (mut low, mut high) = (0.0, NEVER);
        for _ in 0..80 {
            let bound = 0.5 * (low + high);
            if walk.above(bound, *time) > now { low = bound } else { high = bound }
        }
        found.push(high);
        walk.step(high, *time);
    }
    Ok(found)
}

/// Repeated confidence intervals (Jennison and Turnbull 1989), absolute and relative: the lift plus and minus this
/// look's bound times its standard error. Those of all planned looks hold together.
#[must_use]
pub fn lift(
    bound: f64,
    control: &Estimate,
    treatment: &Estimate,
    lift: &Lift,
) -> (Interval, Option<Interval>) {
    let interval = Interval::around(lift.absolute, bound * lift.standard_error);
    (interval, relative_interval(control, treatment, bound))
}

/// Smaller ones are not told apart.
const LEAST_P: f64 = 1e-12;

/// The repeated p value (Jennison and Turnbull 1989) at the last of `times`: the smallest alpha whose bound there does not
/// exceed the statistic z, so that it is below alpha exactly when the repeated confidence interval excludes 0. At least
/// 1e-12, to a relative error below 1e-7.
///
/// # Errors
/// Times that do not ascend within (0, 1].
pub fn repeated_p(spending: Spending, times: &[f64], statistic: f64) -> Result<f64, Error> {
    let statistic = statistic.abs();
    if statistic.is_nan() {
        return Ok(1.0);
    }
    // How far the bound at exp(log_alpha) is above the statistic; it falls with alpha.
    let above = |log_alpha: f64| {
        let found = bounds(spending, times, log_alpha.exp())?;
        Ok::<_, Error>(found.last().copied().unwrap_or(NEVER) - statistic)
    };
    let (mut low, mut high) = (LEAST_P.ln(), (1.0 - 1e-9_f64).ln());
    let (mut at_low, mut at_high) = (above(low)?, above(high)?);
    if at_low <= 0.0 {
        return Ok(LEAST_P);
    }
    if at_high > 0.0 {
        return Ok(1.0);
    }
    // Illinois: regula falsi that halves the end which stays, kept inside the bracket by bisection.
    for step in 0..100 {
        if high - low < 1e-8 {
            break;
        }
        let chord = high - at_high * (high - low) / (at_high - at_low);
        let is_inside = chord > low && chord < high && step % 4 != 3;
        let middle = if is_inside { chord } else { 0.5 * (low + high) };
        let now = above(middle)?;
        if now > 0.0 {
            (low, at_low) = (middle, now);
            at_high *= 0.5;
        } else {
            (high, at_high) = (middle, now);
            at_low *= 0.5;
        }
        if now.abs() < 1e-9 {
            return Ok(middle.exp());
        }
    }
    Ok(high.exp())
}

/// Probability that z crosses `bounds` (two-sided) at any look at `times`, if nothing changed: what looking
/// costs. Equal bounds of 1.96 are naive peeking.
///
/// # Errors
/// Lists of different lengths, or times that do not ascend within (0, 1].
pub fn crossing_probability(bounds: &[f64], times: &[f64]) -> Result<f64, Error> {
    let (above, below) = crossing_with_drift(bounds, times, 0.0)?;
    Ok(above + below)
}

/// Of the upper and of the lower bounds, whichever comes first.
fn crossing_with_drift(bounds: &[f64], times: &[f64], drift: f64) -> Result<(f64, f64), Error> {
    check(times)?;
    if bounds.len() != times.len() {
        return Err(Error::Lengths { first: bounds.len(), second: times.len() });
    }
    let mut walk = Walk { drift, ..Walk::default() };
    let mut crossed = (0.0, 0.0);
    for (bound, time) in bounds.iter().zip(times) {
        crossed.0 += walk.above(*bound, *time);
        crossed.1 += walk.below(*bound, *time);
        walk.step(*bound, *time);
    }
    Ok(crossed)
}

fn check(times: &[f64]) -> Result<(), Error> {
    let mut last = 0.0;
    for time in times {
        within("time", *time, *time > last && *time <= 1.0, "ascending within (0, 1]")?;
        last = *time;
    }
    Ok(())
}

/// The drift of z (effect / standard error at time 1) at which the upper of `bounds` are crossed at some look at `times`,
/// and the lower ones not before, with probability `power`: what z_a + z_b is to a single look (Jennison and Turnbull
/// 1999, chapter 2; their inflation factor is the square of the quotient).
///
/// # Errors
/// A power outside (0, 1) or below what `bounds` cross without a drift; lists of different lengths; times that do not
/// ascend within (0, 1].
pub fn drift(bounds: &[f64], times: &[f64], power: f64) -> Result<f64, Error> {
    fraction("power", power)?;
    let least = crossing_with_drift(bounds, times, 0.0)?.0;
    within("power", power, power >= least, "at least half of the level")?;
    let (mut low, mut high) = (0.0, NEVER);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if crossing_with_drift(bounds, times, middle)?.0 < power { low = middle } else { high = middle }
    }
    Ok(high)
}

/// The density of a Brownian motion that no bound has stopped yet.
#[derive(Default)]
struct Walk {
    /// A unit of time moves it up by so much.
    drift: f64,
    time: f64,
    /// Places, and density times quadrature weight; nothing: all of it at 0.
    mass: Vec<(f64, f64)>,
    /// The coarsest scale on which the density varies.
    scale: f64,
}

impl Walk {
    /// Probability of being above `bound` (of z) at `time`.
    fn above(&self, bound: f64, time: f64) -> f64 {
        self.beyond(bound, time, 1.0)
    }

    /// Probability of being below -`bound` (of z) at `time`.
    fn below(&self, bound: f64, time: f64) -> f64 {
        self.beyond(bound, time, -1.0)
    }

    fn beyond(&self, bound: f64, time: f64, sign: f64) -> f64 {
        let (place, sigma) = (bound * time.sqrt(), (time - self.time).sqrt());
        let moved = sign * self.drift * (time - self.time);
        if self.mass.is_empty() {
            return normal_cdf((moved - place) / sigma);
        }
        self.mass.iter().map(|(x, mass)| mass * normal_cdf((sign * x + moved - place) / sigma)).sum()
    }

    /// Goes on to `time`, and stops what is beyond `bound` there.
    fn step(&mut self, bound: f64, time: f64) {
        let sigma = (time - self.time).sqrt();
        let moved = self.drift * (time - self.time);
        // Beyond eight standard deviations there is nothing to integrate.
        let (root, middle) = (time.sqrt(), self.drift * time);
        let low = (-bound * root).max(middle - 8.5 * root);
        let high = (bound * root).min(middle + 8.5 * root);
        self.scale = if self.mass.is_empty() { sigma } else { self.scale.min(sigma) };
        let panels = (((high - low) / self.scale).ceil() as usize).clamp(4, 400);
        let density = |x: f64| {
            if self.mass.is_empty() {
                return normal_pdf((x - moved) / sigma) / sigma;
            }
            self.mass.iter().map(|(from, mass)| mass * normal_pdf((x - from - moved) / sigma)).sum::<f64>()
                / sigma
        };
        self.mass = if low < high {
            nodes(low, high, panels).map(|(x, weight)| (x, weight * density(x))).collect()
        } else {
            // All of it was stopped.
            vec![(0.0, 0.0)]
        };
        self.time = time;
    }
}
