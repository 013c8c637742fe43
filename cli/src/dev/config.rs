//! The config: read, judged, and read again when its file changes.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use splitway_engine::{Plan, Problems, Secrets, compile_with, read_wire, wire};

use crate::input::{Input, candidates, variable};
use crate::outcome::Failure;
use crate::style::Style;

/// How often the file is looked at. What changed must look the same twice, so that a file that is
/// being written is not read by halves.
const LOOK: Duration = Duration::from_millis(150);

/// A config that is right.
pub(super) struct Config {
    pub(super) plan: Plan,
    pub(super) wire: wire::Config,
    /// As the filter gets it.
    pub(super) json: String,
    /// The secrets that it names, from this command's environment: name and value.
    pub(super) environment: Vec<(String, String)>,
    input: Input,
}

impl Config {
    /// What is probably not as meant, rendered.
    pub(super) fn warnings(&self, style: Style) -> String {
        rendered(&self.input, self.plan.warnings(), style)
    }
}

/// Why a file is no config.
pub(super) enum Refusal {
    Unreadable(Failure),
    Wrong { input: Input, problems: Problems },
}

impl Refusal {
    /// Every problem, with its place.
    pub(super) fn text(&self, style: Style) -> String {
        match self {
            Self::Unreadable(Failure::Problems(text) | Failure::Usage(text) | Failure::Unfit(text)) => {
                text.clone()
            }
            Self::Unreadable(Failure::ClosedPipe) => "the file's other end is closed".to_owned(),
            Self::Wrong { input, problems } => rendered(input, problems, style),
        }
    }

    /// How the command ends when it starts with this.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Unreadable(failure) => failure,
            Self::Wrong { input, problems } => input.refuse(&problems),
        }
    }
}

fn rendered(input: &Input, problems: &Problems, style: Style) -> String {
    problems.iter().map(|problem| input.underlined(problem, style)).collect::<Vec<_>>().join("\n")
}

/// Reads and judges the file as a proxy does: it needs the secrets that the config names.
pub(super) fn read(path: &Path) -> Result<Config, Refusal> {
    let input = Input::read(path).map_err(Refusal::Unreadable)?;
    let environment = RefCell::new(Vec::new());
    let lookup = |name: &str| {
        let value = String::from_utf8(variable(name)?).ok()?;
        environment.borrow_mut().push((name.to_owned(), value.clone()));
        Some(value.into_bytes())
    };
    let compiled = input.document().and_then(|document| {
        let plan = compile_with(&document, Secrets::Required(&lookup))?;
        Ok((read_wire(&document), document.to_json(), plan))
    });
    match compiled {
        Ok((wire, json, plan)) => Ok(Config { plan, wire, json, environment: environment.take(), input }),
        Err(problems) => Err(Refusal::Wrong { input, problems }),
    }
}

/// Follows a file by its bytes: it works for editors that replace the file, for links that move,
/// and for changes within one tick of the file system's clock.
pub(super) struct Watch {
    path: PathBuf,
    known: Option<Vec<u8>>,
}

impl Watch {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), known: bytes(path) }
    }

    /// Waits until the file has other bytes than at the last call, or is gone for longer than a
    /// replacement takes.
    pub(super) async fn changed(&mut self) {
        let mut before: Option<Option<Vec<u8>>> = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = bytes(&self.path);
            if now == self.known {
                before = None;
            } else if before.as_ref() == Some(&now) {
                self.known = now;
                return;
            } else {
                before = Some(now);
            }
        }
    }
}

/// What a file, or each config in a folder, holds now.
fn bytes(path: &Path) -> Option<Vec<u8>> {
    if !path.is_dir() {
        return std::fs::read(path).ok();
    }
    let mut all = Vec::new();
    for file in candidates(path).ok()? {
        all.extend(file.as_os_str().as_encoded_bytes());
        all.extend(std::fs::read(&file).ok()?);
    }
    Some(all)
}
