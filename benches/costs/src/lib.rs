//! The counting is in `tests/costs`, and `examples/wasm.rs` prints it; this crate exists for their dependencies.
