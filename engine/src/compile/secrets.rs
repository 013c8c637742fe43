//! Secrets that a config names by an environment variable instead of containing them.

use std::borrow::Cow;

use splitway_document::{Code, Place, Problem, describe_text, prose};

use super::compiler::Compiler;
use super::lookup::Secrets;
use crate::wire;

/// Longest name of a variable, in bytes.
const MAX_NAME: usize = 64;

impl Compiler<'_> {
    /// The bytes of a secret of at least `least` bytes. `None` where there is none to be had: then a
    /// problem says so, unless secrets are optional. No problem shows a secret.
    pub(super) fn secret<'s>(
        &mut self,
        at: Place<'_>,
        secret: &'s wire::Secret,
        least: usize,
    ) -> Option<Cow<'s, [u8]>> {
        let bytes = match secret {
            wire::Secret::Text(text) => Cow::Borrowed(text.as_bytes()),
            wire::Secret::Variable(variable) => Cow::Owned(self.variable(at, &variable.env)?),
        };
        if bytes.len() < least {
            let found = prose!("{} characters", String::from_utf8_lossy(&bytes).chars().count());
            self.error(at, Code::InvalidValue, &prose!("at least {least} random characters"), &found);
        }
        Some(bytes)
    }

    fn variable(&mut self, at: Place<'_>, name: &str) -> Option<Vec<u8>> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_name = name.len() <= MAX_NAME
            && name.bytes().all(is_inner)
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.is_empty();
        if !is_name {
            let expected = "the name of an environment variable, such as SPLITWAY_EXPOSURE_KEY";
            self.error_in(&at, "env", Code::InvalidValue, expected, &describe_text(name));
            return None;
        }
        let (lookup, is_required) = match self.secrets {
            Secrets::Required(lookup) => (lookup, true),
            Secrets::Optional(lookup) => (lookup, false),
        };
        let value = lookup(name);
        if value.is_none() && is_required {
            let expected = prose!("a secret in the environment variable {name}");
            let problem = Problem::error(
                at.key("env").path(),
                Code::MissingSecret,
                &expected,
                "a variable that is not set",
            );
            self.problems.push(
                problem.suggest(|| format!("set it: export {name}=…, the value that the proxies have")),
            );
        }
        value
    }
}
