//! The examples of README.md do what it says.

use crate::analysis;
use crate::support::{Bench, root};

/// A block ```console holds commands after `$ ` and what they print; a block
/// ```yaml is `splitway.yaml`, the next one `scenarios/checkout.yaml`; `changed.yaml` has three times the weight on control; `shop/` is
/// what the tests of the analysis read.
#[test]
fn every_example_prints_what_the_readme_shows() {
    let readme = std::fs::read_to_string(root().join("cli/README.md")).unwrap();
    let mut blocks = readme.split("```").skip(1).step_by(2);
    let yaml = blocks.find_map(|block| block.strip_prefix("yaml\n")).unwrap();
    let scenario = readme.split("```yaml\n").nth(2).unwrap().split("```").next().unwrap();
    let changed = yaml.replace("weight: 50 }\n      - { id: big", "weight: 75 }\n      - { id: big");
    let [config, log, orders] = analysis::files();
    let bench = Bench::new(&[
        ("splitway.yaml", yaml),
        ("changed.yaml", &changed),
        ("ids.txt", "user-1\nuser-2\n"),
        ("scenarios/checkout.yaml", scenario),
        ("shop/splitway.yaml", &config),
        ("shop/envoy.log", &log),
        ("shop/orders.csv", &orders),
    ]);
    let mut commands = 0;
    for block in blocks.filter_map(|block| block.strip_prefix("console\n")) {
        // A command over several lines.
        let block = block.replace(" \\\n    ", " ");
        for example in block.split("$ splitway ").skip(1) {
            let (command, expected) = example.split_once('\n').unwrap();
            let (args, stdin) = match command.split_once(" < ") {
                Some((args, file)) => (args, bench.read(file)),
                None => (command, String::new()),
            };
            let (args, head) = match args.split_once(" | head -n ") {
                Some((args, lines)) => (args, lines.parse().unwrap()),
                None => (args, usize::MAX),
            };
            // Quotes are for the shell.
            let ran = bench.run_with(&args.replace('\'', ""), stdin.as_bytes());
            let printed: Vec<&str> = ran.out.lines().take(head).chain(ran.err.lines()).collect();
            let shown: Vec<&str> = expected.lines().collect();
            // A last line `…` stands for more.
            let (shown, printed) = match shown.split_last() {
                Some((&"…", first)) => {
                    (first.to_vec(), printed.get(..first.len()).unwrap_or(&printed).to_vec())
                }
                _ => (shown, printed),
            };
            assert_eq!(shown, printed, "$ splitway {command}");
            commands += 1;
        }
    }
    assert!(commands >= 15, "one example per command");
}
