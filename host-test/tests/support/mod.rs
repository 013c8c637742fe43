//! Builds the modules under test. Cargo does nothing when they are fresh.
#![allow(dead_code, reason = "each test file uses its part")]

use proxy_wasm_host::FilterModule;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Splitway's own filter: the file that `SPLITWAY_WASM` names, the one that
/// `cargo xtask build-wasm` made if it is newer than its sources, or one built
/// here, which lacks the pass of wasm-opt.
pub(crate) fn splitway() -> FilterModule {
    static MODULE: OnceLock<FilterModule> = OnceLock::new();
    let find = || {
        let named = std::env::var_os("SPLITWAY_WASM").map(PathBuf::from);
        let shipped = || {
            Some(target_dir().join("wasm32-wasip1/wasm/splitway_filter.wasm")).filter(|wasm| is_fresh(wasm))
        };
        named.or_else(shipped).unwrap_or_else(|| build("splitway-filter", "wasm"))
    };
    MODULE.get_or_init(|| load(&find())).clone()
}

/// Whether a build of the filter is newer than all that it is made of.
fn is_fresh(wasm: &Path) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let Some(built) = modified(wasm) else { return false };
    let mut open: Vec<PathBuf> = ["filter", "exchange", "engine", "Cargo.toml", "Cargo.lock"]
        .map(|part| workspace().join(part))
        .into();
    while let Some(path) = open.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => open.extend(entries.filter_map(|entry| Some(entry.ok()?.path()))),
            Err(_) if modified(&path).is_none_or(|changed| changed > built) => return false,
            Err(_) => {}
        }
    }
    true
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace around this crate")
}

/// The probe: a guest that does what its configuration says and logs what
/// the host answered.
pub(crate) fn probe() -> FilterModule {
    static MODULE: OnceLock<FilterModule> = OnceLock::new();
    MODULE.get_or_init(|| load(&build("proxy-wasm-host-probe", "wasm"))).clone()
}

/// A module in text form.
pub(crate) fn wat(text: &str) -> FilterModule {
    try_wat(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A module in text form that may not load.
pub(crate) fn try_wat(text: &str) -> Result<FilterModule, proxy_wasm_host::LoadError> {
    FilterModule::from_bytes(wat::parse_str(text).expect("valid WAT"))
}

/// Where cargo builds.
pub(crate) fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp has a parent")
}

/// Builds a package of this workspace for wasm32-wasip1 and names the file.
pub(crate) fn build(package: &str, profile: &str) -> PathBuf {
    proxy_wasm_host::build_filter(package, profile).unwrap_or_else(|error| panic!("{error}"))
}

fn load(path: &Path) -> FilterModule {
    FilterModule::from_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
