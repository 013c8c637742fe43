//! The compiled filter in a real Envoy. One program, so that it is linked once and its tests can
//! share proxies; see `shop` for the one that most of them use. What one request shows is a scenario
//! (`spec/scenarios`); here is what needs a process, load, or HTTP/2.

mod browser;
mod caches;
mod compose;
mod config;
mod failure_policy;
mod guardrails;
mod metrics;
mod mirror;
mod operations;
mod records;
mod shop;
mod split;
mod spoof;
mod stamps;
mod swap;
mod weighted_clusters;
