//! Where the log of events is kept.

mod contract;
mod error;
mod holder;
mod lock;
mod sqlite;

pub use contract::{Row, Store};
pub use error::StoreError;
pub use holder::Holder;
pub use sqlite::Sqlite;
