//! `cargo xtask vectors`: fresh random units through the systems' own SDKs and through the engine.
//!
//! The committed vectors (`spec/vectors/`) show that the engine agreed once on chosen units; this
//! shows that it agrees now on units nobody chose. It needs Python 3, Node and their registries, so
//! it is a task of its own and not part of `cargo test`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};

/// Random ids per dialect.
const UNITS: &str = "10000";

/// Repeats an earlier run when set.
const SEED_VARIABLE: &str = "SPLITWAY_VECTORS_SEED";

/// Installs the pinned SDKs under `target/tools/vectors/`, generates vectors into `target/vectors/`
/// and prints how the engine compares. Any mismatch is an error.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let root = root.canonicalize().with_context(|| format!("{}", root.display()))?;
    let generator = root.join("spec/vectors/generate");
    let tools = root.join("target/tools/vectors");
    let python = install_python(&generator, &tools.join("venv"))?;
    let node = install_node(&generator, &tools.join("node"))?;

    let seed = seed()?;
    println!("seed {seed} (repeat with {SEED_VARIABLE}={seed})");
    let vectors = root.join("target/vectors");
    if vectors.exists() {
        std::fs::remove_dir_all(&vectors).with_context(|| format!("{}", vectors.display()))?;
    }
    succeed(
        Command::new(python)
            .arg(generator.join("generate.py"))
            .args(["--units", UNITS, "--seed", &seed, "--out"])
            .arg(&vectors)
            .env("SPLITWAY_NODE_MODULES", node)
            .env("SPLITWAY_FLAGD_3", tools.join("flagd-3"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )?;
    succeed(
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["run", "--quiet", "--package", "splitway-engine", "--example", "vectors"])
            .current_dir(&root)
            .env("SPLITWAY_VECTORS_DIR", &vectors),
    )
}

/// Makes the virtual environment when it is missing; returns its interpreter.
fn install_python(generator: &Path, environment: &Path) -> anyhow::Result<PathBuf> {
    let python = environment.join("bin/python");
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    }
    succeed(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"])
            .arg(generator.join("requirements.txt")),
    )?;
    succeed(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--requirement"])
            .arg(generator.join("requirements-flagd-3.txt"))
            .arg("--target")
            .arg(environment.with_file_name("flagd-3")),
    )?;
    Ok(python)
}

/// Installs the locked packages beside a copy of their lock file; returns that directory.
fn install_node(generator: &Path, directory: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(directory).with_context(|| format!("{}", directory.display()))?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(generator.join(file), directory.join(file)).with_context(|| file.to_owned())?;
    }
    // No package here needs its install scripts.
    succeed(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
            .current_dir(directory),
    )?;
    Ok(directory.to_owned())
}

fn seed() -> anyhow::Result<String> {
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        seed.parse::<u64>().with_context(|| format!("{SEED_VARIABLE}={seed} is not a number"))?;
        return Ok(seed);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(now.as_millis().to_string())
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_owned();
    let status = command.status().with_context(|| format!("cannot start {}", name.display()))?;
    ensure!(status.success(), "{} failed: {status}", name.display());
    Ok(())
}
