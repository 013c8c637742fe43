//! How the wanted document gets to proxies.

mod file;

pub use file::{DeliveryError, WatchedFolder};
