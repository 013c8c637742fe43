//! Several files as one config: lists are joined, all else is said once, or the same everywhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use splitway_engine::{Code, Document, Path, Problem, Problems, Secrets, Segment, Span, compile_with};

use crate::input::Input;

/// What several files may each have entries of.
const LISTS: [&str; 3] = ["experiments", "layers", "holdouts"];

/// Files that are one config.
#[derive(Debug)]
pub(crate) struct Merged {
    files: Vec<Input>,
    /// Of each file; none if there is one that cannot be read.
    documents: Vec<Document>,
    /// By list and index in the merged list: which file, and the index there.
    items: BTreeMap<(&'static str, usize), (usize, usize)>,
    /// By field: which file.
    fields: BTreeMap<String, usize>,
    json: Result<String, Problems>,
}

impl Merged {
    pub(crate) fn new(files: Vec<Input>) -> Self {
        let mut merged = Self {
            files,
            documents: Vec::new(),
            items: BTreeMap::new(),
            fields: BTreeMap::new(),
            json: Ok(String::new()),
        };
        let mut problems = Problems::default();
        for (index, file) in merged.files.iter().enumerate() {
            match file.document() {
                Ok(document) => merged.documents.push(document),
                Err(found) => found.into_iter().for_each(|p| problems.push(merged.shifted(index, p))),
            }
        }
        if problems.is_empty() {
            let all = merged.join(&mut problems);
            let json = Value::Object(all).to_string();
            // What else is wrong, so that all is told at once.
            if !problems.is_empty()
                && let Err(more) = Document::from_json(json.as_bytes())
                    .and_then(|document| compile_with(&document, Secrets::WITHHELD))
            {
                more.into_iter().for_each(|problem| problems.push(problem));
            }
            merged.json = Ok(json);
        }
        if !problems.is_empty() {
            merged.json = Err(problems);
        }
        merged
    }

    pub(crate) fn document(&self) -> Result<Document, Problems> {
        Document::from_json(self.json.clone()?.as_bytes())
    }

    /// The file that `problem` is in, and its place there.
    pub(crate) fn place(&self, problem: &Problem) -> Option<(&Input, Option<Span>)> {
        if let Some(span) = problem.span {
            let mut line = span.line;
            for file in &self.files {
                let lines = file.text.lines().count();
                if line <= lines {
                    return Some((file, Some(Span { line, ..span })));
                }
                line -= lines;
            }
        }
        let (file, mut path) = self.origin(&problem.path)?;
        let document = self.documents.get(file)?;
        // What is missing has no place; what it is missing from has.
        let located = loop {
            match document.locate(&path) {
                Some(located) => break Some(located),
                None => drop(path.0.pop()?),
            }
        };
        let span = located.map(|located| match problem.code {
            Code::UnknownField => located.name.unwrap_or(located.value),
            _ => located.value,
        });
        Some((self.files.get(file)?, span))
    }

    fn origin(&self, path: &Path) -> Option<(usize, Path)> {
        let (Segment::Key(name), rest) = path.0.split_first()? else { return None };
        let list = LISTS.into_iter().find(|list| list == name);
        if let (Some(list), Some((Segment::Index(index), rest))) = (list, rest.split_first()) {
            let (file, index) = *self.items.get(&(list, *index))?;
            let mut origin = Path::default().key(name).index(index);
            origin.0.extend_from_slice(rest);
            return Some((file, origin));
        }
        Some((*self.fields.get(name)?, path.clone()))
    }

    /// Lines count through all files.
    fn shifted(&self, file: usize, mut problem: Problem) -> Problem {
        let before: usize = self.files.iter().take(file).map(|file| file.text.lines().count()).sum();
        if let Some(span) = &mut problem.span {
            span.line += before;
        }
        problem
    }

    fn join(&mut self, problems: &mut Problems) -> Map<String, Value> {
        let mut all = Map::new();
        for file in 0..self.documents.len() {
            let fields = match serde_json::from_str(&self.documents[file].to_json()) {
                Ok(Value::Object(fields)) => fields,
                // An empty file.
                Ok(Value::Null) => continue,
                _ => {
                    let root = &self.documents[file].root;
                    let expected = "a mapping of fields, such as `experiments`";
                    let problem =
                        Problem::error(Path::default(), Code::WrongType, expected, &root.value.describe());
                    problems.push_always(self.shifted(file, problem.at(root.span)));
                    continue;
                }
            };
            for (name, value) in fields {
                let list = LISTS.into_iter().find(|list| *list == name);
                if let (Some(list), Value::Array(items)) = (list, &value) {
                    self.extend(file, list, items, &mut all);
                    continue;
                }
                match all.get(&name) {
                    None => {
                        self.fields.insert(name.clone(), file);
                        all.insert(name, value);
                    }
                    Some(known) if *known == value => {}
                    Some(known) => problems.push(self.conflict(file, &name, known, &value)),
                }
            }
        }
        all
    }

    fn extend(&mut self, file: usize, list: &'static str, items: &[Value], all: &mut Map<String, Value>) {
        let Value::Array(joined) = all.entry(list).or_insert_with(|| Value::Array(Vec::new())) else {
            return;
        };
        for (index, item) in items.iter().enumerate() {
            // Every file may declare the layers that it uses, in the same words.
            if list != "experiments" && joined.contains(item) {
                continue;
            }
            self.items.insert((list, joined.len()), (file, index));
            joined.push(item.clone());
        }
    }

    fn conflict(&self, file: usize, name: &str, known: &Value, value: &Value) -> Problem {
        let path = Path::default().key(name);
        let first = self.fields.get(name).and_then(|file| self.files.get(*file));
        let first = first.map_or("another file", |file| file.name.as_str());
        let located = self.documents.get(file).and_then(|document| document.locate(&path));
        let expected = format!("{} as in {first}, or no `{name}` here", brief(known));
        let problem = Problem::error(path, Code::Conflict, &expected, &brief(value))
            .at(located.map(|located| located.value));
        self.shifted(file, problem)
    }
}

fn brief(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}
