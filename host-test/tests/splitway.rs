//! Splitway's filter in the host: what upstream and client get, and that no
//! failing hostcall brings it down.

mod support;

use proxy_wasm_host::{
    Fault, FaultPlan, Host, HostBuilder, HostError, Hostcall, LogSource, Request, Route, Status,
    SweepOptions, UpstreamResponse, When, sweep,
};

const CONFIG: &str = r#"{
    "version": 1,
    "unit": [{ "header": "x-user-id" }, { "cookie": "uid" }],
    "experiments": [{
        "id": "checkout",
        "variants": [
            { "id": "control" },
            {
                "id": "one-step",
                "route": { "cluster": "checkout-v2" },
                "request_headers": { "set": { "x-checkout": "one-step" } }
            }
        ]
    }]
}"#;

/// Everything that the filter does to messages, at once.
const ACTING: &str = r#"{
    "version": 1,
    "unit": [{ "header": "x-user-id" }],
    "exposure": { "key": { "env": "EXPOSURE_KEY" } },
    "mint": {},
    "consent": { "mode": "exempt", "granted": { "header": { "name": "x-consent", "exists": true } } },
    "qa_tokens": { "header": "x-qa", "keys": [{ "id": "k", "secret": { "env": "QA_KEY" } }] },
    "propagation": { "baggage": true, "filter_state": true },
    "experiments": [
        { "id": "away", "variants": [{ "id": "on", "route": { "redirect": { "path": { "prefix": "/old", "replace_prefix": "/new" } } } }] },
        { "id": "here", "variants": [{
            "id": "on",
            "route": { "cluster": "checkout-v2", "host": "b.example", "shadow": "checkout-v1", "path": { "regex": "^/a", "replacement": "/b" } },
            "response_headers": { "set": { "x-a": "1" }, "add": { "x-b": "2" }, "remove": ["set-cookie"] }
        }] }
    ]
}"#;

fn builder() -> HostBuilder {
    Host::builder(&support::splitway())
        .root_id("splitway")
        .seed(7)
        .environment("EXPOSURE_KEY", "0123456789abcdef")
        .environment("QA_KEY", "0123456789abcdef0123456789abcdef")
        .configuration(CONFIG)
        .route(Route::header("x-splitway-cluster", "checkout-v2").to("checkout-v2"))
        .default_route("checkout-v1")
        .upstream("checkout-v1", |_| UpstreamResponse::ok("v1").header("set-cookie", "a=1"))
        .upstream("checkout-v2", |_| UpstreamResponse::ok("v2"))
}

fn visit(uid: usize) -> Request {
    Request::get("/checkout").header("cookie", format!("uid=user-{uid}"))
}

#[test]
fn splits_and_sticks() -> Result<(), HostError> {
    let mut host = builder().workers(2).start()?;
    let mut second = 0;
    for uid in 0..1000 {
        let first = host.send(visit(uid))?;
        let again = host.send(visit(uid))?;
        assert_eq!(
            first.cluster(),
            again.cluster(),
            "user {uid} on workers {} and {}",
            first.worker,
            again.worker
        );
        let in_second = first.cluster() == Some("checkout-v2");
        let stamp = if in_second { "checkout=one-step" } else { "checkout=control" };
        let upstream = first.upstream_request().expect("it reached an upstream");
        assert_eq!(upstream.headers.text("x-splitway").as_deref(), Some(stamp));
        assert_eq!(upstream.headers.contains("x-checkout"), in_second);
        assert_eq!(first.response.header("x-splitway").as_deref(), Some(stamp));
        second += usize::from(in_second);
    }
    assert!((430..570).contains(&second), "{second} of 1000 in the second variant");
    Ok(())
}

#[test]
fn a_client_cannot_stamp_itself() -> Result<(), HostError> {
    let mut host = builder().start()?;
    for name in ["x-splitway-cluster", "X-Splitway-Cluster", "x_splitway_cluster", "x-splitway", "x_splitway"]
    {
        let exchange = host.send(visit(1).header(name, "checkout-v2"))?;
        let plain = host.send(visit(1))?;
        assert_eq!(exchange.cluster(), plain.cluster(), "{name}");
        let sent = exchange.upstream_request().expect("upstream").headers.clone();
        assert!(
            sent.iter().all(|(key, value)| key.starts_with(b":")
                || value != b"checkout-v2"
                || plain.cluster() == Some("checkout-v2")),
            "{sent:?}"
        );
    }
    assert!(host.metric("splitway.stripped_headers") >= 5);
    Ok(())
}

#[test]
fn cookies_that_are_not_text_do_no_harm() -> Result<(), HostError> {
    let mut host = builder().start()?;
    let plain = host.send(visit(3))?;
    for cookie in [&b"\xff\xfe"[..], b"uid=\xff\xfe", b"", b"=", b";;;"] {
        let exchange = host.send(Request::get("/").header("cookie", cookie))?;
        assert_eq!(exchange.response.status, 200);
        assert_eq!(exchange.trap, None);
        // The second cookie line still counts.
        let both = host.send(
            Request::get("/checkout").header("cookie", &b"\xff\xfe"[..]).header("cookie", "uid=user-3"),
        )?;
        assert_eq!(both.cluster(), plain.cluster());
    }
    Ok(())
}

#[test]
fn a_bad_configuration_is_refused_and_the_last_good_one_serves() -> Result<(), HostError> {
    let mut host = builder().workers(2).start()?;
    let before = host.send(visit(5))?.response.header("x-splitway");
    let error = host.reconfigure(r#"{"version": 1, "experiments": [{"id": "UPPER"}]}"#).expect_err("refused");
    assert!(matches!(&error, HostError::ConfigurationRefused { logs, .. } if !logs.is_empty()), "{error}");
    assert_eq!(host.stats().config_refused, 1);
    assert_eq!(host.send(visit(5))?.response.header("x-splitway"), before);
    host.reconfigure(r#"{"version": 1}"#)?;
    assert_eq!(host.send(visit(5))?.response.header("x-splitway"), None);
    Ok(())
}

#[test]
fn exposures_go_to_the_log_with_the_served_cluster() -> Result<(), HostError> {
    let mut host = builder().start()?;
    let exchange = host.send(visit(11))?;
    let lines: Vec<&str> = exchange
        .logs
        .iter()
        .filter(|line| line.source == LogSource::Guest)
        .map(|line| line.message.as_str())
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let cluster = exchange.cluster().expect("a cluster");
    assert!(lines[0].contains(&format!(r#""splitway.cluster":"{cluster}""#)), "{}", lines[0]);
    assert!(lines[0].contains(r#""http.response.status_code":200"#), "{}", lines[0]);
    Ok(())
}

#[test]
fn local_replies_are_stamped_too() -> Result<(), HostError> {
    let config = CONFIG.replace("checkout-v2", "nowhere");
    let mut host = builder()
        .configuration(&config)
        .route(Route::header("x-splitway-cluster", "nowhere").to("nowhere"))
        .start()?;
    let missing = (0..50)
        .map(|uid| host.send(visit(uid)))
        .find(|exchange| exchange.as_ref().is_ok_and(|e| e.response.status == 503));
    let exchange = missing.expect("half of the users")?;
    assert_eq!((exchange.flags.as_str(), exchange.details.as_str()), ("NC", "cluster_not_found"));
    assert_eq!(exchange.response.header("x-splitway").as_deref(), Some("checkout=one-step"));
    Ok(())
}

/// Every hostcall x every status, garbage, truncated and absent data, at
/// every call of a run through configuration, requests, local replies and a
/// configuration swap.
#[test]
fn no_failing_hostcall_traps_the_filter() -> Result<(), HostError> {
    let report = sweep(&SweepOptions::default(), builder, |host| {
        for uid in 0..3 {
            host.send(visit(uid))?;
        }
        host.send(Request::get("/").header("x_splitway", "forged").header("cookie", &b"\xff"[..]))?;
        host.send(Request::post("/checkout", "body").header("x-user-id", "u-1").trailer("t", "1"))?;
        // The swap may be refused under faults; the filter may not trap.
        let _ = host.reconfigure(CONFIG.replace("checkout-v2", "checkout-v1"));
        host.send(visit(4))?;
        let _ = host.reconfigure(ACTING);
        host.send(Request::get("/a?b").header("baggage", "tenant=acme"))?;
        host.send(Request::get("/old/a").header("x-user-id", "u-1").header("x-qa", "v1.k.e30.AAAA"))?;
        host.send(Request::get("/a").header("user-agent", "Googlebot/2.1"))?;
        Ok(())
    })?;
    println!("{report}");
    assert!(report.cases > 500, "{} cases", report.cases);
    assert!(report.traps.is_empty(), "{report}");
    assert_eq!(report.stuck, 0);
    Ok(())
}

#[test]
fn a_fault_costs_its_own_request_only() -> Result<(), HostError> {
    let mut host = builder().start()?;
    let good = host.send(visit(1))?;
    host.set_faults(&FaultPlan::new().fail(Hostcall::GetHeaderMapPairs, When::Nth(1), Fault::Garbage));
    let hit = host.send(visit(1))?;
    assert_eq!((hit.response.status, hit.trap), (200, None));
    let next = host.send(visit(1))?;
    assert_eq!(next.cluster(), good.cluster());
    Ok(())
}

#[test]
fn what_is_not_applied_whole_is_taken_back() -> Result<(), HostError> {
    let with_baggage =
        CONFIG.replacen(r#""version": 1,"#, r#""version": 1, "propagation": { "baggage": true },"#, 1);
    let mut host = builder().configuration(&*with_baggage).start()?;
    let mut treated = None;
    for uid in 0..100 {
        if host.send(visit(uid))?.cluster() == Some("checkout-v2") {
            treated = Some(uid);
            break;
        }
    }
    let treated = treated.expect("one of 100 is treated");
    // The route, the variant's header, the baggage and the stamp are set in this order; each fails once.
    for nth in 1..=4 {
        for before in [None, Some("tenant=acme"), Some("tenant=acme,splitway.other=forged")] {
            let mut request = visit(treated);
            if let Some(baggage) = before {
                request = request.header("baggage", baggage);
            }
            let fault = Fault::Status(Status::InternalFailure);
            host.set_faults(&FaultPlan::new().fail(Hostcall::ReplaceHeaderMapValue, When::Nth(nth), fault));
            let exchange = host.send(request)?;
            assert_eq!(
                (exchange.response.status, exchange.cluster()),
                (200, Some("checkout-v1")),
                "call {nth}"
            );
            let sent = &exchange.upstream_request().expect("upstream").headers;
            for name in ["x-splitway", "x-splitway-cluster", "x-checkout"] {
                assert!(!sent.contains(name), "call {nth}: {name}");
            }
            assert_eq!(sent.get("baggage"), before.map(|_| b"tenant=acme".as_slice()), "call {nth}");
            assert_eq!(exchange.response.header("x-splitway"), None, "call {nth}");
        }
    }
    Ok(())
}
