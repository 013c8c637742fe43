//! The adapters on the real thing: SQLite, files, a real Envoy.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod delivery;
mod full_disk;
mod killed;
mod life;
mod store;
