//! Text in requests: what is usable of it, escapes, pieces.

use std::borrow::Cow;

/// Longest value of a cookie, header or parameter that is looked at, in bytes.
pub const MAX_VALUE: usize = 4096;
/// Most query parameters that are looked at.
pub(crate) const MAX_PARAMETERS: usize = 1_500;

/// What is before the first semicolon, and what is after it. Looks at eight bytes at a time: cookies are
/// the longest text that every request has searched.
pub(crate) fn split_at_semicolon(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let cut = |at: usize| (line.get(..at).unwrap_or_default(), line.get(at.wrapping_add(1)..));
    for (index, word) in line.as_chunks::<8>().0.iter().enumerate() {
        if let Some(at) = semicolon(*word) {
            return cut(index.wrapping_mul(8).wrapping_add(at));
        }
    }
    if line.len().is_multiple_of(8) {
        return (line, None);
    }
    // The last eight bytes, of which the first were looked at already.
    let found = match line.last_chunk::<8>() {
        Some(word) => semicolon(*word).map(|at| line.len().wrapping_sub(8).wrapping_add(at)),
        None => line.iter().position(|byte| *byte == b';'),
    };
    found.map_or((line, None), cut)
}

/// The place of the first semicolon of a word (Mycroft's test for a zero byte).
#[inline(always)]
fn semicolon(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const SEMICOLONS: u64 = ONES.wrapping_mul(b';' as u64);
    let zero_if_found = u64::from_le_bytes(word) ^ SEMICOLONS;
    // The lowest bit set is that of the first zero byte; higher ones may be wrong.
    let found = zero_if_found.wrapping_sub(ONES) & !zero_if_found & ONES.wrapping_shl(7);
    (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
}

/// Names are short, and a call to compare them takes longer than they do.
#[inline(always)]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b)
}

/// What follows on `name` and `=`, if `pair` begins so.
#[inline(always)]
pub(super) fn after_name<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = pair.split_at_checked(name.len())?;
    if same(found, name) { rest.trim_ascii_start().strip_prefix(b"=") } else { None }
}

/// A value that can identify a unit: UTF-8, not empty, not overlong.
pub(crate) fn usable(value: &[u8]) -> Option<&str> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > MAX_VALUE {
        return None;
    }
    std::str::from_utf8(value).ok()
}

/// Percent-decoding, borrowed when there is nothing to decode. `None` for what
/// is not UTF-8 afterwards, or overlong.
pub(super) fn percent_decoded(raw: &[u8]) -> Option<Cow<'_, str>> {
    if raw.len() > MAX_VALUE {
        return None;
    }
    if !raw.iter().any(|b| matches!(b, b'%' | b'+')) {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    }
    String::from_utf8(form_decoded(raw).collect()).ok().map(Cow::Owned)
}

/// The bytes of `raw` by form decoding.
pub(crate) fn form_decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    escapes(raw).map(|(byte, escaped)| if byte == b'+' && !escaped { b' ' } else { byte })
}

/// Percent-escapes decoded; what only looks like one stays.
pub(crate) fn decoded(raw: &[u8]) -> Vec<u8> {
    escapes(raw).map(|(byte, _)| byte).collect()
}

/// Each byte with its percent-escape decoded, and whether it was escaped.
pub(crate) fn escapes(raw: &[u8]) -> impl Iterator<Item = (u8, bool)> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        let escape = if *first == b'%' { tail.split_first_chunk::<2>() } else { None };
        let escape = escape.and_then(|(hex, after)| hex_byte(*hex).map(|byte| (byte, after)));
        rest = escape.map_or(tail, |(_, after)| after);
        Some(escape.map_or((*first, false), |(byte, _)| (byte, true)))
    })
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)?.wrapping_shl(4) | digit(low)?)
}
