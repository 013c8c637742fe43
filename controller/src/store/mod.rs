//! Where the log of events is kept.

mod holder;
mod sqlite;

use std::fmt;
use std::io;

use splitway_control::{Corrupt, Sealed, State};

pub use holder::Holder;
pub use sqlite::Sqlite;

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

/// Why the store did not do what was asked.
#[derive(Debug)]
pub enum StoreError {
    /// Another controller holds the store.
    Held(Holder),
    /// Another writer has appended events in the meantime.
    Fenced {
        /// The event behind which something was to be appended.
        expected: u64,
        /// The last event in the store.
        found: u64,
    },
    /// The log is not what was written.
    Corrupt(Corrupt),
    /// The database does not read or write.
    Database(rusqlite::Error),
    /// A file cannot be read or written.
    File(io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(holder) => write!(f, "the store is held by {holder}; stop that controller first"),
            Self::Fenced { expected, found } => {
                write!(
                    f,
                    "expected event {expected} to be the last one, found {found}: another controller writes"
                )
            }
            Self::Corrupt(corrupt) => write!(f, "the log was changed: {corrupt}"),
            Self::Database(error) => write!(f, "the store does not answer: {error}"),
            Self::File(error) => write!(f, "the store's folder cannot be used: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<Corrupt> for StoreError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}
