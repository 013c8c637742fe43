//! What a dialect says of one unit.

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

    pub(super) fn from_index(index: Option<usize>, bucket: u32) -> Pick {
        match index {
            Some(index) => Pick::Variant { index, bucket },
            None => Pick::Out { bucket },
        }
    }
}
