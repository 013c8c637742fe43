//! Digests of documents: a config's version, and what an experiment's guardrails depend on.

use sha2::{Digest, Sha256};
use splitway_document::{Document, Key, Node, Value};

use crate::hex::hex;
use crate::order::insert_by;

/// First 16 hex digits of a SHA-256 over the document's values, mappings in
/// the order of their keys: the config version in every exposure. Layout,
/// comments, key order and YAML or JSON do not change it.
#[must_use]
pub fn content_hash(document: &Document) -> String {
    let mut digest = Sha256::new();
    feed(&document.root, &mut digest);
    hex(&digest.finalize(), 8)
}

/// Identifies what decides the experiment at `position`, and its guardrail at `index`: its variants, bucketing,
/// targeting, layer and unit. Another owner, more traffic, another status or an edit of another experiment
/// leave it as it is.
pub(crate) fn digest_of_guardrail(document: &Document, position: usize, index: usize) -> u64 {
    let experiment = document.root.get("experiments").and_then(|list| list.item(position));
    let own = |name: &str| experiment?.get(name);
    let parts = [
        own("variants"),
        own("bucketing"),
        own("targeting"),
        own("layer"),
        own("unit").or_else(|| document.root.get("unit")),
        own("guardrails").and_then(|list| list.item(index)),
    ];
    let mut digest = Sha256::new();
    for part in parts {
        match part {
            Some(part) => feed(part, &mut digest),
            None => digest.update([0]),
        }
    }
    digest.finalize().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Feeds kind, length and content, so that no two trees feed the same.
fn feed(node: &Node, digest: &mut Sha256) {
    let mut put = |kind: u8, length: usize, bytes: &[u8]| {
        digest.update([kind]);
        digest.update(u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(bytes);
    };
    match &node.value {
        Value::Null => put(b'n', 0, &[]),
        Value::Bool(value) => put(b'b', 0, &[u8::from(*value)]),
        Value::Int(value) => put(b'i', 0, &value.to_le_bytes()),
        Value::Decimal(value) => put(b'f', 0, &value.value().to_bits().to_le_bytes()),
        Value::Text(value) => put(b't', value.len(), value.as_bytes()),
        Value::List(items) => {
            put(b'l', items.len(), &[]);
            items.iter().for_each(|item| feed(item, digest));
        }
        Value::Map(entries) => {
            put(b'm', entries.len(), &[]);
            for (key, node) in by_key(entries) {
                digest.update(u64::try_from(key.name.len()).unwrap_or(u64::MAX).to_le_bytes());
                digest.update(key.name.as_bytes());
                feed(node, digest);
            }
        }
    }
}

fn by_key(entries: &[(Key, Node)]) -> Vec<&(Key, Node)> {
    let mut sorted = Vec::with_capacity(entries.len());
    for entry in entries {
        insert_by(&mut sorted, entry, |a: &&(Key, Node), b| a.0.name.cmp(&b.0.name));
    }
    sorted
}
