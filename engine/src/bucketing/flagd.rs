//! flagd's `fractional` operation (the shorthand that buckets by flag key and targeting key).
//!
//! `bucket = (u64(mm3(text, 0)) * sum(weights)) >> 32`; the first cumulative weight above it wins. In the
//! second revision of the operation, the text is `flag_key + targeting_key`; in the third, it is the canonical
//! CBOR array (RFC 8949, section 4.2) of both keys. Most units differ between them. flagd before the second
//! scaled to 100 whole percent.
//!
//! Traps: the second revision joins the keys with nothing between them; lengths in CBOR are of bytes; the resolution is the
//! sum of the weights; UTF-8 (the JavaScript provider's hash is right for ASCII only). flagd needs
//! a targeting key, so an empty unit is out.
//!
//! Buckets are `0..sum(weights)`.

use super::{ParameterError, Pick, cumulative, murmur3_32};

/// Which text the operation hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FlagdRevision {
    /// Both keys, one after the other.
    #[default]
    Second,
    /// A CBOR array of both keys.
    Third,
}

/// A `fractional` rule.
#[derive(Debug, Clone, Copy)]
pub struct FlagdParameters<'a> {
    /// The revision of the operation that the providers have.
    pub revision: FlagdRevision,
    /// The flag's key.
    pub flag_key: &'a str,
    /// One weight per variant; together at most 2^31 - 1.
    pub weights: &'a [u32],
}

/// A ready rule.
#[derive(Debug, Clone)]
pub struct Flagd {
    revision: FlagdRevision,
    /// What is hashed before the targeting key, without the length that CBOR gives that.
    before: Box<[u8]>,
    sums: Box<[u32]>,
    total: u32,
}

impl Flagd {
    /// Errors: no weights, weights that sum to 0 or more than 2^31 - 1 (flagd's own limit).
    pub fn new(parameters: &FlagdParameters<'_>) -> Result<Self, ParameterError> {
        let limit = i32::MAX.unsigned_abs();
        let (sums, total) = cumulative("weights", parameters.weights, limit, "1 to 2147483647")?;
        let flag_key = parameters.flag_key;
        let before = match parameters.revision {
            FlagdRevision::Second => Box::from(flag_key.as_bytes()),
            FlagdRevision::Third => [&[ARRAY_OF_TWO], TextHead::of(flag_key).bytes(), flag_key.as_bytes()]
                .concat()
                .into_boxed_slice(),
        };
        Ok(Self { revision: parameters.revision, before, sums, total })
    }

    /// The variant of `unit`, flagd's targeting key; an empty one is out.
    pub fn pick(&self, unit: &str) -> Pick {
        if unit.is_empty() {
            return Pick::Out { bucket: 0 };
        }
        let head = match self.revision {
            FlagdRevision::Second => TextHead::NONE,
            FlagdRevision::Third => TextHead::of(unit),
        };
        let hash = murmur3_32(&[&self.before, head.bytes(), unit.as_bytes()], 0);
        // Two factors of 32 bits fit 64; after the shift the value is below the total.
        let bucket = (u64::from(hash).wrapping_mul(u64::from(self.total)) >> 32) as u32;
        Pick::from_index(self.sums.iter().position(|&sum| bucket < sum), bucket)
    }
}

/// CBOR's head of an array of two items.
const ARRAY_OF_TWO: u8 = 0x82;

/// CBOR's head of a text: its type, and its length in as few bytes as can be.
#[derive(Clone, Copy)]
struct TextHead {
    bytes: [u8; 9],
    length: usize,
}

impl TextHead {
    const NONE: Self = Self { bytes: [0; 9], length: 0 };

    fn of(text: &str) -> Self {
        const TEXT: u8 = 0x60;
        let length = text.len() as u64;
        let [b0, b1, b2, b3, b4, b5, b6, b7] = length.to_be_bytes();
        match length {
            0..=0x17 => Self { bytes: [TEXT | b7, 0, 0, 0, 0, 0, 0, 0, 0], length: 1 },
            0x18..=0xff => Self { bytes: [TEXT | 24, b7, 0, 0, 0, 0, 0, 0, 0], length: 2 },
            0x100..=0xffff => Self { bytes: [TEXT | 25, b6, b7, 0, 0, 0, 0, 0, 0], length: 3 },
            0x1_0000..=0xffff_ffff => Self { bytes: [TEXT | 26, b4, b5, b6, b7, 0, 0, 0, 0], length: 5 },
            _ => Self { bytes: [TEXT | 27, b0, b1, b2, b3, b4, b5, b6, b7], length: 9 },
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(weights: &[u32]) -> Pick {
        let revision = FlagdRevision::Second;
        Flagd::new(&FlagdParameters { revision, flag_key: "my-flag", weights }).unwrap().pick("user-1")
    }

    /// The examples of RFC 8949, appendix A, and each length at which the head grows.
    #[test]
    fn heads_of_texts_are_canonical() {
        let head = |length: usize| TextHead::of(&"a".repeat(length)).bytes().to_vec();
        for (length, expected) in [
            (0, &[0x60][..]),
            (1, &[0x61]),
            (4, &[0x64]),
            (23, &[0x77]),
            (24, &[0x78, 24]),
            (255, &[0x78, 255]),
            (256, &[0x79, 1, 0]),
            (65_535, &[0x79, 255, 255]),
            (65_536, &[0x7a, 0, 1, 0, 0]),
        ] {
            assert_eq!(head(length), expected, "{length}");
        }
        // Of bytes, not of characters.
        assert_eq!(TextHead::of("\u{6c34}").bytes(), [0x63]);
    }

    #[test]
    fn a_cumulative_weight_excludes_its_end() {
        let bucket = pick(&[1_000_000]).bucket();
        let rest = 1_000_000_u32.wrapping_sub(bucket);
        assert_eq!(pick(&[bucket, rest]), Pick::Variant { index: 1, bucket });
        let after = bucket.wrapping_add(1);
        assert_eq!(pick(&[after, rest.wrapping_sub(1)]), Pick::Variant { index: 0, bucket });
        assert_eq!(pick(&[0, 1_000_000, 0]), Pick::Variant { index: 1, bucket });
    }

    #[test]
    fn the_largest_total_does_not_overflow() {
        let half = i32::MAX.unsigned_abs() / 2;
        assert!(pick(&[half, half]).index().is_some());
    }

    #[test]
    fn an_empty_unit_is_out() {
        for revision in [FlagdRevision::Second, FlagdRevision::Third] {
            let rule = Flagd::new(&FlagdParameters { revision, flag_key: "f", weights: &[1] }).unwrap();
            assert_eq!(rule.pick(""), Pick::Out { bucket: 0 });
        }
    }

    #[test]
    fn refuses_wrong_parameters() {
        for weights in [&[][..], &[0], &[i32::MAX.unsigned_abs(), 1]] {
            let parameters = FlagdParameters { revision: FlagdRevision::Second, flag_key: "f", weights };
            assert_eq!(Flagd::new(&parameters).unwrap_err().field(), "weights");
        }
    }
}
