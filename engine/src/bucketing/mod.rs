//! Bucketing arithmetic: whose hash decides which variant a unit gets.
//!
//! One file per dialect. A dialect is a struct of ready-to-run parameters (salts hashed, weights
//! summed), made once by a constructor that refuses wrong parameters, and a `pick` that allocates
//! nothing and agrees bit for bit with the system it is named after. Vectors made by those systems'
//! own SDKs live in `spec/vectors/`.
//!
//! Rejected: one generic "salt, hash, modulus" core with parameters. The systems differ in exactly
//! the places such a core would hide (`<` or `<=`, UTF-16 or UTF-8, integer or float), so each file
//! states its whole formula.

mod eppo;
mod error;
mod flagd;
mod growthbook;
mod launchdarkly;
mod optimizely;
mod planout;
mod sha1_60;
mod split;
mod splitway;
mod statsig;
mod unleash;

use std::io::Read;

pub use eppo::{Eppo, EppoParameters};
pub use error::ParameterError;
pub use flagd::{Flagd, FlagdParameters};
pub use growthbook::{GrowthBook, GrowthBookFilter, GrowthBookParameters, HashVersion};
pub use launchdarkly::{LaunchDarkly, LaunchDarklyParameters};
pub use optimizely::{Optimizely, OptimizelyGroup, OptimizelyParameters};
pub use planout::{PlanOut, PlanOutParameters};
pub use split::{Split, SplitParameters};
pub use splitway::SaltedHash;
pub use statsig::{Statsig, StatsigParameters};
pub use unleash::{Unleash, UnleashParameters};

/// Buckets of the default dialect, and the resolution in which float dialects report theirs.
pub const BUCKETS: u32 = 10_000;

/// What a dialect says of one unit.
///
/// `bucket` is the native integer of the hash that decided (each dialect documents its range): for
/// a unit that a namespace, group, rollout or pass gate turned away it is that gate's bucket.
/// Systems that hash to a fraction `n` report `floor(n * 10_000)`, at most 9,999. It is 0 where the
/// system decides without hashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The unit gets this variant.
    Variant {
        /// Position in the experiment's list of variants.
        index: usize,
        /// See [`Pick`].
        bucket: u32,
    },
    /// The unit is not in the experiment.
    Out {
        /// See [`Pick`].
        bucket: u32,
    },
}

impl Pick {
    /// The position of the variant, if the unit is in.
    pub fn index(self) -> Option<usize> {
        match self {
            Pick::Variant { index, .. } => Some(index),
            Pick::Out { .. } => None,
        }
    }

    /// The deciding bucket; see [`Pick`] for its range.
    pub fn bucket(self) -> u32 {
        match self {
            Pick::Variant { bucket, .. } | Pick::Out { bucket } => bucket,
        }
    }

    fn from_index(index: Option<usize>, bucket: u32) -> Pick {
        match index {
            Some(index) => Pick::Variant { index, bucket },
            None => Pick::Out { bucket },
        }
    }
}

/// Another system's arithmetic with one experiment's parameters. The default arithmetic is
/// [`SaltedHash`].
#[derive(Debug, Clone)]
pub enum Dialect {
    /// GrowthBook, hash version 1 or 2.
    GrowthBook(GrowthBook),
    /// Optimizely Feature Experimentation.
    Optimizely(Optimizely),
    /// Unleash.
    Unleash(Unleash),
    /// LaunchDarkly.
    LaunchDarkly(LaunchDarkly),
    /// Statsig.
    Statsig(Statsig),
    /// Split (Harness FME).
    Split(Split),
    /// PlanOut.
    PlanOut(PlanOut),
    /// Eppo.
    Eppo(Eppo),
    /// flagd's `fractional` operation.
    Flagd(Flagd),
}

impl Dialect {
    /// The variant of `unit`, without allocating.
    pub fn pick(&self, unit: &str) -> Pick {
        match self {
            Dialect::GrowthBook(dialect) => dialect.pick(unit),
            Dialect::Optimizely(dialect) => dialect.pick(unit),
            Dialect::Unleash(dialect) => dialect.pick(unit),
            Dialect::LaunchDarkly(dialect) => dialect.pick(unit),
            Dialect::Statsig(dialect) => dialect.pick(unit),
            Dialect::Split(dialect) => dialect.pick(unit),
            Dialect::PlanOut(dialect) => dialect.pick(unit),
            Dialect::Eppo(dialect) => dialect.pick(unit),
            Dialect::Flagd(dialect) => dialect.pick(unit),
        }
    }
}

/// `murmur3_x86_32` of the concatenated parts, without concatenating them.
pub fn murmur3_32(parts: &[&[u8]], seed: u32) -> u32 {
    let mut reader = Parts { current: &[], rest: parts };
    // Reading from slices cannot fail, so the default is never taken; there is no error to report.
    murmur3::murmur3_32(&mut reader, seed).unwrap_or_default()
}

/// Reads the parts one after the other. A read ends at a part's end; `murmur3` refills its 4-byte
/// block until it is full or a read returns 0, so empty parts are skipped here.
struct Parts<'a> {
    current: &'a [u8],
    rest: &'a [&'a [u8]],
}

impl Read for Parts<'_> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            let Some((first, rest)) = self.rest.split_first() else {
                return Ok(0);
            };
            self.current = first;
            self.rest = rest;
        }
        self.current.read(buffer)
    }
}

/// `floor(fraction * 10_000)`, at most 9,999 (a fraction of exactly 1.0 is possible where a system
/// divides by its largest hash).
fn float_bucket(fraction: f64) -> u32 {
    // `as` truncates and saturates: the fraction is in [0, 1].
    ((fraction * f64::from(BUCKETS)) as u32).min(BUCKETS - 1)
}

/// Running integer sums, with the total; refuses an empty list, a zero total and a total above
/// `limit`.
fn cumulative(
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
    fn parts_hash_like_their_concatenation() {
        let text = "gr1:é-日本-0123456789".as_bytes();
        let whole = murmur3_32(&[text], 7);
        for left in 0..=text.len() {
            for right in left..=text.len() {
                let parts: [&[u8]; 5] = [&text[..left], b"", &text[left..right], b"", &text[right..]];
                assert_eq!(murmur3_32(&parts, 7), whole, "cut at {left} and {right}");
            }
        }
    }

    /// Reference values of `murmur3_x86_32`; the last two have the top bit set.
    #[test]
    fn murmur3_reference_values() {
        assert_eq!(murmur3_32(&[], 0), 0);
        assert_eq!(murmur3_32(&[b""], 1), 0x514e_28b7);
        assert_eq!(murmur3_32(&[b"hello"], 0), 0x248b_fa47);
        assert_eq!(murmur3_32(&[b"test"], 0), 0xba6b_d213);
        assert_eq!(murmur3_32(&[b""], 0xffff_ffff), 0x81f1_6f39);
    }

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
