//! Config files, times: what commands are given.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use splitway_engine::{Document, Plan, Problems, Timestamp, compile};

use crate::outcome::Failure;
use crate::style::Style;
use crate::underline::underlined;

/// A config's text and where it came from.
#[derive(Debug)]
pub(crate) struct Input {
    /// As the user wrote it; `<stdin>` for `-`.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Input {
    /// Reads `path`, or stdin for `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "<stdin>".to_owned() } else { path.display().to_string() };
        let mut bytes = Vec::new();
        let read = if is_stdin {
            std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
        } else {
            std::fs::read(path).map(|read| bytes = read)
        };
        read.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::Problems(format!("{name}: not UTF-8 at byte {at}"))
        })?;
        Ok(Self { name, text })
    }

    /// The document, with places if at all possible.
    ///
    /// YAML is a superset of JSON only nearly (tabs, some escapes): what begins
    /// like JSON is read as JSON, and as YAML for the places.
    pub(crate) fn document(&self) -> Result<Document, Problems> {
        let yaml = Document::from_yaml(&self.text);
        if !self.text.trim_start().starts_with('{') {
            return yaml;
        }
        match (Document::from_json(self.text.as_bytes()), yaml) {
            (Ok(json), Ok(yaml)) if json.content_hash() == yaml.content_hash() => Ok(yaml),
            (Err(_), Ok(yaml)) => Ok(yaml),
            (json, _) => json,
        }
    }

    /// The plan; problems are rendered for people.
    pub(crate) fn plan(&self) -> Result<(Document, Plan), Failure> {
        let document = self.document().map_err(|problems| self.refuse(&problems))?;
        let plan = compile(&document).map_err(|problems| self.refuse(&problems))?;
        Ok((document, plan))
    }

    /// The problems, rendered for people.
    pub(crate) fn refuse(&self, problems: &Problems) -> Failure {
        let style = Style::stderr();
        let all: Vec<String> = problems.iter().map(|problem| underlined(self, problem, style)).collect();
        Failure::Problems(all.join("\n"))
    }
}

/// Reads and compiles the config at `path`.
pub(crate) fn plan(path: &Path) -> Result<Plan, Failure> {
    Ok(Input::read(path)?.plan()?.1)
}

/// The time given, or now.
pub(crate) fn at(given: Option<Timestamp>) -> Timestamp {
    given.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

/// Refuses stdin where a file is to be written.
pub(crate) fn must_be_file(path: &PathBuf) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Err(Failure::Usage("--write needs a file, not stdin".to_owned()));
    }
    Ok(())
}
