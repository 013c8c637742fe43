//! Compiling a filter from its source, for tests of it.

use crate::error::LoadError;
use crate::module::FilterModule;
use std::path::{Path, PathBuf};
use std::process::Command;

impl FilterModule {
    /// Builds a package for wasm32-wasip1 with the release profile and loads
    /// it; for tests under `cargo test`. See [`build_filter`].
    ///
    /// # Errors
    /// [`LoadError::Build`] with what cargo said, or as
    /// [`FilterModule::from_file`].
    pub fn build(package: &str) -> Result<FilterModule, LoadError> {
        FilterModule::from_file(build_filter(package, "release")?)
    }
}

/// Builds a package of the workspace around the tested crate (of
/// `CARGO_MANIFEST_DIR`, which cargo sets) as a `cdylib` for wasm32-wasip1,
/// and names the file. The package may be the tested crate itself. Cargo does
/// nothing when the file is fresh; it is kept apart from other builds, in
/// `proxy-wasm-guests` of the target directory.
///
/// # Errors
/// [`LoadError::Build`] with what cargo said.
pub fn build_filter(package: &str, profile: &str) -> Result<PathBuf, LoadError> {
    let failed = |output: String| LoadError::Build { package: package.to_owned(), output };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["rustc", "--message-format", "json-render-diagnostics"])
        .args(["--profile", profile, "--target", "wasm32-wasip1"])
        // As a cdylib only: a crate that is also an rlib gets no LTO.
        .args(["--package", package, "--lib", "--crate-type", "cdylib"])
        // The flags of the tests are not for wasm.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if let Some(manifest) = std::env::var_os("CARGO_MANIFEST_DIR") {
        command.arg("--manifest-path").arg(Path::new(&manifest).join("Cargo.toml"));
    }
    if let Some(target) = target_dir() {
        command.arg("--target-dir").arg(target.join("proxy-wasm-guests"));
    }
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    // The package itself is built last.
    let messages = String::from_utf8_lossy(&output.stdout);
    let files = messages.lines().filter(|line| line.contains(r#""reason":"compiler-artifact""#));
    let wasm = files.flat_map(|line| line.split('"')).rfind(|text| text.ends_with(".wasm"));
    wasm.map(|path| PathBuf::from(path.replace("\\\\", "\\")))
        .ok_or_else(|| failed("cargo built no .wasm file".into()))
}

/// Where cargo built the running test.
fn target_dir() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    test.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file()).map(Path::to_owned)
}
