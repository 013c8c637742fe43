//! Finds the compiled filter.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Where `cargo xtask build-wasm` puts the filter, below the folder that cargo builds in.
const BUILT: &str = "wasm32-wasip1/wasm/splitway_filter.wasm";

/// The filter to run: `explicit`, else what `SPLITWAY_WASM` names, else the one that was built:
/// below `CARGO_TARGET_DIR`, in the repository around the working directory, or in the one that
/// this command comes from.
///
/// # Errors
/// When there is none; the text says how to get one.
pub(crate) fn find(explicit: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = explicit {
        return must_be_wasm(path, "--wasm");
    }
    if let Some(path) = std::env::var_os("SPLITWAY_WASM").filter(|path| !path.is_empty()) {
        return must_be_wasm(Path::new(&path), "SPLITWAY_WASM");
    }
    let here = std::env::current_dir().unwrap_or_default();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repositories = here.ancestors().chain(source.ancestors()).map(|folder| folder.join("target"));
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let mut built = named.into_iter().chain(repositories).map(|folder| folder.join(BUILT));
    match built.find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!(
            "the compiled filter was not found: build it with `cargo xtask build-wasm` in Splitway's \
             repository, or give one with --wasm FILE or SPLITWAY_WASM"
        ),
    }
}

fn must_be_wasm(path: &Path, named_by: &str) -> Result<PathBuf> {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    match read {
        _ if !path.is_file() => bail!("{}, given by {named_by}, is not a file", path.display()),
        Ok(()) if &magic == b"\0asm" => Ok(path.to_owned()),
        _ => bail!("{}, given by {named_by}, is not WebAssembly", path.display()),
    }
}
