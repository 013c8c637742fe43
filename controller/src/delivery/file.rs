//! A folder that proxies watch.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file that a proxy reads in the folder.
const FILE: &str = "ecds.yaml";
const NEXT: &str = ".ecds.yaml.next";
const VALUE: &str = "value: ";

/// A folder with `ecds.yaml`, as `splitway render envoy` makes it. Only the document in the file is replaced: the module
/// and its settings stay as they were rendered.
#[derive(Clone, Debug)]
pub struct WatchedFolder {
    path: PathBuf,
}

/// Why a document was not put into the folder.
#[derive(Debug)]
pub enum DeliveryError {
    /// The folder cannot be read or written.
    File(PathBuf, io::Error),
    /// The file in the folder has no place for a document.
    NoPlace(PathBuf),
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "cannot deliver to {}: {error}", path.display()),
            Self::NoPlace(path) => write!(
                f,
                "expected a line `value: \"…\"` with the document in {}; make the file with `splitway render envoy`",
                path.display()
            ),
        }
    }
}

impl std::error::Error for DeliveryError {}

impl WatchedFolder {
    /// A folder that has an `ecds.yaml`.
    ///
    /// # Errors
    /// The file cannot be read, or has no place for a document.
    pub fn open(path: &Path) -> Result<Self, DeliveryError> {
        let folder = Self { path: path.to_owned() };
        folder.parts()?;
        Ok(folder)
    }

    /// The document that is in the folder.
    ///
    /// # Errors
    /// The file cannot be read, or has no place for a document.
    pub fn delivered(&self) -> Result<String, DeliveryError> {
        let (_, value, _) = self.parts()?;
        serde_json::from_str(&value).map_err(|_| DeliveryError::NoPlace(self.path.join(FILE)))
    }

    /// Puts `document`, as JSON, into the folder; whether it was another one. The file is replaced as a whole, by renaming,
    /// and is on disk when this returns.
    ///
    /// # Errors
    /// The folder cannot be written; the document before it then stays.
    pub fn deliver(&self, document: &str) -> Result<bool, DeliveryError> {
        let (before, value, after) = self.parts()?;
        let quoted = serde_json::Value::from(document).to_string();
        if value == quoted {
            return Ok(false);
        }
        let (next, file) = (self.path.join(NEXT), self.path.join(FILE));
        let written = || -> io::Result<()> {
            let mut out = File::create(&next)?;
            write!(out, "{before}{quoted}{after}")?;
            out.sync_all()?;
            fs::rename(&next, &file)?;
            File::open(&self.path)?.sync_all()
        };
        written().map_err(|error| DeliveryError::File(file.clone(), error))?;
        Ok(true)
    }

    /// The file: what is before the document, the document in quotes, what is after it.
    fn parts(&self) -> Result<(String, String, String), DeliveryError> {
        let file = self.path.join(FILE);
        let text = fs::read_to_string(&file).map_err(|error| DeliveryError::File(file.clone(), error))?;
        // It is the last thing in the file, and the document itself has no line breaks.
        let parts = || {
            let (before, rest) = text.rsplit_once(&format!("\n          {VALUE}"))?;
            let (value, after) = rest.split_once('\n')?;
            let is_quoted = serde_json::from_str::<String>(value).is_ok();
            is_quoted
                .then(|| (format!("{before}\n          {VALUE}"), value.to_owned(), format!("\n{after}")))
        };
        parts().ok_or(DeliveryError::NoPlace(file))
    }
}
