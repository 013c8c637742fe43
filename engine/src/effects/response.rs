//! Headers of the response that follow from a decision.

use crate::decide::Decision;
use crate::plan::Plan;
use crate::time::Timestamp;

impl Plan {
    /// The value of `Vary` for the response, if it depends on who asks.
    #[must_use]
    pub fn vary(&self, decision: &Decision) -> Option<&str> {
        let cache = self.cache.as_ref().filter(|_| decision.varies)?;
        Some(&*cache.vary).filter(|names| !names.is_empty())
    }

    /// The identity cookie's `Set-Cookie` value for the response at `now`, if it is
    /// new, renewed or deleted.
    #[must_use]
    pub fn set_cookie(&self, decision: &Decision, now: Timestamp) -> Option<String> {
        self.identity.mint.as_ref()?.set_cookie(&decision.cookie, now)
    }
}
