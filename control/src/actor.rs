//! Who did something.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who did something. In the log it is a text such as `person:ann`, never a key into a table of users, and never blank.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// A person, by the name that the identity provider gives.
    Person(String),
    /// A token, by the name under which it was made.
    Token(String),
    /// The author of a commit.
    Git(String),
    /// The passing of time.
    Schedule,
    /// A guardrail.
    Guardrail,
    /// An error budget.
    Budget,
    /// The verdict of an analysis.
    Verdict,
}

/// A person, token or author without a name, or an unknown kind of actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlankActor;

impl fmt::Display for BlankActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an actor such as `person:ann`, found none")
    }
}

impl std::error::Error for BlankActor {}

impl Actor {
    /// A person.
    ///
    /// # Errors
    /// A blank name.
    pub fn person(name: &str) -> Result<Self, BlankActor> {
        Self::try_from(format!("person:{name}"))
    }

    /// The name of who acts by an own will; `None` for the machinery.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Person(name) | Self::Token(name) | Self::Git(name) => Some(name),
            Self::Schedule | Self::Guardrail | Self::Budget | Self::Verdict => None,
        }
    }
}

impl TryFrom<String> for Actor {
    type Error = BlankActor;

    fn try_from(text: String) -> Result<Self, BlankActor> {
        let (kind, name) = text.split_once(':').unwrap_or((&text, ""));
        let named = || Some(name.trim().to_owned()).filter(|name| !name.is_empty()).ok_or(BlankActor);
        match kind {
            "person" => Ok(Self::Person(named()?)),
            "token" => Ok(Self::Token(named()?)),
            "git" => Ok(Self::Git(named()?)),
            "schedule" => Ok(Self::Schedule),
            "guardrail" => Ok(Self::Guardrail),
            "budget" => Ok(Self::Budget),
            "verdict" => Ok(Self::Verdict),
            _ => Err(BlankActor),
        }
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(f, "person:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Git(name) => write!(f, "git:{name}"),
            Self::Schedule => f.write_str("schedule"),
            Self::Guardrail => f.write_str("guardrail"),
            Self::Budget => f.write_str("budget"),
            Self::Verdict => f.write_str("verdict"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_never_blank() {
        for text in ["", "person:", "person: ", "token:", "git", "nobody:x"] {
            assert_eq!(Actor::try_from(text.to_owned()), Err(BlankActor), "{text}");
        }
        for text in ["person:ann", "token:ci", "git:bob", "schedule", "guardrail", "budget", "verdict"] {
            assert_eq!(Actor::try_from(text.to_owned()).map(String::from).as_deref(), Ok(text));
        }
    }
}
