//! The benches themselves are in `benches/`; this crate exists for their dependencies.
