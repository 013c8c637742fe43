//! How many units, how small an effect, how long.

use crate::distribution::{normal_cdf, normal_quantile, t_quantile};
use crate::error::{Error, fraction, positive, within};
use crate::group_sequential::{self, Spending};
use crate::quadrature::integral;
use crate::sequential::ConfidenceSequence;

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

/// When a comparison is looked at, which says how many standard errors its lift must be away from 0 to decide.
#[derive(Clone, Debug, PartialEq)]
pub enum Looks {
    /// Once, at the end.
    Once,
    /// At any time, by a [`ConfidenceSequence`].
    Always {
        /// Units of both arms around which the sequence is narrowest.
        tuned_for: f64,
    },
    /// At planned shares of the units.
    Planned {
        /// How alpha is spent over them.
        spending: Spending,
        /// The shares, ascending within (0, 1].
        times: Vec<f64>,
    },
}

impl Looks {
    /// How many standard errors of the lift after `units` units in the control the effect must be, so that it is
    /// found with the design's power.
    ///
    /// Once: z_a + z_b. Always: the sequence's critical value after both arms' units, plus z_b; this is the
    /// power of the look at these units alone, so that looks before it only add to it. Planned: the drift at which
    /// the bounds are crossed at some look ([`group_sequential::drift`]), with `units` those of time 1.
    ///
    /// # Errors
    /// A design, or looks, outside their domain.
    pub fn distance(&self, units: f64, design: &Design) -> Result<f64, Error> {
        match self {
            Self::Always { tuned_for } => {
                let (_, power) = design.check()?;
                let sequence = ConfidenceSequence::new(design.alpha, *tuned_for)?;
                Ok(sequence.critical(positive("units", units)? * (1.0 + design.ratio)) + power)
            }
            Self::Once | Self::Planned { .. } => self.constant(design),
        }
    }

    /// Of those whose distance does not depend on the units.
    fn constant(&self, design: &Design) -> Result<f64, Error> {
        let (alpha, power) = design.check()?;
        match self {
            Self::Planned { spending, times } => {
                let bounds = group_sequential::bounds(*spending, times, design.alpha)?;
                group_sequential::drift(&bounds, times, design.power)
            }
            Self::Once | Self::Always { .. } => Ok(alpha + power),
        }
    }
}

/// Units in the control to find a difference `effect` of means, shares or ratios whose units have these standard
/// deviations, by the interval that `looks` makes: the n for which
/// |effect| = distance(n) sqrt((s_c^2 + s_t^2 / r) / n). A single look decides by t, so that equal deviations take
/// [`units_for_t_test`], and unequal ones the same at their pooled deviation. Not rounded.
///
/// # Errors
/// An effect of 0, a deviation that is not positive, looks or a design outside their domain.
pub fn units_to_find(
    effect: f64,
    deviations: (f64, f64),
    design: &Design,
    looks: &Looks,
) -> Result<f64, Error> {
    match looks {
        Looks::Once => {
            within("effect", effect, effect != 0.0 && effect.is_finite(), "not 0")?;
            return units_for_t_test(effect.abs() / pooled(deviations, design)?, design);
        }
        Looks::Planned { .. } => return needed(effect, deviations, design, looks.constant(design)?),
        Looks::Always { .. } => {}
    }
    // The critical value falls at first and then grows like the root of a logarithm, slower than the effect in
    // standard errors wherever the two meet: there is one solution.
    bisect(1e-3, MOST_UNITS, |units| {
        Ok(needed(effect, deviations, design, looks.distance(units, design)?)? <= units)
    })
}

/// The smallest difference of means (or ratios) that `units` in the control find by the interval that `looks` makes;
/// both arms have the standard deviation `deviation`.
///
/// # Errors
/// Arguments outside their domain.
pub fn effect_found(deviation: f64, units: f64, design: &Design, looks: &Looks) -> Result<f64, Error> {
    let spread = positive("deviation", deviation)?;
    if *looks == Looks::Once {
        design.check()?;
        // Two units an arm and more; the effect in deviations at which the t test has the power.
        let found =
            |effect: f64| Ok(t_test_power(effect, units, design.ratio, design.alpha)? >= design.power);
        return Ok(spread * bisect(1e-9, 1e9, found)?);
    }
    let distance = looks.distance(units, design)?;
    Ok(distance * spread * ((1.0 + 1.0 / design.ratio) / positive("units", units)?).sqrt())
}

/// Units in the control to tell shares `control` and `treatment` apart: for a single look the pooled z test
/// ([`units_for_shares`]), else [`units_to_find`] with the deviations sqrt(p q), as the intervals at several looks
/// do not pool.
///
/// # Errors
/// Shares outside (0, 1) or equal; looks or a design outside their domain.
pub fn units_to_tell_shares(
    control: f64,
    treatment: f64,
    design: &Design,
    looks: &Looks,
) -> Result<f64, Error> {
    if *looks == Looks::Once {
        return units_for_shares(control, treatment, design);
    }
    let deviation = |name, share: f64| fraction(name, share).map(|share| (share * (1.0 - share)).sqrt());
    let deviations = (deviation("control", control)?, deviation("treatment", treatment)?);
    units_to_find(treatment - control, deviations, design, looks)
}

/// The smallest rise of a share `control` that `units` in the control find.
///
/// # Errors
/// No rise below 1 is found; or arguments outside their domain.
pub fn share_found(control: f64, units: f64, design: &Design, looks: &Looks) -> Result<f64, Error> {
    if *looks == Looks::Once {
        return detectable_share(control, units, design);
    }
    let distance = looks.distance(units, design)?;
    fraction("control", control)?;
    let most = 1.0 - control;
    bisect(most * 1e-12, most * (1.0 - 1e-12), |effect| {
        let deviation = |share: f64| (share * (1.0 - share)).sqrt();
        let deviations = (deviation(control), deviation(control + effect));
        Ok(needed(effect, deviations, design, distance)? <= units)
    })
}

/// The deviation of both arms that has the difference's variance: sqrt((s_c^2 + s_t^2 / r) / (1 + 1 / r)).
fn pooled(deviations: (f64, f64), design: &Design) -> Result<f64, Error> {
    let (c, t) = (positive("deviation", deviations.0)?, positive("deviation", deviations.1)?);
    let r = positive("ratio", design.ratio)?;
    Ok(((c * c + t * t / r) / (1.0 + 1.0 / r)).sqrt())
}

/// Units in the control at which `effect` is `distance` standard errors.
fn needed(effect: f64, deviations: (f64, f64), design: &Design, distance: f64) -> Result<f64, Error> {
    within("effect", effect, effect != 0.0 && effect.is_finite(), "not 0")?;
    let (c, t) = (positive("deviation", deviations.0)?, positive("deviation", deviations.1)?);
    Ok((distance / effect).powi(2) * (c * c + t * t / design.ratio))
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
    needed(effect, deviations, design, Looks::Once.constant(design)?)
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
/// standard deviation `deviation`; by the normal approximation.
///
/// # Errors
/// Arguments outside their domain.
pub fn detectable_mean(deviation: f64, units: f64, design: &Design) -> Result<f64, Error> {
    let distance = Looks::Once.constant(design)?;
    let spread = positive("deviation", deviation)?;
    Ok(distance * spread * ((1.0 + 1.0 / design.ratio) / positive("units", units)?).sqrt())
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
