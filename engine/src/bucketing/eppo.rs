//! Eppo.
//!
//! `shard = BE32(md5(salt + "-" + id)[:4]) % total_shards`; a variant gets the unit when one of its
//! ranges `[start, end)` holds the shard, variants in order. An allocation that exposes only part
//! of the traffic has a second shard with its own salt in front of every variant; both must hold.
//!
//! Traps: four bytes, big-endian; the hyphen is part of the salt; ends are exclusive. The empty
//! unit is hashed like any other.
//!
//! Buckets are shards, `0..total_shards`; a unit turned away by the traffic shard reports that one.

use md5::{Digest, Md5};

use super::{ParameterError, Pick, shares};

/// An allocation as in Eppo's universal flag config.
#[derive(Debug, Clone, Copy)]
pub struct EppoParameters<'a> {
    /// Salt of the variants' shards.
    pub salt: &'a str,
    /// The flag's number of shards, usually 10,000.
    pub total_shards: u32,
    /// Per variant its `[start, end)` ranges, perhaps none.
    pub ranges: &'a [Vec<(u32, u32)>],
    /// Salt and ranges of the traffic shard, where the allocation has one.
    pub traffic: Option<(&'a str, &'a [(u32, u32)])>,
}

/// A ready allocation.
#[derive(Debug, Clone)]
pub struct Eppo {
    traffic: Option<Shard>,
    salted: Md5,
    /// The traffic shard has the same salt.
    is_one_hash: bool,
    ranges: Box<[Ranges]>,
    total_shards: u32,
}

/// `[start, end)` pairs.
type Ranges = Box<[(u32, u32)]>;

#[derive(Debug, Clone)]
struct Shard {
    salted: Md5,
    ranges: Ranges,
}

impl Eppo {
    /// Errors: no shards, no variants, ranges that are reversed or end beyond the last shard.
    pub fn new(parameters: &EppoParameters<'_>) -> Result<Self, ParameterError> {
        let total = parameters.total_shards;
        if total == 0 {
            let expected = "at least 1";
            return Err(ParameterError::Number { field: "total_shards", index: None, expected, found: 0.0 });
        }
        if parameters.ranges.is_empty() {
            return Err(ParameterError::Empty { field: "ranges", expected: "a list of ranges per variant" });
        }
        for ranges in parameters.ranges {
            check_ranges("ranges", ranges, total)?;
        }
        let traffic = parameters.traffic.map(|(salt, ranges)| {
            check_ranges("traffic.ranges", ranges, total)?;
            Ok(Shard { salted: salted(salt), ranges: ranges.into() })
        });
        Ok(Self {
            traffic: traffic.transpose()?,
            salted: salted(parameters.salt),
            is_one_hash: parameters.traffic.is_some_and(|(salt, _)| salt == parameters.salt),
            ranges: parameters.ranges.iter().map(|ranges| ranges.as_slice().into()).collect(),
            total_shards: total,
        })
    }

    /// The variant of `unit`, Eppo's subject key.
    pub fn pick(&self, unit: &str) -> Pick {
        if let Some(traffic) = &self.traffic {
            let bucket = self.shard(&traffic.salted, unit);
            if !holds(&traffic.ranges, bucket) {
                return Pick::Out { bucket };
            }
        }
        let bucket = self.shard(&self.salted, unit);
        Pick::from_index(self.ranges.iter().position(|ranges| holds(ranges, bucket)), bucket)
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let wide = |&(start, end): &(u32, u32)| (u64::from(start), u64::from(end));
        let mut claims: Vec<shares::Claim> = Vec::new();
        for (variant, ranges) in self.ranges.iter().enumerate() {
            claims.extend(ranges.iter().map(wide).map(|(start, end)| (start, end, Some(variant))));
        }
        let gate = self.traffic.as_ref().filter(|_| self.is_one_hash);
        let gate = gate.map(|traffic| traffic.ranges.iter().map(wide).collect());
        shares::first_wins(variants, &claims, gate.as_slice(), &shares::remainders(self.total_shards))
    }

    fn shard(&self, salted: &Md5, unit: &str) -> u32 {
        let digest = salted.clone().chain_update(unit).finalize();
        let head = digest.iter().take(4).fold(0_u32, |sum, &byte| (sum << 8) | u32::from(byte));
        // The constructor refuses a total of 0.
        head.checked_rem(self.total_shards).unwrap_or_default()
    }
}

fn salted(salt: &str) -> Md5 {
    Md5::new_with_prefix(salt).chain_update("-")
}

fn holds(ranges: &[(u32, u32)], shard: u32) -> bool {
    ranges.iter().any(|&(start, end)| start <= shard && shard < end)
}

fn check_ranges(field: &'static str, ranges: &[(u32, u32)], total: u32) -> Result<(), ParameterError> {
    for (index, &(start, end)) in ranges.iter().enumerate() {
        if start > end || end > total {
            let found = (f64::from(start), f64::from(end));
            let expected = "start <= end <= total_shards";
            return Err(ParameterError::Range { field, index, expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters<'a>(ranges: &'a [Vec<(u32, u32)>]) -> EppoParameters<'a> {
        EppoParameters { salt: "s", total_shards: 10_000, ranges, traffic: None }
    }

    fn pick(ranges: &[Vec<(u32, u32)>]) -> Pick {
        Eppo::new(&parameters(ranges)).unwrap().pick("user-1")
    }

    /// The shard eppo-server-sdk 4.4.1 reports for salt `s`.
    #[test]
    fn ranges_include_their_start_and_exclude_their_end() {
        assert_eq!(pick(&[vec![(465, 466)]]), Pick::Variant { index: 0, bucket: 465 });
        assert_eq!(pick(&[vec![(0, 465)], vec![(466, 10_000)]]), Pick::Out { bucket: 465 });
        assert_eq!(pick(&[vec![], vec![(0, 1), (465, 500)]]), Pick::Variant { index: 1, bucket: 465 });
    }

    #[test]
    fn the_traffic_shard_comes_first() {
        let all = [vec![(0, 10_000)]];
        let pick = |ranges| {
            let parameters =
                EppoParameters { salt: "other", traffic: Some(("s", ranges)), ..parameters(&all) };
            Eppo::new(&parameters).unwrap().pick("user-1")
        };
        assert_eq!(pick(&[(0, 465)]), Pick::Out { bucket: 465 });
        assert_eq!(pick(&[(0, 466)]).index(), Some(0));
    }

    #[test]
    fn refuses_wrong_parameters() {
        let field = |parameters: &EppoParameters<'_>| Eppo::new(parameters).unwrap_err().field();
        let all = [vec![(0, 10_000)]];
        assert_eq!(field(&EppoParameters { total_shards: 0, ..parameters(&all) }), "total_shards");
        assert_eq!(field(&parameters(&[])), "ranges");
        assert_eq!(field(&parameters(&[vec![(5, 4)]])), "ranges");
        assert_eq!(field(&parameters(&[vec![(0, 10_001)]])), "ranges");
        let traffic = Some(("t", [(0, 10_001)].as_slice()));
        assert_eq!(field(&EppoParameters { traffic, ..parameters(&all) }), "traffic.ranges");
    }
}
