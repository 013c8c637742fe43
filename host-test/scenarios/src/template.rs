//! What `{{…}}` in a scenario's texts stands for: a captured value, or a QA token.

use std::collections::BTreeMap;

use splitway_document::{did_you_mean, parse_duration};
use splitway_engine::Timestamp;
use splitway_engine::qa_token::{Choice, Claims, sign};

/// What texts are filled in with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    captured: BTreeMap<String, String>,
    /// Which of the repetitions of a request it is, from 1 on.
    pub(crate) number: u32,
    /// The host's time.
    pub(crate) now: Timestamp,
    /// The keys of the config in force: id and secret.
    pub(crate) keys: Vec<(String, String)>,
}

impl Values {
    /// Keeps what was captured.
    pub(crate) fn keep(&mut self, captured: Vec<(String, String)>) {
        self.captured.extend(captured);
    }

    /// `text` with every `{{…}}` filled in.
    ///
    /// # Errors
    /// For a name that nothing captured, and for a token that is not described fully.
    pub(crate) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inside, tail)) = after.split_once("}}") else {
                return Err(format!("`{{{{` without `}}}}` in `{text}`"));
            };
            filled.push_str(before);
            filled.push_str(&self.value(inside.trim())?);
            rest = tail;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, inside: &str) -> Result<String, String> {
        if let Some(arguments) = inside.strip_prefix("token ") {
            return self.token(arguments);
        }
        if inside == "number" {
            return Ok(self.number.to_string());
        }
        self.captured.get(inside).cloned().ok_or_else(|| {
            let names: Vec<&str> = self.captured.keys().map(String::as_str).collect();
            match did_you_mean(inside, names.iter().copied()) {
                Some(near) => format!("nothing was captured as `{inside}`; did you mean `{near}`?"),
                None if names.is_empty() => {
                    format!("nothing was captured as `{inside}`: write `capture: {inside}` in an expectation above")
                }
                None => format!("nothing was captured as `{inside}`, only {}", names.join(", ")),
            }
        })
    }

    fn token(&self, arguments: &str) -> Result<String, String> {
        const KNOWN: [&str; 8] =
            ["experiment", "variant", "debug", "expires", "key", "secret", "subject", "nonce"];
        let mut given = BTreeMap::new();
        for word in arguments.split_whitespace() {
            let word = if word == "debug" { "debug=" } else { word };
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| format!("`{word}` in a token is not of the form name=value"))?;
            if !KNOWN.contains(&name) {
                return Err(format!("a token has no `{name}`, only {}", KNOWN.join(", ")));
            }
            given.insert(name, value);
        }
        let needed = |name: &str| given.get(name).ok_or_else(|| format!("a token needs `{name}=…`"));
        let (key, known) = match given.get("key") {
            Some(id) => (*id, self.keys.iter().find(|(known, _)| known == id)),
            None => {
                let first = self.keys.first();
                (first.map_or("", |(id, _)| id), first)
            }
        };
        let secret = given.get("secret").copied().or(known.map(|(_, secret)| secret.as_str()));
        let secret = secret.ok_or_else(|| {
            format!("the config has no key `{key}` under qa_tokens; give a `secret=…` to sign with another")
        })?;
        let expires = given.get("expires").copied().unwrap_or("1h");
        let (sign_of, duration) = match expires.strip_prefix('-') {
            Some(duration) => (-1, duration),
            None => (1, expires),
        };
        let milliseconds = parse_duration(duration)
            .and_then(|milliseconds| i64::try_from(milliseconds).ok())
            .ok_or_else(|| format!("`expires={expires}`: expected a duration from now such as 1h or -5m"))?;
        let debug = given.contains_key("debug");
        let choice = if debug && !given.contains_key("experiment") && !given.contains_key("variant") {
            None
        } else {
            let (experiment, variant) = (needed("experiment")?, needed("variant")?);
            Some(Choice { experiment: (*experiment).to_owned(), variant: (*variant).to_owned() })
        };
        let claims = Claims {
            choice,
            debug,
            subject: given.get("subject").map(|subject| (*subject).to_owned()),
            expires: (self.now.0 + sign_of * milliseconds).div_euclid(1000),
            nonce: given.get("nonce").copied().unwrap_or("n").to_owned(),
        };
        Ok(sign(&claims, key, secret.as_bytes()))
    }
}

/// Whether values can be captured under this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_values_are_filled_in_and_others_named() {
        let mut values = Values::default();
        values.keep(vec![("cookie".to_owned(), "abc".to_owned())]);
        assert_eq!(values.fill("a={{cookie}}; {{ cookie }}").unwrap(), "a=abc; abc");
        assert_eq!(values.fill("no braces").unwrap(), "no braces");
        assert!(values.fill("{{cooki}}").unwrap_err().contains("did you mean"));
        assert!(values.fill("{{cookie").is_err());
    }
}
