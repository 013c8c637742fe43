//! Planned shares: how many hashes lead to each variant.
//!
//! They are counted from the ranges that decide and not from the parameters as written, because the systems disagree with
//! their own parameters: weights that do not sum, ranges that overlap, a last variant that takes the rest. An analysis that
//! expects what is written calls a correct migration invalid.

use std::collections::BTreeSet;

/// The values of a 32-bit hash.
const HASHES: u64 = 1 << 32;

/// Start, exclusive end and variant of a range; `None` is a range that nobody gets.
pub(super) type Claim = (u64, u64, Option<usize>);

/// How many hashes lie in the buckets `start..end`.
pub(super) trait Measure: Fn(u64, u64) -> f64 {}

impl<F: Fn(u64, u64) -> f64> Measure for F {}

/// Buckets of `hash % modulus`, where the first ones get one hash more.
pub(super) fn remainders(modulus: u32) -> impl Measure {
    let modulus = u64::from(modulus.max(1));
    let each = HASHES.checked_div(modulus).unwrap_or(0);
    let more = HASHES.checked_rem(modulus).unwrap_or(0);
    between(move |end| each.saturating_mul(end).saturating_add(end.min(more)))
}

/// Buckets of `(hash * total) >> 32`.
pub(super) fn scaled(total: u32) -> impl Measure {
    let total = u128::from(total.max(1));
    between(move |end| {
        let hashes = u128::from(end).saturating_mul(u128::from(HASHES)).div_ceil(total);
        u64::try_from(hashes).unwrap_or(u64::MAX)
    })
}

/// Buckets of a hash so wide that all of them get the same.
pub(super) fn even() -> impl Measure {
    between(|end| end)
}

fn between(below: impl Fn(u64) -> u64) -> impl Measure {
    move |start, end| below(end).saturating_sub(below(start)) as f64
}

/// The ranges of running sums: each begins where the one before ends.
pub(super) fn cumulative(ends: impl IntoIterator<Item = (Option<usize>, u32)>) -> Vec<Claim> {
    let mut start = 0;
    let claim = |(variant, end): (Option<usize>, u32)| {
        let end = u64::from(end).max(start);
        (std::mem::replace(&mut start, end), end, variant)
    };
    ends.into_iter().map(claim).collect()
}

/// What each of `variants` gets where the first claim that holds a bucket wins. `gates` are ranges of the same hash, of
/// each of which one must hold the bucket too.
pub(super) fn first_wins(
    variants: usize,
    claims: &[Claim],
    gates: &[Vec<(u64, u64)>],
    measure: &impl Measure,
) -> Vec<f64> {
    /// A claim's or a gate's place in its list.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Of {
        Claim(usize),
        Gate(usize),
    }
    let claimed = claims.iter().enumerate().map(|(index, (start, end, _))| (*start, *end, Of::Claim(index)));
    let gated = gates
        .iter()
        .enumerate()
        .flat_map(|(index, ranges)| ranges.iter().map(move |(start, end)| (*start, *end, Of::Gate(index))));
    let mut edges: Vec<(u64, bool, Of)> = claimed
        .chain(gated)
        .filter(|(start, end, _)| start < end)
        .flat_map(|(start, end, of)| [(start, true, of), (end, false, of)])
        .collect();
    edges.sort_unstable();
    let mut shares = vec![0.0; variants];
    let mut holding = BTreeSet::new();
    let mut open: Vec<u32> = vec![0; gates.len()];
    let (mut closed, mut before) = (gates.len(), 0);
    for (at, begins, of) in edges {
        let first = holding.first().and_then(|index: &usize| claims.get(*index));
        if closed == 0
            && let Some((_, _, Some(variant))) = first
            && let Some(share) = shares.get_mut(*variant)
        {
            *share += measure(before, at);
        }
        before = at;
        match of {
            Of::Claim(index) if begins => drop(holding.insert(index)),
            Of::Claim(index) => drop(holding.remove(&index)),
            Of::Gate(index) => {
                let Some(count) = open.get_mut(index) else { continue };
                let was = *count;
                *count = if begins { was.saturating_add(1) } else { was.saturating_sub(1) };
                if was == 0 {
                    closed = closed.saturating_sub(1);
                } else if *count == 0 {
                    closed = closed.saturating_add(1);
                }
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_has_what_others_claim_too() {
        let claims = [(2, 6, Some(0)), (0, 10, Some(1)), (8, 12, Some(0)), (3, 3, Some(0))];
        assert_eq!(first_wins(2, &claims, &[], &even()), [6.0, 6.0]);
        let gates = [vec![(0, 3), (1, 4)], vec![(1, 9)]];
        assert_eq!(first_wins(2, &claims, &gates, &even()), [2.0, 1.0]);
        assert_eq!(first_wins(2, &claims, &[vec![]], &even()), [0.0, 0.0]);
        assert_eq!(first_wins(2, &[(0, 5, None), (0, 6, Some(1))], &[], &even()), [0.0, 1.0]);
    }

    #[test]
    fn every_hash_is_counted_once() {
        for total in [1, 3, 100, 10_000, u32::MAX] {
            let end = u64::from(total);
            assert_eq!(remainders(total)(0, end), HASHES as f64);
            assert_eq!(scaled(total)(0, end), HASHES as f64);
        }
        // 2^32 is 3 * 1,431,655,765 and 1.
        assert_eq!([remainders(3)(0, 1), remainders(3)(1, 2)], [1_431_655_766.0, 1_431_655_765.0]);
        assert_eq!([scaled(3)(0, 1), scaled(3)(1, 3)], [1_431_655_766.0, 2_863_311_530.0]);
        // More than half of all hashes: the first buckets get two each.
        assert_eq!(remainders(3 << 30)(0, 1), 2.0);
        assert_eq!(remainders(3 << 30)(1 << 30, 3 << 30), f64::from(1_u32 << 31));
    }
}
