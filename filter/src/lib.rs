//! Splitway as a proxy-wasm filter.
//!
//! The engine decides; this crate reads the request, applies the decision and
//! reports it. All of that is written against the narrow traits of [`host`], so
//! it also runs in-process in tests; only `hostcalls` and `plugin` need a proxy.
//!
//! Whatever a hostcall does, a request passes: what cannot be read is absent,
//! what cannot be applied is not claimed (no stamp, no exposure) and counted.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking"))]

#[cfg(all(target_os = "wasi", feature = "proxy-wasm"))]
mod allocator;
pub mod config;
pub mod exchange;
mod flags;
pub mod guards;
pub mod host;
#[cfg(all(target_os = "wasi", feature = "proxy-wasm"))]
mod hostcalls;
#[cfg(all(target_os = "wasi", feature = "proxy-wasm"))]
mod plugin;
pub mod sink;
pub mod vm;

pub use config::{Active, Store};
pub use exchange::{Exchange, Flow};
pub use vm::Vm;
