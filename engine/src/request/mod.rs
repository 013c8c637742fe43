//! A request, and what is asked of it before anything is decided: values, units, rules, who sent it.

mod client;
mod entropy;
mod identity;
mod minted;
mod named;
pub(crate) mod normal;
mod pairs;
mod source;
mod targeting;
mod text;
mod tripped;
mod version;
mod view;

#[cfg(test)]
mod tests;

pub use entropy::Entropy;
pub use identity::CookieAction;
pub(crate) use identity::{BOTS, ConsentPolicy, Identity, Mint, Provisional};
pub use minted::minted_unit;
pub(crate) use pairs::Syntax;
pub use source::Source;
pub(crate) use targeting::{Bounds, Rule, Subject, Test, Text};
pub use text::MAX_VALUE;
pub(crate) use text::decoded;
pub use tripped::Tripped;
pub(crate) use version::Version;
pub use view::{HeaderPairs, RequestView};
