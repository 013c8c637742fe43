//! Other Splitways that a request passes: what they have stamped stays, what only a client or an
//! application can have written goes.

use std::borrow::Cow;

use crate::plan::Plan;

impl Plan {
    /// Whether requests come from another Splitway only, so that what it has put on them stays.
    #[must_use]
    pub fn is_behind_another(&self) -> bool {
        self.neighbours.in_front
    }

    /// Whether responses come from another Splitway only, so that what it has put on them stays.
    #[must_use]
    pub fn is_in_front_of_another(&self) -> bool {
        self.neighbours.behind
    }

    /// What others say in a stamp: `stamp` without members of this config's experiments, which only
    /// this config can give. The same bytes if there are none.
    #[must_use]
    pub fn others_in<'s>(&self, stamp: &'s [u8]) -> Cow<'s, [u8]> {
        let members = || stamp.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if members().all(|member| self.is_others(member)) {
            return Cow::Borrowed(stamp);
        }
        let mut kept = Vec::with_capacity(stamp.len());
        for member in members().filter(|member| !member.is_empty() && self.is_others(member)) {
            push_member(&mut kept, member);
        }
        Cow::Owned(kept)
    }

    /// Whether a member, `<experiment>=<variant>` with whatever parameters, is of no experiment of this
    /// config.
    pub(crate) fn is_others(&self, member: &[u8]) -> bool {
        let end = member.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(member.len());
        let key = member.get(..end).unwrap_or_default().trim_ascii();
        !std::str::from_utf8(key).is_ok_and(|key| self.find(key).is_some())
    }
}

/// Appends members to a stamp.
pub fn push_member(stamp: &mut Vec<u8>, members: &[u8]) {
    if !stamp.is_empty() && !members.is_empty() {
        stamp.extend_from_slice(b", ");
    }
    stamp.extend_from_slice(members);
}

#[cfg(test)]
mod tests {
    use crate::{Document, compile};

    #[test]
    fn members_of_other_configs_stay() {
        let text = br#"{"version":1,"unit":[{"header":"u"}],"neighbours":{"in_front":true},
            "experiments":[{"id":"own","variants":[{"id":"a"}]},{"id":"idle","status":"paused","variants":[{"id":"a"}]}]}"#;
        let plan = compile(&Document::from_json(text).unwrap()).unwrap();
        assert!(plan.is_behind_another() && !plan.is_in_front_of_another());
        for (stamp, others) in [
            ("", ""),
            ("a=b, c=\"1\"", "a=b, c=\"1\""),
            ("own=b", ""),
            (" own = b;p=1,a=b , own;x,idle=a,c", "a=b, c"),
            ("owner=b", "owner=b"),
            ("own", ""),
        ] {
            assert_eq!(&*plan.others_in(stamp.as_bytes()), others.as_bytes(), "{stamp}");
        }
        assert_eq!(&*plan.others_in(b"own=a, \xff=b"), b"\xff=b");
    }
}
