//! `splitway render`: files that are deployed as they are.
//!
//! What a target cannot hold is refused here, and not by the proxy at night.

mod args;
mod chart;
mod envoy;
mod istio;
mod kubernetes;
mod module;
mod prometheus;

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use splitway_engine::{Document, Plan, read_wire, wire};

pub(crate) use args::Render;
use args::{Cluster, Google, OnTrap, Output, Target};
use module::Module;
use splitway_envoy::FailurePolicy;

use crate::input::Input;
use crate::outcome::{Exit, Failure, Outcome, print};

/// Google Cloud Service Extensions: the module and its config together.
const GOOGLE_BYTES: usize = 5 << 20;

pub(crate) fn run(args: &Render) -> Outcome {
    match &args.target {
        Target::Envoy(args) => envoy::run(args),
        Target::Istio(args) => istio::run(args),
        Target::Configmap(args) => kubernetes::configmap(args),
        Target::Google(args) => google(args),
        Target::Prometheus(args) => prometheus::run(args),
    }
}

/// What is deployed: the experiments and the module.
struct Sources {
    plan: Plan,
    config: wire::Config,
    /// As the filter gets it.
    json: String,
    module: Module,
}

impl Sources {
    fn read(source: &args::Source) -> Result<Self, Failure> {
        let input = Input::read_all(&source.config)?;
        let (document, plan): (Document, Plan) = input.plan()?;
        let config = read_wire(&document);
        Ok(Self { plan, config, json: document.to_json(), module: Module::read(source.wasm.as_deref())? })
    }

    /// The cluster of the collector that exposures go to.
    fn collector(&self) -> Option<&str> {
        Some(&self.config.exposure.as_ref()?.otlp.as_ref()?.cluster)
    }

    /// The clusters to which variants copy their requests.
    fn shadows(&self) -> BTreeSet<&str> {
        let variants = self.config.experiments.iter().flat_map(|experiment| &experiment.variants);
        variants.filter_map(|variant| variant.route.as_ref()?.shadow.as_deref()).collect()
    }

    /// Refuses a config whose variants route to clusters that nobody has named.
    fn must_know(&self, clusters: &[Cluster]) -> Result<(), Failure> {
        let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let mut problems = Vec::new();
        for (at, name) in known.iter().enumerate() {
            if known.iter().take(at).any(|before| before == name) {
                problems.push(format!("--cluster {name} is given twice"));
            }
        }
        for missing in self.plan.clusters().into_iter().filter(|name| !known.contains(name)) {
            let advice = splitway_engine::did_you_mean(missing, known.iter().copied());
            let advice = advice.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            problems.push(format!(
                "a variant routes to the cluster `{missing}`, and no --cluster says where it is{advice}"
            ));
        }
        if problems.is_empty() { Ok(()) } else { Err(Failure::Problems(problems.join("\n"))) }
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
            .map(|(path, _)| format!("{} is not what the config makes", out.join(path).display()))
            .collect();
        if stale.is_empty() {
            return print(&format!("{} files are as the config makes them", self.0.len()));
        }
        print(&stale.join("\n"))?;
        Ok(Exit::Problems)
    }
}

fn google(args: &Google) -> Outcome {
    let sources = Sources::read(&args.source)?;
    let bytes = sources.module.bytes.len() + sources.json.len();
    if bytes > GOOGLE_BYTES {
        return Err(Failure::Problems(format!(
            "module and config are {bytes} bytes together; Google Cloud Service Extensions take {GOOGLE_BYTES}"
        )));
    }
    eprintln!(
        "module {} + config {} of {GOOGLE_BYTES} bytes; a managed proxy also gives a request 1 ms of CPU and a VM 16 MiB",
        sources.module.bytes.len(),
        sources.json.len()
    );
    print(&sources.json)
}
