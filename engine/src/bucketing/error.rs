//! What can be wrong with a dialect's parameters.

use splitway_document::describe_number;

use std::fmt;

/// A parameter a dialect cannot run with. `field` is its name in the config, `expected` a phrase
/// that completes "expected …".
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterError {
    /// A list that needs entries has none, or a text is empty.
    Empty {
        /// The parameter.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A list has another length than the list of variants.
    Count {
        /// The parameter.
        field: &'static str,
        /// Entries needed.
        expected: usize,
        /// Entries given.
        found: usize,
    },
    /// A number is not finite or outside its bounds.
    Number {
        /// The parameter.
        field: &'static str,
        /// Position in the list, if the parameter is one.
        index: Option<usize>,
        /// The bounds.
        expected: &'static str,
        /// The number.
        found: f64,
    },
    /// A range is not finite, reversed or outside its bounds.
    Range {
        /// The parameter.
        field: &'static str,
        /// Position in the list.
        index: usize,
        /// The bounds.
        expected: &'static str,
        /// Start and end.
        found: (f64, f64),
    },
    /// Numbers are fine one by one but not in sum.
    Total {
        /// The parameter.
        field: &'static str,
        /// The bounds of the sum.
        expected: &'static str,
        /// The sum.
        found: f64,
    },
    /// An entry names a variant the experiment does not have.
    Variant {
        /// The parameter.
        field: &'static str,
        /// Position in the list.
        index: usize,
        /// How many variants there are.
        expected: usize,
        /// The variant's position.
        found: usize,
    },
}

impl ParameterError {
    /// The parameter's name in the config.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Empty { field, .. }
            | Self::Count { field, .. }
            | Self::Number { field, .. }
            | Self::Range { field, .. }
            | Self::Total { field, .. }
            | Self::Variant { field, .. } => field,
        }
    }

    /// The entry's position, where the parameter is a list and one entry is to blame.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Number { index, .. } => *index,
            Self::Range { index, .. } | Self::Variant { index, .. } => Some(*index),
            Self::Empty { .. } | Self::Count { .. } | Self::Total { .. } => None,
        }
    }
}

impl ParameterError {
    /// What would have been right.
    pub fn expected(&self) -> String {
        match self {
            Self::Empty { expected, .. } | Self::Number { expected, .. } | Self::Range { expected, .. } => {
                (*expected).to_owned()
            }
            Self::Count { expected, .. } => format!("{expected} entries"),
            Self::Total { expected, .. } => format!("a sum of {expected}"),
            Self::Variant { expected, .. } => format!("one of {expected} variants"),
        }
    }

    /// What is there instead.
    pub fn found(&self) -> String {
        match self {
            Self::Empty { .. } => "nothing".to_owned(),
            Self::Count { found, .. } => found.to_string(),
            Self::Number { found, .. } | Self::Total { found, .. } => describe_number(*found),
            Self::Range { found: (start, end), .. } => {
                format!("[{}, {}]", describe_number(*start), describe_number(*end))
            }
            Self::Variant { found, .. } => format!("position {found}"),
        }
    }
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())?;
        if let Some(index) = self.index() {
            write!(f, "[{index}]")?;
        }
        write!(f, ": expected {}, found {}", self.expected(), self.found())
    }
}

impl std::error::Error for ParameterError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_was_expected_and_found() {
        let error = ParameterError::Range {
            field: "ranges",
            index: 1,
            expected: "0 <= start <= end <= 1",
            found: (0.5, 0.25),
        };
        if splitway_document::MESSAGES {
            assert_eq!(error.to_string(), "ranges[1]: expected 0 <= start <= end <= 1, found [0.5, 0.25]");
        }
        assert_eq!((error.field(), error.index()), ("ranges", Some(1)));
    }
}
