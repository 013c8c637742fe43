//! Randomness from the host.

/// Randomness for minted ids.
pub trait Entropy: std::fmt::Debug {
    /// 128 random bits; `None` if there are none to be had.
    fn bits(&self) -> Option<[u8; 16]>;
}
