//! A folder that changes the way a mounted Kubernetes ConfigMap does.
//!
//! `ecds.yaml` links to `..data/ecds.yaml`, and `..data` links to a folder of one version. A new
//! version is written beside the old one and one rename moves `..data`: a reader sees the old file
//! or the new one, never half of either.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};

/// The file that Envoy reads in the folder.
pub const FILE: &str = "ecds.yaml";

/// The folder and the number of its current version.
#[derive(Debug)]
pub struct ConfigDir {
    path: PathBuf,
    version: AtomicU64,
}

impl ConfigDir {
    /// Makes the folder, with `ecds` as its first version.
    ///
    /// # Errors
    /// When the folder exists already or cannot be written.
    pub fn create(path: &Path, ecds: &str) -> Result<Self> {
        fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
        let dir = Self { path: path.to_owned(), version: AtomicU64::new(0) };
        dir.replace(ecds)?;
        symlink(Path::new("..data").join(FILE), path.join(FILE))?;
        Ok(dir)
    }

    /// Where it is: Envoy's `watched_directory`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts `ecds` in place of the current version; returns when the rename was done.
    ///
    /// # Errors
    /// When the folder cannot be written; the old version then stays.
    pub fn replace(&self, ecds: &str) -> Result<Instant> {
        let number = self.version.fetch_add(1, Ordering::Relaxed);
        let version = format!("..{number}");
        let folder = self.path.join(&version);
        fs::create_dir(&folder)?;
        fs::write(folder.join(FILE), ecds)?;
        let link = self.path.join(format!("..data_{number}"));
        symlink(&version, &link)?;
        fs::rename(&link, self.path.join("..data"))?;
        Ok(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_moves_the_link_and_keeps_the_path() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = ConfigDir::create(&parent.path().join("cm"), "one").expect("made");
        let file = dir.path().join(FILE);
        assert_eq!(fs::read_to_string(&file).expect("readable"), "one");
        dir.replace("two").expect("replaced");
        assert_eq!(fs::read_to_string(&file).expect("readable"), "two");
        assert!(ConfigDir::create(dir.path(), "three").is_err());
    }
}
