//! `splitway assign`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use splitway_engine::{Document, NoTrace, RequestView, Timestamp, compile};

use crate::support::{Bench, SHOP};

const AT: &str = "2026-11-20T00:00:00Z";

#[test]
fn rows_are_those_of_decide() {
    let plan = compile(&Document::from_yaml(SHOP).unwrap()).unwrap();
    let ids: Vec<String> = (0..500).map(|n| format!("user-{n}")).chain(["jö\"\\".to_owned()]).collect();
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench.run_with(&format!("assign --config shop.yaml --at {AT}"), ids.join("\n").as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let mut rows = ran.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    for id in &ids {
        let cookie = format!("uid={id}");
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"cookie", cookie.as_bytes())];
        let decision = plan.decide(&RequestView::new(&headers), Timestamp::parse(AT).unwrap(), &mut NoTrace);
        for (handle, experiment) in plan.experiments() {
            let row = rows.next().unwrap();
            assert_eq!(row["unit"], **id);
            assert_eq!(row["experiment"], experiment.id());
            match decision.assignments.iter().find(|a| a.experiment == handle) {
                Some(entered) => {
                    assert_eq!(row["variant"], experiment.variant(entered.variant).unwrap().id());
                    assert_eq!(row["bucket"], entered.bucket);
                    assert_eq!(row["reason"], entered.reason.as_str());
                }
                None => assert!(row["variant"].is_null() && row["reason"] != "split", "{row}"),
            }
        }
    }
    assert!(rows.next().is_none());
}

#[test]
fn a_row_has_five_fields() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench
        .run_with(&format!("assign --config shop.yaml --at {AT} --unit-kind header:x-user"), b"tester-1\r\n");
    insta::assert_snapshot!(ran.out, @r#"
    {"unit":"tester-1","experiment":"button","variant":null,"bucket":7192,"reason":"outside_buckets"}
    {"unit":"tester-1","experiment":"search","variant":"ranked","bucket":null,"reason":"override"}
    {"unit":"tester-1","experiment":"wording","variant":null,"bucket":7192,"reason":"not_targeted"}
    "#);
}

#[test]
fn lines_without_rows_are_counted() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench.run_with("assign --config shop.yaml", b"a\n\n\xff\xfe\nb;c\n d\ne\n");
    assert_eq!(ran.code, 1);
    assert_eq!(ran.out.lines().count(), 2 * 3);
    assert_eq!(
        ran.err,
        "1 line skipped: empty\n1 line skipped: not UTF-8\n\
         2 lines skipped: not a value that cookie:uid can carry\n"
    );
}

#[test]
fn every_kind_of_source_carries_ids() {
    for (source, kind, id) in [
        ("header: x-user", "header:x-user", "jö b"),
        ("cookie: uid", "cookie:uid", "a=b"),
        ("query: u", "query:u", "a&b=c d+é%41"),
        ("jwt_claim: { header: x-jwt, claim: sub }", "jwt_claim:x-jwt/sub", "a\"b;c"),
        ("client_address: { trusted_hops: 2 }", "client_address:2", "2001:db8::1"),
    ] {
        let config = format!(
            "version: 1\nunit: [{{ {source} }}]\nexperiments: [{{ id: x, variants: [{{ id: a }}, {{ id: b }}] }}]\n"
        );
        let bench = Bench::new(&[("c.yaml", &config)]);
        let ran = bench.run_with(&format!("assign --config c.yaml --unit-kind {kind}"), id.as_bytes());
        assert_eq!(ran.code, 0, "{source}: {}", ran.all());
        let row: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((row["unit"].as_str(), row["reason"].as_str()), (Some(id), Some("split")));
    }
}

#[test]
fn an_undeclared_source_is_refused() {
    let ran = Bench::new(&[("shop.yaml", SHOP)]).run("assign --config shop.yaml --unit-kind cookie:id");
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.err,
        "error: expected one of the config's unit sources, cookie:uid, header:x-user; found `cookie:id`\n"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_splitway"))
        .args(["assign", "--config"])
        .arg(bench.path("shop.yaml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // More rows than any pipe holds; the command is gone before the last.
        for n in 0..200_000 {
            if writeln!(stdin, "user-{n}").is_err() {
                return;
            }
        }
    });
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(first.starts_with("{\"unit\":\"user-0\""));
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
