//! Takes the standard library's panic machinery out of a linked module.
//!
//! The filter does not panic (lints forbid what could), yet the library keeps all it takes to print
//! a panic to a terminal: formatting of the message, hooks, backtraces, a lock on standard error.
//! Rust's stable way to leave that out does not exist (`panic = "immediate-abort"` needs nightly and
//! a standard library of one's own), so the functions are replaced where they have names still:
//! after linking, before wasm-opt, which then drops what only they used. What is lost is the text
//! of a panic; its place is still logged, by the filter's own [`REPORT`].

use anyhow::{Context as _, Result, bail};
use wasm_encoder::{CodeSection, Function, Module, RawSection};
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

use crate::unused::Unused;

/// The export of the filter that is told where it panicked: a `Location`, or null.
const REPORT: &str = "splitway_panicked";

/// By parts of symbols, which no mangling changes. Their last parameter is the `Location` of the
/// caller.
const LOCATED: [&str; 6] = [
    "9panicking9panic_fmt",
    "9panicking19assert_failed_inner",
    "3str16slice_error_fail",
    "3str19slice_error_fail_rt",
    "5index16slice_index_fail",
    "6result13unwrap_failed",
];

/// Others like them, which a module may do without; they would only make a text for the above.
const MORE_LOCATED: [&str; 5] = [
    "9panicking5panic",
    "9panicking18panic_bounds_check",
    "6option13expect_failed",
    "6option13unwrap_failed",
    "17len_mismatch_fail",
];

/// These have none.
const BARE: [&str; 3] = ["5alloc8rust_oom", "9panicking15panic_with_hook", "17rust_begin_unwind"];

/// What only those used, by parts of symbols. Tables of functions keep it, so it would stay. `Debug` is for messages
/// of panics and for people: a test sees to it that no text of the engine's or the filter's is made by it.
const UNUSED: [&str; 8] = [
    "5Debug3fmt",
    "core..fmt..Debug$GT$3fmt",
    "3std9panicking",
    "3std3sys9backtrace",
    "3std2io17default_write_fmt",
    "3sys5stdio",
    "4wasi13lib_generated",
    "5panic8location8Location",
];

/// Whether a character is of an alphabet or a digit of one: tables of 3 kB. The engine asks for it in the names of a
/// pattern's groups alone, and refuses those beyond ASCII before.
const FALSE: [&str; 2] = ["12unicode_data10alphabetic11lookup_slow", "12unicode_data1n11lookup_slow"];

/// `module` with other bodies for those functions, without what only they used, and without the linker's notes.
///
/// `places`: the places of panics go, too, and are given as lines of an address and what is there.
pub(crate) fn cut(module: &[u8], places: bool) -> Result<(Vec<u8>, String)> {
    let known = Known::read(module)?;
    let report = known.report.with_context(|| format!("the filter exports no `{REPORT}`"))?;
    let mut cut = Module::new();
    let mut code = CodeSection::new();
    let is_replaced = |function| {
        known.replacement(function).is_some()
            || known.is_named(function, &UNUSED)
            || known.is_named(function, &FALSE)
    };
    let unused = Unused::of(module, is_replaced, places)?;
    let mut next = known.imported;
    let mut seen = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CodeSectionEntry(body) = &payload {
            match known.replacement(next) {
                Some((part, location)) => {
                    seen.push(part);
                    code.function(&reporting(report, location));
                }
                None if known.is_named(next, &FALSE) => {
                    let mut no = Function::new([]);
                    no.instructions().i32_const(0).end();
                    code.function(&no);
                }
                None if unused.has(next) || known.is_named(next, &UNUSED) => {
                    let mut trap = Function::new([]);
                    trap.instructions().unreachable().end();
                    code.function(&trap);
                }
                None => {
                    code.raw(body.as_bytes());
                }
            }
            next += 1;
            if next == known.imported + known.defined() {
                cut.section(&code);
            }
        } else if let Some((id, range)) = payload.as_section() {
            let data = module.get(usize::try_from(range.start)?..usize::try_from(range.end)?);
            let data = data.context("a section beyond the end")?;
            match &payload {
                // The code section's header; its bodies come one by one.
                Payload::CodeSectionStart { .. } => {}
                Payload::CustomSection(custom) if is_linkers(custom.name()) => {}
                Payload::DataSection(_) => {
                    cut.section(&RawSection { id, data: &unused.clear(data) });
                }
                _ => {
                    cut.section(&RawSection { id, data });
                }
            }
        }
    }
    // Rust renames its insides now and then; then this list has to follow.
    let Some(missing) = LOCATED.iter().chain(&BARE).find(|part| !seen.contains(part)) else {
        return Ok((cut.finish(), unused.places));
    };
    bail!("the module has no function `…{missing}…`: see xtask/src/panics.rs")
}

/// What `--emit-relocs` adds.
fn is_linkers(section: &str) -> bool {
    section == "linking" || section.starts_with("reloc.")
}

/// Tells the place and traps. `location` is the parameter that has it.
fn reporting(report: u32, location: Option<u32>) -> Function {
    let mut body = Function::new([]);
    match location {
        Some(parameter) => body.instructions().local_get(parameter),
        None => body.instructions().i32_const(0),
    };
    body.instructions().call(report).unreachable().end();
    body
}

/// What is known of the module's functions.
#[derive(Default)]
struct Known<'a> {
    /// How many are imported; they are counted first.
    imported: u32,
    /// Of the functions of the module: the type.
    types: Vec<u32>,
    /// Of each type: how many parameters.
    parameters: Vec<usize>,
    /// Names of all functions by index.
    names: Vec<(u32, &'a str)>,
    report: Option<u32>,
}

impl<'a> Known<'a> {
    fn read(module: &'a [u8]) -> Result<Self> {
        let mut known = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(types) => {
                    for kind in types.into_iter_err_on_gc_types() {
                        known.parameters.push(kind?.params().len());
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        known.imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::FunctionSection(functions) => {
                    known.types = functions.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        if export.name == REPORT {
                            known.report = Some(export.index);
                        }
                    }
                }
                Payload::CustomSection(custom) => {
                    let KnownCustom::Name(sections) = custom.as_known() else { continue };
                    for section in sections {
                        if let Name::Function(names) = section? {
                            for name in names {
                                let name = name?;
                                known.names.push((name.index, name.name));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(known)
    }

    fn defined(&self) -> u32 {
        u32::try_from(self.types.len()).unwrap_or(u32::MAX)
    }

    fn is_named(&self, function: u32, parts: &[&str]) -> bool {
        let name = self.names.iter().find(|(index, _)| *index == function);
        name.is_some_and(|(_, name)| parts.iter().any(|part| name.contains(part)))
    }

    /// The entry of a list that names this function, and the parameter with the location.
    fn replacement(&self, function: u32) -> Option<(&'static str, Option<u32>)> {
        let (_, name) = self.names.iter().find(|(index, _)| *index == function)?;
        // `…fail` is also the beginning of `…fail_rt`: the end of the symbol decides.
        let named = |part: &&&str| name.split_once(**part).is_some_and(|(_, rest)| !rest.starts_with('_'));
        if let Some(part) = BARE.iter().find(named) {
            return Some((part, None));
        }
        let part = LOCATED.iter().chain(&MORE_LOCATED).find(named)?;
        let kind = *self.types.get(usize::try_from(function.checked_sub(self.imported)?).ok()?)?;
        let parameters = self.parameters.get(usize::try_from(kind).ok()?)?;
        Some((part, u32::try_from(parameters.checked_sub(1)?).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with a function of each listed name, and one that is none of them.
    fn module(without: &str) -> Vec<u8> {
        let parts = LOCATED.iter().chain(&BARE).chain(&UNUSED).filter(|part| **part != without);
        let functions: String = parts
            .map(|part| format!("(func $_RNvNtC4_4core{part} (param i32 i32) (call $log (i32.const 7)))\n"))
            .collect();
        let text = format!(
            r#"(module
                (import "env" "log" (func $log (param i32)))
                (func $_RNvC8_8splitway6decide (param i32 i32) (call $log (i32.const 7)))
                {functions}
                (func (export "{REPORT}") (param i32) (call $log (local.get 0))))"#
        );
        wat::parse_str(text).expect("valid WAT")
    }

    fn bodies(module: &[u8]) -> Vec<Vec<u8>> {
        let payloads = Parser::new(0).parse_all(module).map(|payload| payload.expect("valid"));
        payloads
            .filter_map(|payload| match payload {
                Payload::CodeSectionEntry(body) => Some(body.as_bytes().to_vec()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn panics_are_reported_and_the_rest_stays() {
        let module = module("none");
        let (cut, _) = cut(&module, false).expect("cut");
        wasmparser::validate(&cut).expect("valid");
        let (before, after) = (bodies(&module), bodies(&cut));
        assert_eq!(before.len(), 2 + LOCATED.len() + BARE.len() + UNUSED.len());
        assert_eq!(after.len(), before.len());
        assert_eq!(after.first(), before.first(), "decide");
        assert_eq!(after.last(), before.last(), "the report");
        let report = u8::try_from(before.len()).expect("few");
        // local.get 1, call, unreachable, end; and `panic_with_hook` comes before all of std::panicking.
        assert_eq!(after[1], [0, 0x20, 1, 0x10, report, 0, 0x0b]);
        let bare = after.iter().filter(|body| **body == [0, 0x41, 0, 0x10, report, 0, 0x0b]).count();
        let trap = after.iter().filter(|body| **body == [0, 0, 0x0b]).count();
        assert_eq!((bare, trap), (BARE.len(), UNUSED.len()));
    }

    /// What would be written by `Debug` traps, and what asks for alphabets is told no: see [`UNUSED`] and [`FALSE`].
    #[test]
    fn nothing_is_used_that_is_cut() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut open: Vec<_> =
            ["engine/src", "exchange/src", "filter/src", "edge/src"].map(|folder| root.join(folder)).into();
        let mut read = 0;
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(
                    std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path()),
                );
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            let code = text.split("#[cfg(test)]").next().expect("a first part");
            for line in code.lines().filter(|line| line.contains("?}") || line.contains("escape_debug")) {
                // The one that stands in an implementation of `Debug`.
                assert!(line.contains("key withheld"), "{}: {line}", path.display());
            }
            for asked in [".is_alphabetic()", ".is_alphanumeric()", ".is_numeric()"] {
                assert!(!code.contains(asked), "{}: {asked}", path.display());
            }
            read += 1;
        }
        assert!(read > 40, "{read}");
    }

    #[test]
    fn a_name_that_rust_changed_is_told() {
        for part in LOCATED.iter().chain(&BARE) {
            let error = cut(&module(part), false).expect_err("missing");
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(cut(&module("17rust_begin_unwind"), false).is_err());
    }
}
