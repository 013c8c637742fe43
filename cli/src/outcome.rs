//! How a command ends.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// A command's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: nothing to complain about.
    Fine,
    /// 1: problems were found.
    Problems,
    /// 2: the command was not used rightly, or a file cannot be read.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Problems => 1,
            Exit::Usage => 2,
        })
    }
}

/// What a command comes to.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of our output went away, which is its right (`| head`).
    ClosedPipe,
    /// Exit 1, with what to say.
    Problems(String),
    /// Exit 2, with what to say.
    Usage(String),
    /// Exit 2, for files that are not what the command takes; their problems, rendered.
    #[cfg(feature = "host")]
    Unfit(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Usage(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// Writes `text` and a line end to stdout.
pub(crate) fn print(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(Exit::Fine)
}

/// Version of what `--json` prints. It grows when a field goes or changes what it means; new fields
/// do not change it.
const SHAPE: u32 = 1;

/// Writes an answer as JSON to stdout, with the version of its shape.
pub(crate) fn print_answer(value: &impl serde::Serialize) -> Outcome {
    let mut value = serde_json::to_value(value)?;
    if let serde_json::Value::Object(fields) = &mut value {
        fields.insert("shape".to_owned(), SHAPE.into());
    }
    print_json(&value)
}

/// Writes `value` as JSON to stdout.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Outcome {
    print(&serde_json::to_string_pretty(value)?)
}
