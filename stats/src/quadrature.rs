//! Composite Gauss-Legendre quadrature.

use std::sync::OnceLock;

const ORDER: usize = 16;

/// Nodes and weights on [low, high] in `panels` panels of 16 points.
pub(crate) fn nodes(low: f64, high: f64, panels: usize) -> impl Iterator<Item = (f64, f64)> {
    let half = (high - low) / panels as f64 / 2.0;
    (0..panels).flat_map(move |panel| {
        let centre = low + half * (2 * panel + 1) as f64;
        unit_nodes().iter().map(move |(x, weight)| (centre + half * x, half * weight))
    })
}

/// The integral of `f` over [low, high].
pub(crate) fn integral(low: f64, high: f64, panels: usize, f: impl Fn(f64) -> f64) -> f64 {
    nodes(low, high, panels).map(|(x, weight)| weight * f(x)).sum()
}

/// Nodes and weights on [-1, 1]: the roots of the Legendre polynomial, by Newton's method.
fn unit_nodes() -> &'static [(f64, f64); ORDER] {
    static NODES: OnceLock<[(f64, f64); ORDER]> = OnceLock::new();
    NODES.get_or_init(|| {
        std::array::from_fn(|i| {
            let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (ORDER as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (mut before, mut value) = (1.0, x);
                for k in 2..=ORDER {
                    let k = k as f64;
                    (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
                }
                slope = ORDER as f64 * (x * value - before) / (x * x - 1.0);
                let step = value / slope;
                x -= step;
                if step.abs() < 1e-16 {
                    break;
                }
            }
            (x, 2.0 / ((1.0 - x * x) * slope * slope))
        })
    })
}
