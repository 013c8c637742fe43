//! Compiles the edge build and lays out its npm package.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use anyhow::{Context as _, Result, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::setup::EDGE_TARGET;
use crate::wasm::Aim;
use crate::{shell, wasm};

/// Every isolate loads module and glue, so their size is a promise: bytes after gzip -9.
const MAX_GZIP: usize = 150_000;

/// What counts to the promise; the adapters are beside it and small.
const CORE: [&str; 2] = ["splitway_edge_bg.wasm", "splitway.js"];

/// Builds `target/edge/pkg`; prints and gives what it weighs.
pub fn build() -> Result<String> {
    let package = programs::target_dir()?.join("edge/pkg");
    let (module, is_cut) = compile(&package, false)?;
    let sources = shell::root().join("edge/js");
    copy(&sources, &package)?;
    bundle(&package)?;
    copy(&sources.join("example"), &package.join("example"))?;
    fs::copy(shell::root().join("LICENSE"), package.join("LICENSE"))?;
    fs::write(package.join("provenance.json"), provenance(&module)?)?;
    weigh(&package, is_cut)
}

/// The module with the names of its functions: what ships has none.
pub fn build_named() -> Result<Vec<u8>> {
    Ok(fs::read(compile(&programs::target_dir()?.join("edge/named"), true)?.0)?)
}

/// Compiles the module and its glue into an empty `folder`; gives the module, and whether it
/// was cut.
fn compile(folder: &Path, named: bool) -> Result<(PathBuf, bool)> {
    let wasm_opt = wasm::wasm_opt()?;
    shell::run(wasm::compiler("splitway-edge", EDGE_TARGET, Aim::Gzip)?)?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let linked = programs::target_dir()?.join(EDGE_TARGET).join("edge/splitway_edge.wasm");
    // Before bindgen, which renumbers what the linker's notes are about.
    let cuts = wasm::cut(&linked, Aim::Gzip)?;
    let mut bindgen = shell::cargo(&["run", "--quiet", "--package", "splitway-edge-bindgen", "--"])?;
    bindgen.arg(linked).arg(folder);
    shell::run(bindgen)?;
    fs::write(folder.with_file_name("panics.txt"), cuts.places)?;
    let module = folder.join("splitway_edge_bg.wasm");
    wasm::optimise(&wasm_opt, &module, Aim::Gzip, named)?;
    Ok((module, cuts.is_cut))
}

/// Our JavaScript and the module's glue as one file, without what neither uses; and the module as JavaScript.
fn bundle(package: &Path) -> Result<()> {
    // Some runtimes hand over a module that another realm compiled, of which `instanceof` says that it is none.
    let glue = package.join("splitway_edge.js");
    let text = fs::read_to_string(&glue)?;
    let check = "!(module instanceof WebAssembly.Module)";
    ensure!(text.contains(check), "the glue of wasm-bindgen has changed: it lacks `{check}`");
    let by_name = "Object.prototype.toString.call(module) !== '[object WebAssembly.Module]'";
    fs::write(&glue, text.replace(check, by_name))?;
    let program = shell::npm("xtask/tools/npm", "npm")?.join(".bin/esbuild");
    fs::write(package.join("module.js"), "export { default } from './splitway_edge_bg.wasm';\n")?;
    let mut esbuild = Command::new(&program);
    esbuild.args(["module.js", "--outfile=module.js", "--allow-overwrite", "--log-level=warning"]);
    esbuild.args(["--bundle", "--format=esm", "--loader:.wasm=base64"]).current_dir(package);
    shell::run(esbuild)?;
    let mut esbuild = Command::new(&program);
    esbuild.args(["splitway.js", "--outfile=splitway.js", "--allow-overwrite", "--log-level=warning"]);
    esbuild.args(["--bundle", "--minify", "--format=esm", "--target=es2022"]).current_dir(package);
    shell::run(esbuild)?;
    for glue in ["host.js", "splitway_edge.js", "splitway_edge.d.ts", "splitway_edge_bg.wasm.d.ts"] {
        fs::remove_file(package.join(glue))?;
    }
    Ok(())
}

/// Copies the files of a folder, without those of folders in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().context("a file without a name")?))?;
        }
    }
    Ok(())
}

/// What the module was made from and by.
fn provenance(module: &Path) -> Result<String> {
    let said = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(shell::root());
        shell::output(command).map(|text| text.trim().to_owned())
    };
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    // A copy of the sources may be no repository.
    let commit = said("git", &["rev-parse", "HEAD"]).ok();
    let changes = said("git", &["status", "--porcelain"]).ok();
    let digest = Sha256::digest(fs::read(module)?);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let provenance = json!({
        "module": { "name": "splitway_edge_bg.wasm", "sha256": digest },
        "commit": commit,
        "uncommitted_changes": changes.map(|changes| !changes.is_empty()),
        "rustc": said(&rustc, &["--version"])?,
    });
    Ok(serde_json::to_string_pretty(&provenance)? + "\n")
}

/// Prints bytes and bytes after gzip of each file, and holds module and glue to the budget.
fn weigh(package: &Path, is_cut: bool) -> Result<String> {
    let mut text = String::new();
    let mut names: Vec<String> = fs::read_dir(package)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    let mut core = 0;
    for name in names.iter().filter(|name| name.ends_with(".js") || name.ends_with(".wasm")) {
        let bytes = fs::read(package.join(name))?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes)?;
        let gzip = encoder.finish()?.len();
        let _ = writeln!(text, "{name:26} {:>7} bytes {gzip:>7} gzip", bytes.len());
        if CORE.contains(&name.as_str()) {
            core += gzip;
        }
    }
    let _ = writeln!(text, "module and glue            {core:>21} gzip, of at most {MAX_GZIP}");
    println!("{}\n{text}", package.display());
    if core >= MAX_GZIP && is_cut {
        bail!("the edge build is {core} bytes after gzip, and must stay below {MAX_GZIP}");
    }
    Ok(text)
}
