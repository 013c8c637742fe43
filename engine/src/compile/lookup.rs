//! Secrets from outside.

/// Where [`crate::compile_with`] finds the secrets that a config names by a variable: a function from
/// the variable's name to its bytes.
///
/// An input of the compiler and not a call of the standard library: the engine has no environment,
/// and a host may have one of another kind (WASI's, a worker's bindings).
#[derive(Clone, Copy)]
pub enum Secrets<'a> {
    /// A config whose variable is not set is refused: for whoever serves requests by it.
    Required(&'a dyn Fn(&str) -> Option<Vec<u8>>),
    /// A variable may be missing: for tools. The plan then does without what depends on it: it shows no
    /// pseudonym, makes no provisional ids, accepts no token of that key.
    Optional(&'a dyn Fn(&str) -> Option<Vec<u8>>),
}

impl Secrets<'_> {
    /// None is looked up and none is missed: for tools that check, compare or render a config.
    pub const WITHHELD: Secrets<'static> = Secrets::Optional(&|_| None);
}

impl std::fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Required(_) => "Required(lookup)",
            Self::Optional(_) => "Optional(lookup)",
        })
    }
}
