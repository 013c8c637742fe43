//! What `splitway assign` does, by another public engine (eppo_core): ids on standard input, one a line,
//! rows of JSON on standard output. For `cargo xtask bench assign`.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::sync::Arc;

use eppo_core::eval::get_assignment;
use eppo_core::ufc::UniversalFlagConfig;
use eppo_core::{Attributes, Configuration, SdkMetadata, Str};
use serde_json::json;

fn main() {
    let split = |variant: &str, start: u32, end: u32| {
        let shards = json!([{ "salt": "s", "ranges": [{ "start": start, "end": end }] }]);
        json!({ "variationKey": variant, "shards": shards })
    };
    let text = json!({
        "createdAt": "2026-11-20T00:00:00.000Z", "format": "SERVER", "environment": { "name": "bench" },
        "flags": { "button": {
            "key": "button", "enabled": true, "variationType": "STRING", "totalShards": 10_000,
            "variations": { "a": { "key": "a", "value": "a" }, "b": { "key": "b", "value": "b" } },
            "allocations": [{
                "key": "all", "doLog": true, "rules": [],
                "splits": [split("a", 0, 5_000), split("b", 5_000, 10_000)],
            }],
        }},
    });
    let metadata = SdkMetadata { name: "bench", version: "0" };
    let flags = UniversalFlagConfig::from_json(metadata, text.to_string().into_bytes()).expect("a config");
    let configuration = Configuration::from_server_response(flags, None);
    let attributes = Arc::new(Attributes::new());
    let now = chrono::Utc::now();
    // The same buffers as `splitway assign` has, so that the engines are compared and not the pipes.
    let mut ids = BufReader::with_capacity(1 << 16, std::io::stdin().lock());
    let mut rows = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut line = String::new();
    while ids.read_line(&mut line).expect("ids are text") > 0 {
        let id = line.trim_end();
        let subject = Str::from(id);
        let assigned = get_assignment(Some(&configuration), "button", &subject, &attributes, None, now);
        let assigned = assigned.expect("the config is good").expect("everybody is in");
        let variant = assigned.value.as_str().expect("a text");
        let unit = serde_json::Value::from(id);
        writeln!(rows, "{{\"unit\":{unit},\"experiment\":\"button\",\"variant\":\"{variant}\"}}")
            .expect("written");
        line.clear();
    }
    rows.flush().expect("written");
}
