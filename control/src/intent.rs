//! What people wrote: configs with experiments and their rollouts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use splitway_document as document;
use splitway_document::{Path, Problems};
use splitway_engine::{Secrets, compile_with, content_hash, read_wire, wire};

use crate::rollout::Rollout;

/// A config that compiles, taken apart into what surrounds experiments and each experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// The config without experiments, as canonical JSON, and its content hash.
    pub(crate) base: (String, String),
    /// Definitions by id.
    pub(crate) definitions: BTreeMap<String, Definition>,
}

impl Intent {
    /// Reads a config in YAML or JSON.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_yaml(text: &str) -> Result<Self, Problems> {
        Self::new(&document::Document::from_yaml(text)?)
    }

    /// Takes a config apart. It must compile by itself, but for two experiments that want the same buckets of a layer:
    /// that one waits for the other.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(whole: &document::Document) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let written: serde_json::Value = serde_json::from_str(&whole.to_json()).unwrap_or_default();
        let mut base = written;
        let taken = base.as_object_mut().and_then(|fields| fields.remove("experiments"));
        let list = match taken {
            Some(serde_json::Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let config = read_wire(whole);
        let base_text = canonical(&base);
        let mut definitions = BTreeMap::new();
        if list.is_empty() {
            compile_with(whole, Secrets::WITHHELD)?;
        }
        for (index, (value, experiment)) in list.iter().zip(&config.experiments).enumerate() {
            let at = Path::default().key("experiments").index(index);
            // Each by itself: buckets of one layer may be wanted by several, one after the other.
            for problem in alone(&base, value).err().iter().flatten() {
                let mut problem = problem.clone();
                let rest =
                    problem.path.0.strip_prefix(Path::default().key("experiments").index(0).0.as_slice());
                if let Some(rest) = rest {
                    problem.path = Path(at.0.iter().chain(rest).cloned().collect());
                }
                problem.span = None;
                problems.push(problem);
            }
            Rollout::read(experiment, &at, &mut problems);
            let definition = Definition::new(canonical(value));
            if definitions.insert(experiment.id.clone(), definition).is_some() {
                let (expected, found) = ("each experiment once", format!("`{}` again", experiment.id));
                problems.push(document::Problem::error(
                    at.key("id"),
                    document::Code::DuplicateId,
                    expected,
                    &found,
                ));
            }
        }
        whole.locate_problems(&mut problems);
        if problems.has_errors() {
            return Err(problems);
        }
        let hash = hash_of(&base_text);
        Ok(Self { base: (base_text, hash), definitions })
    }

    /// The ids of the experiments.
    pub fn experiments(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    /// The definition of an experiment.
    #[must_use]
    pub fn definition(&self, id: &str) -> Option<&Definition> {
        self.definitions.get(id)
    }
}

/// Compiles one experiment in its surroundings.
fn alone(base: &serde_json::Value, experiment: &serde_json::Value) -> Result<(), Problems> {
    let mut whole = base.clone();
    if let Some(fields) = whole.as_object_mut() {
        fields.insert("experiments".to_owned(), serde_json::Value::Array(vec![experiment.clone()]));
    }
    let document = document::Document::from_json(whole.to_string().as_bytes())?;
    compile_with(&document, Secrets::WITHHELD).map(drop)
}

fn canonical(value: &serde_json::Value) -> String {
    let text = value.to_string();
    document::Document::from_json(text.as_bytes()).map_or(text, |document| document.to_json())
}

pub(crate) fn hash_of(text: &str) -> String {
    document::Document::from_json(text.as_bytes()).map_or_else(|_| String::new(), |read| content_hash(&read))
}

/// What is written of one experiment. It is read when it is first asked for, so that folding a long log is cheap.
#[derive(Clone)]
pub struct Definition {
    text: String,
    hash: String,
    read: OnceLock<Arc<Parts>>,
}

struct Parts {
    wire: wire::Experiment,
    rollout: Rollout,
}

impl Definition {
    pub(crate) fn new(text: String) -> Self {
        let hash = hash_of(&text);
        Self { text, hash, read: OnceLock::new() }
    }

    pub(crate) fn of_event(text: &str, hash: &str) -> Self {
        Self { text: text.to_owned(), hash: hash.to_owned(), read: OnceLock::new() }
    }

    /// It as canonical JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its content hash: what approvals are for.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    fn parts(&self) -> &Parts {
        self.read.get_or_init(|| {
            let text = format!(r#"{{"version":1,"experiments":[{}]}}"#, self.text);
            let read = document::Document::from_json(text.as_bytes());
            let experiments = read.map(|read| read_wire(&read).experiments).unwrap_or_default();
            let wire = experiments.into_iter().next().unwrap_or_default();
            let rollout = Rollout::read(&wire, &Path::default(), &mut Problems::default());
            Arc::new(Parts { wire, rollout })
        })
    }

    /// It as it is written.
    #[must_use]
    pub fn wire(&self) -> &wire::Experiment {
        &self.parts().wire
    }

    /// Its rollout.
    #[must_use]
    pub fn rollout(&self) -> &Rollout {
        &self.parts().rollout
    }

    /// Its layer.
    #[must_use]
    pub fn layer(&self) -> &str {
        let wire = self.wire();
        wire.layer.as_deref().unwrap_or(&wire.id)
    }

    /// Its priority: higher ones start first.
    #[must_use]
    pub fn priority(&self) -> u32 {
        self.wire().priority.unwrap_or(50)
    }

    /// The team, if it is written.
    #[must_use]
    pub fn team(&self) -> Option<&str> {
        self.wire().team.as_deref()
    }

    /// The variants with their planned shares, from 0 to 1, the control first.
    #[must_use]
    pub fn shares(&self) -> Vec<(String, f64)> {
        let variants = &self.wire().variants;
        let part = |variant: &wire::Variant| match variant.weight {
            Some(weight) => weight.max(0.0),
            None if variant.buckets.is_empty() => 1.0,
            None => {
                let length =
                    |[first, last]: &[u32; 2]| f64::from(last.saturating_sub(*first).saturating_add(1));
                variant.buckets.iter().map(length).sum()
            }
        };
        let sum: f64 = variants.iter().map(part).sum();
        let share = |variant: &wire::Variant| if sum > 0.0 { part(variant) / sum } else { 0.0 };
        let mut shares: Vec<(String, f64)> =
            variants.iter().map(|variant| (variant.id.clone(), share(variant))).collect();
        let control = self.control().to_owned();
        shares.sort_by_key(|(id, _)| *id != control);
        shares
    }

    /// The control's id.
    #[must_use]
    pub fn control(&self) -> &str {
        let variants = &self.wire().variants;
        let marked = variants.iter().find(|variant| variant.control == Some(true));
        marked.or(variants.first()).map_or("", |variant| &variant.id)
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.hash == other.hash
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("text", &self.text)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}
