//! Where the parts of a document are in its text, for tools that edit it.

use super::{Document, Value};
use crate::problem::{Path, Segment, Span};

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
}
