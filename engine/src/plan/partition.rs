//! A division of the buckets 0..10,000 among owners. Overlap cannot be
//! expressed: each bucket has exactly one entry.

use crate::bucketing::BUCKETS;

/// Every bucket's owner, as consecutive segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition<T> {
    /// Sorted by `end` (exclusive); the last `end` is [`BUCKETS`].
    segments: Box<[Segment<T>]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment<T> {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) owner: T,
}

/// What a claim collides with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlap<T> {
    pub(crate) first: T,
    pub(crate) second: T,
    pub(crate) bucket: u32,
}

impl<T: Copy> Partition<T> {
    /// Divides the buckets by `claims` of `(start, end exclusive, owner)`;
    /// unclaimed ones go to `rest`.
    pub(crate) fn new(claims: impl IntoIterator<Item = (u32, u32, T)>, rest: T) -> Result<Self, Overlap<T>> {
        let mut claimed: Vec<Segment<T>> = Vec::new();
        for (start, end, owner) in claims {
            let position = claimed.partition_point(|other| other.start < start);
            let before =
                position.checked_sub(1).and_then(|i| claimed.get(i)).filter(|other| other.end > start);
            let after = claimed.get(position).filter(|other| other.start < end);
            if let Some(other) = before.or(after) {
                return Err(Overlap { first: other.owner, second: owner, bucket: start.max(other.start) });
            }
            claimed.insert(position, Segment { start, end, owner });
        }
        let mut segments = Vec::with_capacity(claimed.len().saturating_mul(2).saturating_add(1));
        let mut free = 0;
        for segment in claimed {
            if segment.start > free {
                segments.push(Segment { start: free, end: segment.start, owner: rest });
            }
            free = segment.end;
            segments.push(segment);
        }
        if free < BUCKETS {
            segments.push(Segment { start: free, end: BUCKETS, owner: rest });
        }
        Ok(Self { segments: segments.into() })
    }

    /// All buckets for one owner.
    pub(crate) fn whole(owner: T) -> Self {
        Self { segments: Box::new([Segment { start: 0, end: BUCKETS, owner }]) }
    }

    /// The segment that holds `bucket`.
    pub(crate) fn at(&self, bucket: u32) -> Option<&Segment<T>> {
        let index = self.segments.partition_point(|segment| segment.end <= bucket);
        self.segments.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_has_one_owner() {
        let partition = Partition::new([(4000, 6000, 'b'), (0, 1000, 'a')], '-').unwrap();
        for (bucket, owner) in [
            (0, 'a'),
            (999, 'a'),
            (1000, '-'),
            (3999, '-'),
            (4000, 'b'),
            (5999, 'b'),
            (6000, '-'),
            (9999, '-'),
        ] {
            assert_eq!(partition.at(bucket).unwrap().owner, owner, "{bucket}");
        }
        assert!(partition.at(10_000).is_none());
    }

    #[test]
    fn overlap_is_refused() {
        let (a, b) = ((0, 5000, 'a'), (4999, 10_000, 'b'));
        let overlap = Partition::new([a, b], '-').unwrap_err();
        assert_eq!(overlap, Overlap { first: 'a', second: 'b', bucket: 4999 });
        let overlap = Partition::new([b, a], '-').unwrap_err();
        assert_eq!(overlap, Overlap { first: 'b', second: 'a', bucket: 4999 });
        assert!(Partition::new([(5, 6, 'a'), (5, 6, 'b')], '-').is_err());
        assert!(Partition::new([(5, 6, 'a'), (6, 7, 'b')], '-').is_ok());
    }
}
