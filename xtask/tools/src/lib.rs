//! What the workshop stands on: finding and installing outside programs, and compiling the two modules.
//!
//! `xtask`, the rigs, the demo and the benches use it. It has neither a client nor a server, so that building a module
//! compiles little.

mod cut;
pub mod edge;
pub mod programs;
pub mod setup;
pub mod shell;
pub mod wasm;
