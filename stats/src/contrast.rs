//! Compares a treatment with the control at any critical value, also where events are few or clustered.

use crate::Interval;
use crate::distribution::{normal_cdf, normal_quantile};
use crate::error::Error;
use crate::lift::{Estimate, Lift, lift, relative, relative_interval};
use crate::proportion::{Share, newcombe};

/// With fewer effective events in an arm a share's interval is Newcombe's, too: the normal one is nothing at none.
pub const FEWEST_EVENTS: f64 = 20.0;

/// The estimates of two arms, to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Contrast {
    control: Estimate,
    treatment: Estimate,
    /// Shares by their effective trials, where events are few.
    rare: Option<[Share; 2]>,
}

impl Contrast {
    /// Of means, ratios or quantiles, with normal intervals.
    #[must_use]
    pub fn of(control: Estimate, treatment: Estimate) -> Self {
        Self { control, treatment, rare: None }
    }

    /// Of shares of events. `shares` are those of [`crate::proportion::clustered`], with the same values as the two
    /// estimates. Where an arm has fewer than [`FEWEST_EVENTS`] effective events the interval spans both Newcombe's of
    /// the effective trials and the delta method's, and the p value is the larger one; else it is [`Self::of`].
    #[must_use]
    pub fn of_events(control: Estimate, treatment: Estimate, shares: [Share; 2]) -> Self {
        let is_rare = shares.iter().any(|share| share.events() < FEWEST_EVENTS);
        Self { control, treatment, rare: is_rare.then_some(shares) }
    }

    /// Returns true if events are so rare that Newcombe's interval applies.
    #[must_use]
    pub fn is_rare(&self) -> bool {
        self.rare.is_some()
    }

    /// For a single look: [`lift`]. Of rare events the statistic is the standard normal value at which the interval
    /// touches 0.
    ///
    /// # Errors
    /// `alpha` outside (0, 1), or two estimates without variance.
    pub fn fixed(&self, alpha: f64) -> Result<Lift, Error> {
        let normal = lift(&self.control, &self.treatment, alpha);
        let Some([control, treatment]) = self.rare else { return normal };
        let exact = newcombe(control, treatment, alpha)?;
        let (c, t) = (&self.control, &self.treatment);
        let (interval, statistic, p) = match normal {
            Ok(normal) => (
                span(exact.interval, normal.interval),
                normal.statistic.abs().min(-normal_quantile(exact.p / 2.0)),
                exact.p.max(normal.p),
            ),
            Err(Error::NoVariance) => (exact.interval, -normal_quantile(exact.p / 2.0), exact.p),
            Err(error) => return Err(error),
        };
        Ok(Lift {
            absolute: exact.absolute,
            standard_error: (c.standard_error.powi(2) + t.standard_error.powi(2)).sqrt(),
            degrees: normal.map_or(c.degrees + t.degrees, |normal| normal.degrees),
            interval,
            relative: relative(c, t),
            relative_interval: None,
            statistic: statistic * exact.absolute.signum(),
            p,
        })
    }

    /// The absolute and the relative interval at `critical` standard errors, such as a sequence's; `lift` is [`Self::fixed`].
    ///
    /// # Errors
    /// A critical value that is not positive.
    pub fn at(&self, lift: &Lift, critical: f64) -> Result<(Interval, Option<Interval>), Error> {
        let normal = Interval::around(lift.absolute, critical * lift.standard_error);
        let Some([control, treatment]) = self.rare else {
            return Ok((normal, relative_interval(&self.control, &self.treatment, critical)));
        };
        let exact = newcombe(control, treatment, 2.0 * normal_cdf(-critical))?;
        Ok((span(exact.interval, normal), None))
    }
}

/// Returns the smallest interval that contains both.
fn span(one: Interval, other: Interval) -> Interval {
    Interval { low: one.low.min(other.low), high: one.high.max(other.high) }
}
