//! Document -> plan: the only validator. Reports everything that is wrong, and
//! makes a plan only of a document in which nothing is.

mod bucketing;
mod conflicts;
#[cfg(feature = "advice")]
mod consequences;
mod experiment;
mod exposure;
mod guardrails;
mod identity;
mod layers;
mod secrets;
mod targeting;
mod values;
mod variants;

use splitway_document::{
    ADVICE, Code, Document, Path, Place, Problem, Problems, describe_text, prose, read, said,
};

use crate::bucketing::SaltedHash;
use crate::cache::CacheSafety;
use crate::digest::content_hash;
use crate::headers::{self, OurHeaders};
use crate::neighbours::Neighbours;
use crate::plan::{ChainId, DEFAULT_NAMESPACE, Plan};
use crate::qa_token::{Key, TokenPolicy};
use crate::request::{Identity, Source};
use crate::wire;
#[cfg(feature = "advice")]
pub use conflicts::Contention;
pub use secrets::Secrets;

/// Most experiments in a document.
pub const MAX_EXPERIMENTS: usize = 1000;
/// Most variants of an experiment.
pub const MAX_VARIANTS: usize = 64;
/// Most layers declared in a document.
pub const MAX_LAYERS: usize = 1000;
/// Most holdouts in a document.
pub const MAX_HOLDOUTS: usize = 64;
/// Most sources of a unit.
const MAX_SOURCES: usize = 16;
/// Most guardrails of all experiments: each costs every worker some microseconds per tick.
const MAX_GUARDRAILS: usize = 256;
/// Shortest secret of a QA key, in bytes.
const MIN_SECRET: usize = 32;

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

struct Compiler<'c> {
    document: &'c Document,
    config: &'c wire::Config,
    secrets: Secrets<'c>,
    namespace: &'c str,
    problems: Problems,
    /// Unit chains, the document's first; equal ones once.
    chains: Vec<Box<[Source]>>,
    attributes: Vec<(&'c str, Source)>,
    /// Headers that the config reads, and where.
    read_headers: Vec<(Path, Box<str>)>,
    /// The config reads a cookie.
    reads_cookies: bool,
    /// The config reads the client's address.
    reads_address: bool,
    /// Globs and regular expressions so far.
    patterns: usize,
    /// Every salted hash, in order of its seed, and who uses it: equal ones make
    /// splits depend on each other.
    hashes: Vec<(SaltedHash, Path)>,
}

impl<'c> Compiler<'c> {
    fn new(document: &'c Document, config: &'c wire::Config, secrets: Secrets<'c>) -> Self {
        Self {
            document,
            config,
            secrets,
            namespace: config.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE),
            problems: Problems::default(),
            chains: Vec::new(),
            attributes: Vec::new(),
            read_headers: Vec::new(),
            reads_cookies: false,
            reads_address: false,
            patterns: 0,
            hashes: Vec::new(),
        }
    }

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
            crate::HeaderChange::Set(name, _) | crate::HeaderChange::Add(name, _) => Some(&**name),
            crate::HeaderChange::Remove(_) => None,
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

    #[inline(always)]
    fn error(&mut self, at: Place<'_>, code: Code, expected: &str, found: &str) {
        self.refuse(at, code, said(expected), said(found));
    }

    /// An error in the field `name` of `at`.
    #[inline(always)]
    fn error_in(&mut self, at: &Place<'_>, name: &str, code: Code, expected: &str, found: &str) {
        self.refuse_in(at, name, code, said(expected), said(found));
    }

    #[cold]
    #[cfg_attr(feature = "messages", inline(never))]
    fn refuse_in(&mut self, at: &Place<'_>, name: &str, code: Code, expected: &str, found: &str) {
        self.refuse(at.key(name), code, expected, found);
    }

    #[cold]
    #[cfg_attr(feature = "messages", inline(never))]
    fn refuse(&mut self, at: Place<'_>, code: Code, expected: &str, found: &str) {
        self.problems.push(Problem::error(at.path(), code, expected, found));
    }

    #[inline(always)]
    fn limit(&mut self, at: Place<'_>, what: &str, count: usize, most: usize) {
        if count > most {
            self.error(at, Code::Limit, &prose!("at most {most} {what}"), &prose!("{count}"));
        }
    }

    /// The hash under `salt`. One that is in use already is a warning.
    fn hash(&mut self, at: Place<'_>, salt: &str) -> SaltedHash {
        let hash = SaltedHash::new(salt);
        if !ADVICE {
            return hash;
        }
        match self.hashes.binary_search_by_key(&hash, |(known, _)| *known) {
            Ok(index) => {
                let first = self.hashes.get(index).map(|(_, path)| path.to_string()).unwrap_or_default();
                let found = format!("the salt of {first} again, or one that hashes like it");
                let problem = Problem::error(at.path(), Code::Conflict, "a salt of its own", &found);
                self.problems.push(
                    problem.warning().suggest(|| "splits with one salt depend on each other".to_owned()),
                );
            }
            Err(index) => self.hashes.insert(index, (hash, at.path())),
        }
        hash
    }

    /// The handle of a unit chain; an empty one stands for the document's.
    fn chain(&mut self, at: Place<'_>, sources: &[wire::Source]) -> ChainId {
        if sources.is_empty() {
            return ChainId(0);
        }
        let chain = self.sources(at, sources);
        let index = self.chains.iter().position(|known| *known == chain).unwrap_or_else(|| {
            self.chains.push(chain);
            self.chains.len().saturating_sub(1)
        });
        ChainId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    fn sources(&mut self, at: Place<'_>, sources: &[wire::Source]) -> Box<[Source]> {
        self.limit(at, "sources", sources.len(), MAX_SOURCES);
        let sources = sources.iter().take(MAX_SOURCES).enumerate();
        sources.filter_map(|(i, source)| self.source(at.index(i), source)).collect()
    }

    fn source(&mut self, at: Place<'_>, source: &wire::Source) -> Option<Source> {
        match source {
            wire::Source::Header(name) => self.read_header(at.key("header"), name).map(Source::Header),
            wire::Source::Cookie(name) => self.cookie_name(at.key("cookie"), name).map(Source::Cookie),
            wire::Source::Query(name) => self.text(at.key("query"), name).map(Source::Query),
            wire::Source::JwtClaim(jwt) => {
                let at = at.key("jwt_claim");
                let header = self.read_header(at.key("header"), &jwt.header);
                let claim = self.text(at.key("claim"), &jwt.claim);
                Some(Source::JwtClaim { header: header?, claim: claim? })
            }
            wire::Source::ClientAddress(address) => {
                self.reads_address = true;
                Some(Source::ClientAddress { trusted_hops: address.trusted_hops.unwrap_or(0) })
            }
        }
    }

    fn tokens(&mut self, at: Place<'_>) -> Option<TokenPolicy> {
        let tokens = self.config.qa_tokens.as_ref()?;
        let header = tokens.header.as_ref().and_then(|name| self.read_header(at.key("header"), name));
        let cookie = tokens.cookie.as_ref().and_then(|name| self.cookie_name(at.key("cookie"), name));
        let query = tokens.query.as_ref().and_then(|name| self.text(at.key("query"), name));
        if tokens.header.is_none() && tokens.cookie.is_none() && tokens.query.is_none() {
            self.error(at, Code::MissingField, "at least one of header, cookie, query", "none");
        }
        if !(1..=2).contains(&tokens.keys.len()) {
            let found = prose!("{}", tokens.keys.len());
            self.error_in(&at, "keys", Code::InvalidValue, "one key, or two while rotating", &found);
        }
        let mut keys: Vec<Key> = Vec::new();
        for (index, key) in tokens.keys.iter().take(2).enumerate() {
            let keys_at = at.key("keys");
            let at = keys_at.index(index);
            self.id(at.key("id"), &key.id);
            if keys.iter().any(|known| *known.id == *key.id) {
                self.error_in(
                    &at,
                    "id",
                    Code::DuplicateId,
                    "each key id once",
                    &prose!("`{}` again", key.id),
                );
            }
            if let Some(secret) = self.secret(at.key("secret"), &key.secret, MIN_SECRET) {
                keys.push(Key { id: key.id.as_str().into(), secret: secret.into() });
            }
        }
        Some(TokenPolicy { header, cookie, query, keys: keys.into() })
    }

    /// The name of a header that the config reads.
    fn read_header(&mut self, at: Place<'_>, name: &str) -> Option<Box<str>> {
        let name = self.header_name(at, name)?;
        self.read_headers.push((at.path(), name.clone()));
        Some(name)
    }

    /// Headers that are ours are removed before anything reads the request.
    fn check_read_headers(&mut self, ours: &OurHeaders) {
        for (path, name) in std::mem::take(&mut self.read_headers) {
            if ours.contains(name.as_bytes()) {
                let expected = "a header that is neither x-splitway… nor set by a variant";
                let found = prose!("`{name}`, which is removed from what clients send");
                self.problems.push(Problem::error(path, Code::Conflict, expected, &found));
            }
        }
    }

    fn header_name(&mut self, at: Place<'_>, name: &str) -> Option<Box<str>> {
        if headers::is_name(name) {
            return Some(name.into());
        }
        let found = describe_text(name);
        let problem = Problem::error(at.path(), Code::InvalidValue, "a lower-case header name", &found);
        let mut problem = problem.about(name);
        let lower = name.to_ascii_lowercase();
        if ADVICE && headers::is_name(&lower) {
            problem = problem.suggest(|| format!("write `{lower}`"));
        }
        self.problems.push(problem);
        None
    }
}
