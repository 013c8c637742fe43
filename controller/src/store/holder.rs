//! Who holds a store: one controller at a time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The controller that holds a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub process: u32,
    /// Since when it holds the store, as RFC 3339.
    pub since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            0 => f.write_str("another controller, which has not yet written who it is"),
            process => write!(f, "process {process} since {}", self.since),
        }
    }
}
