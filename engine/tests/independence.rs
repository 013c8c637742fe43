//! The default dialect's statistics: buckets are even, and experiments do not predict each other.
//!
//! Ids and salts are fixed, so a run repeats exactly. A chi-square value becomes a z-score (Wilson
//! and Hilferty 1931); the limits are Šidák's for the number of comparisons.

use splitway_engine::bucketing::{BUCKETS, SaltedHash};

/// Two-sided 1 % over the 8 uniformity tests.
const UNIFORMITY_Z: f64 = 3.23;
/// One-sided 1 % over the 5,050 pairs of one kind of id.
const PAIRS_Z: f64 = 4.61;

const EXPERIMENTS: usize = 100;
const PAIR_UNITS: u32 = 100_000;
/// Pairs are compared by quarters: 4 x 4 cells, 9 degrees of freedom.
const QUARTERS: usize = 4;

#[test]
fn a_million_units_spread_evenly() {
    const BINS: usize = 100;
    for (kind, id) in KINDS {
        for salt in ["shop:layer:checkout", "shop:experiment:checkout-button"] {
            let hash = SaltedHash::new(salt);
            let mut bins = [0_u32; BINS];
            for n in 0..1_000_000 {
                bins[hash.bucket(&id(n)) as usize * BINS / BUCKETS as usize] += 1;
            }
            let expected = 1_000_000.0 / BINS as f64;
            let chi_square = bins.iter().map(|&bin| deviation(f64::from(bin), expected)).sum();
            let z = z_score(chi_square, BINS as f64 - 1.0);
            // Too even would be as wrong as too uneven.
            assert!(z.abs() < UNIFORMITY_Z, "{kind}, {salt:?}: z = {z:.2}");
        }
    }
}

#[test]
fn a_hundred_experiments_are_pairwise_independent() {
    for (kind, id) in KINDS {
        let ids: Vec<String> = (0..PAIR_UNITS).map(id).collect();
        let quarters = |kind: &str| -> Vec<Quarters> {
            let salt = |n| format!("shop:{kind}:exp-{n}");
            (0..EXPERIMENTS).map(|n| Quarters::new(&salt(n), &ids)).collect()
        };
        let (experiments, layers) = (quarters("experiment"), quarters("layer"));
        let mut worst = Worst::new(kind);
        for (n, one) in experiments.iter().enumerate() {
            for (m, other) in experiments.iter().enumerate().skip(n + 1) {
                worst.see(&format!("exp-{n} and exp-{m}"), one, other);
            }
        }
        for (n, (variant, inclusion)) in experiments.iter().zip(&layers).enumerate() {
            worst.see(&format!("inclusion and variant of exp-{n}"), variant, inclusion);
        }
        worst.check();
    }
}

/// Salts as close as they get, with ids of one block or less, where murmur3 mixes least.
#[test]
fn salts_one_character_apart_are_independent_for_short_ids() {
    let to_three_bytes: Vec<String> = (0..46_656).map(base36).collect();
    let four_bytes: Vec<String> = (0..PAIR_UNITS).map(|n| base36(46_656 + 16 * n)).collect();
    for ids in [to_three_bytes, four_bytes] {
        let quarters: Vec<Quarters> =
            (b'!'..=b'~').map(|last| Quarters::new(&format!("salt-{}", char::from(last)), &ids)).collect();
        let mut worst = Worst::new("short");
        for (n, one) in quarters.iter().enumerate() {
            for (m, other) in quarters.iter().enumerate().skip(n + 1) {
                worst.see(&format!("salts {n} and {m}"), one, other);
            }
        }
        worst.check();
    }
}

/// The test can fail: a salt is not independent of itself.
#[test]
fn dependence_is_noticed() {
    let ids: Vec<String> = (0..1_000).map(|n| format!("user-{n}")).collect();
    let quarters = Quarters::new("salt", &ids);
    let mut worst = Worst::new("same");
    worst.see("itself", &quarters, &quarters);
    assert!(worst.z > 30.0);
}

type Id = fn(u32) -> String;

/// Ids as systems make them: sequences, UUIDs, short codes, and words with a suffix.
const KINDS: [(&str, Id); 4] = [
    ("sequence", |n| format!("user-{n}")),
    ("uuid", uuid),
    ("short", base36),
    ("ad hoc", |n| format!("{}.{}@shop.example", base36(mix(n).0), n % 97)),
];

fn uuid(n: u32) -> String {
    let (a, b) = mix(n);
    let (c, d) = mix(a);
    format!("{a:08x}-{:04x}-4{:03x}-8{:03x}-{:04x}{d:08x}", b >> 16, b & 0xfff, c & 0xfff, c >> 16)
}

fn base36(mut n: u32) -> String {
    let mut text = String::new();
    loop {
        text.push(char::from_digit(n % 36, 36).unwrap());
        n /= 36;
        if n == 0 {
            return text;
        }
    }
}

/// SplitMix64: nothing like murmur3, so that the ids do not share its structure.
fn mix(n: u32) -> (u32, u32) {
    let mut z = u64::from(n).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    ((z >> 32) as u32, z as u32)
}

/// Which quarter of the buckets each id falls into, as one bit set per quarter.
struct Quarters {
    units: usize,
    sets: [Vec<u64>; QUARTERS],
    sizes: [f64; QUARTERS],
}

impl Quarters {
    fn new(salt: &str, ids: &[String]) -> Self {
        let hash = SaltedHash::new(salt);
        let mut sets = [(); QUARTERS].map(|()| vec![0_u64; ids.len().div_ceil(64)]);
        for (n, id) in ids.iter().enumerate() {
            let quarter = hash.bucket(id) as usize * QUARTERS / BUCKETS as usize;
            sets[quarter][n / 64] |= 1 << (n % 64);
        }
        let sizes =
            sets.each_ref().map(|set| f64::from(set.iter().map(|word| word.count_ones()).sum::<u32>()));
        Self { units: ids.len(), sets, sizes }
    }

    /// Pearson's statistic of the contingency table with `other`, on the observed margins.
    fn chi_square(&self, other: &Self) -> f64 {
        let mut sum = 0.0;
        for (one, size) in self.sets.iter().zip(self.sizes) {
            for (two, other_size) in other.sets.iter().zip(other.sizes) {
                let both: u32 = one.iter().zip(two).map(|(a, b)| (a & b).count_ones()).sum();
                sum += deviation(f64::from(both), size * other_size / self.units as f64);
            }
        }
        sum
    }
}

fn deviation(observed: f64, expected: f64) -> f64 {
    (observed - expected).powi(2) / expected
}

fn z_score(chi_square: f64, degrees: f64) -> f64 {
    let variance = 2.0 / (9.0 * degrees);
    ((chi_square / degrees).cbrt() - (1.0 - variance)) / variance.sqrt()
}

struct Worst {
    kind: &'static str,
    pair: String,
    z: f64,
}

impl Worst {
    fn new(kind: &'static str) -> Self {
        Self { kind, pair: String::new(), z: f64::NEG_INFINITY }
    }

    fn see(&mut self, pair: &str, one: &Quarters, other: &Quarters) {
        let degrees = (QUARTERS - 1).pow(2) as f64;
        let z = z_score(one.chi_square(other), degrees);
        if z > self.z {
            (self.z, self.pair) = (z, pair.to_owned());
        }
    }

    fn check(&self) {
        println!("{}: worst is {}, z = {:.2}", self.kind, self.pair, self.z);
        assert!(self.z < PAIRS_Z, "{}: {}, z = {:.2}", self.kind, self.pair, self.z);
    }
}
