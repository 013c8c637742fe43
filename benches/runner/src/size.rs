//! What takes the bytes of the module.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// Bytes by section and, of the code, by crate. The module must have names.
///
/// A function counts for the crate that wrote it; one that was inlined, for the crate of its
/// caller. A generic function of the standard library with our types in it counts for the library.
pub(super) fn breakdown(module: &[u8]) -> Result<String> {
    let mut sections: BTreeMap<&str, u64> = BTreeMap::new();
    let mut bodies = Vec::new();
    let mut names = BTreeMap::new();
    let mut next = 0_u32;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Some((_, range)) = payload.as_section()
            && !matches!(payload, Payload::CustomSection(_))
        {
            *sections.entry(title(&payload)).or_default() += range.end - range.start;
        }
        match payload {
            Payload::ImportSection(imports) => {
                next = u32::try_from(imports.into_imports().count())?;
            }
            Payload::CodeSectionEntry(body) => {
                bodies.push((next, u64::try_from(body.as_bytes().len())?));
                next += 1;
            }
            Payload::CustomSection(custom) => {
                let KnownCustom::Name(subsections) = custom.as_known() else { continue };
                for subsection in subsections {
                    if let Name::Function(functions) = subsection? {
                        for function in functions {
                            let function = function?;
                            names.insert(function.index, demangled(function.name));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let named = |index: &u32| names.get(index).map_or("?", String::as_str);
    let mut crates: BTreeMap<String, u64> = BTreeMap::new();
    for (index, bytes) in &bodies {
        *crates.entry(crate_of(named(index))).or_default() += bytes;
    }
    let mut text = String::from("\n## Size\n\n| section | bytes |\n|---|--:|\n");
    rows(&mut text, sections.iter().map(|(name, bytes)| (*name, *bytes)), usize::MAX);
    text.push_str("\n| crate | bytes of code |\n|---|--:|\n");
    rows(&mut text, crates.iter().map(|(name, bytes)| (name.as_str(), *bytes)), 20);
    text.push_str("\n| largest functions | bytes |\n|---|--:|\n");
    rows(&mut text, bodies.iter().map(|(index, bytes)| (named(index), *bytes)), 15);
    Ok(text)
}

fn rows<'a>(text: &mut String, rows: impl Iterator<Item = (&'a str, u64)>, most: usize) {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(name, bytes)| (std::cmp::Reverse(*bytes), *name));
    for (name, bytes) in rows.into_iter().take(most) {
        let _ = writeln!(text, "| `{name}` | {bytes} |");
    }
}

fn title(payload: &Payload<'_>) -> &'static str {
    match payload {
        Payload::CodeSectionStart { .. } => "code",
        Payload::DataSection(_) => "data",
        Payload::ElementSection(_) => "elements",
        Payload::FunctionSection(_) => "functions",
        Payload::TypeSection(_) => "types",
        Payload::ImportSection(_) => "imports",
        Payload::ExportSection(_) => "exports",
        _ => "others",
    }
}

fn demangled(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// The first path of a name: `<alloc::vec::Vec<T> as engine::Read>::read` is `alloc`'s, as is
/// `core::ptr::drop_in_place<…>` of `core`; entry points have no path and are the filter's.
fn crate_of(name: &str) -> String {
    let path = name.trim_start_matches(['<', '&', '[', '*']);
    match path.split_once("::") {
        Some((first, _)) if first.chars().all(|c| c.is_alphanumeric() || c == '_') => first.to_owned(),
        // `<T as engine::Read>::read`.
        _ => match path.split_once(" as ").and_then(|(_, rest)| rest.split_once("::")) {
            Some((first, _)) => first.to_owned(),
            None if name.starts_with("proxy_on_") => "splitway_filter".to_owned(),
            None => "others".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_names() {
        for (name, expected) in [
            ("splitway_engine::compile::compile", "splitway_engine"),
            ("<alloc::vec::Vec<T> as splitway_engine::document::read::Read>::read", "alloc"),
            ("<T as base64ct::Encoding>::decode_vec", "base64ct"),
            ("proxy_on_log", "splitway_filter"),
            ("malloc", "others"),
        ] {
            assert_eq!(crate_of(name), expected, "{name}");
        }
    }

    #[test]
    fn every_byte_of_code_is_somebodys() {
        let module = wat::parse_str(
            "(module (import \"env\" \"f\" (func)) (func $a::b) (func $a::c (drop (i32.const 1))) (func $d::e))",
        )
        .expect("valid WAT");
        let text = breakdown(&module).expect("read");
        // An empty body has 2 bytes: no locals, end.
        for row in ["| `a` | 7 |", "| `d` | 2 |", "| `a::c` | 5 |"] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }
}
