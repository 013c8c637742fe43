//! The dearest requests that a client can send to configs that ask much of a request.

use proxy_wasm_host::{Host, Request, UpstreamResponse};
use serde_json::{Value, json};

use crate::measure;

/// Most instructions of the module for one request: the budget is 5 ms, and a proxy's compiled module does about
/// two in a nanosecond.
const MOST: u64 = 10_000_000;
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

/// Names, configs and requests.
fn cases() -> Vec<(&'static str, Value, Request)> {
    let get = |path: &str| Request::get(path).header("x-user", "u");
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
    let claims = (0..300).map(|n| format!("\"c{n}\":\"value\"")).collect::<Vec<_>>().join(",");
    let token = |n: usize| format!("v1.k.{}.{}", "A".repeat(600), "B".repeat(40 + n % 3));
    vec![
        ("a query of 50 kB", asking(named("query")), query(pairs(7_000, "&"))),
        ("a query of one name", asking(named("query")), query("n1=&".repeat(12_000))),
        ("a query of escapes", asking(named("query")), query("%6e%31=%ff&".repeat(4_500))),
        ("cookies of 50 kB", asking(named("cookie")), get("/").header("cookie", pairs(7_000, "; "))),
        (
            "a header of 50 kB",
            asking(of_header(json!({ "contains": "ab" }))),
            get("/").header("x-large", "a".repeat(50_000)),
        ),
        (
            "a header of 4 kB",
            asking(of_header(json!({ "contains": "ab" }))),
            get("/").header("x-large", "a".repeat(4_096)),
        ),
        (
            "many lines of one header",
            asking(of_header(json!({ "equals": "a" }))),
            (0..100).fold(get("/"), |request, _| request.header("x-large", "a".repeat(500))),
        ),
        (
            "regular expressions",
            asking(of_header(json!({ "regex": "^/(shop|aa+)/[0-9]+$|a+b" }))),
            get("/").header("x-large", "a".repeat(4_096)),
        ),
        (
            "paths",
            asking(|n| json!({ "path": { "prefix": format!("/p{n}") } })),
            get(&"/%61/..".repeat(7_000)),
        ),
        (
            "a JWT",
            asking(|_| json!({ "attribute": { "name": "plan", "equals": "v" } })),
            get("/").header("x-jwt", base64url(&format!("{{{claims}}}"))),
        ),
        (
            "tokens",
            asking(|n| json!({ "path": { "prefix": format!("/p{n}") } })),
            (0..60).fold(get("/"), |request, n| request.header("x-qa", token(n))),
        ),
    ]
}

/// Every case that costs more than it may, and how much.
pub(crate) fn too_dear() -> Option<Vec<String>> {
    let (module, _) = measure::shipped()?;
    let mut dear = Vec::new();
    for (name, document, request) in cases() {
        let mut host = Host::builder(&module)
            .configuration(document.to_string())
            .log_capacity(0)
            .measure(true)
            .default_route("v1")
            .upstream("v1", |_| UpstreamResponse::status(200))
            .start()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        host.take_costs();
        let exchange = host.send(request).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((exchange.response.status, exchange.trap), (200, None), "{name}");
        let instructions: u64 = host.take_costs().values().map(|cost| cost.instructions).sum();
        println!("{name}: {instructions} instructions");
        if instructions > MOST {
            dear.push(format!("{name}: {instructions} instructions, at most {MOST}"));
        }
    }
    Some(dear)
}
