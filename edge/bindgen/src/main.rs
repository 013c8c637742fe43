//! `splitway-edge-bindgen WASM FOLDER`: the ES module and the types for a module that
//! `wasm-bindgen` was compiled into, as `splitway_edge.js` and `splitway_edge_bg.wasm`.
//!
//! Its version must be that of the crate `wasm-bindgen`, which the workspace pins.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let wasm = arguments.next().context("no module named")?;
    let folder = arguments.next().context("no folder named")?;
    Bindgen::new()
        .input_path(&wasm)
        .out_name("splitway_edge")
        .typescript(true)
        // xtask knows some functions by their symbols.
        .demangle(false)
        // The one target that runs in every runtime: the embedder hands over the module.
        .web(true)?
        .generate(&folder)
        .with_context(|| wasm.display().to_string())
}
