//! What a variant does to requests and responses.

use super::rewrite::{PathRewrite, Redirect};

/// A variant's actions, ready to be applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct VariantActions {
    pub(crate) cluster: Option<Box<str>>,
    pub(crate) host: Option<Box<str>>,
    pub(crate) path: Option<PathRewrite>,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) shadow: Option<Box<str>>,
    pub(crate) request_headers: Box<[HeaderChange]>,
    pub(crate) response_headers: Box<[HeaderChange]>,
}

/// What an experiment acts on in one of its variants, whichever a unit gets: who is left out must not depend on
/// the variant that anybody drew, or the variants would be left with different shares of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// A thing that only one experiment can have.
    pub(crate) thing: u16,
    /// Whether those who share it do not mind each other.
    pub(crate) shared: bool,
    pub(crate) when: When,
}

/// For which requests a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// Some variant rewrites the path.
    Rewrites,
    /// Some variant redirects.
    Redirects,
}

/// A change to one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// Replace all values, or create.
    Set(Box<str>, Box<str>),
    /// Append a value.
    Add(Box<str>, Box<str>),
    /// Remove all values.
    Remove(Box<str>),
}
