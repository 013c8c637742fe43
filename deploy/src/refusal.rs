//! Why something is not rendered.

use std::fmt;

use splitway_engine::Problems;

/// The reason why something is not rendered.
#[derive(Debug)]
pub enum Refusal {
    /// The request cannot be rendered; the text is for whoever made it.
    Request(String),
    /// The output does not fit its target.
    Unfit(String),
    /// The config names clusters that the deployment does not have, at these places.
    Config(Problems),
}

impl Refusal {
    /// A template or a format is broken.
    pub(crate) fn broken(error: impl fmt::Display) -> Self {
        Self::Request(format!("{error:#}"))
    }
}
