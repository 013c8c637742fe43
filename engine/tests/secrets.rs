//! Secrets that a config names by a variable.

use serde_json::{Value, json};
use splitway_engine::{
    Code, Decision, Document, NoTrace, Plan, Problems, RequestView, Secrets, Timestamp, compile, compile_with,
};

const KEY: &str = "0123456789abcdef";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn document(config: &Value) -> Document {
    Document::from_json(config.to_string().as_bytes()).unwrap()
}

/// A config with every secret that there is, each from `of`.
fn config(of: impl Fn(&str, &str) -> Value) -> Value {
    json!({
        "version": 1,
        "unit": [{ "header": "u" }],
        "mint": { "provisional": { "key": of("PROVISIONAL", KEY), "traits": [{ "header": "user-agent" }] } },
        "exposure": {
            "key": of("EXPOSURE", KEY),
            "otlp": { "cluster": "c", "headers": { "authorization": of("COLLECTOR", "Bearer x") } },
        },
        "qa_tokens": { "header": "x-qa", "keys": [{ "id": "k", "secret": of("QA", SECRET) }] },
        "experiments": [{ "id": "e", "variants": [{ "id": "a" }] }],
    })
}

fn named() -> Document {
    document(&config(|name, _| json!({ "env": name })))
}

fn good(name: &str) -> Option<Vec<u8>> {
    let value = match name {
        "PROVISIONAL" | "EXPOSURE" => KEY,
        "QA" => SECRET,
        "COLLECTOR" => "Bearer x",
        _ => return None,
    };
    Some(value.as_bytes().to_vec())
}

/// A unit's pseudonym, the collector's headers, and a provisional id.
type Shown = (Option<String>, Vec<(String, Vec<u8>)>, Option<String>);

fn shown(plan: &Plan) -> Shown {
    let otlp = plan.sinks().otlp.as_ref().unwrap();
    let headers = otlp.headers().into_iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    // The provisional id.
    let browser: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"user-agent", b"x")];
    let mut decision = Decision::default();
    plan.decide_into(&RequestView::new(&browser), Timestamp(0), &mut NoTrace, &mut decision);
    (plan.show_unit("user"), headers, plan.set_cookie(&decision, Timestamp(0)))
}

#[test]
fn a_secret_in_a_variable_does_what_one_in_the_config_does() {
    let inline = compile(&document(&config(|_, value| json!(value)))).unwrap();
    let plan = compile_with(&named(), Secrets::Required(&good)).unwrap();
    assert_eq!(shown(&plan), shown(&inline));
    assert!(shown(&plan).0.is_some() && shown(&plan).2.is_some());
}

#[test]
fn the_version_does_not_depend_on_secrets_and_plans_do_not_show_them() {
    let other = |name: &str| Some(format!("another-value-of-at-least-32-bytes-{name}").into_bytes());
    let plans = [Secrets::Required(&good), Secrets::Required(&other), Secrets::WITHHELD]
        .map(|secrets| compile_with(&named(), secrets).unwrap());
    for plan in &plans {
        assert_eq!(plan.content_hash(), plans[0].content_hash());
        let said = format!("{plan:?}");
        for secret in [KEY, SECRET, "another-value"] {
            // The collector's headers are no plan's secret: they are sent.
            assert!(
                !said.replace("another-value-of-at-least-32-bytes-COLLECTOR", "").contains(secret),
                "{said}"
            );
        }
    }
    assert_eq!(plans[2].show_unit("user"), None);
}

fn places(problems: &Problems) -> Vec<(String, Code)> {
    problems.iter().map(|problem| (problem.path.to_string(), problem.code)).collect()
}

#[test]
fn what_is_not_set_or_too_short_refuses_the_config() {
    let all = [
        "exposure.key.env",
        "exposure.otlp.headers.authorization.env",
        "mint.provisional.key.env",
        "qa_tokens.keys[0].secret.env",
    ];
    for problems in
        [compile(&named()).unwrap_err(), compile_with(&named(), Secrets::Required(&|_| None)).unwrap_err()]
    {
        let mut found = places(&problems);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, all.map(|place| (place.to_owned(), Code::MissingSecret)));
    }
    for short in ["", "a", "0123456789abcde"] {
        let problems =
            compile_with(&named(), Secrets::Optional(&|_| Some(short.as_bytes().to_vec()))).unwrap_err();
        let found = places(&problems);
        for place in ["exposure.key", "mint.provisional.key", "qa_tokens.keys[0].secret"] {
            assert!(found.contains(&(place.to_owned(), Code::InvalidValue)), "{short}: {found:?}");
        }
        assert!(short.len() < 2 || !problems.to_string().contains(short), "{problems}");
    }
    let broken = |name: &str| if name == "COLLECTOR" { Some(b"a\r\nb: c".to_vec()) } else { good(name) };
    let problems = compile_with(&named(), Secrets::Required(&broken)).unwrap_err();
    assert_eq!(places(&problems), [("exposure.otlp.headers.authorization".to_owned(), Code::InvalidValue)]);
}

#[test]
fn a_name_is_one() {
    for name in ["", "1A", "A-B", "A=B", "A B", "\u{e4}", &"A".repeat(65)] {
        let config = config(|known, value| if known == "QA" { json!({ "env": name }) } else { json!(value) });
        let problems = compile_with(&document(&config), Secrets::WITHHELD).unwrap_err();
        assert_eq!(
            places(&problems),
            [("qa_tokens.keys[0].secret.env".to_owned(), Code::InvalidValue)],
            "{name}"
        );
    }
    for wrong in [json!({ "evn": "A" }), json!({}), json!({ "env": 1 }), json!(["A"])] {
        let config = config(|known, value| if known == "QA" { wrong.clone() } else { json!(value) });
        assert!(compile_with(&document(&config), Secrets::WITHHELD).is_err(), "{wrong}");
    }
}
