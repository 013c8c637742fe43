//! Every command, through the real binary.

#[cfg(feature = "analyze")]
mod analysis;
mod assign;
#[cfg(feature = "host")]
mod dev;
#[cfg(feature = "host")]
mod dev_page;
mod diff;
#[cfg(feature = "host")]
mod docs;
mod edit;
mod explain;
#[cfg(feature = "host")]
mod gitops;
mod init;
mod merge;
mod mistakes;
#[cfg(feature = "host")]
mod observability;
mod power;
mod readme;
#[cfg(feature = "host")]
mod render;
mod report;
mod schema;
mod secrets;
mod simulate;
#[cfg(all(feature = "analyze", feature = "host"))]
mod sinks;
mod support;
mod test;
mod token;
mod validate;
