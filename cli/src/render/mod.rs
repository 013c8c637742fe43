//! `splitway render`: files that are deployed as they are.
//!
//! What a target cannot hold is refused here, and not by the proxy at night.

mod args;
mod chart;
mod envoy;
#[cfg(feature = "host")]
mod google;
mod istio;
mod kubernetes;
mod module;
mod prometheus;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use splitway_engine::{Code, Document, Path as Place, Plan, Problem, Problems, Secrets, read_wire, wire};

pub(crate) use args::Render;
use args::{Cluster, OnTrap, Output, Target};
use module::Module;
use splitway_deploy::FailurePolicy;

use crate::input::Input;
use crate::outcome::{Exit, Failure, Outcome, print};

pub(crate) fn run(args: &Render) -> Outcome {
    match &args.target {
        Target::Envoy(args) => envoy::run(args),
        Target::Istio(args) => istio::run(args),
        Target::Configmap(args) => kubernetes::configmap(args),
        #[cfg(feature = "host")]
        Target::Google(args) => google::run(args),
        #[cfg(not(feature = "host"))]
        Target::Google(_) => Err(crate::absent::refusal("render google", "host")),
        Target::Prometheus(args) => prometheus::run(args),
    }
}

/// What is deployed: the experiments and the module.
struct Sources {
    input: Input,
    document: Document,
    plan: Plan,
    config: wire::Config,
    /// As the filter gets it.
    json: String,
    /// The environment variables that it names, in order of their names.
    variables: Vec<String>,
    module: Module,
}

impl Sources {
    fn read(source: &args::Source) -> Result<Self, Failure> {
        let input = Input::read_all(&source.config)?;
        let variables = RefCell::new(BTreeSet::new());
        let note = |name: &str| {
            variables.borrow_mut().insert(name.to_owned());
            None
        };
        let (document, plan) = input.plan_with(Secrets::Optional(&note))?;
        let variables = variables.take().into_iter().collect();
        let config = read_wire(&document);
        let (json, module) = (document.to_json(), Module::read(source.wasm.as_deref())?);
        Ok(Self { input, document, plan, config, json, variables, module })
    }

    /// The cluster of the collector that exposures go to.
    fn collector(&self) -> Option<(Place, &str)> {
        let place = Place::default().key("exposure").key("otlp").key("cluster");
        Some((place, &self.config.exposure.as_ref()?.otlp.as_ref()?.cluster))
    }

    /// The clusters to which variants copy their requests.
    fn shadows(&self) -> BTreeSet<&str> {
        let variants = self.config.experiments.iter().flat_map(|experiment| &experiment.variants);
        variants.filter_map(|variant| variant.route.as_ref()?.shadow.as_deref()).collect()
    }

    /// Refuses a config that names clusters which are not among `clusters`: those of variants, and `more`.
    fn must_know(&self, clusters: &[Cluster], more: Option<(Place, &str)>) -> Result<(), Failure> {
        let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        for (at, name) in known.iter().enumerate() {
            if known.iter().take(at).any(|before| before == name) {
                return Err(Failure::Usage(format!("--cluster {name} is given twice")));
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
        if problems.is_empty() { Ok(()) } else { Err(self.input.refuse(&problems)) }
    }

    /// Each place that names a cluster to which variants route or copy requests, and the name.
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

impl From<OnTrap> for FailurePolicy {
    fn from(on_trap: OnTrap) -> Self {
        match on_trap {
            OnTrap::Reload => Self::Reload,
            OnTrap::Open => Self::Open,
            OnTrap::Closed => Self::Closed,
        }
    }
}

/// Files of a folder that is to be written.
#[derive(Default)]
struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    fn add(&mut self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        self.0.push((path.as_ref().to_owned(), bytes.into()));
    }

    /// Writes them, each by a rename, because a proxy may be watching; `order` is that of adding.
    fn finish(self, output: &Output, next: &str) -> Outcome {
        if output.check {
            return self.check(&output.out);
        }
        let unwritable =
            |path: &Path, error: std::io::Error| Failure::Usage(format!("{}: {error}", path.display()));
        for (path, bytes) in &self.0 {
            debug_assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
            let path = output.out.join(path);
            if std::fs::read(&path).is_ok_and(|known| known == *bytes) {
                continue;
            }
            let folder = path.parent().unwrap_or(&path);
            std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let new = folder.join(format!(".{name}.new"));
            std::fs::write(&new, bytes).map_err(|error| unwritable(&new, error))?;
            std::fs::rename(&new, &path).map_err(|error| unwritable(&path, error))?;
        }
        let mut lines: Vec<String> =
            self.0.iter().map(|(path, _)| output.out.join(path).display().to_string()).collect();
        lines.push(next.to_owned());
        print(&lines.join("\n"))
    }

    fn check(&self, out: &Path) -> Outcome {
        let is_stale =
            |(path, bytes): &&(PathBuf, Vec<u8>)| std::fs::read(out.join(path)).ok().as_ref() != Some(bytes);
        let stale: Vec<String> = self
            .0
            .iter()
            .filter(is_stale)
            .map(|(path, _)| format!("{} differs from what the config renders", out.join(path).display()))
            .collect();
        if stale.is_empty() {
            return print(&format!("{} files match the config", self.0.len()));
        }
        print(&stale.join("\n"))?;
        Ok(Exit::Problems)
    }
}
