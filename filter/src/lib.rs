//! Splitway as a proxy-wasm filter: the adapter between `splitway_exchange` and a proxy.
//!
//! `plugin` has the entry points that the proxy calls, `hostcalls` what the filter calls in the
//! proxy. Everything in between is `splitway_exchange`, which also runs in-process in tests. For
//! targets other than WASI this crate is empty.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[cfg(target_os = "wasi")]
mod allocator;
#[cfg(target_os = "wasi")]
mod hostcalls;
#[cfg(target_os = "wasi")]
mod plugin;
