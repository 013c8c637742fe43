//! What shared caches must know of a response (RFC 9111).

/// Directives that allow, or are only for, shared caches.
const SHARED: [&[u8]; 4] = [b"public", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"];

/// Response headers that some caches obey before `Cache-Control`, besides all that end in
/// `cdn-cache-control` (RFC 9213: `CDN-Cache-Control`, and each network's own).
const OVERRIDES: [&[u8]; 6] = [
    b"surrogate-control",
    b"x-accel-expires",
    b"edge-control",
    b"akamai-cache-control",
    b"x-litespeed-cache-control",
    b"fastly-cache-control",
];

/// Whether a response header (its name in lower case) is one that some shared caches obey before `Cache-Control`.
#[must_use]
pub fn overrides_cache_control(name: &[u8]) -> bool {
    name.ends_with(b"cdn-cache-control") || OVERRIDES.contains(&name)
}

/// `Cache-Control` for a response that only its client may keep: `existing` (all lines, joined)
/// without what allows sharing, and `private`.
#[must_use]
pub fn private_cache_control(existing: &[u8]) -> Vec<u8> {
    let directives = existing.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|d| !d.is_empty());
    let mut value = Vec::with_capacity(existing.len().saturating_add(9));
    let mut closed = false;
    for directive in directives {
        let name = directive.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
        // With field names (`private="set-cookie"`) it covers those alone.
        let whole = !directive.contains(&b'=');
        closed |= is(b"no-store") || is(b"private") && whole;
        if !SHARED.iter().any(|word| is(word)) {
            if !value.is_empty() {
                value.extend_from_slice(b", ");
            }
            value.extend_from_slice(directive);
        }
    }
    if !closed {
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.extend_from_slice(b"private");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_caches_obey_first() {
        for name in [
            "surrogate-control",
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
            "netlify-cdn-cache-control",
            "vercel-cdn-cache-control",
            "x-accel-expires",
            "edge-control",
        ] {
            assert!(overrides_cache_control(name.as_bytes()), "{name}");
        }
        for name in ["cache-control", "expires", "vary", "x-accel-redirect"] {
            assert!(!overrides_cache_control(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn nothing_shared_is_left() {
        for (existing, expected) in [
            ("", "private"),
            ("public, max-age=60", "max-age=60, private"),
            ("S-MaxAge=9 ,max-age=60", "max-age=60, private"),
            ("no-store", "no-store"),
            ("Private, max-age=1", "Private, max-age=1"),
            ("private=\"set-cookie\", max-age=1", "private=\"set-cookie\", max-age=1, private"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&private_cache_control(existing.as_bytes())),
                expected,
                "{existing}"
            );
        }
    }
}
