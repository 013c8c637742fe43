//! Texts in problems: quoted, shortened, nearest to what was meant.

/// Whether problems say in words what was expected and what was found. Without, they have place and code: for the
/// edge, which is fetched often and whose configs `splitway validate` has seen.
pub const MESSAGES: bool = cfg!(feature = "messages");

/// Whether problems come with advice, as in the tools; the filter has no room for it.
pub const ADVICE: bool = cfg!(feature = "advice");

/// `format!` for texts that only messages contain: an empty text in a build without messages.
#[macro_export]
macro_rules! prose {
    ($($text:tt)*) => {
        if $crate::MESSAGES { format!($($text)*) } else { String::new() }
    };
}

pub(crate) use prose;

/// `text`, or nothing in a build without messages. It and its callers are inlined, so that such a build contains no
/// message strings.
#[inline(always)]
#[must_use]
pub fn said(text: &str) -> &str {
    if MESSAGES { text } else { "" }
}

/// A number, with up to four decimals. (The standard library's formatting of
/// floats would cost the filter 15 kB.)
#[must_use]
pub fn describe_number(number: f64) -> String {
    if !MESSAGES {
        return String::new();
    }
    let scaled = (number.abs() * 10_000.0).round();
    if !number.is_finite() || scaled >= 1e18 {
        return if number < 0.0 { "a number far below 0" } else { "a number beyond all limits" }.to_owned();
    }
    let scaled = scaled as u64;
    let sign = if number < 0.0 { "-" } else { "" };
    let text = format!("{sign}{}.{:04}", scaled / 10_000, scaled % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A quoted, shortened piece of text from a document.
#[must_use]
pub fn describe_text(text: &str) -> String {
    if !MESSAGES {
        return String::new();
    }
    let mut shown = String::new();
    for c in text.chars().take(60) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The nearest of `candidates` to a misspelt `word`, when it is near enough to
/// be what was meant (edit distance at most a third of its length, at least 1).
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over characters, `-` and `_` counted as the same.
fn edit_distance(a: &str, b: &str) -> usize {
    let fold = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    let b: Vec<char> = b.chars().map(fold).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().map(fold).enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        for (cb, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(ca != *cb));
            diagonal = *above;
            left = replaced.min(diagonal.saturating_add(1)).min(left.saturating_add(1));
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_near_words() {
        assert_eq!(did_you_mean("wieght", ["id", "weight"]), Some("weight"));
        assert_eq!(did_you_mean("replace-prefix", ["replace_prefix"]), Some("replace_prefix"));
        assert_eq!(did_you_mean("zzz", ["id", "weight"]), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
