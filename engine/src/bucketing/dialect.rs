//! One of the other systems' dialects.

use super::eppo::Eppo;
use super::flagd::Flagd;
use super::growthbook::GrowthBook;
use super::launchdarkly::LaunchDarkly;
use super::optimizely::Optimizely;
use super::pick::Pick;
use super::planout::PlanOut;
use super::split::Split;
#[cfg(doc)]
use super::splitway::SaltedHash;
use super::statsig::Statsig;
use super::unleash::Unleash;

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

    /// The share of each of `variants` among the units that get one, from 0 to 1 and 1 in sum: all 0 if no unit gets one.
    /// They follow from the ranges that decide, so they agree with [`Self::pick`] whatever the parameters sum to.
    pub fn shares(&self, variants: usize) -> Vec<f64> {
        let mut shares = match self {
            Dialect::GrowthBook(dialect) => dialect.shares(variants),
            Dialect::Optimizely(dialect) => dialect.shares(variants),
            Dialect::Unleash(dialect) => dialect.shares(variants),
            Dialect::LaunchDarkly(dialect) => dialect.shares(variants),
            Dialect::Statsig(dialect) => dialect.shares(variants),
            Dialect::Split(dialect) => dialect.shares(variants),
            Dialect::PlanOut(dialect) => dialect.shares(variants),
            Dialect::Eppo(dialect) => dialect.shares(variants),
            Dialect::Flagd(dialect) => dialect.shares(variants),
        };
        let total: f64 = shares.iter().sum();
        if total > 0.0 {
            shares.iter_mut().for_each(|share| *share /= total);
        }
        shares
    }
}
