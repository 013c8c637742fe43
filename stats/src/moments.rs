//! Counts, means and cross products: all that tests on means need from the data.

use serde::{Deserialize, Serialize};

use crate::error::{Error, within};

/// Count, means and centred cross products of `k` columns over units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: f64,
    means: Vec<f64>,
    /// k x k, row by row: the sum over units of (x_i - mean_i)(x_j - mean_j).
    cross: Vec<f64>,
    /// Triples of columns i <= j <= k, with the sum over units of (x_i - mean_i)(x_j - mean_j)(x_k - mean_k).
    thirds: Vec<([usize; 3], f64)>,
}

/// Sums as a database returns them, about a centre that the caller chooses: the nearer to the mean, the fewer digits are lost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// Number of units.
    pub count: f64,
    /// One number per column, near its mean.
    pub centres: Vec<f64>,
    /// Sum of each column, not centred.
    pub sums: Vec<f64>,
    /// k x k, row by row: the sum of (x_i - centre_i)(x_j - centre_j).
    pub products: Vec<f64>,
    /// For some triples of columns i <= j <= k: the sum of (x_i - centre_i)(x_j - centre_j)(x_k - centre_k).
    pub thirds: Vec<([usize; 3], f64)>,
}

impl Moments {
    /// Creates moments of no units, with `columns` columns.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            count: 0.0,
            means: vec![0.0; columns],
            cross: vec![0.0; columns * columns],
            thirds: Vec::new(),
        }
    }

    /// Computes moments from raw sums, as a database returns them: `sums[i]` of column i, `products[i * k + j]` of
    /// x_i x_j. Loses the digits that n mean^2 has more than the variance has; fine below a ratio of 10^10.
    ///
    /// # Errors
    /// If a count is negative or not finite, lengths do not match, or no data can have these sums.
    pub fn from_sums(count: f64, sums: &[f64], products: &[f64]) -> Result<Self, Error> {
        let columns = sums.len();
        if products.len() != columns * columns {
            return Err(Error::Lengths { first: columns * columns, second: products.len() });
        }
        within("count", count, count >= 0.0 && count.is_finite(), "0 or more")?;
        if count == 0.0 {
            return Ok(Self::new(columns));
        }
        let means: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
        let mut cross = vec![0.0; columns * columns];
        for i in 0..columns {
            for j in 0..columns {
                let value = products[i * columns + j] - sums[i] * means[j];
                let scale = products[i * columns + j].abs();
                if i == j {
                    within("sum of squares", value, value >= -1e-9 * scale, "at least sum^2 / n")?;
                }
                // A remainder of rounding is not a variance.
                let is_noise = i == j && value <= 1e-13 * scale;
                cross[i * columns + j] = if is_noise { 0.0 } else { value };
            }
        }
        Ok(Self { count, means, cross, thirds: Vec::new() })
    }

    /// Computes moments, third ones included, from sums about centres: no digits are lost where the centres are near the means.
    ///
    /// # Errors
    /// As [`Self::from_sums`].
    pub fn from_centred(sums: &Sums) -> Result<Self, Error> {
        let (count, columns) = (sums.count, sums.sums.len());
        if sums.centres.len() != columns {
            return Err(Error::Lengths { first: columns, second: sums.centres.len() });
        }
        if sums.products.len() != columns * columns {
            return Err(Error::Lengths { first: columns * columns, second: sums.products.len() });
        }
        within("count", count, count >= 0.0 && count.is_finite(), "0 or more")?;
        let mut all = Self::new(columns);
        all.thirds = sums.thirds.iter().map(|(triple, _)| (*triple, 0.0)).collect();
        if count == 0.0 {
            return Ok(all);
        }
        all.count = count;
        all.means = sums.sums.iter().map(|sum| sum / count).collect();
        let off: Vec<f64> = all.means.iter().zip(&sums.centres).map(|(mean, centre)| mean - centre).collect();
        for i in 0..columns {
            for j in 0..columns {
                let about_centre = sums.products[i * columns + j];
                let value = about_centre - count * off[i] * off[j];
                if i == j {
                    within(
                        "sum of squares",
                        value,
                        value >= -1e-9 * about_centre.abs(),
                        "at least sum^2 / n",
                    )?;
                }
                // A remainder of rounding is not a variance: of the squares about the centre, or of the numbers themselves.
                let rounding = f64::EPSILON * all.means[i].abs();
                let least = (1e-13 * about_centre.abs()).max(4.0 * count * rounding * rounding);
                all.cross[i * columns + j] = if i == j && value <= least { 0.0 } else { value };
            }
        }
        for (place, (triple, value)) in all.thirds.iter_mut().zip(&sums.thirds) {
            let [i, j, k] = *triple;
            if k >= columns || j > k || i > j {
                return Err(Error::Lengths { first: columns, second: k });
            }
            let product = |a: usize, b: usize| sums.products[a * columns + b];
            place.1 = value - off[i] * product(j, k) - off[j] * product(i, k) - off[k] * product(i, j)
                + 2.0 * count * off[i] * off[j] * off[k];
        }
        Ok(all)
    }

    /// Adds a unit (Welford 1962, updated for cross products; third moments are not kept). `values` has one per column.
    ///
    /// # Panics
    /// If the number of values differs from the number of columns.
    pub fn push(&mut self, values: &[f64]) {
        let columns = self.means.len();
        assert_eq!(values.len(), columns, "one value a column");
        self.thirds.clear();
        self.count += 1.0;
        let before: Vec<f64> = values.iter().zip(&self.means).map(|(x, mean)| x - mean).collect();
        for (mean, delta) in self.means.iter_mut().zip(&before) {
            *mean += delta / self.count;
        }
        for (i, delta) in before.iter().enumerate() {
            for (j, (x, mean)) in values.iter().zip(&self.means).enumerate() {
                self.cross[i * columns + j] += delta * (x - mean);
            }
        }
    }

    /// Returns the moments of both sets of units together (Chan, Golub, LeVeque 1979).
    ///
    /// # Errors
    /// If the numbers of columns differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let columns = self.means.len();
        if other.means.len() != columns {
            return Err(Error::Lengths { first: columns, second: other.means.len() });
        }
        let total = self.count + other.count;
        if other.count == 0.0 {
            return Ok(());
        }
        if self.count == 0.0 {
            self.clone_from(other);
            return Ok(());
        }
        let delta: Vec<f64> = other.means.iter().zip(&self.means).map(|(b, a)| b - a).collect();
        let thirds = self.thirds.iter().zip(&other.thirds).filter(|(one, two)| one.0 == two.0);
        self.thirds = thirds
            .map(|((triple, one), (_, two))| {
                let about = |set: &Self, share: f64| {
                    let [i, j, k] = *triple;
                    let (a, b, c) = (share * delta[i], share * delta[j], share * delta[k]);
                    let product = |i: usize, j: usize| set.cross[i * columns + j];
                    a * product(j, k) + b * product(i, k) + c * product(i, j) + set.count * a * b * c
                };
                let moved = about(self, -other.count / total) + about(other, self.count / total);
                (*triple, one + two + moved)
            })
            .collect();
        for i in 0..columns {
            for j in 0..columns {
                let at = i * columns + j;
                self.cross[at] += other.cross[at] + delta[i] * delta[j] * self.count * other.count / total;
            }
        }
        for (mean, delta) in self.means.iter_mut().zip(&delta) {
            *mean += delta * other.count / total;
        }
        self.count = total;
        Ok(())
    }

    /// Returns the number of units.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.means.len()
    }

    /// Returns the mean of a column; NaN if the column does not exist.
    #[must_use]
    pub fn mean(&self, column: usize) -> f64 {
        self.means.get(column).copied().unwrap_or(f64::NAN)
    }

    /// Returns the sample covariance (over n - 1) of two columns; NaN below two units.
    #[must_use]
    pub fn covariance(&self, one: usize, other: usize) -> f64 {
        let columns = self.means.len();
        if one >= columns || other >= columns || self.count < 2.0 {
            return f64::NAN;
        }
        self.cross[one * columns + other] / (self.count - 1.0)
    }

    /// Returns the skewness (third central moment / variance^1.5, over n) of the sum of `weights[i]` times column i; `None` if the
    /// third moments of these columns are unknown, or nothing varies.
    #[must_use]
    pub fn skewness_of(&self, weights: &[(usize, f64)]) -> Option<f64> {
        let columns = self.means.len();
        let product = |i: usize, j: usize| self.cross.get(i * columns + j).copied();
        let (mut square, mut cube) = (0.0, 0.0);
        for (i, a) in weights {
            for (j, b) in weights {
                square += a * b * product(*i, *j)?;
                for (k, c) in weights {
                    let mut triple = [*i, *j, *k];
                    triple.sort_unstable();
                    cube += a * b * c * self.thirds.iter().find(|known| known.0 == triple)?.1;
                }
            }
        }
        let skewness = (cube / self.count) / (square / self.count).powf(1.5);
        (square > 0.0 && skewness.is_finite()).then_some(skewness)
    }

    /// Returns the sample variance of the sum of `weights[i]` times column i.
    #[must_use]
    pub fn variance_of(&self, weights: &[(usize, f64)]) -> f64 {
        let pairs = weights.iter().flat_map(|one| weights.iter().map(move |other| (one, other)));
        let sum: f64 = pairs.map(|((i, a), (j, b))| a * b * self.covariance(*i, *j)).sum();
        // Not `max`, which would turn NaN into 0.
        if sum < 0.0 { 0.0 } else { sum }
    }
}
