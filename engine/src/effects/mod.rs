//! What a decision does: to the request, to the response, and in the records.

mod actions;
mod baggage;
mod cache;
mod dedup;
mod exposure;
mod neighbours;
mod response;
mod steps;
mod tokens;

pub use actions::Asked;
pub use cache::{overrides_cache_control, private_cache_control};
pub use dedup::Seen;
pub use exposure::{Common, Exposure, Served};
pub use neighbours::push_member;
pub use steps::Steps;
pub use tokens::WithoutTokens;
