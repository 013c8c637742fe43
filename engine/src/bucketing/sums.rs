//! Arithmetic that several dialects share.

use super::error::ParameterError;
use super::pick::BUCKETS;

/// `floor(fraction * 10_000)`, at most 9,999 (a fraction of exactly 1.0 is possible where a system
/// divides by its largest hash).
pub(super) fn float_bucket(fraction: f64) -> u32 {
    // `as` truncates and saturates: the fraction is in [0, 1].
    ((fraction * f64::from(BUCKETS)) as u32).min(BUCKETS - 1)
}

/// Running integer sums, with the total; refuses an empty list, a zero total and a total above
/// `limit`.
pub(super) fn cumulative(
    field: &'static str,
    weights: &[u32],
    limit: u32,
    expected: &'static str,
) -> Result<(Box<[u32]>, u32), ParameterError> {
    if weights.is_empty() {
        return Err(ParameterError::Empty { field, expected: "one weight per variant" });
    }
    let mut total: u64 = 0;
    let mut sums = Vec::with_capacity(weights.len());
    for &weight in weights {
        total = total.saturating_add(u64::from(weight));
        sums.push(u32::try_from(total).unwrap_or(u32::MAX));
    }
    match u32::try_from(total) {
        Ok(sum) if sum > 0 && sum <= limit => Ok((sums.into(), sum)),
        _ => Err(ParameterError::Total { field, expected, found: total as f64 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_bucket_stays_below_ten_thousand() {
        assert_eq!(float_bucket(0.0), 0);
        assert_eq!(float_bucket(0.999_99), 9_999);
        assert_eq!(float_bucket(1.0), 9_999);
    }

    #[test]
    fn cumulative_refuses_what_cannot_be_drawn_from() {
        let limit = u32::MAX;
        assert!(matches!(cumulative("weights", &[], limit, "any"), Err(ParameterError::Empty { .. })));
        assert!(matches!(cumulative("weights", &[0, 0], limit, "any"), Err(ParameterError::Total { .. })));
        assert!(matches!(
            cumulative("weights", &[u32::MAX, 1], limit, "any"),
            Err(ParameterError::Total { .. })
        ));
        assert_eq!(cumulative("weights", &[1, 0, 2], limit, "any"), Ok((Box::from([1, 1, 3]), 3)));
    }
}
