//! The dearest requests that a client can send to configs that ask much of a request.

use serde_json::{Value, json};

/// Rules of one config.
const RULES: usize = 300;

/// Experiments that ask one thing each.
fn asking(rule: impl Fn(usize) -> Value) -> Value {
    let one = |n| json!({ "id": format!("e{n}"), "targeting": rule(n), "variants": [{ "id": "a" }, { "id": "b" }] });
    json!({
        "version": 1,
        "unit": [{ "header": "x-user" }],
        "attributes": { "plan": { "jwt_claim": { "header": "x-jwt", "claim": "plan" } } },
        "qa_tokens": {
            "header": "x-qa", "query": "qa", "keys": [{ "id": "k", "secret": "0123456789abcdef0123456789abcdef" }],
        },
        "experiments": (0..RULES.min(250)).map(one).collect::<Vec<Value>>(),
    })
}

fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u32| char::from(DIGITS[bits as usize & 63]);
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|n| encoded.push(digit(bits >> (18 - 6 * n))));
    }
    encoded
}

/// What an attacker would send, and to whom.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is of.
    pub name: &'static str,
    /// The config of who is attacked.
    pub document: Value,
    /// Path and query of a GET.
    pub path: String,
    /// Header lines besides those that every request has.
    pub headers: Vec<(&'static str, String)>,
}

impl Case {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn of(mut self, name: &'static str, document: Value) -> Self {
        (self.name, self.document) = (name, document);
        self
    }
}

/// A GET of a user.
fn get(path: &str) -> Case {
    let case = Case { name: "", document: Value::Null, path: path.to_owned(), headers: Vec::new() };
    case.header("x-user", "u")
}

/// The dearest requests that a proxy lets through: Envoy takes 60 KiB and 100 lines of headers.
#[must_use]
pub fn cases() -> Vec<Case> {
    let query = |pairs: String| get(&format!("/?{pairs}"));
    let named = |kind: &'static str| move |n| json!({ kind: { "name": format!("n{n}"), "equals": "v" } });
    let of_header = |test: Value| {
        move |n: usize| {
            let mut test = test.clone();
            test["name"] = json!("x-large");
            if let Some(text) = test["contains"].as_str() {
                test["contains"] = json!(format!("{text}{n}"));
            }
            json!({ "header": test })
        }
    };
    let pairs = |count: usize, separator: &str| {
        (0..count).map(|n| format!("q{n}=")).collect::<Vec<_>>().join(separator)
    };
    let claims = |count: usize| {
        let claims = (0..count).map(|n| format!("\"c{n}\":1,")).collect::<String>();
        base64url(&format!("{{{claims}\"none\":1}}"))
    };
    let token = |n: usize| format!("v1.k.{}.{}", "A".repeat(600), "B".repeat(40 + n % 3));
    let paths = |n| json!({ "path": { "prefix": format!("/p{n}") } });
    let plans = |_| json!({ "attribute": { "name": "plan", "equals": "v" } });
    vec![
        query(pairs(7_000, "&")).of("a query of 50 kB", asking(named("query"))),
        query("n1=&".repeat(12_000)).of("a query of one name", asking(named("query"))),
        query("%6e%31=%ff&".repeat(4_500)).of("a query of escapes", asking(named("query"))),
        get("/").header("cookie", pairs(7_000, "; ")).of("cookies of 50 kB", asking(named("cookie"))),
        get("/")
            .header("x-large", "a".repeat(50_000))
            .of("a header of 50 kB", asking(of_header(json!({ "contains": "ab" })))),
        get("/")
            .header("x-large", "a".repeat(4_096))
            .of("a header of 4 kB", asking(of_header(json!({ "contains": "ab" })))),
        (0..80)
            .fold(get("/"), |case, _| case.header("x-large", "a".repeat(500)))
            .of("many lines of one header", asking(of_header(json!({ "equals": "a" })))),
        get("/")
            .header("x-large", "a".repeat(4_096))
            .of("regular expressions", asking(of_header(json!({ "regex": "^/(shop|aa+)/[0-9]+$|a+b" })))),
        get(&"/%61/..".repeat(7_000)).of("paths", asking(paths)),
        get("/").header("x-jwt", claims(650)).of("a JWT", asking(plans)),
        (0..7).fold(get("/"), |case, _| case.header("x-jwt", claims(650))).of("seven JWTs", asking(plans)),
        (0..60).fold(get("/"), |case, n| case.header("x-qa", token(n))).of("tokens", asking(paths)),
    ]
}
