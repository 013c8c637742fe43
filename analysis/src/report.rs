//! One HTML page that says it all, and needs no network.

use crate::judge::Judgement;

/// What the page says of the whole.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// Content hash of the config.
    pub config: &'f str,
    /// The config's namespace.
    pub title: &'f str,
    /// What was read: a line each, with examples of what could not be.
    pub inputs: &'f [(String, Vec<String>)],
    /// The reduction.
    pub sql: &'f str,
}

/// The page.
#[must_use]
pub fn page(_facts: &Facts<'_>, _experiments: &[Judgement]) -> String {
    String::new()
}
