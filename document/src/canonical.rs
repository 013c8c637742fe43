//! Tree -> canonical JSON: no white space, keys sorted.

use crate::tree::{Document, Value};

impl Document {
    /// Canonical JSON: no white space, keys sorted. What the filter is given.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        write(&self.root.value, &mut text);
        text
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Decimal(value) => out.push_str(&value.to_string()),
        Value::Text(value) => quote(value, out),
        Value::List(items) => {
            for (position, item) in items.iter().enumerate() {
                out.push(if position == 0 { '[' } else { ',' });
                write(&item.value, out);
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
            for (position, (key, node)) in sorted.iter().enumerate() {
                out.push(if position == 0 { '{' } else { ',' });
                quote(&key.name, out);
                out.push(':');
                write(&node.value, out);
            }
            out.push_str(if entries.is_empty() { "{}" } else { "}" });
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
