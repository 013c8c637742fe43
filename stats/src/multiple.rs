//! Several tests at once. Each function gives adjusted p values in the order given: reject those at or below
//! alpha.

/// Adjusts by Bonferroni: p times the number of tests. Controls the probability of any false rejection, however
/// the tests depend on each other.
#[must_use]
pub fn bonferroni(p: &[f64]) -> Vec<f64> {
    let tests = p.len() as f64;
    p.iter().map(|p| (p * tests).min(1.0)).collect()
}

/// Adjusts by Holm (1979): the same guarantee as Bonferroni, and never fewer rejections.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![1.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, at) in ascending(p).into_iter().enumerate() {
        largest = largest.max((p[at] * (p.len() - rank) as f64).min(1.0));
        adjusted[at] = largest;
    }
    adjusted
}

/// Adjusts by Benjamini and Hochberg (1995): controls the expected share of false rejections among all, for
/// independent or positively dependent tests.
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![1.0; p.len()];
    let mut smallest: f64 = 1.0;
    for (rank, at) in ascending(p).into_iter().enumerate().rev() {
        smallest = smallest.min(p[at] * p.len() as f64 / (rank + 1) as f64);
        adjusted[at] = smallest;
    }
    adjusted
}

/// Returns the positions, the smallest p first.
fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    order
}
