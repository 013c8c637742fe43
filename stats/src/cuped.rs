//! CUPED: reduces variance by data from before the experiment (Deng, Xu, Kohavi, Walker 2013).

use crate::Moments;
use crate::error::Error;
use crate::lift::{Estimate, linearised};

/// The columns that make up a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The mean of a column.
    Mean(usize),
    /// The ratio of two columns' means.
    Ratio {
        /// The numerator's column.
        numerator: usize,
        /// The denominator's column.
        denominator: usize,
    },
}

/// The arms after adjustment.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjusted {
    /// One estimate per arm, in order. They share the pooled mean of the covariates, so only their
    /// differences are adjusted estimates with the stated errors.
    pub arms: Vec<Estimate>,
    /// Coefficient of each covariate.
    pub theta: Vec<f64>,
    /// Share of the metric's variance that the adjustment removed, 0 to 1.
    pub variance_removed: f64,
}

/// Adjusts every arm's metric by `covariates` (columns that the treatment cannot have changed):
/// y - theta (x - pooled mean of x), theta = S_xx^-1 S_xy from the covariances within arms, pooled. A ratio is
/// first linearised to (numerator - R denominator) / mean denominator (Deng, Knoblich, Lu 2018). Covariates without
/// variance of their own, or that others explain, get 0.
///
/// # Errors
/// If there are no arms, an arm has fewer than two units, or a mean denominator is 0.
pub fn adjust(arms: &[&Moments], metric: Metric, covariates: &[usize]) -> Result<Adjusted, Error> {
    let parts: Vec<(f64, Vec<(usize, f64)>)> = arms
        .iter()
        .map(|arm| match metric {
            Metric::Mean(column) => Ok((arm.mean(column), vec![(column, 1.0)])),
            Metric::Ratio { numerator, denominator } => {
                linearised(arm, numerator, denominator).map(|(value, weights)| (value, weights.to_vec()))
            }
        })
        .collect::<Result<_, _>>()?;
    for arm in arms {
        if arm.count() < 2.0 {
            return Err(Error::TooFewUnits { needed: 2.0, found: arm.count() });
        }
    }
    let count: f64 = arms.iter().map(|arm| arm.count()).sum();
    let k = covariates.len();
    let mut xx = vec![0.0; k * k];
    let mut xy = vec![0.0; k];
    for (arm, (_, weights)) in arms.iter().zip(&parts) {
        let degrees = arm.count() - 1.0;
        for (i, x) in covariates.iter().enumerate() {
            xy[i] += degrees * weights.iter().map(|(y, w)| w * arm.covariance(*x, *y)).sum::<f64>();
            for (j, other) in covariates.iter().enumerate() {
                xx[i * k + j] += degrees * arm.covariance(*x, *other);
            }
        }
    }
    let theta = solve(&mut xx, &xy);
    let pooled: Vec<f64> = covariates
        .iter()
        .map(|x| arms.iter().map(|arm| arm.count() * arm.mean(*x)).sum::<f64>() / count)
        .collect();
    let (mut before, mut after) = (0.0, 0.0);
    let mut adjusted = Vec::with_capacity(arms.len());
    for (arm, (value, weights)) in arms.iter().zip(&parts) {
        let shift: f64 =
            covariates.iter().zip(&theta).zip(&pooled).map(|((x, t), mean)| t * (arm.mean(*x) - mean)).sum();
        let mut with: Vec<(usize, f64)> = weights.clone();
        with.extend(covariates.iter().zip(&theta).map(|(x, t)| (*x, -t)));
        let variance = arm.variance_of(&with);
        before += (arm.count() - 1.0) * arm.variance_of(weights);
        after += (arm.count() - 1.0) * variance;
        adjusted.push(Estimate {
            value: value - shift,
            standard_error: (variance / arm.count()).sqrt(),
            degrees: arm.count() - 1.0,
            count: arm.count(),
        });
    }
    let variance_removed = if before > 0.0 { (1.0 - after / before).clamp(0.0, 1.0) } else { 0.0 };
    Ok(Adjusted { arms: adjusted, theta, variance_removed })
}

/// Solves a symmetric positive semi-definite system by Gauss's elimination without pivoting, setting what
/// the ones before explain to 0.
fn solve(matrix: &mut [f64], right: &[f64]) -> Vec<f64> {
    let k = right.len();
    let scale: Vec<f64> = (0..k).map(|i| matrix[i * k + i]).collect();
    let mut right = right.to_vec();
    let mut is_used = vec![false; k];
    for i in 0..k {
        let pivot = matrix[i * k + i];
        if pivot.is_nan() || pivot <= 1e-10 * scale[i] || pivot <= 0.0 {
            continue;
        }
        is_used[i] = true;
        for row in i + 1..k {
            let factor = matrix[row * k + i] / pivot;
            for column in i..k {
                matrix[row * k + column] -= factor * matrix[i * k + column];
            }
            right[row] -= factor * right[i];
        }
    }
    let mut solution = vec![0.0; k];
    for i in (0..k).rev().filter(|i| is_used[*i]) {
        let known: f64 = (i + 1..k).map(|j| matrix[i * k + j] * solution[j]).sum();
        solution[i] = (right[i] - known) / matrix[i * k + i];
    }
    solution
}
