//! The config reference, in Markdown, from the JSON Schema.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// `docs/config.md`.
pub(crate) fn markdown(schema: &Value) -> String {
    let mut text = "\
# Config reference

Made from the JSON Schema by `splitway schema --markdown`; the schema is `splitway schema`. Fields in **bold** must be there.
A field that is not here is refused, with the nearest name that is.

## The document

"
    .to_owned();
    shape(&mut text, schema);
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        let _ = writeln!(text, "\n## {name}\n\n{}\n", words(definition));
        shape(&mut text, definition);
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

/// The fields, or the forms, of a type.
fn shape(text: &mut String, schema: &Value) {
    if schema["properties"].is_object() {
        fields(text, schema);
    }
    for form in schema["oneOf"].as_array().or(schema["anyOf"].as_array()).into_iter().flatten() {
        if form["properties"].is_object() {
            let _ = writeln!(text, "{}\n", words(form));
            fields(text, form);
        } else {
            let about = words(form);
            let colon = if about.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "- {}{colon}{about}", kind(form));
        }
    }
    if schema["type"] == "string" {
        let _ = writeln!(text, "{}", kind(schema));
    }
}

fn fields(text: &mut String, schema: &Value) {
    text.push_str("| field | is | |\n|---|---|---|\n");
    let empty = Map::new();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().unwrap_or(&empty) {
        let shown =
            if required.contains(&name.as_str()) { format!("**`{name}`**") } else { format!("`{name}`") };
        let _ = writeln!(
            text,
            "| {shown} | {} | {} |",
            kind(field).replace('|', "\\|"),
            words(field).replace('|', "\\|")
        );
    }
    text.push('\n');
}

/// A description, as one line.
fn words(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('<', "&lt;")
}

/// What a value is, with a link to its type.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(one) = schema.get("const") {
        return format!("`{}`", one.as_str().map_or_else(|| one.to_string(), str::to_owned));
    }
    if let Some(all) = schema["enum"].as_array() {
        let all: Vec<String> = all.iter().filter_map(Value::as_str).map(|one| format!("`{one}`")).collect();
        return all.join(", ");
    }
    if let Some(forms) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let forms: Vec<String> = forms.iter().filter(|form| form["type"] != "null").map(kind).collect();
        return forms.join(" or ");
    }
    let name = match &schema["type"] {
        Value::String(name) => name.as_str(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("anything")
        }
        _ => "anything",
    };
    match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("mapping to {}", kind(&schema["additionalProperties"]))
        }
        "object" => "mapping".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "string" => match schema["pattern"].as_str() {
            Some(pattern) => format!("text like `{pattern}`"),
            None => "text".to_owned(),
        },
        "integer" => "whole number".to_owned(),
        other => other.to_owned(),
    }
}
