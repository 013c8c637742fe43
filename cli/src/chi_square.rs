//! Pearson's chi-square test.

/// The probability of a statistic of at least `statistic` by chance:
/// the upper tail of the chi-square distribution, Q(degrees / 2, statistic / 2)
/// (Abramowitz and Stegun 26.4.19; series 6.5.29 and continued fraction 6.5.31).
pub(crate) fn p_value(statistic: f64, degrees: usize) -> f64 {
    if degrees == 0 || statistic <= 0.0 {
        return 1.0;
    }
    let (a, x) = (degrees as f64 / 2.0, statistic / 2.0);
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    let tail = if x < a + 1.0 { 1.0 - front * series(a, x) } else { front * fraction(a, x) };
    tail.clamp(0.0, 1.0)
}

/// Statistic and degrees of freedom of `observed` counts against `expected`
/// ones; cells that expect nothing are left out.
pub(crate) fn goodness(observed: &[f64], expected: &[f64]) -> (f64, usize) {
    let cells = || observed.iter().zip(expected).filter(|(_, expected)| **expected > 0.0);
    let statistic = cells().map(|(o, e)| (o - e).powi(2) / e).sum();
    (statistic, cells().count().saturating_sub(1))
}

fn series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    let mut n = a;
    while term > sum * 1e-15 {
        n += 1.0;
        term *= x / n;
        sum += term;
    }
    sum
}

/// Lentz's method.
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / nonzero(an * d + b, TINY);
        c = nonzero(b + an / c, TINY);
        let delta = d * c;
        h *= delta;
        if (delta - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

fn nonzero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// Lanczos' approximation (g = 7, n = 9), good to 15 digits for x > 0.5.
fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let t = x + 7.5;
    let mut sum = 0.999_999_999_999_809_9;
    let mut divisor = x;
    for coefficient in COEFFICIENTS {
        divisor += 1.0;
        sum += coefficient / divisor;
    }
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Critical values of every table.
    #[test]
    fn one_degree() {
        for (statistic, expected) in [(3.841_458_820_694_124, 0.05), (10.827_566_170_662_733, 0.001)] {
            assert!((p_value(statistic, 1) - expected).abs() < 1e-10);
        }
    }

    /// For even degrees the tail is a Poisson sum (26.4.21).
    #[test]
    fn even_degrees() {
        for (degrees, statistic) in
            [(2, 0.1), (2, 4.0), (10, 3.0), (10, 30.0), (98, 60.0), (98, 99.0), (98, 200.0)]
        {
            let half: f64 = statistic / 2.0;
            let mut term = (-half).exp();
            let mut sum = term;
            for k in 1..degrees / 2 {
                term *= half / k as f64;
                sum += term;
            }
            let p = p_value(statistic, degrees);
            assert!((p - sum).abs() < 1e-10 * sum + 1e-14, "{degrees} {statistic}: {p} {sum}");
        }
    }

    #[test]
    fn empty_cells_do_not_count() {
        assert_eq!(goodness(&[5.0, 0.0, 5.0], &[5.0, 0.0, 5.0]), (0.0, 1));
    }
}
