//! QA tokens: where they are looked for, and their keys.

use splitway_document::{Code, Place, prose};

use super::compiler::Compiler;
use super::limits::MIN_SECRET;
use crate::qa_token::{Key, TokenPolicy};

impl Compiler<'_> {
    pub(super) fn tokens(&mut self, at: Place<'_>) -> Option<TokenPolicy> {
        let tokens = self.config.qa_tokens.as_ref()?;
        let header = tokens.header.as_ref().and_then(|name| self.read_header(at.key("header"), name));
        let cookie = tokens.cookie.as_ref().and_then(|name| self.cookie_name(at.key("cookie"), name));
        let query = tokens.query.as_ref().and_then(|name| self.text(at.key("query"), name));
        if tokens.header.is_none() && tokens.cookie.is_none() && tokens.query.is_none() {
            self.error(at, Code::MissingField, "at least one of header, cookie, query", "none");
        }
        if !(1..=2).contains(&tokens.keys.len()) {
            let found = prose!("{}", tokens.keys.len());
            self.error_in(&at, "keys", Code::InvalidValue, "one key, or two while rotating", &found);
        }
        let mut keys: Vec<Key> = Vec::new();
        for (index, key) in tokens.keys.iter().take(2).enumerate() {
            let keys_at = at.key("keys");
            let at = keys_at.index(index);
            self.id(at.key("id"), &key.id);
            if keys.iter().any(|known| *known.id == *key.id) {
                self.error_in(
                    &at,
                    "id",
                    Code::DuplicateId,
                    "each key id once",
                    &prose!("`{}` again", key.id),
                );
            }
            if let Some(secret) = self.secret(at.key("secret"), &key.secret, MIN_SECRET) {
                keys.push(Key { id: key.id.as_str().into(), secret: secret.into() });
            }
        }
        Some(TokenPolicy { header, cookie, query, keys: keys.into() })
    }
}
