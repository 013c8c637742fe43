//! Where the parts of a document are in its text, for tools that edit it.

use crate::path::{Path, Segment, Span};
use crate::problem::{Code, Problem, Problems};
use crate::tree::{Document, Key, Node, Value};

/// A value's place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The name of the field whose value it is; none for entries of lists.
    pub name: Option<Span>,
    /// The value. What is written over several lines by indentation alone ends
    /// only where the next token begins: see `last`.
    pub value: Span,
    /// The last entry of a list or mapping.
    pub last: Option<Segment>,
}

impl Document {
    /// The place of the value at `path`; none if there is no such value, or if
    /// the document was read as JSON. The value of a YAML alias is where its
    /// anchor is.
    #[must_use]
    pub fn locate(&self, path: &Path) -> Option<Located> {
        let mut node = &self.root;
        let mut name = None;
        for segment in &path.0 {
            (node, name) = match (&node.value, segment) {
                (Value::Map(entries), Segment::Key(wanted)) => {
                    let (key, node) = entries.iter().find(|(key, _)| key.name == *wanted)?;
                    (node, key.span)
                }
                (Value::List(items), Segment::Index(index)) => (items.get(*index)?, None),
                _ => return None,
            };
        }
        let last = match &node.value {
            Value::Map(entries) => entries.last().map(|(key, _)| Segment::Key(key.name.clone())),
            Value::List(items) => items.len().checked_sub(1).map(Segment::Index),
            _ => None,
        };
        node.span.map(|value| Located { name, value, last })
    }

    /// Fills in each problem's place in the text, and puts them in the order of the text.
    pub fn locate_problems(&self, problems: &mut Problems) {
        problems.locate(|problem| self.span_of(problem));
    }

    /// The source place of `path`, or of its nearest existing ancestor.
    /// Where the field's name is what is wrong, that of the name.
    fn span_of(&self, problem: &Problem) -> Option<Span> {
        let Problem { path, code, is_in_name, .. } = problem;
        let mut node = &self.root;
        let mut span = node.span;
        for (position, segment) in path.0.iter().enumerate() {
            let last = position.checked_add(1) == Some(path.0.len());
            let next = match (&node.value, segment) {
                (Value::Map(entries), Segment::Key(name)) => {
                    let matching = |entry: &&(Key, Node)| entry.0.name == *name;
                    let entry = if *code == Code::DuplicateField && last {
                        entries.iter().rfind(matching)
                    } else {
                        entries.iter().find(matching)
                    };
                    entry.map(|(key, node)| {
                        let on_key = last && *is_in_name;
                        (node, if on_key { key.span } else { node.span })
                    })
                }
                (Value::List(items), Segment::Index(index)) => items.get(*index).map(|n| (n, n.span)),
                _ => None,
            };
            let Some((child, place)) = next else { break };
            node = child;
            span = place.or(span);
        }
        span
    }
}
