//! Places: of a value in a document, and of a piece in its text.

use std::fmt;

/// Where in a document: `experiments[0].variants[1].weight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<Segment>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field of a mapping.
    Key(String),
    /// An entry of a list, from 0.
    Index(usize),
}

impl Path {
    /// The path of a field below this one.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(Segment::Key(name.to_owned()));
        Self(segments)
    }

    /// The path of a list entry below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut segments = self.0.clone();
        segments.push(Segment::Index(index));
        Self(segments)
    }

    /// The path of what is at `other` in the value at this one.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let mut segments = self.0.clone();
        segments.extend(other.0.iter().cloned());
        Self(segments)
    }

    /// Whether `other` is this place or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(document)");
        }
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(name) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    // A document's own text: it must not break out of its line.
                    let mut plain =
                        name.chars().take(64).filter(|c| !c.is_control() && !matches!(c, '{' | '"'));
                    plain.try_for_each(|c| fmt::Write::write_char(f, c))?;
                }
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A [`Path`] that costs nothing until a problem needs it: a list on the stack.
#[derive(Clone, Copy, Debug)]
pub enum Place<'p> {
    /// The whole document.
    Root,
    /// A field of a mapping.
    Key(&'p Place<'p>, &'p str),
    /// An entry of a list, from 0.
    Index(&'p Place<'p>, usize),
}

impl Place<'_> {
    /// The place of a field below this one.
    #[must_use]
    pub fn key<'s>(&'s self, name: &'s str) -> Place<'s> {
        Place::Key(self, name)
    }

    /// The place of a list entry below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Place<'_> {
        Place::Index(self, index)
    }

    /// This place as a path.
    #[must_use]
    pub fn path(&self) -> Path {
        match self {
            Self::Root => Path::default(),
            Self::Key(parent, name) => parent.path().key(name),
            Self::Index(parent, index) => parent.path().index(*index),
        }
    }
}

/// A place in the source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Start, in characters from the beginning of the text.
    pub start: usize,
    /// End (exclusive), in characters from the beginning of the text.
    pub end: usize,
}
