//! Config files, times: what commands are given.

use std::cell::RefCell;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use splitway_document::Value;
use splitway_engine::{
    Document, Plan, Problem, Problems, Secrets, Span, Timestamp, compile_with, content_hash,
};

use crate::merge::Merged;
use crate::outcome::Failure;
use crate::style::Style;

/// A config's text and where it came from.
#[derive(Debug)]
pub(crate) struct Input {
    /// As the user wrote it; `<stdin>` for `-`.
    pub(crate) name: String,
    /// Empty for several files.
    pub(crate) text: String,
    merged: Option<Box<Merged>>,
}

impl Input {
    /// Reads `path`: a file, a folder whose files are one config, or stdin for `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        if path.is_dir() {
            let name = path.display().to_string();
            let files = config_files(path)?;
            if files.is_empty() {
                return Err(Failure::Usage(format!(
                    "{name}: the folder contains no .yaml, .yml or .json file"
                )));
            }
            return Self::merge(name, &files);
        }
        Self::read_file(path)
    }

    /// Reads several files or folders as one config.
    pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Self, Failure> {
        if let [path] = paths {
            return Self::read(path);
        }
        let mut files = Vec::new();
        for path in paths {
            if path.is_dir() { files.extend(config_files(path)?) } else { files.push(path.clone()) }
        }
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        Self::merge(names.join(" + "), &files)
    }

    fn merge(name: String, files: &[PathBuf]) -> Result<Self, Failure> {
        let files = files.iter().map(|file| Self::read_file(file)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { name, text: String::new(), merged: Some(Box::new(Merged::new(files))) })
    }

    /// A text that is a file's.
    pub(crate) fn of(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), text, merged: None }
    }

    fn read_file(path: &Path) -> Result<Self, Failure> {
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
            Failure::Problems(format!("{name}: the text is not UTF-8 at byte {at}"))
        })?;
        Ok(Self { name, text, merged: None })
    }

    /// The document, with places if at all possible.
    ///
    /// YAML is a superset of JSON only nearly (tabs, some escapes): what begins
    /// like JSON is read as JSON, and as YAML for the places.
    pub(crate) fn document(&self) -> Result<Document, Problems> {
        if let Some(merged) = &self.merged {
            return merged.document();
        }
        let yaml = Document::from_yaml(&self.text);
        if !self.text.trim_start().starts_with('{') {
            return yaml;
        }
        match (Document::from_json(self.text.as_bytes()), yaml) {
            (Ok(json), Ok(yaml)) if content_hash(&json) == content_hash(&yaml) => Ok(yaml),
            (Err(_), Ok(yaml)) => Ok(yaml),
            (json, _) => json,
        }
    }

    /// The plan, without the secrets that are in variables: for what needs none. Problems are rendered
    /// for people.
    pub(crate) fn plan(&self) -> Result<(Document, Plan), Failure> {
        self.plan_with(Secrets::WITHHELD)
    }

    /// The plan with secrets from `secrets`; problems are rendered for people.
    pub(crate) fn plan_with(&self, secrets: Secrets<'_>) -> Result<(Document, Plan), Failure> {
        let document = self.document().map_err(|problems| self.refuse(&problems))?;
        let plan = compile_with(&document, secrets).map_err(|problems| self.refuse(&problems))?;
        Ok((document, plan))
    }

    /// Refuses several files where one is to be edited.
    pub(crate) fn must_be_one(&self) -> Result<(), Failure> {
        match self.merged {
            Some(_) => {
                Err(Failure::Usage(format!("{}: expected the one file to edit, found several", self.name)))
            }
            None => Ok(()),
        }
    }

    /// The file that `problem` is in, and its place there.
    pub(crate) fn place(&self, problem: &Problem) -> (&Self, Option<Span>) {
        match &self.merged {
            None => (self, problem.span),
            Some(merged) => merged.place(problem).unwrap_or((self, None)),
        }
    }

    /// `problem` over several lines, with its line of the text underlined.
    pub(crate) fn underlined(&self, problem: &Problem, style: Style) -> String {
        let (file, span) = self.place(problem);
        style.look().show(&file.name, &file.text, &problem.clone().at(span))
    }

    /// The problems, rendered for people.
    pub(crate) fn refuse(&self, problems: &Problems) -> Failure {
        let style = Style::stderr();
        let all: Vec<String> = problems.iter().map(|problem| self.underlined(problem, style)).collect();
        Failure::Problems(all.join("\n"))
    }
}

/// The configs in a folder and those below it, in order of their paths. Files that end like one and hold something else,
/// such as the schema that `init` writes or a scenario, are named on stderr and left out.
pub(crate) fn config_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (foreign, configs): (Vec<PathBuf>, Vec<PathBuf>) =
        candidates(folder)?.into_iter().partition(|file| is_foreign(file));
    if !foreign.is_empty() {
        let names: Vec<String> = foreign.iter().map(|file| file.display().to_string()).collect();
        let are = if names.len() == 1 { "is not a config" } else { "are not configs" };
        eprintln!("left out: {} {are} (without any field of a config)", names.join(", "));
    }
    Ok(configs)
}

/// True for a mapping none of whose fields is a config's, or could be meant as one.
fn is_foreign(file: &Path) -> bool {
    let Ok(Ok(document)) = Input::read_file(file).map(|input| input.document()) else { return false };
    let Value::Map(fields) = &document.root.value else { return false };
    let schema = splitway_engine::schema();
    let Some(known) = schema["properties"].as_object() else { return false };
    let is_ours =
        |name: &str| splitway_engine::did_you_mean(name, known.keys().map(String::as_str)).is_some();
    !fields.is_empty() && !fields.iter().any(|(key, _)| is_ours(&key.name))
}

/// The files in a folder and those below it that end like a config, in order of their paths.
pub(crate) fn candidates(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| Failure::Usage(format!("{}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let is_config =
            path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json");
        if is_hidden {
            continue;
        } else if path.is_dir() {
            files.extend(candidates(&path)?);
        } else if is_config {
            files.push(path);
        }
    }
    Ok(files)
}

/// Reads and compiles the config at `paths`, with what this command's environment has of its secrets. What it
/// has not is said on stderr: the command goes on without it.
pub(crate) fn plan(paths: &[PathBuf]) -> Result<Plan, Failure> {
    let input = Input::read_all(paths)?;
    let missing = RefCell::new(Vec::new());
    let lookup = |name: &str| {
        let value = variable(name);
        let mut missing = missing.borrow_mut();
        if value.is_none() && !missing.iter().any(|known| known == name) {
            missing.push(name.to_owned());
        }
        value
    };
    let (_, plan) = input.plan_with(Secrets::Optional(&lookup))?;
    for name in missing.take() {
        eprintln!(
            "the environment variable {name} is not set: everything that depends on this secret of the config is left out"
        );
    }
    Ok(plan)
}

/// The bytes of a variable of this command's environment.
pub(crate) fn variable(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes)
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
        return Err(Failure::Usage("--write needs a file instead of stdin".to_owned()));
    }
    Ok(())
}
