//! `splitway init`, `fmt`, `completions`, `man`.

use crate::support::{Bench, SHOP};

#[test]
fn what_init_writes_is_valid_formatted_and_has_its_schema() {
    let bench = Bench::new(&[]);
    let ran = bench.run("init --exposure-key 0123456789abcdef");
    assert_eq!(ran.code, 0, "{}", ran.all());
    insta::assert_snapshot!("init_default", bench.read("splitway.yaml"));
    let schema: serde_json::Value = serde_json::from_str(&bench.read("splitway.schema.json")).unwrap();
    assert_eq!(schema, bench.run("schema").json());
    for next in [
        "validate splitway.yaml",
        "fmt --check splitway.yaml",
        "simulate --config splitway.yaml --units 5000",
    ] {
        let ran = bench.run(next);
        assert_eq!(ran.code, 0, "{next}: {}", ran.all());
    }
    let again = bench.run("init");
    assert_eq!(again.code, 2);
    assert!(again.err.contains("--force replaces it"), "{}", again.all());
    assert_eq!(bench.run("init --force --traffic 50%").code, 0);
    assert!(bench.read("splitway.yaml").contains("traffic: 50%"));
}

#[test]
fn answers_come_as_flags() {
    let bench = Bench::new(&[]);
    let args = "init --out - --namespace pay --unit cookie:uid --experiment fast --variant v2 --cluster pay-v2 --traffic 5% --exposure-key k0123456789abcdef";
    let ran = bench.run(args);
    assert_eq!(ran.code, 0, "{}", ran.all());
    insta::assert_snapshot!("init_flags", ran.out);
    assert_eq!(bench.run_with("validate -", ran.out.as_bytes()).code, 0);
    let keys: Vec<String> = (0..2).map(|_| bench.run("init --out -").out).collect();
    assert_ne!(keys[0], keys[1], "each config has a secret of its own");
    for (wrong, why) in [
        ("--unit uid", "header:x-user-id"),
        ("--traffic 200%", "0% to 100%"),
        ("--experiment A:b", "letters, digits"),
    ] {
        let ran = bench.run(&format!("init {wrong}"));
        assert_eq!(ran.code, 2, "{wrong}: {}", ran.all());
        assert!(ran.err.contains(why), "{wrong}: {}", ran.all());
        assert!(!bench.path("splitway.yaml").exists());
    }
}

#[test]
fn fmt_keeps_comments_and_meaning() {
    let messy = "version:   1\nunit:\n    - {cookie:   uid}   # who\n\n\n\nexperiments:\n- id:   x\n  # two arms\n  variants:   [ {id: a},\n    {id: b} ]\n";
    let bench = Bench::new(&[("a.yaml", messy), ("shop.yaml", SHOP)]);
    let before = bench.run("validate a.yaml").out;
    assert_eq!(bench.run("fmt --check a.yaml").code, 1);
    assert_eq!(bench.read("a.yaml"), messy, "--check writes nothing");
    assert_eq!(bench.run_with("fmt -", messy.as_bytes()).code, 0);
    let ran = bench.run("fmt a.yaml");
    assert_eq!((ran.code, ran.out.as_str()), (0, "a.yaml: formatted\n"), "{}", ran.all());
    let formatted = bench.read("a.yaml");
    insta::assert_snapshot!("fmt", formatted);
    assert_eq!(bench.run("validate a.yaml").out, before, "the same version");
    assert_eq!(bench.run("fmt --check a.yaml").code, 0, "formatting is done once");
    assert_eq!(bench.run("fmt shop.yaml").code, 0);
    assert_eq!(bench.run("fmt --check .").code, 0);
    let broken = bench.run_with("fmt -", b"version: 1\n\tunit: []\n");
    assert_eq!(broken.code, 1);
    assert_eq!(bench.run_with("fmt -", b"{\"version\": 1}").code, 2);
}

/// In the shells themselves.
#[test]
fn shells_complete_commands() {
    let bench = Bench::new(&[]);
    for (shell, script) in [
        (
            "bash",
            "source c; COMP_WORDS=(splitway val); COMP_CWORD=1; _splitway splitway val; echo ${COMPREPLY[@]}",
        ),
        ("zsh", "compdef() { :; }; source c; functions | grep -q validate && print validate"),
        ("fish", "source c; complete -C 'splitway val'"),
    ] {
        std::fs::write(bench.path("c"), bench.run(&format!("completions {shell}")).out).unwrap();
        let mut command = std::process::Command::new(shell);
        let Ok(ran) = command.args(["-c", script]).current_dir(bench.path(".")).output() else {
            let why = format!("{shell} is not on PATH: apt-get install {shell}");
            splitway_envoy::skip::skip("shells_complete_commands", &why);
            continue;
        };
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(said.contains("validate"), "{shell}: {said}{}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn shells_and_man_know_every_command() {
    let bench = Bench::new(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = bench.run(&format!("completions {shell}"));
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains("simulate") && ran.out.contains("validate"), "{shell}");
    }
    assert_eq!(bench.run("man --out man").code, 0);
    for page in ["splitway.1", "splitway-validate.1", "splitway-init.1", "splitway-simulate.1"] {
        assert!(bench.read(&format!("man/{page}")).contains(".TH"), "{page}");
    }
    assert!(bench.read("man/splitway-diff.1").contains("Example: splitway diff"));
}
