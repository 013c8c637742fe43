//! Whether a secret is one: not published, not a placeholder, not easily guessed.
//!
//! A heuristic that refuses what is certainly bad. It cannot show that a secret is good: entropy is a
//! property of how a text was made, and not of the text.

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// It is in this repository's documentation, examples or tests.
    Published,
    /// Somebody was to replace it.
    Placeholder,
    /// It repeats, counts up, or has few different characters.
    Guessable,
}

/// The secrets of documentation, examples and scenarios. A test looks for those that are missing here.
const PUBLISHED: [&str; 9] = [
    "0123456789abcdef",
    "0123456789abcdef0123456789abcdef",
    "0123456789abcdef-provisional",
    "a-key-of-the-tests-only",
    "a-secret-of-your-own",
    "an-old-secret-of-at-least-32-characters",
    "a-new-secret-of-at-least-32-characters!",
    "fedcba9876543210fedcba9876543210",
    "not-a-secret-change-me",
];

/// Words of placeholders, in lower case. Longer than what random text is likely to contain.
const PLACEHOLDERS: [&str; 10] = [
    "change",
    "example",
    "placeholder",
    "password",
    "replace",
    "sample",
    "secret",
    "splitway",
    "your-own",
    "random",
];

/// Least bits, as [`bits`] counts them: 16 random hexadecimal digits have some 50, fewer than 32 once in 10,000 times.
const LEAST_BITS: f64 = 32.0;

/// What is wrong with `secret`, if anything.
pub(crate) fn weakness(secret: &[u8]) -> Option<Weakness> {
    if PUBLISHED.iter().any(|known| known.as_bytes() == secret) {
        return Some(Weakness::Published);
    }
    let lower = secret.to_ascii_lowercase();
    let contains = |word: &str| lower.windows(word.len()).any(|part| part == word.as_bytes());
    if PLACEHOLDERS.iter().any(|word| contains(word)) {
        return Some(Weakness::Placeholder);
    }
    (bits(secret) < LEAST_BITS).then_some(Weakness::Guessable)
}

/// Shannon's entropy of the frequencies of `secret`'s bytes times their number. Bytes that go on with a run
/// (`aaa`, `abc`, `321`) are left out, and what repeats as a whole counts once.
fn bits(secret: &[u8]) -> f64 {
    let halves = 1..=secret.len() / 2;
    let repeats = |period: &usize| secret.iter().zip(secret.iter().skip(*period)).all(|(a, b)| a == b);
    let once = secret.get(..halves.into_iter().find(repeats).unwrap_or(secret.len())).unwrap_or(secret);
    let step = |a: u8, b: u8| i16::from(b).saturating_sub(i16::from(a));
    let goes_on = |three: &[u8]| match three {
        [a, b, c] => step(*a, *b) == step(*b, *c) && step(*a, *b).abs() <= 1,
        _ => false,
    };
    let runs = once.windows(3).map(goes_on);
    let fresh = once.iter().zip([false, false].into_iter().chain(runs)).filter(|(_, goes_on)| !goes_on);
    let mut counts = [0_u32; 256];
    for (byte, _) in fresh {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let counted = || counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count));
    let all: f64 = counted().sum();
    counted().map(|count| count * (all / count).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_are_secrets() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 33
            };
            let text: String = (0..32).map(|_| format!("{:x}", random() % 16)).collect();
            assert_eq!(weakness(text.as_bytes()), None, "{text}");
        }
        for good in ["vX9w4k2Tq8ZrL1mB", "c29tZSByYW5kb20gYnl0ZXM", "correct horse battery staple"] {
            assert_eq!(weakness(good.as_bytes()), None, "{good}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for (text, expected) in [
            ("not-a-secret-change-me", Weakness::Published),
            ("My-Own-Secret-2026", Weakness::Placeholder),
            ("CHANGEME-changeme", Weakness::Placeholder),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Weakness::Guessable),
            ("abababababababababababababababab", Weakness::Guessable),
            ("abcdefghijklmnopqrstuvwxyz", Weakness::Guessable),
            ("1234567890123456", Weakness::Guessable),
            ("0123456789abcdef0123456789abcdee", Weakness::Guessable),
            ("qwerty", Weakness::Guessable),
            ("", Weakness::Guessable),
        ] {
            assert_eq!(weakness(text.as_bytes()), Some(expected), "{text}");
        }
    }
}
