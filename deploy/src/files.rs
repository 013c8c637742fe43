//! Files of a folder that is to be written.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The files of a folder, in the order in which they are written: a proxy that watches the folder finds what a file names.
#[derive(Debug, Default)]
pub struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    pub(crate) fn add(&mut self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        self.0.push((path.as_ref().to_owned(), bytes.into()));
    }

    /// Returns their paths below the folder.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    /// Writes them below `folder`, each by a rename, because a proxy may be watching. A file that is already up to
    /// date is left alone.
    ///
    /// # Errors
    /// If a file cannot be written; the error names it and the cause.
    pub fn write(&self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        for (path, bytes) in &self.0 {
            debug_assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
            let path = folder.join(path);
            if std::fs::read(&path).is_ok_and(|known| known == *bytes) {
                continue;
            }
            let parent = path.parent().unwrap_or(&path);
            std::fs::create_dir_all(parent).map_err(|error| (parent.to_owned(), error))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let new = parent.join(format!(".{name}.new"));
            std::fs::write(&new, bytes).map_err(|error| (new.clone(), error))?;
            std::fs::rename(&new, &path).map_err(|error| (path.clone(), error))?;
        }
        Ok(())
    }

    /// Returns the paths of files that are missing in `folder` or differ there.
    pub fn stale<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
        let files = self.0.iter().map(|(path, bytes)| (folder.join(path), bytes));
        files.filter(|(path, bytes)| std::fs::read(path).ok().as_ref() != Some(bytes)).map(|(path, _)| path)
    }
}
