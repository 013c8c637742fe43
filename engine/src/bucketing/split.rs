//! Split (now Harness FME), algorithm 2.
//!
//! `bucket = mm3(key, seed) % 100 + 1`, the hash taken as unsigned; the first cumulative size `>=
//! bucket` wins. A lone 100 % partition needs no hash. Traffic allocation below 100 hashes with its
//! own seed first and turns away `bucket > allocation`.
//!
//! Traps: buckets start at 1 and the comparison includes the end; the seed is a signed 32-bit
//! number in Split's data and is used as its bit pattern; the old algorithm 1 is another hash and
//! not supported. The SDKs refuse an empty key, so an empty unit is out. They also refuse keys
//! above 250 characters and trim blanks, which is input validation and left to the app.
//!
//! Buckets are 1..=100; 0 for a lone 100 % partition; a unit turned away by the allocation reports
//! the allocation's bucket.

use super::{ParameterError, Pick, cumulative, murmur3_32, shares};

/// A rollout condition as Split holds it.
#[derive(Debug, Clone, Copy)]
pub struct SplitParameters<'a> {
    /// The flag's seed: 32 bits, signed or unsigned.
    pub seed: i64,
    /// One whole percentage per variant, at most 100 together; units beyond them are out.
    pub sizes: &'a [u32],
    /// Whole percentage of the traffic to consider, 100 by default.
    pub traffic_allocation: u32,
    /// Its own seed: 32 bits, signed or unsigned.
    pub traffic_allocation_seed: i64,
}

/// A ready condition.
#[derive(Debug, Clone)]
pub struct Split {
    seed: u32,
    sums: Box<[u32]>,
    /// The percentage and its seed, when it is below 100.
    allocation: Option<(u32, u32)>,
}

impl Split {
    /// Errors: seeds beyond 32 bits, no sizes, sizes that sum to 0 or more than 100, an allocation
    /// above 100.
    pub fn new(parameters: &SplitParameters<'_>) -> Result<Self, ParameterError> {
        let (sums, _) = cumulative("sizes", parameters.sizes, 100, "1 to 100")?;
        if parameters.traffic_allocation > 100 {
            let (expected, found) =
                ("a whole percentage from 0 to 100", f64::from(parameters.traffic_allocation));
            return Err(ParameterError::Number { field: "traffic_allocation", index: None, expected, found });
        }
        let allocation_seed = seed_bits("traffic_allocation_seed", parameters.traffic_allocation_seed)?;
        let allocation = (parameters.traffic_allocation, allocation_seed);
        Ok(Self {
            seed: seed_bits("seed", parameters.seed)?,
            sums,
            allocation: Some(allocation).filter(|&(percentage, _)| percentage < 100),
        })
    }

    /// The variant of `unit`, Split's bucketing key; an empty one is out.
    pub fn pick(&self, unit: &str) -> Pick {
        if unit.is_empty() {
            return Pick::Out { bucket: 0 };
        }
        if let Some((percentage, seed)) = self.allocation {
            let bucket = bucket(unit, seed);
            if bucket > percentage {
                return Pick::Out { bucket };
            }
        }
        if *self.sums == [100] {
            return Pick::Variant { index: 0, bucket: 0 };
        }
        let bucket = bucket(unit, self.seed);
        Pick::from_index(self.sums.iter().position(|&sum| sum >= bucket), bucket)
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let claims = shares::cumulative(self.sums.iter().enumerate().map(|(index, sum)| (Some(index), *sum)));
        // One seed for both: who passes has a low bucket, which is the variant's too.
        let allocation = self.allocation.filter(|_| *self.sums != [100]);
        let gate = allocation.filter(|&(_, seed)| seed == self.seed);
        let gate = gate.map(|(percentage, _)| vec![(0, u64::from(percentage))]);
        shares::first_wins(variants, &claims, gate.as_slice(), &shares::remainders(100))
    }
}

fn bucket(unit: &str, seed: u32) -> u32 {
    (murmur3_32(&[unit.as_bytes()], seed) % 100).wrapping_add(1)
}

/// The bit pattern of a seed that may be written signed or unsigned.
fn seed_bits(field: &'static str, seed: i64) -> Result<u32, ParameterError> {
    let signed = i32::try_from(seed).map(|seed| seed.cast_unsigned());
    signed.or(u32::try_from(seed)).map_err(|_| ParameterError::Number {
        field,
        index: None,
        expected: "a 32-bit integer",
        found: seed as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(sizes: &[u32]) -> SplitParameters<'_> {
        SplitParameters { seed: 12_345, sizes, traffic_allocation: 100, traffic_allocation_seed: 0 }
    }

    fn pick(sizes: &[u32]) -> Pick {
        Split::new(&parameters(sizes)).unwrap().pick("user-1")
    }

    #[test]
    fn known_value() {
        assert_eq!(bucket("user-1", 12_345), 26);
    }

    #[test]
    fn a_cumulative_size_includes_its_end() {
        assert_eq!(pick(&[26, 74]), Pick::Variant { index: 0, bucket: 26 });
        assert_eq!(pick(&[25, 75]), Pick::Variant { index: 1, bucket: 26 });
        assert_eq!(pick(&[25]), Pick::Out { bucket: 26 });
    }

    #[test]
    fn only_a_lone_full_partition_skips_the_hash() {
        assert_eq!(pick(&[100]), Pick::Variant { index: 0, bucket: 0 });
        assert_eq!(pick(&[100, 0]), Pick::Variant { index: 0, bucket: 26 });
        assert_eq!(pick(&[0, 100]), Pick::Variant { index: 1, bucket: 26 });
    }

    #[test]
    fn the_allocation_includes_its_percentage_and_comes_first() {
        let pick = |traffic_allocation| {
            let parameters =
                SplitParameters { traffic_allocation, traffic_allocation_seed: 12_345, ..parameters(&[100]) };
            Split::new(&parameters).unwrap().pick("user-1")
        };
        assert_eq!(pick(25), Pick::Out { bucket: 26 });
        assert_eq!(pick(26), Pick::Variant { index: 0, bucket: 0 });
        assert_eq!(pick(0), Pick::Out { bucket: 26 });
    }

    #[test]
    fn a_negative_seed_is_its_bit_pattern() {
        let pick =
            |seed| Split::new(&SplitParameters { seed, ..parameters(&[50, 50]) }).unwrap().pick("user-1");
        assert_eq!(pick(-1), pick(0xffff_ffff));
        assert_eq!(pick(i64::from(i32::MIN)), pick(0x8000_0000));
    }

    #[test]
    fn an_empty_unit_is_out() {
        assert_eq!(Split::new(&parameters(&[100])).unwrap().pick(""), Pick::Out { bucket: 0 });
    }

    #[test]
    fn refuses_wrong_parameters() {
        let base = parameters(&[50, 50]);
        let field = |parameters: &SplitParameters<'_>| Split::new(parameters).unwrap_err().field();
        assert_eq!(field(&SplitParameters { seed: 1 << 32, ..base }), "seed");
        assert_eq!(
            field(&SplitParameters { traffic_allocation_seed: -(1 << 31) - 1, ..base }),
            "traffic_allocation_seed"
        );
        assert_eq!(field(&SplitParameters { traffic_allocation: 101, ..base }), "traffic_allocation");
        for sizes in [&[][..], &[0], &[50, 51]] {
            assert_eq!(field(&SplitParameters { sizes, ..base }), "sizes");
        }
    }
}
