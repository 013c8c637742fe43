//! Common mistakes: each gives one problem, at the line where it is, and says what to do.

use std::fmt::Write as _;

use crate::support::Bench;

/// Sections of a title and a config, whose wrong line ends in `# <<`.
const MISTAKES: &str = include_str!("mistakes.txt");

#[test]
fn each_gives_one_clear_problem_at_its_line() {
    let mut all = String::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for section in MISTAKES.split("## ").skip(1) {
        count += 1;
        let (title, marked) = section.split_once('\n').unwrap();
        let line = 1 + marked.lines().position(|line| line.ends_with("# <<")).unwrap();
        let text = marked.replace(" # <<", "");
        let bench = Bench::new(&[("splitway.yaml", &text)]);
        let ran = bench.run("validate splitway.yaml --json");
        assert_eq!(ran.code, 1, "{title}: {}", ran.all());
        let report = ran.json();
        let problems = report["files"][0]["problems"].as_array().unwrap().clone();
        let errors: Vec<_> = problems.iter().filter(|problem| problem["severity"] == "error").collect();
        let lines: Vec<_> = errors.iter().map(|problem| problem["line"].as_u64().unwrap_or(0)).collect();
        if lines != [line as u64] {
            wrong.push(format!("{title}: expected one problem at line {line}, found {lines:?}"));
        }
        write!(all, "## {title}\n{}\n", bench.run("validate splitway.yaml").out).unwrap();
    }
    insta::assert_snapshot!(all);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 40, "{count}");
}
