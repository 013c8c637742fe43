//! Every command, through the real binary.

#[cfg(not(all(feature = "analysis", feature = "envoy")))]
mod absent;
#[cfg(feature = "analysis")]
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
mod gitops;
mod init;
mod merge;
mod mistakes;
#[cfg(feature = "host")]
mod observability;
mod power;
#[cfg(feature = "analysis")]
mod readme;
#[cfg(feature = "host")]
mod render;
#[cfg(feature = "analysis")]
mod report;
mod requests;
mod schema;
#[cfg(feature = "host")]
mod secrets;
mod simulate;
#[cfg(all(feature = "analysis", feature = "host"))]
mod sinks;
mod support;
mod test;
mod token;
mod validate;
