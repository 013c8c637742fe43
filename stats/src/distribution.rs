//! The distributions that the tests need, each to a relative error below 1e-11.
//!
//! Measured against scipy and mpmath, because no crate alone reached it: statrs 0.19 has its error
//! function to 1e-10, and the tails of Student's t and the beta distribution lose all digits from
//! 10^6 degrees of freedom on (one quantile never returns); puruspe 0.4 likewise. So: the error function of
//! libm, the normal quantile and incomplete gamma of statrs, and the incomplete beta here.

use statrs::distribution::{ContinuousCDF as _, Normal};
use statrs::function::gamma::gamma_ur;

/// `P(Z <= z)` of the standard normal.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The standard normal's density.
#[must_use]
pub fn normal_pdf(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The `z` with `P(Z <= z) = p`; infinite at 0 and 1, NaN beyond.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if p == 0.0 {
        f64::NEG_INFINITY
    } else if p == 1.0 {
        f64::INFINITY
    } else if p > 0.0 && p < 1.0 {
        Normal::standard().inverse_cdf(p)
    } else {
        f64::NAN
    }
}

/// `P(X > x)` of a chi-square with `degrees` degrees of freedom: Q(degrees / 2, x / 2), Abramowitz and
/// Stegun 26.4.19. 1 for no degrees.
#[must_use]
pub fn chi_square_sf(x: f64, degrees: f64) -> f64 {
    if x <= 0.0 || degrees <= 0.0 { 1.0 } else { gamma_ur(degrees / 2.0, x / 2.0).clamp(0.0, 1.0) }
}

/// `P(T > t)` of Student's t with `degrees` (any positive number) degrees of freedom: half of
/// I_x(degrees / 2, 1 / 2) with x = degrees / (degrees + t^2), Abramowitz and Stegun 26.7.1. The normal's for
/// infinite degrees.
#[must_use]
pub fn t_sf(t: f64, degrees: f64) -> f64 {
    if degrees.is_infinite() {
        return normal_cdf(-t);
    }
    let square = t * t;
    let tail =
        0.5 * beta_sides(square / (degrees + square), degrees / (degrees + square), 0.5, degrees / 2.0).1;
    if t < 0.0 { 1.0 - tail } else { tail }
}

/// The density of Student's t.
fn t_pdf(t: f64, degrees: f64) -> f64 {
    let square = t * t;
    // Gamma((v + 1) / 2) / (sqrt(v pi) Gamma(v / 2)), by the beta function's density at the same place.
    let x = square / (degrees + square);
    if x == 0.0 {
        return (libm::lgamma((degrees + 1.0) / 2.0) - libm::lgamma(degrees / 2.0)).exp()
            / (degrees * std::f64::consts::PI).sqrt();
    }
    let jacobian = 2.0 * t.abs() * degrees / (degrees + square).powi(2);
    0.5 * beta_pdf_sides(x, 1.0 - x, 0.5, degrees / 2.0) * jacobian
}

/// The `t` with `P(T <= t) = p`, by Newton's method from the normal's quantile, kept inside a bracket.
#[must_use]
pub fn t_quantile(p: f64, degrees: f64) -> f64 {
    let z = normal_quantile(p);
    if degrees.is_infinite() || !z.is_finite() || z == 0.0 {
        return z;
    }
    let tail = p.min(1.0 - p);
    let mut low = z.abs();
    let mut high = low.max(1.0);
    while t_sf(high, degrees) > tail && high < 1e300 {
        low = high;
        high *= 2.0;
    }
    let mut t = low;
    for _ in 0..200 {
        let error = t_sf(t, degrees) - tail;
        if error > 0.0 {
            low = t
        } else {
            high = t
        }
        let newton = t + error / t_pdf(t, degrees);
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        let is_done = (next - t).abs() <= 1e-15 * t;
        t = next;
        if is_done {
            break;
        }
    }
    if p < 0.5 { -t } else { t }
}

/// `P(X <= x)` of a beta(a, b): the regularised incomplete beta function I_x(a, b).
#[must_use]
pub fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    beta_sides(x, 1.0 - x, a, b).0
}

/// The density of a beta(a, b).
#[must_use]
pub fn beta_pdf(x: f64, a: f64, b: f64) -> f64 {
    beta_pdf_sides(x, 1.0 - x, a, b)
}

/// I_x(a, b) and its complement; `y` is 1 - x, which the caller may know better.
///
/// Continued fraction of Didonato and Morris (1992, TOMS 708, equation 9) in front of a density in
/// Loader's form, which does not cancel for large parameters.
fn beta_sides(x: f64, y: f64, a: f64, b: f64) -> (f64, f64) {
    if x <= 0.0 {
        return (0.0, 1.0);
    }
    if y <= 0.0 {
        return (1.0, 0.0);
    }
    if x > a / (a + b) {
        let (upper, lower) = beta_lower(y, x, b, a);
        (lower, upper)
    } else {
        beta_lower(x, y, a, b)
    }
}

/// The same for x <= a / (a + b).
fn beta_lower(x: f64, y: f64, a: f64, b: f64) -> (f64, f64) {
    const TINY: f64 = 1e-300;
    // x^a y^b / B(a, b)
    let front = beta_pdf_sides(x, y, a, b) * x * y;
    // Lentz's method on alpha_n / beta_n.
    // a - (a + b) x, from the side that does not cancel.
    let lambda = if x < 0.5 { a - (a + b) * x } else { (a + b) * y - b };
    let mut fraction = TINY;
    let mut c = fraction;
    let mut d = 0.0;
    for step in 0..200_000 {
        let n = f64::from(step);
        let numerator = if step == 0 {
            1.0
        } else {
            (a + n - 1.0) * (a + b + n - 1.0) * n * (b - n) * x * x / (a + 2.0 * n - 1.0).powi(2)
        };
        let middle = if step == 0 { 0.0 } else { n * (b - n) * x / (a + 2.0 * n - 1.0) };
        let denominator = n + middle + (a + n) / (a + 2.0 * n + 1.0) * (lambda + 1.0 + n * (1.0 + y));
        d = nonzero(denominator + numerator * d, TINY);
        c = nonzero(denominator + numerator / c, TINY);
        d = 1.0 / d;
        let change = c * d;
        fraction *= change;
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    let tail = (front * fraction).clamp(0.0, 1.0);
    (tail, 1.0 - tail)
}

fn nonzero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// The beta density from both sides, as (a + b) times a binomial's probability with non-integer counts
/// (Loader 2000, "Fast and accurate computation of binomial probabilities").
fn beta_pdf_sides(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || y <= 0.0 {
        return 0.0;
    }
    let n = a + b;
    let log_ratio =
        stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x) - deviance(b, n * y);
    log_ratio.exp() * (a * b / (2.0 * std::f64::consts::PI * n)).sqrt() / (x * y)
}

/// ln Gamma(n + 1) - Stirling's formula.
fn stirling_error(n: f64) -> f64 {
    if n < 15.0 {
        return libm::lgamma(n + 1.0) - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * std::f64::consts::PI).ln();
    }
    let s = n * n;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / s) / s) / s) / s) / n
}

/// x ln(x / m) + m - x, without cancellation near x = m.
fn deviance(x: f64, m: f64) -> f64 {
    if (x - m).abs() < 0.1 * (x + m) {
        let v = (x - m) / (x + m);
        let mut sum = (x - m) * v;
        let mut term = 2.0 * x * v;
        for j in 1..1000 {
            term *= v * v;
            let next = sum + term / f64::from(2 * j + 1);
            if next == sum {
                break;
            }
            sum = next;
        }
        return sum;
    }
    x * (x / m).ln() + m - x
}
