//! Every command, through the real binary.

mod assign;
#[cfg(feature = "host")]
mod browser;
#[cfg(feature = "host")]
mod dev;
#[cfg(feature = "host")]
mod dev_page;
mod diff;
mod edit;
mod explain;
mod merge;
mod mistakes;
mod readme;
mod schema;
mod simulate;
mod support;
mod test;
mod validate;
