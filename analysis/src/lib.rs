//! From exposure logs and outcomes to a decision.
//!
//! Logs and outcomes are read line by line ([`ingest`]) into Parquet of one form, whatever they came as. One SQL
//! text ([`sql`]) reduces those to counts, sums and products per experiment, variant, segment and day; DataFusion
//! runs it here, and any other engine may run it where the data lie ([`reduce`]). All statistics
//! ([`judge`]) are made from these few numbers by `splitway-stats`, so both ways give the same verdict.
//!
//! In a crate of its own because DataFusion is most of its build.
#![forbid(unsafe_code)]

mod error;
pub mod finding;
pub mod ingest;
pub mod integrity;
pub mod judge;
pub mod metric;
pub mod quantile;
pub mod reduce;
pub mod report;
mod run;
mod sentence;
pub mod sources;
pub mod sql;
mod table;

pub use error::Error;
pub use run::{Analysis, Config, Excluded, Request, Watch, query, run};
