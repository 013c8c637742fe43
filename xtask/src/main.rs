//! `cargo xtask vectors`.

mod vectors;

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match std::env::args().nth(1).as_deref() {
        Some("vectors") => vectors::run(&root),
        _ => anyhow::bail!("usage: cargo xtask vectors"),
    }
}
