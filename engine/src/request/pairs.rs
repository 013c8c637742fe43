//! Long cookies and queries, indexed by name: one pass, whatever the number of names that are asked for.

use super::text::{MAX_PARAMETERS, escapes, form_decoded, split_at_semicolon, usable};

/// How pairs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// `name=value` with `;` between; nothing is decoded.
    Cookie,
    /// `name=value` with `&` between; form-encoded.
    Query,
}

impl Syntax {
    /// The first pair of `text`, and what comes after it.
    fn split(self, text: &[u8]) -> (&[u8], Option<&[u8]>) {
        match self {
            Self::Cookie => split_at_semicolon(text),
            Self::Query => {
                let end = text.iter().position(|byte| *byte == b'&');
                end.map_or((text, None), |end| {
                    (text.get(..end).unwrap_or_default(), text.get(end.saturating_add(1)..))
                })
            }
        }
    }

    /// Name and value of a pair.
    pub(crate) fn parts(self, pair: &[u8]) -> (&[u8], &[u8]) {
        let pair = if self == Self::Cookie { pair.trim_ascii_start() } else { pair };
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let name = pair.get(..end).unwrap_or_default();
        let name = if self == Self::Cookie { name.trim_ascii_end() } else { name };
        (name, pair.get(end.saturating_add(1)..).unwrap_or_default())
    }

    /// Whether `written` spells `name`.
    pub(crate) fn names(self, written: &[u8], name: &[u8]) -> bool {
        match self {
            Self::Query if written.iter().any(|byte| matches!(byte, b'%' | b'+')) => {
                form_decoded(written).eq(name.iter().copied())
            }
            _ => written == name,
        }
    }

    /// Whether the first pair of `text` has the name that is spelt `name`. Stops at the first difference.
    fn begins(self, text: &[u8], name: &[u8]) -> bool {
        match self {
            Self::Cookie => text
                .trim_ascii_start()
                .strip_prefix(name)
                .is_some_and(|rest| matches!(rest.trim_ascii_start().first(), None | Some(b'=' | b';'))),
            Self::Query => {
                let end = |(byte, escaped): &(u8, bool)| *escaped || !matches!(byte, b'=' | b'&');
                let plus = |(byte, escaped): (u8, bool)| if byte == b'+' && !escaped { b' ' } else { byte };
                escapes(text).take_while(end).map(plus).eq(form_decoded(name))
            }
        }
    }

    /// FNV-1a of the name that is spelt so. Whoever makes names collide loses only their own.
    fn hash(self, written: &[u8]) -> u32 {
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        match self {
            Self::Cookie => written.iter().copied().fold(0x811c_9dc5, step),
            Self::Query => form_decoded(written).fold(0x811c_9dc5, step),
        }
    }

    /// Whether the value can identify a unit.
    fn is_usable(self, value: &[u8], decoded: &mut Vec<u8>) -> bool {
        if self == Self::Query && value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
            decoded.clear();
            decoded.extend(form_decoded(value));
            return usable(decoded).is_some();
        }
        usable(value).is_some()
    }
}

/// The place of each name's first usable pair, or of its first if none is usable: a hash table.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Where the pair begins in the lines, counted as if they were one text; [`FREE`] if there is none.
    place: u32,
    /// The name's hash; its lowest bit says that the value is usable.
    mark: u32,
}

const FREE: u32 = u32::MAX;
/// Slots in a row that a name may be in: bounds what names that collide can cost.
const REACH: usize = 8;

impl Index {
    pub(crate) fn new<'a>(syntax: Syntax, lines: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let separator = if syntax == Syntax::Cookie { b';' } else { b'&' };
        let count = |line: &[u8]| line.iter().filter(|byte| **byte == separator).count().saturating_add(1);
        let mut left = if syntax == Syntax::Query { MAX_PARAMETERS } else { usize::MAX };
        let pairs = lines.clone().map(count).fold(0, usize::saturating_add).min(left);
        let size = pairs.saturating_mul(2).next_power_of_two();
        let mut index = Self { slots: vec![Slot { place: FREE, mark: 0 }; size].into() };
        let mut decoded = Vec::new();
        let mut start = 0_usize;
        for line in lines.clone() {
            let mut rest = Some(line);
            while let Some(text) = rest.filter(|_| left > 0) {
                left = left.saturating_sub(1);
                let at = start.saturating_add(line.len().saturating_sub(text.len()));
                let (pair, after) = syntax.split(text);
                let (name, value) = syntax.parts(pair);
                if let (Ok(place), false) = (u32::try_from(at), name.is_empty()) {
                    let usable = u32::from(syntax.is_usable(value, &mut decoded));
                    let mark = syntax.hash(name) & !1 | usable;
                    index.add(Slot { place, mark }, |known| {
                        syntax.begins(text_at(lines.clone(), known), name)
                    });
                }
                rest = after;
            }
            start = start.saturating_add(line.len());
        }
        index
    }

    /// Puts in a pair, unless its name is there; `is_same` is whether the pair at a place has its name.
    fn add(&mut self, pair: Slot, is_same: impl Fn(u32) -> bool) {
        for slot in self.reach(pair.mark) {
            let Some(slot) = self.slots.get_mut(slot) else { return };
            if slot.place == FREE {
                *slot = pair;
                return;
            }
            if slot.mark & !1 == pair.mark & !1 && is_same(slot.place) {
                // A usable one takes the place of one that is not, and no other does.
                if pair.mark & !slot.mark & 1 != 0 {
                    *slot = pair;
                }
                return;
            }
        }
    }

    fn reach(&self, mark: u32) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len().saturating_sub(1);
        let start = usize::try_from(mark >> 1).unwrap_or(0);
        (0..REACH.min(self.slots.len())).map(move |step| start.wrapping_add(step) & mask)
    }

    /// The value of `name` as it is written.
    pub(crate) fn find<'a>(
        &self,
        syntax: Syntax,
        lines: impl Iterator<Item = &'a [u8]> + Clone,
        name: &str,
    ) -> Option<&'a [u8]> {
        // A name that is asked for is not encoded.
        let mark = Syntax::Cookie.hash(name.as_bytes());
        for slot in self.reach(mark) {
            let slot = self.slots.get(slot)?;
            if slot.place == FREE {
                return None;
            }
            if slot.mark & !1 != mark & !1 {
                continue;
            }
            let (written, value) = syntax.parts(syntax.split(text_at(lines.clone(), slot.place)).0);
            if syntax.names(written, name.as_bytes()) {
                return Some(value);
            }
        }
        None
    }
}

/// The line from the place on.
fn text_at<'a>(lines: impl Iterator<Item = &'a [u8]>, place: u32) -> &'a [u8] {
    let mut left = usize::try_from(place).unwrap_or(usize::MAX);
    for line in lines {
        match line.get(left..) {
            Some(text) if !text.is_empty() => return text,
            _ => left = left.saturating_sub(line.len()),
        }
    }
    &[]
}
