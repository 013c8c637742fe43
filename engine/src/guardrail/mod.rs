//! Guardrails: a variant that does harm is switched off by the proxies themselves.
//!
//! Pure: the host counts, keeps the [`Window`] where all its workers reach it, and hands the result
//! back to the evaluator as [`Tripped`].
//!
//! # What is counted
//!
//! Evidence counts units, not requests: in a test, a unit is one trial, which is bad once one of its exchanges was.
//! So one client weighs as much as any other, however often it asks, and a variant trips only if at least
//! `min_bad_units` units had a bad exchange. A test begins with each slot of the window and ends with the window, so
//! [`SLOTS`] of them run at once; `enough` allows for that (and for two tests, where both limits are set), so `alpha`
//! bounds the chance that a variant which is not worse trips within one window.
//!
//! # Why the bounds hold, though a good unit can turn bad while a test runs
//!
//! - **A fixed limit**: let each unit be bad at any time of the window with a chance of at most the limit. Imagine that
//!   its whole fate were known when it is first seen. Then units are Bernoulli trials, revealed one by one, and
//!   [`above_limit`] reaches `enough` with a chance of at most `alpha` (see `evidence.rs`). What is really known at any
//!   time are the same units with at most as many bad ones, and evidence grows with these.
//! - **Against the control**: for a variant that is treated like the control, whose arm a unit that turns bad is in is
//!   a coin of the planned share, thrown when the experiment was set up, whatever the unit and all others do.
//!   [`above_share`] tests exactly this, so the bound needs no assumption about errors at all: it holds for errors that
//!   come in clusters (5 % of the units have 95 % of them), for a cluster that stands still for a moment, for
//!   unequal arms, and for units that ask once or a thousand times. A variant that does better than the control has
//!   fewer bad units, so the chance is smaller still.
//! - **More than `max_increase` above the control** must in addition be certain by [`above_control`], which takes
//!   units for independent; that a unit turns bad later has no proof here, `tests/guardrails.rs` simulates it.
//! - **A sample**: where a variant has more units than fit, those with the lowest hashes are looked at, and planned
//!   shares become shares of the samples. Hashes know nothing of outcomes, so at any moment the sample is as good as
//!   the whole; that it shrinks while a test runs is simulated, too.

mod evidence;
mod metric;
mod outcome;
mod rule;
mod window;

#[cfg(feature = "advice")]
pub use evidence::stratum_above_share;
pub use evidence::{Count, above_control, above_limit, above_share};
pub use metric::Metric;
pub use outcome::Outcome;
pub use rule::{Finding, Guardrail};
pub use window::{SLOTS, Tally, Window};

pub use crate::request::Tripped;
