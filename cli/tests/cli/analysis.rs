//! `splitway analyze`, `report`, `compact`.

use splitway_engine::{Document, NoTrace, RequestView, Served, Timestamp, compile};

use crate::support::Bench;

const CONFIG: &str = "
version: 1
namespace: shop
unit: [{ header: x-user-id }]
exposure: { key: a-key-of-the-tests-only }
experiments:
  - id: button
    metrics: { primary: order_rate, guardrails: [http_5xx_rate] }
    analysis: { min_units_per_arm: 500 }
    variants: [{ id: control, weight: 50 }, { id: big, weight: 50 }]
";

/// 3,000 units in the log, and orders that `big` makes more of.
pub(crate) fn bench() -> Bench {
    let plan = compile(&Document::from_yaml(CONFIG).unwrap()).unwrap();
    let (mut log, mut orders) =
        (String::from("not about exposures\n"), String::from("unit,time,metric,value\n"));
    for unit in 0..3000_i64 {
        let name = format!("user-{unit}");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"x-user-id", name.as_bytes())];
        let view = RequestView::new(&headers);
        let now = Timestamp(1_795_219_200_000 + unit * 60_000);
        let decision = plan.decide(&view, now, &mut NoTrace);
        let assignment = &decision.assignments[0];
        let context = plan.context_id(&decision, assignment, &view);
        let served = Served { status: Some(if unit % 97 == 0 { 503 } else { 200 }), ..Served::default() };
        let exposure = plan.exposure(assignment, context.as_deref(), now, &served).unwrap();
        log += &format!("{}\n", exposure.to_json());
        let is_big = assignment.variant != plan.experiment(assignment.experiment).unwrap().control();
        if unit % 10 < if is_big { 5 } else { 3 } {
            orders += &format!("{name},{},order,20\n", Timestamp(now.0 + 60_000));
        }
    }
    Bench::new(&[("splitway.yaml", CONFIG), ("envoy.log", &log), ("orders.csv", &orders)])
}

pub(crate) const DATA: &str = "--config splitway.yaml --exposures envoy.log --outcomes orders.csv --raw-units --metric order_rate=any(order) --window 7d";

#[test]
fn a_verdict_for_people_and_for_programs() {
    let bench = bench();
    let ran = bench.run(&format!("analyze {DATA}"));
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.out.contains("button: SHIP (big)"), "{}", ran.all());
    assert!(ran.out.contains("exposures: 3000 records in 3001 lines, 1 about other things"), "{}", ran.all());
    let json = bench.run(&format!("analyze {DATA} --json")).json();
    assert_eq!(json["experiments"][0]["verdict"], "SHIP");
    let primary = &json["experiments"][0]["metrics"][1];
    assert_eq!((&primary["name"], &primary["role"]), (&"order_rate".into(), &"primary".into()));
    let lift = primary["comparisons"][0]["fixed"]["absolute"].as_f64().unwrap();
    assert!((0.15..0.25).contains(&lift), "{lift}");
    assert_eq!(json["experiments"][0]["integrity"]["replayed"], 3000);
    assert_eq!(json["experiments"][0]["integrity"]["wrong_variant"], 0);
}

#[test]
fn compacted_files_say_the_same_and_the_page_is_written() {
    let bench = bench();
    for command in [
        "compact envoy.log --out e.parquet",
        "compact orders.csv --outcomes --config splitway.yaml --out o.parquet",
    ] {
        let ran = bench.run(command);
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    let rest = "--config splitway.yaml --metric order_rate=any(order) --window 7d --json";
    let ran = bench.run(&format!("analyze --exposures e.parquet --outcomes o.parquet {rest}"));
    let from_text = bench.run(&format!("analyze {DATA} --json")).json();
    assert_eq!(ran.json()["experiments"], from_text["experiments"]);
    let ran = bench.run(&format!("report {DATA} --out report.html"));
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(bench.read("report.html").contains("SHIP"));
}

#[test]
fn malformed_lines_are_counted_or_refused() {
    let bench = bench();
    let log = bench.read("envoy.log") + "{\"event\":\"feature_flag.evaluation\"}\n";
    std::fs::write(bench.path("envoy.log"), log).unwrap();
    let ran = bench.run(&format!("analyze {DATA}"));
    assert!(ran.out.contains("1 malformed") && ran.out.contains("envoy.log:3002: "), "{}", ran.all());
    let ran = bench.run(&format!("analyze {DATA} --strict"));
    assert_eq!(ran.code, 1, "{}", ran.all());
}

#[test]
fn the_query_is_printed_in_every_dialect() {
    let bench = Bench::new(&[("splitway.yaml", CONFIG)]);
    let rest = "--config splitway.yaml --metric order_rate=any(order) --before 7d";
    for dialect in ["datafusion", "duckdb", "clickhouse", "spark", "trino", "bigquery", "postgres"] {
        let ran = bench.run(&format!("analyze {rest} --dialect {dialect}"));
        assert_eq!(ran.code, 0, "{}", ran.all());
        assert!(ran.out.starts_with("WITH kept AS ("), "{}", ran.all());
    }
    assert_eq!(bench.run(&format!("analyze {rest} --dialect oracle")).code, 2);
    assert_eq!(bench.run(&format!("analyze {rest}")).code, 2);
}

#[test]
fn planned_looks_quantiles_and_power_from_what_was_seen() {
    let bench = bench();
    let looks = "--looks 0.25,0.5 --metric wait=p90(order) --metric latency_p95=p95(nothing)";
    let ran = bench.run(&format!("analyze {DATA} {looks}"));
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.out.contains("O'Brien-Fleming bounds, look 2 at 50 % of the units"), "{}", ran.all());
    assert!(
        ran.out.contains("latency_p95: no values") || ran.out.contains("latency_p95: too few"),
        "{}",
        ran.all()
    );
    // All orders are of 20.
    assert!(ran.out.contains("secondary wait: the values do not vary"), "{}", ran.all());
    for wrong in ["--looks 0.5,0.25", "--looks 2", "--looks 0.5 --fixed", "--spending pocock"] {
        assert_eq!(bench.run(&format!("analyze {DATA} {wrong}")).code, 2, "{wrong}");
    }
    let json = bench.run(&format!("analyze {DATA} --looks 0.25,0.5 --json"));
    std::fs::write(bench.path("seen.json"), &json.out).unwrap();
    let comparison = &json.json()["experiments"][0]["metrics"][1]["comparisons"][0];
    let half = |interval: &serde_json::Value| {
        (interval["high"].as_f64().unwrap() - interval["low"].as_f64().unwrap()) / 2.0
    };
    // O'Brien and Fleming at half of the units: 2.9626 standard errors.
    let bound = half(&comparison["interval"]) / comparison["fixed"]["standard_error"].as_f64().unwrap();
    assert!((bound - 2.9626).abs() < 1e-3, "{bound}");

    let ran = bench.run("power --observed seen.json --experiment button --effect 0.02");
    assert!(ran.code == 2 && ran.err.contains("say them with --looks, or --fixed"), "{}", ran.all());
    let ran = bench.run("power --observed seen.json --experiment button --effect 0.02 --fixed --json");
    assert_eq!(ran.code, 0, "{}", ran.all());
    let row = &ran.json()["rows"][3];
    // 3,000 units in three days (the last one is not full), a deviation of about .48: some 9,200 an arm.
    let control = row["control"].as_f64().unwrap();
    assert!((8_000.0..10_500.0).contains(&control), "{row}");
    assert!((row["days"].as_f64().unwrap() - 2.0 * control / 1000.0).abs() < 1.5, "{row}");
    // Seen at every look, planned for every look: some twice as many.
    let seen = bench.run(&format!("analyze {DATA} --json")).out;
    std::fs::write(bench.path("always.json"), &seen).unwrap();
    let ran = bench.run("power --observed always.json --experiment button --effect 0.02 --json");
    assert_eq!(ran.json()["method"], "sequential", "{}", ran.all());
    assert!(ran.json()["rows"][3]["control"].as_f64().unwrap() > 1.5 * control, "{}", ran.all());
    for wrong in ["--experiment none", "", "--experiment button --daily 5"] {
        assert_eq!(bench.run(&format!("power --observed seen.json {wrong}")).code, 2, "{wrong}");
    }
}
