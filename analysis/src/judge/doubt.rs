//! Whether an interval can be relied on.

use serde::Serialize;

/// Why an interval is not to be taken at its word.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// All units of an arm have the same number, so that the arm's error is not known.
    Constant,
    /// The smaller arm has fewer units than the config asks for, and than a normal interval takes.
    FewUnits {
        /// Units in the smaller arm.
        units: f64,
        /// `min_units_per_arm`.
        needed: u64,
    },
}

/// How skewed the units' numbers of an arm are; of two arms the one that has the fewest units for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Skew {
    /// Third central moment / variance^1.5, of ratios that of the linearised metric.
    pub skewness: f64,
    /// Units an arm from which a normal interval holds: 355 x skewness^2.
    pub needed: f64,
    /// Units that the arm has.
    pub units: f64,
}

impl Skew {
    /// Whether a normal interval holds.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.units >= self.needed
    }
}
