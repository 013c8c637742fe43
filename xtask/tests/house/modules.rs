//! A crate's sources -> which module uses which, by name. What is used without being named (a method of a value that
//! came from elsewhere) does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::paths::{Import, code, imports, mentioned};

/// A module: what it brings in, and the paths that it mentions.
struct Module {
    imports: Vec<Import>,
    mentioned: Vec<Vec<String>>,
}

/// By module (`compile::values`, the root is empty): the modules whose items it uses. An item that a module only
/// hands on (`pub use`) counts as that of the module which defines it.
pub(crate) fn arrows(sources: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut modules = BTreeMap::new();
    read(sources, &[], &mut modules);
    let mut arrows = BTreeMap::new();
    for (own, module) in &modules {
        let imported = module.imports.iter().map(|import| &import.path);
        let used = imported.chain(&module.mentioned).filter_map(|path| definition(&modules, own, path, 8));
        let used: BTreeSet<String> = used.filter(|used| used != own).map(|used| used.join("::")).collect();
        arrows.insert(own.join("::"), used);
    }
    arrows
}

fn read(folder: &Path, path: &[String], modules: &mut BTreeMap<Vec<String>, Module>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let file = entry.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut own = path.to_vec();
        if file.is_dir() {
            own.push(name);
            read(&file, &own, modules);
            continue;
        }
        let is_root = matches!(name.as_str(), "mod" | "lib" | "main");
        if file.extension().is_none_or(|extension| extension != "rs") || name == "tests" {
            continue;
        }
        if !is_root {
            own.push(name);
        }
        let source = std::fs::read_to_string(&file).unwrap_or_default();
        let (imports, left) = imports(&code(&source));
        let module = Module { imports, mentioned: mentioned(&left) };
        // A crate with both lib.rs and main.rs has one root here.
        match modules.get_mut(&own) {
            Some(known) => {
                known.imports.extend(module.imports);
                known.mentioned.extend(module.mentioned);
            }
            None => drop(modules.insert(own, module)),
        }
    }
}

/// The module that defines what `path` names in the module `own`; `None` for other crates' items.
fn definition(
    modules: &BTreeMap<Vec<String>, Module>,
    own: &[String],
    path: &[String],
    depth: usize,
) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let mut at: Vec<String> = match first.as_str() {
        "crate" => Vec::new(),
        "self" => own.to_vec(),
        "super" => own.split_last()?.1.to_vec(),
        _ => {
            let child = [own, std::slice::from_ref(first)].concat();
            if !modules.contains_key(&child) {
                return None;
            }
            child
        }
    };
    for (position, segment) in rest.iter().enumerate() {
        if segment == "super" {
            at = at.split_last()?.1.to_vec();
            continue;
        }
        let below = [at.as_slice(), std::slice::from_ref(segment)].concat();
        if modules.contains_key(&below) {
            at = below;
            continue;
        }
        // An item of this module, which may only hand it on.
        let import = modules.get(&at)?.imports.iter().find(|import| import.name == *segment);
        let handed_on = import.filter(|_| depth > 0 && at != own).and_then(|import| {
            let path = [import.path.as_slice(), &rest[position + 1..]].concat();
            definition(modules, &at, &path, depth - 1)
        });
        return Some(handed_on.unwrap_or(at));
    }
    Some(at)
}
