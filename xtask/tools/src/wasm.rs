//! Compiles the filter and keeps it small.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use anyhow::{Result, bail, ensure};

use crate::setup::TARGET;
use crate::{cut, shell};

/// Every proxy of a fleet fetches and compiles the module, so its size is a promise.
const MAX_BYTES: u64 = 375_000;

/// Set in CI: what may be left out elsewhere is a failure there.
const NO_SKIP: &str = "SPLITWAY_NO_SKIP";

/// Passes of wasm-opt. Smaller, not faster: a request spends its time in hostcalls, and a larger
/// module is compiled longer by every worker. The features are those that Envoy's V8 accepts.
const WASM_OPT: [&str; 11] = [
    // Laying out control flow anew saves 2 kB.
    "--flatten",
    "--rereloop",
    "-Oz",
    "-Oz",
    // The first kilobyte is the far end of a stack of 1 MiB, so no valid pointer plus an offset wraps
    // around into it; 2 kB.
    "--low-memory-unused",
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Takes the names of functions out, which are a fifth of the module.
const STRIP: [&str; 3] = ["--strip-debug", "--strip-producers", "--strip-target-features"];

/// Keeps them, for whoever counts.
const NAMES: [&str; 1] = ["--debuginfo"];

/// What a module is optimised for.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    /// Few bytes.
    Bytes,
    /// Few bytes after gzip: code that repeats itself costs next to nothing, indices that do not repeat cost much.
    Gzip,
}

impl Aim {
    fn passes(self) -> &'static [&'static str] {
        match self {
            // Short indices for what is called most; 1.4 kB.
            Self::Bytes => &["--reorder-functions"],
            // 2.2 kB; and without the above, 2.1 kB.
            Self::Gzip => &["--one-caller-inline-max-function-size=0"],
        }
    }

    /// Cargo's profile.
    fn profile(self) -> &'static str {
        match self {
            Self::Bytes => "wasm",
            Self::Gzip => "edge",
        }
    }
}

/// Builds `splitway_filter.wasm` and prints its size.
pub fn build() -> Result<()> {
    // First, so that a missing npm is told before a minute of compiling.
    let wasm_opt = wasm_opt()?;
    shell::run(compiler("splitway-filter", TARGET, Aim::Bytes)?)?;
    let wasm = programs::filter_wasm()?;
    let AfterCuts { is_cut, .. } = cut(&wasm, Aim::Bytes)?;
    optimise(&wasm_opt, &wasm, Aim::Bytes, false)?;
    let bytes = fs::metadata(&wasm)?.len();
    println!("{}: {bytes} bytes of at most {MAX_BYTES}", wasm.display());
    // Without the cuts it is larger, and works.
    if bytes >= MAX_BYTES && is_cut {
        bail!("the filter is {bytes} bytes, and must stay below {MAX_BYTES}");
    }
    Ok(())
}

/// Builds the filter, and gives it with the names of its functions: what ships has none.
pub fn build_named() -> Result<Vec<u8>> {
    let wasm_opt = wasm_opt()?;
    build()?;
    // cargo puts the linked module back, and does not compile again.
    shell::run(compiler("splitway-filter", TARGET, Aim::Bytes)?)?;
    let wasm = programs::filter_wasm()?;
    cut(&wasm, Aim::Bytes)?;
    let named = wasm.with_extension("named.wasm");
    fs::copy(&wasm, &named)?;
    let result = optimise(&wasm_opt, &named, Aim::Bytes, true).and_then(|()| Ok(fs::read(&named)?));
    optimise(&wasm_opt, &wasm, Aim::Bytes, false)?;
    fs::remove_file(&named)?;
    result
}

/// Builds a filter of the benches and gives where it is: `noop` or `floor`.
pub fn build_for_comparison(name: &str) -> Result<PathBuf> {
    shell::run(compiler(&format!("splitway-{name}-filter"), TARGET, Aim::Bytes)?)?;
    Ok(programs::target_dir()?.join(format!("wasm32-wasip1/wasm/splitway_{name}_filter.wasm")))
}

/// `cargo rustc` and not `cargo build`: a crate that is an rlib and a cdylib at once gets no LTO.
pub(crate) fn compiler(package: &str, target: &str, aim: Aim) -> Result<Command> {
    let mut command = shell::cargo(&[
        "rustc",
        "--profile",
        aim.profile(),
        "--target",
        target,
        "--package",
        package,
        "--lib",
        "--crate-type",
        "cdylib",
    ])?;
    let mut flags = vec![
        // The unrolled SHA-256 is 6 kB larger; one unit is hashed per request.
        "--cfg=sha2_backend=\"soft-compact\"".to_owned(),
        "--cfg=sha2_backend_soft=\"compact\"".to_owned(),
        // Who refers to whom, for `cut::cut`.
        "-Clink-arg=--emit-relocs".to_owned(),
    ];
    // No paths of this machine in the module: it is the same wherever it is built.
    for folder in registry_folders() {
        flags.push(format!("--remap-path-prefix={}/=", folder.display()));
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    command.env_remove("RUSTFLAGS");
    Ok(command)
}

/// Where cargo keeps the sources of dependencies.
fn registry_folders() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let sources = home.map(|home| home.join("registry/src"));
    let entries = sources.and_then(|sources| fs::read_dir(sources).ok());
    entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// What is known after the cuts of a linked module.
pub(crate) struct AfterCuts {
    /// The places of panics that were cut: see [`cut::Cut`].
    pub(crate) places: String,
    /// Whether the cuts fit the compiler and were made.
    pub(crate) is_cut: bool,
}

/// Takes panics out of what was linked. Through a file of its own and a rename, because cargo's output is a hard link
/// into its cache.
pub(crate) fn cut(wasm: &Path, aim: Aim) -> Result<AfterCuts> {
    let file = wasm.with_extension("cut.wasm");
    let cut = cut::cut(&fs::read(wasm)?, matches!(aim, Aim::Gzip))?;
    fs::write(&file, cut.module)?;
    fs::rename(&file, wasm)?;
    if let Some(why) = &cut.left_out {
        let line = format!(
            "{}: the cuts after linking are left out, because they are for rustc {}, and in what this compiler \
             linked, {why}. The module is larger, and does the same.",
            wasm.display(),
            cut::COMPILER
        );
        ensure!(std::env::var_os(NO_SKIP).is_none(), "{line} With {NO_SKIP} set, they must fit.");
        println!("{line}");
    }
    Ok(AfterCuts { places: cut.places, is_cut: cut.left_out.is_none() })
}

/// Runs wasm-opt; functions keep their names where they shall.
pub(crate) fn optimise(wasm_opt: &Path, wasm: &Path, aim: Aim, named: bool) -> Result<()> {
    let optimised = wasm.with_extension("opt.wasm");
    let mut command = Command::new(wasm_opt);
    let names: &[&str] = if named { &NAMES } else { &STRIP };
    command.args(WASM_OPT).args(aim.passes()).args(names).arg(wasm).arg("-o").arg(&optimised);
    shell::run(command)?;
    fs::rename(&optimised, wasm)?;
    Ok(())
}

/// wasm-opt from npm.
pub(crate) fn wasm_opt() -> Result<PathBuf> {
    Ok(shell::npm("xtask/tools/npm", "npm")?.join(".bin/wasm-opt"))
}
