//! What a linked module does not need any more when some of its functions are replaced.
//!
//! The linker keeps what anything refers to, and cannot know that [`super::cut`] takes functions out: their texts and
//! tables (Unicode's, for `Debug` of texts), and what a table of functions names. `--emit-relocs` has it write down who
//! refers to whom; this follows it from the exports on.

use std::ops::Range;

use anyhow::{Context as _, Result};
use wasmparser::{
    DataKind, ExternalKind, KnownCustom, Linking, Operator, Parser, Payload, RelocSectionReader,
    RelocationType, SymbolFlags, SymbolInfo, TypeRef,
};

/// What can go.
#[derive(Debug, Default)]
pub(crate) struct Unused {
    /// By function, imported ones first.
    functions: Vec<bool>,
    /// Places in the contents of the section of data.
    data: Vec<Range<usize>>,
    /// The places in sources that went with it, by their addresses: lines such as `1055336 engine/src/plan.rs:12`.
    pub(crate) places: String,
}

impl Unused {
    /// Whether nothing that runs refers to the function.
    pub(crate) fn has(&self, function: u32) -> bool {
        usize::try_from(function).ok().and_then(|index| self.functions.get(index)).copied().unwrap_or(false)
    }

    /// The contents of the section of data, with zeros for what nothing refers to: wasm-opt drops those.
    pub(crate) fn clear(&self, section: &[u8]) -> Vec<u8> {
        let mut section = section.to_vec();
        for range in &self.data {
            if let Some(bytes) = section.get_mut(range.clone()) {
                bytes.fill(0);
            }
        }
        section
    }

    /// Of a module whose functions `is_replaced` get other bodies, which use nothing but exports. Nothing, if the linker
    /// did not say who refers to whom. `places`: what says where in a source a panic is goes, too.
    pub(crate) fn of(module: &[u8], is_replaced: impl Fn(u32) -> bool, places: bool) -> Result<Self> {
        let read = Module::read(module)?;
        if read.symbols.is_empty() {
            return Ok(Self::default());
        }
        let references = read.references()?;
        let places = if places { read.places(&references)? } else { Vec::new() };
        let mut live = Live {
            functions: vec![false; read.imported + read.bodies.len()],
            symbols: vec![false; read.symbols.len()],
            open: read.roots.clone(),
        };
        while let Some(node) = live.open.pop() {
            let seen = match node {
                Node::Function(index) => live.functions.get_mut(index),
                Node::Data(symbol) => live.symbols.get_mut(symbol),
            };
            let is_new = !std::mem::replace(seen.context("a reference beyond the module")?, true);
            let ends = match node {
                Node::Function(index) => is_replaced(u32::try_from(index)?),
                Node::Data(symbol) => places.iter().any(|(place, _)| *place == symbol),
            };
            if is_new && !ends {
                live.open.extend(references.of(node));
            }
        }
        let mut lines = String::new();
        for (place, text) in places {
            if live.symbols.get_mut(place).is_some_and(std::mem::take) {
                lines.push_str(&text);
                lines.push('\n');
            }
        }
        // Symbols may overlap; then what one keeps stays.
        let kept: Vec<Range<usize>> = read.ranges(&live.symbols, true);
        let mut data = read.ranges(&live.symbols, false);
        for kept in kept {
            data = data.into_iter().flat_map(|range| without(range, &kept)).collect();
        }
        Ok(Self { functions: live.functions.iter().map(|is_live| !is_live).collect(), data, places: lines })
    }
}

/// What is left of `range` beside `kept`.
fn without(range: Range<usize>, kept: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let before = range.start..range.end.min(kept.start);
    let after = range.start.max(kept.end)..range.end;
    [before, after].into_iter().filter(|rest| rest.start < rest.end)
}

struct Live {
    functions: Vec<bool>,
    symbols: Vec<bool>,
    open: Vec<Node>,
}

/// A function by its index, or a piece of data by that of its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Function(usize),
    Data(usize),
}

/// Who refers to whom, in the order of who.
struct References(Vec<(Node, Node)>);

impl References {
    fn of(&self, node: Node) -> impl Iterator<Item = Node> {
        let start = self.0.partition_point(|(from, _)| *from < node);
        self.0[start..].iter().take_while(move |(from, _)| *from == node).map(|(_, to)| *to)
    }
}

/// A linked module, as far as it matters here. Places are those in the contents of their section.
#[derive(Default)]
struct Module<'a> {
    imported: usize,
    bodies: Vec<Range<usize>>,
    segments: Vec<Segment<'a>>,
    /// The function, or the place of the data.
    symbols: Vec<Option<Symbol>>,
    relocations: Vec<(Section, RelocSectionReader<'a>)>,
    roots: Vec<Node>,
}

enum Symbol {
    Function(usize),
    Data(Range<usize>),
}

struct Segment<'a> {
    /// Where its bytes begin in the contents of the section.
    start: usize,
    /// Where they go in memory.
    address: usize,
    data: &'a [u8],
}

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Code,
    Data,
}

impl<'a> Module<'a> {
    fn read(module: &'a [u8]) -> Result<Self> {
        let mut read = Self::default();
        let mut kinds = Vec::new();
        let mut code = 0;
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            // They come last, when the others are known.
            if let Payload::CustomSection(custom) = &payload {
                match custom.as_known() {
                    KnownCustom::Linking(linking) => {
                        for part in linking.subsections() {
                            read.symbols_of(part?)?;
                        }
                    }
                    KnownCustom::Reloc(relocations) => {
                        let of = usize::try_from(relocations.section_index())?;
                        if let Some(section) = kinds.get(of).copied().flatten() {
                            read.relocations.push((section, relocations));
                        }
                    }
                    _ => {}
                }
            }
            match &payload {
                Payload::CodeSectionEntry(body) => {
                    let range = body.range();
                    let place = |end| usize::try_from(end).ok()?.checked_sub(code);
                    let body = place(range.start).zip(place(range.end));
                    let (start, end) = body.context("a function before its section")?;
                    read.bodies.push(start..end);
                    continue;
                }
                Payload::CodeSectionStart { .. } => {
                    let (_, range) = payload.as_section().context("a section has a place")?;
                    code = usize::try_from(range.start)?;
                    kinds.push(Some(Section::Code));
                    continue;
                }
                Payload::DataSection(data) => {
                    let start = usize::try_from(data.range().start)?;
                    for segment in data.clone() {
                        let segment = segment?;
                        let DataKind::Active { offset_expr, .. } = segment.kind else { continue };
                        let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else {
                            continue;
                        };
                        read.segments.push(Segment {
                            start: usize::try_from(segment.range.end)? - segment.data.len() - start,
                            address: usize::try_from(value)?,
                            data: segment.data,
                        });
                    }
                    kinds.push(Some(Section::Data));
                    continue;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.clone().into_imports() {
                        read.imported += usize::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports.clone() {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            read.roots.push(Node::Function(usize::try_from(export.index)?));
                        }
                    }
                }
                Payload::StartSection { func, .. } => {
                    read.roots.push(Node::Function(usize::try_from(*func)?))
                }
                _ => {}
            }
            if payload.as_section().is_some() {
                kinds.push(None);
            }
        }
        Ok(read)
    }

    fn symbols_of(&mut self, part: Linking<'_>) -> Result<()> {
        match part {
            Linking::SymbolTable(symbols) => {
                for symbol in symbols {
                    let symbol = symbol?;
                    let stays = SymbolFlags::EXPORTED | SymbolFlags::NO_STRIP;
                    let (symbol, flags) = match symbol {
                        SymbolInfo::Func { index, flags, .. } => {
                            (Some(Symbol::Function(usize::try_from(index)?)), flags)
                        }
                        SymbolInfo::Data { symbol: Some(place), flags, .. } => {
                            let segment = self.segments.get(usize::try_from(place.index)?);
                            let start =
                                segment.context("no such segment")?.start + usize::try_from(place.offset)?;
                            (Some(Symbol::Data(start..start + usize::try_from(place.size)?)), flags)
                        }
                        _ => (None, SymbolFlags::empty()),
                    };
                    if flags.intersects(stays) {
                        self.roots.extend(match symbol {
                            Some(Symbol::Function(index)) => Some(Node::Function(index)),
                            Some(Symbol::Data(_)) => Some(Node::Data(self.symbols.len())),
                            None => None,
                        });
                    }
                    self.symbols.push(symbol);
                }
            }
            Linking::InitFuncs(functions) => {
                for function in functions {
                    let symbol = usize::try_from(function?.symbol_index)?;
                    if let Some(Some(Symbol::Function(index))) = self.symbols.get(symbol) {
                        self.roots.push(Node::Function(*index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn references(&self) -> Result<References> {
        let mut all = Vec::new();
        // Data by where it begins; the longest before a place is not always the one that has it.
        let mut data: Vec<(usize, &Range<usize>)> = Vec::new();
        for (index, symbol) in self.symbols.iter().enumerate() {
            if let Some(Symbol::Data(range)) = symbol {
                data.push((index, range));
            }
        }
        for (section, relocations) in &self.relocations {
            for relocation in relocations.entries() {
                let relocation = relocation?;
                let to = match relocation.ty {
                    RelocationType::TypeIndexLeb => continue,
                    _ => usize::try_from(relocation.index)?,
                };
                let to = match self.symbols.get(to).context("no such symbol")? {
                    Some(Symbol::Function(index)) => Node::Function(*index),
                    Some(Symbol::Data(_)) => Node::Data(to),
                    None => continue,
                };
                let place = usize::try_from(relocation.offset)?;
                match section {
                    Section::Code => {
                        let body = self.bodies.partition_point(|body| body.end <= place);
                        all.push((Node::Function(self.imported + body), to));
                    }
                    Section::Data => {
                        let holders = data.iter().filter(|(_, range)| range.contains(&place));
                        all.extend(holders.map(|(index, _)| (Node::Data(*index), to)));
                    }
                }
            }
        }
        all.sort_unstable();
        Ok(References(all))
    }

    /// The symbols that are a `Location` (file, its length, line, column), with address and text.
    fn places(&self, references: &References) -> Result<Vec<(usize, String)>> {
        let mut places = Vec::new();
        for (index, symbol) in self.symbols.iter().enumerate() {
            let Some(Symbol::Data(range)) = symbol else { continue };
            let mut named = references.of(Node::Data(index));
            let (16, Some(Node::Data(file)), None) = (range.len(), named.next(), named.next()) else {
                continue;
            };
            let Some(Some(Symbol::Data(file))) = self.symbols.get(file) else { continue };
            let (_, file) = self.bytes(file).context("data beyond the segments")?;
            let (address, place) = self.bytes(range).context("data beyond the segments")?;
            let file = String::from_utf8_lossy(file);
            let file = file.trim_end_matches('\0');
            if file.ends_with(".rs") {
                let line = u32::from_le_bytes(place[8..12].try_into()?);
                places.push((index, format!("{address} {file}:{line}")));
            }
        }
        Ok(places)
    }

    /// What is at a place in the section of data, and its address.
    fn bytes(&self, range: &Range<usize>) -> Option<(usize, &'a [u8])> {
        self.segments.iter().find_map(|segment| {
            let start = range.start.checked_sub(segment.start)?;
            let bytes = segment.data.get(start..start + range.len())?;
            Some((segment.address + start, bytes))
        })
    }

    /// Of the data symbols that are live, or not.
    fn ranges(&self, live: &[bool], wanted: bool) -> Vec<Range<usize>> {
        let ranges = self.symbols.iter().zip(live).filter(|(_, is_live)| **is_live == wanted);
        let ranges = ranges.filter_map(|(symbol, _)| match symbol {
            Some(Symbol::Data(range)) => Some(range.clone()),
            _ => None,
        });
        ranges.collect()
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{CustomSection, DataSymbolDefinition, LinkingSection, Section as _, SymbolTable};

    use super::*;

    /// After types, functions, memory and exports.
    const CODE: u8 = 4;

    /// `used` refers to the first four bytes and calls `replaced`, which refers to the next four, as does `dead`.
    fn module() -> Vec<u8> {
        let text = r#"(module (memory 1)
            (func (export "used") (drop (i32.const 1024)) (call 1))
            (func (drop (i32.const 1028)))
            (func (drop (i32.const 1028)))
            (data (i32.const 1024) "aaaabbbbcccc"))"#;
        let mut module = wat::parse_str(text).expect("valid WAT");
        let bodies = Module::read(&module).expect("read").bodies;
        let mut symbols = SymbolTable::new();
        for (index, name) in (0..).zip(["used", "replaced", "dead"]) {
            symbols.function(0, index, Some(name));
        }
        for (offset, name) in [(0, "a"), (4, "b")] {
            symbols.data(0, name, Some(DataSymbolDefinition { index: 0, offset, size: 4 }));
        }
        LinkingSection::new().symbol_table(&symbols).append_to(&mut module);
        // The section, how many, and of each: kind, place, symbol and, of an address, what is added to it.
        let place = |body: usize| u8::try_from(bodies[body].start).expect("small");
        let mut data = vec![CODE, 4];
        data.extend([4, place(0), 3, 0, 0, place(0), 1, 4, place(1), 4, 0, 4, place(2), 4, 0]);
        CustomSection { name: "reloc.CODE".into(), data: data.into() }.append_to(&mut module);
        module
    }

    #[test]
    fn what_a_replaced_function_used_goes() {
        let module = module();
        let as_it_is = Unused::of(&module, |_| false, false).expect("read");
        assert_eq!([0, 1, 2].map(|function| as_it_is.has(function)), [false, false, true]);
        assert!(as_it_is.data.is_empty(), "{:?}", as_it_is.data);
        let cut = Unused::of(&module, |function| function == 1, false).expect("read");
        assert_eq!([0, 1, 2].map(|function| cut.has(function)), [false, false, true]);
        let [range] = cut.data.as_slice() else { panic!("{:?}", cut.data) };
        let data = wasmparser::Parser::new(0)
            .parse_all(&module)
            .find_map(|payload| match payload.expect("valid") {
                Payload::DataSection(data) => Some(data.range()),
                _ => None,
            })
            .expect("data");
        let section = &module[usize::try_from(data.start).expect("small")..];
        assert_eq!(&section[range.clone()], b"bbbb");
        assert!(cut.clear(section).windows(12).any(|bytes| bytes == b"aaaa\0\0\0\0cccc"));
    }

    #[test]
    fn ranges_are_cut() {
        let rest = |(start, end), (from, to)| -> Vec<(usize, usize)> {
            without(start..end, &(from..to)).map(|range| (range.start, range.end)).collect()
        };
        assert_eq!(rest((0, 10), (3, 5)), [(0, 3), (5, 10)]);
        assert_eq!(rest((0, 10), (0, 5)), [(5, 10)]);
        assert_eq!(rest((0, 10), (20, 30)), [(0, 10)]);
        assert_eq!(rest((20, 30), (0, 10)), [(20, 30)]);
        assert_eq!(rest((3, 5), (0, 10)), []);
    }
}
