//! Statistics of experiments, pure: numbers in, numbers out.
//!
//! Everything rests on [`Moments`]: count, means and centred cross products of some columns over
//! units. They can be merged, so they may come from anywhere: one machine, many, or a data base.
//!
//! Each function states its formula, source and assumptions. Lifts are `treatment - control`.
//! Probabilities are fractions; `alpha` is two-sided unless said otherwise. Every function is checked
//! against scipy or statsmodels by the vectors in `tests/vectors`.
#![forbid(unsafe_code)]

pub mod bayes;
pub mod contrast;
pub mod cuped;
pub mod distribution;
mod error;
pub mod group_sequential;
mod interval;
pub mod lift;
mod moments;
pub mod multiple;
pub mod power;
pub mod proportion;
mod quadrature;
pub mod quantile;
pub mod sequential;
pub mod srm;

pub use error::Error;
pub use interval::Interval;
pub use moments::{Moments, Sums};
