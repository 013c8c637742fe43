//! What can go wrong before there is a verdict.

use std::fmt;
use std::path::{Path, PathBuf};

use datafusion::error::DataFusionError;

/// Why there is no analysis.
#[derive(Debug)]
pub enum Error {
    /// A file cannot be read or written.
    File(PathBuf, std::io::Error),
    /// A file is not what its name says: which, and what is wrong.
    Content(PathBuf, String),
    /// A metric cannot be understood: its text, and what was expected.
    Metric(String, &'static str),
    /// The query engine stopped.
    Engine(Box<DataFusionError>),
    /// The request contradicts itself, the config or the data: what is wrong, and what to do.
    Request(String),
    /// Lines are malformed, and the request is strict.
    Malformed(String),
    /// A summary lacks a column, or has a value in it that is no number.
    Summary(String),
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<'_> {
        |error| Self::File(path.to_owned(), error)
    }

    pub(crate) fn content<E: fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self + use<'_, E> {
        |error| Self::Content(path.to_owned(), error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Content(path, problem) => write!(f, "{}: {problem}", path.display()),
            Self::Metric(text, expected) => write!(f, "metric `{text}`: expected {expected}"),
            Self::Engine(error) => write!(f, "the query engine could not go on: {}", error.find_root()),
            Self::Request(problem) | Self::Malformed(problem) => f.write_str(problem),
            Self::Summary(problem) => write!(f, "summary: {problem}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}
