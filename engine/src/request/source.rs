//! Where a unit or an attribute comes from, ready to be read.

use std::borrow::Cow;
use std::fmt;

use super::minted::MintedCookie;
use super::text::usable;
use super::view::RequestView;

/// A place in a request that yields a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A header, by its lower-case name.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
    /// A query parameter.
    Query(Box<str>),
    /// A claim of the JWT payload in a header.
    JwtClaim {
        /// The header's lower-case name.
        header: Box<str>,
        /// The claim.
        claim: Box<str>,
    },
    /// The client's address.
    ClientAddress {
        /// Proxies in front of this one.
        trusted_hops: u8,
    },
    /// The id in the cookie that Splitway mints.
    Minted(Box<str>),
}

impl Source {
    /// The value in `request`: UTF-8, not empty, at most
    /// [`crate::MAX_VALUE`] bytes. Anything else is absent.
    #[must_use]
    #[inline]
    pub fn read<'a>(&self, request: &RequestView<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Header(name) => request.header_text(name).map(Cow::Borrowed),
            Self::Cookie(name) => request.cookie(name).map(Cow::Borrowed),
            _ => self.derived(request),
        }
    }

    /// [`Self::read`] of what is not simply there: apart, so that the common two can be inlined.
    #[inline(never)]
    fn derived<'a>(&self, request: &RequestView<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Header(_) | Self::Cookie(_) => None,
            Self::Query(name) => request.query(name).filter(|value| usable(value.as_bytes()).is_some()),
            Self::JwtClaim { header, claim } => request
                .jwt_claim(header, claim)
                .filter(|value| usable(value.as_bytes()).is_some())
                .map(Cow::Owned),
            Self::ClientAddress { trusted_hops } => {
                request.client_address(*trusted_hops).map(|address| Cow::Owned(address.to_string()))
            }
            Self::Minted(cookie) => {
                MintedCookie::parse(request.cookie(cookie)?).map(|minted| Cow::Borrowed(minted.id))
            }
        }
    }
}

impl Source {
    /// The kind of place, as it is written in a config; `minted` for Splitway's own
    /// cookie.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::Cookie(_) => "cookie",
            Self::Query(_) => "query",
            Self::JwtClaim { .. } => "jwt_claim",
            Self::ClientAddress { .. } => "client_address",
            Self::Minted(_) => "minted",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Header(name) | Self::Cookie(name) | Self::Query(name) | Self::Minted(name) => {
                write!(f, "{kind}:{name}")
            }
            Self::JwtClaim { header, claim } => write!(f, "{kind}:{header}/{claim}"),
            Self::ClientAddress { trusted_hops } => write!(f, "{kind}:{trusted_hops}"),
        }
    }
}
