//! The examples of README.md do what it says.

use splitway_engine::{Document, NoTrace, RequestView, Timestamp, compile};
use splitway_envoy::{Call, Envoy, EnvoyConfig, Upstream, eventually};

use crate::support::{Bench, root};

/// A block ```console holds commands after `$ ` and what they print; a block
/// ```yaml is `splitway.yaml`, the next one `scenarios/checkout.yaml`; `changed.yaml` has three times the weight on control.
#[test]
fn every_example_prints_what_the_readme_shows() {
    let readme = std::fs::read_to_string(root().join("cli/README.md")).unwrap();
    let mut blocks = readme.split("```").skip(1).step_by(2);
    let yaml = blocks.find_map(|block| block.strip_prefix("yaml\n")).unwrap();
    let scenario = readme.split("```yaml\n").nth(2).unwrap().split("```").next().unwrap();
    let changed = yaml.replace("weight: 50 }\n      - { id: big", "weight: 75 }\n      - { id: big");
    let bench = Bench::new(&[
        ("splitway.yaml", yaml),
        ("changed.yaml", &changed),
        ("ids.txt", "user-1\nuser-2\n"),
        ("scenarios/checkout.yaml", scenario),
    ]);
    let mut commands = 0;
    for block in blocks.filter_map(|block| block.strip_prefix("console\n")) {
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
            let ran = bench.run_with(args, stdin.as_bytes());
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
    assert!(commands >= 13, "one example per command");
}

/// The first page's `analyze`, on the log of a real Envoy that runs the same example as the demo.
#[test]
fn the_demos_log_is_analysed_as_the_first_page_says() {
    const UNITS: usize = 300;
    let page = std::fs::read_to_string(root().join("README.md")).unwrap();
    let command = page.lines().find(|line| line.contains("splitway -- analyze")).unwrap();
    let (_, command) = command.split_once("splitway -- ").unwrap();
    let example = root().join("examples/checkout/splitway.yaml");
    let command = command.replace("examples/checkout/splitway.yaml", example.to_str().unwrap());
    let command = command.replace("target/demo/envoy.log", "envoy.log");
    let document = std::fs::read_to_string(example).unwrap();
    let plan = compile(&Document::from_yaml(&document).unwrap()).unwrap();
    let names: Vec<String> = (0..UNITS).map(|unit| format!("user-{unit}")).collect();
    let expected = |name: &String| {
        let headers: [(&[u8], &[u8]); 2] = [(b":path", b"/checkout/cart"), (b"x-user-id", name.as_bytes())];
        plan.decide(&RequestView::new(&headers), Timestamp(0), &mut NoTrace).assignments.len()
    };
    let exposures: usize = 2 * names.iter().map(expected).sum::<usize>();
    let log = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (v1, v2) = (Upstream::start("checkout-v1").unwrap(), Upstream::start("checkout-v2").unwrap());
        let envoy = Envoy::start(EnvoyConfig::new(document.as_str(), &v1, &v2)).await.unwrap();
        let client = envoy.http1();
        for name in names.iter().chain(&names) {
            let call = Call::get("/checkout/cart").header("x-user-id", name.clone());
            assert_eq!(client.send(&call).await.unwrap().status, 200);
        }
        let all =
            eventually("every exposure", async || Ok((envoy.exposures()?.len() == exposures).then_some(())));
        all.await.unwrap();
        envoy.log().unwrap()
    });
    let bench = Bench::new(&[("envoy.log", &log)]);
    let ran = bench.run(&command);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.out.contains("checkout-button: INCONCLUSIVE"), "{}", ran.all());
    let found = bench.run(&format!("{command} --json")).json();
    assert_eq!(
        (&found["exposures"]["records"], &found["exposures"]["malformed"]),
        (&exposures.into(), &0.into())
    );
    let button = &found["experiments"][0];
    assert_eq!(button["integrity"]["replayed"], 2 * UNITS);
    assert_eq!(
        (&button["integrity"]["wrong_variant"], &button["units_in_two_variants"]),
        (&0.into(), &0.0.into())
    );
    let units: f64 =
        button["arms"].as_array().unwrap().iter().map(|arm| arm["units"].as_f64().unwrap()).sum();
    assert_eq!(units, UNITS as f64);
    assert!(button["metrics"].to_string().contains("http_5xx_rate"), "{button}");
}
