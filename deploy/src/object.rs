//! An object of Kubernetes, and the file that it goes to.

use serde_json::Value;

/// A Kubernetes object, and the file that it is written to.
pub(crate) struct Object {
    /// The file's name without its ending.
    pub(crate) file: String,
    pub(crate) value: Value,
    /// What the object does, in a sentence.
    pub(crate) remark: &'static str,
}
