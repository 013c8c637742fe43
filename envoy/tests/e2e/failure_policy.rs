//! Bytes that would panic a filter which takes headers for text, under each failure policy: the
//! filter must not trap, so the policy must not matter. And what FAIL_RELOAD does for one that traps.

use std::fs;

use serde_json::json;
use splitway_envoy::{Call, FailurePolicy, eventually, tools};
use wasmparser::{ExternalKind, Parser, Payload};

use crate::shop::{Shop, checkout_button, with_experiments};

async fn survives_bad_bytes(policy: FailurePolicy) {
    let document = with_experiments(&json!([checkout_button()])).to_string();
    let shop = Shop::open_with(&document, |config| config.failure_policy = policy).await;
    let bad = [
        Call::get("/").header("cookie", b"uid=\xff\xfe"),
        Call::get("/").header("x-user-id", b"\xff\xfe"),
        Call::get("/").header("x-other", b"\x80\xff"),
        Call::get("/").header("cookie", b"\xff=\xfe; uid=u1"),
    ];
    for _ in 0..5 {
        for call in &bad {
            // A connection each, so that both workers meet them.
            let answer = shop.envoy.http1().send(call).await.expect("an answer");
            assert_eq!(answer.status, 200, "{policy}: {call:?}");
            assert!(answer.upstream().is_some(), "{policy}: {call:?}");
        }
    }
    // Still active: a filter that was switched off would answer without a stamp.
    for number in 0..20 {
        let call = Call::get("/").header("x-user-id", format!("u{number}"));
        let answer = shop.envoy.http1().send(&call).await.expect("an answer");
        assert_eq!(answer.status, 200, "{policy}");
        assert!(answer.variant("checkout-button").is_some(), "{policy}");
    }
    let log = shop.envoy.log().expect("a log");
    assert!(!log.contains("panicked"), "{policy}:\n{log}");
    let stats = shop.envoy.stats().await.expect("stats");
    let reloads: Vec<_> =
        stats.iter().filter(|(name, count)| name.contains("vm_reload") && **count > 0).collect();
    assert!(reloads.is_empty(), "{policy}: {reloads:?}");
}

#[tokio::test]
async fn fail_reload() {
    survives_bad_bytes(FailurePolicy::Reload).await;
}

#[tokio::test]
async fn fail_open() {
    survives_bad_bytes(FailurePolicy::Open).await;
}

#[tokio::test]
async fn fail_closed() {
    survives_bad_bytes(FailurePolicy::Closed).await;
}

/// The compiled filter with `unreachable` in place of what it does in an exported function: it has no bug that
/// would trap there.
fn trapping_in(export: &str) -> Vec<u8> {
    let mut wasm = fs::read(tools::filter_wasm().expect("a filter")).expect("readable");
    let (mut imported, mut bodies, mut index) = (0, Vec::new(), None);
    for payload in Parser::new(0).parse_all(&wasm) {
        match payload.expect("wasm") {
            Payload::ImportSection(imports) => {
                let all = imports.into_imports().map(|import| import.expect("an import"));
                imported = all.filter(|import| matches!(import.ty, wasmparser::TypeRef::Func(_))).count();
            }
            Payload::ExportSection(exports) => {
                let mut all = exports.into_iter().map(|export| export.expect("an export"));
                let found = all.find(|found| found.name == export && found.kind == ExternalKind::Func);
                index = found.map(|found| found.index as usize);
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.range()),
            _ => {}
        }
    }
    let body = bodies[index.expect("the export") - imported].clone();
    let (no_locals, unreachable, nop, end) = (0x00, 0x00, 0x01, 0x0b);
    let body = &mut wasm[body.start as usize..body.end as usize];
    body.fill(nop);
    let last = body.len() - 1;
    (body[0], body[1], body[last]) = (no_locals, unreachable, end);
    wasm
}

#[tokio::test]
async fn a_trap_in_the_log_phase_costs_no_request_and_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let wasm = folder.path().join("trapping.wasm");
    fs::write(&wasm, trapping_in("proxy_on_log")).expect("written");
    let document = with_experiments(&json!([checkout_button()])).to_string();
    let shop = Shop::open_with(&document, |config| {
        config.wasm = Some(wasm);
        config.workers = 1;
    })
    .await;
    let call = Call::get("/").header("x-user-id", "u1");
    let reloads = async |kind: &str| {
        let stats = shop.envoy.stats().await.expect("stats");
        let name = format!("wasm.splitway.vm_reload_{kind}");
        stats.get(&name).copied().unwrap_or_else(|| panic!("no {name}"))
    };
    // Its log phase is after the answer.
    let answer = shop.envoy.http1().send_alone(&call).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.variant("checkout-button").is_some());
    // 503 during the back-off, then served by a new VM.
    let mut refused = 0;
    let answer = eventually("the filter to be back", async || {
        let answer = shop.envoy.http1().send_alone(&call).await?;
        refused += u64::from(answer.status == 503);
        Ok((answer.status == 200).then_some(answer))
    })
    .await
    .expect("back");
    assert!(answer.variant("checkout-button").is_some());
    assert_eq!(reloads("success").await, 1);
    assert_eq!(reloads("backoff").await, refused);
    // What is lost is the record; the assignment was counted before.
    let stats = shop.envoy.stats().await.expect("stats");
    let assigned: u64 =
        stats.iter().filter(|(name, _)| name.contains("splitway.assignments.")).map(|(_, count)| count).sum();
    assert_eq!((assigned, shop.envoy.exposures().expect("a log").len()), (2, 0));
}
