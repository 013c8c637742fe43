//! Who sent the request: the client's address, and what a verified token says.

use std::net::IpAddr;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use splitway_document::{Document, Value};

use super::text::usable;
use super::view::{RequestView, spend};

/// Bytes of JWT payloads, as headers have them, that are read of one request, all together.
const MAX_JWT: usize = 8 * 1024;

impl<'a> RequestView<'a> {
    /// The client's address: the entry of `x-forwarded-for` that `trusted_hops`
    /// proxies in front of this one left behind, counted from the right. A port behind it is not looked at; an
    /// IPv4-mapped IPv6 address is the IPv4 one.
    #[must_use]
    pub fn client_address(&self, trusted_hops: u8) -> Option<IpAddr> {
        let lines = self.headers.iter().rev().filter(|(n, _)| *n == b"x-forwarded-for");
        let mut entries = lines.flat_map(|(_, line)| line.rsplit(|b| *b == b','));
        let text = std::str::from_utf8(entries.nth(usize::from(trusted_hops))?.trim_ascii()).ok()?;
        let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
        let bare = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => {
                let good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
                good.then_some(address)?
            }
            None => match text.split_once(':') {
                Some((address, port)) if is_port(port) && address.contains('.') => address,
                _ => text,
            },
        };
        bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    }

    /// The claim `claim` (a string or a whole number) of the base64url JSON in
    /// the header `header`: of its first value that has it. The proxy has verified it, or it means nothing.
    #[must_use]
    pub fn jwt_claim(&self, header: &str, claim: &str) -> Option<String> {
        let mut asked = self.claims.borrow_mut();
        if let Some((.., known)) = asked.iter().find(|(of, name, _)| of == header && name == claim) {
            return known.clone();
        }
        let value = self.header_values(header).find_map(|value| self.claim(value.trim_ascii(), claim));
        asked.push((header.to_owned(), claim.to_owned(), value.clone()));
        value
    }

    fn claim(&self, payload: &'a [u8], claim: &str) -> Option<String> {
        let mut read = self.jwts.borrow_mut();
        let known = read.iter().position(|(value, _)| std::ptr::eq(*value, payload));
        let known = known.unwrap_or_else(|| {
            let may = spend(&self.decoded, payload.len(), MAX_JWT);
            read.push((payload, if may { claims(payload) } else { None }));
            read.len().saturating_sub(1)
        });
        match read.get(known)?.1.as_ref()?.field(claim)? {
            Value::Text(text) if usable(text.as_bytes()).is_some() => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

fn claims(payload: &[u8]) -> Option<Document> {
    let unpadded = payload.strip_suffix(b"==").or_else(|| payload.strip_suffix(b"="));
    let json = Base64UrlUnpadded::decode_vec(std::str::from_utf8(unpadded.unwrap_or(payload)).ok()?).ok()?;
    Document::from_json(&json).ok()
}
