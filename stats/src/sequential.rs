//! Intervals that hold at every look.

use crate::Interval;
use crate::error::{Error, fraction, positive};
use crate::lift::{Estimate, Lift, relative_interval};

/// An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, "Time-uniform central limit
/// theory and asymptotic confidence sequences", Theorem 2.2): after t units, with probability 1 - alpha at
/// all t at once,
///
/// |estimate - truth| <= sigma sqrt( 2 (t rho^2 + 1) / (t^2 rho^2) ln( sqrt(t rho^2 + 1) / alpha ) )
///
/// It assumes independent units with finite variance, and enough of them at the first look for a normal interval
/// to hold. `rho` decides when it is narrowest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceSequence {
    alpha: f64,
    rho_squared: f64,
}

impl ConfidenceSequence {
    /// Creates the sequence that is narrowest after about `tuned_for` units: rho^2 = (-2 ln alpha + ln(-2 ln alpha) + 1) / t (the
    /// paper's appendix B.2).
    ///
    /// # Errors
    /// `alpha` outside (0, 1), or `tuned_for` not positive.
    pub fn new(alpha: f64, tuned_for: f64) -> Result<Self, Error> {
        fraction("alpha", alpha)?;
        positive("tuned_for", tuned_for)?;
        let log = -2.0 * alpha.ln();
        Ok(Self { alpha, rho_squared: (log + log.ln() + 1.0).max(0.1) / tuned_for })
    }

    /// Returns the bound's distance in standard errors after `units` units; 1.96 plays this part for a single look.
    #[must_use]
    pub fn critical(&self, units: f64) -> f64 {
        let t = units * self.rho_squared;
        (2.0 * (t + 1.0) / t * ((t + 1.0).sqrt() / self.alpha).ln()).sqrt()
    }

    /// Returns the always-valid p of a statistic (estimate / standard error) after `units` units: the smallest alpha
    /// at which this sequence excludes 0. Take the smallest over the looks.
    #[must_use]
    pub fn p(&self, statistic: f64, units: f64) -> f64 {
        let t = units * self.rho_squared;
        ((t + 1.0).sqrt() * (-statistic * statistic * t / (2.0 * (t + 1.0))).exp()).min(1.0)
    }

    /// Returns the absolute and relative interval of a lift, over both arms' units.
    #[must_use]
    pub fn lift(
        &self,
        control: &Estimate,
        treatment: &Estimate,
        lift: &Lift,
    ) -> (Interval, Option<Interval>) {
        let critical = self.critical(control.count + treatment.count);
        let interval = Interval::around(lift.absolute, critical * lift.standard_error);
        (interval, relative_interval(control, treatment, critical))
    }
}
