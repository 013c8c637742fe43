//! Every command, through the real binary.

#[cfg(feature = "analyze")]
mod analysis;
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
mod mistakes;
mod power;
mod readme;
mod schema;
mod simulate;
mod support;
mod test;
mod validate;
