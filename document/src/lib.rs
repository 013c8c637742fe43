//! The ground floor: texts that people write, as a tree with places, and every mistake in them at once.
//!
//! [`Document`] is what JSON and YAML are read into; [`read`] makes values of our own types of it and goes on behind a
//! mistake; each mistake is a [`Problem`] with a [`Path`] in the document and a [`Span`] in the text. What a config or a
//! scenario means is not known here.
//!
//! ```
//! use splitway_document::{Code, Document, Entries, Problems, read};
//!
//! let document = Document::from_json(br#"{ "ages": { "ann": 41, "bob": "42" } }"#)?;
//! let mut problems = Problems::default();
//! let ages: Entries<Entries<u32>> = read(&document, &mut problems);
//! assert_eq!(ages.iter().count(), 1);
//! let mistake = problems.iter().next().unwrap();
//! assert_eq!((mistake.path.to_string().as_str(), mistake.code), ("ages.bob", Code::WrongType));
//! # Ok::<(), Problems>(())
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking"))]

#[cfg(feature = "advice")]
mod canonical;
mod decimal;
mod duration;
mod json;
#[cfg(feature = "yaml")]
mod locate;
mod path;
mod problem;
mod read;
#[cfg(feature = "snippets")]
mod snippet;
mod text;
mod tree;
#[cfg(feature = "yaml")]
mod yaml;

pub use decimal::Decimal;
pub use duration::{describe_duration, parse_duration};
#[cfg(feature = "yaml")]
pub use locate::Located;
pub use path::{Path, Place, Segment, Span};
pub use problem::{Code, MAX_PROBLEMS, Problem, Problems, Severity};
pub use read::{Cursor, Entries, Fields, Read, Want, read};
#[cfg(feature = "snippets")]
pub use snippet::Look;
pub use text::{ADVICE, MESSAGES, describe_number, describe_text, did_you_mean, said};
pub use tree::{Document, Key, MAX_BYTES, MAX_DEPTH, MAX_FIELDS, MAX_NODES, Node, Value};
