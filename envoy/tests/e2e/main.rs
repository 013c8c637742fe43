//! The compiled filter in a real Envoy. One program, so that it is linked once and its tests can
//! share proxies; see `shop` for the one that most of them use.

mod actions;
mod config;
mod exposures;
mod failure_policy;
mod metrics;
mod shop;
mod split;
mod spoof;
mod stamps;
mod swap;
