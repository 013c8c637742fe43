//! The pages under docs/, and the README's first config: what they show is run.
//!
//! A page is one shell session in an empty folder. A block ```yaml NAME is a file of that name; a
//! block ```sh is commands that must succeed; a block ```console is commands after `$ ` and what
//! they print, where a line `…` stands for any lines. Ports that pages name are replaced by free
//! ones. Other languages are only shown.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use splitway_envoy::tools;

use crate::support::{Bench, root};

/// Ports that pages use.
const PORTS: [&str; 5] = ["3000", "3001", "8000", "8080", "9901"];

/// A command, what it should print if that is said, and whether it must succeed.
struct Step {
    command: String,
    prints: Option<Vec<String>>,
}

fn free_ports() -> Vec<(String, String)> {
    let held: Vec<TcpListener> = PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
    PORTS.iter().map(|name| (*name).to_owned()).zip(held.iter().map(port)).collect()
}

/// The files and commands of a page.
fn read(page: &str) -> (Vec<(String, String)>, Vec<Step>) {
    let (mut files, mut steps) = (Vec::new(), Vec::new());
    for block in page.split("\n```").skip(1).step_by(2) {
        let (info, text) = block.split_once('\n').unwrap();
        let text = format!("{text}\n");
        match info.split_once(' ').unwrap_or((info, "")) {
            ("yaml", "") => panic!("a yaml block without a file name: {text}"),
            ("yaml" | "json", name) => {
                // Written when the session comes to it.
                let quoted = text.replace('\'', r"'\''");
                let command = format!("mkdir -p \"$(dirname '{name}')\" && printf %s '{quoted}' > '{name}'");
                steps.push(Step { command, prints: Some(Vec::new()) });
                files.push((name.to_owned(), text));
            }
            ("sh", _) => {
                steps.push(Step { command: text, prints: None });
            }
            ("console", _) => {
                for example in format!("\n{text}").split("\n$ ").skip(1) {
                    let (command, printed) = example.split_once('\n').unwrap_or((example, ""));
                    let printed = printed.trim_end().lines().map(str::to_owned).collect();
                    steps.push(Step { command: command.to_owned(), prints: Some(printed) });
                }
            }
            _ => {}
        }
    }
    (files, steps)
}

/// Whether `printed` is what was `shown`; a line `…` stands for any lines.
fn fits(shown: &[String], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "…" => {
            (0..=printed.len()).any(|skip| fits(rest, &printed[skip..]))
        }
        (Some((first, rest)), Some((found, others))) => {
            let same = match first.strip_suffix('…') {
                Some(start) => found.starts_with(start),
                None => first == found,
            };
            same && fits(rest, others)
        }
        _ => false,
    }
}

fn run(name: &str, page: &str) {
    let mut page = page.to_owned();
    for (shown, free) in free_ports() {
        page = page
            .replace(&format!(":{shown}"), &format!(":{free}"))
            .replace(&format!(" {shown}"), &format!(" {free}"));
    }
    let (_, steps) = read(&page);
    assert!(!steps.is_empty(), "{name} shows nothing");
    let bench = Bench::new(&[]);
    // Whatever is started behind the page's back ends with its session.
    let mut script = "exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        let _ = write!(script, "printf '\\n@@%s\\n' {number}\n{}\n", step.command);
        if step.prints.is_none() {
            let _ = writeln!(
                script,
                "code=$?; [ $code = 0 ] || {{ printf '\\n@@failed %s %s\\n' {number} $code; exit 1; }}"
            );
        }
    }
    script.push_str("exit 0\n");
    std::fs::write(bench.path(".session.sh"), script).unwrap();
    let own = Path::new(env!("CARGO_BIN_EXE_splitway")).parent().unwrap().to_owned();
    let envoy = tools::envoy().unwrap().parent().unwrap().to_owned();
    let known = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([own, envoy].into_iter().chain(std::env::split_paths(&known))).unwrap();
    let ran = Command::new("timeout")
        .args(["120", "bash", ".session.sh"])
        .current_dir(bench.path("."))
        .env("PATH", path)
        .env("SPLITWAY_WASM", tools::filter_wasm().unwrap())
        .env("REPOSITORY", root().canonicalize().unwrap())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&ran.stdout);
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{name}: {}\n{out}\n{err}", ran.status);
    let outputs: Vec<&str> = out.split("\n@@").skip(1).collect();
    assert_eq!(outputs.len(), steps.len(), "{name} ended early:\n{out}\n{err}");
    for (step, output) in steps.iter().zip(outputs) {
        let Some(shown) = &step.prints else { continue };
        let printed: Vec<&str> = output.lines().skip(1).collect();
        let end = printed.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        assert!(
            fits(shown, &printed[..end]),
            "{name}: $ {}\nshown\n{}\nprinted\n{}\n{err}",
            step.command,
            shown.join("\n"),
            printed.join("\n")
        );
    }
}

fn page(name: &str) {
    let text = std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    run(name, &text);
}

#[test]
fn envoy() {
    page("envoy.md");
}

#[test]
fn istio() {
    page("istio.md");
}

#[test]
fn rollouts() {
    page("rollouts.md");
}

#[test]
fn recipes() {
    page("recipes.md");
}

#[test]
fn operations() {
    page("operations.md");
}

#[test]
fn gitops() {
    page("gitops.md");
}

#[test]
fn security() {
    page("security.md");
}

#[test]
fn analysis() {
    page("analysis.md");
}

#[test]
fn exposures_and_guardrails() {
    page("exposures-and-guardrails.md");
}

#[test]
fn readme() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = text.split_once("\n## In your own Envoy\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    run("README.md", section);
}

/// The users in the recipes for GrowthBook and Unleash got their variants from those systems' own SDKs.
#[test]
fn migrations_are_checked_against_the_sdks() {
    let page = std::fs::read_to_string(root().join("docs/recipes.md")).unwrap();
    for (vectors, set, file) in
        [("growthbook_v2", "defaults", "growthbook.csv"), ("unleash", "halves", "unleash.csv")]
    {
        let text = std::fs::read_to_string(root().join(format!("spec/vectors/{vectors}.json"))).unwrap();
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sets = vectors["sets"].as_array().unwrap();
        let units = sets.iter().find(|known| known["name"] == set).unwrap()["units"].as_array().unwrap();
        let (_, rows) = page.split_once(&format!("cat > {file} <<END\n")).unwrap();
        let rows: Vec<&str> = rows.lines().take_while(|line| *line != "END").collect();
        assert!(rows.len() >= 6, "{file}");
        for row in rows {
            let (unit, variant) = row.split_once(',').unwrap();
            let known = units.iter().find(|known| known["unit"] == unit).unwrap();
            assert_eq!(known["variant"], u32::from(variant == "big"), "{file}: {row}");
        }
    }
}

/// A page that shows commands is one of the tests above.
#[test]
fn no_page_is_forgotten() {
    let this = include_str!("docs.rs");
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, steps) = read(&text);
        assert!(steps.is_empty() || this.contains(&format!("page(\"{name}\")")), "{name} is not run");
        for target in text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap_or_default()) {
            if !target.is_empty() && !target.starts_with("http") {
                assert!(path.parent().unwrap().join(target).exists(), "{name} links to {target}");
            }
        }
    }
}

#[test]
fn the_config_reference_is_fresh() {
    let made = Bench::new(&[]).run("schema --markdown");
    let kept = std::fs::read_to_string(root().join("docs/config.md")).unwrap();
    assert!(made.out == kept, "renew it: cargo run -p splitway -- schema --markdown > docs/config.md");
}

/// The runner notices what a page gets wrong.
#[test]
fn what_is_shown_must_be_printed() {
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    assert!(fits(&lines("a\n…\nd"), &["a", "b", "c", "d"]));
    assert!(fits(&lines("a b…"), &["a b c"]));
    assert!(!fits(&lines("a"), &["a", "b"]));
    assert!(!fits(&lines("a\n…\nd"), &["a", "b"]));
    let wrong = std::panic::catch_unwind(|| run("wrong", "\n```console\n$ echo one\ntwo\n```\n"));
    assert!(wrong.is_err());
    let failing = std::panic::catch_unwind(|| run("failing", "\n```sh\nfalse\n```\n"));
    assert!(failing.is_err());
}
