//! Takes the standard library's panic machinery out of a linked module.
//!
//! The filter does not panic (lints forbid what could), yet the library keeps all it takes to print
//! a panic to a terminal: formatting of the message, hooks, backtraces, a lock on standard error.
//! Rust's stable way to leave that out does not exist (`panic = "immediate-abort"` needs nightly and
//! a standard library of one's own), so the functions are replaced where they have names still:
//! after linking, before wasm-opt, which then drops what only they used. What is lost is the text
//! of a panic; its place is still logged, by the filter's own [`REPORT`].

mod rules;
mod unused;

use anyhow::{Context as _, Result};
use wasm_encoder::{CodeSection, Function, Module, RawSection};
use wasmparser::{FuncType, KnownCustom, Name, Parser, Payload, TypeRef, ValType};

pub(crate) use rules::COMPILER;
use rules::{Body, RULES};
use unused::Unused;

/// The export of the filter that is called with the place of a panic: a `Location`, or null.
const REPORT: &str = "splitway_panicked";

/// A module after the cuts, or without them.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The module, without the linker's notes.
    pub(crate) module: Vec<u8>,
    /// The places of panics that were cut, as lines of an address and what is there.
    pub(crate) places: String,
    /// Why nothing was cut, if so: the module is the linker's, then.
    pub(crate) left_out: Option<String>,
}

/// Gives the functions of `module` that [`rules`] fit their other bodies, and takes out what only they used, and the
/// linker's notes. With a compiler whose names the rules do not fit, only the notes go: the module is larger then, and
/// does the same.
///
/// `places`: the places of panics go, too.
///
/// # Errors
/// When `module` is not WebAssembly, or does not export [`REPORT`].
pub(crate) fn cut(module: &[u8], places: bool) -> Result<Cut> {
    let known = Known::read(module)?;
    let report = known.report.with_context(|| format!("the module exports no `{REPORT}`"))?;
    let planned = known.plan().and_then(|plan| {
        let is_replaced = |function| plan.get(index(function)).copied().flatten().is_some();
        let unused = Unused::of(module, is_replaced, places).map_err(|error| format!("{error:#}"))?;
        Ok((plan, unused))
    });
    let (plan, unused, left_out) = match planned {
        Ok((plan, unused)) => (plan, unused, None),
        Err(why) => (Vec::new(), Unused::default(), Some(why)),
    };
    let body = |function| match plan.get(index(function)).copied().flatten() {
        None if unused.has(function) => Some(Body::Trap),
        body => body,
    };
    let mut cut = Module::new();
    let mut code = CodeSection::new();
    let mut next = known.imported;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CodeSectionEntry(old) = &payload {
            match body(next) {
                Some(body) => code.function(&replacement(body, report, known.parameters(next))),
                None => code.raw(old.as_bytes()),
            };
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
    Ok(Cut { module: cut.finish(), places: unused.places, left_out })
}

/// An index of WebAssembly's as one of ours.
fn index(function: u32) -> usize {
    usize::try_from(function).unwrap_or(usize::MAX)
}

/// What `--emit-relocs` adds.
fn is_linkers(section: &str) -> bool {
    section == "linking" || section.starts_with("reloc.")
}

/// The function that becomes of one with so many parameters. `report` is the index of [`REPORT`].
fn replacement(body: Body, report: u32, parameters: u32) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    match body {
        Body::Located => code.local_get(parameters.saturating_sub(1)).call(report).unreachable(),
        Body::Bare => code.i32_const(0).call(report).unreachable(),
        Body::Trap => code.unreachable(),
        Body::False => code.i32_const(0),
    };
    code.end();
    function
}

/// What is known of the module's functions.
#[derive(Default)]
struct Known<'a> {
    /// How many are imported; they are counted first.
    imported: u32,
    /// Whether something is imported from WASI.
    is_wasi: bool,
    /// The type of each of the module's own functions.
    types: Vec<u32>,
    /// The types by their index.
    signatures: Vec<FuncType>,
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
                        known.signatures.push(kind?);
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        known.imported += u32::from(matches!(import.ty, TypeRef::Func(_)));
                        known.is_wasi |= import.module == "wasi_snapshot_preview1";
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

    fn signature(&self, function: u32) -> Option<&FuncType> {
        let kind = *self.types.get(index(function.checked_sub(self.imported)?))?;
        self.signatures.get(index(kind))
    }

    fn parameters(&self, function: u32) -> u32 {
        let signature = self.signature(function);
        signature.and_then(|signature| u32::try_from(signature.params().len()).ok()).unwrap_or(0)
    }

    /// What becomes of each function, by its index; or why the rules do not fit this module.
    fn plan(&self) -> Result<Vec<Option<Body>>, String> {
        let mut plan = vec![None; index(self.imported) + self.types.len()];
        let mut fitting = [false; RULES.len()];
        for (function, symbol) in &self.names {
            let Some(found) = rules::rule(symbol) else { continue };
            let (rule, Some(signature)) = (&RULES[found], self.signature(*function)) else { continue };
            let is_possible = match rule.body {
                Body::Located => signature.params().last() == Some(&ValType::I32),
                Body::Bare | Body::Trap => true,
                Body::False => signature.results() == [ValType::I32],
            };
            if !is_possible {
                return Err(format!("the function `{}` has another signature", rule.name()));
            }
            fitting[found] = true;
            if let Some(place) = plan.get_mut(index(*function)) {
                *place = Some(rule.body);
            }
        }
        match RULES.iter().zip(fitting).find(|(rule, fits)| !fits && rule.is_needed(self.is_wasi)) {
            Some((rule, _)) => Err(format!("there is no function `{}`", rule.name())),
            None => Ok(plan),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with a function for each rule but one, and two that no rule fits. Imports WASI.
    fn module(without: Option<usize>) -> Vec<u8> {
        let rules = RULES.iter().enumerate().filter(|(index, _)| Some(*index) != without);
        let functions: String = rules
            .map(|(_, rule)| {
                format!(
                    "(func ${} (param i32 i32) (result i32) (call $log (i32.const 7)) (i32.const 1))\n",
                    rule.symbol()
                )
            })
            .collect();
        let text = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "log" (func $log (param i32)))
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
        let module = module(None);
        let cut = cut(&module, false).expect("cut");
        assert_eq!(cut.left_out, None);
        wasmparser::validate(&cut.module).expect("valid");
        let (before, after) = (bodies(&module), bodies(&cut.module));
        assert_eq!(before.len(), 2 + RULES.len());
        assert_eq!(after.len(), before.len());
        assert_eq!(after.first(), before.first(), "decide");
        assert_eq!(after.last(), before.last(), "the report");
        let report = u8::try_from(before.len()).expect("few");
        for (rule, body) in RULES.iter().zip(&after[1..]) {
            let wanted: &[u8] = match rule.body {
                // local.get 1, call, unreachable, end
                Body::Located => &[0, 0x20, 1, 0x10, report, 0, 0x0b],
                Body::Bare => &[0, 0x41, 0, 0x10, report, 0, 0x0b],
                Body::Trap => &[0, 0, 0x0b],
                Body::False => &[0, 0x41, 0, 0x0b],
            };
            assert_eq!(body, wanted, "{}", rule.name());
        }
    }

    /// What would be written by `Debug` traps, and what asks for alphabets gets a no: see [`RULES`].
    #[test]
    fn nothing_is_used_that_is_cut() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut open: Vec<_> = ["document/src", "engine/src", "exchange/src", "filter/src", "edge/src"]
            .map(|folder| root.join(folder))
            .into();
        let mut read = 0;
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(
                    std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path()),
                );
                continue;
            }
            if path.ends_with("tests.rs") {
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

    /// As with another compiler, whose standard library has other names.
    #[test]
    fn without_a_needed_name_nothing_is_cut() {
        for (index, rule) in RULES.iter().enumerate() {
            let module = module(Some(index));
            let cut = cut(&module, false).expect("read");
            if rule.is_optional() {
                assert_eq!(cut.left_out, None, "{}", rule.name());
                continue;
            }
            let why = cut.left_out.expect("left out");
            assert!(why.contains(&rule.name()), "{why}");
            assert_eq!(bodies(&cut.module), bodies(&module), "{}", rule.name());
        }
    }

    #[test]
    fn with_another_signature_nothing_is_cut() {
        for (signature, of) in [("(param f64)", "panic_fmt"), ("(param i32)", "lookup_slow")] {
            let rule = RULES.iter().find(|rule| rule.name().ends_with(of)).expect("a rule");
            let text = format!(
                r#"(module (func ${} {signature}) (func (export "{REPORT}") (param i32)))"#,
                rule.symbol()
            );
            let module = wat::parse_str(text).expect("valid WAT");
            let cut = cut(&module, false).expect("read");
            let why = cut.left_out.expect("left out");
            assert!(why.contains("another signature"), "{why}");
            assert_eq!(bodies(&cut.module), bodies(&module));
        }
    }
}
