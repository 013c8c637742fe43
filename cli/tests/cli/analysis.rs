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

/// How Envoy's log begins a line that a filter logged.
const ENVOY: &str = "[2026-11-21 10:00:00.000][7][info][wasm] [context.cc:1] wasm log splitway: ";

/// 3,000 units in the log, and orders that `big` makes more of.
pub(crate) fn bench() -> Bench {
    let [config, log, orders] = files();
    Bench::new(&[("splitway.yaml", &config), ("envoy.log", &log), ("orders.csv", &orders)])
}

/// Config, log, orders.
pub(crate) fn files() -> [String; 3] {
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
    [CONFIG.to_owned(), log, orders]
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

/// A rollout that a guardrail of the proxy has stopped: its units' records say so, and nothing is compared.
#[test]
fn a_lone_canary_that_was_killed_is_not_shipped() {
    let config = CONFIG.replace("button", "rollout").replace(
        "variants: [{ id: control, weight: 50 }, { id: big, weight: 50 }]",
        "variants: [{ id: on }]",
    );
    let plan = compile(&Document::from_yaml(&config).unwrap()).unwrap();
    let (rollout, _) = plan.find("rollout").unwrap();
    let mut tripped = splitway_engine::guardrail::Tripped::default();
    tripped.add(rollout, splitway_engine::VariantId(0));
    let mut log = String::new();
    for unit in 0..400_i64 {
        let name = format!("user-{unit}");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"x-user-id", name.as_bytes())];
        let view = RequestView::new(&headers);
        let now = Timestamp(1_795_219_200_000 + unit * 60_000);
        let request = if unit < 300 { view } else { view.with_tripped(&tripped) };
        let decision = plan.decide(&request, now, &mut NoTrace);
        let context = plan.context_id(&decision, &decision.assignments[0], &request);
        let served = Served { status: Some(if unit < 300 { 503 } else { 200 }), ..Served::default() };
        let exposure = plan.exposure(&decision.assignments[0], context.as_deref(), now, &served).unwrap();
        log += &format!("{}\n", exposure.to_json());
    }
    let bench = Bench::new(&[("splitway.yaml", &config), ("envoy.log", &log)]);
    let ran = bench.run("analyze --config splitway.yaml --exposures envoy.log");
    assert!(ran.out.contains("rollout: DO NOT SHIP (on)"), "{}", ran.all());
    assert!(ran.out.contains("switched `on` off: 100 exposures were served without it"), "{}", ran.all());
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

/// Compacting takes records of all versions; an analysis takes those that were named, from whichever file.
#[test]
fn compacted_records_of_other_versions_are_left_out() {
    let bench = bench();
    let rest = "--config splitway.yaml";
    let before = bench.run(&format!("analyze --exposures envoy.log {rest} --json")).json();
    let log = bench.read("envoy.log");
    let forged =
        log.replace("feature_flag.version\":\"", "feature_flag.version\":\"0").replace(":200", ":503");
    let forged: String = forged.lines().skip(1).take(900).map(|line| format!("{line}\n")).collect();
    std::fs::write(bench.path("all.log"), format!("{log}{forged}")).unwrap();
    assert_eq!(bench.run("compact all.log --out e.parquet").code, 0);
    let found = bench.run(&format!("analyze --exposures e.parquet {rest} --json")).json();
    let left_out = "900 exposures of other versions of the config were left out";
    assert!(found["experiments"][0]["remarks"].to_string().contains(left_out), "{found}");
    assert_eq!(found["experiments"][0]["metrics"], before["experiments"][0]["metrics"]);
    let all = bench.run(&format!("analyze --exposures e.parquet {rest} --accept-version any --json")).json();
    assert_ne!(all["experiments"][0]["metrics"], before["experiments"][0]["metrics"]);
    assert!(!all["experiments"][0]["remarks"].to_string().contains("left out of the Parquet"), "{all}");
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
fn an_exclusion_that_matches_nobody_is_told() {
    let bench = bench();
    let log = std::fs::read_to_string(bench.path("envoy.log")).unwrap();
    let unit = log.split(r#""feature_flag.context.id":""#).nth(1).unwrap().split('"').next().unwrap();
    let said = "no unit of --exclude is in the log";
    for (units, is_told, count) in [("user-1\n", true, 3000), (unit, false, 2999)] {
        std::fs::write(bench.path("bots"), units).unwrap();
        let ran = bench.run(&format!("analyze {DATA} --exclude bots --json")).json();
        let found = &ran["experiments"][0];
        assert_eq!(found["remarks"].to_string().contains(said), is_told, "{found}");
        let all: f64 =
            found["arms"].as_array().unwrap().iter().map(|arm| arm["units"].as_f64().unwrap()).sum();
        assert_eq!(all, f64::from(count));
    }
}

/// A limit that is passed over protects nothing, so what names nothing is refused.
#[test]
fn statements_must_name_what_there_is() {
    let bench = bench();
    let refused = |config: &str, more: &str, said: &str| {
        std::fs::write(bench.path("splitway.yaml"), config).unwrap();
        let ran = bench.run(&format!("analyze {DATA} {more}"));
        assert!(ran.code == 2 && ran.all().contains(said), "{}", ran.all());
    };
    let config = std::fs::read_to_string(bench.path("splitway.yaml")).unwrap();
    let with =
        |more: &str| config.replace("min_units_per_arm: 500", &format!("min_units_per_arm: 500, {more}"));
    refused(
        &with("non_inferiority_margins: { http_5xx_rat: 0.1 }"),
        "",
        "`http_5xx_rat`, which is none of its guardrails",
    );
    refused(&with("non_inferiority_margins: { http_5xx_rate: 0 }"), "", "more than 0");
    let directed = config
        .replace("guardrails: [http_5xx_rate]", "guardrails: [http_5xx_rate], higher_is_better: [order_rat]");
    refused(&directed, "", "metrics.higher_is_better names `order_rat`, which is none of its metrics");
    refused(&config, "--metric order_rate=sum(order)", "order_rate is given twice");
    let other = config.replace("id: big, weight: 50", "id: big, weight: 10");
    std::fs::write(bench.path("older.yaml"), other).unwrap();
    refused(&config, "--older-config older.yaml", "older.yaml: button has other shares there");
    std::fs::write(bench.path("older.yaml"), with("minimum_detectable_effect: 0.1")).unwrap();
    assert_eq!(bench.run(&format!("analyze {DATA} --older-config older.yaml")).code, 0);
    let misspelt = "--config splitway.yaml --exposures envoy.log --outcomes orders.csv --raw-units --metric order_rate=any(ordre)";
    let ran = bench.run(&format!("analyze {misspelt}"));
    assert!(
        ran.code == 0 && ran.out.contains("no outcome is called `ordre`; there are order"),
        "{}",
        ran.all()
    );
    assert!(ran.out.contains("button: INCONCLUSIVE"), "{}", ran.all());
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
fn caps_and_the_tolerance_for_clocks_are_in_the_query_and_on_the_page() {
    let bench = bench();
    // An order a second before its unit's first exposure: by the clock of another machine.
    let orders = std::fs::read_to_string(bench.path("orders.csv")).unwrap();
    let early = "user-1,2026-11-21T00:00:59.200Z,order,5000\n";
    std::fs::write(bench.path("orders.csv"), orders + early).unwrap();
    let revenue = format!("analyze {DATA} --metric revenue=sum(order) --json");
    let value = |options: &str| {
        let ran = bench.run(&format!("{revenue} {options}"));
        assert!(ran.code < 2, "{}", ran.all());
        let json = ran.json();
        let metrics = json["experiments"][0]["metrics"].as_array().unwrap();
        let metric = metrics.iter().find(|metric| metric["name"] == "revenue").unwrap().clone();
        let all: f64 =
            metric["values"].as_array().unwrap().iter().map(|value| value["value"].as_f64().unwrap()).sum();
        (all, metric)
    };
    let (strict, _) = value("--clock-tolerance 0s");
    let (tolerant, metric) = value("");
    assert!(tolerant - strict > 3.0, "5,000 more over some 1,500 units: {strict} {tolerant}");
    assert!(metric["comparisons"][0]["skew"]["skewness"].as_f64().unwrap() > 20.0, "{metric}");
    for cap in ["p99", "20"] {
        let (capped, metric) = value(&format!("--cap revenue={cap}"));
        assert!(capped < strict + 0.1, "{capped}");
        assert!(metric["formula"].as_str().unwrap().contains("each unit's sum(order) capped at"), "{metric}");
    }
    let sql = |options: &str| {
        bench.run(&format!("analyze {DATA} --metric revenue=sum(order) --dialect duckdb {options}")).out
    };
    let hash = |sql: &str| sql.split("AS reduction").next().unwrap().rsplit('\'').nth(1).unwrap().to_owned();
    let plain = sql("");
    assert!(plain.contains("o.time_ms >= e.first_ms - 1000"), "{plain}");
    assert!(
        hash(&plain) != hash(&sql("--cap revenue=p99")) && hash(&plain) != hash(&sql("--clock-tolerance 2s"))
    );
    let ran =
        bench.run(&format!("report {DATA} --metric revenue=sum(order) --cap revenue=p99 --out page.html"));
    assert!(ran.code < 2, "{}", ran.all());
    let page = std::fs::read_to_string(bench.path("page.html")).unwrap();
    for said in ["capped at p99 of all units", "<td>revenue at p99 of all units</td>", "up to 1s before it"] {
        assert!(page.contains(said), "{said}");
    }
    for wrong in [
        "--cap revenue",
        "--cap revenue=p40",
        "--cap revenue=-1",
        "--cap order_rate=p99",
        "--cap nothing=p99",
        "--cap revenue=5 --cap revenue=6",
        "--clock-tolerance 1",
    ] {
        let ran = bench.run(&format!("{revenue} {wrong}"));
        assert_eq!(ran.code, 2, "{wrong}: {}", ran.all());
    }
}

/// Chosen by what was seen, it would make any result certain: the first config's is kept, and the change is reported.
#[test]
fn units_asked_for_afterwards_do_not_move_the_intervals() {
    let bench = bench();
    let of = |min: u64| CONFIG.replace("min_units_per_arm: 500", &format!("min_units_per_arm: {min}"));
    std::fs::write(bench.path("older.yaml"), of(5000)).unwrap();
    let p = |options: &str| {
        let ran = bench.run(&format!("analyze {DATA} --json {options}"));
        let json = ran.json();
        (json["experiments"][0]["metrics"][1]["comparisons"][0]["p"].as_f64().unwrap(), ran.out)
    };
    let (now, said) = p("");
    assert!(!said.contains("min_units_per_arm was"), "{said}");
    let (bound, said) = p("--older-config older.yaml");
    assert!(said.contains("min_units_per_arm was 5000 when the experiment began and is 500 now"), "{said}");
    std::fs::write(bench.path("splitway.yaml"), of(5000)).unwrap();
    // The log is of the version that asked for 500.
    assert!(bound != now && (bound / p("--accept-version any").0 - 1.0).abs() < 1e-9);
}

#[test]
fn planned_looks_quantiles_and_power_from_what_was_seen() {
    let bench = bench();
    let looks = "--looks 0.25,0.5 --metric wait=p90(order) --metric latency_p95=p95(nothing)";
    let ran = bench.run(&format!("analyze {DATA} {looks}"));
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.out.contains("O'Brien-Fleming bounds, look 2 at 50 % of the units"), "{}", ran.all());
    assert!(
        ran.out.contains("latency_p95: no outcome is called `nothing`; there are order"),
        "{}",
        ran.all()
    );
    // All orders are of 20.
    assert!(ran.out.contains("secondary wait: the same for all units"), "{}", ran.all());
    for wrong in [
        "--looks 0.5,0.25",
        "--looks 2",
        "--looks 0.5 --fixed",
        "--spending pocock",
        "--lower-is-better waits",
    ] {
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
    assert!(ran.code == 2 && ran.err.contains("give them with --looks, or use --fixed"), "{}", ran.all());
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
    assert_eq!(ran.json()["min_units_per_arm"], 500, "as the config said");
    // The table of the analysis itself, around the same effect.
    let own = &serde_json::from_str::<serde_json::Value>(&seen).unwrap()["experiments"][0]["metrics"][1];
    let own = &own["comparisons"][0]["plan"];
    let again = bench.run("power --observed always.json --experiment button --json").json();
    assert_eq!(again["rows"][3]["control"], own["rows"][2]["control"], "{own}");
    assert!(ran.json()["rows"][3]["control"].as_f64().unwrap() > 1.5 * control, "{}", ran.all());
    for wrong in ["--experiment none", "", "--experiment button --daily 5"] {
        assert_eq!(bench.run(&format!("power --observed seen.json {wrong}")).code, 2, "{wrong}");
    }
}

#[test]
fn nothing_is_written_over_what_is_read_or_by_what_failed() {
    let bench = bench();
    let before = ["envoy.log", "orders.csv", "splitway.yaml"].map(|name| bench.read(name));
    std::fs::write(bench.path("good.parquet"), "precious").unwrap();
    let broken = before[0].clone() + "{\"event\":\"feature_flag.evaluation\"}\n";
    std::fs::write(bench.path("broken.log"), broken).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(bench.path("envoy.log"), bench.path("link.log")).unwrap();
    for (command, code, said) in [
        ("compact envoy.log --out envoy.log", 2, "envoy.log: is an input"),
        ("compact envoy.log --out ./envoy.log", 2, "is an input"),
        #[cfg(unix)]
        ("compact envoy.log --out link.log", 2, "is an input"),
        ("compact orders.csv --outcomes --config splitway.yaml --out splitway.yaml", 2, "is an input"),
        ("compact missing.log --out good.parquet", 2, "missing.log"),
        ("compact broken.log --strict --out good.parquet", 1, "broken.log:3002: "),
        ("compact orders.csv --out good.parquet", 2, "no exposures"),
        ("compact envoy.log --out .", 2, "is not a regular file"),
        ("compact envoy.log --out none/e.parquet", 2, "none/e.parquet"),
        (&format!("report {DATA} --out orders.csv"), 2, "orders.csv: is an input"),
        (&format!("report {DATA} --out envoy.log"), 2, "envoy.log: is an input"),
        ("report --config splitway.yaml --exposures missing.log --out good.parquet", 2, "missing.log"),
    ] {
        let ran = bench.run(command);
        assert!(ran.code == code && ran.err.contains(said), "{command}: {}", ran.all());
    }
    assert_eq!(["envoy.log", "orders.csv", "splitway.yaml"].map(|name| bench.read(name)), before);
    assert_eq!(bench.read("good.parquet"), "precious");
    let names = std::fs::read_dir(bench.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
    // And over another file if all goes well.
    assert_eq!(bench.run("compact envoy.log --out good.parquet").code, 0);
    assert!(std::fs::read(bench.path("good.parquet")).unwrap().starts_with(b"PAR1"));
}

#[test]
fn a_file_of_which_nothing_is_read_is_refused() {
    let bench = bench();
    let log = bench.read("envoy.log");
    let without_unit: String = log
        .lines()
        .skip(1)
        .map(|line| {
            let (before, rest) = line.split_once("\"feature_flag.context.id\":\"").unwrap();
            format!("{before}{}\n", rest.split_once("\",").unwrap().1)
        })
        .collect();
    let indented = log.lines().nth(1).unwrap().replace(",\"", ",\n\"");
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(log.bytes().flat_map(|byte| [byte, 0])).collect();
    for (content, code, said) in [
        (b"".to_vec(), 2, vec!["no exposures: expected records", "0 records in 0 lines"]),
        (b"starting\n".to_vec(), 2, vec!["no exposures: expected records", "1 about other things"]),
        (
            b"{\"event\":\"feature_flag.evaluation\"}\n".repeat(40),
            2,
            vec!["40 malformed", "x.log:1: missing field `feature_flag.key`"],
        ),
        (
            without_unit.into_bytes(),
            2,
            vec!["no exposures with a unit", "exposure: { key: … }", "3000 without a unit"],
        ),
        (indented.into_bytes(), 2, vec!["no exposures", "x.log:1: cut off"]),
        (utf16, 2, vec!["x.log: is UTF-16", "iconv"]),
        (b"\x28\xb5\x2f\xfd....".to_vec(), 2, vec!["x.log: is compressed by zstd: `zstd -dc x.log"]),
    ] {
        std::fs::write(bench.path("x.log"), content).unwrap();
        for strict in ["", " --strict"] {
            let ran = bench.run(&format!("analyze --config splitway.yaml --exposures x.log{strict}"));
            assert_eq!(ran.code, code, "{}", ran.all());
            for said in &said {
                assert!(ran.err.contains(said), "{said}: {}", ran.all());
            }
        }
    }
    // A wrong file of outcomes; but orders may be yet to come.
    let rest = "--config splitway.yaml --exposures envoy.log --outcomes";
    let ran = bench.run(&format!("analyze {rest} splitway.yaml"));
    assert!(ran.code == 2 && ran.err.contains("no outcomes: expected NDJSON such as"), "{}", ran.all());
    std::fs::write(bench.path("none.csv"), "unit,time,metric,value\n").unwrap();
    let ran = bench.run(&format!("analyze {rest} none.csv"));
    assert!(ran.err.is_empty(), "{}", ran.all());
    assert_eq!(bench.run(&format!("analyze {rest} none.csv --strict")).code, 2);
}

/// Of the two records, one is cut off before its event's name: a line that the proxy did not finish.
#[test]
fn strict_finds_what_is_cut_off() {
    let bench = bench();
    let log = bench.read("envoy.log");
    let line = log.lines().nth(1).unwrap();
    std::fs::write(bench.path("cut.log"), format!("{ENVOY}{line}\n{ENVOY}{}", &line[..15])).unwrap();
    let ran = bench.run("compact cut.log --out cut.parquet");
    assert!(ran.out.contains("1 record in 2 lines, 1 malformed"), "{}", ran.all());
    let ran = bench.run("compact cut.log --out cut.parquet --strict");
    assert!(ran.code == 1 && ran.err.contains("cut.log:2: cut off"), "{}", ran.all());
}

#[test]
fn a_segment_is_not_passed_over_with_parquet() {
    let bench = bench();
    for command in [
        "compact envoy.log --out plain.parquet",
        "compact envoy.log --segment feature_flag.version --out version.parquet",
        "compact orders.csv --outcomes --out orders.parquet",
        "compact orders.csv --outcomes --config splitway.yaml --out shown.parquet",
    ] {
        assert_eq!(bench.run(command).code, 0, "{command}");
    }
    let rest = "--config splitway.yaml --metric order_rate=any(order) --window 7d --json";
    let ran = bench.run(&format!("analyze --exposures plain.parquet --segment splitway.cluster {rest}"));
    assert!(
        ran.code == 2 && ran.err.contains("`splitway compact --segment splitway.cluster`"),
        "{}",
        ran.all()
    );
    let segment = "--segment feature_flag.version";
    let ran = bench.run(&format!("analyze --exposures version.parquet {segment} {rest}"));
    assert!(ran.err.is_empty(), "{}", ran.all());
    let ran = bench.run(&format!("analyze --exposures envoy.log --segment splitway.clutser {rest}"));
    assert!(
        ran.code == 2 && ran.err.contains("no exposures with the field that --segment names"),
        "{}",
        ran.all()
    );
    // Raw units in Parquet, and those that are shown already.
    let expected = bench.run(&format!("analyze {DATA} --json")).json();
    for (outcomes, lines) in
        [("orders.parquet --raw-units", true), ("shown.parquet --raw-units", false), ("shown.parquet", false)]
    {
        let found =
            bench.run(&format!("analyze --exposures plain.parquet --outcomes {outcomes} {rest}")).json();
        assert_eq!(found["experiments"], expected["experiments"], "{outcomes}");
        // Read anew only where it must be.
        assert_eq!(found["outcomes"].is_object(), lines, "{outcomes}");
    }
    let ran = bench.run(&format!("analyze --exposures orders.parquet {rest}"));
    assert!(
        ran.code == 2 && ran.err.contains("lacks the columns experiment (text), variant (text)"),
        "{}",
        ran.all()
    );
}

/// Whoever sends a request chooses its path; where the access log and the proxy's log share a stream, it stands beside ours.
#[test]
fn forged_lines_change_no_verdict() {
    let bench = bench();
    let before = bench.run(&format!("analyze {DATA} --json"));
    let log = bench.read("envoy.log");
    let records: Vec<&str> = log.lines().filter(|line| line.contains("\"big\"")).take(80).collect();
    let mut forged = log.clone();
    for (n, record) in records.iter().enumerate() {
        let fails = record.replace("\"http.response.status_code\":200", "\"http.response.status_code\":503");
        let text = serde_json::to_string(&format!("/?{fails}")).unwrap();
        let alone = serde_json::to_string(&fails).unwrap();
        forged += &match n % 6 {
            0 => format!("{{\"path\":{text},\"status\":200}}\n"),
            1 => format!("{{\"path\":{alone},\"user_agent\":{alone}}}\n"),
            2 => format!("[2026-11-21T10:00:00.000Z] \"GET /?{fails} HTTP/1.1\" 200 - 0 5 1\n"),
            3 => format!("10.0.0.1 - - [21/Nov/2026:10:00:00 +0000] \"GET /{fails} HTTP/1.1\" 200 5\n"),
            4 => format!("[2026-11-21 10:00:00.000][7][debug][http] [source.cc:1] ':path', '/{fails}'\n"),
            // At the beginning of a line, but of no version that anybody named.
            _ => format!("{}\n", fails.replace("feature_flag.version\":\"", "feature_flag.version\":\"0")),
        };
    }
    assert_eq!(records.len(), 80);
    std::fs::write(bench.path("envoy.log"), forged).unwrap();
    let after = bench.run(&format!("analyze {DATA} --json --strict"));
    let (before, found) = (before.json(), after.json());
    assert_eq!(found["experiments"], before["experiments"], "{}", after.all());
    assert_eq!((&found["exposures"]["elsewhere"], &found["exposures"]["foreign"]), (&67.into(), &13.into()));
    let ran = bench.run(&format!("analyze {DATA}"));
    assert!(ran.out.contains("67 with the text of a record where Splitway writes none"), "{}", ran.all());
    assert!(ran.out.contains("13 of other versions of the config left out (0"), "{}", ran.all());
    // Whoever names the version takes them.
    let found = bench.run(&format!("analyze {DATA} --json --accept-version any")).json();
    assert_eq!((&found["exposures"]["records"], &found["exposures"]["foreign"]), (&3013.into(), &0.into()));
}

#[test]
fn a_log_draws_nothing_on_the_terminal() {
    let bench = bench();
    let log = bench.read("envoy.log");
    let record = log.lines().nth(1).unwrap();
    let drawn = record.replace("\"button\"", "\"\\u001b[2Jgone\\u202e\"");
    let early = record.replace("\"timestamp\":\"", "\"timestamp\":\"\\u001b]0;title\\u0007");
    std::fs::write(bench.path("envoy.log"), format!("{log}{drawn}\n{early}\n")).unwrap();
    for command in ["analyze", "report --out page.html"] {
        let ran = bench.run(&format!("{command} {DATA}"));
        assert!(!ran.all().contains(['\u{1b}', '\u{7}', '\u{202e}']), "{}", ran.all());
    }
    assert!(!bench.read("page.html").contains(['\u{1b}', '\u{7}', '\u{202e}']));
    let ran = bench.run(&format!("analyze {DATA}"));
    assert!(ran.out.contains("2 malformed") && ran.out.contains("\\u{1b}[2Jgone"), "{}", ran.all());
}

#[test]
fn outcomes_of_nobody_and_files_given_twice_are_told() {
    let bench = bench();
    let orders = bench.read("orders.csv");
    let time = orders.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    std::fs::write(
        bench.path("orders.csv"),
        format!("{orders}nobody,{time},order,20\nnobody,{time},order,20\nelse,{time},order,1\n"),
    )
    .unwrap();
    let ran = bench.run(&format!("analyze {DATA}"));
    assert!(
        ran.out.contains("3 outcomes of 2 units that the exposures do not contain: left out"),
        "{}",
        ran.all()
    );
    let found = bench.run(&format!("analyze {DATA} --json")).json();
    assert_eq!(found["unexposed"], serde_json::json!({ "outcomes": 3, "units": 2 }));
    std::fs::copy(bench.path("orders.csv"), bench.path("again.csv")).unwrap();
    std::fs::copy(bench.path("envoy.log"), bench.path("again.log")).unwrap();
    let rest = "--config splitway.yaml --raw-units --metric order_rate=any(order)";
    for (files, said) in [
        (
            "--exposures envoy.log --outcomes orders.csv ./orders.csv",
            "./orders.csv: is given twice (the same as orders.csv)",
        ),
        (
            "--exposures envoy.log --outcomes orders.csv again.csv",
            "again.csv: is given twice (the same as orders.csv)",
        ),
        (
            "--exposures envoy.log again.log --outcomes orders.csv",
            "again.log: is given twice (the same as envoy.log)",
        ),
    ] {
        let ran = bench.run(&format!("analyze {rest} {files}"));
        assert!(ran.code == 2 && ran.err.contains(said), "{}", ran.all());
    }
}

#[test]
fn outcomes_without_a_value_are_counted_and_not_added_up() {
    let bench = bench();
    let line = |row: &str| {
        let fields: Vec<&str> = row.split(',').collect();
        format!("{{\"unit\":\"{}\",\"time\":\"{}\",\"metric\":\"order\"}}\n", fields[0], fields[1])
    };
    let orders: String = bench.read("orders.csv").lines().skip(1).map(line).collect();
    std::fs::write(bench.path("orders.ndjson"), orders).unwrap();
    let rest =
        "--config splitway.yaml --exposures envoy.log --outcomes orders.ndjson --raw-units --window 7d";
    for formula in ["any(order)", "count(order)"] {
        let ran = bench.run(&format!("analyze {rest} --metric order_rate={formula}"));
        assert!(ran.code == 0 && ran.out.contains("without a value, counted as 1 each"), "{}", ran.all());
    }
    for formula in ["sum(order)", "sum(order)/any(order)", "mean(order)", "p95(order)"] {
        let ran = bench.run(&format!("analyze {rest} --metric order_rate={formula}"));
        assert!(ran.code == 2 && ran.err.contains("have no `value` to add up"), "{formula}: {}", ran.all());
    }
}

/// An application that reads the cookie has the id and the day.
#[test]
fn the_minted_cookies_value_is_its_unit() {
    let config = CONFIG.replace("unit: [{ header: x-user-id }]", "mint: { cookie: __Host-splitway }");
    let bench = bench();
    let plan = compile(&Document::from_yaml(&config).unwrap()).unwrap();
    let (mut log, mut orders) = (String::new(), String::from("unit,time,metric,value\n"));
    for unit in 0..40_u32 {
        let id = format!("{unit:032x}");
        let cookie = format!("__Host-splitway={id}.20772");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"cookie", cookie.as_bytes())];
        let view = RequestView::new(&headers);
        let now = Timestamp(1_795_219_200_000);
        let decision = plan.decide(&view, now, &mut NoTrace);
        let assignment = &decision.assignments[0];
        let context = plan.context_id(&decision, assignment, &view);
        log += &format!(
            "{}\n",
            plan.exposure(assignment, context.as_deref(), now, &Served::default()).unwrap().to_json()
        );
        // Some know the whole value, some the id.
        let known = if unit % 2 == 0 { format!("{id}.20772") } else { id };
        orders += &format!("{known},{},order,1\n", Timestamp(now.0 + 1000));
    }
    for (name, text) in [("splitway.yaml", &config), ("envoy.log", &log), ("orders.csv", &orders)] {
        std::fs::write(bench.path(name), text).unwrap();
    }
    let found = bench.run(&format!("analyze {DATA} --json")).json();
    assert_eq!(found["unexposed"], serde_json::json!({ "outcomes": 0, "units": 0 }), "{found}");
}
