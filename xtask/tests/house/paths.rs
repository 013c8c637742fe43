//! Rust source -> the paths in it. Enough of the grammar for sources that rustfmt has seen.

/// What `use` brings in: a path, and the name that it has here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    pub(crate) name: String,
}

/// Code without comments, texts and tests.
pub(crate) fn code(source: &str) -> String {
    let source = match source.find("#[cfg(test)]\nmod tests {") {
        Some(tests) => &source[..tests],
        None => source,
    };
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find(['/', '"', '\'']) {
        let (before, found) = rest.split_at(at);
        code.push_str(before);
        rest = if found.starts_with("//") {
            found.find('\n').map_or("", |end| &found[end..])
        } else if found.starts_with("/*") {
            found.find("*/").map_or("", |end| &found[end + 2..])
        } else if let Some(text) = found.strip_prefix('"') {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let is_raw = before.trim_end_matches('#').ends_with('r');
            code.push(' ');
            if is_raw { after_raw(text, hashes) } else { after_text(text) }
        } else {
            // A character, or a lifetime.
            let mut next = found.chars().skip(1);
            let skipped = match (next.next(), next.next()) {
                (Some('\\'), _) => {
                    found[2..].find('\'').map(|end| end + 3 + usize::from(found[2..].starts_with("''")))
                }
                (Some(c), Some('\'')) => Some(2 + c.len_utf8()),
                _ => None,
            };
            &found[skipped.unwrap_or(1).min(found.len())..]
        };
    }
    code.push_str(rest);
    code
}

fn after_text(text: &str) -> &str {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !is_escaped => return &text[at + 1..],
            _ => is_escaped = c == '\\' && !is_escaped,
        }
    }
    ""
}

fn after_raw(text: &str, hashes: usize) -> &str {
    let end = format!("\"{}", "#".repeat(hashes));
    text.find(&end).map_or("", |at| &text[at + end.len()..])
}

/// All that `use` declarations of `code` bring in, and the code without them.
pub(crate) fn imports(code: &str) -> (Vec<Import>, String) {
    let mut found = Vec::new();
    let mut left = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let is_word =
            rest[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || c == '{' || c == ';');
        left.push_str(&rest[..at]);
        rest = &rest[at + 4..];
        // `use<'a>` and names that end with "use" are none.
        if is_word && let Some(end) = rest.find(';') {
            tree(&rest[..end], &[], &mut found);
            rest = &rest[end..];
        }
    }
    left.push_str(rest);
    (found, left)
}

/// One tree of a `use`: `a::{b, c::{self, D}, e as f}`.
fn tree(text: &str, before: &[String], found: &mut Vec<Import>) {
    let text = text.trim();
    if let Some(at) = text.find('{') {
        let mut path = before.to_vec();
        path.extend(segments(text[..at].trim_end_matches("::").trim()));
        let inside = text[at + 1..].trim_end().trim_end_matches('}');
        let mut depth = 0;
        let parts = inside.split(|c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        // `trim_end_matches` takes inner braces, too, when they come last: `tree` does not need them.
        parts.filter(|part| !part.trim().is_empty()).for_each(|part| tree(part, &path, found));
        return;
    }
    let (path, alias) = text.split_once(" as ").map_or((text, None), |(path, alias)| (path, Some(alias)));
    let mut all = before.to_vec();
    all.extend(segments(path).filter(|segment| segment != "self"));
    let name = alias.map_or_else(|| all.last().cloned().unwrap_or_default(), |alias| alias.trim().to_owned());
    found.push(Import { path: all, name });
}

fn segments(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split("::").map(|segment| segment.trim().to_owned()).filter(|segment| !segment.is_empty())
}

/// The paths of two and more segments in `code`.
pub(crate) fn mentioned(code: &str) -> Vec<Vec<String>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(|c: char| !is_part(c))
        .filter(|word| word.contains("::"))
        .map(|word| segments(word).collect())
        .filter(|path: &Vec<String>| path.len() > 1)
        .collect()
}

#[test]
fn comments_texts_and_tests_are_no_code() {
    let source = "use a::b; // use c::d;\nfn f<'x>() { g(\"use e::f;\", r#\"\"h::i\"#, '\"', '\\'', k::l) }\n\
                  #[cfg(test)]\nmod tests { use m::n; }\n";
    let (imports, left) = imports(&code(source));
    assert_eq!(imports, [Import { path: vec!["a".into(), "b".into()], name: "b".into() }]);
    assert_eq!(mentioned(&left), [["k", "l"]]);
}

#[test]
fn trees_are_followed() {
    let (found, _) = imports("pub use crate::{a::{self, B as C}, d::E};");
    let found: Vec<(String, &str)> =
        found.iter().map(|import| (import.path.join("::"), import.name.as_str())).collect();
    assert_eq!(
        found,
        [("crate::a".to_owned(), "a"), ("crate::a::B".to_owned(), "C"), ("crate::d::E".to_owned(), "E")]
    );
}
