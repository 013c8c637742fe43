//! The form in which targeting compares paths and hosts, so that another spelling of one URL neither
//! evades nor forces an experiment.

use std::borrow::Cow;

use super::text::escapes;

/// The path (without query and fragment) with `.` and `..` resolved, runs of slashes made one, `\` taken for `/`,
/// escapes of unreserved characters decoded and other escapes in upper case. Borrowed if it is so already.
pub(crate) fn path(path: &[u8]) -> Cow<'_, [u8]> {
    if is_normal(path) { Cow::Borrowed(path) } else { Cow::Owned(normalised(path)) }
}

fn is_normal(path: &[u8]) -> bool {
    let mut before = 0;
    path.iter().all(|byte| {
        let odd = matches!(byte, b'%' | b'\\') || before == b'/' && matches!(byte, b'/' | b'.');
        before = *byte;
        !odd
    })
}

#[inline(never)]
fn normalised(path: &[u8]) -> Vec<u8> {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let mut normal: Vec<u8> = Vec::with_capacity(path.len());
    for (byte, escaped) in escapes(path) {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match byte {
            b'/' | b'\\' if !escaped => {
                close_segment(&mut normal);
                if normal.last() != Some(&b'/') {
                    normal.push(b'/');
                }
            }
            _ if escaped && !unreserved => {
                let digit = |value: u8| HEX.get(usize::from(value & 15)).copied().unwrap_or(b'0');
                normal.extend([b'%', digit(byte >> 4), digit(byte)]);
            }
            _ => normal.push(byte),
        }
    }
    close_segment(&mut normal);
    normal
}

/// Resolves the last segment if it is `.` or `..`; the slash before it stays.
fn close_segment(normal: &mut Vec<u8>) {
    let parent = |end: &[u8]| {
        let inside = end.strip_suffix(b"/").unwrap_or(end);
        inside.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash.saturating_add(1))
    };
    if normal.ends_with(b"/.") {
        normal.pop();
    } else if let Some(before) = normal.strip_suffix(b"..").filter(|before| before.ends_with(b"/")) {
        let end = parent(before).max(1);
        normal.truncate(end);
    }
}

/// The host of an authority: without user information, port and a trailing dot.
#[inline]
pub(crate) fn host(authority: &[u8]) -> &[u8] {
    let start = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at.saturating_add(1));
    let host = authority.get(start..).unwrap_or_default();
    let end = match host.iter().position(|byte| *byte == b']') {
        Some(bracket) => bracket.saturating_add(1),
        None => host.iter().position(|byte| *byte == b':').unwrap_or(host.len()),
    };
    let host = host.get(..end).unwrap_or_default();
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_has_one_form() {
        for (sent, normal) in [
            ("/checkout", "/checkout"),
            ("//checkout", "/checkout"),
            ("/%63heckout", "/checkout"),
            ("/x/../checkout", "/checkout"),
            ("/checkout/../admin", "/admin"),
            ("/checkout/%2e%2E/admin", "/admin"),
            ("/./checkout/.", "/checkout/"),
            ("/checkout/..", "/"),
            ("/checkout/a/..", "/checkout/"),
            ("/../../checkout", "/checkout"),
            ("/..", "/"),
            ("/a//..//b", "/b"),
            ("\\checkout\\a", "/checkout/a"),
            ("/a%2fb%c3%a9%zz", "/a%2Fb%C3%A9%zz"),
            ("/.well-known/...", "/.well-known/..."),
            ("/a.b/..c", "/a.b/..c"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&path(sent.as_bytes())), normal, "{sent}");
            assert_eq!(path(normal.as_bytes()), normal.as_bytes(), "{normal}");
        }
    }
}
