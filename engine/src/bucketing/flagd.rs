//! flagd's `fractional` operation (the shorthand that buckets by flag key and targeting key).
//!
//! `bucket = (u64(mm3(text, 0)) * sum(weights)) >> 32`; the first cumulative weight above it wins.
//! Revision 2 hashes `flag_key + targeting_key`, revision 3 (openfeature-flagd-core 2.0.0) the
//! canonical CBOR array of the two text strings. flagd before revision 2 scaled to 100 whole
//! percent, and is not supported.
//!
//! Traps: in revision 2 flag key and targeting key are joined with nothing between them; the
//! resolution is the sum of the weights; UTF-8 (the JavaScript provider's hash is right for ASCII
//! only); a CBOR text's length is in bytes. flagd needs a targeting key, so an empty unit is out.
//!
//! Buckets are `0..sum(weights)`.

use super::{ParameterError, Pick, cumulative, murmur3_32, shares};

/// A `fractional` rule.
#[derive(Debug, Clone, Copy)]
pub struct FlagdParameters<'a> {
    /// The flag's key.
    pub flag_key: &'a str,
    /// One weight per variant; together at most 2^31 - 1.
    pub weights: &'a [u32],
    /// Revision of the operation, 2 or 3.
    pub revision: u32,
}

/// A ready rule.
#[derive(Debug, Clone)]
pub struct Flagd {
    /// What stands before the targeting key.
    prefix: Box<[u8]>,
    /// The targeting key is a CBOR text.
    is_cbor: bool,
    sums: Box<[u32]>,
    total: u32,
}

impl Flagd {
    /// Errors: another revision than 2 and 3, no weights, weights that sum to 0 or more than 2^31 - 1 (flagd's own limit).
    pub fn new(parameters: &FlagdParameters<'_>) -> Result<Self, ParameterError> {
        let limit = i32::MAX.unsigned_abs();
        let (sums, total) = cumulative("weights", parameters.weights, limit, "1 to 2147483647")?;
        let flag_key = parameters.flag_key;
        let mut prefix = Vec::new();
        match parameters.revision {
            2 => {}
            3 => {
                prefix.push(ARRAY_OF_TWO);
                prefix.extend(text_head(flag_key.len()).bytes());
            }
            found => {
                let (expected, found) = ("2 or 3", f64::from(found));
                return Err(ParameterError::Number { field: "revision", index: None, expected, found });
            }
        }
        prefix.extend(flag_key.bytes());
        Ok(Self { prefix: prefix.into(), is_cbor: parameters.revision == 3, sums, total })
    }

    /// The variant of `unit`, flagd's targeting key; an empty one is out.
    pub fn pick(&self, unit: &str) -> Pick {
        if unit.is_empty() {
            return Pick::Out { bucket: 0 };
        }
        let head = if self.is_cbor { text_head(unit.len()) } else { TextHead::default() };
        let hash = murmur3_32(&[&self.prefix, head.bytes(), unit.as_bytes()], 0);
        // Two factors of 32 bits fit 64; after the shift the value is below the total.
        let bucket = (u64::from(hash).wrapping_mul(u64::from(self.total)) >> 32) as u32;
        Pick::from_index(self.sums.iter().position(|&sum| bucket < sum), bucket)
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let claims = shares::cumulative(self.sums.iter().enumerate().map(|(index, sum)| (Some(index), *sum)));
        shares::first_wins(variants, &claims, &[], &shares::scaled(self.total))
    }
}

/// CBOR's first byte of an array with two items (RFC 8949, section 3).
const ARRAY_OF_TWO: u8 = 0x82;

/// The bytes before a CBOR text.
#[derive(Default)]
struct TextHead {
    bytes: [u8; 5],
    length: usize,
}

impl TextHead {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The shortest form, which is the canonical one. No text here is longer than 32 bits can say.
fn text_head(length: usize) -> TextHead {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let (bytes, length) = match length {
        0..24 => ([0x60 | d, 0, 0, 0, 0], 1),
        24..256 => ([0x78, d, 0, 0, 0], 2),
        256..65_536 => ([0x79, c, d, 0, 0], 3),
        _ => ([0x7a, a, b, c, d], 5),
    };
    TextHead { bytes, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(weights: &[u32]) -> Pick {
        Flagd::new(&FlagdParameters { flag_key: "my-flag", weights, revision: 2 }).unwrap().pick("user-1")
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
        let rule = Flagd::new(&FlagdParameters { flag_key: "f", weights: &[1], revision: 2 }).unwrap();
        assert_eq!(rule.pick(""), Pick::Out { bucket: 0 });
    }

    #[test]
    fn refuses_wrong_parameters() {
        for weights in [&[][..], &[0], &[i32::MAX.unsigned_abs(), 1]] {
            let parameters = FlagdParameters { flag_key: "f", weights, revision: 2 };
            assert_eq!(Flagd::new(&parameters).unwrap_err().field(), "weights");
        }
    }
}
