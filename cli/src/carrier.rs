//! Unit ids -> requests that carry them.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use splitway_engine::{RequestView, Source};

/// Builds a request that carries one id in each of some sources, and nothing
/// else but what [`Carrier::with_others`] adds.
pub(crate) struct Carrier<'s> {
    sources: Vec<&'s Source>,
    /// The path without the id.
    path: Vec<u8>,
    /// What every request has besides.
    others: Vec<(String, String)>,
    /// Name and value; the first is `:path`.
    headers: Vec<(&'s str, Vec<u8>)>,
}

impl<'s> Carrier<'s> {
    pub(crate) fn new(sources: impl IntoIterator<Item = &'s Source>) -> Self {
        let mut carrier = Self {
            sources: Vec::new(),
            path: b"/".to_vec(),
            others: Vec::new(),
            headers: vec![(":path", Vec::new())],
        };
        for source in sources {
            if !carrier.sources.contains(&source) {
                carrier.sources.push(source);
            }
        }
        carrier
    }

    /// Lets every request have these headers, `:path` among them, besides the id.
    pub(crate) fn with_others(mut self, headers: Vec<(String, String)>) -> Self {
        for (name, value) in headers {
            if name == ":path" {
                self.path = value.into_bytes();
            } else {
                self.others.push((name, value));
            }
        }
        self
    }

    /// Hands `use_request` the request that carries `id`; `None` if a source
    /// cannot carry it as it is: no request has that unit.
    pub(crate) fn with<T>(&mut self, id: &str, use_request: impl FnOnce(&RequestView<'_>) -> T) -> Option<T> {
        self.fill(id);
        let pairs: Vec<(&[u8], &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .chain(self.others.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
            .collect();
        let request = RequestView::new(&pairs);
        let is_carried = self.sources.iter().all(|source| source.read(&request).as_deref() == Some(id));
        is_carried.then(|| use_request(&request))
    }

    /// The path and the headers of the request that carries `id`.
    #[cfg(feature = "host")]
    pub(crate) fn request(&mut self, id: &str) -> (&[u8], &[(&'s str, Vec<u8>)]) {
        self.fill(id);
        match self.headers.split_first() {
            Some(((_, path), headers)) => (path, headers),
            None => (b"/", &[]),
        }
    }

    fn fill(&mut self, id: &str) {
        let mut used = 1;
        let headers = &mut self.headers;
        headers[0].1.clone_from(&self.path);
        for source in &self.sources {
            let name: &'s str = match source {
                Source::Query(name) => {
                    let path = &mut headers[0].1;
                    path.push(if path.contains(&b'?') { b'&' } else { b'?' });
                    percent_encode(name, path);
                    path.push(b'=');
                    percent_encode(id, path);
                    continue;
                }
                Source::Header(name) => name,
                Source::Cookie(_) | Source::Minted(_) => "cookie",
                Source::JwtClaim { header, .. } => header,
                Source::ClientAddress { .. } => "x-forwarded-for",
            };
            if headers.len() == used {
                headers.push((name, Vec::new()));
            }
            let (slot, value) = &mut headers[used];
            *slot = name;
            value.clear();
            match source {
                Source::Cookie(cookie) => {
                    value.extend_from_slice(cookie.as_bytes());
                    value.push(b'=');
                    value.extend_from_slice(id.as_bytes());
                }
                Source::Minted(cookie) => {
                    // Any day of issue will do.
                    value.extend_from_slice(format!("{cookie}={id}.0").as_bytes());
                }
                Source::JwtClaim { claim, .. } => {
                    let payload = serde_json::json!({ &**claim: id }).to_string();
                    value.extend_from_slice(Base64UrlUnpadded::encode_string(payload.as_bytes()).as_bytes());
                }
                Source::ClientAddress { trusted_hops } => {
                    value.extend_from_slice(id.as_bytes());
                    value.extend_from_slice(", 0.0.0.0".repeat(usize::from(*trusted_hops)).as_bytes());
                }
                Source::Header(_) | Source::Query(_) => value.extend_from_slice(id.as_bytes()),
            }
            used += 1;
        }
    }
}

fn percent_encode(text: &str, into: &mut Vec<u8>) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(byte);
        } else {
            into.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}
