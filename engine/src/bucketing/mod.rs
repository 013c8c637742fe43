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

mod dialect;
mod eppo;
mod error;
mod flagd;
mod growthbook;
mod launchdarkly;
mod murmur;
mod optimizely;
mod pick;
mod planout;
mod sha1_60;
mod shares;
mod split;
mod splitway;
mod statsig;
mod sums;
mod unleash;

pub use dialect::Dialect;
pub use eppo::{Eppo, EppoParameters};
pub use error::ParameterError;
pub use flagd::{Flagd, FlagdParameters};
pub use growthbook::{GrowthBook, GrowthBookFilter, GrowthBookParameters, HashVersion};
pub use launchdarkly::{LaunchDarkly, LaunchDarklyParameters};
pub use murmur::murmur3_32;
pub use optimizely::{Optimizely, OptimizelyGroup, OptimizelyParameters};
pub use pick::{BUCKETS, Pick};
pub use planout::{PlanOut, PlanOutParameters};
pub use split::{Split, SplitParameters};
pub use splitway::SaltedHash;
pub use statsig::{Statsig, StatsigParameters};
pub use unleash::{Unleash, UnleashParameters};

use murmur::murmur3_32_of;
use sums::{cumulative, float_bucket};
