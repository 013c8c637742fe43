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
            if walk.beyond(bound, *time) > now { low = bound } else { high = bound }
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

/// Probability that z crosses `bounds` (two-sided) at any look at `times`, if nothing changed: what looking
/// costs. Equal bounds of 1.96 are naive peeking.
///
/// # Errors
/// Lists of different lengths, or times that do not ascend within (0, 1].
pub fn crossing_probability(bounds: &[f64], times: &[f64]) -> Result<f64, Error> {
    check(times)?;
    if bounds.len() != times.len() {
        return Err(Error::Lengths { first: bounds.len(), second: times.len() });
    }
    let mut walk = Walk::default();
    let mut crossed = 0.0;
    for (bound, time) in bounds.iter().zip(times) {
        crossed += 2.0 * walk.beyond(*bound, *time);
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

/// The density of a Brownian motion that no bound has stopped yet.
#[derive(Default)]
struct Walk {
    time: f64,
    /// Places, and density times quadrature weight; nothing: all of it at 0.
    mass: Vec<(f64, f64)>,
    /// The coarsest scale on which the density varies.
    scale: f64,
}

impl Walk {
    /// Probability of being above `bound` (of z) at `time`, on one side.
    fn beyond(&self, bound: f64, time: f64) -> f64 {
        let (place, sigma) = (bound * time.sqrt(), (time - self.time).sqrt());
        if self.mass.is_empty() {
            return normal_cdf(-place / sigma);
        }
        self.mass.iter().map(|(x, mass)| mass * normal_cdf((x - place) / sigma)).sum()
    }

    /// Goes on to `time`, and stops what is beyond `bound` there.
    fn step(&mut self, bound: f64, time: f64) {
        let sigma = (time - self.time).sqrt();
        // Beyond eight standard deviations there is nothing to integrate.
        let edge = bound.min(8.5) * time.sqrt();
        self.scale = if self.mass.is_empty() { sigma } else { self.scale.min(sigma) };
        let panels = ((2.0 * edge / self.scale).ceil() as usize).clamp(4, 400);
        let density = |x: f64| {
            if self.mass.is_empty() {
                return normal_pdf(x / sigma) / sigma;
            }
            self.mass.iter().map(|(from, mass)| mass * normal_pdf((x - from) / sigma)).sum::<f64>() / sigma
        };
        self.mass = nodes(-edge, edge, panels).map(|(x, weight)| (x, weight * density(x))).collect();
        self.time = time;
    }
}
