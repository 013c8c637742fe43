//! What stands around the proxy: shared caches, other Splitways.

/// How responses are kept from being served to other variants' units.
#[derive(Clone, Debug)]
pub(crate) struct CacheSafety {
    /// The request headers that decisions depend on, as a `Vary` value.
    pub(crate) vary: Box<str>,
    /// Decisions depend on something that no `Vary` can name.
    pub(crate) private: bool,
}

/// Where other Splitways are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Neighbours {
    pub(crate) in_front: bool,
    pub(crate) behind: bool,
}
