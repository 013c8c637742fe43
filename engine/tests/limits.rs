//! Documents at their limits and one beyond: refused with the limit they broke.

use serde_json::{Value, json};
use splitway_engine::{
    Code, Document, MAX_BYTES, MAX_DEPTH, MAX_EXPERIMENTS, MAX_FIELDS, MAX_HOLDOUTS, MAX_LAYERS,
    MAX_VARIANTS, NoTrace, Plan, Problems, RequestView, Timestamp, compile,
};

fn compiled(text: &str) -> Result<Plan, Problems> {
    Document::from_json(text.as_bytes()).and_then(|document| compile(&document))
}

/// The only problem names the limit: `expected` is a part of what it says.
fn refused(text: &str, expected: &str) {
    let problems = compiled(text).unwrap_err();
    let said = problems.to_string();
    assert!(problems.iter().any(|problem| problem.code == Code::Limit), "{said:.200}");
    assert!(said.contains(expected), "{said:.300}");
    assert_eq!(problems.len(), 1, "{said:.500}");
}

fn experiments(count: usize) -> Value {
    (0..count).map(|n| json!({ "id": format!("e{n}"), "variants": [{ "id": "a" }] })).collect()
}

fn config(fields: Value) -> String {
    let mut config = json!({ "version": 1, "unit": [{ "cookie": "uid" }] });
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    config.to_string()
}

#[test]
fn a_mebibyte() {
    let padded = |bytes: usize| {
        let text = config(json!({ "experiments": experiments(1) }));
        format!("{text}{}", " ".repeat(bytes - text.len()))
    };
    compiled(&padded(MAX_BYTES)).unwrap();
    refused(&padded(MAX_BYTES + 1), "at most 1048576 bytes");
}

#[test]
fn a_thousand_experiments() {
    let plan = compiled(&config(json!({ "experiments": experiments(MAX_EXPERIMENTS) }))).unwrap();
    let headers: [(&[u8], &[u8]); 1] = [(b"cookie", b"uid=u")];
    let decision = plan.decide(&RequestView::new(&headers), Timestamp(0), &mut NoTrace);
    assert_eq!(decision.assignments.len(), MAX_EXPERIMENTS);
    refused(&config(json!({ "experiments": experiments(MAX_EXPERIMENTS + 1) })), "at most 1000 experiments");
}

#[test]
fn layers_and_holdouts() {
    let layers = |count: usize| -> Value { (0..count).map(|n| json!({ "id": format!("l{n}") })).collect() };
    let holdouts = |count: usize| -> Value {
        (0..count).map(|n| json!({ "id": format!("h{n}"), "share": "1%" })).collect()
    };
    compiled(&config(json!({ "layers": layers(MAX_LAYERS) }))).unwrap();
    // As many as fit into the text: more than a handle can count.
    for count in [MAX_LAYERS + 1, 66_000] {
        refused(&config(json!({ "layers": layers(count) })), "at most 1000 layers");
    }
    compiled(&config(json!({ "holdouts": holdouts(MAX_HOLDOUTS) }))).unwrap();
    refused(&config(json!({ "holdouts": holdouts(MAX_HOLDOUTS + 1) })), "at most 64 holdouts");
}

#[test]
fn sixty_four_variants() {
    let text = |count: usize| {
        let mut experiments = experiments(1);
        experiments[0]["variants"] = (0..count).map(|n| json!({ "id": format!("v{n}") })).collect();
        config(json!({ "experiments": experiments }))
    };
    assert_eq!(compiled(&text(MAX_VARIANTS)).unwrap().find("e0").unwrap().1.variants().len(), MAX_VARIANTS);
    refused(&text(MAX_VARIANTS + 1), "at most 64 variants");
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn sixteen_levels() {
    Document::from_json(nested(MAX_DEPTH).as_bytes()).unwrap();
    refused(&nested(MAX_DEPTH + 1), "at most 16 levels of nesting");
    refused(&nested(100_000), "at most 16 levels of nesting");
    // The same for what rules can nest: 13 below `experiments[0].targeting`.
    let rule = |depth: usize| (0..depth).fold(json!({ "all": [] }), |rule, _| json!({ "not": rule }));
    let text = |depth: usize| {
        let mut experiments = experiments(1);
        experiments[0]["targeting"] = rule(depth);
        config(json!({ "experiments": experiments }))
    };
    compiled(&text(11)).unwrap();
    refused(&text(12), "at most 16 levels of nesting");
}

#[test]
fn a_thousand_and_twenty_four_fields() {
    let text = |count: usize| {
        let fields: serde_json::Map<String, Value> =
            (0..count).map(|n| (format!("x{n}"), json!({ "header": "h" }))).collect();
        config(json!({ "attributes": fields }))
    };
    compiled(&text(MAX_FIELDS)).unwrap();
    refused(&text(MAX_FIELDS + 1), "at most 1024 fields in one mapping");
}

#[test]
fn regular_expressions() {
    let text = |pattern: &str| {
        let mut experiments = experiments(1);
        experiments[0]["targeting"] = json!({ "path": { "regex": pattern } });
        config(json!({ "experiments": experiments }))
    };
    compiled(&text(&"a".repeat(1024))).unwrap();
    refused(&text(&"a".repeat(1025)), "a pattern of at most 1024 bytes");
    for bomb in ["(a{1000}){1000}", "((((a{100}){100}){100}){100}){100}", "(?:x*){60000}"] {
        refused(&text(bomb), "a pattern of at most 262144 bytes when compiled");
    }
    refused(
        &text(&format!("{}a{}", "(".repeat(40), ")".repeat(40))),
        "at most 32 levels of nesting in a pattern",
    );
}

#[test]
fn overrides_sources_and_header_changes() {
    let units = |count: usize| -> Value { (0..count).map(|n| format!("u{n}")).collect() };
    let with = |field: &str, value: Value| {
        let mut experiments = experiments(1);
        experiments[0][field] = value;
        config(json!({ "experiments": experiments }))
    };
    compiled(&with("overrides", json!({ "a": units(1_000) }))).unwrap();
    refused(&with("overrides", json!({ "a": units(1_001) })), "at most 1000 units");
    let sources =
        |count: usize| -> Value { (0..count).map(|n| json!({ "cookie": format!("c{n}") })).collect() };
    compiled(&with("unit", sources(16))).unwrap();
    refused(&with("unit", sources(17)), "at most 16 sources");
}

/// Mistakes by the hundred thousand: told up to a number, and soon.
#[test]
fn a_document_of_mistakes() {
    for text in [
        config(json!({ "experiments": vec![0; 400_000] })),
        config(json!({ "layers": vec![json!({}); 200_000] })),
        config(json!({ "qa_tokens": { "header": "x", "keys": vec![json!({}); 200_000] } })),
        config(json!({ "unit": vec![json!({ "cookie": "" }); 60_000] })),
        config(json!({ "holdouts": [{ "id": "h", "share": "1%", "layers": vec!["nope"; 100_000] }] })),
    ] {
        let problems = compiled(&text).unwrap_err();
        assert!((1..=1_000).contains(&problems.len()), "{}", problems.len());
    }
}

#[cfg(feature = "yaml")]
mod yaml {
    use super::*;

    fn refused(text: &str, expected: &str) {
        let problems = Document::from_yaml(text).unwrap_err();
        let problem = problems.iter().next().unwrap();
        assert_eq!((problem.code, problem.expected.as_str()), (Code::Limit, expected));
        assert_eq!(problem.span.is_some(), text.len() <= MAX_BYTES, "a place, if it was read");
    }

    #[test]
    fn the_same_limits() {
        Document::from_yaml(&nested(MAX_DEPTH)).unwrap();
        refused(&nested(MAX_DEPTH + 1), "at most 16 levels of nesting");
        refused(&" ".repeat(MAX_BYTES + 1), "at most 1048576 bytes");
        let fields = |count: usize| (0..count).map(|n| format!("x{n}: 1\n")).collect::<String>();
        Document::from_yaml(&fields(MAX_FIELDS)).unwrap();
        refused(&fields(MAX_FIELDS + 1), "at most 1024 fields in one mapping");
    }

    #[test]
    fn alias_bombs() {
        let mut wide = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..10 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            wide.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
        }
        refused(&wide, "at most 200000 values");
        // Each line only one level deeper than the one before, by way of an alias.
        let mut deep = "a0: &a0 [x]\n".to_owned();
        for n in 1..1_000 {
            deep.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
        }
        refused(&deep, "at most 16 levels of nesting");
        // In a mapping of its own, 14 of them still fit.
        let lines = deep.lines().take(15).collect::<Vec<&str>>().join("\n");
        let document = Document::from_yaml(&lines).unwrap();
        Document::from_json(document.to_json().as_bytes()).unwrap();
    }
}

#[test]
fn patterns_are_counted_over_the_document() {
    let rules = |count: usize| -> Vec<serde_json::Value> {
        (0..count).map(|i| serde_json::json!({ "path": { "regex": format!("^/a{i}$") } })).collect()
    };
    let config = |count: usize| {
        serde_json::json!({
            "version": 1,
            "unit": [{ "cookie": "uid" }],
            "experiments": [{ "id": "a", "targeting": { "any": rules(count) }, "variants": [{ "id": "x" }] }],
        })
        .to_string()
    };
    let result = |count| {
        splitway_engine::Document::from_json(config(count).as_bytes())
            .and_then(|d| splitway_engine::compile(&d))
    };
    assert!(result(256).is_ok());
    let problems = result(257).unwrap_err().to_string();
    assert!(problems.contains("at most 256 patterns") && problems.contains("[limit]"), "{problems}");
}
