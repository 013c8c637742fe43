//! (plan, request, now) -> decision.

mod conflicts;
mod decision;
mod evaluate;
mod layer;
mod reason;
mod tokens;
mod trace;
mod units;

pub use decision::{Assignment, Decision};
pub use reason::Reason;
pub use trace::{NoTrace, Step, Trace};
