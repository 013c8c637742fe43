//! Counts in words.

use std::fmt::Display;

/// `1 unit`, `2 units`.
pub(crate) fn counted(count: impl Display, noun: &str) -> String {
    let count = count.to_string();
    let ending = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_singular() {
        assert_eq!(
            [0, 1, 2, 21].map(|count| counted(count, "unit")),
            ["0 units", "1 unit", "2 units", "21 units"]
        );
    }
}
