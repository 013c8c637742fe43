//! Where units and attributes come from.

use splitway_document::{ADVICE, Code, Place, Problem, describe_text, prose};

use super::compiler::Compiler;
use super::limits::MAX_SOURCES;
use crate::ids::ChainId;
use crate::plan::{OurHeaders, headers};
use crate::request::Source;
use crate::wire;

impl Compiler<'_> {
    /// The handle of a unit chain; an empty one stands for the document's.
    pub(super) fn chain(&mut self, at: Place<'_>, sources: &[wire::Source]) -> ChainId {
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

    pub(super) fn sources(&mut self, at: Place<'_>, sources: &[wire::Source]) -> Box<[Source]> {
        self.limit(at, "sources", sources.len(), MAX_SOURCES);
        let sources = sources.iter().take(MAX_SOURCES).enumerate();
        sources.filter_map(|(i, source)| self.source(at.index(i), source)).collect()
    }

    pub(super) fn source(&mut self, at: Place<'_>, source: &wire::Source) -> Option<Source> {
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

    /// The name of a header that the config reads.
    pub(super) fn read_header(&mut self, at: Place<'_>, name: &str) -> Option<Box<str>> {
        let name = self.header_name(at, name)?;
        self.read_headers.push((at.path(), name.clone()));
        Some(name)
    }

    /// Headers that are ours are removed before anything reads the request.
    pub(super) fn check_read_headers(&mut self, ours: &OurHeaders) {
        for (path, name) in std::mem::take(&mut self.read_headers) {
            if ours.contains(name.as_bytes()) {
                let expected = "a header that is neither x-splitway… nor set by a variant";
                let found = prose!("`{name}`, which is removed from what clients send");
                self.problems.push(Problem::error(path, Code::Conflict, expected, &found));
            }
        }
    }

    pub(super) fn header_name(&mut self, at: Place<'_>, name: &str) -> Option<Box<str>> {
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
