//! What is deployed: the experiments and the module.

use std::collections::BTreeSet;

use splitway_engine::{Code, Document, Path as Place, Plan, Problem, Problems, read_wire, wire};

use crate::module::Module;
use crate::refusal::Refusal;
use crate::service::Service;

/// What is deployed: the experiments and the module.
#[derive(Debug)]
pub struct Subject {
    document: Document,
    /// The plan compiled from the document.
    pub plan: Plan,
    config: wire::Config,
    /// The document as the filter gets it.
    pub json: String,
    /// Environment variables that the document names, sorted by name.
    pub variables: Vec<String>,
    /// The compiled filter.
    pub module: Module,
}

impl Subject {
    /// Creates a subject from `document`, from which `plan` was compiled and which names `variables`, and `module`.
    #[must_use]
    pub fn new(document: Document, plan: Plan, variables: Vec<String>, module: Module) -> Self {
        let config = read_wire(&document);
        let json = document.to_json();
        Self { document, plan, config, json, variables, module }
    }

    /// Returns the cluster of the collector that exposures go to.
    pub(crate) fn collector(&self) -> Option<(Place, &str)> {
        let place = Place::default().key("exposure").key("otlp").key("cluster");
        Some((place, &self.config.exposure.as_ref()?.otlp.as_ref()?.cluster))
    }

    /// Returns the clusters to which variants copy their requests.
    pub(crate) fn shadows(&self) -> BTreeSet<&str> {
        let variants = self.config.experiments.iter().flat_map(|experiment| &experiment.variants);
        variants.filter_map(|variant| variant.route.as_ref()?.shadow.as_deref()).collect()
    }

    /// Refuses a config that names clusters which are not among `clusters`: those of variants, and `more`.
    pub(crate) fn must_know(&self, clusters: &[Service], more: Option<(Place, &str)>) -> Result<(), Refusal> {
        let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        for (at, name) in known.iter().enumerate() {
            if known.iter().take(at).any(|before| before == name) {
                return Err(Refusal::Request(format!("--cluster {name} is given twice")));
            }
        }
        let mut problems = Problems::default();
        for (path, name) in self.clusters().into_iter().chain(more) {
            if known.contains(&name) {
                continue;
            }
            let span = self.document.locate(&path).map(|located| located.value);
            let expected = "the name of a --cluster";
            let problem =
                Problem::error(path, Code::UnknownReference, expected, &format!("`{name}`")).at(span);
            let problem = problem.suggest_near(name, known.iter().copied());
            problems.push(match problem.meant {
                Some(_) => problem,
                None => problem.suggest(|| format!("add --cluster {name}=HOST:PORT")),
            });
        }
        if problems.is_empty() { Ok(()) } else { Err(Refusal::Config(problems)) }
    }

    /// Returns each place that names a cluster to which variants route or copy requests, and the name.
    fn clusters(&self) -> Vec<(Place, &str)> {
        let mut found = Vec::new();
        for (index, experiment) in self.config.experiments.iter().enumerate() {
            let variants = Place::default().key("experiments").index(index).key("variants");
            for (index, variant) in experiment.variants.iter().enumerate() {
                let Some(route) = &variant.route else { continue };
                for (field, name) in [("cluster", &route.cluster), ("shadow", &route.shadow)] {
                    let path = variants.clone().index(index).key("route").key(field);
                    found.extend(name.as_deref().map(|name| (path, name)));
                }
            }
        }
        found
    }
}
