//! Header maps as the ABI writes them into guest memory.
//!
//! A count, then a length pair per entry, then the bytes, each followed by a
//! NUL (specification v0.2.1, section "Serialization"). An empty map is an
//! empty value.

/// Encodes key-value pairs; empty input gives an empty vector, as Envoy does.
pub(crate) fn encode<'a>(
    pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    out: &mut Vec<u8>,
) {
    out.clear();
    if pairs.len() == 0 {
        return;
    }
    push_u32(out, pairs.len());
    for (key, value) in pairs.clone() {
        push_u32(out, key.len());
        push_u32(out, value.len());
    }
    for (key, value) in pairs {
        out.extend_from_slice(key);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
}

/// Decodes a serialized map. `None` when a length leaves the input.
///
/// Envoy checks only the size of the length table and then trusts it; this
/// host checks every entry, because a guest under test may be hostile.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if bytes.len() < 4 {
        return Some(Vec::new());
    }
    let count = read_u32(bytes, 0)?;
    let table = count.checked_mul(8)?.checked_add(4)?;
    if table > bytes.len() {
        return None;
    }
    let mut at = table;
    let mut pairs = Vec::with_capacity(count);
    for entry in 0..count {
        let key = take(bytes, &mut at, read_u32(bytes, 4 + entry * 8)?)?;
        let value = take(bytes, &mut at, read_u32(bytes, 8 + entry * 8)?)?;
        pairs.push((key, value));
    }
    Some(pairs)
}

fn take(bytes: &[u8], at: &mut usize, len: usize) -> Option<Vec<u8>> {
    let end = at.checked_add(len)?;
    let taken = bytes.get(*at..end)?.to_vec();
    *at = end.checked_add(1)?; // the NUL
    Some(taken)
}

fn read_u32(bytes: &[u8], at: usize) -> Option<usize> {
    let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(word)).ok()
}

#[expect(clippy::cast_possible_truncation, reason = "wasm32 maps are below 4 GiB")]
fn push_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u32).to_le_bytes());
}

/// A path as the ABI writes it: parts separated by NUL.
pub(crate) fn path_key<'a>(path: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    path.into_iter().collect::<Vec<_>>().join("\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_the_example_of_the_specification() {
        let mut out = Vec::new();
        let pairs: [(&[u8], &[u8]); 2] = [(b"a", b"1"), (b"b", b"22")];
        encode(pairs.iter().copied(), &mut out);
        assert_eq!(out[..20], [2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(&out[20..], b"a\x001\x00b\x0022\x00");
        assert_eq!(decode(&out), Some(vec![(b"a".into(), b"1".into()), (b"b".into(), b"22".into())]));
    }

    #[test]
    fn refuses_lengths_that_leave_the_input() {
        assert_eq!(decode(&[1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]), None);
        assert_eq!(decode(&[255, 255, 255, 255]), None);
        assert_eq!(decode(&[]), Some(vec![]));
        assert_eq!(decode(&[0]), Some(vec![]));
    }
}
