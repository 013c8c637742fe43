//! A config on its way to a plan: what is known so far, and what is wrong with it.

use splitway_document::{ADVICE, Code, Document, Path, Place, Problem, Problems, prose, said};

use super::lookup::Secrets;
use crate::bucketing::SaltedHash;
use crate::plan::DEFAULT_NAMESPACE;
use crate::request::Source;
use crate::wire;

pub(super) struct Compiler<'c> {
    pub(super) document: &'c Document,
    pub(super) config: &'c wire::Config,
    pub(super) secrets: Secrets<'c>,
    pub(super) namespace: &'c str,
    pub(super) problems: Problems,
    /// Unit chains, the document's first; equal ones once.
    pub(super) chains: Vec<Box<[Source]>>,
    pub(super) attributes: Vec<(&'c str, Source)>,
    /// Headers that the config reads, and where.
    pub(super) read_headers: Vec<(Path, Box<str>)>,
    /// The config reads a cookie.
    pub(super) reads_cookies: bool,
    /// The config reads the client's address.
    pub(super) reads_address: bool,
    /// Globs and regular expressions so far.
    pub(super) patterns: usize,
    /// Every salted hash, in order of its seed, and who uses it: equal ones make
    /// splits depend on each other.
    pub(super) hashes: Vec<(SaltedHash, Path)>,
}

impl<'c> Compiler<'c> {
    pub(super) fn new(document: &'c Document, config: &'c wire::Config, secrets: Secrets<'c>) -> Self {
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

    #[inline(always)]
    pub(super) fn error(&mut self, at: Place<'_>, code: Code, expected: &str, found: &str) {
        self.refuse(at, code, said(expected), said(found));
    }

    /// An error in the field `name` of `at`.
    #[inline(always)]
    pub(super) fn error_in(&mut self, at: &Place<'_>, name: &str, code: Code, expected: &str, found: &str) {
        self.refuse_in(at, name, code, said(expected), said(found));
    }

    #[cold]
    #[cfg_attr(feature = "messages", inline(never))]
    pub(super) fn refuse_in(&mut self, at: &Place<'_>, name: &str, code: Code, expected: &str, found: &str) {
        self.refuse(at.key(name), code, expected, found);
    }

    #[cold]
    #[cfg_attr(feature = "messages", inline(never))]
    pub(super) fn refuse(&mut self, at: Place<'_>, code: Code, expected: &str, found: &str) {
        self.problems.push(Problem::error(at.path(), code, expected, found));
    }

    #[inline(always)]
    pub(super) fn limit(&mut self, at: Place<'_>, what: &str, count: usize, most: usize) {
        if count > most {
            self.error(at, Code::Limit, &prose!("at most {most} {what}"), &prose!("{count}"));
        }
    }

    /// The hash under `salt`. One that is in use already is a warning.
    pub(super) fn hash(&mut self, at: Place<'_>, salt: &str) -> SaltedHash {
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
}
