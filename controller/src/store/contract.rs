//! What every store does.

use splitway_control::{Sealed, State};

use super::error::StoreError;

/// A log of events. Whatever is appended is on disk when [`Store::append`] returns.
pub trait Store {
    /// Folds the whole log and checks its chain of hashes.
    ///
    /// # Errors
    /// The log cannot be read, or is not what was written.
    fn load(&self) -> Result<State, StoreError>;

    /// Appends `events` behind event `expected`, all or none.
    ///
    /// # Errors
    /// The log does not end with event `expected`, or cannot be written.
    fn append(&mut self, expected: u64, events: &[Sealed]) -> Result<(), StoreError>;

    /// The stored texts and hashes of the events after `seq`, `limit` at most.
    ///
    /// # Errors
    /// The log cannot be read.
    fn after(&self, seq: u64, limit: u32) -> Result<Vec<Row>, StoreError>;
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub seq: u64,
    /// Its canonical JSON.
    pub text: String,
    /// The hash of the chain after it, in hex.
    pub head: String,
}
