//! docs/analysis.md lists every code of a finding, as `src/finding.rs` describes it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The variants of the enum `name`: code, and the first line of its documentation.
fn variants(source: &str, name: &str) -> Vec<(String, String)> {
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).expect("the enum");
    let (body, _) = body.split_once("\n}\n").expect("its end");
    let mut found = Vec::new();
    let mut described = None;
    for line in body.lines() {
        // Fields are indented deeper.
        let Some(line) = line.strip_prefix("    ").filter(|line| !line.starts_with(' ')) else { continue };
        if let Some(text) = line.strip_prefix("/// ") {
            described.get_or_insert(text.trim_end_matches('.').to_owned());
        } else if line.starts_with(char::is_uppercase) {
            let variant: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            let mut code = String::new();
            for (at, letter) in variant.chars().enumerate() {
                if letter.is_uppercase() && at > 0 {
                    code.push('_');
                }
                code.push(letter.to_ascii_lowercase());
            }
            found.push((code, described.take().expect("a description")));
        }
    }
    found
}

#[test]
fn the_docs_list_every_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/finding.rs")).unwrap();
    let (findings, gaps) = (variants(&source, "Finding"), variants(&source, "Gap"));
    assert!(findings.len() > 40 && gaps.len() > 10, "{} and {}", findings.len(), gaps.len());
    let mut table = String::from("| code | means |\n|---|---|\n");
    for (code, means) in &findings {
        writeln!(table, "| `{code}` | {means} |").unwrap();
    }
    table.push_str("\nWhy a metric has no numbers (`\"kind\": \"gap\"`):\n\n| code | means |\n|---|---|\n");
    for (code, means) in &gaps {
        writeln!(table, "| `{code}` | {means} |").unwrap();
    }
    let page = root.join("../docs/analysis.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once("<!-- codes -->\n").expect("where the codes begin");
    let (listed, tail) = rest.split_once("<!-- end of codes -->\n").expect("where they end");
    if listed != table && std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        fs::write(&page, format!("{head}<!-- codes -->\n{table}<!-- end of codes -->\n{tail}")).unwrap();
        return;
    }
    assert_eq!(listed, table, "INSTA_UPDATE=always writes it");
}

/// A finding's JSON has its code and its values beside each other.
#[test]
fn json_has_code_and_values() {
    use splitway_analysis::finding::{Finding, Reason};
    let reason = Reason {
        treatment: Some("big".to_owned()),
        finding: Finding::FewUnits { units: 900.0, needed: 1000 },
    };
    assert_eq!(
        serde_json::to_value(&reason).unwrap(),
        serde_json::json!({ "code": "few_units", "treatment": "big", "units": 900.0, "needed": 1000 })
    );
    assert_eq!(reason.to_string(), "big: 900 units in the smaller arm, 1000 are needed");
}
