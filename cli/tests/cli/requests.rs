//! Requests with a path and headers: `assign` on ids and on logs, `replay`.

use serde_json::Value;

use crate::support::Bench;

const TARGETED: &str = "\
version: 1
unit: [{ cookie: uid }]
experiments:
  - id: checkout
    targeting:
      all:
        - path: { prefix: /checkout }
        - header: { name: x-plan, equals: gold }
    variants: [{ id: control, weight: 50 }, { id: big, weight: 50 }]
";

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ids_are_assigned_in_the_request_that_is_given() {
    let bench = Bench::new(&[("a.yaml", TARGETED)]);
    let reason = |options: &str| {
        let ran = bench.run_with(&format!("assign --config a.yaml {options}"), b"u1\n");
        assert_eq!(ran.code, 0, "{}", ran.all());
        rows(&ran.out)[0]["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason(""), "not_targeted");
    assert_eq!(reason("--path /checkout"), "not_targeted");
    assert_eq!(reason("--path /checkout?a=b --header x-plan:gold --cookie theme=dark"), "split");
    // Beside other cookies the unit is the same.
    let whole = bench.run_with(
        "assign --config a.yaml --path /checkout --header x-plan:gold --cookie uid2=other",
        b"u1\n",
    );
    let alone = bench.run_with("assign --config a.yaml --path /checkout --header x-plan:gold", b"u1\n");
    assert_eq!(whole.out, alone.out);
    let ran = bench.run_with("assign --config a.yaml --header x-splitway:forged", b"u1\n");
    assert!(ran.err.contains("x-splitway is left out"), "{}", ran.all());
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_id() {
    let bench = Bench::new(&[("a.yaml", TARGETED)]);
    let ran = bench.run_with("assign --config a.yaml", "\u{feff}u1\nu2\n".as_bytes());
    assert_eq!(rows(&ran.out)[0]["unit"], "u1", "{}", ran.all());
}

/// 40 units as a log with objects, and as the JSON access log of a proxy.
fn logs() -> (String, String) {
    let (mut own, mut access) = (String::new(), String::new());
    for unit in 0..40 {
        let plan = if unit % 4 == 0 { "gold" } else { "free" };
        own.push_str(&format!(
            "{{\"time\":\"2026-11-20T00:00:00Z\",\"path\":\"/checkout\",\"headers\":{{\"x-plan\":\"{plan}\"}},\"cookies\":{{\"uid\":\"u{unit}\"}}}}\n"
        ));
        access.push_str(&format!(
            "{{\"time\":\"2026-11-20T00:00:00.000Z\",\"method\":\"GET\",\"path\":\"/checkout\",\"status\":200,\"x_plan\":\"{plan}\",\"cookie\":\"a=b; uid=u{unit}\",\"user_agent\":\"-\"}}\n"
        ));
    }
    (own, access)
}

#[test]
fn recorded_requests_are_decided_as_ids_are() {
    let (own, access) = logs();
    let bench = Bench::new(&[("a.yaml", TARGETED), ("own.ndjson", &own), ("access.log", &access)]);
    let ids: String = (0..40).map(|unit| format!("u{unit}\n")).collect();
    let options = "--config a.yaml --at 2026-11-20T00:00:00Z";
    let by_id =
        bench.run_with(&format!("assign {options} --path /checkout --header x-plan:gold"), ids.as_bytes());
    let by_id = rows(&by_id.out);
    for file in ["own.ndjson", "access.log"] {
        let ran = bench.run(&format!("assign {options} --requests {file}"));
        assert_eq!(ran.code, 0, "{}", ran.all());
        let found = rows(&ran.out);
        assert_eq!(found.len(), 40);
        for (at, row) in found.iter().enumerate() {
            assert_eq!(
                (row["line"].as_u64(), row["unit"].as_str()),
                (Some(at as u64 + 1), Some(&*format!("u{at}")))
            );
            if at % 4 == 0 {
                assert_eq!((&row["variant"], &row["bucket"]), (&by_id[at]["variant"], &by_id[at]["bucket"]));
            } else {
                assert_eq!(row["reason"], "not_targeted", "{row}");
            }
        }
    }
    let ran =
        bench.run_with(&format!("assign {options} --requests -"), b"{\"path\":\"/\"}\nGET /\n{\"path\":7}\n");
    assert_eq!((ran.code, rows(&ran.out).len()), (1, 1), "{}", ran.all());
    assert!(
        ran.err.contains("-:2: not JSON") && ran.err.contains("2 lines are not requests"),
        "{}",
        ran.all()
    );
}

#[test]
fn replay_shows_who_would_get_something_else() {
    let (own, _) = logs();
    let wider = TARGETED.replace("        - header: { name: x-plan, equals: gold }\n", "");
    let bench = Bench::new(&[("a.yaml", TARGETED), ("b.yaml", &wider), ("own.ndjson", &own)]);
    let same = bench.run("replay a.yaml a.yaml --requests own.ndjson --max-moved 0%");
    assert!(
        same.code == 0 && same.out.contains("checkout: nobody moves (40 requests of 40 units)"),
        "{}",
        same.all()
    );
    let ran = bench.run("replay a.yaml b.yaml --requests own.ndjson");
    assert!(
        ran.out.contains("checkout: 30 requests of 30 units move, 75.00 % (40 requests of 40 units)"),
        "{}",
        ran.all()
    );
    assert!(ran.out.contains("  out (not_targeted) -> control: "), "{}", ran.all());
    assert!(
        ran.out.contains("such as line 2: GET /checkout")
            || ran.out.contains("such as line 3: GET /checkout"),
        "{}",
        ran.all()
    );
    assert_eq!(bench.run("replay a.yaml b.yaml --requests own.ndjson --max-moved 74%").code, 1);
    assert_eq!(bench.run("replay a.yaml b.yaml --requests own.ndjson --max-moved 75%").code, 0);
    let found = bench.run("replay a.yaml b.yaml --requests own.ndjson --json").json();
    let checkout = &found["experiments"][0];
    assert_eq!(
        (checkout["moved"].as_u64(), checkout["moved_units"].as_u64()),
        (Some(30), Some(30)),
        "{found}"
    );
    let flows: u64 =
        checkout["flows"].as_array().unwrap().iter().map(|flow| flow["requests"].as_u64().unwrap()).sum();
    assert_eq!(flows, 30);
    assert_eq!(bench.run("replay a.yaml b.yaml --requests missing.log").code, 2);
}
