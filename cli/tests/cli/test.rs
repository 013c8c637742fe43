//! `splitway test`: what it prints and how it ends.

use crate::support::{Bench, Ran, root};

const GOOD: &str = "
config: { version: 1, unit: [{ cookie: uid }], experiments: [{ id: all, variants: [{ id: \"on\" }] }] }
requests:
  - headers: { cookie: uid=u }
    expect: { variants: { all: \"on\" } }
";

fn bench() -> Bench {
    let bad = GOOD.replace("all: \"on\"", "all: none");
    let only = format!("hosts: {{ only: [envoy], reason: it is about Envoy }}{GOOD}");
    Bench::new(&[
        ("s/a-good.yaml", GOOD),
        ("s/b-bad.yaml", &bad),
        ("s/sub/c-only.yaml", &only),
        ("empty/x.txt", ""),
    ])
}

fn usage(ran: &Ran, said: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.all());
    for text in said {
        assert!(ran.err.contains(text), "{text}: {}", ran.all());
    }
}

#[test]
fn one_line_each_a_diff_and_a_summary() {
    let ran = bench().run("test s --host in-process");
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.all());
}

#[test]
fn all_good_is_exit_0_and_a_filter_picks() {
    let ran = bench().run("test s --host in-process --filter good");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "ok      a-good\n1 passed, 0 failed, 0 skipped on in-process\n")
    );
}

#[test]
fn json_and_junit_say_the_same() {
    let bench = bench();
    let ran = bench.run("test s --host in-process --json --junit report.xml");
    assert_eq!(ran.code, 1);
    let json = ran.json();
    assert_eq!((&json["passed"], &json["failed"], &json["skipped"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!(json["scenarios"][1]["differences"][0]["place"], "requests[0].expect.variants.all");
    assert_eq!(json["scenarios"][1]["differences"][0]["found"], "on, on the request");
    let report = bench.read("report.xml");
    assert!(report.contains("tests=\"3\"") && report.contains("failures=\"1\""), "{report}");
    assert!(report.contains("<failure") && report.contains("<skipped"), "{report}");
}

#[test]
fn the_first_mistakes_are_usage() {
    let bench = bench();
    usage(&bench.run("test empty --host in-process"), &["no scenario in this folder", "ends with .yaml"]);
    usage(&bench.run("test nowhere"), &["no such file or folder"]);
    usage(&bench.run("test s --host wasmtine"), &["in-process, wasmtime, envoy", "similar value exists"]);
    usage(&bench.run("test s --filter cook"), &["no scenario has `cook`", "a-good, b-bad, c-only"]);
    usage(&bench.run("test s --wasm nothing.wasm"), &["--wasm", "nothing.wasm", "is not a file"]);
    usage(&bench.run("test s --wasm s/a-good.yaml --host in-process"), &["takes no --wasm; leave it out"]);
    let nowhere = [("SPLITWAY_WASM", "nothing.wasm")];
    usage(&bench.run_in("test s", b"", &nowhere), &["SPLITWAY_WASM", "--wasm FILE", "--host in-process"]);
    let broken = Bench::new(&[("s.yaml", "confg: {}\n")]);
    usage(
        &broken.run("test s.yaml"),
        &["error[unknown_field]: `confg` is not a field here", "did you mean `config`?", "s.yaml:1:1"],
    );
}

#[test]
fn a_missing_envoy_and_a_filter_that_is_none_are_named() {
    let bench = bench();
    let wasm = root().join("spec/scenarios/modules/greeter.wasm");
    let envoy = "/nowhere/envoy";
    let tools = [("SPLITWAY_WASM", wasm.to_str().unwrap()), ("ENVOY_BIN", envoy), ("SPLITWAY_ENVOY", envoy)];
    usage(&bench.run_in("test s --host envoy", b"", &tools), &[envoy, "no file"]);
    let none = bench.run_in("test s --filter good", b"", &[("SPLITWAY_WASM", "s/a-good.yaml")]);
    usage(&none, &["s/a-good.yaml, given by SPLITWAY_WASM, is not WebAssembly"]);
}

/// Exit 1 is for a scenario that fails; a module that is none is told before any is tried.
#[test]
fn what_is_no_filter_is_bad_usage() {
    let bench = bench();
    std::fs::write(bench.path("torn.wasm"), b"\0asm garbage").unwrap();
    std::fs::write(bench.path("empty.wasm"), b"\0asm\x01\0\0\0").unwrap();
    std::fs::write(bench.path("text.wasm"), "no wasm").unwrap();
    for file in ["torn.wasm", "empty.wasm", "text.wasm", "none.wasm", "s"] {
        for host in ["wasmtime", "envoy"] {
            usage(&bench.run(&format!("test s --host {host} --wasm {file}")), &[file]);
        }
    }
}
