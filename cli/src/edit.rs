//! Changes to a config's text that leave everything else as it is written:
//! comments, order, layout.
//!
//! Rejected: writing the document anew from its values. People's comments are
//! half of what a config in a repository is for.

use std::path::PathBuf;

use similar::TextDiff;
use splitway_engine::{
    Document, Located, Path, Problem, Secrets, Segment, Severity, compile_with, read_wire, wire,
};

use crate::input::{Input, must_be_file};
use crate::outcome::{Exit, Failure, Outcome};

/// Inclusive ranges from half-open ones.
pub(crate) fn inclusive(ranges: &[(u32, u32)]) -> Vec<[u32; 2]> {
    ranges.iter().map(|(start, end)| [*start, end.saturating_sub(1)]).collect()
}

fn written(ranges: &[[u32; 2]]) -> String {
    let all: Vec<String> = ranges.iter().map(|[first, last]| format!("[{first}, {last}]")).collect();
    format!("[{}]", all.join(", "))
}

/// Gathers changes to one text.
pub(crate) struct Editor<'d> {
    document: &'d Document,
    text: Vec<char>,
    /// Start, end (exclusive), replacement; in characters, as spans are.
    edits: Vec<(usize, usize, String)>,
}

impl<'d> Editor<'d> {
    pub(crate) fn new(input: &Input, document: &'d Document) -> Self {
        Self { document, text: input.text.chars().collect(), edits: Vec::new() }
    }

    /// Sets the field `buckets` of the mapping at `parent`: in its place, or in
    /// place of the field `instead_of`, or behind the first of `after`.
    pub(crate) fn set_buckets(
        &mut self,
        parent: &Path,
        ranges: &[[u32; 2]],
        instead_of: &str,
        after: &[&str],
    ) -> Result<(), Failure> {
        let place = parent.key("buckets");
        let mapping = self.locate(parent)?;
        if let Some(old) = self.document.locate(&place) {
            let (start, end) = (old.value.start, self.end_of(&place)?);
            let is_block = old.last.is_some() && !self.is_flow(&old);
            let text = if is_block && !ranges.is_empty() {
                let between = format!("\n{}", self.indent_of(start));
                let items: Vec<String> =
                    ranges.iter().map(|[first, last]| format!("- [{first}, {last}]")).collect();
                items.join(&between)
            } else {
                written(ranges)
            };
            self.edits.push((start, end, text));
            return Ok(());
        }
        let quote = if self.is_json(&mapping) { "\"" } else { "" };
        let field = format!("{quote}buckets{quote}: {}", written(ranges));
        if let Some(old) = self.document.locate(&parent.key(instead_of)) {
            let start = old.name.map_or(old.value.start, |name| name.start);
            self.edits.push((start, self.end_of(&parent.key(instead_of))?, field));
            return Ok(());
        }
        let behind =
            after.iter().map(|name| parent.key(name)).find(|path| self.document.locate(path).is_some());
        let behind = behind.ok_or_else(|| lost(parent))?;
        let (name, end) = (self.locate(&behind)?.name, self.end_of(&behind)?);
        let name = name.ok_or_else(|| lost(&behind))?;
        let starts_line = self.is_first_on_line(name.start);
        let indent = self.indent_of(name.start);
        match (self.is_flow(&mapping), starts_line) {
            (true, true) => self.edits.push((end, end, format!(",\n{indent}{field}"))),
            (true, false) => self.edits.push((end, end, format!(", {field}"))),
            (false, _) => {
                let end = self.line_end(end);
                self.edits.push((end, end, format!("\n{indent}{field}")));
            }
        }
        Ok(())
    }

    /// Adds a variant behind entry `last` of the list at `list`.
    pub(crate) fn add_variant(
        &mut self,
        list: &Path,
        last: usize,
        id: &str,
        ranges: &[[u32; 2]],
    ) -> Result<(), Failure> {
        let all = self.locate(list)?;
        let last = list.index(last);
        let (start, end) = (self.locate(&last)?.value.start, self.end_of(&last)?);
        let ranges = written(ranges);
        let item = if self.is_json(&self.locate(&last)?) {
            format!("{{ \"id\": \"{id}\", \"buckets\": {ranges} }}")
        } else {
            format!("{{ id: {id}, buckets: {ranges} }}")
        };
        let edit = if !self.is_flow(&all) {
            let indent = self.indent_of(self.dash_before(start));
            let end = self.line_end(end);
            (end, end, format!("\n{indent}- {item}"))
        } else if self.is_first_on_line(start) {
            (end, end, format!(",\n{}{item}", self.indent_of(start)))
        } else {
            (end, end, format!(", {item}"))
        };
        self.edits.push(edit);
        Ok(())
    }

    /// Removes entry `index` of the list at `list`; `is_tail`: nothing behind it
    /// stays, but something before it does.
    pub(crate) fn remove_item(&mut self, list: &Path, index: usize, is_tail: bool) -> Result<(), Failure> {
        let item = list.index(index);
        let (start, end) = (self.locate(&item)?.value.start, self.end_of(&item)?);
        let edit = if !self.is_flow(&self.locate(list)?) {
            let first = self.line_start(self.dash_before(start));
            (first, (self.line_end(end) + 1).min(self.text.len()), String::new())
        } else if !is_tail {
            (start, self.locate(&list.index(index + 1))?.value.start, String::new())
        } else {
            (self.end_of(&list.index(index.saturating_sub(1)))?, end, String::new())
        };
        self.edits.push(edit);
        Ok(())
    }

    /// The changed text.
    pub(crate) fn finish(mut self) -> Result<String, Failure> {
        self.edits.sort_by_key(|(start, end, _)| (*start, *end));
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for (start, end, replacement) in &self.edits {
            // Two places with one text: a YAML alias.
            let kept = self.text.get(done..*start).ok_or_else(|| {
                Failure::Problems(
                    "one piece of text gives several values (a YAML alias), so it cannot be edited alone"
                        .to_owned(),
                )
            })?;
            text.extend(kept);
            text.push_str(replacement);
            done = *end;
        }
        text.extend(self.text.get(done..).unwrap_or_default());
        Ok(text)
    }

    fn locate(&self, path: &Path) -> Result<Located, Failure> {
        self.document.locate(path).ok_or_else(|| lost(path))
    }

    /// Where the text of the value ends. A block collection's own span goes on
    /// to the next token; its last entry's does not.
    fn end_of(&self, path: &Path) -> Result<usize, Failure> {
        let located = self.locate(path)?;
        match &located.last {
            Some(last) if !self.is_flow(&located) => self.end_of(&match last {
                Segment::Key(name) => path.key(name),
                Segment::Index(index) => path.index(*index),
            }),
            _ => Ok(self.trimmed(located.value.start, located.value.end)),
        }
    }

    /// `end` without the blanks that the parser counts to a flow collection.
    fn trimmed(&self, start: usize, end: usize) -> usize {
        let inside = self.text.get(start..end).unwrap_or_default();
        start + inside.iter().rposition(|c| !c.is_whitespace()).map_or(0, |last| last + 1)
    }

    fn is_flow(&self, located: &Located) -> bool {
        matches!(self.text.get(located.value.start), Some('{' | '['))
    }

    /// Whether a mapping's names are quoted.
    fn is_json(&self, mapping: &Located) -> bool {
        let inside = self.text.get(mapping.value.start..).unwrap_or_default();
        inside.first() == Some(&'{') && inside.iter().skip(1).find(|c| !c.is_whitespace()) == Some(&'"')
    }

    fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before.iter().rposition(|c| *c == '\n').map_or(0, |newline| newline + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
    }

    fn is_first_on_line(&self, at: usize) -> bool {
        let before = self.text.get(self.line_start(at)..at).unwrap_or_default();
        before.iter().all(|c| c.is_whitespace())
    }

    /// Blanks up to the column of `at`.
    fn indent_of(&self, at: usize) -> String {
        let before = self.text.get(self.line_start(at)..at).unwrap_or_default();
        before.iter().map(|c| if *c == '\t' { '\t' } else { ' ' }).collect()
    }

    /// The dash of the block list entry that begins at `start`.
    fn dash_before(&self, start: usize) -> usize {
        let before = self.text.get(..start).unwrap_or_default();
        before.iter().rposition(|c| *c == '-').unwrap_or(start)
    }
}

fn lost(path: &Path) -> Failure {
    Failure::Problems(format!(
        "cannot find {path} in the source text (a JSON file indented with tabs cannot be edited in place)"
    ))
}

/// The experiment `id` and its index.
pub(crate) fn experiment<'c>(
    config: &'c wire::Config,
    id: &str,
) -> Result<(usize, &'c wire::Experiment), Failure> {
    let ids = || config.experiments.iter().map(|experiment| experiment.id.as_str());
    config.experiments.iter().enumerate().find(|(_, experiment)| experiment.id == id).ok_or_else(|| {
        let near = splitway_engine::did_you_mean(id, ids());
        let advice = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Failure::Usage(format!("no experiment `{id}` in the config{advice}"))
    })
}

/// Checks that `text` is `expected`, and writes it or prints the change.
/// The text may have no errors but those that `is_next` forgives.
pub(crate) fn settle(
    input: &Input,
    file: &PathBuf,
    text: String,
    expected: &wire::Config,
    write: bool,
    is_next: impl Fn(&Problem) -> bool,
) -> Outcome {
    let changed = Input::of(&input.name, text);
    let unfit = || {
        let why = "this layout cannot be edited without changing something else, so nothing was written";
        Failure::Problems(why.to_owned())
    };
    let document = changed.document().map_err(|_| unfit())?;
    if let Err(problems) = compile_with(&document, Secrets::WITHHELD)
        && problems.iter().any(|problem| problem.severity == Severity::Error && !is_next(problem))
    {
        return Err(changed.refuse(&problems));
    }
    if read_wire(&document) != *expected {
        return Err(unfit());
    }
    if write {
        must_be_file(file)?;
        std::fs::write(file, &changed.text)
            .map_err(|error| Failure::Usage(format!("{}: {error}", input.name)))?;
        return Ok(Exit::Fine);
    }
    let diff = TextDiff::from_lines(&input.text, &changed.text);
    let patch = diff.unified_diff().header(&input.name, &input.name).to_string();
    crate::outcome::print(patch.trim_end_matches('\n'))
}
