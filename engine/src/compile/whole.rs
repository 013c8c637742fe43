//! The whole document.

use splitway_document::{Code, Document, Place, Problems, prose, read};

use super::compiler::Compiler;
use super::conflicts;
#[cfg(feature = "advice")]
use super::consequences;
use super::limits::{MAX_EXPERIMENTS, MAX_HOLDOUTS, MAX_LAYERS};
use super::lookup::Secrets;
use crate::digest::content_hash;
use crate::plan::{CacheSafety, HeaderChange, Neighbours, OurHeaders, Plan};
use crate::request::{Identity, Source};
use crate::wire;

/// [`compile_with`] for a document that contains its secrets: one that names a variable is refused.
///
/// # Errors
/// As [`compile_with`].
pub fn compile(document: &Document) -> Result<Plan, Problems> {
    compile_with(document, Secrets::Required(&|_| None))
}

/// Validates `document` and compiles it. `secrets` is asked for each secret that the document names by
/// a variable; the plan's version ([`Plan::content_hash`]) does not depend on the answers.
///
/// # Errors
/// Every problem of the document, in the order of its text where that is
/// known; warnings among them.
pub fn compile_with(document: &Document, secrets: Secrets<'_>) -> Result<Plan, Problems> {
    let mut problems = Problems::default();
    let config = read::<wire::Config>(document, &mut problems);
    let mut compiler = Compiler { problems, ..Compiler::new(document, &config, secrets) };
    let plan = compiler.plan(content_hash(document));
    #[cfg_attr(not(feature = "advice"), expect(unused_mut, reason = "the filter tells all as it is"))]
    let mut problems = compiler.problems;
    #[cfg(feature = "advice")]
    consequences::drop_consequences(&mut problems);
    #[cfg(feature = "yaml")]
    document.locate_problems(&mut problems);
    match plan {
        Some(mut plan) if !problems.has_errors() => {
            plan.warnings = problems;
            Ok(plan)
        }
        _ => Err(problems),
    }
}

/// The config as it is written, for tools that check or edit what the plan
/// leaves out. Problems of shape are those that [`compile`] reports.
#[must_use]
pub fn read_wire(document: &Document) -> wire::Config {
    read(document, &mut Problems::default())
}

impl Compiler<'_> {
    fn plan(&mut self, content_hash: String) -> Option<Plan> {
        let config = self.config;
        let root = Place::Root;
        if config.version != 1 {
            self.error_in(&root, "version", Code::InvalidValue, "1", &prose!("{}", config.version));
        }
        self.id(root.key("namespace"), self.namespace);
        self.limit(root.key("experiments"), "experiments", config.experiments.len(), MAX_EXPERIMENTS);
        self.limit(root.key("layers"), "layers", config.layers.len(), MAX_LAYERS);
        self.limit(root.key("holdouts"), "holdouts", config.holdouts.len(), MAX_HOLDOUTS);
        if self.problems.iter().any(|problem| problem.code == Code::Limit) {
            return None;
        }
        let mut default = self.sources(root.key("unit"), &config.unit).into_vec();
        let mint = config.mint.as_ref().and_then(|mint| self.mint(root.key("mint"), mint));
        default.extend(mint.as_ref().map(|mint| Source::Minted(mint.cookie.clone())));
        self.chains.push(default.into());
        for (name, source) in config.attributes.iter() {
            let at = root.key("attributes");
            if let Some(source) = self.source(at.key(name), source) {
                self.attributes.push((name, source));
            }
        }
        let clock_skew_ms = self.period(root.key("clock_skew"), config.clock_skew.as_ref(), 5_000);
        let exposure = self.exposure(root.key("exposure"));
        let sinks = self.sinks(root.key("exposure"));
        let tokens = self.tokens(root.key("qa_tokens"));
        let consent = config.consent.as_ref().and_then(|consent| self.consent(root.key("consent"), consent));
        let bots = self.bots(root.key("bots"));
        let holdouts = self.holdouts();
        let experiments = self.experiments();
        #[cfg(feature = "advice")]
        let positions = conflicts::positions(&experiments);
        let (layers, mut experiments) = self.layers(experiments);
        let contested = conflicts::contest(&mut experiments, tokens.is_some());
        let candidates = experiments.iter().filter(|e| e.can_be_entered(tokens.is_some())).count();
        let guardrails = self.guardrails(&experiments);
        let set = experiments.iter().flat_map(|e| &e.variants).flat_map(|v| &v.actions.request_headers);
        let ours = OurHeaders::new(set.filter_map(|change| match change {
            HeaderChange::Set(name, _) | HeaderChange::Add(name, _) => Some(&**name),
            HeaderChange::Remove(_) => None,
        }));
        let mut reads = self.reads();
        let cache = config.cache_safety.unwrap_or(true);
        let cache = cache.then(|| CacheSafety { vary: reads.join(", ").into(), private: self.reads_address });
        // None of these changes which variant a unit gets, so caches need not know of them.
        for (name, is_read) in [
            ("x-forwarded-for", self.reads_address),
            ("user-agent", bots.is_some()),
            ("purpose", true),
            ("sec-purpose", true),
            ("access-control-request-method", true),
            ("x-forwarded-proto", mint.is_some()),
        ] {
            if is_read && !reads.contains(&name) {
                reads.push(name);
            }
        }
        let reads = reads.join(" ").into();
        self.check_read_headers(&ours);
        let neighbours = config.neighbours.as_ref();
        let plan = Plan {
            namespace: self.namespace.into(),
            content_hash: content_hash.into(),
            kill_switch: config.kill_switch.unwrap_or(false),
            clock_skew_ms,
            chains: std::mem::take(&mut self.chains).into(),
            holdouts,
            layers,
            experiments,
            contested,
            candidates: u32::try_from(candidates).unwrap_or(u32::MAX),
            ours,
            exposure,
            sinks,
            service_metrics: config.service_metrics.unwrap_or(false),
            guardrails,
            tokens,
            identity: Identity { mint, consent, bots },
            cache,
            reads,
            baggage: config.propagation.as_ref().and_then(|p| p.baggage).unwrap_or(false),
            filter_state: config.propagation.as_ref().and_then(|p| p.filter_state).unwrap_or(false),
            neighbours: Neighbours {
                in_front: neighbours.and_then(|n| n.in_front).unwrap_or(false),
                behind: neighbours.and_then(|n| n.behind).unwrap_or(false),
            },
            warnings: Problems::default(),
        };
        #[cfg(feature = "advice")]
        self.warn_of_conflicts(&plan, &positions);
        Some(plan)
    }
}
