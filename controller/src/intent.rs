//! The folder in which people write: a config with experiments, and policies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use splitway_control::{Input, Intent, Policies};
use splitway_document::{Document, Problems};

const CONFIG: &str = "splitway.yaml";
const POLICIES: &str = "policies.yaml";

/// A folder with `splitway.yaml` and, where there are any, `policies.yaml`. The controller never writes into it.
#[derive(Clone, Debug)]
pub struct IntentFolder {
    path: PathBuf,
    /// What was read last, so that what is unchanged is not read again.
    config: Option<String>,
    policies: Option<String>,
}

impl IntentFolder {
    /// A folder.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), config: None, policies: None }
    }

    /// Reads everything again next time: what was read has not reached the log.
    pub fn forget(&mut self) {
        (self.config, self.policies) = (None, None);
    }

    /// What has changed since it was last asked. A file that is wrong is an input, too: what was in force stays.
    #[must_use]
    pub fn changes(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        match fs::read_to_string(self.path.join(POLICIES)) {
            Ok(text) if self.policies.as_ref() != Some(&text) => {
                inputs.push(match Policies::from_yaml(&text) {
                    Ok(policies) => Input::Policies(policies),
                    Err(problems) => Input::BrokenPolicies(sentences(POLICIES, &problems)),
                });
                self.policies = Some(text);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                inputs.push(Input::BrokenPolicies(vec![format!("{POLICIES}: {error}")]));
            }
            _ => {}
        }
        match fs::read_to_string(self.path.join(CONFIG)) {
            Ok(text) if self.config.as_ref() != Some(&text) => {
                inputs.push(match with_evidence(&text) {
                    Ok(intent) => Input::Intent(intent),
                    Err(problems) => Input::BrokenIntent(sentences(CONFIG, &problems)),
                });
                self.config = Some(text);
            }
            Err(error) => inputs.push(Input::BrokenIntent(vec![format!("{CONFIG}: {error}")])),
            _ => {}
        }
        inputs
    }
}

/// A config whose filter counts responses: without them there is no evidence.
fn with_evidence(text: &str) -> Result<Intent, Problems> {
    let document = Document::from_yaml(text)?;
    let written = Intent::new(&document)?;
    let Ok(Value::Object(mut fields)) = serde_json::from_str(&document.to_json()) else { return Ok(written) };
    fields.insert("service_metrics".to_owned(), Value::Bool(true));
    Intent::new(&Document::from_json(Value::Object(fields).to_string().as_bytes())?)
}

fn sentences(file: &str, problems: &Problems) -> Vec<String> {
    problems.iter().map(|problem| format!("{file}: {problem}")).collect()
}
