//! GrowthBook, hash versions 1 and 2.
//!
//! FNV-1a 32 over UTF-16 code units, each XORed whole (the JavaScript SDK is the reference; the
//! SDKs in other languages hash bytes and agree on ASCII only). v1: `fnv(value + seed) % 1000 /
//! 1000`. v2: `fnv(decimal(fnv(seed + value))) % 10000 / 10000`.
//!
//! A variant's range is `[cum, cum + coverage * weight)`; `cum` then grows by the whole weight, all
//! in f64 and never renormalised, so shrinking coverage keeps everyone where they are. Ranges
//! include their start and exclude their end.
//!
//! Traps: weights of another count than the variants, or that sum outside [0.99, 1.01], are
//! silently replaced by equal ones; a list of filters, even an empty one, switches the namespace
//! off; an empty value is in no experiment.
//!
//! Buckets: v1 reports `fnv % 1000`, v2 `fnv % 10_000`. A unit that a namespace or filter turned
//! away reports the bucket of that hash.

use super::{ParameterError, Pick, shares};

/// Which of GrowthBook's two hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashVersion {
    /// The original, with 1,000 steps and a known bias between experiments.
    V1,
    /// The unbiased one, with 10,000 steps.
    V2,
}

/// An experiment as GrowthBook holds it. Fractions are of 1.
#[derive(Debug, Clone, Copy)]
pub struct GrowthBookParameters<'a> {
    /// Hash version of the experiment.
    pub version: HashVersion,
    /// Seed; GrowthBook's default is the experiment's key.
    pub seed: &'a str,
    /// How many variants; GrowthBook runs nothing with fewer than two.
    pub variants: usize,
    /// Share of each weight that is active, clamped to [0, 1]; 1 by default.
    pub coverage: f64,
    /// One fraction per variant; `None` for equal ones.
    pub weights: Option<&'a [f64]>,
    /// One `[start, end)` per variant; replaces coverage and weights.
    pub ranges: Option<&'a [(f64, f64)]>,
    /// Id, start and end of a namespace.
    pub namespace: Option<(&'a str, f64, f64)>,
    /// All must let the unit pass; `Some` of any length switches the namespace off.
    pub filters: Option<&'a [GrowthBookFilter<'a>]>,
}

/// One filter: the modern form of a namespace.
#[derive(Debug, Clone, Copy)]
pub struct GrowthBookFilter<'a> {
    /// The filter's own seed.
    pub seed: &'a str,
    /// Its hash version; 2 by default.
    pub version: HashVersion,
    /// A unit passes when it falls into one of these `[start, end)`.
    pub ranges: &'a [(f64, f64)],
}

/// A ready experiment.
#[derive(Debug, Clone)]
pub struct GrowthBook {
    gates: Box<[Gate]>,
    hash: SeededFnv,
    ranges: Box<[(f64, f64)]>,
}

impl GrowthBook {
    /// Errors: fewer than two variants, numbers that are not finite or are negative, ranges of
    /// another count, reversed or outside [0, 1].
    pub fn new(parameters: &GrowthBookParameters<'_>) -> Result<Self, ParameterError> {
        if parameters.variants < 2 {
            return Err(ParameterError::Count { field: "variants", expected: 2, found: parameters.variants });
        }
        let ranges = match parameters.ranges {
            Some(ranges) if ranges.len() != parameters.variants => {
                let (expected, found) = (parameters.variants, ranges.len());
                return Err(ParameterError::Count { field: "ranges", expected, found });
            }
            Some(ranges) => check_ranges("ranges", ranges)?,
            None => ranges_from_weights(parameters)?,
        };
        Ok(Self {
            gates: gates(parameters)?,
            hash: SeededFnv::new(parameters.version, parameters.seed),
            ranges,
        })
    }

    /// The variant of `unit`; an empty unit is out.
    pub fn pick(&self, unit: &str) -> Pick {
        if unit.is_empty() {
            return Pick::Out { bucket: 0 };
        }
        for gate in &self.gates {
            let (bucket, n) = gate.hash.bucket(unit);
            if !gate.ranges.iter().any(|range| contains(range, n)) {
                return Pick::Out { bucket };
            }
        }
        let (bucket, n) = self.hash.bucket(unit);
        Pick::from_index(self.ranges.iter().position(|range| contains(range, n)), bucket)
    }

    pub(super) fn shares(&self, variants: usize) -> Vec<f64> {
        let steps = self.hash.steps();
        let buckets = |(start, end): &(f64, f64)| (first_at(*start, steps), first_at(*end, steps));
        let claim = |(index, range)| {
            let (start, end) = buckets(range);
            (start, end, Some(index))
        };
        let claims: Vec<shares::Claim> = self.ranges.iter().enumerate().map(claim).collect();
        let same = self.gates.iter().filter(|gate| gate.hash == self.hash);
        let gates: Vec<Vec<_>> = same.map(|gate| gate.ranges.iter().map(buckets).collect()).collect();
        shares::first_wins(variants, &claims, &gates, &shares::remainders(steps))
    }
}

/// The first of `steps` buckets whose fraction is at least `share`, or `steps`.
fn first_at(share: f64, steps: u32) -> u64 {
    let reaches = |bucket: u32| share <= f64::from(bucket) / f64::from(steps);
    let mut bucket = ((share * f64::from(steps)).ceil() as u32).min(steps);
    // The product is rounded; the comparison of `contains` decides.
    while bucket > 0 && reaches(bucket.saturating_sub(1)) {
        bucket = bucket.saturating_sub(1);
    }
    while bucket < steps && !reaches(bucket) {
        bucket = bucket.saturating_add(1);
    }
    u64::from(bucket)
}

/// A namespace or a filter: a hash of its own and where it lets units pass.
#[derive(Debug, Clone)]
struct Gate {
    hash: SeededFnv,
    ranges: Box<[(f64, f64)]>,
}

fn gates(parameters: &GrowthBookParameters<'_>) -> Result<Box<[Gate]>, ParameterError> {
    if let Some(filters) = parameters.filters {
        return filters
            .iter()
            .map(|filter| {
                Ok(Gate {
                    hash: SeededFnv::new(filter.version, filter.seed),
                    ranges: check_ranges("filters", filter.ranges)?,
                })
            })
            .collect();
    }
    let Some((id, start, end)) = parameters.namespace else {
        return Ok(Box::default());
    };
    let hash = SeededFnv::new(HashVersion::V1, &format!("__{id}"));
    Ok(Box::from([Gate { hash, ranges: check_ranges("namespace", &[(start, end)])? }]))
}

fn contains(&(start, end): &(f64, f64), n: f64) -> bool {
    start <= n && n < end
}

/// Ends may exceed 1 by float noise: GrowthBook itself writes ranges such as [0.9,
/// 1.0000000000000002].
fn check_ranges(field: &'static str, ranges: &[(f64, f64)]) -> Result<Box<[(f64, f64)]>, ParameterError> {
    for (index, &(start, end)) in ranges.iter().enumerate() {
        // A NaN fails every comparison.
        let fits = 0.0 <= start && start <= end && end <= 1.0 + 1e-9;
        if !fits {
            let expected = "0 <= start <= end <= 1";
            return Err(ParameterError::Range { field, index, expected, found: (start, end) });
        }
    }
    Ok(ranges.into())
}

fn ranges_from_weights(parameters: &GrowthBookParameters<'_>) -> Result<Box<[(f64, f64)]>, ParameterError> {
    if parameters.coverage.is_nan() {
        let (expected, found) = ("a number from 0 to 1", parameters.coverage);
        return Err(ParameterError::Number { field: "coverage", index: None, expected, found });
    }
    let coverage = parameters.coverage.clamp(0.0, 1.0);
    let equal = 1.0 / parameters.variants as f64;
    let weights = usable_weights(parameters)?;
    let mut start = 0.0;
    Ok((0..parameters.variants)
        .map(|index| {
            let weight = weights.map_or(equal, |weights| weights.get(index).copied().unwrap_or(equal));
            let range = (start, start + coverage * weight);
            start += weight;
            range
        })
        .collect())
}

/// The given weights, or `None` where GrowthBook falls back to equal ones.
fn usable_weights<'a>(parameters: &GrowthBookParameters<'a>) -> Result<Option<&'a [f64]>, ParameterError> {
    let Some(weights) = parameters.weights else {
        return Ok(None);
    };
    for (index, &found) in weights.iter().enumerate() {
        if !found.is_finite() || found < 0.0 {
            let expected = "a finite number of at least 0";
            return Err(ParameterError::Number { field: "weights", index: Some(index), expected, found });
        }
    }
    // Summed left to right from 0, as the SDK does: the order decides the last bit.
    let total = weights.iter().fold(0.0, |sum, weight| sum + weight);
    let usable = weights.len() == parameters.variants && (0.99..=1.01).contains(&total);
    Ok(usable.then_some(weights))
}

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// A seed, as far as each version can absorb it beforehand: v1 hashes it last, v2 first.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SeededFnv {
    V1 { suffix: Box<[u16]> },
    V2 { state: u32 },
}

impl SeededFnv {
    fn new(version: HashVersion, seed: &str) -> Self {
        match version {
            HashVersion::V1 => Self::V1 { suffix: seed.encode_utf16().collect() },
            HashVersion::V2 => Self::V2 { state: fnv(FNV_OFFSET, seed.encode_utf16()) },
        }
    }

    /// How many buckets there are.
    fn steps(&self) -> u32 {
        match self {
            Self::V1 { .. } => 1_000,
            Self::V2 { .. } => 10_000,
        }
    }

    /// The integer bucket and its fraction of 1.
    fn bucket(&self, unit: &str) -> (u32, f64) {
        match self {
            Self::V1 { suffix } => {
                let hash = fnv(FNV_OFFSET, unit.encode_utf16().chain(suffix.iter().copied()));
                let bucket = hash % 1_000;
                (bucket, f64::from(bucket) / 1_000.0)
            }
            Self::V2 { state } => {
                let bucket = fnv_of_decimal(fnv(*state, unit.encode_utf16())) % 10_000;
                (bucket, f64::from(bucket) / 10_000.0)
            }
        }
    }
}

fn fnv(state: u32, units: impl Iterator<Item = u16>) -> u32 {
    units.fold(state, |hash, unit| (hash ^ u32::from(unit)).wrapping_mul(FNV_PRIME))
}

/// FNV of the number's decimal digits, written to the stack from the last one.
fn fnv_of_decimal(number: u32) -> u32 {
    let mut digits = [0_u16; 10];
    let mut rest = number;
    let mut unused = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = u16::from(b'0') | (rest % 10) as u16;
        rest /= 10;
        unused = unused.saturating_sub(1);
        if rest == 0 {
            break;
        }
    }
    fnv(FNV_OFFSET, digits.iter().skip(unused).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(version: HashVersion) -> GrowthBookParameters<'static> {
        GrowthBookParameters {
            version,
            seed: "my-exp",
            variants: 2,
            coverage: 1.0,
            weights: None,
            ranges: None,
            namespace: None,
            filters: None,
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(SeededFnv::new(HashVersion::V1, "my-exp").bucket("user-1"), (620, 0.62));
        assert_eq!(SeededFnv::new(HashVersion::V2, "my-exp").bucket("user-1"), (3_535, 0.3535));
    }

    #[test]
    fn decimal_digits_of_every_length() {
        let mut number = 0_u32;
        for _ in 0..11 {
            let text = number.to_string();
            assert_eq!(fnv_of_decimal(number), fnv(FNV_OFFSET, text.encode_utf16()), "{text}");
            number = number.saturating_mul(10).saturating_add(9);
        }
    }

    #[test]
    fn ranges_include_their_start_and_exclude_their_end() {
        for (ranges, index) in [
            ([(0.0, 0.3535), (0.3535, 1.0)], Some(1)),
            ([(0.0, 0.3536), (0.3536, 1.0)], Some(0)),
            ([(0.0, 0.3535), (0.3536, 1.0)], None),
        ] {
            let experiment = GrowthBook::new(&GrowthBookParameters {
                ranges: Some(&ranges),
                ..parameters(HashVersion::V2)
            });
            assert_eq!(experiment.unwrap().pick("user-1"), Pick::from_index(index, 3_535), "{ranges:?}");
        }
    }

    #[test]
    fn coverage_shrinks_each_range_in_place() {
        let ranges = |coverage| {
            let weights = [0.5, 0.25, 0.25];
            let weights = Some(weights.as_slice());
            let parameters =
                GrowthBookParameters { coverage, weights, variants: 3, ..parameters(HashVersion::V1) };
            GrowthBook::new(&parameters).unwrap().ranges
        };
        assert_eq!(*ranges(0.5), [(0.0, 0.25), (0.5, 0.625), (0.75, 0.875)]);
        assert_eq!(ranges(7.0), ranges(1.0));
        assert_eq!(*ranges(-1.0), [(0.0, 0.0), (0.5, 0.5), (0.75, 0.75)]);
    }

    #[test]
    fn odd_weights_become_equal_ones() {
        let ranges = |weights: &[f64]| {
            let parameters = GrowthBookParameters { weights: Some(weights), ..parameters(HashVersion::V1) };
            GrowthBook::new(&parameters).unwrap().ranges
        };
        let equal = [(0.0, 0.5), (0.5, 1.0)];
        assert_eq!(*ranges(&[0.1, 0.2, 0.7]), equal);
        assert_eq!(*ranges(&[0.9, 0.2]), equal);
        assert_eq!(*ranges(&[90.0, 10.0]), equal, "percentages are not fractions");
        assert_eq!(*ranges(&[0.9, 0.095]), [(0.0, 0.9), (0.9, 0.995)], "not renormalised");
    }

    #[test]
    fn any_list_of_filters_switches_the_namespace_off() {
        let closed =
            GrowthBookParameters { namespace: Some(("ns", 0.0, 0.0)), ..parameters(HashVersion::V2) };
        assert_eq!(GrowthBook::new(&closed).unwrap().pick("user-1").index(), None);
        let filtered = GrowthBookParameters { filters: Some(&[]), ..closed };
        assert_eq!(GrowthBook::new(&filtered).unwrap().pick("user-1").index(), Some(0));
    }

    #[test]
    fn an_empty_unit_is_out() {
        for version in [HashVersion::V1, HashVersion::V2] {
            assert_eq!(GrowthBook::new(&parameters(version)).unwrap().pick(""), Pick::Out { bucket: 0 });
        }
    }

    #[test]
    fn refuses_wrong_parameters() {
        let base = parameters(HashVersion::V2);
        let field = |parameters: &GrowthBookParameters<'_>| GrowthBook::new(parameters).unwrap_err().field();
        assert_eq!(field(&GrowthBookParameters { variants: 1, ..base }), "variants");
        assert_eq!(field(&GrowthBookParameters { coverage: f64::NAN, ..base }), "coverage");
        assert_eq!(field(&GrowthBookParameters { weights: Some(&[f64::NAN, 1.0]), ..base }), "weights");
        assert_eq!(field(&GrowthBookParameters { weights: Some(&[-0.5, 1.5]), ..base }), "weights");
        assert_eq!(field(&GrowthBookParameters { ranges: Some(&[(0.0, 1.0)]), ..base }), "ranges");
        assert_eq!(
            field(&GrowthBookParameters { ranges: Some(&[(0.0, 0.5), (0.6, 0.5)]), ..base }),
            "ranges"
        );
        assert_eq!(
            field(&GrowthBookParameters { namespace: Some(("ns", 0.5, f64::NAN)), ..base }),
            "namespace"
        );
        let filter = GrowthBookFilter { seed: "f", version: HashVersion::V2, ranges: &[(0.0, 1.5)] };
        assert_eq!(field(&GrowthBookParameters { filters: Some(&[filter]), ..base }), "filters");
    }
}
