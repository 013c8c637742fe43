//! Errors of statistical functions.

use std::fmt;

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Error {
    /// An argument outside its domain: its name, what it must be, and its value.
    Domain {
        /// The argument.
        name: &'static str,
        /// Its domain.
        expected: &'static str,
        /// Its value.
        found: f64,
    },
    /// Fewer units than the formula needs.
    TooFewUnits {
        /// Number of units that it needs.
        needed: f64,
        /// Number of units given.
        found: f64,
    },
    /// The data do not vary, so there is nothing to scale a difference by.
    NoVariance,
    /// Two arguments that belong together have different lengths.
    Lengths {
        /// Length of the first.
        first: usize,
        /// Length of the second.
        second: usize,
    },
    /// The answer lies beyond every bound that was tried.
    OutOfReach,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain { name, expected, found } => write!(f, "{name}: expected {expected}, found {found}"),
            Self::TooFewUnits { needed, found } => {
                write!(f, "too few units: expected at least {needed}, found {found}")
            }
            Self::NoVariance => f.write_str("the values do not vary"),
            Self::Lengths { first, second } => {
                write!(f, "expected two lists of one length, found {first} and {second}")
            }
            Self::OutOfReach => f.write_str("no size reaches it"),
        }
    }
}

impl std::error::Error for Error {}

/// Returns `value` if it lies between 0 and 1, both excluded.
pub(crate) fn fraction(name: &'static str, value: f64) -> Result<f64, Error> {
    within(name, value, value > 0.0 && value < 1.0, "more than 0 and less than 1")
}

/// Returns `value` if it is finite and above 0.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<f64, Error> {
    within(name, value, value > 0.0 && value.is_finite(), "more than 0")
}

/// Returns `value` if `is_good`.
pub(crate) fn within(
    name: &'static str,
    value: f64,
    is_good: bool,
    expected: &'static str,
) -> Result<f64, Error> {
    if is_good { Ok(value) } else { Err(Error::Domain { name, expected, found: value }) }
}
