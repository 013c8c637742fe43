//! How many units, how small an effect, how long.

use crate::distribution::{normal_cdf, normal_quantile, t_quantile};
use crate::error::{Error, fraction, positive, within};
use crate::quadrature::integral;

/// Sizes beyond this are not looked for.
const MOST_UNITS: f64 = 1e15;

/// What a test is planned for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Design {
    /// Two-sided significance level.
    pub alpha: f64,
    /// Probability of finding the effect if it is there.
    pub power: f64,
    /// Units of the treatment for each of the control; 1 for equal arms.
    pub ratio: f64,
}

impl Design {
    fn check(&self) -> Result<(f64, f64), Error> {
        positive("ratio", self.ratio)?;
        let alpha = -normal_quantile(fraction("alpha", self.alpha)? / 2.0);
        Ok((alpha, normal_quantile(fraction("power", self.power)?)))
    }
}

/// Units in the control to tell shares `control` and `treatment` apart by the pooled z test (Fleiss 1981, equation
/// 3.18 without its correction): (z_a sqrt((1 + 1/r) p q) + z_b sqrt(p_c q_c + p_t q_t / r))^2 / (p_t - p_c)^2, with
/// p the weighted mean. Not rounded; the treatment needs `ratio` times as many.
///
/// # Errors
/// Shares outside (0, 1) or equal; a design outside its domain.
pub fn units_for_shares(control: f64, treatment: f64, design: &Design) -> Result<f64, Error> {
    let (alpha, power) = design.check()?;
    fraction("control", control)?;
    fraction("treatment", treatment)?;
    let effect = treatment - control;
    within("effect", effect, effect != 0.0, "not 0")?;
    let r = design.ratio;
    let pooled = (control + r * treatment) / (1.0 + r);
    let null = ((1.0 + 1.0 / r) * pooled * (1.0 - pooled)).sqrt();
    let alternative = (control * (1.0 - control) + treatment * (1.0 - treatment) / r).sqrt();
    Ok(((alpha * null + power * alternative) / effect).powi(2))
}

/// Units in the control to find a difference `effect` of means (or ratios) whose units have these standard
/// deviations, by the normal approximation: (z_a + z_b)^2 (s_c^2 + s_t^2 / r) / effect^2. For a ratio metric the
/// deviation is the delta method's: standard error times sqrt n.
///
/// # Errors
/// An effect of 0, a deviation that is not positive, or a design outside its domain.
pub fn units_for_means(effect: f64, deviations: (f64, f64), design: &Design) -> Result<f64, Error> {
    let (alpha, power) = design.check()?;
    within("effect", effect, effect != 0.0 && effect.is_finite(), "not 0")?;
    let (c, t) = (positive("deviation", deviations.0)?, positive("deviation", deviations.1)?);
    Ok(((alpha + power) / effect).powi(2) * (c * c + t * t / design.ratio))
}

/// Power of the two-sided t test with `units` in the control to find a difference of `effect` standard deviations
/// (Cohen's d), equal variances: P(|T| > t_crit) of the noncentral t, by quadrature over the variance.
///
/// # Errors
/// Fewer than two units an arm, or `alpha` or `ratio` outside their domain.
pub fn t_test_power(effect: f64, units: f64, ratio: f64, alpha: f64) -> Result<f64, Error> {
    fraction("alpha", alpha)?;
    positive("ratio", ratio)?;
    let degrees = units * (1.0 + ratio) - 2.0;
    if degrees.is_nan() || degrees <= 0.0 {
        return Err(Error::TooFewUnits { needed: 2.0, found: units });
    }
    let shift = effect * (units * ratio / (1.0 + ratio)).sqrt();
    let critical = t_quantile(1.0 - alpha / 2.0, degrees);
    // s = sqrt(chi-square / degrees): log density up to a constant, which the normalisation takes out.
    let log_density = |s: f64| (degrees - 1.0) * s.ln() - degrees * (s * s - 1.0) / 2.0;
    let deviation = (0.5 / degrees).sqrt();
    let (low, high) = ((1.0 - 12.0 * deviation).max(0.0), 1.0 + 14.0 * deviation);
    let density = |s: f64| if s > 0.0 { log_density(s).exp() } else { 0.0 };
    let beyond = |s: f64| normal_cdf(shift - critical * s) + normal_cdf(-shift - critical * s);
    let total = integral(low, high, 40, density);
    Ok(integral(low, high, 40, |s| density(s) * beyond(s)) / total)
}

/// Units in the control for the t test to reach its power on an effect in standard deviations (Cohen's d). Not
/// rounded.
///
/// # Errors
/// An effect of 0, or a design outside its domain.
pub fn units_for_t_test(effect: f64, design: &Design) -> Result<f64, Error> {
    design.check()?;
    within("effect", effect, effect != 0.0 && effect.is_finite(), "not 0")?;
    // Two degrees of freedom at least.
    let low = 4.0 / (1.0 + design.ratio);
    bisect(low, MOST_UNITS, |units| {
        Ok(t_test_power(effect, units, design.ratio, design.alpha)? >= design.power)
    })
}

/// The smallest rise of a share `control` that `units` in the control find.
///
/// # Errors
/// No rise below 1 is found; or arguments outside their domain.
pub fn detectable_share(control: f64, units: f64, design: &Design) -> Result<f64, Error> {
    design.check()?;
    fraction("control", control)?;
    positive("units", units)?;
    let most = 1.0 - control;
    bisect(most * 1e-12, most * (1.0 - 1e-12), |effect| {
        Ok(units_for_shares(control, control + effect, design)? <= units)
    })
}

/// The smallest difference of means (or ratios) that `units` in the control find; both arms have the
/// standard deviation `deviation`.
///
/// # Errors
/// Arguments outside their domain.
pub fn detectable_mean(deviation: f64, units: f64, design: &Design) -> Result<f64, Error> {
    let (alpha, power) = design.check()?;
    let spread = positive("deviation", deviation)?;
    Ok((alpha + power) * spread * ((1.0 + 1.0 / design.ratio) / positive("units", units)?).sqrt())
}

/// Whole days until `units` units came in, at `daily` new ones a day of which `share` enter the arm.
///
/// # Errors
/// Arguments that are not positive, or a share above 1.
pub fn days(units: f64, daily: f64, share: f64) -> Result<f64, Error> {
    within("share", share, share > 0.0 && share <= 1.0, "above 0 and at most 1")?;
    Ok((positive("units", units)? / (positive("daily", daily)? * share)).ceil())
}

/// The smallest argument for which `is_enough`, which stays true above it; by bisection of its logarithm.
fn bisect(low: f64, high: f64, is_enough: impl Fn(f64) -> Result<bool, Error>) -> Result<f64, Error> {
    let (mut low, mut high) = (low.ln(), high.ln());
    if !is_enough(high.exp())? {
        return Err(Error::OutOfReach);
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if is_enough(middle.exp())? { high = middle } else { low = middle }
    }
    Ok(high.exp())
}
