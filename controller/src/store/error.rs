//! Why a store does not do what is asked.

use std::fmt;
use std::io;

use splitway_control::Corrupt;

use super::holder::Holder;

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
