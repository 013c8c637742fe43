//! The budgets of the control plane: folding a million events, and a tick with 200 running and 10,000 archived
//! experiments. `cargo bench -p splitway-control`; it fails where a budget is missed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench fails by panicking"
)]

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::time::Instant;

use splitway_control::{
    Actor, Body, Cause, Command, Condition, Event, Evidence, Head, Input, Intent, Measure, Sample, Sealed,
    State, Tally, Time, compose, react,
};

const EVENTS: u64 = 1_000_000;
const ARCHIVED: u64 = 10_000;
const RUNNING: usize = 200;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--fold") {
        return fold(&args[at + 1]);
    }
    let file = std::env::temp_dir().join(format!("splitway-control-{}.log", std::process::id()));
    let bytes = write_log(&file);
    println!("log            {EVENTS} events of {ARCHIVED} experiments, {} MB", bytes / 1_000_000);
    // In a process of its own, so that its memory is that of the fold alone.
    let status = std::process::Command::new(&args[0]).arg("--fold").arg(&file).status().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(status.success());
}

fn write_log(file: &std::path::Path) -> usize {
    let mut out = BufWriter::new(std::fs::File::create(file).unwrap());
    let (mut head, mut seq, mut bytes) = (Head::default(), 0, 0);
    let mut write = |body: Body| {
        seq += 1;
        let event =
            Event { seq, at: Time(i64::try_from(seq).unwrap() * 1_000), actor: Actor::Schedule, body };
        let sealed = Sealed::seal(&head, event);
        head = sealed.head;
        bytes += sealed.text.len();
        writeln!(out, "{} {}", sealed.head, sealed.text).unwrap();
    };
    let base = r#"{"unit":[{"cookie":"uid"}],"version":1}"#.to_owned();
    write(Body::BaseSet { hash: "0".into(), base });
    for number in 0..ARCHIVED {
        let experiment = format!("experiment-{number}");
        let definition = format!(r#"{{"id":"{experiment}","variants":[{{"id":"a"}},{{"id":"b"}}]}}"#);
        let hash = format!("{number:016x}");
        write(Body::Defined { experiment: experiment.clone(), hash: hash.clone(), definition });
        write(Body::Enqueued { experiment: experiment.clone(), hash: hash.clone() });
        let traffic = "5%".to_owned();
        write(Body::Started {
            experiment: experiment.clone(),
            hash: hash.clone(),
            buckets: Vec::new(),
            traffic,
        });
        for step in 1..=31 {
            let traffic = "50%".to_owned();
            write(Body::Advanced { experiment: experiment.clone(), step, traffic, units: 12_345 });
            write(Body::Composed {
                document: format!("{:016x}", number * 64 + u64::from(step)),
                changes: vec![],
            });
            let (proxy, document) = ("proxy-1".to_owned(), format!("{:016x}", number * 64 + u64::from(step)));
            write(Body::Confirmed { proxy, document });
        }
        let cause = Cause::Command { reason: "the bench is over".into() };
        write(Body::RolledBack { experiment: experiment.clone(), cause });
        write(Body::Archived { experiment });
        write(Body::SourceChanged { source: "admin".into(), condition: Condition::Fresh });
    }
    // Up to the round number.
    for number in seq..EVENTS {
        let condition = if number % 2 == 0 { Condition::Gap } else { Condition::Fresh };
        let sealed = Event {
            seq: number + 1,
            at: Time(i64::try_from(number + 1).unwrap() * 1_000),
            actor: Actor::Schedule,
            body: Body::SourceChanged { source: "admin".into(), condition },
        };
        let sealed = Sealed::seal(&head, sealed);
        head = sealed.head;
        bytes += sealed.text.len();
        writeln!(out, "{} {}", sealed.head, sealed.text).unwrap();
    }
    out.flush().unwrap();
    bytes
}

fn fold(file: &str) {
    let lines = BufReader::new(std::fs::File::open(file).unwrap()).lines();
    let began = Instant::now();
    let log = lines.map(|line| {
        let line = line.unwrap();
        let (head, text) = line.split_once(' ').unwrap();
        (text.to_owned(), Head::try_from(head.to_owned()).unwrap())
    });
    let state = State::fold(log).unwrap();
    let took = began.elapsed();
    let peak = peak_kilobytes();
    println!("fold           {took:.2?}, {} MB at most", peak / 1_000);
    assert_eq!((state.seq(), state.archive().count()), (EVENTS, 10_000));
    tick(state);
    assert!(took.as_secs_f64() <= 3.0, "a million events fold in 3 s");
    assert!(peak <= 200_000, "in 200 MB");
}

fn tick(mut state: State) {
    let now = |ms: i64| Time(2_000_000_000_000 + ms);
    let mut text = "version: 1\nunit: [{ cookie: uid }]\nexperiments:\n".to_owned();
    for number in 0..RUNNING {
        text += &format!(
            "  - {{ id: live-{number}, variants: [{{ id: a }}, {{ id: b }}], rollout: {{ steps: [{{ traffic: 5%, hold: 1h }}, {{ traffic: 50% }}] }} }}\n"
        );
    }
    let mut evidence = Evidence::default();
    let ann = Actor::person("ann").unwrap();
    state = react(&state, &evidence, &ann, &Input::Intent(Intent::from_yaml(&text).unwrap()), now(0)).state;
    for number in 0..RUNNING {
        let command = Command::Enqueue { experiment: format!("live-{number}") };
        state = react(&state, &evidence, &ann, &Input::Command(command), now(1)).state;
        for (variant, proxy) in [("a", "p"), ("b", "p"), ("a", "q"), ("b", "q")] {
            evidence.observe(Sample {
                proxy: proxy.into(),
                boot: "1".into(),
                version: "v".into(),
                experiment: format!("live-{number}"),
                variant: variant.into(),
                measure: Measure::Errors,
                tally: Tally { units: 1_000, bad: 20 },
            });
        }
    }
    let (mut slowest, mut ticks) = (std::time::Duration::ZERO, 0);
    while state.experiments().any(|(_, one)| one.held.is_empty()) {
        let began = Instant::now();
        ticks += 1;
        state = react(&state, &evidence, &Actor::Schedule, &Input::Tick, now(2 + ticks)).state;
        slowest = slowest.max(began.elapsed());
    }
    println!("start of {RUNNING}   in {ticks} ticks, {slowest:.2?} at worst");
    let document = state.wanted().unwrap().document.clone();
    let confirmed = Input::InForce { proxy: "proxy-1".into(), document };
    state = react(&state, &evidence, &Actor::Schedule, &confirmed, now(2_000)).state;
    let mut worst = std::time::Duration::ZERO;
    for second in 3..103 {
        let began = Instant::now();
        let reaction = react(&state, &evidence, &Actor::Schedule, &Input::Tick, now(second * 1_000));
        worst = worst.max(began.elapsed());
        assert_eq!(reaction.events, []);
    }
    println!("tick           {worst:.2?} at worst of 100");
    let began = Instant::now();
    let command = Command::Rollback { experiment: "live-7".into(), reason: "bench".into() };
    state = react(&state, &evidence, &ann, &Input::Command(command), now(200_000)).state;
    let text = compose(&state).unwrap().unwrap().text;
    println!(
        "rollback       {:.2?} until the text of the document ({} kB)",
        began.elapsed(),
        text.len() / 1_000
    );
    assert!(worst.as_millis() < 100, "a tick takes less than 100 ms");
}

/// The most memory that this process had.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
