//! The reduction of a month of exposures, beside other engines in the same run; and whether faults in such a month are found.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use splitway_envoy::tools;

use splitway_tools::{setup, shell};

use crate::{numbers, record};

#[derive(Args)]
pub(crate) struct Options {
    /// Exposures; a unit has four.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u32,
    /// Runs of each engine on each input, in turn.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only `splitway analyze` on Parquet, the log going there through a pipe: for more rows than the disk holds as text.
    #[arg(long)]
    piped: bool,
    /// Only the comparison of engines.
    #[arg(long, conflicts_with_all = ["piped", "faults"])]
    engines: bool,
    /// Only the months with faults.
    #[arg(long, conflicts_with = "piped")]
    faults: bool,
    /// Programs of this profile: `release`, or `debug` to try the bench itself.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// What is asked of `splitway analyze`: the query of `month sql`.
const QUESTION: [&str; 8] = [
    "--metric",
    "order_rate=any(order)",
    "--metric",
    "basket=sum(order)/count(order)",
    "--window",
    "7d",
    "--before",
    "7d",
];

/// Injected faults, and what `splitway analyze` must say of the experiment that has them.
const FAULTS: [(&str, &str, &str); 7] = [
    ("none", "DO_NOT_SHIP", "effect_ruled_out"),
    ("lift", "SHIP", "primary_better"),
    ("lost-arm", "INVALID", "sample_ratio_mismatch"),
    ("contaminated", "INVALID", "contaminated_arms"),
    ("mixed-up", "INVALID", "log_misfit"),
    ("broken-guardrail", "DO_NOT_SHIP", "guardrail_worse"),
    ("lost-hours", "SHIP", "silent_hours"),
];

/// Seconds, and KiB at most resident.
type Use = (f64, f64);

struct Rig {
    python: PathBuf,
    splitway: PathBuf,
    month: PathBuf,
    folder: tempfile::TempDir,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let rig = Rig::new(&options.profile)?;
    let is_whole = !(options.piped || options.engines || options.faults);
    if options.piped {
        let mut kept = Kept::new("analyze-piped", "of", options, " --piped")?;
        rig.piped(options, &mut kept)?;
        kept.keep()?;
    }
    if options.engines || is_whole {
        let mut kept = Kept::new("analyze", "of", options, " --engines")?;
        rig.compare(options, &mut kept)?;
        kept.keep()?;
    }
    if options.faults || is_whole {
        let mut kept = Kept::new("analyze-faults", "of faults in", options, " --faults")?;
        rig.faults(options, &mut kept.text)?;
        kept.keep()?;
    }
    Ok(())
}

/// What a run leaves.
struct Kept {
    name: &'static str,
    text: String,
    csv: String,
}

impl Kept {
    fn new(name: &'static str, what: &str, options: &Options, flag: &str) -> Result<Self> {
        let (rows, runs) = (options.rows, options.runs);
        let text = format!(
            "# Analysis {what} {rows} exposures, {}\n\nCommand: `cargo xtask bench analyze --rows {rows} --runs {runs}{flag}`\n",
            record::date()?
        );
        Ok(Self { name, text, csv: String::new() })
    }

    fn row(&mut self, what: &str, input: &str, uses: &[Use]) {
        let seconds: Vec<f64> = uses.iter().map(|used| used.0).collect();
        let most = uses.iter().map(|used| used.1).fold(0.0, f64::max);
        let (low, high) = seconds.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), s| (l.min(*s), h.max(*s)));
        for (run, (seconds, memory)) in uses.iter().enumerate() {
            let _ = writeln!(self.csv, "\"{what}\",{input},{run},{seconds:.3},{memory}");
        }
        let _ = writeln!(
            self.text,
            "| {what} | {input} | {:.2} ({low:.2} to {high:.2}) | {:.0} |",
            numbers::median(seconds),
            most * 1024.0 / 1e6
        );
    }

    fn keep(mut self) -> Result<()> {
        let _ = writeln!(self.text, "\nMachine: {}", record::machine());
        record::keep(&format!("{}.md", self.name), &self.text)?;
        if !self.csv.is_empty() {
            let csv = format!("what,input,run,seconds,max_rss_kib\n{}", self.csv);
            record::keep(&format!("{}.csv", self.name), &csv)?;
        }
        print!("{}", self.text);
        Ok(())
    }
}

impl Rig {
    fn new(profile: &str) -> Result<Self> {
        let tools = tools::target_dir()?;
        if profile == "release" {
            // At once, because each alone would compile DataFusion with other features of its dependencies.
            let packages = ["build", "--release", "--package", "splitway", "--package", "splitway-analysis"];
            shell::run(shell::cargo(
                &[&packages[..], &["--bin", "splitway", "--example", "month"]].concat(),
            )?)?;
        }
        let python = setup::python("analyze", "benches/analyze/requirements.txt")?;
        // Beside the build and not in /tmp, which may be memory.
        let folder = tempfile::tempdir_in(tools.join("tmp"))?;
        let programs = tools.join(profile);
        let (splitway, month) = (programs.join("splitway"), programs.join("examples/month"));
        Ok(Self { python, splitway, month, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn month(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.month);
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    fn splitway(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.splitway);
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs a program to its end and says what it took. `good` are its exit codes.
    fn measure(&self, command: &Command, input: Option<&Path>, output: &Path, good: &[i32]) -> Result<Use> {
        let used = self.path("used");
        let mut wrapped = Command::new(&self.python);
        wrapped.arg(shell::root().join("benches/analyze/measure.py")).arg(&used);
        wrapped.arg(command.get_program()).args(command.get_args()).current_dir(self.folder.path());
        wrapped.stdin(input.map(File::open).transpose()?.map_or_else(Stdio::null, Stdio::from));
        wrapped.stdout(File::create(output)?);
        let code = wrapped.status()?.code();
        ensure!(code.is_some_and(|code| good.contains(&code)), "{command:?} ended with {code:?}");
        let text = fs::read_to_string(used)?;
        let (seconds, memory) = text.split_once(' ').context("measure.py wrote something else")?;
        Ok((seconds.parse()?, memory.parse()?))
    }

    /// Writes `exposures.parquet` and `outcomes.parquet`, no text in between.
    fn pipe(&self, rows: u32, fault: &str) -> Result<Use> {
        let mut make = self.month(&["make", ".", &(rows / 4).to_string(), fault]);
        let mut made = make.stdout(Stdio::piped()).spawn()?;
        let mut compact = Command::new(&self.python);
        compact
            .arg(shell::root().join("benches/analyze/measure.py"))
            .arg(self.path("used"))
            .arg(&self.splitway);
        compact.args(["compact", "-", "--out", "exposures.parquet"]).current_dir(self.folder.path());
        compact.stdin(Stdio::from(made.stdout.take().context("piped")?)).stdout(Stdio::null());
        let compacted = compact.status()?;
        ensure!(made.wait()?.success() && compacted.success(), "the month could not be made");
        let text = fs::read_to_string(self.path("used"))?;
        shell::output(self.splitway(&[
            "compact",
            "outcomes.csv",
            "--outcomes",
            "--out",
            "outcomes.parquet",
        ]))?;
        let (seconds, memory) = text.split_once(' ').context("measure.py wrote something else")?;
        Ok((seconds.parse()?, memory.parse()?))
    }

    fn analyze(&self, exposures: &str, outcomes: &str) -> Command {
        let files =
            ["analyze", "--config", "splitway.yaml", "--json", "--exposures", exposures, "--outcomes"];
        self.splitway(&[&files[..], &[outcomes], &QUESTION[..]].concat())
    }

    fn compare(&self, options: &Options, kept: &mut Kept) -> Result<()> {
        let mut make = self.month(&["make", ".", &(options.rows / 4).to_string(), "lift"]);
        make.stdout(File::create(self.path("exposures.ndjson"))?);
        shell::run(make)?;
        let mut uses: BTreeMap<(usize, usize), Vec<Use>> = BTreeMap::new();
        let compacts = [
            (
                "splitway compact, exposures",
                vec!["compact", "exposures.ndjson", "--out", "exposures.parquet"],
            ),
            (
                "splitway compact, outcomes",
                vec!["compact", "outcomes.csv", "--outcomes", "--out", "outcomes.parquet"],
            ),
        ];
        for _ in 0..options.runs {
            for (at, (_, arguments)) in compacts.iter().enumerate() {
                let used = self.measure(&self.splitway(arguments), None, &self.path("said"), &[0])?;
                uses.entry((0, at)).or_default().push(used);
            }
        }
        let engines =
            ["splitway, the reduction alone", "DuckDB 2.0.0", "polars 2.1.0", "ClickHouse (chDB 26.9.0)"];
        let names = ["splitway", "duckdb", "polars", "clickhouse"];
        for name in &names[1..] {
            let dialect = if *name == "polars" { "duckdb" } else { name };
            fs::write(self.path(&format!("{name}.sql")), shell::output(self.month(&["sql", dialect]))?)?;
        }
        let inputs = [("exposures.ndjson", "outcomes.csv"), ("exposures.parquet", "outcomes.parquet")];
        for _ in 0..options.runs {
            for (input, (exposures, outcomes)) in inputs.iter().enumerate() {
                for (engine, name) in names.iter().enumerate() {
                    let result = self.path(&format!("{name}.csv"));
                    let used = if engine == 0 {
                        self.measure(&self.month(&["reduce", exposures, outcomes]), None, &result, &[0])?
                    } else {
                        let mut peer = Command::new(&self.python);
                        peer.arg(shell::root().join("benches/analyze/peers.py"))
                            .args([name, exposures, outcomes]);
                        peer.arg(&result);
                        let sql = self.path(&format!("{name}.sql"));
                        self.measure(&peer, Some(&sql), &self.path("said"), &[0])?
                    };
                    uses.entry((input + 1, engine)).or_default().push(used);
                    same(&self.path("splitway.csv"), &result)?;
                }
                let said = self.path("said");
                let used = self.measure(&self.analyze(exposures, outcomes), None, &said, &[0, 1])?;
                uses.entry((input + 1, names.len())).or_default().push(used);
            }
        }
        let size = |name: &str| fs::metadata(self.path(name)).map_or(0, |file| file.len() / 1_000_000);
        let _ = writeln!(
            kept.text,
            "\n{} rows made by driving the engine: {} MB of NDJSON ({} MB as Parquet), {} MB of outcomes as CSV ({} MB as Parquet); \
             two experiments, 28 days, 8 sums and their 36 products per experiment, variant and day. {} runs of each, in turn; \
             all results were compared. Seconds are medians with fastest and slowest, memory is the most resident of all runs. \
             `splitway analyze` also replays every assignment, checks the log and judges. \
             splitway reads text into Parquet first, the others read it as it is, without counting malformed lines.\n",
            options.rows,
            size("exposures.ndjson"),
            size("exposures.parquet"),
            size("outcomes.csv"),
            size("outcomes.parquet"),
            options.runs
        );
        kept.text.push_str("| what | input | seconds | MB at most |\n|---|---|--:|--:|\n");
        for ((input, engine), uses) in &uses {
            let what = match (input, engine) {
                (0, at) => compacts[*at].0,
                (_, engine) => engines.get(*engine).copied().unwrap_or("splitway analyze"),
            };
            let input = if *input == 2 { "Parquet" } else { "text" };
            kept.row(what, input, uses);
        }
        Ok(())
    }

    fn faults(&self, options: &Options, text: &mut String) -> Result<()> {
        text.push_str("\nA month made by driving the engine, with a fault in it, and what `splitway analyze` says of the experiment that \
            has the fault. The other one, which has neither effect nor fault, must never be shipped or invalid.\n\n\
            | fault | verdict | why |\n|---|---|---|\n");
        for (fault, verdict, why) in FAULTS {
            self.pipe(options.rows, fault)?;
            let said = self.path("said");
            self.measure(&self.analyze("exposures.parquet", "outcomes.parquet"), None, &said, &[0, 1])?;
            let found: serde_json::Value = serde_json::from_str(&fs::read_to_string(&said)?)?;
            let experiment = |id: &str| {
                let all = found["experiments"].as_array().into_iter().flatten();
                all.into_iter().find(|found| found["experiment"] == id).cloned().unwrap_or_default()
            };
            let (button, shipping) = (experiment("button"), experiment("shipping"));
            // Sentences and codes have one order.
            let texts = [&button["reasons"], &button["remarks"]]
                .map(|list| list.as_array().cloned().unwrap_or_default());
            let place = |found: &serde_json::Value, code: &str| {
                let all = found["findings"].as_array().into_iter().flatten();
                all.into_iter().position(|finding| finding["code"] == code)
            };
            let reason =
                place(&button, why).and_then(|at| texts.concat().get(at)?.as_str().map(str::to_owned));
            let is_found = button["verdict"] == verdict && reason.is_some();
            ensure!(is_found, "{fault}: {button:#}");
            ensure!(
                shipping["verdict"] == "DO_NOT_SHIP" && place(&shipping, "effect_ruled_out").is_some(),
                "{fault} was seen where it is not: {shipping:#}"
            );
            let _ =
                writeln!(text, "| {fault} | {verdict} | {} |", reason.unwrap_or_default().replace('|', "/"));
        }
        Ok(())
    }

    fn piped(&self, options: &Options, kept: &mut Kept) -> Result<()> {
        let compact = self.pipe(options.rows, "lift")?;
        let mut uses = Vec::new();
        for _ in 0..options.runs {
            let command = self.analyze("exposures.parquet", "outcomes.parquet");
            uses.push(self.measure(&command, None, &self.path("said"), &[0, 1])?);
        }
        let size = |name: &str| fs::metadata(self.path(name)).map_or(0, |file| file.len() / 1_000_000);
        let _ = writeln!(
            kept.text,
            "\nThe log goes from the engine through a pipe into `splitway compact -` ({} MB of Parquet, {} MB of outcomes), \
             then `splitway analyze` with its checks.\n",
            size("exposures.parquet"),
            size("outcomes.parquet")
        );
        kept.text.push_str("| what | input | seconds | MB at most |\n|---|---|--:|--:|\n");
        kept.row("splitway compact -, as fast as the engine decides", "text", &[compact]);
        kept.row("splitway analyze", "Parquet", &uses);
        Ok(())
    }
}

/// Whether two results have the same groups, counts and sums; the columns may stand anywhere.
fn same(ours: &Path, theirs: &Path) -> Result<()> {
    let ours = table(&fs::read_to_string(ours)?)?;
    let theirs = table(&fs::read_to_string(theirs)?)?;
    ensure!(ours.len() == theirs.len() && !ours.is_empty(), "{} and {} groups", ours.len(), theirs.len());
    for (group, numbers) in &ours {
        let other = theirs.get(group).with_context(|| format!("no group {group}"))?;
        for (name, number) in numbers {
            let other = other.get(name).with_context(|| format!("no column {name}"))?;
            ensure!((number - other).abs() <= 1e-9 * number.abs(), "{group} {name}: {number} and {other}");
        }
    }
    Ok(())
}

/// Numbers by group and column.
fn table(csv: &str) -> Result<BTreeMap<String, BTreeMap<String, f64>>> {
    let mut lines =
        csv.lines().map(|line| line.split(',').map(|field| field.trim_matches('"')).collect::<Vec<_>>());
    let names = lines.next().context("an empty result")?;
    let mut groups = BTreeMap::new();
    for fields in lines {
        let (mut group, mut numbers) = (BTreeMap::new(), BTreeMap::new());
        for (name, field) in names.iter().zip(&fields) {
            match *name {
                "experiment" | "variant" | "day" => {
                    group.insert(*name, *field);
                }
                "segment" | "reduction" => {}
                _ => {
                    numbers.insert((*name).to_owned(), field.parse()?);
                }
            }
        }
        let group: Vec<&str> = group.into_values().collect();
        groups.insert(group.join(" "), numbers);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_compared_by_group_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let ours = write("a", "experiment,variant,day,units,s_0\nb,c,1,5,2.5\n");
        let theirs = write(
            "b",
            "reduction,\"day\",variant,\"experiment\",segment,s_0,units,p_0_0\nr1,1,\"c\",b,\"\",2.5,5,9\n",
        );
        same(&ours, &theirs).unwrap();
        let other = write("c", "experiment,variant,day,units,s_0\nb,c,1,5,2.6\n");
        assert!(same(&ours, &other).is_err());
        let less = write("d", "experiment,variant,day,units,s_0\n");
        assert!(same(&ours, &less).is_err() && same(&less, &less).is_err());
    }
}
