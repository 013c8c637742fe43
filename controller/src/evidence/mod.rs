//! What proxies report.

mod admin;
mod counters;

pub use admin::{Admin, AdminError};
pub use counters::{Counters, Report, Seen};
