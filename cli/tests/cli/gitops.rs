//! `deploy/gitops` as a repository of its own: what its workflow and its hooks run, really runs.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use splitway_envoy::{skip, tools};
use tempfile::TempDir;

use crate::support::root;

/// A clone of the example with a commit on `main`.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(TempDir::new().unwrap());
        repository.shell(&format!(
            "mkdir work && cd work && cp -r {}/. . && git init --quiet --initial-branch=main . \
             && git add --all && git commit --quiet --message first \
             && git clone --quiet --bare . ../origin && git remote add origin ../origin && git fetch --quiet",
            root().join("deploy/gitops").canonicalize().unwrap().display()
        ));
        repository
    }

    fn run(&self, script: &str) -> Output {
        let own = Path::new(env!("CARGO_BIN_EXE_splitway")).parent().unwrap().to_owned();
        let known = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&known))).unwrap();
        let work = self.0.path().join("work");
        let mut command = Command::new("bash");
        command
            .args(["-e", "-o", "pipefail", "-c", script])
            .current_dir(if work.exists() { &work } else { self.0.path() })
            .env("PATH", path)
            .env("HOME", self.0.path())
            .env("SPLITWAY_WASM", tools::filter_wasm().unwrap())
            // As the workflow's host sets it.
            .env("GITHUB_BASE_REF", "main");
        for (name, value) in [("NAME", "somebody"), ("EMAIL", "somebody@shop.example")] {
            command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        // A hook of this repository may be running the tests.
        for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
            command.env_remove(name);
        }
        command.output().unwrap()
    }

    fn shell(&self, script: &str) -> String {
        let ran = self.run(script);
        let said = said(&ran);
        assert!(ran.status.success(), "{script}\n{said}");
        said
    }

    /// The steps of the workflow, until one fails: its name and what was said.
    fn workflow(&self) -> Result<(), (String, String)> {
        let text = self.shell("cat .github/workflows/experiments.yaml");
        let workflow: Value = serde_saphyr::from_str(&text).unwrap();
        let steps = workflow.pointer("/jobs/check/steps").and_then(Value::as_array).unwrap().clone();
        let commands: Vec<&Value> = steps.iter().filter(|step| step["run"].is_string()).collect();
        assert_eq!(commands.len(), 5, "{steps:#?}");
        for step in commands {
            let ran = self.run(step["run"].as_str().unwrap());
            if !ran.status.success() {
                return Err((step["name"].as_str().unwrap().to_owned(), said(&ran)));
            }
        }
        Ok(())
    }
}

fn said(ran: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

#[test]
fn every_step_of_the_workflow_passes_and_can_fail() {
    assert_eq!(Repository::new().workflow(), Ok(()));
    for (edit, step, why) in [
        (
            "sed -i 's/status: running/status:   running/' experiments/checkout.yaml",
            "layout",
            "checkout.yaml",
        ),
        ("sed -i '/hypothesis:/d' experiments/checkout.yaml", "problems, and the launch rules", "hypothesis"),
        ("sed -i 's/weight: 50 }/weight: 10 }/' experiments/checkout.yaml", "who moves", "at most 5% may"),
        (
            "sed -i 's/cluster: checkout-v2/cluster: checkout-v3/' experiments/checkout.yaml",
            "who moves",
            "route.cluster is checkout-v3, was checkout-v2",
        ),
        ("sed -i '/checkout-v2/d' clusters.txt", "what is deployed", "checkout-v2"),
    ] {
        let repository = Repository::new();
        repository.shell(edit);
        let (failed, said) = repository.workflow().unwrap_err();
        assert_eq!(failed, step, "{edit}: {said}");
        assert!(said.contains(why), "{edit}: {said}");
    }
}

#[test]
fn the_hooks_run_before_a_commit() {
    if Command::new("pre-commit").arg("--version").output().is_err() {
        let why = "pre-commit is not on PATH: apt-get install pre-commit";
        return skip::skip("the_hooks_run_before_a_commit", why);
    }
    let repository = Repository::new();
    repository.shell("pre-commit install");
    let said = repository.shell("pre-commit run --all-files");
    assert_eq!(said.matches("Passed").count(), 2, "{said}");
    repository
        .shell("echo '# no more' >> experiments/checkout.yaml && git commit --quiet --all --message good");
    let wrong = repository
        .run("sed -i 's/variants:/varaints:/' experiments/checkout.yaml && git commit --all --message bad");
    let said = self::said(&wrong);
    assert!(!wrong.status.success() && said.contains("did you mean `variants`?"), "{said}");
    assert_eq!(repository.shell("git rev-list --count HEAD").trim(), "2");
    // What only has another layout is brought into the one layout, for the next try.
    repository.shell("git checkout --quiet . && git reset --quiet --hard");
    let loose = "sed -i 's/status: running/status:   running/' experiments/checkout.yaml && git commit --all --message loose";
    assert!(!repository.run(loose).status.success());
    repository.shell("splitway fmt --check experiments");
}
