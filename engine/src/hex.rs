//! Bytes as hexadecimal digits.

/// The first `bytes` of `digest` in lower-case hex.
pub(crate) fn hex(digest: &[u8], bytes: usize) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let mut text = String::with_capacity(bytes.saturating_mul(2));
    for byte in digest.iter().take(bytes) {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}
