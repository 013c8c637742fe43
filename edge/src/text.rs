//! Header bytes as JavaScript texts, both ways.

/// How a runtime shows header bytes in texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// One character per byte.
    Latin1,
    /// Decoded from UTF-8; what is not UTF-8 comes as U+FFFD.
    Utf8,
}

/// U+FFFD in UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

impl Encoding {
    /// The bytes that a text, given in UTF-8, stands for. A byte that the runtime has lost becomes 0xff, which is not
    /// UTF-8 either: what was no text stays none.
    pub(crate) fn into_bytes(self, text: Vec<u8>) -> Vec<u8> {
        if text.is_ascii() {
            return text;
        }
        match self {
            Self::Latin1 => {
                let text = String::from_utf8_lossy(&text);
                text.chars().map(|c| u8::try_from(c).unwrap_or(u8::MAX)).collect()
            }
            Self::Utf8 => {
                let mut bytes = Vec::with_capacity(text.len());
                let mut rest = text.as_slice();
                while let Some((first, tail)) = rest.split_first() {
                    if let Some(after) = rest.strip_prefix(REPLACEMENT) {
                        bytes.push(u8::MAX);
                        rest = after;
                    } else {
                        bytes.push(*first);
                        rest = tail;
                    }
                }
                bytes
            }
        }
    }

    /// The text that stands for `bytes`, appended to `text`.
    pub(crate) fn push(self, text: &mut String, bytes: &[u8]) {
        match self {
            Self::Latin1 if !bytes.is_ascii() => text.extend(bytes.iter().copied().map(char::from)),
            _ => text.push_str(&String::from_utf8_lossy(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_where_the_runtime_lets_them() {
        for (encoding, text, bytes) in [
            (Encoding::Latin1, "a", &b"a"[..]),
            (Encoding::Latin1, "\u{c3}\u{b6}\u{ff}", b"\xc3\xb6\xff"),
            (Encoding::Utf8, "\u{f6}", b"\xc3\xb6"),
            (Encoding::Utf8, "\u{f6}\u{fffd}a", b"\xc3\xb6\xffa"),
        ] {
            assert_eq!(encoding.into_bytes(text.as_bytes().to_vec()), bytes);
            let mut back = String::new();
            encoding.push(&mut back, bytes);
            assert_eq!(back, text);
        }
    }
}
