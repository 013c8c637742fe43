//! Why something is not rendered.

use std::fmt;

use splitway_engine::Problems;

/// Why something is not rendered.
#[derive(Debug)]
pub enum Refusal {
    /// What was asked for cannot be rendered; the text is for whoever asked.
    Request(String),
    /// What the config makes does not fit its target.
    Unfit(String),
    /// The config names what the deployment does not have, at these places.
    Config(Problems),
}

impl Refusal {
    /// A template or a format that does not work out.
    pub(crate) fn broken(error: impl fmt::Display) -> Self {
        Self::Request(format!("{error:#}"))
    }
}
