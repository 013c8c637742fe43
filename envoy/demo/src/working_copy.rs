//! The demo's copy of its config, which it edits.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use splitway_tools::{programs, shell};

pub(crate) const CONFIG: &str = "examples/checkout/splitway.yaml";

/// Where requests go that no variant routes elsewhere: the default route of `bootstrap.yaml`.
pub(crate) const DEFAULT_CLUSTER: &str = "checkout-v1";

/// Where the demo leaves its files.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = programs::target_dir()?.join("demo");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The demo edits its config, so it works on a copy.
pub(crate) struct WorkingCopy {
    pub(crate) path: PathBuf,
}

impl WorkingCopy {
    pub(crate) fn create() -> Result<Self> {
        let path = folder()?.join("splitway.yaml");
        let original = shell::root().join(CONFIG);
        fs::copy(&original, &path).with_context(|| original.display().to_string())?;
        Ok(Self { path })
    }

    pub(crate) fn read(&self) -> Result<String> {
        fs::read_to_string(&self.path).with_context(|| self.path.display().to_string())
    }

    /// The edit that an operator would make: one word.
    pub(crate) fn roll_back(&self) -> Result<String> {
        let (from, to) = ("status: running", "status: rolled_back");
        let text = self.read()?;
        if text.matches(from).count() != 1 {
            bail!("{CONFIG} should say `{from}` exactly once");
        }
        let text = text.replace(from, to);
        fs::write(&self.path, &text)?;
        Ok(text)
    }
}
